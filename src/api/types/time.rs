//! A moment on the wire: RFC 3339 in UTC, written with three digits of milliseconds.

use std::fmt;

use jiff::Timestamp;
use kontena_core::time::WallTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form::TimeText;

/// A wall time by the clock of whoever wrote it, at most to the nanosecond.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Time(#[schemars(with = "TimeText")] pub(crate) Timestamp);

impl Time {
    /// `None` for the zero that stands for "not known", and for what no calendar can show.
    pub(crate) fn known(wall: WallTime) -> Option<Self> {
        let millis = i64::try_from(wall.0).ok().filter(|millis| *millis > 0)?;
        Timestamp::from_millisecond(millis).ok().map(Self)
    }

    /// From nanoseconds since the Unix epoch, as Docker stamps log lines.
    pub(crate) fn from_nanos(nanos: u64) -> Option<Self> {
        Timestamp::from_nanosecond(i128::from(nanos)).ok().map(Self)
    }

    /// Milliseconds since the Unix epoch; zero for what is earlier.
    pub(crate) fn wall(self) -> WallTime {
        WallTime(u64::try_from(self.0.as_millisecond()).unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl std::str::FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Time {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}
