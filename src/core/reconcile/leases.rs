//! What a singleton may do by the lease that this node has, or has not.
//!
//! Without one it rests, whatever placement says; the fence sees to it where nobody looks any more. Not here: how the
//! lease is got and kept ([`crate::lease`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::{InstanceId, NodeId};
use crate::lease::{FenceTag, Fenced, KILLED_BEFORE, LeaseId, STARTS_WITH, STOPS_WITHIN, Turnout};
use crate::time::Instant;

use super::wanted::Wanted;

/// A node that waits for so long for a lease lets another one try: the witnesses may hear that one.
const GIVES_UP_AFTER: Duration = Duration::from_secs(60);

/// Who grants the lease of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    pub lease: LeaseId,
    pub witnesses: BTreeSet<NodeId>,
}

/// Why this node needs a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseNeed {
    /// To start something.
    Wants(LeaseTerms),
    /// Something runs under it, or may, that is to be gone.
    Runs {
        /// Whether the engine shows it.
        is_seen: bool,
    },
}

/// A lease that this node asks for, and how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub lease: LeaseId,
    /// By which the fence knows what runs under it here.
    pub tag: FenceTag,
    pub epoch: u64,
    /// `None`: it never had it.
    pub until: Option<Instant>,
    pub turnout: Turnout,
    /// Since when it asks.
    pub since: Instant,
    /// Whether this node hears of a majority of the witnesses, so that another one might be granted what it is not.
    pub hears_majority: bool,
    /// When a majority of them had answered last, whatever they said.
    pub answered: Option<Instant>,
}

/// All that is known of leases here.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    held: BTreeMap<InstanceId, Held>,
    fence: Option<Result<(), String>>,
    recalls_until: Instant,
    /// Since when the fence does not do its work.
    unfenced_since: Option<Instant>,
}

/// Whether a leased instance may run, and until when nothing is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// No lease is needed.
    Free,
    /// Ask again then.
    Until(Instant),
    /// It is stopped, if it runs, before this: then the fence does it.
    Denied { why: String, killed_at: Instant },
}

impl Leases {
    pub(super) fn set(
        &mut self,
        held: BTreeMap<InstanceId, Held>,
        fence: Option<Result<(), String>>,
        recalls_until: Instant,
        now: Instant,
    ) -> bool {
        self.unfenced_since = match fence {
            Some(Err(_)) => self.unfenced_since.or(Some(now)),
            Some(Ok(())) | None => None,
        };
        let is_news =
            self.held != held || self.fence != fence || self.recalls_until != recalls_until;
        self.held = held;
        self.fence = fence;
        self.recalls_until = recalls_until;
        is_news
    }

    /// Whether what is held of an instance, if anything is, is on these terms.
    pub(super) fn is_of(&self, instance: &InstanceId, terms: &LeaseTerms) -> bool {
        let held = self.held.get(instance);
        held.is_none_or(|held| held.lease == terms.lease)
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &InstanceId> {
        self.held.keys()
    }

    /// By what the container of an instance is known to the fence.
    pub(super) fn fenced(&self, wanted: &Wanted) -> Option<Fenced> {
        let held = self.of(wanted)?;
        Some(Fenced {
            tag: held.tag,
            token: held.epoch,
        })
    }

    fn of(&self, wanted: &Wanted) -> Option<&Held> {
        let terms = wanted.lease.as_ref()?;
        let held = self.held.get(&wanted.instance);
        held.filter(|held| held.lease == terms.lease)
    }

    /// Whether an instance may run (`runs`: it does) or be started.
    pub(super) fn leave(&self, wanted: &Wanted, runs: bool, now: Instant) -> Leave {
        if wanted.lease.is_none() {
            return Leave::Free;
        }
        let held = self.of(wanted);
        let until = held.and_then(|held| held.until);
        // What ran before this boot runs on by what the fence was told then.
        let recalled = Some(self.recalls_until).filter(|_| runs && until.is_none());
        let spare = KILLED_BEFORE + if runs { STOPS_WITHIN } else { STARTS_WITH };
        let ends = until.or(recalled);
        let leave = ends.filter(|ends| now + spare < *ends);
        let killed_at = ends.map_or(now, |ends| earlier_by(ends, KILLED_BEFORE));
        match (leave, &self.fence) {
            (Some(ends), Some(Ok(()))) => Leave::Until(earlier_by(ends, spare)),
            (Some(ends), None) if recalled.is_some() => Leave::Until(earlier_by(ends, spare)),
            (Some(_), Some(Err(problem))) => Leave::Denied {
                why: format!("the fence process does not run: {problem}"),
                killed_at,
            },
            (Some(_), None) => Leave::Denied {
                why: "waits for the fence process".to_owned(),
                killed_at,
            },
            (None, _) => Leave::Denied {
                why: lacks(held),
                killed_at,
            },
        }
    }

    /// Whether this node asked so long in vain that another one should.
    pub(super) fn asks_in_vain(&self, wanted: &Wanted, now: Instant) -> bool {
        self.gives_up_at(wanted).is_some_and(|at| at <= now)
    }

    /// When it has asked for too long, since it began to or had it last.
    pub(super) fn gives_up_at(&self, wanted: &Wanted) -> Option<Instant> {
        if let Some(since) = self.unfenced_since {
            return Some(since + GIVES_UP_AFTER);
        }
        let held = self.of(wanted).filter(|held| held.hears_majority)?;
        // Whom they answer, and who waits for somebody else to let go, would wait elsewhere as well.
        let since = [held.until, held.answered].into_iter().flatten();
        let since = since.fold(held.since, Instant::max);
        Some(since + GIVES_UP_AFTER)
    }
}

fn lacks(held: Option<&Held>) -> String {
    match held {
        Some(held) => format!("waits for its lease: {} grant it", held.turnout),
        None => "waits for its lease".to_owned(),
    }
}

fn earlier_by(at: Instant, by: Duration) -> Instant {
    Instant::from_duration(at.since_start().saturating_sub(by))
}
