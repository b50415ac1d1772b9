//! Leases: one holder at a time of a singleton, by a majority of named witnesses.
//!
//! Each witness grants a lease to one node at a time and for [`HELD_FOR`] after it granted last ([`Book`]); the holder
//! counts from when it *asked* ([`Tenure`]) and stops earlier than any witness forgets. Nobody else takes part: there is no
//! leader, no log, and what witnesses know is not replicated. The rule is the single-register quorum lock; the numbers
//! and what is assumed of clocks stand in `docs/design/leases.md`.
//!
//! Not here: who is to run the instance (`placement`), messages and the disk (`node/leasing.rs`), and what
//! ends containers where nobody decides any more ([`FenceTag`], an edge).

mod book;
mod fence;
mod tenure;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::{EnvelopeHash, NodeId, ServiceKey};

pub use book::{Book, Decision, Granted, Verdict};
pub use fence::{FenceTag, Fenced};
pub use tenure::{Tenure, Turnout};

/// For so long a granted request is good, by the clock of whoever asked, from when it asked.
pub const LENGTH: Duration = Duration::from_secs(20);

/// Two clocks may run apart by one part in so many.
pub const DRIFT: u32 = 20;

/// By the clock of whoever asked, what it may count on: a twentieth less, for a clock of its own that is slow.
pub const USABLE: Duration = Duration::from_secs(19);

/// By the clock of a witness, for how long it gives a lease to nobody else: a twentieth more, for a clock of its own that
/// is fast.
pub const HELD_FOR: Duration = Duration::from_secs(21);

const _: () =
    assert!(LENGTH.as_millis() == USABLE.as_millis() + LENGTH.as_millis() / DRIFT as u128);
const _: () =
    assert!(HELD_FOR.as_millis() == LENGTH.as_millis() + LENGTH.as_millis() / DRIFT as u128);

/// A holder asks again after so long: four times before the first that it counts on is over.
pub const RENEWED_EVERY: Duration = Duration::from_secs(4);

/// The fence kills what runs so long before the lease is over: killing takes a moment.
pub const KILLED_BEFORE: Duration = Duration::from_secs(2);

/// Stopping in order has at most so long: a longer grace is cut.
pub const STOPS_WITHIN: Duration = Duration::from_secs(4);

/// Nothing is started that could not also be stopped in order, with a little work in between.
pub const STARTS_WITH: Duration = Duration::from_secs(10);

/// So many bytes of a [`LeaseId`] are the service's name, and as many the life.
const NAME: usize = 16;

/// Which lease: of a service in one life of it, from one set of witnesses. Another set never counts for it. 16
/// bytes of the service's name, and 16 of the life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId([u8; 32]);

impl LeaseId {
    /// `creation`: the change that created the service.
    pub fn of(service: &ServiceKey, creation: EnvelopeHash, witnesses: &BTreeSet<NodeId>) -> Self {
        let mut life = Sha256::new();
        life.update(creation.0);
        for witness in witnesses {
            life.update(witness.0);
        }
        let name = Sha256::digest(service.to_string());
        let mut whole = [0; 32];
        whole[..NAME].copy_from_slice(&name[..NAME]);
        whole[NAME..].copy_from_slice(&life.finalize()[..NAME]);
        Self(whole)
    }

    fn name(&self) -> LeaseName {
        let (name, _) = self
            .0
            .split_first_chunk()
            .expect("32 bytes are more than 16");
        LeaseName(*name)
    }

    fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One time that one node has, or wants, a lease. No two of a node are alike: what was said of an earlier one, such as that
/// it is over, may come late and says nothing of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenureId(pub u64);

/// Of a service, in whatever life of it: that is what a witness gives to one node at a time. One life follows the other
/// where a service is created anew, and two were where two sides of a split created it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LeaseName([u8; NAME]);

/// What is said of a lease between a node that wants it and a witness. Any word may be lost, doubled or late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseWord {
    Ask(LeaseAsk),
    Answer(LeaseAnswer),
    /// The sender runs nothing under this lease, and will not in this tenure.
    Release {
        lease: LeaseId,
        tenure: TenureId,
    },
}

/// "Grant it to me, or go on to".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAsk {
    pub lease: LeaseId,
    /// Above every other that was granted for it, at a majority.
    pub epoch: u64,
    pub tenure: TenureId,
    /// Known to the sender alone, which counts from when it sent this: no two of a node are alike.
    pub round: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAnswer {
    pub lease: LeaseId,
    /// Of what is answered.
    pub round: u64,
    pub epoch: u64,
    pub verdict: Verdict,
}
