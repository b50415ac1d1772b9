//! What images mean at the moment when a command deploys them.
//!
//! Only an engine can tell, so whoever gives the command asks the one of this node before, and the answers become
//! part of the deploys that the command writes.

use std::collections::{BTreeMap, BTreeSet};

use super::Command;
use crate::document::edit::Edit;
use crate::id::{NodeId, RevisionHash, ServiceKey};
use crate::stack::{FrozenImage, Service, has_digest};
use crate::time::WallTime;
use crate::view::View;

/// The names of images that `command` would deploy, and of which it is to be asked what they mean: none that says it
/// itself, and none of a deploy that goes on with what runs. Nothing where the command is refused.
pub fn images_of(view: &View, me: NodeId, command: &Command, wall: WallTime) -> BTreeSet<String> {
    let edits = super::edits(view, me, command, wall).unwrap_or_default();
    let open = edits.iter().filter_map(open_deploy);
    let images = open.filter_map(|(service, revision)| image(view, &edits, service, revision));
    images.filter(|image| !has_digest(image)).collect()
}

/// Writes into each deploy what its image means, where that is known.
pub(super) fn freeze(
    view: &View,
    mut edits: Vec<Edit>,
    images: &BTreeMap<String, FrozenImage>,
) -> Vec<Edit> {
    let known = |(service, revision)| {
        let image = image(view, &edits, service, revision)?;
        Some((service.clone(), images.get(&image)?.clone()))
    };
    let meanings: BTreeMap<ServiceKey, FrozenImage> = edits
        .iter()
        .filter_map(open_deploy)
        .filter_map(known)
        .collect();
    for edit in &mut edits {
        if let Edit::Deploy { service, image, .. } = edit
            && let Some(meaning) = meanings.get(service)
        {
            image.get_or_insert_with(|| meaning.clone());
        }
    }
    edits
}

/// A deploy of which nobody said yet what its image means.
fn open_deploy(edit: &Edit) -> Option<(&ServiceKey, RevisionHash)> {
    let Edit::Deploy {
        service,
        revision,
        image: None,
    } = edit
    else {
        return None;
    };
    Some((service, *revision))
}

/// The image of a revision: one that the same command writes, or one that is known.
fn image(
    view: &View,
    edits: &[Edit],
    service: &ServiceKey,
    revision: RevisionHash,
) -> Option<String> {
    let mut written = edits.iter().filter_map(|edit| written(edit, service));
    if let Some(encoded) = written.find(|encoded| Service::hash_of(encoded) == revision) {
        let service: Service = serde_json::from_slice(encoded).ok()?;
        return Some(service.image);
    }
    let record = view.documents.services.get(service)?;
    let deployed = record.deployed.iter().map(|deployed| &deployed.revision);
    let mut known = std::iter::once(&record.latest).chain(deployed);
    let found = known.find(|known| known.hash == revision)?;
    let service = found.service.as_ref().ok()?;
    Some(service.image.clone())
}

/// The definition that an edit writes of a service.
fn written<'a>(edit: &'a Edit, of: &ServiceKey) -> Option<&'a [u8]> {
    let Edit::Revision { service, encoded } = edit else {
        return None;
    };
    (service == of).then_some(encoded.as_slice())
}
