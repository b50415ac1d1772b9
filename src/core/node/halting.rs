//! A deploy that failed here is halted for all: the node that holds the failed instance writes it down, once
//! (rules of the mesh 3 and 4).
//!
//! Only a deploy that replaces something is halted. What runs for the first time goes on being tried, because
//! nobody is served worse for it; and an instance that fails long after its deploy says nothing of the deploy.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::document::edit::Edit;
use crate::id::{InstanceId, RevisionHash, ServiceKey};
use crate::placement::lags;
use crate::reconcile::Failed;
use crate::report::Hold;
use crate::stack::OnFailure;
use crate::time::{Instant, Now};
use crate::view::{Deployed, HaltCause, Lifecycle, View};

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
        let halts: Vec<FailedDeploy> = failures
            .filter_map(|(instance, failed)| {
                let hold = instances.holds().get(instance)?;
                self.failed_deploy(instance, hold, failed)
            })
            .collect();
        for halt in halts {
            let key = (halt.service.clone(), halt.generation);
            if let Entry::Vacant(entry) = self.halting.tried.entry(key) {
                entry.insert(now.monotonic + AGAIN_AFTER);
                self.queue(Job::Halt(Box::new(halt)));
            }
        }
    }

    /// What is to be written of an instance that failed for good at the deploy of record, if anything.
    fn failed_deploy(
        &self,
        instance: &InstanceId,
        hold: &Hold,
        failed: &Failed,
    ) -> Option<FailedDeploy> {
        let record = self.view.documents.services.get(&instance.service)?;
        let deployed = record.deployed.as_ref()?;
        let is_of_it =
            (failed.revision, failed.generation) == (deployed.revision.hash, deployed.generation);
        let is_open = deployed.halt.is_none() && deployed.previous.is_some();
        let is_wanted = record.state == Lifecycle::Running;
        if !(is_of_it && is_open && is_wanted) {
            return None;
        }
        if !(hold.on_trial || self.is_under_way(&instance.service, deployed)) {
            return None;
        }
        Some(FailedDeploy {
            service: instance.service.clone(),
            generation: deployed.generation,
            revision: deployed.revision.hash,
            cause: HaltCause::failed(instance.number, &failed.problem),
            rollback: wants_rollback(deployed),
        })
    }

    /// Whether somebody still has to replace an instance for it.
    fn is_under_way(&self, service: &ServiceKey, deployed: &Deployed) -> bool {
        lags(&self.view, self.placement(), service, deployed)
    }
}

/// A deploy that failed on this node, and nobody was seen to have halted.
#[derive(Debug)]
pub(super) struct FailedDeploy {
    service: ServiceKey,
    generation: u64,
    revision: RevisionHash,
    cause: HaltCause,
    rollback: bool,
}

impl FailedDeploy {
    /// What is left to write once its turn comes: somebody else may have been first.
    pub(super) fn edits(&self, view: &View) -> Vec<Edit> {
        let record = view.documents.services.get(&self.service);
        let deployed = record.and_then(|record| record.deployed.as_ref());
        let is_due = deployed.is_some_and(|deployed| {
            deployed.generation == self.generation && deployed.halt.is_none()
        });
        let edit = || Edit::Halt {
            service: self.service.clone(),
            generation: self.generation,
            revision: self.revision,
            cause: self.cause.clone(),
            rollback: self.rollback,
        };
        is_due.then(edit).into_iter().collect()
    }
}

fn wants_rollback(deployed: &Deployed) -> bool {
    let service = deployed.revision.service.as_ref();
    let wants = service.is_ok_and(|service| service.deploy.on_failure == OnFailure::Rollback);
    wants && deployed.takes_back.is_none()
}
