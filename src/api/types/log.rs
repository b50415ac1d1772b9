//! Log lines on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// The answer of `…/container_logs` without `follow`. With it, each line of the body is one
/// [`LogEntry`] as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Logs {
    /// In the order of their ids.
    pub(crate) logs: Vec<LogEntry>,
    /// *Ours*: containers whose logs could not be read, and why: the answer has a gap there.
    #[serde(default)]
    pub(crate) missing: Vec<MissingLog>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LogEntry {
    /// Ordered by time; `from=ID` goes on after it.
    pub(crate) id: String,
    pub(crate) created_at: Option<Time>,
    /// The container's name, `stack.service-N`.
    pub(crate) name: String,
    /// The line without its line break.
    pub(crate) data: String,
    /// *Ours*: `stdout` or `stderr`.
    #[serde(rename = "type", default)]
    pub(crate) stream: String,
    /// *Ours*: the node's name.
    #[serde(default)]
    pub(crate) node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MissingLog {
    /// The container's name.
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) problem: String,
}

/// One line of a followed log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum FollowedLine {
    Entry(LogEntry),
    /// *Ours*: this container's log ends here, and not because the container ended.
    Missing {
        missing: MissingLog,
    },
}
