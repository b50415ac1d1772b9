//! The runs of a job on the wire. *Ours.*

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::instance::NodeRef;

/// The answer of `…/runs`: what nodes remember of a job's slots, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Runs {
    pub(crate) runs: Vec<Run>,
}

/// One slot, or several that were missed in a row for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Run {
    pub(crate) instance_number: u32,
    pub(crate) node: NodeRef,
    /// The time at which it was to run; of several missed ones the first.
    pub(crate) slot: Option<Time>,
    pub(crate) state: RunState,
    /// By its node's clock; null where it did not begin, or nobody saw it.
    pub(crate) started_at: Option<Time>,
    pub(crate) finished_at: Option<Time>,
    /// From beginning to end, in milliseconds.
    pub(crate) duration: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    /// So many slots were missed; 1000 is that many or more.
    pub(crate) missed: Option<u32>,
    /// The last of them.
    pub(crate) missed_until: Option<Time>,
    /// Why it was missed, stopped or not started; of the newest run that failed, what it wrote last.
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunState {
    Starting,
    Running,
    /// It ended with 0.
    Succeeded,
    /// It ended with something else, or was not started.
    Failed,
    Missed,
    /// Stopped for the next run.
    Replaced,
    /// Stopped because it took longer than its time limit.
    TimedOut,
    /// Stopped with its service, or because it is another node's.
    Stopped,
    /// It was to run, and nothing of it was found.
    Lost,
}

impl RunState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Replaced => "replaced",
            Self::TimedOut => "timed out",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }
}
