//! What time it is, for a core that never looks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kontena_core::time::{self, Now, WallTime};

/// The daemon's monotonic clock: counts from its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Now {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            monotonic: time::Instant::from_duration(self.start.elapsed()),
            wall: WallTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// When a time of the core comes, on tokio's clock.
    pub(super) fn when(&self, at: time::Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + at.since_start())
    }
}
