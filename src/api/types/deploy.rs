//! A deploy on the wire: what became of the wish that the deploy of record states.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// The answer of `…/deploy`, `…/scale` and `…/deploys/{deploy}` of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServiceDeploy {
    /// The deploy's generation in decimal.
    pub(crate) id: String,
    /// `grid/stack/name`.
    pub(crate) service_id: String,
    pub(crate) state: DeployState,
    pub(crate) created_at: Option<Time>,
    /// Null while there is something to do.
    pub(crate) finished_at: Option<Time>,
    /// Why it failed.
    pub(crate) reason: Option<String>,
    /// The first few run it, and the others wait until somebody promotes it.
    #[serde(default)]
    pub(crate) awaits_promotion: bool,
    /// Nobody goes on with it.
    #[serde(default)]
    pub(crate) halted: bool,
    pub(crate) instance_deploys: Vec<InstanceDeploy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InstanceDeploy {
    pub(crate) instance_number: u32,
    /// The node's name; null where nobody holds the instance yet.
    pub(crate) node: Option<String>,
    pub(crate) state: DeployState,
    /// Why it failed, or what it waits for; of one that is not at this deploy yet, what its holder says of it.
    pub(crate) error: Option<String>,
}

/// The orders to deploy a service that are known, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServiceDeploys {
    pub(crate) deploys: Vec<DeployRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeployRow {
    /// The deploy's generation in decimal.
    pub(crate) id: String,
    /// Counts along the service's history.
    pub(crate) revision: u64,
    /// Its hash, 64 hexadecimal digits.
    pub(crate) revision_id: String,
    /// What the name of its image meant then; null where nobody could tell.
    #[serde(default)]
    pub(crate) image: Option<String>,
    pub(crate) state: Outcome,
    pub(crate) created_at: Option<Time>,
    /// The name of the node that took the command, or of the one that saw it fail.
    pub(crate) node: String,
    /// Why it did not come to its end.
    pub(crate) reason: Option<String>,
}

/// What became of an order to deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Created,
    Ongoing,
    Success,
    Error,
    /// The first few run it, and it is neither promoted nor aborted.
    AwaitsPromotion,
    /// Nobody goes on with it.
    Halted,
    /// All went back to what ran before, or are on their way.
    RolledBack,
    /// A newer deploy took its place; nobody knows how far it had come.
    Replaced,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Ongoing => "ongoing",
            Self::Success => "success",
            Self::Error => "error",
            Self::AwaitsPromotion => "awaits promotion",
            Self::Halted => "halted",
            Self::RolledBack => "rolled back",
            Self::Replaced => "replaced",
        }
    }
}

/// The body of `…/abort`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Abort {
    /// Whether all go back to what ran before; by itself only where the deploy waits to be promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rollback: Option<bool>,
}

/// The answer of `…/deploy` and `…/deploys/{deploy}` of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StackDeploy {
    /// The highest of its services' deploys.
    pub(crate) id: String,
    /// `grid/stack`.
    pub(crate) stack_id: String,
    pub(crate) state: DeployState,
    pub(crate) service_deploys: Vec<ServiceDeploy>,
}

/// Kontena's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeployState {
    /// No instance of this deploy was seen yet.
    Created,
    Ongoing,
    Success,
    Error,
}

impl DeployState {
    /// Whether there is nothing to wait for any more.
    pub(crate) fn is_finished(self) -> bool {
        match self {
            Self::Created | Self::Ongoing => false,
            Self::Success | Self::Error => true,
        }
    }
}
