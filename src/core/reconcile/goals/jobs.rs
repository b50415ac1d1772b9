//! What becomes of the jobs that this node has a ledger of.

use std::collections::BTreeMap;

use crate::id::{InstanceId, NodeId};
use crate::job::Ledger;
use crate::placement::{Placement, Reason, Role, Wait};
use crate::reconcile::jobs::Fate;
use crate::schedule::Slot;
use crate::stack::{Service, Strategy};
use crate::view::{Lifecycle, ServiceRecord, View};

use super::Holder;

/// Of each that does not fall to this node.
pub(super) fn fates(
    view: &View,
    placement: &Placement,
    me: Holder<'_>,
) -> BTreeMap<InstanceId, Fate> {
    let ledgers = me.ledgers.iter();
    let fates = ledgers.filter_map(|(instance, ledger)| {
        let fate = fate(view, placement, me.node, instance, ledger)?;
        Some((instance.clone(), fate))
    });
    fates.collect()
}

fn fate(
    view: &View,
    placement: &Placement,
    me: NodeId,
    instance: &InstanceId,
    ledger: &Ledger,
) -> Option<Fate> {
    let record = view.documents.services.get(&instance.service);
    let Some(record) = record.filter(|record| record.creation == ledger.creation) else {
        return Some(Fate::Vanishes);
    };
    let Some(service) = service(record) else {
        return Some(Fate::Leaves);
    };
    let is_daemon = service.deploy.strategy == Strategy::Daemon;
    if !service.is_job() || (!is_daemon && instance.number > record.instances) {
        return Some(Fate::Goes);
    }
    if record.state == Lifecycle::Stopped {
        return Some(Fate::Rests);
    }
    match placement.role(instance, &me) {
        Role::Run(_) => None,
        Role::KeepUntilRelieved(_) | Role::Keep => Some(Fate::Leaves),
        Role::Stop => match placement.get(instance).map(|assigned| &assigned.reason) {
            Some(Reason::Waits(Wait::PinDrains { node })) if *node == me => {
                Some(Fate::Drains(service.clone()))
            }
            Some(_) if service.is_bound() => Some(Fate::Goes),
            Some(_) | None => Some(Fate::Leaves),
        },
    }
}

fn service(record: &ServiceRecord) -> Option<&std::sync::Arc<Service>> {
    record.deployed.as_ref()?.revision.service.as_ref().ok()
}

/// The newest slot of it that another node ran, as far as anybody said: the time of a slot is the same on all nodes,
/// whatever their clocks say.
pub(super) fn run_elsewhere(
    view: &View,
    me: NodeId,
    instance: &InstanceId,
    record: &ServiceRecord,
) -> Option<Slot> {
    let others = view.reports.iter().filter(|(node, _)| **node != me);
    let ledgers = others.filter_map(|(_, report)| report.jobs.get(instance));
    let of_it = ledgers.filter(|ledger| ledger.creation == record.creation);
    of_it.filter_map(Ledger::last_run).max()
}
