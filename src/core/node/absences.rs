//! For how long others are absent: some services wait before they have an instance taken over.
//!
//! In: who is absent at each look, and the times that services ask for. Out: the longest of those times that has
//! passed, for each node: it changes only when that matters. It is counted by this boot's own clock, so a node that
//! starts waits anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::NodeId;
use crate::time::Instant;
use crate::view::{Absence, Documents, Freshness};

/// So many different times are told apart; the longer ones count as the longest of them.
const MAX_TIMES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Absences {
    since: BTreeMap<NodeId, Instant>,
    /// What services ask for, but nothing.
    times: BTreeSet<Duration>,
}

impl Absences {
    /// What the services of these documents ask for.
    pub(super) fn heed(&mut self, documents: &Documents) {
        let services = documents.services.values();
        let deployed = services.filter_map(|record| record.deployed.as_ref());
        let readable = deployed.filter_map(|deployed| deployed.revision.service.as_ref().ok());
        let times = readable.map(|service| service.deploy.offline.replace_after());
        self.times = times.filter(|time| !time.is_zero()).collect();
        while self.times.len() > MAX_TIMES {
            self.times.pop_last();
        }
    }

    /// How lately it is heard of now.
    pub(super) fn follow(&mut self, node: NodeId, freshness: Freshness, now: Instant) {
        if freshness >= Freshness::Absent {
            self.since.entry(node).or_insert(now);
        } else {
            self.since.remove(&node);
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&NodeId) -> bool) {
        self.since.retain(|node, _| keep(node));
    }

    /// What there is to say of those that are absent; `dead` are those that are assumed to be.
    pub(super) fn of(&self, dead: &BTreeSet<NodeId>, now: Instant) -> BTreeMap<NodeId, Absence> {
        let absent = self.since.iter().map(|(node, since)| {
            let absence = Absence {
                passed: self.passed(*since, now),
                assumed_dead: dead.contains(node),
            };
            (*node, absence)
        });
        absent
            .filter(|(_, absence)| *absence != Absence::default())
            .collect()
    }

    /// Whether another time has passed since this was said.
    pub(super) fn have_grown(&self, said: &BTreeMap<NodeId, Absence>, now: Instant) -> bool {
        let mut absent = self.since.iter();
        absent.any(|(node, since)| {
            let before = said.get(node).copied().unwrap_or_default();
            self.passed(*since, now) != before.passed
        })
    }

    /// The longest time that has passed; zero where none has.
    fn passed(&self, since: Instant, now: Instant) -> Duration {
        let passed = self.times.range(..=now.since(since)).next_back();
        passed.copied().unwrap_or_default()
    }

    /// When another one has passed.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let next = self.since.values().filter_map(|since| {
            let mut to_come = self.times.iter().map(|time| *since + *time);
            to_come.find(|at| *at > now)
        });
        next.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn passed(absences: &Absences, seconds: u64) -> Option<u64> {
        let all = absences.of(&BTreeSet::new(), at(seconds));
        all.get(&NODE).map(|absence| absence.passed.as_secs())
    }

    #[test]
    fn only_the_times_that_services_ask_for_are_told_apart() {
        let mut absences = Absences {
            times: [10, 60].map(Duration::from_secs).into(),
            ..Absences::default()
        };
        absences.follow(NODE, Freshness::Stale, at(0));
        assert_eq!(absences.next_wake(at(0)), None);
        absences.follow(NODE, Freshness::Absent, at(5));
        absences.follow(NODE, Freshness::Gone, at(20));
        assert_eq!(passed(&absences, 14), None);
        assert_eq!(passed(&absences, 15), Some(10));
        assert!(absences.have_grown(&BTreeMap::new(), at(15)));
        let said = absences.of(&BTreeSet::new(), at(15));
        assert!(!absences.have_grown(&said, at(64)));
        assert!(absences.have_grown(&said, at(65)));
        assert_eq!(passed(&absences, 64), Some(10));
        assert_eq!(absences.next_wake(at(15)), Some(at(65)));
        assert_eq!(passed(&absences, 65), Some(60));
        assert_eq!(absences.next_wake(at(65)), None);
        absences.follow(NODE, Freshness::Late, at(70));
        assert_eq!(passed(&absences, 99), None);
    }

    #[test]
    fn nothing_is_told_where_nobody_asks() {
        let mut absences = Absences::default();
        absences.heed(&Documents::default());
        absences.follow(NODE, Freshness::Absent, at(0));
        assert_eq!(passed(&absences, 99), None);
        assert_eq!(absences.next_wake(at(0)), None);
    }
}
