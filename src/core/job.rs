//! What a node remembers of a job's runs: its ledger, which is part of its report.
//!
//! The ledger says which slots are decided. It only grows: a slot that is in it, or before its end, is never run again by this
//! node, whatever its clock says (but see [`CLOCK_WRONG_BY`]). A slot is written into it, and it to the disk, before
//! the job's container is made.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::EnvelopeHash;
use crate::schedule::Slot;
use crate::time::WallTime;

/// So many runs of one instance are remembered, the newest; slots that were missed in a row are one.
pub const MAX_RUNS: usize = 20;

/// A clock that stands this far before the last slot that was decided was wrong then, and is right now: its slots are run
/// again. Less than that is waited for.
pub const CLOCK_WRONG_BY: Duration = Duration::from_secs(24 * 3600);

/// The runs of one instance on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The change that created the service: one of the same name that was created anew begins anew.
    pub creation: EnvelopeHash,
    /// Every slot up to this time is decided.
    pub until: WallTime,
    /// By their slots, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
}

/// What became of a slot, or of several that were missed in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Of several the first.
    pub slot: Slot,
    #[serde(flatten)]
    pub state: RunState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It is to be run, and was not seen running yet.
    Starting,
    Running {
        since: WallTime,
        /// It is to end, and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stops: Option<Stop>,
    },
    Ended {
        /// `None` where nobody saw it begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<WallTime>,
        at: WallTime,
        exit_code: i64,
        /// Why it was stopped; `None` where it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stopped: Option<Stop>,
        /// What it wrote last, if it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<String>,
    },
    /// Its container could not be made or started.
    NotStarted { at: WallTime, problem: String },
    /// It was to run, and nothing of it was found: whether it ran nobody knows.
    Lost,
    Missed {
        why: Missed,
        /// So many slots; [`crate::schedule::MAX_COUNTED`] is that many or more.
        count: u32,
        /// The last of them, or a time behind it.
        until: WallTime,
    },
}

/// Why a run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It took longer than it may.
    TimeLimit,
    /// The next slot had come.
    Replaced,
    /// Its service was stopped or removed, or is another node's now.
    Asked,
}

/// Why a slot was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// The daemon did not run, or had only begun; or its host stood still.
    Away,
    /// The node was drained.
    Drained,
    /// The run before went on.
    Busy,
    /// The image was not there.
    Image,
    /// The engine did not work.
    Engine,
    /// The slot could not be written down.
    Disk,
    /// The network of containers was not ready.
    Network,
}

impl Missed {
    pub fn words(self) -> &'static str {
        match self {
            Self::Away => "the node was away",
            Self::Drained => "the node was drained",
            Self::Busy => "the run before it went on",
            Self::Image => "the image was not there",
            Self::Engine => "the Docker engine did not work",
            Self::Disk => "the disk could not be written",
            Self::Network => "the network of containers was not ready",
        }
    }
}

impl Stop {
    pub fn words(self) -> &'static str {
        match self {
            Self::TimeLimit => "it took longer than its time limit",
            Self::Replaced => "the next run replaced it",
            Self::Asked => "it was stopped",
        }
    }
}

impl RunState {
    /// Whether something of it may be running.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Starting | Self::Running { .. } => true,
            Self::Ended { .. } | Self::NotStarted { .. } | Self::Lost | Self::Missed { .. } => {
                false
            }
        }
    }

    /// Whether its slot was used up: by a run, or by one that may have been.
    pub fn is_run(&self) -> bool {
        !matches!(self, Self::Missed { .. })
    }
}

impl Ledger {
    /// Of an instance that this node never had before: what is past is not its own.
    pub fn new(creation: EnvelopeHash, now: WallTime) -> Self {
        Self {
            creation,
            until: now,
            runs: Vec::new(),
        }
    }

    /// The newest slot that was, or may have been, run here.
    pub fn last_run(&self) -> Option<Slot> {
        let mut runs = self.runs.iter().filter(|run| run.state.is_run());
        runs.next_back().map(|run| run.slot)
    }

    pub fn get(&self, slot: Slot) -> Option<&Run> {
        self.runs.iter().find(|run| run.slot == slot)
    }

    pub fn state_of(&mut self, slot: Slot) -> Option<&mut RunState> {
        let mut runs = self.runs.iter_mut();
        runs.find(|run| run.slot == slot).map(|run| &mut run.state)
    }

    /// Those of which something may be running.
    pub fn open(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.state.is_open())
    }

    /// This slot is to be run.
    pub fn begin(&mut self, slot: Slot) {
        self.decide(Run {
            slot,
            state: RunState::Starting,
        });
    }

    /// A run that is not in it is there all the same: the ledger is of an older disk.
    pub fn adopt(&mut self, slot: Slot) {
        if self.get(slot).is_none() {
            self.begin(slot);
            self.runs.sort_by_key(|run| run.slot);
        }
    }

    /// So many slots from this one on, up to a time, are not run.
    pub fn miss(&mut self, first: Slot, count: u32, until: WallTime, why: Missed) {
        self.until = self.until.max(until);
        if let Some(Run {
            state:
                RunState::Missed {
                    why: last,
                    count: before,
                    until: last_until,
                },
            ..
        }) = self.runs.last_mut()
            && *last == why
        {
            *before = before
                .saturating_add(count)
                .min(crate::schedule::MAX_COUNTED);
            *last_until = until.max(*last_until);
            return;
        }
        let state = RunState::Missed { why, count, until };
        self.decide(Run { slot: first, state });
    }

    /// The clock was ahead by so much that its slots are run again.
    pub fn turn_back(&mut self, now: WallTime) -> bool {
        let wrong_by = self.until.0.saturating_sub(now.0);
        let was_wrong = u128::from(wrong_by) > CLOCK_WRONG_BY.as_millis();
        if was_wrong {
            self.until = now;
        }
        was_wrong
    }

    /// What another copy of this ledger knows is taken over: that of an older disk is behind it.
    pub fn merge(&mut self, other: &Self) {
        if self.creation != other.creation {
            return;
        }
        self.until = self.until.max(other.until);
        for run in &other.runs {
            match self.state_of(run.slot) {
                None => self.runs.push(run.clone()),
                // It knows how that ended.
                Some(state) if state.is_open() => *state = run.state.clone(),
                Some(_) => {}
            }
        }
        self.runs.sort_by_key(|run| run.slot);
        self.forget_beyond(MAX_RUNS);
    }

    fn decide(&mut self, run: Run) {
        self.until = self.until.max(run.slot.time());
        self.runs.push(run);
        self.forget_beyond(MAX_RUNS);
    }

    /// So many are remembered; what runs always is.
    pub fn forget_beyond(&mut self, most: usize) {
        while self.runs.len() > most {
            let Some(oldest) = self.runs.iter().position(|run| !run.state.is_open()) else {
                return;
            };
            self.runs.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(EnvelopeHash([1; 32]), WallTime(1_000))
    }

    #[test]
    fn slots_that_are_missed_in_a_row_for_one_reason_are_one_line() {
        let mut ledger = ledger();
        ledger.miss(Slot(2_000), 3, WallTime(4_000), Missed::Away);
        ledger.miss(Slot(5_000), 1, WallTime(5_000), Missed::Away);
        ledger.miss(Slot(6_000), 1, WallTime(6_000), Missed::Busy);
        let missed: Vec<(u64, &RunState)> = ledger
            .runs
            .iter()
            .map(|run| (run.slot.0, &run.state))
            .collect();
        let line = |why, count, until| RunState::Missed {
            why,
            count,
            until: WallTime(until),
        };
        assert_eq!(
            missed,
            [
                (2_000, &line(Missed::Away, 4, 5_000)),
                (6_000, &line(Missed::Busy, 1, 6_000))
            ]
        );
        assert_eq!(ledger.until, WallTime(6_000));
        assert_eq!(ledger.last_run(), None);
    }

    #[test]
    fn the_newest_runs_are_remembered_and_what_runs_always() {
        let mut ledger = ledger();
        for slot in 1..=100 {
            ledger.begin(Slot(slot * 1_000));
            if slot != 1 {
                *ledger.state_of(Slot(slot * 1_000)).unwrap() = RunState::Lost;
            }
        }
        assert_eq!(ledger.runs.len(), MAX_RUNS);
        let slots: Vec<u64> = ledger.runs.iter().map(|run| run.slot.0 / 1_000).collect();
        assert_eq!(slots[..3], [1, 82, 83]);
        assert_eq!(ledger.last_run(), Some(Slot(100_000)));
    }

    #[test]
    fn a_clock_that_was_a_day_ahead_was_wrong_and_one_that_was_an_hour_ahead_is_waited_for() {
        let mut ledger = ledger();
        let hour = 3_600_000;
        ledger.begin(Slot(30 * hour));
        assert!(!ledger.turn_back(WallTime(29 * hour)));
        assert!(!ledger.turn_back(WallTime(6 * hour)), "a day exactly");
        assert_eq!(ledger.until, WallTime(30 * hour));
        assert!(ledger.turn_back(WallTime(5 * hour)));
        assert_eq!(ledger.until, WallTime(5 * hour));
    }

    #[test]
    fn a_ledger_of_an_older_disk_learns_what_others_have_of_it() {
        let mut old = ledger();
        old.begin(Slot(2_000));
        let mut new = old.clone();
        *new.state_of(Slot(2_000)).unwrap() = RunState::Lost;
        new.begin(Slot(9_000));
        old.merge(&new);
        assert_eq!(old.until, WallTime(9_000));
        assert_eq!(old.runs.len(), 2);
        let mut other = ledger();
        other.creation = EnvelopeHash([2; 32]);
        other.merge(&new);
        assert_eq!(other.runs, []);
    }

    #[test]
    fn a_ledger_is_read_as_it_is_written() {
        let mut ledger = ledger();
        ledger.begin(Slot(2_000));
        *ledger.state_of(Slot(2_000)).unwrap() = RunState::Ended {
            since: Some(WallTime(2_100)),
            at: WallTime(2_900),
            exit_code: 1,
            stopped: Some(Stop::TimeLimit),
            words: None,
        };
        ledger.miss(Slot(3_000), 2, WallTime(5_000), Missed::Drained);
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    }
}
