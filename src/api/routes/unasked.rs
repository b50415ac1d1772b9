//! A query where the operation takes none: it is refused, so that nobody believes in what is ignored.
//!
//! Which operation takes one is said by its type, and with it by the [document](crate::api::openapi). Where one is
//! taken, its own type refuses what it does not know ([`Parameters`](crate::api::request::Parameters)).

use axum::extract::{MatchedPath, Query, Request};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::answer::Refused;
use crate::api::openapi;

/// Lets a request pass whose query is for its operation to read, or says nothing.
pub(super) async fn check(request: Request, next: Next) -> Result<Response, Refused> {
    match first_name(request.uri()) {
        Some(name) if takes_none(&request) => Err(Refused::unknown_parameter(&name)),
        Some(_) | None => Ok(next.run(request).await),
    }
}

fn first_name(uri: &Uri) -> Option<String> {
    // What cannot be read is left to whoever reads it.
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    pairs.into_iter().map(|(name, _)| name).next()
}

/// Also `false` where there is no such operation, which has an answer of its own.
fn takes_none(request: &Request) -> bool {
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        return false;
    };
    let method = match request.method() {
        &Method::HEAD => &Method::GET,
        method => method,
    };
    openapi::takes_query(method, path.as_str()) == Some(false)
}
