//! Of the document `grid`: volumes, and which of them were removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::grid::GridPart;
use crate::document::log::{Log, Value};
use crate::document::schema::GridRegister;
use crate::id::EnvelopeHash;
use crate::view::{Documents, ServiceRecord};
use crate::volume::{Definition, Volume, VolumeName};

impl GridPart {
    /// Where two sides of a split created one name, one of them counts: data that was kept under it stays where it is.
    pub(super) fn read_volume(
        &mut self,
        log: &Log,
        volume: VolumeName,
        name: &str,
        values: &[Value],
    ) {
        let shown = |definition: &Definition| match definition.check() {
            Ok(()) => format!("{} with driver {}", definition.scope, definition.driver),
            Err(_) => "what nobody can have asked for".to_owned(),
        };
        let Some(read) = self.settle_shown(name, values, shown) else {
            return;
        };
        // A hostile member may write what no command writes.
        if read.value.check().is_err() {
            return;
        }
        let entry = log.entry(read.source);
        let created = Volume {
            definition: read.value,
            creation: entry.hash,
            created: entry.time,
            removed: false,
        };
        self.volumes.insert(volume, Arc::new(created));
    }

    /// Once all volumes are known. Where a removal met a creation beside it, and the one that counts is removed, so is
    /// the name: whoever removed it knew that one.
    pub(super) fn read_volume_removals(&mut self, log: &Log) {
        for name in log.registers().keys() {
            let Some(GridRegister::VolumeRemoved(volume, creation)) = GridRegister::parse(name)
            else {
                continue;
            };
            let known = self.volumes.get_mut(&volume);
            if let Some(known) = known.filter(|known| known.creation == creation) {
                Arc::make_mut(known).removed = true;
            }
            self.removed_volumes
                .entry(volume)
                .or_default()
                .insert(creation);
        }
    }
}

/// A volume that was removed while the other side of a split gave it to a service stays until no service uses it.
pub(super) fn drop_what_is_removed(documents: &mut Documents) {
    if documents.volumes.values().all(|volume| !volume.removed) {
        return;
    }
    let used = used(documents);
    documents
        .volumes
        .retain(|name, volume| !volume.removed || used.contains(name));
}

fn used(documents: &Documents) -> BTreeSet<VolumeName> {
    let services = documents.services.values();
    services.flat_map(ServiceRecord::volumes).cloned().collect()
}

/// The removals by name.
pub(super) type Removed = BTreeMap<VolumeName, BTreeSet<EnvelopeHash>>;
