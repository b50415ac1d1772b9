//! A service on the wire.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use kontena_core::stack::{
    Concurrency, OnFailure, OnReturn, Order, Service as CoreService, Singleton, Takeover,
};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Time;
use super::definition;
use super::instance::{Instance, InstanceJson};

/// The answer of `GET /v1/grids/{grid}/services`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Services {
    pub(crate) services: Vec<Service>,
}

/// The answer of `GET /v1/services/{grid}/{stack}/{service}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Service {
    /// `grid/stack/name`, with `null` for no stack.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) stack: StackRef,
    pub(crate) created_at: Option<Time>,
    pub(crate) updated_at: Option<Time>,
    pub(crate) state: ServiceState,
    /// Of the newest definition, deployed or not; counts along the history.
    pub(crate) revision: u64,
    pub(crate) stack_revision: Option<u64>,
    /// Wanted instances (per node for `daemon`).
    pub(crate) instances: u32,
    pub(crate) dns: Option<String>,
    pub(crate) health_status: HealthStatus,
    pub(crate) instance_counts: InstanceCounts,
    /// The newest definition; as good as empty where this version cannot read it (see `problem`).
    #[serde(flatten)]
    pub(crate) definition: Definition,
    /// *Ours*: the hash that names the newest definition.
    pub(crate) revision_id: String,
    /// *Ours.*
    pub(crate) counts: Counts,
    /// *Ours*: what shall run now; null until the first deploy.
    pub(crate) deployed: Option<Deployed>,
    /// *Ours*: why this version cannot read the definition.
    #[serde(default)]
    pub(crate) problem: Option<String>,
    /// *Ours*: of a job, when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<JobTimes>,
    /// *Ours*: who grants its lease, as those nodes are called now that its definition named when it was created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) witnesses: Vec<String>,
    /// *Ours*: one row per holder. Only where one service is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance_rows: Option<Vec<Instance>>,
}

/// What makes a container, as Kontena names it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Definition {
    /// Null where this version of Kontena cannot read the definition.
    pub(crate) image: Option<String>,
    pub(crate) stateful: bool,
    /// `ha`, `daemon` or `random`.
    pub(crate) strategy: String,
    pub(crate) affinity: Vec<String>,
    pub(crate) entrypoint: Option<String>,
    pub(crate) cmd: Option<Vec<String>>,
    pub(crate) env: Vec<String>,
    pub(crate) ports: Vec<Port>,
    pub(crate) links: Vec<LinkRef>,
    pub(crate) volumes: Vec<String>,
    /// `SERVICE-N`, or `SERVICE-%s` for the instance of the same number.
    #[serde(default)]
    pub(crate) volumes_from: Vec<String>,
    pub(crate) stop_signal: Option<String>,
    /// Seconds, rounded up.
    pub(crate) stop_grace_period: u64,
    pub(crate) deploy_opts: DeployOptions,
    /// *Ours*: the labels of its containers.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) net: String,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    #[serde(flatten)]
    pub(crate) privileges: Privileges,
    pub(crate) log_driver: Option<String>,
    pub(crate) log_opts: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) hooks: Vec<Hook>,
    #[serde(default)]
    pub(crate) health_check: Option<HealthCheck>,
    #[serde(flatten)]
    pub(crate) unsupported: Unsupported,
}

/// How much of a node each container may use. Sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Limits {
    /// Cores.
    pub(crate) cpus: Option<f64>,
    pub(crate) cpu_shares: Option<u32>,
    pub(crate) memory: Option<u64>,
    pub(crate) memory_swap: Option<u64>,
    pub(crate) shm_size: Option<u64>,
}

/// What each container may do, and as whom it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Privileges {
    pub(crate) user: Option<String>,
    pub(crate) privileged: bool,
    pub(crate) read_only: bool,
    pub(crate) cap_add: Vec<String>,
    pub(crate) cap_drop: Vec<String>,
    /// `host`, or null.
    pub(crate) pid: Option<String>,
}

/// A command that is run before or after a container starts, before it stops, or around a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Hook {
    /// `pre_start`, `post_start`, `pre_stop`, or *ours*: `pre_backup`, `post_backup`.
    #[serde(rename = "type")]
    pub(crate) stage: String,
    pub(crate) name: String,
    pub(crate) cmd: String,
    /// `*`, or numbers as `1,2`.
    pub(crate) instances: String,
    pub(crate) oneshot: bool,
}

/// How its containers are asked whether they do their work. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct HealthCheck {
    /// `http`, `tcp`, or *ours*: `exec`.
    pub(crate) protocol: String,
    pub(crate) port: Option<u16>,
    pub(crate) uri: Option<String>,
    pub(crate) interval: u32,
    pub(crate) timeout: u32,
    pub(crate) initial_delay: u32,
    /// *Ours*: for `exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cmd: Option<String>,
}

/// Fields that Kontena's command line reads and this version has nothing for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Unsupported {
    pub(crate) secrets: Vec<Value>,
    pub(crate) certificates: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StackRef {
    /// `grid/name`.
    pub(crate) id: String,
    /// `null` (a text) for services without a stack.
    pub(crate) name: String,
}

/// Kontena's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServiceState {
    /// Never deployed.
    Initialized,
    /// The deploy of record has not brought up, or failed to, all of its instances.
    Deploying,
    Running,
    /// *Ours*: a job, which is run at its slots.
    Scheduled,
    Stopped,
}

impl ServiceState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Scheduled => "scheduled",
            Self::Stopped => "stopped",
        }
    }
}

/// When a job runs, as far as nodes remember.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JobTimes {
    /// The newest slot that was begun on any node; null where none is remembered.
    pub(crate) last_run: Option<Time>,
    /// The first slot that is not decided yet; null while the service is stopped, and before any node had it.
    pub(crate) next_run: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Port {
    pub(crate) ip: String,
    pub(crate) node_port: u16,
    pub(crate) container_port: u16,
    pub(crate) protocol: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LinkRef {
    /// `grid/stack/name`.
    pub(crate) id: String,
    pub(crate) alias: String,
}

/// Never null: Kontena's command line counts on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeployOptions {
    /// A share from 0 to 1.
    pub(crate) min_health: f64,
    pub(crate) wait_for_port: Option<u16>,
    pub(crate) interval: Option<u64>,
    /// *Ours*: `label=KEY`, the widest first; empty is `az`.
    #[serde(default)]
    pub(crate) spread: Vec<String>,
    /// *Ours.*
    #[serde(default)]
    pub(crate) max_per_node: Option<NonZeroU32>,
    /// *Ours.*
    #[serde(default)]
    pub(crate) offline: OfflineOptions,
    /// *Ours.*
    #[serde(default)]
    pub(crate) rebalance: bool,
    /// *Ours.*
    #[serde(default)]
    pub(crate) standby_images: Option<u8>,
    /// *Ours.*
    #[serde(default)]
    #[schemars(with = "definition::Order")]
    pub(crate) order: Order,
    /// *Ours.*
    #[serde(default)]
    #[schemars(with = "definition::OnFailure")]
    pub(crate) on_failure: OnFailure,
    /// *Ours.*
    #[serde(default)]
    pub(crate) canary: Option<NonZeroU32>,
    /// *Ours*: a job. The five fields are not there of any other service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    /// *Ours.*
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time_zone: Option<String>,
    /// *Ours.*
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<definition::Concurrency>")]
    pub(crate) concurrency: Option<Concurrency>,
    /// *Ours*: seconds, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time_limit: Option<u64>,
    /// *Ours.*
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) takeover: Option<bool>,
    /// *Ours*: it runs only while it holds a lease. The two fields are not there of any other service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<definition::Singleton>")]
    pub(crate) singleton: Option<Singleton>,
    /// *Ours*: the names of its witnesses, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) witnesses: Vec<String>,
}

/// What becomes of instances while their node is away, and when it is back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OfflineOptions {
    /// Seconds, rounded up.
    pub(crate) replace_after: u64,
    #[schemars(with = "definition::Takeover")]
    pub(crate) takeover: Takeover,
    #[schemars(with = "definition::OnReturn")]
    pub(crate) on_return: OnReturn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HealthStatus {
    pub(crate) healthy: u32,
    pub(crate) total: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InstanceCounts {
    pub(crate) total: u32,
    pub(crate) running: u32,
}

/// Each instance counts once, whoever holds it; what an absent node holds does not count. `desired`
/// is what shall run now: none of a service that is stopped or was never deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Counts {
    pub(crate) desired: u32,
    pub(crate) running: u32,
    pub(crate) healthy: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Deployed {
    pub(crate) revision: u64,
    pub(crate) revision_id: String,
    /// The id of the deploy of record, for `…/deploys/{deploy}`.
    pub(crate) deploy: String,
    /// What the name of its image meant then: the digest of a registry, else the engine's id. Null where nobody could
    /// tell: each node runs what it finds.
    #[serde(default)]
    pub(crate) image: Option<String>,
    pub(crate) at: Option<Time>,
}

/// The body of `…/scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    #[serde(deserialize_with = "count")]
    #[schemars(range(max = 10_000))]
    pub(crate) instances: u32,
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = f64::deserialize(deserializer)?;
    whole(number, CoreService::MAX_INSTANCES).map_err(D::Error::custom)
}

/// A whole number, also where it is written `3.0`, as JSON has no other numbers.
///
/// # Errors
/// Says that it is none, or more than `most`.
pub(super) fn whole(number: f64, most: u32) -> Result<u32, String> {
    if number.fract() != 0.0 || !(0.0..=f64::from(most)).contains(&number) {
        return Err(format!("`{number}` is not a whole number from 0 to {most}"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and in the range"
    )]
    Ok(number as u32)
}

/// The body of `…/deploy`; an empty one is right too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployRequest {
    /// Replace containers that are already right.
    #[serde(default)]
    pub(crate) force: Option<bool>,
}

/// A service in `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ServiceJson {
    pub(crate) name: String,
    /// Null for services without one.
    pub(crate) stack: Option<String>,
    pub(crate) state: &'static str,
    pub(crate) image: Option<String>,
    pub(crate) revision: u64,
    pub(crate) revision_id: String,
    pub(crate) counts: Counts,
    /// Only of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<JobTimes>,
    /// Only in `show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instances: Option<Vec<InstanceJson>>,
}

impl From<Service> for ServiceJson {
    fn from(service: Service) -> Self {
        Self {
            name: service.name,
            stack: Some(service.stack.name).filter(|name| name != "null"),
            state: service.state.as_str(),
            image: service.definition.image,
            revision: service.revision,
            revision_id: service.revision_id,
            counts: service.counts,
            job: service.job,
            instances: service
                .instance_rows
                .map(|rows| rows.into_iter().map(InstanceJson::from).collect()),
        }
    }
}
