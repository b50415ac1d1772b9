//! Takeover: who keeps an instance that two nodes hold, and who may take one whose holder is away.
//!
//! Both are answered from the view alone, so two sides of a split that have met again agree.
//!
//! Not here: when a node counts as absent (`membership`), when a loser may stop (`decide`).

use std::cmp::Reverse;
use std::fmt;

use crate::id::{InstanceId, NodeId, RevisionHash};
use crate::report::{Health, Hold, InstanceState};
use crate::view::{Freshness, ServiceRecord};

use super::filter;
use super::score;
use super::survey::Survey;
use super::wanted::Wanted;

/// How many of the nodes that are eligible by the documents this side sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Fresh or late. A stale node may be on the other side of a split that has just begun.
    pub seen: usize,
    /// All but those that are gone, that is, absent for more than 24 h.
    pub eligible: usize,
}

impl Seen {
    /// At least half: so two nodes are highly available, and two equal sides both go on.
    pub fn is_enough(self) -> bool {
        2 * self.seen >= self.eligible
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} eligible nodes", self.seen, self.eligible)
    }
}

pub(super) fn seen(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32) -> Seen {
    let mut count = Seen {
        seen: 0,
        eligible: 0,
    };
    for (index, node) in survey.nodes.iter().enumerate() {
        let counts = node.freshness != Freshness::Gone;
        if counts && filter::is_eligible(survey, wanted, index, number) {
            count.eligible += 1;
            count.seen += usize::from(node.freshness.is_online());
        }
    }
    count
}

/// Which revision a holder has to run to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    /// That of the deploy of record.
    Deploy(RevisionHash),
    /// Any: the deploy of record is halted or waits to be promoted, so that nobody gets to its revision, and
    /// what runs before it is as good.
    Any,
    /// None: the service is only about to be created.
    Nothing,
}

impl Standard {
    pub(super) fn of(record: &ServiceRecord) -> Self {
        match &record.deployed {
            Some(deployed) if deployed.goes_on() => Self::Deploy(deployed.revision.hash),
            Some(_) => Self::Any,
            None => Self::Nothing,
        }
    }

    fn is_met_by(self, revision: RevisionHash) -> bool {
        match self {
            Self::Deploy(wanted) => wanted == revision,
            Self::Any => true,
            Self::Nothing => false,
        }
    }
}

/// Whether a hold is what is wanted: running and healthy, at the wanted revision.
pub(super) fn is_right(hold: &Hold, wanted: Standard) -> bool {
    is_healthy(hold) && wanted.is_met_by(hold.revision)
}

/// Whether it runs and is healthy, at whatever revision.
pub(super) fn is_healthy(hold: &Hold) -> bool {
    hold.state == InstanceState::Running && hold.health == Health::Healthy
}

/// The order of several holders of one instance: the smallest keeps it.
pub(super) type Rank = (bool, u64, Reverse<u64>);

/// A holder that is about to replace its container will be right again, and keeps its rank meanwhile.
/// If it lost it to another, it would start the old container again, be right by that, and begin the
/// replacement anew.
pub(super) fn rank(hold: &Hold, wanted: Standard, rendezvous: u64) -> Rank {
    let wrong = !is_right(hold, wanted) && !hold.updating;
    (wrong, hold.epoch, Reverse(rendezvous))
}

/// Which of several nodes keeps a stateless instance that all of them hold: the one that runs it
/// healthy at the wanted revision or is replacing its container, then the one of the lower epoch, then
/// the one of the higher score.
///
/// Leave out the nodes that are absent or not eligible: their holds count for nothing.
pub fn winner<'a>(
    instance: &InstanceId,
    wanted: RevisionHash,
    holders: impl IntoIterator<Item = (&'a NodeId, &'a Hold)>,
) -> Option<NodeId> {
    let service = score::service_hash(&instance.service);
    let hash = score::instance_hash(service, instance.number);
    let ranked = holders.into_iter().map(|(node, hold)| {
        let rendezvous = score::rendezvous(hash, score::node_hash(node));
        (rank(hold, Standard::Deploy(wanted), rendezvous), *node)
    });
    ranked.min().map(|(_, node)| node)
}
