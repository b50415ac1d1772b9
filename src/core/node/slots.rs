//! The slots of jobs go to the disk before anything is done about them.
//!
//! A slot is decided by writing it into this node's own report (`core/job.rs`); once that report is on the disk, the
//! job's container may be made. So a boot that finds it there runs it no more. What the disk refuses is not run, and is
//! tried again with the next report.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::id::InstanceId;
use crate::schedule::Slot;
use crate::time::Now;

use super::saving::Purpose;
use super::{Node, Record};

/// A disk that refuses a slot is asked again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Node {
    /// Sends this node's report to the disk, if it has slots that are not on their way there.
    pub(super) fn save_slots(&mut self, now: Now) {
        if self.work.slots_from > now.monotonic {
            return;
        }
        let unsaved = self
            .instances
            .as_ref()
            .map(crate::reconcile::Instances::unsaved_slots);
        let mut slots = unsaved.unwrap_or_default();
        slots.retain(|(instance, slot)| self.is_told(instance, *slot));
        slots.retain(|slot| !self.saving.slots().any(|on_its_way| on_its_way == slot));
        let signed = self.reports.signed(&self.me).cloned();
        if let (Some(report), false) = (signed, slots.is_empty()) {
            let node = self.me;
            self.save(Purpose::Slots(slots), vec![Record::Report { node, report }]);
        }
    }

    /// Whether the newest report of this node has the slot.
    fn is_told(&self, instance: &InstanceId, slot: Slot) -> bool {
        let own = self.reports.get(&self.me);
        let is_ours = own.is_some_and(|own| own.order.boot == self.own.order().boot);
        let ledger = own.and_then(|own| own.jobs.get(instance));
        is_ours && ledger.is_some_and(|ledger| ledger.get(slot).is_some())
    }

    pub(super) fn slots_saved(
        &mut self,
        slots: &BTreeSet<(InstanceId, Slot)>,
        result: &Result<(), String>,
        now: Now,
    ) {
        match (result, &mut self.instances) {
            (Ok(()), Some(instances)) => instances.slots_saved(slots, now),
            (Ok(()), None) => {}
            // The job looks again by itself.
            (Err(_), _) => self.work.slots_from = now.monotonic + AGAIN_AFTER,
        }
    }

    /// A later life of this node told others of runs that this one does not know: its disk was set back.
    pub(super) fn recall_jobs(&mut self, now: Now) {
        let Some(own) = self.reports.get(&self.me).cloned() else {
            return;
        };
        let order = self.own.order();
        let is_of_this_life = (own.order.boot, own.order.nonce) == (order.boot, order.nonce);
        if is_of_this_life || self.work.recalled == Some(own.order) {
            return;
        }
        if let Some(instances) = &mut self.instances {
            self.work.recalled = Some(own.order);
            instances.recall(&own.jobs, now);
        }
    }
}
