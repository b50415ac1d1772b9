//! The network of a node, asked of that node.

use axum::Json;
use axum::extract::State;
use kontena_core::id::NodeId;

use super::{Answer, Shared, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present::Snapshot;
use crate::api::request::Segments;
use crate::api::types::network::{NodeNetwork, Peer, Way};
use crate::api::types::segments::OfNode;

pub(super) async fn show(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
) -> Answer<NodeNetwork> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (node, _) = snapshot.node(&name)?;
    let asked = backend.networks.of(*node).await;
    let mut network = asked.map_err(|problem| Refused::node_silent(&name, &problem))?;
    network.node = name;
    for peer in &mut network.peers {
        name_nodes(&snapshot, peer);
    }
    network.peers.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(Json(network))
}

/// A node knows the others by their ids; people know them by their names.
fn name_nodes(snapshot: &Snapshot, peer: &mut Peer) {
    peer.node = name_of(snapshot, &peer.node_id);
    if peer.way == Way::Relayed
        && let Some(through) = &mut peer.through
    {
        *through = name_of(snapshot, through);
    }
}

fn name_of(snapshot: &Snapshot, id: &str) -> String {
    let id: Option<NodeId> = id.parse().ok();
    let roster = &snapshot.view.documents.roster;
    let member = id.and_then(|id| roster.get(&id));
    member
        .map(|member| member.name.to_string())
        .unwrap_or_default()
}
