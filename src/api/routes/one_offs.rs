//! One-off containers: a command in a container of its own, made as an instance of a service is. *Ours.*

use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use kontena_core::id::{InstanceId, NodeId, ServiceKey};
use kontena_core::placement::{self, Berth, Wish};
use schemars::JsonSchema;
use serde::Deserialize;

use super::commands::{connect, is_set};
use super::{Answer, Shared, service_key, snapshot_of};
use crate::api::answer::Refused;
use crate::api::backend::{Backend, Carried, OneOffAsked};
use crate::api::exec::{Flags, Output, run_to_the_end};
use crate::api::present::Snapshot;
use crate::api::request::{Body, Parameters, Segments};
use crate::api::types::exec::Start;
use crate::api::types::form::{AssignmentText, Name};
use crate::api::types::segments::OfService;

/// Flags are texts and count if they are there, as of a command in a container.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RunQuery {
    /// Whether there will be input.
    interactive: Option<String>,
    /// Give the words to `/bin/sh -c`.
    shell: Option<String>,
    /// Of a terminal.
    tty: Option<String>,
    /// Run it on this node, and on no other.
    #[schemars(with = "Option<Name>")]
    node: Option<String>,
    /// Mount what this instance mounts.
    instance: Option<u32>,
}

impl RunQuery {
    fn flags(&self) -> Flags {
        Flags {
            interactive: is_set(self.interactive.as_deref()),
            shell: is_set(self.shell.as_deref()),
            tty: is_set(self.tty.as_deref()),
        }
    }
}

/// Where it is to run.
struct Meant {
    key: ServiceKey,
    berth: Berth,
    /// As people call its node.
    node_name: String,
}

impl Meant {
    async fn find(
        backend: &Backend,
        path: OfService,
        node: Option<&str>,
        number: Option<u32>,
    ) -> Result<Self, Refused> {
        let snapshot = snapshot_of(backend, &path.grid)?;
        let key = service_key(&path.stack, &path.service)?;
        snapshot.service(&key)?;
        let node = node.map(|name| snapshot.node(name)).transpose()?;
        let wish = Wish {
            number,
            node: node.map(|(id, _)| *id),
            asked: backend.me,
        };
        let (view, asked) = (snapshot.view.clone(), key.clone());
        let place = move || placement::one_off(&view, &asked, wish);
        let berth = backend.thinker.think(place).await?;
        let berth = berth.map_err(|problem| Refused::no_berth(&problem))?;
        Ok(Self {
            node_name: name_of(&snapshot, &berth.node),
            key,
            berth,
        })
    }

    async fn command(self, backend: &Backend) -> Result<Box<dyn Carried>, Refused> {
        let Berth {
            node,
            number,
            generation,
        } = self.berth;
        let asked = OneOffAsked {
            instance: InstanceId::new(self.key, number),
            generation,
        };
        let opened = backend.containers.run(node, asked).await;
        opened.map_err(|problem| Refused::node_silent(&self.node_name, &problem))
    }
}

fn name_of(snapshot: &Snapshot, node: &NodeId) -> String {
    let member = snapshot.view.documents.roster.get(node);
    member
        .map(|member| member.name.to_string())
        .unwrap_or_default()
}

/// `GET …/run`: a connection to a command that is still to be named, in a container that is made for it.
pub(super) async fn connection(
    State(backend): Shared,
    Segments(path): Segments<OfService>,
    Parameters(query): Parameters<RunQuery>,
    request: Request,
) -> Result<Response, Refused> {
    let found = async {
        let meant = Meant::find(&backend, path, query.node.as_deref(), query.instance).await?;
        Ok(meant.command(&backend))
    };
    connect(&backend, request, query.flags(), found).await
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "OneOff")]
pub(super) struct Wanted {
    /// The program, as the container finds it, and its arguments; the service's own where it is absent.
    cmd: Vec<String>,
    /// In place of what the service says.
    #[schemars(with = "Vec<AssignmentText>")]
    env: Vec<String>,
    /// Run it on this node, and on no other.
    #[schemars(with = "Option<Name>")]
    node: Option<String>,
    /// Mount what this instance mounts.
    instance: Option<u32>,
}

/// `POST …/run`: runs a command without input to its end; what it wrote, and its exit code.
pub(super) async fn to_the_end(
    State(backend): Shared,
    Segments(path): Segments<OfService>,
    Body(wanted): Body<Wanted>,
) -> Answer<Output> {
    let meant = Meant::find(&backend, path, wanted.node.as_deref(), wanted.instance).await?;
    let start = Start {
        command: wanted.cmd,
        environment: wanted.env,
        ..Start::default()
    };
    let command = meant.command(&backend).await?;
    Ok(Json(run_to_the_end(command, start).await?))
}
