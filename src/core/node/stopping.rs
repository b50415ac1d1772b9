//! Stopping: whoever waits for an answer gets it, then the others are asked for patience.
//!
//! The containers run on. A restart that was announced costs no takeover; it is announced last, because
//! whoever hears the node go on takes the restart to be over.

use std::time::Duration;

use crate::time::{Instant, Now};

use super::writing::SECOND_DISK;
use super::{Node, Output, Phase};

/// How long answers may hold up the end: the wait for a second disk, and a slow disk here.
const ANSWERS_WITHIN: Duration = SECOND_DISK.saturating_add(Duration::from_secs(1));

/// How far the end of this boot has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stopping {
    #[default]
    No,
    /// Commands are still answered, until then at the latest.
    Answering {
        until: Instant,
    },
    Stopped,
}

impl Stopping {
    pub(super) fn next_wake(self) -> Option<Instant> {
        match self {
            Self::Answering { until } => Some(until),
            Self::No | Self::Stopped => None,
        }
    }
}

impl Node {
    pub(super) fn stop(&mut self, now: Now) {
        if self.stopping == Stopping::No {
            let until = now.monotonic + ANSWERS_WITHIN;
            self.stopping = Stopping::Answering { until };
        }
    }

    /// Ends this boot once everybody is answered.
    pub(super) fn finish_stopping(&mut self, now: Now) {
        let Stopping::Answering { until } = self.stopping else {
            return;
        };
        if self.writing.owes_answers() && now.monotonic < until {
            return;
        }
        self.stopping = Stopping::Stopped;
        self.answer_waiting(|_| true);
        if self.phase == Phase::Member {
            self.own.announce_restart();
            self.report(now);
        }
        self.push(Output::Stopped);
    }
}
