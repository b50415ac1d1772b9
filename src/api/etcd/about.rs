//! What clients of etcd ask before they begin: who is there. It is this node alone, which answers by itself.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::Shared;
use crate::api::backend::Backend;

/// The version whose API this is.
const VERSION: &str = "2.3.7";

pub(super) async fn version(State(backend): Shared) -> Json<Value> {
    Json(json!({
        "etcdserver": VERSION,
        "etcdcluster": "2.3.0",
        "kontena": backend.version,
    }))
}

/// Whether it takes writes: in a grid it does.
pub(super) async fn health(State(backend): Shared) -> (StatusCode, Json<Value>) {
    let is_member = backend.view.borrow().documents.grid.id.is_some();
    let status = match is_member {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(json!({"health": is_member.to_string()})))
}

pub(super) async fn machines(headers: HeaderMap) -> String {
    own_url(&headers)
}

pub(super) async fn members(State(backend): Shared, headers: HeaderMap) -> Json<Value> {
    let url = own_url(&headers);
    Json(json!({
        "members": [{
            "id": id(&backend),
            "name": name(&backend),
            "peerURLs": [],
            "clientURLs": [url],
        }],
    }))
}

/// Some clients look for a leader. Each node is its own.
pub(super) async fn own(State(backend): Shared) -> Json<Value> {
    Json(json!({
        "name": name(&backend),
        "id": id(&backend),
        "state": "StateLeader",
        "leaderInfo": {"leader": id(&backend)},
    }))
}

/// Where the client found this node: it is to stay with it.
fn own_url(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("etcd.kontena.local:2379"))
}

fn id(backend: &Backend) -> String {
    backend.me.short()
}

fn name(backend: &Backend) -> String {
    let view = backend.view.borrow();
    let member = view.documents.roster.get(&backend.me);
    member.map_or_else(
        || backend.default_name.to_string(),
        |member| member.name.to_string(),
    )
}
