//! The containers of all nodes: listed, looked into, and commands in them.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use kontena_core::id::NodeId;
use kontena_core::report::InstanceState;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::commands::{connect, is_set};
use super::{Answer, List, Shared, snapshot_of};
use crate::api::answer::Refused;
use crate::api::backend::{Backend, Carried};
use crate::api::exec::{Flags, Output, run_to_the_end};
use crate::api::present;
use crate::api::request::{Body, Parameters, Segments};
use crate::api::types::exec::Start;
use crate::api::types::instance::Containers;
use crate::api::types::page::{Page, PageSize, Place};
use crate::api::types::segments::{OfContainer, OfGrid};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Kontena's `all=1`: with those that do not run. Any text counts.
    all: Option<String>,
    /// *Ours*: at most so many. All of them where it is absent.
    limit: Option<PageSize>,
    /// *Ours*: only what comes after this place of the list, as the header `Link` of the page before says it.
    after: Option<Place>,
}

/// `GET /v1/containers/{grid}`.
pub(super) async fn list(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    uri: Uri,
    Parameters(which): Parameters<Which>,
) -> List<Containers> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let Which { all, limit, after } = which;
    let mut containers = present::containers::of_grid(&snapshot);
    containers.retain(|(_, container)| all.is_some() || container.state.running);
    let page = Page { limit, after };
    page.cut(&uri, containers, |(place, _)| place.clone())
        .answer(
            |(_, container)| container,
            |containers| Containers { containers },
        )
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
        OfContainer {
            grid,
            node: node_name,
            name,
        }: OfContainer,
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

    fn check_runs(&self, name: &str) -> Result<(), Refused> {
        match self.state == InstanceState::Running {
            true => Ok(()),
            false => Err(Refused::not_running(name, &self.state.to_string())),
        }
    }

    async fn command(self, backend: &Backend) -> Result<Box<dyn Carried>, Refused> {
        let opened = backend.containers.exec(self.node, self.container.clone());
        opened
            .await
            .map_err(|problem| Refused::node_silent(&self.node_name, &problem))
    }
}

/// Kontena's flags.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExecQuery {
    /// Whether there will be input.
    interactive: Option<String>,
    /// Give the words to `/bin/sh -c`.
    shell: Option<String>,
    /// Of a terminal.
    tty: Option<String>,
}

impl ExecQuery {
    fn flags(&self) -> Flags {
        Flags {
            interactive: is_set(self.interactive.as_deref()),
            shell: is_set(self.shell.as_deref()),
            tty: is_set(self.tty.as_deref()),
        }
    }
}

/// `GET …/exec`: a connection to a command that is still to be named. With `Upgrade: websocket` as Kontena's clients
/// speak, with `Upgrade: kontena-exec`, *ours*, byte for byte.
pub(super) async fn exec(
    State(backend): Shared,
    Segments(path): Segments<OfContainer>,
    Parameters(query): Parameters<ExecQuery>,
    request: Request,
) -> Result<Response, Refused> {
    let name = path.name.clone();
    let found = async {
        let meant = Meant::find(&backend, path)?;
        meant.check_runs(&name)?;
        Ok(meant.command(&backend))
    };
    connect(&backend, request, query.flags(), found).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Command")]
pub(super) struct Wanted {
    /// The program, as the container finds it, and its arguments.
    cmd: Vec<String>,
}

/// `POST …/exec`: runs a command without input to its end; what it wrote, and its exit code.
pub(super) async fn run(
    State(backend): Shared,
    Segments(path): Segments<OfContainer>,
    Body(wanted): Body<Wanted>,
) -> Answer<Output> {
    let name = path.name.clone();
    let meant = Meant::find(&backend, path)?;
    meant.check_runs(&name)?;
    let start = Start {
        command: wanted.cmd,
        ..Start::default()
    };
    let command = meant.command(&backend).await?;
    Ok(Json(run_to_the_end(command, start).await?))
}

/// `GET …/inspect`: what the engine says of it, as it says it.
pub(super) async fn inspect(
    State(backend): Shared,
    Segments(path): Segments<OfContainer>,
) -> Answer<Value> {
    let meant = Meant::find(&backend, path)?;
    let told = backend.containers.inspect(meant.node, meant.container);
    let told = told.await;
    Ok(Json(told.map_err(|problem| {
        Refused::node_silent(&meant.node_name, &problem)
    })?))
}
