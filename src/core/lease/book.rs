//! What a witness has granted, and to whom it may grant next.
//!
//! What is granted to somebody new counts only once it is on the disk; going on with what is there needs no disk, because a
//! witness that begins anew takes whatever it finds there for granted just now.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::time::Instant;

use super::{HELD_FOR, LeaseAsk, LeaseId, LeaseName, TenureId};

/// What a witness answers. Times are by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Granted,
    /// Somebody else has it, or had it under this epoch or a higher one, or this witness has only begun. `highest`: what
    /// the next one's epoch has to be above.
    Refused {
        highest: u64,
    },
}

/// Who has which lease, by what one witness has on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    pub lease: LeaseId,
    pub holder: NodeId,
    pub tenure: TenureId,
    pub epoch: u64,
}

impl Granted {
    /// What is granted to `from` if it is granted what it asks for.
    pub fn of(from: NodeId, ask: &LeaseAsk) -> Self {
        Self {
            lease: ask.lease,
            holder: from,
            tenure: ask.tenure,
            epoch: ask.epoch,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    granted: Granted,
    /// Nobody else gets it before.
    until: Instant,
    /// Whether it is on the disk: it is not answered before.
    is_durable: bool,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Answer(Verdict),
    /// Answered [`Verdict::Granted`] once the book is on the disk ([`Book::saved`]).
    Write,
}

/// The grants of one witness.
#[derive(Clone, Debug)]
pub struct Book {
    entries: BTreeMap<LeaseName, Entry>,
    /// Before, nothing is granted to anybody new: what this witness granted before it began may not be over.
    opens: Instant,
}

impl Book {
    /// A witness that begins. What is `written` on its disk counts from now, for it may have been renewed just before.
    pub fn open(written: impl IntoIterator<Item = Granted>, now: Instant) -> Self {
        let opens = now + HELD_FOR;
        let entry = |granted| Entry {
            granted,
            until: opens,
            is_durable: true,
        };
        let written = written.into_iter();
        Self {
            entries: written
                .map(|granted: Granted| (granted.lease.name(), entry(granted)))
                .collect(),
            opens,
        }
    }

    /// A later life of this node is known, so its disk was set back: what that life granted is not in here, and nobody goes
    /// on with what is.
    pub fn distrust(&mut self, now: Instant) {
        self.opens = now + HELD_FOR;
        for entry in self.entries.values_mut() {
            entry.until = self.opens;
            entry.is_durable = false;
        }
    }

    /// Whether the disk has to be written for an answer is told by [`Decision`]; the book counts it as granted at once, so
    /// that nobody else gets it meanwhile.
    pub fn ask(&mut self, from: NodeId, ask: LeaseAsk, now: Instant) -> Decision {
        let granted = Granted::of(from, &ask);
        match self.entries.get_mut(&ask.lease.name()) {
            Some(entry) if entry.granted == granted && entry.is_durable => {
                entry.until = now + HELD_FOR;
                return Decision::Answer(Verdict::Granted);
            }
            // It was not on the disk the last time, or is not yet: it is written again, if it is let.
            Some(entry) if entry.granted == granted && now >= self.opens => {
                entry.until = now + HELD_FOR;
                return Decision::Write;
            }
            Some(_) | None => {}
        }
        if !self.may_grant(granted, now) {
            let entry = self.entries.get(&ask.lease.name());
            let highest = entry.map_or(0, |entry| entry.granted.epoch);
            return Decision::Answer(Verdict::Refused { highest });
        }
        let entry = Entry {
            granted,
            until: now + HELD_FOR,
            is_durable: false,
        };
        self.entries.insert(ask.lease.name(), entry);
        Decision::Write
    }

    /// Somebody new, or the holder anew.
    fn may_grant(&self, to: Granted, now: Instant) -> bool {
        let Some(entry) = self.entries.get(&to.lease.name()) else {
            return now >= self.opens && to.epoch > 0;
        };
        let is_over = entry.until <= now || entry.granted.holder == to.holder;
        now >= self.opens && is_over && to.epoch > entry.granted.epoch
    }

    /// Whether exactly this is granted, whatever the documents say by now: whoever stops in order needs it to the end.
    pub fn has(&self, from: NodeId, ask: &LeaseAsk) -> bool {
        let entry = self.entries.get(&ask.lease.name());
        entry.is_some_and(|entry| entry.granted == Granted::of(from, ask))
    }

    /// The holder's tenure is over: the next one need not wait.
    pub fn release(&mut self, from: NodeId, lease: LeaseId, tenure: TenureId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&lease.name())
            && entry.granted.lease == lease
            && (entry.granted.holder, entry.granted.tenure) == (from, tenure)
            && now >= self.opens
        {
            entry.until = now;
        }
    }

    /// What is to be on the disk: all of it.
    pub fn written(&self) -> Vec<Granted> {
        self.entries.values().map(|entry| entry.granted).collect()
    }

    /// It is on the disk that this was granted. Answers whether it still is granted: else nobody is to hear of it.
    pub fn saved(&mut self, granted: Granted) -> bool {
        match self.entries.get_mut(&granted.lease.name()) {
            Some(entry) if entry.granted == granted => {
                entry.is_durable = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Leases that are over and that nobody knows any more are forgotten; `knows` tells of one whether the documents have it.
    pub fn forget(&mut self, knows: impl Fn(&LeaseId) -> bool, now: Instant) {
        let kept_for = Duration::from_secs(3600);
        self.entries
            .retain(|_, entry| knows(&entry.granted.lease) || entry.until + kept_for > now);
    }

    /// Of how many leases it knows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
