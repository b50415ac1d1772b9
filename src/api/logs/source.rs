//! A log that is followed: how far it was read, and when it is opened again after its end.
//!
//! An engine ends a followed log when the container stops, and the same container may start again; a stream between
//! two nodes may break.

use std::cmp::Ordering;
use std::time::Duration;

use kontena_core::time::WallTime;
use tokio::time::Instant;

use super::{Range, Wanted};
use crate::api::backend::{LogLine, LogOptions};
use crate::api::types::log::{LogEntry, MissingLog};

/// From the end of a log until it is opened again; twice as long after each time that gave no line.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// A container that is said to run since a moment has written before it: it is looked at now and then.
const SEEN_WITHIN: u64 = 10_000;

pub(super) struct Source {
    wanted: Wanted,
    /// How it was opened at first.
    first: LogOptions,
    /// `None` until there was a line.
    mark: Option<Mark>,
    /// Since when it may be opened again; `None` while it is open.
    ended: Option<Instant>,
    pause: Duration,
    /// Whether it gave a line since it was opened.
    has_spoken: bool,
    /// Whether it was told that it cannot be read: once, until there is a line again.
    has_failed: bool,
    /// Whether it can be read, by the newest view.
    is_there: bool,
}

impl Source {
    /// One that is opened now.
    pub(super) fn new(wanted: Wanted, first: LogOptions) -> Self {
        Self {
            wanted,
            first,
            mark: None,
            ended: None,
            pause: FIRST_PAUSE,
            has_spoken: false,
            has_failed: false,
            is_there: true,
        }
    }

    /// A line of it; `None` for one that was given already, or that nobody wants.
    pub(super) fn line(&mut self, line: LogLine, range: &Range) -> Option<LogEntry> {
        let is_new = match &mut self.mark {
            Some(mark) => mark.takes(line.nanos),
            None => {
                self.mark = Some(Mark::at(line.nanos));
                true
            }
        };
        if !is_new {
            return None;
        }
        self.has_spoken = true;
        self.has_failed = false;
        self.wanted.entry(line, range)
    }

    /// It cannot be read; `None` where that was told.
    pub(super) fn fail(&mut self, problem: String) -> Option<MissingLog> {
        let is_told = std::mem::replace(&mut self.has_failed, true);
        (!is_told).then(|| self.wanted.missing(problem))
    }

    pub(super) fn end(&mut self, now: Instant) {
        self.pause = match self.has_spoken {
            true => FIRST_PAUSE,
            false => (self.pause * 2).min(LAST_PAUSE),
        };
        self.ended = Some(now + self.pause);
    }

    /// No newer view knows of it, until it is [`Self::seen`] there.
    pub(super) fn unseen(&mut self) {
        self.is_there = false;
    }

    pub(super) fn seen(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        self.is_there = true;
    }

    /// Whether it may be forgotten.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some() && !self.is_there
    }

    /// When it may be opened again; `None` while it is open, or its container does not run.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.ended
            .filter(|_| self.is_there && self.wanted.is_running)
    }

    /// It is opened again: with what is to be read.
    pub(super) fn reopen(&mut self, range: &Range) -> LogOptions {
        self.ended = None;
        self.has_spoken = false;
        let rest = |since| LogOptions {
            tail: None,
            since,
            follow: true,
        };
        match &mut self.mark {
            Some(mark) => {
                mark.seen = 0;
                mark.catches_up = true;
                rest(Some(WallTime(mark.nanos / 1_000_000)))
            }
            None if self.has_failed => self.first,
            // It may have had lines that nobody wanted to see.
            None if self.first.tail == Some(0) => {
                let since = self.wanted.since.0.saturating_sub(SEEN_WITHIN);
                rest(Some(WallTime(since)))
            }
            // It was empty.
            None => rest(self.first.since.or(range.since_wall())),
        }
    }
}

/// How far a log was read: lines have no other number than their time, which several may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// Of the latest line.
    nanos: u64,
    /// How many lines of that time were given, and how many were read since the log was opened.
    given: usize,
    seen: usize,
    /// Whether what is read may have been given.
    catches_up: bool,
}

impl Mark {
    fn at(nanos: u64) -> Self {
        Self {
            nanos,
            given: 1,
            seen: 1,
            catches_up: false,
        }
    }

    /// Whether a line of this time is new.
    fn takes(&mut self, nanos: u64) -> bool {
        match nanos.cmp(&self.nanos) {
            // A clock was set back, or the lines of two streams passed each other.
            Ordering::Less => !self.catches_up,
            Ordering::Equal => {
                self.seen += 1;
                let is_new = self.seen > self.given;
                self.given = self.given.max(self.seen);
                is_new
            }
            Ordering::Greater => {
                *self = Self::at(nanos);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_time_are_given_once_each_whenever_the_log_breaks() {
        let times = [1, 1, 1, 2, 3, 3];
        for broken in 1..times.len() {
            let mut mark = Mark::at(times[0]);
            let mut given = 1;
            for nanos in &times[1..broken] {
                given += usize::from(mark.takes(*nanos));
            }
            mark.seen = 0;
            mark.catches_up = true;
            for nanos in times {
                given += usize::from(mark.takes(nanos));
            }
            assert_eq!(given, times.len(), "broken after {broken}");
        }
    }
}
