//! A node that wants a lease, or has it: whom it asks, what it was answered, and how long it may count on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::id::NodeId;
use crate::time::Instant;

use super::{LeaseAnswer, LeaseAsk, LeaseId, RENEWED_EVERY, TenureId, USABLE, Verdict};

/// Questions whose answers still count for something: later ones replace them long before.
const MAX_ROUNDS: usize = 32;

/// What a witness knows may be higher by so much than what others know; more is taken for a lie.
const LEAP: u64 = 1 << 20;

/// Whoever does not have it asks after so long: it may have been let go.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// One node's hold on one lease.
#[derive(Clone, Debug)]
pub struct Tenure {
    id: TenureId,
    lease: LeaseId,
    witnesses: BTreeSet<NodeId>,
    /// 0 until it is known what was granted before.
    epoch: u64,
    /// When it asked, by the number of the question.
    asked: BTreeMap<u64, Instant>,
    /// When the newest question of this epoch was asked that a witness granted.
    granted: BTreeMap<NodeId, Instant>,
    /// When each answered last, whatever it said.
    heard: BTreeMap<NodeId, Instant>,
    /// What a witness said last that the next epoch has to be above.
    refused: BTreeMap<NodeId, u64>,
    asks_next: Instant,
    /// Until then a witness that has not answered under this epoch may still.
    waits_for_all_until: Instant,
    since: Instant,
}

/// How many witnesses of how many grant it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turnout {
    pub granted: usize,
    pub witnesses: usize,
}

impl fmt::Display for Turnout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} witnesses", self.granted, self.witnesses)
    }
}

impl Tenure {
    pub fn new(id: TenureId, lease: LeaseId, witnesses: BTreeSet<NodeId>, now: Instant) -> Self {
        Self {
            id,
            lease,
            witnesses,
            epoch: 0,
            asked: BTreeMap::new(),
            granted: BTreeMap::new(),
            heard: BTreeMap::new(),
            refused: BTreeMap::new(),
            asks_next: now,
            waits_for_all_until: now + ASKED_EVERY,
            since: now,
        }
    }

    pub fn id(&self) -> TenureId {
        self.id
    }

    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn witnesses(&self) -> &BTreeSet<NodeId> {
        &self.witnesses
    }

    /// Since when it is wanted here.
    pub fn since(&self) -> Instant {
        self.since
    }

    fn majority(&self) -> usize {
        self.witnesses.len() / 2 + 1
    }

    /// Until when no majority of the witnesses gives it to anybody else, counted from when they were asked: that of the
    /// majority's oldest question. `None` where no majority ever granted it. It may be over.
    pub fn until(&self) -> Option<Instant> {
        let mut asked: Vec<Instant> = self.granted.values().copied().collect();
        asked.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = asked.get(self.majority() - 1)?;
        Some(*oldest + USABLE)
    }

    /// When a majority of the witnesses had answered last, each its newest answer; `None` before.
    pub fn answered_by_majority(&self) -> Option<Instant> {
        let mut heard: Vec<Instant> = self.heard.values().copied().collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        heard.get(self.majority() - 1).copied()
    }

    pub fn is_held(&self, now: Instant) -> bool {
        self.until().is_some_and(|until| now < until)
    }

    pub fn turnout(&self, now: Instant) -> Turnout {
        let granted = self.granted.values();
        Turnout {
            granted: granted.filter(|asked| now < **asked + USABLE).count(),
            witnesses: self.witnesses.len(),
        }
    }

    pub fn next_wake(&self) -> Instant {
        self.asks_next
    }

    /// What to ask each witness now, under a number that was never used before in this boot or another.
    pub fn ask(&mut self, round: u64, now: Instant) -> Option<LeaseAsk> {
        if now < self.asks_next {
            return None;
        }
        self.asks_next = now
            + if self.is_held(now) {
                RENEWED_EVERY
            } else {
                ASKED_EVERY
            };
        self.asked.insert(round, now);
        while self.asked.len() > MAX_ROUNDS {
            self.asked.pop_first();
        }
        Some(LeaseAsk {
            lease: self.lease,
            tenure: self.id,
            epoch: self.epoch,
            round,
        })
    }

    /// What a witness answered. Answers of others, of other epochs, and to questions that are forgotten say nothing.
    pub fn answered(&mut self, from: NodeId, answer: LeaseAnswer, now: Instant) {
        if self.witnesses.contains(&from) {
            self.heard.insert(from, now);
        }
        let is_ours = self.witnesses.contains(&from) && answer.epoch == self.epoch;
        let Some(asked) = self.asked.get(&answer.round).filter(|_| is_ours) else {
            return;
        };
        match answer.verdict {
            Verdict::Granted => {
                self.refused.remove(&from);
                let newest = self.granted.entry(from).or_insert(*asked);
                *newest = (*newest).max(*asked);
            }
            // It may be late: what was granted since then holds.
            Verdict::Refused { .. } if self.granted.get(&from).is_some_and(|at| at >= asked) => {}
            Verdict::Refused { highest } => {
                self.refused.insert(from, highest);
                if !self.is_held(now) {
                    self.granted.remove(&from);
                    self.go_above(now);
                }
            }
        }
    }

    /// Where too many refuse for a majority under this epoch, the next one is above what they know: above at a majority,
    /// so that one witness which claims to know a number beyond all others raises nothing while the others answer.
    fn go_above(&mut self, now: Instant) {
        let answered = self.granted.len() + self.refused.len();
        let is_heard = answered >= self.witnesses.len() || now >= self.waits_for_all_until;
        let needed = self.majority().saturating_sub(self.granted.len());
        let mut highest: Vec<u64> = self.refused.values().copied().collect();
        highest.sort_unstable();
        let enough = needed
            .checked_sub(1)
            .and_then(|at| highest.get(at).copied());
        let Some(enough) = enough.filter(|enough| is_heard && *enough >= self.epoch) else {
            return;
        };
        // Above all of them if that is near: else the one that is above would refuse for as long as this tenure lasts.
        let mut near = highest.into_iter().rev();
        let near = near.find(|highest| *highest <= enough.saturating_add(LEAP));
        let above = near.unwrap_or(enough);
        self.epoch = above.saturating_add(1);
        self.granted.clear();
        self.refused.clear();
        self.asked.clear();
        self.asks_next = now;
        self.waits_for_all_until = now + ASKED_EVERY;
    }
}
