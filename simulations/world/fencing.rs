//! The fence of a host: a process beside the daemon, which kills what carries a tag when its time is over.
//!
//! It is no better here than it is on a machine: it looks a few times a second, and killing takes a moment; it knows what
//! the daemon told it, and goes on while that is dead or stands still.

use std::time::Duration;

use kontena_core::lease::{FenceTag, KILLED_BEFORE};
use kontena_core::reconcile::action::{Action, ContainerId, Failure};
use kontena_core::time::Instant;

use super::World;
use crate::queue::What;

/// From when it is told until it is known to have heard it.
const STARTED_WITHIN: Duration = Duration::from_millis(300);

/// The longest from the end of the time that it was told until nothing runs.
const KILLS_WITHIN: Duration = Duration::from_millis(1500);

/// The engine is asked to start nothing that has less time left.
const STARTS_WITH: Duration = Duration::from_secs(5);

impl World {
    pub(super) fn fence(&mut self, host: usize, tag: FenceTag, until: Instant) {
        let machine = &mut self.hosts[host];
        let until = machine.clock.world(earlier_by(until, KILLED_BEFORE));
        machine.fences.insert(tag, until);
        let late = machine
            .chance
            .between(Duration::from_millis(20), KILLS_WITHIN);
        let power = machine.power;
        let is_told = std::mem::replace(&mut machine.is_fence_told, true);
        let wait = until.since(self.now) + late;
        self.after(wait, host, What::Fence { power, tag });
        if !is_told {
            self.after(STARTED_WITHIN, host, What::Fenced);
        }
    }

    /// Kills what carries the tag, unless its time was lengthened.
    pub(super) fn end_fenced(&mut self, host: usize, tag: FenceTag) {
        if !self.is_over(host, tag, Duration::ZERO) {
            return;
        }
        let machine = &mut self.hosts[host];
        let wall = machine.clock.read(self.now).wall;
        if machine.engine.kill_fenced(tag, wall) {
            self.tell_changes(host);
            self.observe_soon(host);
        }
    }

    /// For how long the fence lets a container run; `None` where it runs under no lease.
    pub fn time_left(&self, host: usize, container: &ContainerId) -> Option<Duration> {
        let machine = &self.hosts[host];
        let tag = machine.engine.fence_of(container)?;
        let until = machine.fences.get(&tag).copied();
        Some(until.unwrap_or_default().since(self.now))
    }

    fn is_over(&self, host: usize, tag: FenceTag, spare: Duration) -> bool {
        let until = self.hosts[host].fences.get(&tag);
        until.is_none_or(|until| *until < self.now + spare)
    }

    /// What is to run under a lease is not started any more.
    pub(super) fn is_out_of_time(&self, host: usize, action: &Action) -> Option<Failure> {
        let tag = action.makes()?.fence?.tag;
        let problem = "the lease is over".to_owned();
        let is_over = self.is_over(host, tag, STARTS_WITH);
        is_over.then_some(Failure::Unfenced { problem })
    }
}

fn earlier_by(at: Instant, by: Duration) -> Instant {
    Instant::from_duration(at.since_start().saturating_sub(by))
}
