//! What time it is, for a core that never looks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kontena_core::time::{self, Now, WallTime};

use crate::fence::Moment;

/// The daemon's monotonic clock: counts from its start, and goes on while the host is suspended, as that of every other
/// node does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Moment,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            start: Moment::now(),
        }
    }

    pub(super) fn now(&self) -> Now {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            monotonic: self.monotonic(),
            wall: WallTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    pub(super) fn monotonic(&self) -> time::Instant {
        time::Instant::from_duration(Moment::now().since(self.start))
    }

    /// When a time of the core comes, on tokio's clock: that stands still while the host is suspended, so it is late by as
    /// much then.
    pub(super) fn when(&self, at: time::Instant) -> tokio::time::Instant {
        let remains = at.since(self.monotonic());
        tokio::time::Instant::now() + remains
    }

    /// A time of the core, by the clock that all processes of this host read.
    pub(super) fn moment(&self, at: time::Instant) -> Moment {
        self.start.after(at.since_start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_of_the_core_comes_after_what_remains_until_then() {
        let clock = Clock::start();
        let before = clock.monotonic();
        let wait = Duration::from_secs(3600);
        let when = clock.when(before + wait);
        let remains = when.duration_since(tokio::time::Instant::now());
        assert!(
            remains <= wait && remains > wait - Duration::from_secs(60),
            "{remains:?}"
        );
        let past = clock.when(time::Instant::ZERO);
        assert_eq!(
            past,
            tokio::time::Instant::now(),
            "what is over comes at once"
        );
    }

    #[test]
    fn a_time_of_the_core_is_the_same_moment_for_all_processes() {
        let clock = Clock::start();
        let moment = clock.moment(clock.monotonic());
        assert!(Moment::now().since(moment) < Duration::from_secs(60));
        assert!(moment >= clock.start);
    }
}
