//! A sign of life of a fence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Moment;

/// A fence beats so often.
pub(super) const EVERY: Duration = Duration::from_millis(500);

/// One that was silent for longer is stopped, or dead.
const FRESH_FOR: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) pid: u32,
    /// Of the program: one that was upgraded starts a fence of its own.
    pub(crate) version: String,
    pub(crate) started_nanos: Moment,
    /// When it looked last for what is to be killed.
    pub(crate) at_nanos: Moment,
}

impl Beat {
    pub(crate) fn is_fresh(&self, now: Moment) -> bool {
        self.at_nanos <= now && now.since(self.at_nanos) <= FRESH_FOR
    }

    /// Whether the fence that beats so does the work of this one, which leaves it to that: the newest stays.
    pub(super) fn replaces(&self, own: &Self, now: Moment) -> bool {
        let is_newer = (self.started_nanos, self.pid) > (own.started_nanos, own.pid);
        is_newer && self.is_fresh(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    fn beat(pid: u32, started: u64, last: u64) -> Beat {
        Beat {
            pid,
            version: String::new(),
            started_nanos: at(started),
            at_nanos: at(last),
        }
    }

    #[test]
    fn a_fence_that_was_silent_for_long_is_not_alive_and_none_beats_in_the_future() {
        let last = beat(7, 1, 100);
        assert!(last.is_fresh(at(100)));
        assert!(last.is_fresh(at(102)));
        assert!(!last.is_fresh(at(103)));
        assert!(!last.is_fresh(at(99)));
    }

    #[test]
    fn the_newest_fence_that_lives_stays() {
        let own = beat(7, 50, 100);
        assert!(beat(3, 60, 100).replaces(&own, at(100)));
        assert!(!beat(3, 40, 100).replaces(&own, at(100)), "an older one");
        assert!(!beat(3, 60, 90).replaces(&own, at(100)), "a silent one");
        assert!(!own.replaces(&own, at(100)), "itself");
        let (same, time) = (beat(8, 50, 100), at(100));
        assert!(same.replaces(&own, time) && !own.replaces(&same, time));
    }
}
