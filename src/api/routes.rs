//! What answers: the routes of the [table], and what their handlers share.

mod about;
mod backup;
mod binding;
mod commands;
mod conflicts;
mod containers;
mod contents;
mod deploys;
mod grids;
pub(crate) mod handover;
mod job_runs;
mod keys;
mod logs;
mod membership;
mod moves;
mod network;
mod nodes;
mod one_offs;
mod plan;
mod proxy;
mod registries;
mod revisions;
mod services;
mod stacks;
mod stats;
pub(super) mod table;
mod unasked;
mod volumes;
mod vpn;
mod why;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Uri};
use axum::{Json, Router, middleware};
use kontena_core::command::{Command, Refusal};
use kontena_core::id::{ServiceKey, StackName};
use kontena_core::view::View;
use serde::Serialize;

use super::answer::Refused;
use super::backend::Backend;
use super::page::Paged;
use super::present::Snapshot;
use super::types::{Changed, MAX_BODY_BYTES, Saved};

/// What every route is given.
type Shared = State<Arc<Backend>>;
/// What most routes answer.
type Answer<T> = Result<Json<T>, Refused>;
/// What lists answer.
type List<T> = Result<Paged<T>, Refused>;

/// Answered to anybody: whether and what is there.
pub(super) fn open() -> Router<Arc<Backend>> {
    Router::from(table::open())
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(unasked::check))
}

/// Answered to whoever may command this node.
pub(super) fn protected() -> Router<Arc<Backend>> {
    Router::from(table::protected())
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(unasked::check))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

async fn no_route(method: Method, uri: Uri) -> Refused {
    Refused::no_route(method.as_str(), uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> Refused {
    Refused::wrong_method(method.as_str(), uri.path())
}

/// The place of something in a list that begins with the highest number; `rest` tells those of one number apart.
fn newest_first(number: u64, rest: &str) -> String {
    format!("{:020},{rest}", u64::MAX - number)
}

/// Of hexadecimal digits of one length, a text by which the highest comes first.
fn highest_first(digits: &str) -> String {
    let digits = digits.chars().filter_map(|digit| digit.to_digit(16));
    let turned = digits.filter_map(|digit| char::from_digit(15 - digit, 16));
    turned.collect()
}

/// The newest view of any grid.
fn snapshot(backend: &Backend) -> Result<Snapshot, Refused> {
    let view = Arc::clone(&backend.view.borrow());
    Snapshot::of(view).ok_or_else(|| Refusal::NoGrid.into())
}

/// The newest view, if it is of the grid that was asked for.
fn snapshot_of(backend: &Backend, grid: &str) -> Result<Snapshot, Refused> {
    let snapshot = snapshot(backend)?;
    if snapshot.grid.as_str() == grid {
        Ok(snapshot)
    } else {
        Err(Refused::not_found("grid", grid))
    }
}

/// A name that no service can have does not exist: 404, as for any other.
fn service_key(stack: &str, service: &str) -> Result<ServiceKey, Refused> {
    match (stack.parse(), service.parse()) {
        (Ok(stack), Ok(service)) => Ok(ServiceKey::new(stack, service)),
        (Err(_), _) | (_, Err(_)) => {
            Err(Refused::not_found("service", &format!("{stack}/{service}")))
        }
    }
}

/// A stack that people installed: the hidden one of services without a stack is none.
fn stack_name(stack: &str) -> Result<StackName, Refused> {
    let parsed: Option<StackName> = stack.parse().ok();
    parsed
        .filter(|name| !name.is_null())
        .ok_or_else(|| Refused::not_found("stack", stack))
}

/// Carries a command out and waits until the view shows it.
async fn change(
    backend: &Backend,
    command: Command,
    is_shown: impl Fn(&View) -> bool,
) -> Result<(Saved, Snapshot), Refused> {
    let (command, unknown) = backend.freeze(command).await;
    let accepted = backend.carry_out(command).await?;
    let view = backend.view_with(is_shown).await?;
    let snapshot = Snapshot::of(view).ok_or_else(|| Refused::from(Refusal::NoGrid))?;
    let saved = Saved {
        unfrozen: unknown,
        ..accepted.into()
    };
    Ok((saved, snapshot))
}

/// Carries out a command whose answer shows nothing but how it was saved.
async fn changed(backend: &Backend, command: Command) -> Answer<Saved> {
    let accepted = backend.carry_out(command).await?;
    Ok(Json(accepted.into()))
}

fn saved<T: Serialize>(object: T, saved: Saved) -> Json<Changed<T>> {
    Json(Changed { object, saved })
}

fn entropy(backend: &Backend) -> Result<[u8; 32], Refused> {
    (backend.entropy)().map_err(|problem| Refused::no_entropy(&problem))
}
