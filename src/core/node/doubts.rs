//! What a node said before it was gone may be untrue by now: its containers ended, it was told to stop them.
//!
//! So who comes back is doubted until it confirms its newest report, or sends another: for as long as it speaks
//! here and does neither. In a grid that is too large for it to speak to everybody soon, what it has to say has
//! reached everybody by [`REACHES_ALL_WITHIN`].
//! Meanwhile nothing of it counts as healthy, so that nobody stops a replacement for it.
//!
//! And who stood still itself reads what was said meanwhile, confirmations too, as if it were said now: for
//! [`READS_ALL_WITHIN`] it doubts everybody.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::NodeId;
use crate::time::Instant;
use crate::view::Freshness;

/// News are pushed at once, and an exchange with each of some members finds what the push has missed.
pub(super) const REACHES_ALL_WITHIN: Duration = Duration::from_secs(10);

/// What waits for a loop that stood still is read at once; what is on its way then, a moment later.
const READS_ALL_WITHIN: Duration = Duration::from_secs(2);

/// Whose reports are doubted.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Until when; `None` while it is not heard of.
    nodes: BTreeMap<NodeId, Option<Instant>>,
    /// Until when everybody is doubted.
    all: Option<Instant>,
    version: u64,
}

impl Doubts {
    /// How lately it is heard of now. At the start of a boot everybody is stale.
    pub(super) fn follow(&mut self, node: NodeId, freshness: Freshness, now: Instant) {
        if freshness >= Freshness::Stale {
            self.nodes.insert(node, None);
        } else if freshness.is_online()
            && let Some(until @ None) = self.nodes.get_mut(&node)
        {
            *until = Some(now + REACHES_ALL_WITHIN);
        }
    }

    /// When this node began to listen again after it had stood still.
    pub(super) fn listens_since(&mut self, woken: Option<Instant>, now: Instant) {
        let until = woken.map(|woken| woken + READS_ALL_WITHIN);
        let until = until.filter(|until| *until > now);
        self.version += u64::from(until != self.all);
        self.all = until;
    }

    /// The node itself says that what is known of it is its newest report.
    pub(super) fn confirm(&mut self, node: &NodeId) {
        if let Some(Some(_)) = self.nodes.get(node) {
            self.nodes.remove(node);
            self.version += 1;
        }
    }

    /// It speaks, and may have more to say.
    pub(super) fn renew(&mut self, node: &NodeId, now: Instant) {
        if let Some(Some(until)) = self.nodes.get_mut(node) {
            *until = now + REACHES_ALL_WITHIN;
        }
    }

    /// Whether nothing of its report counts as healthy now.
    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.until(node).is_some()
    }

    /// Until when nothing of its report counts as healthy, unless it confirms it.
    pub(super) fn until(&self, node: &NodeId) -> Option<Instant> {
        self.nodes.get(node).copied().flatten().max(self.all)
    }

    /// Ends what has lasted long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        let before = self.nodes.len();
        let is_over = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
        self.nodes.retain(|_, until| !is_over(until));
        self.version += u64::from(self.nodes.len() != before);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&NodeId) -> bool) {
        self.nodes.retain(|node, _| keep(node));
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.nodes
            .values()
            .chain([&self.all])
            .flatten()
            .min()
            .copied()
    }

    /// Rises whenever somebody is doubted no more.
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn who_comes_back_is_doubted_until_it_confirms_what_it_said() {
        let mut doubts = Doubts::default();
        doubts.follow(NODE, Freshness::Fresh, at(0));
        assert!(!doubts.contains(&NODE));
        doubts.follow(NODE, Freshness::Stale, at(1));
        doubts.confirm(&NODE);
        assert!(!doubts.contains(&NODE), "it is away: that says enough");
        doubts.follow(NODE, Freshness::Fresh, at(2));
        assert!(doubts.contains(&NODE));
        doubts.confirm(&NODE);
        assert!(!doubts.contains(&NODE));
        assert_eq!(doubts.version(), 1);
    }

    #[test]
    fn who_stood_still_believes_nobody_until_it_has_read_all_that_waited() {
        let mut doubts = Doubts::default();
        doubts.follow(NODE, Freshness::Fresh, at(0));
        doubts.listens_since(Some(at(60)), at(60));
        doubts.confirm(&NODE);
        assert_eq!(doubts.until(&NODE), Some(at(62)));
        assert_eq!(doubts.next_wake(), Some(at(62)));
        doubts.listens_since(Some(at(60)), at(62));
        assert!(!doubts.contains(&NODE));
        assert_eq!(doubts.version(), 2, "the view is made anew each time");
    }

    #[test]
    fn who_speaks_to_others_alone_is_believed_after_a_while() {
        let mut doubts = Doubts::default();
        doubts.follow(NODE, Freshness::Absent, at(1));
        assert_eq!(doubts.next_wake(), None);
        doubts.follow(NODE, Freshness::Late, at(5));
        doubts.follow(NODE, Freshness::Fresh, at(9));
        assert_eq!(doubts.next_wake(), Some(at(15)));
        doubts.expire(at(14));
        assert!(doubts.contains(&NODE));
        doubts.renew(&NODE, at(14));
        doubts.expire(at(15));
        assert!(
            doubts.contains(&NODE),
            "it speaks here, and did not confirm it"
        );
        doubts.expire(at(24));
        assert!(!doubts.contains(&NODE));
    }
}
