//! A node on the wire.

use kontena_core::view::Availability;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form::NodeLabelText;

/// The answer of `GET /v1/grids/{grid}/nodes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Node>,
}

/// The answer of `GET /v1/nodes/{grid}/{node}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Node {
    /// `grid/name`.
    pub(crate) id: String,
    /// The node's public key in hexadecimal.
    pub(crate) node_id: String,
    pub(crate) name: String,
    /// The version of its daemon; null until its first report was seen.
    pub(crate) agent_version: Option<String>,
    pub(crate) docker_version: Option<String>,
    pub(crate) status: NodeStatus,
    pub(crate) connected: bool,
    pub(crate) created_at: Option<Time>,
    pub(crate) connected_at: Option<Time>,
    pub(crate) disconnected_at: Option<Time>,
    pub(crate) last_seen_at: Option<Time>,
    pub(crate) availability: String,
    pub(crate) labels: Vec<String>,
    pub(crate) node_number: u32,
    /// Kontena's etcd member. There is none: always false.
    pub(crate) initial_member: bool,
    pub(crate) public_ip: Option<String>,
    pub(crate) private_ip: Option<String>,
    pub(crate) overlay_ip: Option<String>,
    /// *Ours*: its name in the grid's DNS.
    #[serde(default)]
    pub(crate) dns: Option<String>,
    pub(crate) os: Option<String>,
    pub(crate) kernel_version: Option<String>,
    pub(crate) driver: Option<String>,
    pub(crate) volume_drivers: Vec<VolumeDriver>,
    pub(crate) cpus: Option<u32>,
    /// Bytes.
    pub(crate) mem_total: Option<u64>,
    pub(crate) engine_root_dir: Option<String>,
    /// Statistics are not measured in this version: always null.
    pub(crate) resource_usage: Option<serde_json::Value>,
    /// *Ours*: `fresh`, `late`, `stale`, `absent` or `gone`.
    pub(crate) freshness: String,
    /// *Ours*: since when it is that, as the asked node saw it, by its clock; null when it was not heard yet.
    /// Each node sees for itself, so this and the times made of it (`connected_at`, `disconnected_at`,
    /// `last_seen_at`) differ by some milliseconds between the nodes asked.
    pub(crate) since: Option<Time>,
    /// *Ours*: where it can be reached, best first: `IP:PORT`.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// *Ours*: the instances that it holds.
    #[serde(default)]
    pub(crate) instance_count: usize,
    /// *Ours*: what is wrong with its engine or disk, in words.
    #[serde(default)]
    pub(crate) problems: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VolumeDriver {
    pub(crate) name: String,
}

/// Kontena's words. `Connecting`: heard of, but no report of it was seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeStatus {
    Created,
    Connecting,
    Online,
    /// Online, and it takes no new work.
    Drain,
    Offline,
}

/// The answer of `GET /v1/nodes/{grid}/{node}/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NodeHealth {
    pub(crate) name: String,
    pub(crate) status: NodeStatus,
    pub(crate) connected_at: Option<Time>,
    pub(crate) etcd_health: EtcdHealth,
}

/// In the place of etcd's: whether the node is heard of, and its engine and disk work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EtcdHealth {
    pub(crate) health: bool,
    pub(crate) error: Option<String>,
}

/// The answer of `GET /v1/nodes/{grid}/{node}/departures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Departures {
    /// It is absent: what it ran is taken over, or waits for it, and what it has is not known.
    pub(crate) away: bool,
    pub(crate) departures: Vec<Departing>,
}

/// An instance that a node has and that does not fall to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Departing {
    /// `stack/service-N`.
    pub(crate) instance: String,
    pub(crate) fate: Fate,
    /// Which node is to run it.
    pub(crate) to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// It goes once another node runs it.
    Moves,
    /// It is about to stop.
    Stops,
    /// Stopped, and kept with its data.
    StandsBy,
    /// It runs on, for want of another node or because this version cannot judge it.
    Stays,
}

impl Departing {
    /// Whether it is only a matter of time.
    pub(crate) fn is_under_way(&self) -> bool {
        match self.fate {
            Fate::Moves | Fate::Stops => true,
            Fate::StandsBy | Fate::Stays => false,
        }
    }
}

/// The body of `PUT /v1/nodes/{grid}/{node}`: absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeChange {
    /// The whole list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<NodeLabelText>>", length(max = 64))]
    pub(crate) labels: Option<Vec<String>>,
    /// `active` or `drain`; `evacuate` is another word for `drain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<WantedAvailability>")]
    pub(crate) availability: Option<Availability>,
}

/// The words for [`Availability`], for the document of the API alone.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "it has nothing but a schema")]
enum WantedAvailability {
    Active,
    Drain,
    Evacuate,
}

/// A node in `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NodeJson {
    pub(crate) name: String,
    pub(crate) id: String,
    /// `online`, `offline` or `joining`.
    pub(crate) status: &'static str,
    pub(crate) freshness: String,
    /// As the asked node saw it, by its clock: another node's answer differs by some milliseconds.
    pub(crate) since: Option<Time>,
    pub(crate) availability: String,
    pub(crate) labels: Vec<String>,
    pub(crate) address: Option<String>,
    pub(crate) version: Option<String>,
    /// What is wrong with it, in words.
    pub(crate) problems: Vec<String>,
}

impl From<Node> for NodeJson {
    fn from(node: Node) -> Self {
        Self {
            name: node.name,
            id: node.node_id,
            status: match node.status {
                NodeStatus::Created | NodeStatus::Connecting => "joining",
                NodeStatus::Online | NodeStatus::Drain => "online",
                NodeStatus::Offline => "offline",
            },
            freshness: node.freshness,
            since: node.since,
            availability: node.availability,
            labels: node.labels,
            address: node.addresses.into_iter().next(),
            version: node.agent_version,
            problems: node.problems,
        }
    }
}
