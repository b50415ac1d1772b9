//! Instances that this node was asked to run and could not, so that another may try.
//!
//! A refusal is about one deploy and does not last: what was wrong may have been repaired, and an
//! instance that every node once refused must not be left for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{InstanceId, RevisionHash};
use crate::time::Instant;

/// How long after the last failure a node stays the one that refused.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(600);

#[derive(Clone, Debug)]
struct Refusal {
    aim: (RevisionHash, u64),
    problem: String,
    until: Instant,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(BTreeMap<InstanceId, Refusal>);

impl Refusals {
    pub(super) fn refuse(
        &mut self,
        instance: &InstanceId,
        aim: (RevisionHash, u64),
        problem: String,
        now: Instant,
    ) {
        let until = now + REFUSED_FOR;
        let refusal = Refusal {
            aim,
            problem,
            until,
        };
        self.0.insert(instance.clone(), refusal);
    }

    /// It runs here after all.
    pub(super) fn accept(&mut self, instance: &InstanceId) {
        self.0.remove(instance);
    }

    /// It runs here after all, at this deploy.
    pub(super) fn accept_at(&mut self, instance: &InstanceId, aim: (RevisionHash, u64)) {
        self.0
            .retain(|refused, refusal| refused != instance || refusal.aim != aim);
    }

    /// Another deploy is another question.
    pub(super) fn aim_at(&mut self, instance: &InstanceId, aim: (RevisionHash, u64)) {
        if self
            .0
            .get(instance)
            .is_some_and(|refusal| refusal.aim != aim)
        {
            self.0.remove(instance);
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.0.retain(|_, refusal| refusal.until > now);
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.0.values().map(|refusal| refusal.until).min()
    }

    pub(super) fn report(&self) -> BTreeMap<InstanceId, String> {
        self.0
            .iter()
            .map(|(instance, refusal)| (instance.clone(), refusal.problem.clone()))
            .collect()
    }
}
