//! What images mean at the moment when a command deploys them.
//!
//! Only an engine can tell, so whoever gives the command asks the one of this node before, and the answers become
//! part of the deploys that the command writes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Command, moved, service};
use crate::document::edit::Edit;
use crate::id::{NodeId, RevisionHash, ServiceKey};
use crate::stack::{FrozenImage, Service};
use crate::time::WallTime;
use crate::view::View;

/// The names of images that `command` would deploy, or would if they had been moved, and of which it is to be asked what
/// they mean: none of a deploy that goes on with what runs. Nothing where the command is refused.
///
/// One that says its digest is asked for too: only a registry knows which processors it was built for.
pub fn images_of(view: &View, me: NodeId, command: &Command, wall: WallTime) -> BTreeSet<String> {
    let Ok(edits) = super::edits(view, me, command, wall) else {
        return BTreeSet::new();
    };
    let open = edits.iter().filter_map(open_deploy);
    let images = open.filter_map(|(service, revision)| image(view, &edits, service, revision));
    let kept = moved::kept(view, command, &edits);
    images
        .chain(kept.map(|kept| kept.image.to_owned()))
        .collect()
}

/// Writes into each deploy what its image means, where that is known, deploys what is the same but for a tag that was
/// moved, and binds new instances to nodes that the image was built for.
pub(super) fn freeze(
    view: &View,
    me: NodeId,
    command: &Command,
    mut edits: Vec<Edit>,
    images: &BTreeMap<String, FrozenImage>,
) -> Vec<Edit> {
    edits.extend(moved::deploys(view, me, command, &edits, images));
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
    bind_anew(view, edits, &meanings)
}

/// Chooses nodes once more for the instances that a command binds, where it is known now what their image was built for.
fn bind_anew(
    view: &View,
    mut edits: Vec<Edit>,
    meanings: &BTreeMap<ServiceKey, FrozenImage>,
) -> Vec<Edit> {
    for (key, meaning) in meanings {
        let numbers: BTreeSet<u32> = edits.iter().filter_map(|edit| bound(edit, key)).collect();
        let Some(definition) = definition(view, &edits, key).filter(|_| !numbers.is_empty()) else {
            continue;
        };
        edits.retain(|edit| bound(edit, key).is_none());
        edits.extend(service::bind(
            view,
            key,
            &definition,
            Some(meaning),
            numbers,
        ));
    }
    edits
}

/// The number of an instance of the service that an edit binds.
fn bound(edit: &Edit, of: &ServiceKey) -> Option<u32> {
    let Edit::Pin {
        service, number, ..
    } = edit
    else {
        return None;
    };
    (service == of).then_some(*number)
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

/// The definition that a service has after a command.
fn definition(view: &View, edits: &[Edit], key: &ServiceKey) -> Option<Service> {
    let mut written = edits.iter().filter_map(|edit| written(edit, key));
    if let Some(encoded) = written.next() {
        return serde_json::from_slice(encoded).ok();
    }
    let latest = &view.documents.services.get(key)?.latest;
    latest.service.as_deref().ok().cloned()
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
