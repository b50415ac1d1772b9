//! Takeover: who keeps an instance that two nodes hold, and who may take one whose holder is away.
//!
//! Both are answered from the view alone, so two sides of a split that have met again agree.
//!
//! Not here: when a node counts as absent (`membership`), when a loser may stop (`decide`).

use std::cmp::Reverse;
use std::fmt;

use crate::id::{InstanceId, NodeId, RevisionHash};
use crate::report::{Health, Hold, InstanceState};
use crate::stack::{OnReturn, Service, Takeover};
use crate::view::{Freshness, ServiceRecord, View};

use super::score;
use super::standard::Standard;
use super::survey::Survey;
use super::wanted::Wanted;
use super::{Wait, filter};

/// How many of the nodes that are eligible by the documents this side sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Fresh or late. A stale node may be on the other side of a split that has just begun.
    pub seen: usize,
    /// All but those that are gone, that is, absent for more than 24 h.
    pub eligible: usize,
    pub who: Counted,
}

/// Of whom at least half are to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Those that may run it.
    EligibleNodes,
    /// Those that grant its lease, whether they are gone or not.
    Witnesses,
}

impl Seen {
    /// At least half: so two nodes are highly available, and two equal sides both go on.
    pub fn is_enough(self) -> bool {
        2 * self.seen >= self.eligible
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Counted::EligibleNodes => "eligible nodes",
            Counted::Witnesses => "witnesses",
        };
        write!(f, "{} of {} {who}", self.seen, self.eligible)
    }
}

/// Of a service that runs under a lease its witnesses are counted instead: of three or five at least half is a majority, which
/// alone could grant it.
pub(super) fn seen(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32) -> Seen {
    let record = survey.view.documents.services.get(wanted.key);
    match record.filter(|_| wanted.service.is_leased()) {
        Some(record) => seen_witnesses(survey.view, record),
        None => seen_eligible(survey, wanted, number),
    }
}

fn seen_witnesses(view: &View, record: &ServiceRecord) -> Seen {
    let is_seen = |node: &&NodeId| view.freshness(node).is_online();
    Seen {
        seen: record.witnesses.iter().filter(is_seen).count(),
        eligible: record.witnesses.len(),
        who: Counted::Witnesses,
    }
}

fn seen_eligible(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32) -> Seen {
    let mut count = Seen {
        seen: 0,
        eligible: 0,
        who: Counted::EligibleNodes,
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

/// Why an instance of a holder that is away waits for it; `None` if this side may take it over.
pub(super) fn wait(view: &View, service: &Service, from: NodeId, seen: Seen) -> Option<Wait> {
    let offline = &service.deploy.offline;
    let absence = view.absence(&from);
    if absence.assumed_dead {
        let needs_half = offline.takeover != Takeover::Always;
        return (needs_half && !seen.is_enough()).then_some(Wait::TooFewSeen { from, seen });
    }
    let after = offline.replace_after();
    let is_patient = view.freshness(&from) != Freshness::Gone && absence.passed < after;
    match offline.takeover {
        Takeover::Never => Some(Wait::NotTakenOver { from }),
        Takeover::Half | Takeover::Always if is_patient => Some(Wait::TooEarly { from, after }),
        Takeover::Half if !seen.is_enough() => Some(Wait::TooFewSeen { from, seen }),
        Takeover::Half | Takeover::Always => None,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// It does not run healthy at the wanted revision, and is not about to.
    wrong: bool,
    /// What the service wants when a node comes back.
    return_order: (u8, u64),
    rendezvous: Reverse<u64>,
}

/// A holder that is about to replace its container will be right again, and keeps its rank meanwhile.
/// If it lost it to another, it would start the old container again, be right by that, and begin the
/// replacement anew.
pub(super) fn rank(hold: &Hold, wanted: Standard, on_return: OnReturn, rendezvous: u64) -> Rank {
    Rank {
        wrong: !is_right(hold, wanted) && !hold.updating,
        return_order: match on_return {
            OnReturn::KeepOriginal => (0, hold.epoch),
            OnReturn::KeepReplacement => (0, u64::MAX - hold.epoch),
            OnReturn::LongestRunning => (u8::MAX - hold.age, hold.epoch),
        },
        rendezvous: Reverse(rendezvous),
    }
}

/// Which of several nodes keeps a stateless instance that all of them hold: the one that runs it
/// healthy at the wanted revision or is replacing its container, then the one that the service wants to keep when a
/// node comes back (by itself the one of the lower epoch), then the one of the higher score.
///
/// Leave out the nodes that are absent or not eligible: their holds count for nothing.
pub fn winner<'a>(
    instance: &InstanceId,
    wanted: RevisionHash,
    on_return: OnReturn,
    holders: impl IntoIterator<Item = (&'a NodeId, &'a Hold)>,
) -> Option<NodeId> {
    let service = score::service_hash(&instance.service);
    let hash = score::instance_hash(service, instance.number);
    let ranked = holders.into_iter().map(|(node, hold)| {
        let rendezvous = score::rendezvous(hash, score::node_hash(node));
        (
            rank(hold, Standard::Deploy(wanted), on_return, rendezvous),
            *node,
        )
    });
    ranked.min().map(|(_, node)| node)
}
