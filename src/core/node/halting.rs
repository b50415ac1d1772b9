//! A deploy that failed here is halted for all: the node that holds the failed instance writes it down, once
//! (rules of the mesh 3 and 4).
//!
//! Only a deploy that replaces something is halted. What runs for the first time goes on being tried, because
//! nobody is served worse for it; and an instance that fails long after its deploy says nothing of the deploy.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::document::edit::Edit;
use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::reconcile::Failed;
use crate::report::Hold;
use crate::stack::OnFailure;
use crate::time::{Instant, Now};
use crate::view::{Deployed, Freshness, HaltCause, Lifecycle, View};

use super::writing::Job;
use super::{Node, Phase};

/// A disk that refused is given so long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The halts that are on their way to the disk, and until when nobody tries again.
#[derive(Debug, Default)]
pub(super) struct Halting {
    tried: BTreeMap<(ServiceKey, u64), Instant>,
}

impl Node {
    /// Writes down each deploy that failed here, unless it is written down.
    pub(super) fn halt_what_failed(&mut self, now: Now) {
        self.halting.tried.retain(|_, again| *again > now.monotonic);
        if self.phase != Phase::Member || self.is_stopping() {
            return;
        }
        let Some(instances) = &self.instances else {
            return;
        };
        let failures = instances.failures().iter();
        let halts: Vec<(ServiceKey, u64, Edit)> = failures
            .filter_map(|(instance, failed)| {
                let hold = instances.holds().get(instance)?;
                let edit = halt(&self.view, self.me, instance, hold, failed)?;
                Some((instance.service.clone(), failed.generation, edit))
            })
            .collect();
        for (service, generation, edit) in halts {
            let key = (service, generation);
            if !self.halting.tried.contains_key(&key) {
                self.halting.tried.insert(key, now.monotonic + AGAIN_AFTER);
                self.queue(Job::Own(Box::new(edit)));
            }
        }
    }
}

/// What is left to write of it once its turn comes: somebody else may have been first.
pub(super) fn still_due(view: &View, edit: &Edit) -> Vec<Edit> {
    let is_due = match edit {
        Edit::Halt {
            service,
            generation,
            ..
        } => {
            let record = view.documents.services.get(service);
            let deployed = record.and_then(|record| record.deployed.as_ref());
            deployed.is_some_and(|deployed| {
                deployed.generation == *generation && deployed.halt.is_none()
            })
        }
        _ => true,
    };
    is_due.then(|| edit.clone()).into_iter().collect()
}

/// What is to be written of an instance that failed for good at the deploy of record, if anything.
fn halt(
    view: &View,
    me: NodeId,
    instance: &InstanceId,
    hold: &Hold,
    failed: &Failed,
) -> Option<Edit> {
    let record = view.documents.services.get(&instance.service)?;
    let deployed = record.deployed.as_ref()?;
    let is_of_it =
        (failed.revision, failed.generation) == (deployed.revision.hash, deployed.generation);
    let is_open = deployed.halt.is_none() && deployed.previous.is_some();
    let is_wanted = record.state == Lifecycle::Running;
    if !(is_of_it && is_open && is_wanted) {
        return None;
    }
    if !(hold.on_trial || is_under_way(view, me, &instance.service, deployed.generation)) {
        return None;
    }
    Some(Edit::Halt {
        service: instance.service.clone(),
        generation: deployed.generation,
        revision: deployed.revision.hash,
        cause: HaltCause::failed(instance.number, &failed.problem),
        rollback: wants_rollback(deployed),
    })
}

/// Whether another node that is there has an instance of an older deploy.
fn is_under_way(view: &View, me: NodeId, service: &ServiceKey, generation: u64) -> bool {
    let mut reports = view.reports.iter();
    reports.any(|(node, report)| {
        let is_there = *node == me || view.freshness(node) < Freshness::Absent;
        let mut holds = report.holds.iter();
        is_there
            && holds.any(|(instance, hold)| {
                instance.service == *service && hold.generation < generation
            })
    })
}

fn wants_rollback(deployed: &Deployed) -> bool {
    let service = deployed.revision.service.as_ref();
    let wants = service.is_ok_and(|service| service.deploy.on_failure == OnFailure::Rollback);
    wants && deployed.takes_back.is_none()
}
