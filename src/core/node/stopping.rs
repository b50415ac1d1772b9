//! Stopping: whoever waits for an answer gets it, then the others are asked for patience.
//!
//! What was not begun is refused at once. What was begun is carried through, within [`ANSWERS_WITHIN`]: a
//! change that is being saved, an `init`, a `join`, a `leave`. Of what is not done by then nobody can say
//! how it ends, because the disk goes on with what it was given; the answer says so.
//!
//! The containers run on. A restart that was announced costs no takeover; it is announced last, because
//! whoever hears the node go on takes the restart to be over.

use std::time::Duration;

use crate::command::{CommandId, Refusal};
use crate::keys::KeyRefusal;
use crate::time::{Instant, Now};

use super::leaving::Leave;
use super::writing::SECOND_DISK;
use super::{Node, Output, Phase};

/// How long answers may hold up the end: the wait for a second disk, and a slow disk here.
const ANSWERS_WITHIN: Duration = SECOND_DISK.saturating_add(Duration::from_secs(1));

/// How far the end of this boot has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stopping {
    #[default]
    No,
    /// What was begun is carried through, until then at the latest; nothing else is begun.
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
    /// Begins the end of this boot: refuses what waits for its turn.
    pub(super) fn stop(&mut self, now: Now) {
        if self.is_stopping() {
            return;
        }
        let until = now.monotonic + ANSWERS_WITHIN;
        self.stopping = Stopping::Answering { until };
        for job in self.writing.take_queued() {
            self.answer(job, Err(Refusal::Stopping), now);
        }
        self.refuse_keys(&KeyRefusal::Stopping);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping != Stopping::No
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.stopping == Stopping::Stopped
    }

    /// Whether containers are still started, stopped and removed: a node that leaves has to stop what it
    /// runs; anything else the next boot does better than one that ends in the middle of it.
    pub(super) fn begins_actions(&self) -> bool {
        !self.is_stopping() || self.joining.leave.is_some()
    }

    /// Ends this boot once everybody is answered.
    pub(super) fn finish_stopping(&mut self, now: Now) {
        let Stopping::Answering { until } = self.stopping else {
            return;
        };
        if self.owes_answers() && now.monotonic < until {
            return;
        }
        self.answer_all(now);
        self.stopping = Stopping::Stopped;
        if self.phase == Phase::Member {
            self.own.announce_restart();
            self.report(now);
        }
        self.push(Output::Stopped);
    }

    fn owes_answers(&self) -> bool {
        self.writing.owes_answers()
            || self.key_store.owes_answers()
            || self.unfinished().next().is_some()
    }

    /// The commands that are under way and write nothing by themselves as a job does.
    fn unfinished(&self) -> impl Iterator<Item = CommandId> {
        let leave = self.joining.leave.as_ref().map(Leave::command);
        let commands = self.saving.commands().chain(leave);
        commands.chain(self.joining.asking())
    }

    /// Answers everybody as well as is known now.
    fn answer_all(&mut self, now: Now) {
        self.answer_waiting(|_| true);
        self.leave_keys_unconfirmed();
        if let Some(job) = self.writing.take_saving() {
            self.answer(job, Err(Refusal::Unconfirmed), now);
        }
        let unfinished: Vec<CommandId> = self.unfinished().collect();
        for command in unfinished {
            self.reply(command, Err(Refusal::Unconfirmed));
        }
    }
}
