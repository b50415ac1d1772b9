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
///
/// Those that are deployed come first, each once: who is asked has little time for all of them.
pub fn images_of(view: &View, me: NodeId, command: &Command, wall: WallTime) -> Vec<Asked> {
    let Ok(edits) = super::edits(view, me, command, wall) else {
        return Vec::new();
    };
    let open = edits.iter().filter_map(open_deploy);
    let open = open.filter_map(|(service, revision)| image(view, &edits, service, revision));
    let deployed: BTreeSet<String> = open.collect();
    let kept = moved::kept(view, command, &edits).map(|kept| kept.image.to_owned());
    let kept: BTreeSet<String> = kept.filter(|image| !deployed.contains(image)).collect();
    let asked = |is_deployed: bool| move |image: String| Asked { image, is_deployed };
    let deployed = deployed.into_iter().map(asked(true));
    deployed.chain(kept.into_iter().map(asked(false))).collect()
}

/// The name of an image that is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub image: String,
    /// It is deployed in any case; else only if it means something else by now.
    pub is_deployed: bool,
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
    let opened: BTreeMap<ServiceKey, FrozenImage> = edits
        .iter()
        .filter_map(open_deploy)
        .filter_map(known)
        .collect();
    for edit in &mut edits {
        if let Edit::Deploy { service, image, .. } = edit
            && let Some(meaning) = opened.get(service)
        {
            image.get_or_insert_with(|| meaning.clone());
        }
    }
    let meanings = edits.iter().filter_map(meaning).collect();
    bind_anew(view, edits, &meanings)
}

/// What the image of a deploy means.
fn meaning(edit: &Edit) -> Option<(ServiceKey, FrozenImage)> {
    let Edit::Deploy {
        service,
        image: Some(image),
        ..
    } = edit
    else {
        return None;
    };
    Some((service.clone(), image.clone()))
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
