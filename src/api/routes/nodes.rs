//! The nodes of the grid.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use kontena_core::command::Command;
use kontena_core::id::NodeId;
use kontena_core::membership::admission::check_labels;
use kontena_core::view::Member;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, List, Shared, change, changed, saved, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present;
use crate::api::request::{Body, NoBody, Parameters, Segments};
use crate::api::types::node::{Departures, EtcdHealth, Node, NodeChange, NodeHealth, Nodes};
use crate::api::types::page::Page;
use crate::api::types::segments::{OfGrid, OfNode};
use crate::api::types::{Changed, Saved};

pub(super) async fn list(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<Nodes> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let place = |(id, member): &(&NodeId, &Member)| format!("{:010},{id}", member.number);
    page.cut(&uri, snapshot.members(), place).answer(
        |(id, _)| present::node::node(&snapshot, id),
        |nodes| Nodes { nodes },
    )
}

pub(super) async fn show(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
) -> Answer<Node> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (id, _) = snapshot.node(&name)?;
    Ok(Json(present::node::node(&snapshot, id)))
}

/// `GET /v1/nodes/{grid}/{node}/health`: Kontena's form, in which the engine and the disk stand where etcd stood.
pub(super) async fn health(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
) -> Answer<NodeHealth> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (id, _) = snapshot.node(&name)?;
    let node = present::node::node(&snapshot, id);
    let away = (!node.connected).then(|| format!("the node is {}", node.freshness));
    let problems: Vec<String> = away.into_iter().chain(node.problems).collect();
    let problems = problems.join("; ");
    Ok(Json(NodeHealth {
        name: node.name,
        status: node.status,
        connected_at: node.connected_at,
        etcd_health: EtcdHealth {
            health: problems.is_empty(),
            error: (!problems.is_empty()).then_some(problems),
        },
    }))
}

/// `GET /v1/nodes/{grid}/{node}/departures`: what it still has that does not fall to it. *Ours.*
pub(super) async fn departures(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
) -> Answer<Departures> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (id, _) = snapshot.node(&name)?;
    Ok(Json(present::node::departures(&snapshot, id)))
}

/// `PUT`: labels and availability; what is absent stays.
pub(super) async fn update(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
    Body(wanted): Body<NodeChange>,
) -> Answer<Changed<Node>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (node, _) = snapshot.node(&name)?;
    let node = *node;
    let mut labels = wanted.labels;
    if let Some(labels) = &mut labels {
        check_labels(labels).map_err(Refused::invalid)?;
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

/// `POST /v1/nodes/{grid}/{node}/assume_dead`: nobody waits for it any more, until it is heard of again. *Ours.*
pub(super) async fn assume_dead(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
    _: NoBody,
) -> Answer<Saved> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (node, _) = snapshot.node(&name)?;
    changed(&backend, Command::AssumeDead(*node)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    /// *Ours*: also a node that is online or holds volumes.
    #[serde(default)]
    force: bool,
}

/// `DELETE /v1/nodes/{grid}/{node}?force=true`.
pub(super) async fn remove(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
    Parameters(removal): Parameters<Removal>,
    _: NoBody,
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
