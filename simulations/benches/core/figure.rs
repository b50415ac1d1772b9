//! Samples, and a line of the table.

use std::fmt;
use std::time::Duration;

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figure: String,
    /// What was hoped for, or empty.
    pub(crate) aim: &'static str,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} | {} |", self.what, self.figure, self.aim)
    }
}

/// The processor time of this thread: what else runs on the machine does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Duration);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Self::read())
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::read().saturating_sub(self.0)
    }

    /// The first number of `schedstat` is the time on the processor, in nanoseconds.
    fn read() -> Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat")
            .expect("Linux counts the time of each thread");
        let nanoseconds = text
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok());
        Duration::from_nanos(nanoseconds.expect("it begins with a number"))
    }
}

/// How long something took, each time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn measure<T>(&mut self, act: impl FnOnce() -> T) -> T {
        self.measure_many(1, act)
    }

    /// Of something that is done so many times in one go: what takes less than the 4 ms in which the
    /// time of a thread is counted.
    pub(crate) fn measure_many<T>(&mut self, times: u32, act: impl FnOnce() -> T) -> T {
        let start = Clock::start();
        let made = act();
        self.0.push(start.elapsed() / times);
        made
    }

    /// The sum of the last so many.
    pub(crate) fn last(&self, count: usize) -> Duration {
        self.0.iter().rev().take(count).sum()
    }

    /// `**1.23 ms** (1.20–1.30, n=11)`.
    pub(crate) fn in_milliseconds(&self) -> String {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let millis = |at: usize| {
            sorted
                .get(at)
                .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        format!(
            "**{:.3} ms** ({:.3}–{:.3}, n={})",
            millis(sorted.len() / 2),
            millis(0),
            millis(sorted.len().saturating_sub(1)),
            sorted.len()
        )
    }
}
