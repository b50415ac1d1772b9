//! A deploy on the wire: what became of the wish that the deploy of record states.

use serde::{Deserialize, Serialize};

use super::Time;

/// The answer of `…/deploy`, `…/scale` and `…/deploys/{deploy}` of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub(crate) instance_deploys: Vec<InstanceDeploy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct InstanceDeploy {
    pub(crate) instance_number: u32,
    /// The node's name; null where nobody holds the instance yet.
    pub(crate) node: Option<String>,
    pub(crate) state: DeployState,
    /// Why it failed, or what it waits for; of one that is not at this deploy yet, what its holder says of it.
    pub(crate) error: Option<String>,
}

/// The answer of `…/deploy` and `…/deploys/{deploy}` of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StackDeploy {
    /// The highest of its services' deploys.
    pub(crate) id: String,
    /// `grid/stack`.
    pub(crate) stack_id: String,
    pub(crate) state: DeployState,
    pub(crate) service_deploys: Vec<ServiceDeploy>,
}

/// Kontena's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
