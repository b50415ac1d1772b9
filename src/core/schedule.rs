//! When a job runs: a cron expression, read in a time zone, and the slots that follow.
//!
//! A *slot* is one time at which a job is to run, and that time is its name: the same on every node, whatever their clocks say,
//! because it follows from the expression and the zone alone. The zones are compiled in ([`Zone`]), so nothing is read from a
//! host. How daylight saving changes slots is said at [`Calendar`].

mod calendar;
mod cron;
mod zone;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::time::WallTime;

pub use calendar::{Calendar, MAX_COUNTED, Passed};
pub use cron::{Cron, InvalidCron};
pub use zone::{UnknownZone, Zone};

/// A scheduled time, in milliseconds since the Unix epoch: always a whole second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u64);

impl Slot {
    pub fn time(self) -> WallTime {
        WallTime(self.0)
    }

    /// Whether it has come, by this clock.
    pub fn has_come(self, now: WallTime) -> bool {
        self.0 <= now.0
    }

    /// `20260131T120000Z`, for names.
    pub fn compact(self) -> String {
        self.to_string().replace(['-', ':'], "")
    }

    /// How many milliseconds ago it was; 0 if it has not come.
    pub fn millis_ago(self, now: WallTime) -> u64 {
        now.0.saturating_sub(self.0)
    }
}

impl fmt::Display for Slot {
    /// `2026-01-31T12:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match Timestamp::from_millisecond(millis) {
            Ok(time) => f.pad(&time.to_string()),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}
