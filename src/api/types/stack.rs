//! A stack on the wire.

use std::collections::BTreeMap;

use kontena_core::stack::StackLabel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Time;
use super::conflict::StackConflict;
use super::form::StackLabelText;
use super::service::{Service, ServiceJson};

/// The answer of `GET /v1/grids/{grid}/stacks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Stacks {
    pub(crate) stacks: Vec<Stack>,
}

/// The answer of `GET /v1/stacks/{grid}/{stack}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Stack {
    /// `grid/name`.
    pub(crate) id: String,
    /// What it is installed as.
    pub(crate) name: String,
    /// The name in its file: `name` or `user/name`.
    pub(crate) stack: String,
    pub(crate) version: String,
    pub(crate) revision: u64,
    pub(crate) state: StackState,
    pub(crate) created_at: Option<Time>,
    pub(crate) updated_at: Option<Time>,
    pub(crate) description: Option<String>,
    /// The file's text.
    pub(crate) source: Option<String>,
    pub(crate) services: Vec<Service>,
    pub(crate) expose: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) variables: BTreeMap<String, Value>,
    /// What its file says of itself under `meta`.
    pub(crate) metadata: BTreeMap<String, Value>,
    /// The stack that brought it along.
    pub(crate) parent: Option<StackReference>,
    pub(crate) children: Vec<StackReference>,
    /// *Ours.*
    pub(crate) conflicts: Vec<StackConflict>,
}

/// The body of `PATCH /v1/stacks/{grid}/{stack}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relabel {
    /// Kontena's: all labels that there shall be. `None` leaves those that are not named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<StackLabelText>>", length(max = 64))]
    pub(crate) labels: Option<Vec<StackLabel>>,
    /// *Ours*, so that nobody takes away what somebody else just added.
    #[serde(default)]
    #[schemars(with = "Vec<StackLabelText>", length(max = 64))]
    pub(crate) add: Vec<StackLabel>,
    /// *Ours.*
    #[serde(default)]
    #[schemars(with = "Vec<StackLabelText>")]
    pub(crate) remove: Vec<StackLabel>,
}

/// A stack that another speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StackReference {
    pub(crate) name: String,
}

/// Kontena's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StackState {
    Initialized,
    Deploying,
    Running,
    Stopped,
    /// Some of its services are stopped or were never deployed.
    PartiallyRunning,
}

impl StackState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::PartiallyRunning => "partially_running",
        }
    }
}

/// A stack in `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StackJson {
    pub(crate) name: String,
    pub(crate) stack: String,
    pub(crate) version: String,
    pub(crate) revision: u64,
    pub(crate) state: &'static str,
    pub(crate) labels: Vec<String>,
    /// What its variables were given.
    pub(crate) variables: BTreeMap<String, Value>,
    /// What its file says of itself under `meta`.
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) parent: Option<String>,
    pub(crate) children: Vec<String>,
    pub(crate) created_at: Option<Time>,
    pub(crate) updated_at: Option<Time>,
    pub(crate) services: Vec<ServiceJson>,
    pub(crate) conflicts: Vec<StackConflict>,
}

impl From<Stack> for StackJson {
    fn from(stack: Stack) -> Self {
        Self {
            name: stack.name,
            stack: stack.stack,
            version: stack.version,
            revision: stack.revision,
            state: stack.state.as_str(),
            labels: stack.labels,
            variables: stack.variables,
            metadata: stack.metadata,
            parent: stack.parent.map(|parent| parent.name),
            children: stack.children.into_iter().map(|child| child.name).collect(),
            created_at: stack.created_at,
            updated_at: stack.updated_at,
            services: stack.services.into_iter().map(ServiceJson::from).collect(),
            conflicts: stack.conflicts,
        }
    }
}
