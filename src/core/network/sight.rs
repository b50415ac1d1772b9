//! What a node's own network shows, and what of it the others hear.
//!
//! Others hear little, and seldom anything new: their placement and their peers follow from it. Times
//! and counters of the ways are asked of the node when somebody wants to read them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::id::NodeId;
use crate::report;
use crate::time::Instant;

/// A way that carries nothing for so long is told: longer than it takes to find a dead node stale, so
/// that a node which died is not found unreachable by everybody on top of that.
const TOLD_AFTER: Duration = Duration::from_secs(10);

/// The most outer addresses that are told: each peer tries all of them.
pub const MAX_OUTER: usize = 4;

/// What the shell sees of this node's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    pub containers: Containers,
    /// The data plane; `None` while none runs.
    pub plane: Option<Plane>,
    /// Why the data plane or the containers' network does not work, in words, with a hint.
    pub problem: Option<String>,
}

/// Whether containers can be attached to the grid's network on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Containers {
    /// This host has no network of the grid: containers are started on Docker's own bridge.
    #[default]
    Plain,
    /// It is being set up: no container is created before.
    Pending,
    Attached,
}

/// The data plane of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// UDP.
    pub port: u16,
    pub mtu: u16,
    /// Where others see this node.
    pub outer: Vec<SocketAddr>,
    /// Members that no way leads to now.
    pub unreached: BTreeSet<NodeId>,
}

/// Since when no way leads to whom.
#[derive(Clone, Debug, Default)]
pub struct Unreached(BTreeMap<NodeId, Instant>);

impl Unreached {
    pub fn update(&mut self, now_unreached: &BTreeSet<NodeId>, now: Instant) {
        self.0.retain(|node, _| now_unreached.contains(node));
        for node in now_unreached {
            self.0.entry(*node).or_insert(now);
        }
    }

    /// Who is told to be unreachable.
    pub fn told(&self, now: Instant) -> BTreeSet<NodeId> {
        let long = self
            .0
            .iter()
            .filter(|(_, since)| now >= **since + TOLD_AFTER);
        long.map(|(node, _)| *node).collect()
    }

    /// When somebody will be, if no way is found until then.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let times = self.0.values().map(|since| *since + TOLD_AFTER);
        times.filter(|at| *at > now).min()
    }
}

/// What the others hear of it.
pub fn report(plane: &Plane, unreachable: BTreeSet<NodeId>) -> report::Network {
    report::Network {
        port: plane.port,
        mtu: plane.mtu,
        outer: plane.outer.iter().take(MAX_OUTER).copied().collect(),
        unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_is_lost_for_a_moment_is_not_told() {
        let (node, start) = (NodeId([1; 32]), Instant::ZERO);
        let lost = BTreeSet::from([node]);
        let mut unreached = Unreached::default();
        unreached.update(&lost, start);
        assert!(unreached.told(start + TOLD_AFTER / 2).is_empty());
        assert_eq!(unreached.next_wake(start), Some(start + TOLD_AFTER));

        unreached.update(&BTreeSet::new(), start + TOLD_AFTER / 2);
        unreached.update(&lost, start + TOLD_AFTER / 2);
        assert!(
            unreached.told(start + TOLD_AFTER).is_empty(),
            "it begins anew"
        );
        assert_eq!(unreached.told(start + TOLD_AFTER * 2), lost);
        assert_eq!(unreached.next_wake(start + TOLD_AFTER * 2), None);
    }
}
