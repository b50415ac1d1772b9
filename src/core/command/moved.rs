//! What is deployed already, and means something else by now: a tag that was moved since.
//!
//! Kontena pulled with every deploy, and replaced what runs of another image than that. Here the meaning of a deploy's
//! image is part of its record, so it is compared with what the name means when it is deployed again.

use std::collections::BTreeMap;

use super::{Command, stack};
use crate::document::edit::Edit;
use crate::id::{NodeId, ServiceKey};
use crate::stack::FrozenImage;
use crate::view::{Deployed, ServiceRecord, View};

/// A service that a command deploys, and of which it changes nothing.
pub(super) struct Kept<'v> {
    key: ServiceKey,
    deployed: &'v Deployed,
    /// The name of its image.
    pub image: &'v str,
    /// The node whose engine said what that meant.
    by: Option<NodeId>,
}

/// The services that `command` deploys without `edits` that change them.
pub(super) fn kept<'a>(
    view: &'a View,
    command: &Command,
    edits: &'a [Edit],
) -> impl Iterator<Item = Kept<'a>> {
    let named = deployed_by(view, command).into_iter();
    named
        .filter(|key| !is_changed(edits, key))
        .filter_map(|key| {
            let record = view.documents.services.get(&key)?;
            Kept::of(key, record)
        })
}

/// Deploys of those whose image means another one now than it did to the deploy of record.
pub(super) fn deploys(
    view: &View,
    me: NodeId,
    command: &Command,
    edits: &[Edit],
    images: &BTreeMap<String, FrozenImage>,
) -> Vec<Edit> {
    let deploys = kept(view, command, edits).filter_map(|kept| {
        let now = images.get(kept.image)?;
        let before = kept.deployed.revision.image.as_ref()?;
        before
            .has_moved(now, kept.by == Some(me))
            .then(|| Edit::Deploy {
                service: kept.key,
                revision: kept.deployed.revision.hash,
                image: Some(now.clone()),
            })
    });
    deploys.collect()
}

impl<'v> Kept<'v> {
    fn of(key: ServiceKey, record: &'v ServiceRecord) -> Option<Self> {
        let deployed = record.deployed.as_ref()?;
        let service = deployed.revision.service.as_ref().ok()?;
        Some(Self {
            key,
            deployed,
            image: &service.image,
            by: told_by(record, deployed),
        })
    }
}

/// The node whose engine was asked: that of the first of the orders that have this image, which a restart hands on.
fn told_by(record: &ServiceRecord, deployed: &Deployed) -> Option<NodeId> {
    let orders = record.deploys.iter();
    let up_to_it = orders.skip_while(|order| order.generation != deployed.generation);
    let alike = up_to_it.take_while(|order| order.image == deployed.revision.image);
    alike.last().map(|order| order.by)
}

fn deployed_by(view: &View, command: &Command) -> Vec<ServiceKey> {
    if let Command::DeployService { key, force: false } = command {
        return vec![key.clone()];
    }
    let Command::DeployStack(name) = command else {
        return Vec::new();
    };
    stack::services(view, name)
}

/// Whether an edit deploys the service, or removes it.
fn is_changed(edits: &[Edit], key: &ServiceKey) -> bool {
    edits.iter().any(|edit| {
        let (Edit::Deploy { service, .. } | Edit::RemoveService(service)) = edit else {
            return false;
        };
        service == key
    })
}
