//! What is there: version and state of this node.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Shared;
use crate::api::answer::Refused;
use crate::api::backend::Backend;
use crate::api::openapi;
use crate::api::types::membership::{Status, User, Version};

/// `GET /` and `GET /v1/ping`. Answered to anybody.
pub(super) async fn version(State(backend): Shared) -> Json<Version> {
    Json(Version {
        name: "kontena".to_owned(),
        version: backend.version.to_owned(),
    })
}

/// `GET /v1/openapi.json`. Answered to anybody: it is the same for every grid, and tells a program how to show the token.
pub(super) async fn document() -> Result<Response, Refused> {
    let text = openapi::text().map_err(|problem| Refused::internal(&problem))?;
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

/// `GET /v1/user`: who asks. Until there are users, whoever may ask may do everything.
pub(super) async fn user() -> Json<User> {
    const ADMINISTRATOR: &str = "administrator";
    Json(User {
        id: ADMINISTRATOR.to_owned(),
        name: ADMINISTRATOR.to_owned(),
        email: ADMINISTRATOR.to_owned(),
    })
}

/// `GET /v1/status`: this node, in a grid or not.
pub(super) async fn status(State(backend): Shared) -> Json<Status> {
    Json(now(&backend))
}

fn now(backend: &Backend) -> Status {
    let local = backend.local.borrow().clone();
    let view = backend.view.borrow().clone();
    let documents = &view.documents;
    let member = documents.roster.get(&backend.me);
    let name = member
        .map(|member| &member.name)
        .or_else(|| documents.former.get(&backend.me))
        .unwrap_or(&backend.default_name);
    Status {
        version: backend.version.to_owned(),
        node_id: backend.me.to_string(),
        name: name.to_string(),
        grid: view.documents.grid.name.as_ref().map(ToString::to_string),
        phase: local.phase,
        addresses: local.addresses,
        problems: local.problems,
    }
}
