//! Volumes as wire types.

pub(in crate::api) mod copies;

use kontena_core::command::volume_users;
use kontena_core::volume::{Copy, Volume as Known, VolumeName};

use super::Snapshot;
use crate::api::types::Time;
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
        removed: known.removed,
    }
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
