//! What runs of a service, what becomes of its deploy, and the deploys before it.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Revision;
use crate::id::{NodeId, RevisionHash};
use crate::stack::{FrozenImage, Strategy};
use crate::time::WallTime;

/// The deploy of record.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    pub revision: Revision,
    /// Which deploy this is: the lamport clock of the change that asked for it, or one more than that of
    /// the deploy that it takes back. `deploy --force` and `restart` raise it while the revision stays; a
    /// container of a lower one is replaced.
    pub generation: u64,
    /// Wall time of the command, or of the halt, for display.
    pub at: WallTime,
    /// What ran before and did not fail; `None` where nothing did.
    pub previous: Option<Revision>,
    /// Nobody goes on with it.
    pub halt: Option<Halt>,
    /// Those that wait for the first few may follow.
    pub promoted: bool,
    /// The deploy that this one takes back.
    pub takes_back: Option<TakenBack>,
    /// Where it takes one back: what runs of its revision and was not replaced yet is right, of whatever deploy from
    /// this one on. An older one is of an earlier service of the name.
    pub keeps_from: Option<u64>,
}

impl Deployed {
    /// A deploy that nothing became of yet.
    pub fn new(revision: Revision, generation: u64, at: WallTime) -> Self {
        Self {
            revision,
            generation,
            at,
            previous: None,
            halt: None,
            promoted: false,
            takes_back: None,
            keeps_from: None,
        }
    }

    /// Of a service with so many instances: where all are among the first few, nobody waits.
    pub(crate) fn of(mut self, instances: u32) -> Self {
        let service = self.revision.service.as_ref().ok();
        let canary = service.and_then(|service| {
            let is_counted = service.deploy.strategy != Strategy::Daemon;
            service.deploy.canary.filter(|_| is_counted)
        });
        self.promoted |= canary.is_some_and(|canary| canary.get() >= instances);
        self
    }

    /// Whether every instance is to run it: nobody halted it, and nobody has to promote it first.
    pub fn goes_on(&self) -> bool {
        self.halt.is_none() && self.canary().is_none()
    }

    /// Whether what runs of a deploy is right: of this one, of a newer one that only others know, or, where this one
    /// takes another back, of the same revision and never replaced by that one.
    pub fn is_met_by(&self, revision: &RevisionHash, generation: u64) -> bool {
        match generation.cmp(&self.generation) {
            Ordering::Greater => true,
            Ordering::Equal => *revision == self.revision.hash,
            Ordering::Less => {
                let is_kept = self.keeps_from.is_some_and(|from| generation >= from);
                is_kept && *revision == self.revision.hash
            }
        }
    }

    /// So many instances are replaced while nobody promoted it; `None` where nothing waits for that.
    pub fn canary(&self) -> Option<u32> {
        let service = self.revision.service.as_ref().ok()?;
        let canary = service.deploy.canary.filter(|_| self.previous.is_some())?;
        (!self.promoted).then_some(canary.get())
    }
}

/// A deploy that all go back from.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenBack {
    pub revision: Revision,
    pub generation: u64,
    pub halt: Halt,
}

/// Why nobody goes on with a deploy. It stays so: what is wanted instead is another deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    pub cause: HaltCause,
    /// The node that wrote it down.
    pub by: NodeId,
    pub at: WallTime,
}

/// What a halt is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HaltCause {
    /// This instance failed at it.
    Failed { number: u32, problem: String },
    /// Somebody said so.
    Aborted,
}

impl HaltCause {
    /// The most of a problem that is kept, in bytes: it has room for what failed, and for the ten lines of 200 bytes that the
    /// container wrote last.
    pub const MAX_PROBLEM: usize = 2400;

    /// `problem` is cut to [`HaltCause::MAX_PROBLEM`]: what failed comes first, and of what was written the last counts.
    pub fn failed(number: u32, problem: &str) -> Self {
        Self::Failed {
            number,
            problem: cut_in_the_middle(problem, Self::MAX_PROBLEM),
        }
    }
}

/// The beginning and the end of a text, of `most` bytes at most.
fn cut_in_the_middle(text: &str, most: usize) -> String {
    const CUT: &str = " … ";
    if text.len() <= most {
        return text.to_owned();
    }
    let beginning = text.floor_char_boundary(most / 5);
    let end = text.ceil_char_boundary(text.len() - (most - beginning - CUT.len()));
    [&text[..beginning], CUT, &text[end..]].concat()
}

impl fmt::Display for HaltCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { number, problem } => write!(f, "instance {number} failed: {problem}"),
            Self::Aborted => f.write_str("it was aborted"),
        }
    }
}

/// An order to deploy, the one in force or one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployRecord {
    pub generation: u64,
    pub revision: RevisionHash,
    /// Counts along the service's history.
    pub number: u64,
    /// What the name of its image meant, if that was known.
    pub image: Option<FrozenImage>,
    pub at: WallTime,
    /// The node that took the command.
    pub by: NodeId,
    pub halt: Option<Halt>,
    /// All went back from it.
    pub is_taken_back: bool,
}

impl DeployRecord {
    /// So many of a service are listed (Kontena keeps a hundred).
    pub const MAX: usize = 100;
}
