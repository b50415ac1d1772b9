//! When to try again: after a failed action, and after a crash.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::{Instant, WallTime};

/// How often the same thing may fail before other nodes are told that this one refuses it.
pub const FAILURES_BEFORE_REFUSAL: u32 = 3;

/// A container that was up for this long has started well: its crashes are forgotten (Kontena 1.4).
pub const STABLE_AFTER: Duration = Duration::from_secs(10);

/// So long crashes are remembered of an instance that this node does not hold any more, and failures of an image that
/// nobody needs: it may come back in a moment, and begins where it was. Twice the longest wait between two starts, and as much again.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(120);

/// So many crashes within [`CRASHES_WITHIN`] are reason to let another node try.
pub const CRASHES_BEFORE_REFUSAL: usize = 5;

/// See [`CRASHES_BEFORE_REFUSAL`].
pub const CRASHES_WITHIN: Duration = Duration::from_secs(300);

/// How long to wait after so many failures in a row: 1 s, 2 s, 4 s … up to 30 s, and after the
/// seventh a minute, because what failed for a minute will hardly work in the next.
pub fn retry_delay(failures: u32) -> Duration {
    Duration::from_secs(match failures {
        0 => 0,
        1..=5 => 1 << (failures - 1),
        6..=7 => 30,
        8.. => 60,
    })
}

/// How long to wait before a crashed container is started again: the square of its restarts in
/// seconds, at most 30 s (Kontena 1.4).
pub fn restart_delay(restarts: u32) -> Duration {
    Duration::from_secs(u64::from(restarts).saturating_pow(2).min(30))
}

/// What went wrong last, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setback {
    pub failures: u32,
    pub retry_at: Instant,
    pub problem: String,
    pub lesson: Lesson,
}

/// What a failure teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    /// Nobody knows what happened (the engine did not answer): nothing is concluded.
    Nothing,
    /// It failed, and may work the next time.
    Failed,
    /// It cannot work on this node as things are.
    NotHere,
}

impl Setback {
    /// One more failure after `previous`.
    pub(super) fn after(
        previous: Option<&Self>,
        problem: String,
        lesson: Lesson,
        now: Instant,
    ) -> Self {
        let failures = previous
            .map_or(0, |setback| setback.failures)
            .saturating_add(1);
        Self {
            failures,
            retry_at: now + retry_delay(failures),
            problem,
            lesson,
        }
    }

    /// Whether another node had better try.
    pub(super) fn is_reason_to_refuse(&self) -> bool {
        match self.lesson {
            Lesson::Nothing => false,
            Lesson::Failed => self.failures >= FAILURES_BEFORE_REFUSAL,
            Lesson::NotHere => true,
        }
    }

    /// Whether it is more than a passing doubt.
    pub(super) fn is_certain(&self) -> bool {
        match self.lesson {
            Lesson::Nothing => false,
            Lesson::Failed | Lesson::NotHere => true,
        }
    }
}

/// The crashes of one instance at one deploy, as this boot of the node saw them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Crashes {
    restarts: u32,
    /// All of this deploy, for people.
    total: u32,
    up: Option<Instant>,
    restart_at: Option<Instant>,
    /// Those within [`CRASHES_WITHIN`] of the last one, oldest first; no more than count.
    times: VecDeque<Instant>,
    /// It was told to start since it was seen running last; the answer may be lost.
    told_to_start: bool,
    /// When the container exited that was seen stopped last, by the engine's clock.
    exited: Option<WallTime>,
}

impl Crashes {
    /// The engine is told to start it.
    pub(super) fn starts(&mut self) {
        self.told_to_start = true;
    }

    /// The engine is told to stop it: that it stops is no crash.
    pub(super) fn stops(&mut self) {
        self.up = None;
        self.told_to_start = false;
    }

    /// It is seen running.
    pub(super) fn runs(&mut self, now: Instant) {
        self.restart_at = None;
        self.told_to_start = false;
        let up = *self.up.get_or_insert(now);
        if now.since(up) >= STABLE_AFTER {
            self.restarts = 0;
        }
    }

    /// It is seen stopped since `exited`. Only a container that ran before in this boot has crashed: it was
    /// seen running, or was told to start and has exited once more since it was seen stopped.
    pub(super) fn stopped(&mut self, exited: WallTime, now: Instant) {
        let exited_anew = self.exited.replace(exited) != Some(exited);
        let ran_unseen = (self.told_to_start && exited_anew).then_some(now);
        let Some(up) = self.up.take().or(ran_unseen) else {
            return;
        };
        self.told_to_start = false;
        if now.since(up) >= STABLE_AFTER {
            self.restarts = 0;
        }
        self.count_in(now);
        self.restart_at = Some(now + restart_delay(self.restarts));
        self.restarts = self.restarts.saturating_add(1);
    }

    /// It was stopped because it did not do its work, for the `restarts`th time in a row after the first: as if it had
    /// crashed, however long it was up.
    pub(super) fn condemned(&mut self, restarts: u32, now: Instant) {
        self.up = None;
        self.told_to_start = false;
        self.count_in(now);
        self.restart_at = Some(now + restart_delay(restarts));
    }

    fn count_in(&mut self, now: Instant) {
        self.total = self.total.saturating_add(1);
        self.times.retain(|time| now.since(*time) < CRASHES_WITHIN);
        if self.times.len() == CRASHES_BEFORE_REFUSAL {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// How often it ended by itself, or was ended because it did not do its work, since its deploy began here.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// When a stopped container may be started again; `None` is at once.
    pub(super) fn restart_at(&self) -> Option<Instant> {
        self.restart_at
    }

    /// Whether the next container of the instance had better know of them, though this node holds it no more.
    pub(super) fn are_recent(&self, now: Instant) -> bool {
        self.times
            .back()
            .is_some_and(|last| now.since(*last) < REMEMBERED_FOR)
    }

    /// How many there were in the five minutes before the last one, that one included; counted up to
    /// [`CRASHES_BEFORE_REFUSAL`].
    pub(super) fn count(&self) -> usize {
        self.times.len()
    }

    /// Whether another node had better try.
    pub(super) fn are_reason_to_refuse(&self) -> bool {
        self.times.len() >= CRASHES_BEFORE_REFUSAL
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.restart_at.is_some()
    }

    /// Whether it crashed twice in a row, and has not run for long since.
    pub(super) fn is_looping(&self) -> bool {
        self.restarts >= 2
    }

    /// Until when a running container is on probation, because it crashed more than once lately.
    pub(super) fn looping_until(&self) -> Option<Instant> {
        match self.up {
            Some(up) if self.restarts >= 2 => Some(up + STABLE_AFTER),
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn wall(seconds: u64) -> WallTime {
        WallTime(seconds * 1000)
    }

    #[test]
    fn failures_are_retried_ever_more_slowly_and_at_least_once_a_minute() {
        let delays: Vec<u64> = (1..=9).map(|n| retry_delay(n).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 60, 60]);
        assert_eq!(retry_delay(u32::MAX).as_secs(), 60);
    }

    #[test]
    fn a_crash_waits_the_square_of_its_restarts() {
        let mut crashes = Crashes::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            crashes.runs(at(now));
            crashes.stopped(wall(now), at(now));
            let restart = crashes.restart_at().unwrap();
            waits.push(restart.since(at(now)).as_secs());
            now += waits.last().unwrap();
        }
        assert_eq!(waits, [0, 1, 4, 9, 16, 25, 30, 30]);
    }

    #[test]
    fn ten_seconds_of_uptime_forget_the_crashes() {
        let mut crashes = Crashes::default();
        for _ in 0..3 {
            crashes.runs(at(0));
            crashes.stopped(wall(1), at(1));
        }
        crashes.runs(at(20));
        crashes.stopped(wall(30), at(30));
        assert_eq!(crashes.restart_at(), Some(at(30)));
    }

    #[test]
    fn the_fifth_crash_in_five_minutes_is_reason_to_refuse() {
        let mut crashes = Crashes::default();
        for minute in 0..6 {
            let time = 61 * minute;
            crashes.runs(at(time));
            crashes.stopped(wall(time), at(time));
            assert_eq!(crashes.are_reason_to_refuse(), minute >= 4, "{minute}");
        }
        crashes.runs(at(900));
        crashes.stopped(wall(900), at(900));
        assert_eq!(crashes.count(), 1);
    }

    #[test]
    fn a_container_that_never_ran_here_has_not_crashed() {
        let mut crashes = Crashes::default();
        crashes.stopped(wall(5), at(5));
        assert!(!crashes.has_crashed());
        assert_eq!(crashes.restart_at(), None);
    }

    #[test]
    fn a_container_that_was_told_to_start_has_crashed_only_if_it_exited_once_more() {
        let mut crashes = Crashes::default();
        crashes.stopped(wall(5), at(5));
        crashes.starts();
        crashes.stopped(wall(5), at(6));
        assert!(!crashes.has_crashed(), "the start is not done yet");
        for exit in 7..10 {
            crashes.starts();
            crashes.stopped(wall(exit), at(exit));
        }
        assert_eq!(crashes.restart_at(), Some(at(9 + 4)));
        crashes.stopped(wall(9), at(11));
        assert_eq!(crashes.restart_at(), Some(at(9 + 4)), "it is seen again");
    }
}
