//! An instance of a service, and a container, on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form::Name;

/// The answer of `GET /v1/services/{grid}/{stack}/{service}/instances`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Instances {
    pub(crate) instances: Vec<Instance>,
}

/// The body of `…/instances/{instance}/force_move`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForceMove {
    /// The node that runs it from now on.
    #[schemars(with = "Name")]
    pub(crate) node: String,
    /// That its data stays where it is is known; refused without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data_loss: Option<bool>,
}

/// One row per holder; an instance that nobody holds has one row without a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Instance {
    /// The container's name, `stack.service-N`.
    pub(crate) id: String,
    /// *Ours*: its name in the grid's DNS; null where its number makes that longer than DNS allows.
    #[serde(default)]
    pub(crate) dns: Option<String>,
    pub(crate) instance_number: u32,
    pub(crate) node: Option<NodeRef>,
    /// The deploy it runs for; null where nobody holds it.
    pub(crate) deploy_rev: Option<u64>,
    /// The number of the revision that it runs; null for one that is no longer known.
    pub(crate) rev: Option<u64>,
    /// `pending`, `creating`, `running`, `stopping`, `stopped`, `failed`, or `unknown`: its node is absent.
    pub(crate) state: String,
    /// Why it failed, or what it waits for; below the first line the last ones that its container wrote.
    pub(crate) error: Option<String>,
    /// *Ours*: `healthy`, `unhealthy` or `unknown`.
    pub(crate) health: String,
    /// *Ours*: how often its container ended by itself, or did not do its work, since its deploy began there.
    #[serde(default)]
    pub(crate) restarts: u32,
    /// *Ours*: of the last of these ends.
    #[serde(default)]
    pub(crate) exit_code: Option<i64>,
    /// *Ours*: it is about to be replaced by its own holder.
    #[serde(default)]
    pub(crate) updating: bool,
    /// *Ours.*
    pub(crate) container_id: Option<String>,
    /// *Ours*: the image id that it runs.
    pub(crate) image_id: Option<String>,
    /// *Ours*: that is not the image that the deploy was accepted with: its node has only another one of the name.
    #[serde(default)]
    pub(crate) other_image: bool,
    /// *Ours.*
    pub(crate) ip: Option<String>,
    /// *Ours*: since when it is in this state, by its node's clock.
    pub(crate) since: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NodeRef {
    /// `grid/name`.
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) public_ip: Option<String>,
}

/// The answer of `…/containers`, of a service or of the grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Containers {
    pub(crate) containers: Vec<Container>,
}

/// A container of an instance, as its node reported it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Container {
    /// `grid/node/name`.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Docker's id.
    pub(crate) container_id: String,
    pub(crate) instance_number: u32,
    pub(crate) service_id: String,
    /// As the instance's state.
    pub(crate) status: String,
    pub(crate) node: NodeRef,
    pub(crate) image: Option<String>,
    pub(crate) cmd: Option<Vec<String>>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) created_at: Option<Time>,
    pub(crate) deploy_rev: u64,
    pub(crate) service_rev: Option<u64>,
    pub(crate) health_status: ContainerHealth,
    pub(crate) state: ContainerState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ContainerHealth {
    pub(crate) status: String,
    pub(crate) updated_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ContainerState {
    pub(crate) running: bool,
    pub(crate) paused: bool,
    pub(crate) restarting: bool,
    pub(crate) oom_killed: bool,
    pub(crate) dead: bool,
    /// Empty when there is none (Kontena's command line needs a text).
    pub(crate) error: String,
    pub(crate) exit_code: Option<i64>,
}

/// An instance in `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct InstanceJson {
    pub(crate) number: u32,
    pub(crate) dns: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) state: String,
    pub(crate) health: String,
    pub(crate) container_id: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) since: Option<Time>,
    pub(crate) restarts: u32,
    pub(crate) exit_code: Option<i64>,
    /// Why it failed, or what it waits for; below the first line the last ones that its container wrote.
    pub(crate) problem: Option<String>,
}

impl From<Instance> for InstanceJson {
    fn from(instance: Instance) -> Self {
        Self {
            number: instance.instance_number,
            dns: instance.dns,
            node: instance.node.map(|node| node.name),
            state: instance.state,
            health: instance.health,
            container_id: instance.container_id,
            ip: instance.ip,
            since: instance.since,
            restarts: instance.restarts,
            exit_code: instance.exit_code,
            problem: instance.error,
        }
    }
}
