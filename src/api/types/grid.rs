//! A grid on the wire.

use std::collections::BTreeMap;

use kontena_core::stack::Affinity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form::AffinityText;

/// The answer of `GET /v1/grids`: one grid, or none before `init` and `join`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Grids {
    pub(crate) grids: Vec<Grid>,
    /// *Ours*: why the asked node's answers, these and all others, may be old; null where it is a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warning: Option<String>,
}

/// The answer of `GET /v1/grids/{grid}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Grid {
    /// The name: an id is a path in Kontena.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Kontena's grid token. Always null: see `/v1/join_tokens`.
    pub(crate) token: Option<String>,
    /// Kontena's number of etcd members. There is none, so every grid starts with one node.
    pub(crate) initial_size: u32,
    pub(crate) default_affinity: Vec<String>,
    pub(crate) trusted_subnets: Vec<String>,
    /// What the nodes' own /24s come from.
    pub(crate) subnet: Option<String>,
    /// All that leads into the grid's network.
    pub(crate) supernet: Option<String>,
    pub(crate) stats: GridStats,
    pub(crate) logs: Option<GridLogs>,
    pub(crate) node_count: usize,
    pub(crate) service_count: usize,
    pub(crate) container_count: usize,
    pub(crate) user_count: usize,
    /// *Ours*: the grid's public key, which join tokens pin.
    pub(crate) key: String,
    /// *Ours.*
    pub(crate) created_at: Option<Time>,
    /// *Ours*: the version of the placement rules that all nodes compute.
    pub(crate) placement_version: u32,
    /// *Ours*: values that two sides of a split wrote differently.
    #[serde(default)]
    pub(crate) conflicts: Vec<Conflict>,
}

/// The body of `PUT /v1/grids/{grid}`: absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GridChange {
    /// The whole list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<AffinityText>>", length(max = 100))]
    pub(crate) default_affinity: Option<Vec<Affinity>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GridStats {
    pub(crate) statsd: Option<Statsd>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Statsd {
    pub(crate) server: String,
    pub(crate) port: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GridLogs {
    pub(crate) forwarder: String,
    pub(crate) opts: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Conflict {
    /// `stack/redis`, `grid` …
    pub(crate) document: String,
    pub(crate) register: String,
    /// The value that holds.
    pub(crate) applied: String,
    pub(crate) others: Vec<String>,
}

/// `kontena grid show --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct GridJson {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) created_at: Option<Time>,
    pub(crate) node_count: usize,
    pub(crate) service_count: usize,
    pub(crate) container_count: usize,
    pub(crate) placement_version: u32,
    pub(crate) default_affinity: Vec<String>,
    pub(crate) subnet: Option<String>,
    pub(crate) supernet: Option<String>,
    pub(crate) conflicts: Vec<Conflict>,
}

impl From<Grid> for GridJson {
    fn from(grid: Grid) -> Self {
        Self {
            name: grid.name,
            id: grid.key,
            created_at: grid.created_at,
            node_count: grid.node_count,
            service_count: grid.service_count,
            container_count: grid.container_count,
            placement_version: grid.placement_version,
            default_affinity: grid.default_affinity,
            subnet: grid.subnet,
            supernet: grid.supernet,
            conflicts: grid.conflicts,
        }
    }
}
