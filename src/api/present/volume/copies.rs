//! Copies of volumes on the nodes, those without a name among them.

use kontena_core::id::NodeId;
use kontena_core::volume::Copy;

use crate::api::answer::Refused;
use crate::api::present::Snapshot;
use crate::api::types::volume::VolumeCopy;

/// A copy that a node reported.
#[derive(Clone)]
pub(in crate::api) struct Known {
    pub(in crate::api) node: NodeId,
    pub(in crate::api) node_name: String,
    /// What Docker calls it.
    pub(in crate::api) name: String,
    copy: Copy,
}

/// All of them, by name and node.
pub(in crate::api) fn of_grid(snapshot: &Snapshot) -> Vec<(String, VolumeCopy)> {
    let mut copies: Vec<(String, VolumeCopy)> = known(snapshot)
        .map(|known| {
            let place = format!("{}/{}", known.name, known.node_name);
            (place, on_the_wire(snapshot, known))
        })
        .collect();
    copies.sort_by(|(a, _), (b, _)| a.cmp(b));
    copies
}

fn known(snapshot: &Snapshot) -> impl Iterator<Item = Known> {
    snapshot.reports().flat_map(|(node, member, report)| {
        report.volumes.iter().map(|(name, copy)| Known {
            node: *node,
            node_name: member.name.to_string(),
            name: name.clone(),
            copy: copy.clone(),
        })
    })
}

pub(in crate::api) fn on_the_wire(snapshot: &Snapshot, known: Known) -> VolumeCopy {
    let Known {
        name,
        node_name,
        copy,
        ..
    } = known;
    let (volume, instance) = match copy {
        Copy::Volume { volume, .. } => (Some(volume.to_string()), None),
        Copy::Own { instance, .. } => {
            let service = snapshot.service_id(&instance.service);
            (None, Some(format!("{service}-{}", instance.number)))
        }
    };
    VolumeCopy {
        name,
        node: node_name,
        volume,
        instance,
    }
}

/// What a node has under this name.
pub(in crate::api) fn of_node(
    snapshot: &Snapshot,
    node: &str,
    name: &str,
) -> Result<Known, Refused> {
    let (node, _) = snapshot.node(node)?;
    let mut here = known(snapshot).filter(|known| known.node == *node);
    let found = here.find(|known| known.name == name);
    found.ok_or_else(|| Refused::no_copy(name))
}

/// The one copy that is meant: by what Docker calls it, or by its volume where that has no other.
pub(in crate::api) fn find(
    snapshot: &Snapshot,
    name: &str,
    node: Option<&str>,
) -> Result<Known, Refused> {
    if let Some(node) = node {
        snapshot.node(node)?;
    }
    let is_there = |known: &Known| node.is_none_or(|node| known.node_name == node);
    let here = || known(snapshot).filter(is_there);
    let mut found: Vec<Known> = here().filter(|known| known.name == name).collect();
    if found.is_empty() {
        found = here().filter(|known| is_of(&known.copy, name)).collect();
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(known), None) => Ok(known),
        (None, _) => Err(Refused::no_copy(name)),
        (Some(first), Some(second)) => {
            let two = [first, second]
                .map(|known| format!("`{}` on node `{}`", known.name, known.node_name));
            Err(Refused::several_copies(name, &two))
        }
    }
}

fn is_of(copy: &Copy, name: &str) -> bool {
    match copy {
        Copy::Volume { volume, .. } => volume.as_str() == name,
        Copy::Own { .. } => false,
    }
}
