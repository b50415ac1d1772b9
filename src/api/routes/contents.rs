//! What is in volumes: their copies on the nodes, read and put back.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

use super::handover::{hand_over, is_asked_for, required};
use super::{Answer, List, Shared, snapshot_of};
use crate::api::answer::Refused;
use crate::api::backend::{Backend, Contents};
use crate::api::carry::carry_command;
use crate::api::exec::ended;
use crate::api::present::volume::copies;
use crate::api::request::{NoBody, Parameters, Segments};
use crate::api::types::exec::EXEC;
use crate::api::types::form::{FlagText, Name};
use crate::api::types::page::Page;
use crate::api::types::segments::{OfCopy, OfGrid, OfNodesCopy};
use crate::api::types::volume::{VolumeCopies, VolumeCopy};

/// What such a connection speaks.
pub(super) const PROTOCOLS: [&str; 1] = [EXEC];

/// `GET /v1/grids/{grid}/volume_copies`.
pub(super) async fn list(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<VolumeCopies> {
    let snapshot = snapshot_of(&backend, &grid)?;
    page.cut(&uri, copies::of_grid(&snapshot), |(place, _)| place.clone())
        .answer(|(_, copy)| copy, |copies| VolumeCopies { copies })
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Which {
    /// The node that has it, where more than one has.
    #[schemars(with = "Option<Name>")]
    node: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct How {
    /// The node that has it, where more than one has.
    #[schemars(with = "Option<Name>")]
    node: Option<String>,
    /// Though a container without hooks for a backup may write to it meanwhile: what is read may be of several moments.
    #[schemars(with = "Option<FlagText>")]
    live: Option<String>,
}

/// `GET /v1/volumes/{grid}/{volume}/backup` with `Upgrade: kontena-exec`: a tar of what is in it is the output.
pub(super) async fn backup(
    State(backend): Shared,
    Segments(path): Segments<OfCopy>,
    Parameters(How { node, live }): Parameters<How>,
    request: Request,
) -> Result<Response, Refused> {
    let live = match live.as_deref() {
        None | Some("" | "0" | "false") => false,
        Some("1" | "true") => true,
        Some(other) => return Err(Refused::invalid(format!("live: `{other}` is not 1 or 0"))),
    };
    let contents = |copy| Contents::Read { copy, live };
    carried(&backend, &path, node.as_deref(), request, contents).await
}

/// `GET /v1/volumes/{grid}/{volume}/restore` with `Upgrade: kontena-exec`: a tar is the input, and takes the place of
/// what is in it once its end was said.
pub(super) async fn restore(
    State(backend): Shared,
    Segments(path): Segments<OfCopy>,
    Parameters(Which { node }): Parameters<Which>,
    request: Request,
) -> Result<Response, Refused> {
    let contents = |copy| Contents::Write { copy };
    carried(&backend, &path, node.as_deref(), request, contents).await
}

/// `DELETE /v1/grids/{grid}/volume_copies/{node}/{copy}`.
pub(super) async fn remove(
    State(backend): Shared,
    Segments(OfNodesCopy { grid, node, copy }): Segments<OfNodesCopy>,
    _: NoBody,
) -> Answer<VolumeCopy> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let found = copies::of_node(&snapshot, &node, &copy)?;
    let shown = copies::on_the_wire(&snapshot, found.clone());
    let contents = Contents::Remove { copy: found.name };
    let opened = backend.volumes.open(found.node, contents).await;
    let opened = opened.map_err(|problem| Refused::node_silent(&found.node_name, &problem))?;
    ended(opened).await?;
    Ok(Json(shown))
}

async fn carried(
    backend: &Backend,
    OfCopy { grid, volume }: &OfCopy,
    node: Option<&str>,
    request: Request,
    contents: impl FnOnce(String) -> Contents,
) -> Result<Response, Refused> {
    if !is_asked_for(request.headers(), EXEC) {
        return Ok(required(&PROTOCOLS));
    }
    let snapshot = snapshot_of(backend, grid)?;
    let found = copies::find(&snapshot, volume, node)?;
    let place = backend.handovers.place()?;
    let opened = backend.volumes.open(found.node, contents(found.name)).await;
    let opened = opened.map_err(|problem| Refused::node_silent(&found.node_name, &problem))?;
    Ok(hand_over(request, EXEC, place, |io| async move {
        if let Err(problem) = carry_command(io, opened).await {
            tracing::debug!(%problem, "A connection to a volume broke");
        }
    }))
}
