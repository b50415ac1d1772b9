//! Volumes as wire types.

pub(in crate::api) mod copies;

use kontena_core::command::volume_users;
use kontena_core::id::InstanceId;
use kontena_core::volume::{Copy, Volume as Known, VolumeName};

use super::Snapshot;
use super::moving::moving;
use crate::api::types::Time;
use crate::api::types::moving::Move;
use crate::api::types::volume::{Volume, VolumeInstance, VolumeService};

pub(in crate::api) fn volume(snapshot: &Snapshot, name: &VolumeName, known: &Known) -> Volume {
    let services = volume_users(&snapshot.view, name);
    let services = services.map(|key| VolumeService {
        id: snapshot.service_id(key),
    });
    Volume {
        id: format!("{}/{name}", snapshot.grid),
        name: name.to_string(),
        scope: known.definition.scope.to_string(),
        driver: known.definition.driver.clone(),
        driver_opts: known.definition.options.clone(),
        created_at: Time::known(known.created),
        instances: copies(snapshot, name),
        services: services.collect(),
        moves: moves(snapshot, name),
        removed: known.removed,
    }
}

/// One that is done is where it should be, and what somebody took back is as it was.
fn moves(snapshot: &Snapshot, name: &VolumeName) -> Vec<Move> {
    let services = snapshot.view.documents.services.iter();
    let users = services.filter(|(_, record)| record.volumes().any(|used| used == name));
    let instances = users.flat_map(|(key, record)| {
        let numbers = record.moves.keys();
        numbers.map(|number| InstanceId::new(key.clone(), *number))
    });
    let moves = instances.filter_map(|instance| moving(snapshot, &instance));
    moves
        .filter(|moved| matches!(moved.state.as_str(), "moving" | "given_up"))
        .collect()
}

fn copies(snapshot: &Snapshot, name: &VolumeName) -> Vec<VolumeInstance> {
    let is_of_it = |copy: &Copy| match copy {
        Copy::Volume { volume, .. } => volume == name,
        Copy::Own { .. } => false,
    };
    let copies = snapshot.reports().flat_map(|(_, member, report)| {
        let kept = report.volumes.iter().filter(|(_, copy)| is_of_it(copy));
        kept.map(|(docker, _)| VolumeInstance {
            name: docker.clone(),
            node: member.name.to_string(),
        })
    });
    let mut copies: Vec<VolumeInstance> = copies.collect();
    copies.sort_by(|a, b| (&a.name, &a.node).cmp(&(&b.name, &b.node)));
    copies
}
