//! What two sides of a split gave one stack differently, on the wire. *Ours.*

use std::collections::BTreeSet;

use kontena_core::id::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Time;
use super::form::{Name, RevisionText};

/// One thing that both sides touched. It is its own `--json` too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StackConflict {
    /// `null`: the stack as a whole.
    pub(crate) service: Option<String>,
    pub(crate) subject: ConflictSubject,
    /// At least two; the first is in force.
    pub(crate) sides: Vec<ConflictSide>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConflictSubject {
    File,
    /// One side dropped the service, the other changed it.
    Presence,
    Definition,
    Instances,
    State,
    /// What runs, though there is no doubt about what is stored.
    Deploy,
}

impl ConflictSubject {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Presence => "presence",
            Self::Definition => "definition",
            Self::Instances => "instances",
            Self::State => "state",
            Self::Deploy => "deploy",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ConflictSide {
    /// Of definitions, an object of the keys in which the sides differ; `"kept"` or `"dropped"` of presence.
    pub(crate) value: Value,
    /// The revision that said it, if one did.
    pub(crate) revision: Option<String>,
    /// The name of the node that took the command, or the beginning of its id where nobody knows a name.
    pub(crate) by: String,
    /// By that node's clock.
    pub(crate) at: Option<Time>,
}

/// The body of `POST /v1/stacks/{grid}/{stack}/resolve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolve {
    /// The revision whose side is taken; what is in force where it is missing.
    #[serde(default)]
    #[schemars(with = "Option<RevisionText>")]
    pub(crate) take: Option<String>,
    /// For which services it is taken; for all that is contested where none is named.
    #[serde(default)]
    #[schemars(with = "BTreeSet<Name>")]
    pub(crate) services: BTreeSet<ServiceName>,
}
