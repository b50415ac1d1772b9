//! Time as an argument. The core never reads a clock: whoever drives the `Node` says what time it is.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on this process's monotonic clock: the time since some fixed moment before it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Instant(Duration);

impl Instant {
    pub const ZERO: Self = Self(Duration::ZERO);

    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub const fn from_duration(since_start: Duration) -> Self {
        Self(since_start)
    }

    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Milliseconds since the Unix epoch by this host's clock. For display, and for the slots of this node's own jobs: no rule
/// compares two nodes' wall clocks, because they may be days apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub u64);

/// What time it is, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    pub monotonic: Instant,
    pub wall: WallTime,
}
