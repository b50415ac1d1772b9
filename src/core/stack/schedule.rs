//! A service that is a job: not kept running, but run at each slot of a schedule.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::schedule::{Calendar, Cron, Zone};

/// `deploy.schedule`, and what is said of it beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub cron: Cron,
    #[serde(default, skip_serializing_if = "Zone::is_utc")]
    pub time_zone: Zone,
    #[serde(default, skip_serializing_if = "Concurrency::is_forbid")]
    pub concurrency: Concurrency,
    /// In milliseconds; `None` is [`Schedule::MAX_LIMIT_MILLIS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_millis: Option<u64>,
    /// Another node takes it over where its own is away, as a stateless instance: it may then run twice for one slot. Else it is
    /// bound to its node.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub takeover: bool,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl Schedule {
    /// The longest that a run may take, and what it may unless somebody says less: a day.
    pub const MAX_LIMIT_MILLIS: u64 = 24 * 3_600_000;

    /// The least that can be said: below it a container has hardly begun.
    pub const MIN_LIMIT_MILLIS: u64 = 1_000;

    /// So many runs of one instance may be beside each other, where that is allowed.
    pub const MAX_BESIDE: usize = 8;

    pub fn new(cron: Cron) -> Self {
        Self {
            cron,
            time_zone: Zone::UTC,
            concurrency: Concurrency::Forbid,
            time_limit_millis: None,
            takeover: false,
            unknown: BTreeMap::new(),
        }
    }

    /// How long a run may take.
    pub fn time_limit(&self) -> Duration {
        Duration::from_millis(self.time_limit_millis.unwrap_or(Self::MAX_LIMIT_MILLIS))
    }

    /// Its slots.
    pub fn calendar(&self) -> Calendar {
        Calendar::new(self.cron.clone(), self.time_zone)
    }
}

/// What becomes of a slot while the run before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Concurrency {
    /// It is missed.
    #[default]
    Forbid,
    /// What runs is stopped first.
    Replace,
    /// It is run beside, up to [`Schedule::MAX_BESIDE`] of them.
    Allow,
}

/// None of the three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has to be `forbid`, `replace` or `allow`, this is `{0}`")]
pub struct InvalidConcurrency(String);

impl Concurrency {
    /// What is not written.
    pub fn is_forbid(&self) -> bool {
        *self == Self::Forbid
    }
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forbid => "forbid",
            Self::Replace => "replace",
            Self::Allow => "allow",
        })
    }
}

impl FromStr for Concurrency {
    type Err = InvalidConcurrency;

    fn from_str(text: &str) -> Result<Self, InvalidConcurrency> {
        match text {
            "forbid" => Ok(Self::Forbid),
            "replace" => Ok(Self::Replace),
            "allow" => Ok(Self::Allow),
            _ => Err(InvalidConcurrency(text.to_owned())),
        }
    }
}
