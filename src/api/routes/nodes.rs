//! The nodes of the grid.

use axum::Json;
use axum::extract::{Path, State};
use kontena_core::command::Command;
use serde::Deserialize;

use super::{Answer, Shared, Two, change, saved, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present;
use crate::api::request::{Body, Parameters};
use crate::api::types::node::{Node, NodeChange, Nodes};
use crate::api::types::{Changed, Saved};

pub(super) async fn list(State(backend): Shared, Path(grid): Path<String>) -> Answer<Nodes> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let nodes = present::node::nodes(&snapshot);
    Ok(Json(Nodes { nodes }))
}

pub(super) async fn show(State(backend): Shared, Path((grid, name)): Two) -> Answer<Node> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (id, _) = snapshot.node(&name)?;
    Ok(Json(present::node::node(&snapshot, id)))
}

/// `PUT`: labels and availability; what is absent stays.
pub(super) async fn update(
    State(backend): Shared,
    Path((grid, name)): Two,
    Body(wanted): Body<NodeChange>,
) -> Answer<Changed<Node>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (node, _) = snapshot.node(&name)?;
    let node = *node;
    let mut labels = wanted.labels;
    if let Some(labels) = &mut labels {
        labels.sort_unstable();
        labels.dedup();
    }
    let availability = wanted.availability;
    let command = Command::UpdateNode {
        node,
        labels: labels.clone(),
        availability,
    };
    let (how, snapshot) = change(&backend, command, |view| {
        view.documents.roster.get(&node).is_none_or(|member| {
            labels
                .as_ref()
                .is_none_or(|labels| *labels == member.labels)
                && availability.is_none_or(|wanted| wanted == member.availability)
        })
    })
    .await?;
    if !snapshot.view.documents.roster.contains_key(&node) {
        return Err(Refused::not_found("node", &name));
    }
    Ok(saved(present::node::node(&snapshot, &node), how))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    /// *Ours*: also a node that is online or holds volumes.
    #[serde(default)]
    force: bool,
}

/// `DELETE /v1/nodes/{grid}/{node}?force=true`.
pub(super) async fn remove(
    State(backend): Shared,
    Path((grid, name)): Two,
    Parameters(removal): Parameters<Removal>,
) -> Answer<Saved> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let node = *snapshot.node(&name)?.0;
    let force = removal.force;
    let accepted = backend
        .carry_out(Command::RemoveNode { node, force })
        .await?;
    let gone = |view: &kontena_core::view::View| !view.documents.roster.contains_key(&node);
    backend.view_with(gone).await?;
    Ok(Json(accepted.into()))
}
