//! The beginning of a boot: a node that was a member before looks before it acts, because its disk may
//! have been copied, and the other copy may run ([decision 7]).
//!
//! While it only looks it takes no command and starts no container; what is stopped and removed does no
//! harm, and what waits for its turn waits a little longer. Peers tell both copies.
//!
//! [decision 7]: docs/design/decisions/0007-a-start-looks-first.md

use std::time::Duration;

use crate::id::InstanceId;
use crate::report::{InstanceState, Report};
use crate::time::Instant;

use super::doubts::REACHES_ALL_WITHIN;
use super::{Node, Phase};

/// How long it looks from when the first member spoke to it. Peers hear both copies within two rounds,
/// wait 4 s, and tell them; nothing may run twice meanwhile, least of all what has a volume.
const TWIN_SHOWS_WITHIN: Duration = Duration::from_secs(8);

/// How long it waits for a member to speak: a network that comes up after the daemon takes some
/// seconds. Whoever is really cut off has to go on with what it has.
pub(super) const HEARD_WITHIN: Duration = Duration::from_secs(15);

/// The longest that a node only looks, and lets commands wait.
pub(super) const LOOKS_AT_MOST: Duration = HEARD_WITHIN.saturating_add(TWIN_SHOWS_WITHIN);

impl Node {
    /// When this boot may act.
    pub(super) fn acts_from(&self) -> Instant {
        let Some(since) = self.own.looks_since else {
            return Instant::ZERO;
        };
        let unheard = since + HEARD_WITHIN;
        match self.pulse.heard_since() {
            Some(heard) if heard <= unheard => heard + TWIN_SHOWS_WITHIN,
            Some(_) | None => unheard,
        }
    }

    pub(super) fn only_looks(&self, now: Instant) -> bool {
        self.phase == Phase::Member && now < self.acts_from()
    }

    /// When this boot may start containers. While somebody is doubted who says to run what this node held
    /// and does not run, neither is healthy: this one would win by its lower epoch, and the healthy
    /// successor would be stopped for it.
    pub(super) fn starts_from(&self, now: Instant) -> Instant {
        let acts_from = self.acts_from();
        if self.own.looks_since.is_none() || now >= acts_from + REACHES_ALL_WITHIN {
            return acts_from;
        }
        let contested = self.contested_until();
        contested.map_or(acts_from, |until| acts_from.max(until))
    }

    fn contested_until(&self) -> Option<Instant> {
        let own = self.view.reports.get(&self.me)?;
        let runs = |report: &Report, instance: &InstanceId| {
            let hold = report.holds.get(instance);
            hold.is_some_and(|hold| hold.state == InstanceState::Running)
        };
        let ours = own.holds.keys();
        let idle: Vec<&InstanceId> = ours.filter(|instance| !runs(own, instance)).collect();
        if idle.is_empty() {
            return None;
        }
        let waits = |report: &Report| idle.iter().any(|instance| runs(report, instance));
        let others = self.view.reports.iter();
        others
            .filter_map(|(node, report)| self.doubts.until(node).filter(|_| waits(report)))
            .max()
    }
}
