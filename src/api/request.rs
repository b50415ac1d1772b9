//! What comes in: paths, bodies and query parameters, checked.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::answer::Refused;
use super::types::MAX_BODY_BYTES;

/// 2 MiB over the slowest link that anybody commands a grid through.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// A JSON body. Unknown fields are an error where the type says so; none at all is `{}`, because
/// Kontena's own command line sends either. The content type is not looked at.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let bytes = whole_body(request, state).await?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // A list would be read as the fields of an object, in the order in which they are declared.
        if text.trim_ascii_start().starts_with(b"[") {
            return Err(Refused::invalid(
                "body: has to be an object, this is a list",
            ));
        }
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|problem| Refused::invalid(format!("the body cannot be read: {problem}")))
    }
}

/// All bytes of a body, within the limits of size and time.
pub(super) async fn whole_body<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Bytes, Refused> {
    timeout(BODY_LIMIT, Bytes::from_request(request, state))
        .await
        .map_err(|_| Refused::body_late(BODY_LIMIT))?
        .map_err(|problem| match problem.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refused::too_large(MAX_BODY_BYTES),
            _ => Refused::invalid(format!("the body cannot be read: {}", problem.body_text())),
        })
}

/// Takes a body that says nothing, `{}` or `null`: what else it says would be ignored.
pub(super) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        match Body::<Value>::from_request(request, state).await?.0 {
            Value::Null => Ok(Self),
            Value::Object(fields) => match fields.keys().next() {
                None => Ok(Self),
                Some(field) => Err(Refused::invalid(format!("`{field}` is not a known field"))),
            },
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Refused::invalid("the body has to be an object"))
            }
        }
    }
}

/// What the path names. What is no text names nothing.
pub(super) struct Segments<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(segments)| Self(segments))
            .map_err(|_| Refused::not_found("path", parts.uri.path()))
    }
}

/// Query parameters. Unknown ones are an error where the type says so.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(parameters)| Self(parameters))
            .map_err(|problem| Refused::invalid(problem.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body as Bytes;
    use futures::stream;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_not_waited_for() {
        let silent = stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let request = Request::new(Bytes::from_stream(silent));
        let began = Instant::now();
        let refused = Body::<Value>::from_request(request, &()).await.err();
        assert_eq!(refused.unwrap().status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed(), BODY_LIMIT);
    }
}
