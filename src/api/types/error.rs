//! What a refused request answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of every answer that is not 2xx: `{"error": {…}}`, as Kontena's command line reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorDetail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorDetail {
    pub(crate) message: String,
    /// What to do about it, where there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    #[serde(default)]
    pub(crate) kind: ErrorKind,
}

/// What kind of refusal it is: for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorKind {
    /// The body or a parameter is wrong.
    Invalid,
    NotFound,
    Exists,
    /// Refused for safety; the same request with `force` goes on.
    NeedsForce,
    Unauthorized,
    /// This node belongs to no grid.
    NoGrid,
    /// This node was removed from its grid, or its disk was cloned.
    Excluded,
    Unreachable,
    /// The node has too much to do, or did not answer in time.
    Busy,
    Disk,
    /// Something that Kontena has and this version does not.
    NotSupported,
    /// Of a newer version, or of something that is no node.
    #[default]
    #[serde(other)]
    Other,
}
