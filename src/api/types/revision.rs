//! Revisions of a stack on the wire, and what lies between two. *Ours.*

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Time;
use super::form::RevisionText;

/// The answer of `GET /v1/stacks/{grid}/{stack}/revisions`, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Revisions {
    pub(crate) revisions: Vec<Revision>,
}

/// One revision. It is its own `--json` too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Revision {
    /// `7`, or `7~ab12` where another has the number.
    pub(crate) revision: String,
    pub(crate) number: u64,
    /// The whole hash: names it for ever.
    pub(crate) hash: String,
    /// The name in its file.
    pub(crate) stack: String,
    pub(crate) version: String,
    /// By the clock of the node that recorded it.
    pub(crate) at: Option<Time>,
    /// The name of that node, or the beginning of its id where nobody knows a name.
    pub(crate) by: String,
    /// Whether it is in force.
    pub(crate) current: bool,
    pub(crate) services: Vec<String>,
}

/// What comes of a stack on the way from one side to another. It is its own `--json` too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Plan {
    /// A revision, or `null` for what is stored now.
    pub(crate) from: Option<String>,
    /// A revision, or `null` for what is stored now, or for a file.
    pub(crate) to: Option<String>,
    /// Those that differ.
    pub(crate) services: Vec<ServicePlan>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServicePlan {
    pub(crate) name: String,
    pub(crate) change: PlannedChange,
    /// Its volumes stay when it is removed.
    pub(crate) stateful: bool,
    pub(crate) keys: Vec<KeyPlan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlannedChange {
    Create,
    /// No container that stays is touched.
    Scale,
    /// The containers are replaced, one after the other.
    Replace,
    Remove,
}

impl PlannedChange {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Scale => "scale",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

/// One key, as a stack file names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyPlan {
    pub(crate) key: String,
    /// `null`: it was not there.
    pub(crate) before: Option<Value>,
    /// `null`: it is not there any more.
    pub(crate) after: Option<Value>,
}

/// The body of `POST /v1/stacks/{grid}/{stack}/rollback`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// The one before the newest where it is missing.
    #[serde(default)]
    #[schemars(with = "Option<RevisionText>")]
    pub(crate) revision: Option<String>,
}
