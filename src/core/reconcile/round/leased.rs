//! What the lease that this node has, or has not, means for the next step of an instance.

use std::time::Duration;

use crate::id::InstanceId;
use crate::lease::Fenced;

use super::super::leases::Leave;
use super::super::lifecycle::{Task, is_up};
use super::super::refusals::Refusals;
use super::super::wanted::Wanted;
use super::{Findings, Round};

impl Round<'_> {
    /// Whether a leased instance that falls to this node may run now.
    pub(super) fn leave(&self, instance: &InstanceId) -> Leave {
        match self.task(instance) {
            Task::Run(wanted) => {
                let runs = self.is_any_up(instance);
                self.leases.leave(wanted, runs, self.now.monotonic)
            }
            Task::Rest | Task::Keep | Task::Remove => Leave::Free,
        }
    }

    pub(super) fn is_any_up(&self, instance: &InstanceId) -> bool {
        self.containers(instance).iter().any(is_up)
    }

    /// Whether what runs of it is to be stopped for want of a lease.
    pub(super) fn is_out_of_time(&self, wanted: &Wanted) -> bool {
        let leave = self.leases.leave(wanted, true, self.now.monotonic);
        matches!(leave, Leave::Denied { .. })
    }

    /// Another node may be heard by more of the witnesses, or have a fence.
    pub(super) fn give_up(
        &self,
        instance: &InstanceId,
        why: String,
        refusals: &mut Refusals,
        found: &mut Findings,
    ) {
        let Task::Run(wanted) = self.task(instance) else {
            return;
        };
        let aim = (wanted.revision, wanted.generation);
        refusals.aim_at(instance, aim);
        let now = self.now.monotonic;
        if self.leases.asks_in_vain(wanted, now) {
            refusals.refuse(instance, aim, why, now);
        } else {
            found.wakes.extend(self.leases.gives_up_at(wanted));
        }
    }

    pub(super) fn fence(&self, instance: &InstanceId) -> Option<Fenced> {
        let wanted = self.asked?.wanted.get(instance)?;
        self.leases.fenced(wanted)
    }

    /// In how long what runs without a lease is to be down.
    pub(super) fn hurry(&self, instance: &InstanceId) -> Option<Duration> {
        match self.leave(instance) {
            Leave::Denied { killed_at, .. } => Some(killed_at.since(self.now.monotonic)),
            Leave::Free | Leave::Until(_) => None,
        }
    }
}
