//! The containers of all nodes: listed, looked into, and commands in them.

use axum::Json;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::Response;
use kontena_core::id::NodeId;
use kontena_core::report::InstanceState;
use serde::Deserialize;
use serde_json::Value;

use super::handover::{hand_over, is_asked_for};
use super::{Answer, Shared, Three, snapshot_of};
use crate::api::answer::Refused;
use crate::api::backend::{Backend, Carried};
use crate::api::carry::carry_command;
use crate::api::exec::{Flags, MAX_MESSAGE, Output, run_to_the_end, speak};
use crate::api::present;
use crate::api::request::{Body, Parameters};
use crate::api::types::exec::{EXEC, Start};
use crate::api::types::instance::Containers;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Kontena's `all=1`: with those that do not run.
    all: Option<String>,
}

/// `GET /v1/containers/{grid}`.
pub(super) async fn list(
    State(backend): Shared,
    Path(grid): Path<String>,
    Parameters(which): Parameters<Which>,
) -> Answer<Containers> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let mut containers = present::containers::of_grid(&snapshot);
    containers.retain(|container| which.all.is_some() || container.state.running);
    Ok(Json(Containers { containers }))
}

/// A container of the path.
struct Meant {
    node: NodeId,
    /// As people call its node.
    node_name: String,
    /// Docker's id.
    container: String,
    state: InstanceState,
}

impl Meant {
    fn find(
        backend: &Backend,
        (grid, node_name, name): (String, String, String),
    ) -> Result<Self, Refused> {
        let snapshot = snapshot_of(backend, &grid)?;
        let (node, _) = snapshot.node(&node_name)?;
        let found = present::containers::find(&snapshot, node, &name);
        let missing = || Refused::not_found("container", &format!("{node_name}/{name}"));
        let (container, state) = found.ok_or_else(missing)?;
        Ok(Self {
            node: *node,
            node_name,
            container,
            state,
        })
    }

    async fn command(&self, backend: &Backend) -> Result<Box<dyn Carried>, Refused> {
        let opened = backend.containers.exec(self.node, self.container.clone());
        opened
            .await
            .map_err(|problem| Refused::node_silent(&self.node_name, &problem))
    }
}

/// Kontena's flags, which are texts and count if they are there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExecQuery {
    interactive: Option<String>,
    shell: Option<String>,
    tty: Option<String>,
}

impl ExecQuery {
    fn flags(&self) -> Flags {
        let is_set = |flag: &Option<String>| {
            flag.as_deref()
                .is_some_and(|said| !matches!(said, "false" | "0"))
        };
        Flags {
            interactive: is_set(&self.interactive),
            shell: is_set(&self.shell),
            tty: is_set(&self.tty),
        }
    }
}

/// `GET …/exec`: a connection to a command that is still to be named. With `Upgrade: websocket` as Kontena's clients
/// speak, with `Upgrade: kontena-exec`, *ours*, byte for byte.
pub(super) async fn exec(
    State(backend): Shared,
    Path(path): Three,
    Parameters(query): Parameters<ExecQuery>,
    request: Request,
) -> Result<Response, Refused> {
    let name = path.2.clone();
    let meant = Meant::find(&backend, path)?;
    if meant.state != InstanceState::Running {
        return Err(Refused::not_running(&name, &meant.state.to_string()));
    }
    if is_asked_for(request.headers(), EXEC) {
        let command = meant.command(&backend).await?;
        return Ok(hand_over(request, EXEC, |io| async move {
            if let Err(problem) = carry_command(io, command).await {
                tracing::debug!(%problem, "A connection to a command broke");
            }
        }));
    }
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = upgrade.map_err(|_| {
        Refused::invalid(format!(
            "this path takes `Upgrade: websocket` or `Upgrade: {EXEC}`"
        ))
    })?;
    let command = meant.command(&backend).await?;
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| speak(socket, command, query.flags())))
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    cmd: Vec<String>,
}

/// `POST …/exec`: runs a command without input to its end; what it wrote, and its exit code.
pub(super) async fn run(
    State(backend): Shared,
    Path(path): Three,
    Body(wanted): Body<Wanted>,
) -> Answer<Output> {
    let name = path.2.clone();
    let meant = Meant::find(&backend, path)?;
    if meant.state != InstanceState::Running {
        return Err(Refused::not_running(&name, &meant.state.to_string()));
    }
    let start = Start {
        command: wanted.cmd,
        ..Start::default()
    };
    let command = meant.command(&backend).await?;
    Ok(Json(run_to_the_end(command, start).await?))
}

/// `GET …/inspect`: what the engine says of it, as it says it.
pub(super) async fn inspect(State(backend): Shared, Path(path): Three) -> Answer<Value> {
    let meant = Meant::find(&backend, path)?;
    let told = backend.containers.inspect(meant.node, meant.container);
    let told = told.await;
    Ok(Json(told.map_err(|problem| {
        Refused::node_silent(&meant.node_name, &problem)
    })?))
}
