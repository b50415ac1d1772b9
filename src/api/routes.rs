//! Which path is answered by what.

mod about;
mod conflicts;
mod containers;
mod deploys;
mod grids;
mod handover;
mod logs;
mod membership;
mod network;
mod nodes;
mod plan;
mod proxy;
mod registries;
mod revisions;
mod services;
mod stacks;
mod vpn;
mod why;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Method, Uri};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use kontena_core::command::{Command, Refusal};
use kontena_core::id::{ServiceKey, StackName};
use kontena_core::view::View;
use serde::Serialize;

use super::answer::Refused;
use super::backend::Backend;
use super::present::Snapshot;
use super::types::{Changed, MAX_BODY_BYTES, Saved};

/// What every route is given.
type Shared = State<Arc<Backend>>;
/// What most routes answer.
type Answer<T> = Result<Json<T>, Refused>;

/// Answered to anybody: whether and what is there.
pub(super) fn open() -> Router<Arc<Backend>> {
    Router::new()
        .route("/", get(about::version))
        .route("/v1/ping", get(about::version))
}

/// Answered to whoever may command this node.
pub(super) fn protected() -> Router<Arc<Backend>> {
    Router::new()
        .merge(of_this_node())
        .merge(of_grids())
        .merge(of_services())
        .merge(of_stacks())
        .merge(of_vpn())
        .merge(of_registries())
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

fn of_this_node() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/status", get(about::status))
        .route("/v1/user", get(about::user))
        .route("/v1/init", post(membership::init))
        .route("/v1/join", post(membership::join))
        .route("/v1/leave", post(membership::leave))
        .route(
            "/v1/join_tokens",
            get(membership::tokens).post(membership::create_token),
        )
        .route("/v1/join_tokens/{id}", delete(membership::revoke_token))
}

fn of_grids() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/grids", get(grids::list))
        .route("/v1/grids/{grid}", get(grids::show).put(grids::update))
        .route("/v1/grids/{grid}/nodes", get(nodes::list))
        .route(
            "/v1/nodes/{grid}/{node}",
            get(nodes::show).put(nodes::update).delete(nodes::remove),
        )
        .route("/v1/nodes/{grid}/{node}/health", get(nodes::health))
        .route("/v1/nodes/{grid}/{node}/network", get(network::show))
        .route("/v1/nodes/{grid}/{node}/departures", get(nodes::departures))
        .route(
            "/v1/nodes/{grid}/{node}/assume_dead",
            post(nodes::assume_dead),
        )
        .route("/v1/grids/{grid}/plan", post(plan::plan))
        .route("/v1/containers/{grid}", get(containers::list))
        .route(
            "/v1/containers/{grid}/{node}/{name}/exec",
            get(containers::exec).post(containers::run),
        )
        .route(
            "/v1/containers/{grid}/{node}/{name}/inspect",
            get(containers::inspect),
        )
        .route("/v1/grids/{grid}/container_logs", get(logs::of_grid))
        .route(
            "/v1/containers/{grid}/{node}/{name}/logs",
            get(logs::of_container),
        )
}

fn of_services() -> Router<Arc<Backend>> {
    const SERVICE: &str = "/v1/services/{grid}/{stack}/{service}";
    let under = |part: &str| format!("{SERVICE}/{part}");
    Router::new()
        .route(
            "/v1/grids/{grid}/services",
            get(services::list).post(services::create),
        )
        .route(
            SERVICE,
            get(services::show)
                .put(services::update)
                .delete(services::remove),
        )
        .route(&under("deploy"), post(deploys::deploy_service))
        .route(&under("scale"), post(deploys::scale_service))
        .route(&under("abort"), post(deploys::abort))
        .route(&under("promote"), post(deploys::promote))
        .route(&under("deploys"), get(deploys::list))
        .route(&under("deploys/{deploy}"), get(deploys::of_service))
        .route(&under("start"), post(services::start))
        .route(&under("stop"), post(services::stop))
        .route(&under("restart"), post(services::restart))
        .route(&under("envs"), post(services::set_variable))
        .route(&under("envs/{name}"), delete(services::unset_variable))
        .route(&under("instances"), get(services::instances))
        .route(&under("containers"), get(services::containers))
        .route(&under("container_logs"), get(logs::of_service))
        .route("/v1/why/{stack}/{service}", get(why::explain))
        .route(
            "/v1/proxy/{grid}/{stack}/{service}/{port}",
            get(proxy::connect),
        )
}

fn of_stacks() -> Router<Arc<Backend>> {
    const STACK: &str = "/v1/stacks/{grid}/{stack}";
    let under = |part: &str| format!("{STACK}/{part}");
    Router::new()
        .route(
            "/v1/grids/{grid}/stacks",
            get(stacks::list).post(stacks::install),
        )
        .route(
            STACK,
            get(stacks::show)
                .put(stacks::upgrade)
                .patch(stacks::label)
                .delete(stacks::remove),
        )
        .route(&under("deploy"), post(deploys::deploy_stack))
        .route(&under("deploys/{deploy}"), get(deploys::of_stack))
        .route(&under("revisions"), get(revisions::list))
        .route(&under("diff"), get(revisions::compare))
        .route(&under("plan"), post(revisions::plan))
        .route(&under("rollback"), post(revisions::rollback))
        .route(&under("resolve"), post(conflicts::resolve))
        .route(&under("resolve/plan"), post(conflicts::plan))
        .route(&under("stop"), post(stacks::stop))
        .route(&under("restart"), post(stacks::restart))
        .route(&under("container_logs"), get(logs::of_stack))
}

fn of_vpn() -> Router<Arc<Backend>> {
    const VPN: &str = "/v1/vpn/{grid}";
    let under = |part: &str| format!("{VPN}/{part}");
    Router::new()
        .route(VPN, get(vpn::show))
        .route(&under("entries/{node}"), put(vpn::open).delete(vpn::close))
        .route(&under("users"), post(vpn::add))
        .route(&under("users/{user}"), put(vpn::limit).delete(vpn::remove))
}

fn of_registries() -> Router<Arc<Backend>> {
    Router::new()
        .route(
            "/v1/grids/{grid}/external_registries",
            get(registries::list).post(registries::add),
        )
        .route(
            "/v1/external_registries/{grid}/{name}",
            delete(registries::remove),
        )
}

async fn no_route(method: Method, uri: Uri) -> Refused {
    Refused::no_route(method.as_str(), uri.path())
}

/// Path segments.
type Two = Path<(String, String)>;
type Three = Path<(String, String, String)>;
type Four = Path<(String, String, String, String)>;

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
