//! Log lines of many containers as one: read once and merged, or followed.
//!
//! Lines are ordered by the time that their engine stamped, because nothing else orders the lines
//! of two nodes; two hosts whose clocks differ are merged with that difference. Logs are kept by
//! the engines alone: what a node that is away has cannot be read, and the answer says so.

mod follow;
mod kept;
mod once;
mod selection;
mod source;

use kontena_core::time::WallTime;

pub(super) use follow::follow;
pub(super) use once::read;
pub(super) use selection::Selection;

use super::backend::{LogLine, LogOptions, LogSource};
use super::types::Time;
use super::types::log::{LogEntry, MissingLog};

/// A container whose lines are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    source: LogSource,
    /// `stack.service-N`.
    name: String,
    /// The node's name.
    node: String,
    is_running: bool,
    /// Since when its container is as it is, by its node's clock.
    since: WallTime,
}

/// Which lines of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The last so many, or the first after a line.
    pub(super) limit: u32,
    pub(super) since: Option<Time>,
    /// Only after the line with this id.
    pub(super) after: Option<LineId>,
}

impl Range {
    fn options(&self, follow: bool) -> LogOptions {
        let after = self
            .after
            .as_ref()
            .map(|id| WallTime(id.nanos() / 1_000_000));
        LogOptions {
            // What follows a line is wanted whole, however much it is.
            tail: self.after.is_none().then_some(self.limit),
            since: after.or(self.since_wall()),
            follow,
        }
    }

    fn since_wall(&self) -> Option<WallTime> {
        self.since.map(Time::wall)
    }

    fn has(&self, line: &LogLine, id: &str) -> bool {
        let after = self
            .after
            .as_ref()
            .is_none_or(|after| id > after.0.as_str());
        let since = self
            .since
            .is_none_or(|since| Time::from_nanos(line.nanos).is_none_or(|time| time >= since));
        after && since
    }
}

/// A line's id: its time in nanoseconds, then the beginning of its container's id. As text it is
/// ordered by time. Two lines of one container at the same nanosecond share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LineId(String);

/// Digits of the largest `u64`.
const TIME_DIGITS: usize = 20;

impl LineId {
    fn new(line: &LogLine, source: &LogSource) -> Self {
        let container: String = source.container.chars().take(12).collect();
        Self(format!("{:020}-{container}", line.nanos))
    }

    /// `None` if the text is no line's id.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (time, container) = text.split_once('-')?;
        let is_id =
            time.len() == TIME_DIGITS && time.parse::<u64>().is_ok() && !container.is_empty();
        is_id.then(|| Self(text.to_owned()))
    }

    fn nanos(&self) -> u64 {
        let time = self.0.split('-').next();
        time.and_then(|time| time.parse().ok()).unwrap_or(0)
    }
}

impl Wanted {
    /// `None` for a line outside the range.
    fn entry(&self, line: LogLine, range: &Range) -> Option<LogEntry> {
        let LineId(id) = LineId::new(&line, &self.source);
        range.has(&line, &id).then(|| LogEntry {
            id,
            created_at: Time::from_nanos(line.nanos),
            name: self.name.clone(),
            stream: line.stream.as_str().to_owned(),
            data: line.text,
            node: self.node.clone(),
        })
    }

    fn missing(&self, problem: impl Into<String>) -> MissingLog {
        MissingLog {
            name: self.name.clone(),
            node: self.node.clone(),
            problem: problem.into(),
        }
    }
}
