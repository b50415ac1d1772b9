//! etcd's version 2 keys API, for programs in containers: the same store as `/v1/etcd`, in etcd's words.
//!
//! Served on the address of the containers' bridge and nowhere else, to anybody in the grid's network, as Kontena's
//! was. Not here: the rules of a write (the core's `keys`), who may connect (`server`).

mod about;
mod answer;
mod asked;
mod fault;
mod wanted;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::Uri;
use axum::http::header::CONNECTION;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};
use kontena_core::keys::{Change, Content, Event, Key, Keys};
use tokio::sync::Semaphore;

use super::backend::Backend;
use super::request::whole_body;
use answer::Node;
use asked::Asked;
use fault::Fault;
use wanted::Wanted;

type Shared = State<Arc<Backend>>;
type Waits = Extension<Arc<Semaphore>>;

/// Who waits holds a connection: so many leave half of them to those who do not.
const MAX_WAITS: usize = 128;

/// A value may be written with three letters for each byte.
const MAX_BODY: usize = 256 * 1024;

pub(super) fn router(backend: &Arc<Backend>) -> Router {
    Router::new()
        .route("/v2/keys", keys(root, root_write))
        .route("/v2/keys/", keys(root, root_write))
        .route("/v2/keys/{*key}", keys(read, write))
        .route("/version", get(about::version))
        .route("/health", get(about::health))
        .route("/v2/machines", get(about::machines))
        .route("/v2/members", get(about::members))
        .route("/v2/stats/self", get(about::own))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(Extension(Arc::new(Semaphore::new(MAX_WAITS))))
        .with_state(Arc::clone(backend))
}

/// Answers those of a host that has too many connections.
pub(super) fn farewell(most_of_one_host: usize) -> Router {
    let answer = move || async move {
        let close = [(CONNECTION, "close")];
        (close, Fault::too_many_of_one_host(most_of_one_host))
    };
    Router::new().fallback(answer)
}

fn keys<R, W, T, U>(read: R, write: W) -> MethodRouter<Arc<Backend>>
where
    R: axum::handler::Handler<T, Arc<Backend>>,
    W: axum::handler::Handler<U, Arc<Backend>> + Clone,
    T: 'static,
    U: 'static,
{
    get(read)
        .put(write.clone())
        .post(write.clone())
        .delete(write)
}

async fn root(State(backend): Shared, Extension(waits): Waits, uri: Uri) -> Response {
    read_key(&backend, &waits, "/", &uri).await
}

async fn root_write(State(backend): Shared, request: Request) -> Response {
    write_key(&backend, "/", request).await
}

async fn read(
    State(backend): Shared,
    Extension(waits): Waits,
    Path(key): Path<String>,
    uri: Uri,
) -> Response {
    read_key(&backend, &waits, &key, &uri).await
}

async fn write(State(backend): Shared, Path(key): Path<String>, request: Request) -> Response {
    write_key(&backend, &key, request).await
}

async fn read_key(backend: &Backend, waits: &Semaphore, key: &str, uri: &Uri) -> Response {
    let index = backend.keys.borrow().index();
    let answered = async {
        let key: Key = key.parse().map_err(|problem| Fault::key(&problem))?;
        let asked = Asked::of_query(uri.query().unwrap_or_default())?;
        match asked.wait {
            true => {
                let turn = waits.try_acquire();
                let _turn = turn.map_err(|_| Fault::too_many_waits(MAX_WAITS))?;
                wait(backend, &key, &asked, index).await
            }
            false => look(backend, &key, &asked),
        }
    };
    finished(backend, answered.await, index)
}

fn look(backend: &Backend, key: &Key, asked: &Asked) -> Result<Response, Fault> {
    let keys = backend.keys.borrow().clone();
    let node = Node::found(&keys, key, asked.recursive, (backend.core_now)());
    let node = node.ok_or_else(|| Fault::not_found(key))?;
    Ok(answer::got(&node))
}

/// Until something happens to the key: from the index that was asked for, or from now on.
async fn wait(backend: &Backend, key: &Key, asked: &Asked, index: u64) -> Result<Response, Fault> {
    let mut wanted = Wanted {
        key: key.clone(),
        recursive: asked.recursive,
        since: asked.wait_index.unwrap_or(index.saturating_add(1)),
    };
    let mut keys = backend.keys.clone();
    loop {
        let found = wanted.look(&keys.borrow_and_update());
        if let Some(event) = found.map_err(Fault::cleared)? {
            return Ok(happened(backend, &event));
        }
        keys.changed().await.map_err(|_| Fault::stopping())?;
    }
}

async fn write_key(backend: &Backend, key: &str, request: Request) -> Response {
    let answered = async {
        let key: Key = key.parse().map_err(|problem| Fault::key(&problem))?;
        let method = request.method().clone();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = whole_body(request, &()).await.map_err(Fault::body)?;
        let asked = Asked::of_form(&query, &body)?;
        let write = asked.write(&method, key, &backend.keys.borrow())?;
        backend.write_key(write).await.map_err(Fault::of)
    };
    let answered = answered.await;
    let index = backend.keys.borrow().index();
    let response = answered.map(|event| happened(backend, &event));
    finished(backend, response, index)
}

fn happened(backend: &Backend, event: &Event) -> Response {
    answer::happened(event, (backend.core_now)())
}

fn finished(backend: &Backend, answered: Result<Response, Fault>, index: u64) -> Response {
    let response = match answered {
        Ok(response) => response,
        Err(fault) => fault.at(index).into_response(),
    };
    let grid = backend.view.borrow().documents.grid.id;
    answer::with_index(response, index, grid)
}

/// What a set without a value, and with one, puts under a key.
fn content(value: Option<String>, is_directory: bool) -> Content {
    match is_directory {
        true => Content::Directory,
        false => Content::Value(value.unwrap_or_default().into()),
    }
}

/// An end that is not spoken of is kept by a refresh alone.
fn refreshed(keys: &Keys, key: &Key, ttl: Option<std::time::Duration>) -> Result<Change, Fault> {
    match keys.find(key) {
        None => Err(Fault::not_found(key)),
        Some(_) => Ok(Change::Refresh { ttl }),
    }
}
