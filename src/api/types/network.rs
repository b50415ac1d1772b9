//! A node's network on the wire. All *ours*.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer of `GET /v1/nodes/{grid}/{node}/network`, and `kontena node show NODE --network --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NodeNetwork {
    /// The node's name.
    pub(crate) node: String,
    pub(crate) containers: Containers,
    /// Why something of it does not work, in words, with a hint.
    pub(crate) problem: Option<String>,
    /// `10.80.7.0/24`.
    pub(crate) subnet: Option<String>,
    /// The node's own address in its subnet.
    pub(crate) address: Option<String>,
    /// The address that follows from its key.
    pub(crate) management_address: Option<String>,
    /// The overlay's interface; null while none is up.
    pub(crate) interface: Option<String>,
    /// UDP.
    pub(crate) port: Option<u16>,
    /// Bytes of the longest packet.
    pub(crate) mtu: Option<u16>,
    pub(crate) bridge: Option<String>,
    /// The engine's network.
    pub(crate) engine_network: Option<String>,
    /// The firewall rules that are ours, as one would type them.
    pub(crate) rules: Vec<String>,
    pub(crate) peers: Vec<Peer>,
    /// Packets that the overlay dropped since its interface came up, by reason: of members, VPN users and
    /// strangers.
    #[serde(default)]
    pub(crate) drops: BTreeMap<String, u64>,
    /// What the name server did since the daemon started, by what became of the questions; empty without one.
    #[serde(default)]
    pub(crate) names: BTreeMap<String, u64>,
}

/// What new containers are attached to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ContainerNetwork")]
pub(crate) enum Containers {
    /// The engine's own bridge.
    #[default]
    Plain,
    /// Nothing yet: the network is being set up.
    Pending,
    /// The grid's network.
    Attached,
}

/// How one node reaches another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Peer {
    /// The other's name.
    pub(crate) node: String,
    pub(crate) node_id: String,
    pub(crate) way: Way,
    /// `IP:PORT`, or the name of the node that carries; null where no way works.
    pub(crate) through: Option<String>,
    pub(crate) rtt_micros: Option<u64>,
    /// Of the latest probes, in thousandths.
    pub(crate) lost_in_1000: Option<u16>,
    /// Since the last handshake.
    pub(crate) handshake_age_millis: Option<u64>,
    /// Bytes of the longest packet on this way.
    pub(crate) mtu: u16,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// Carried for it to others.
    pub(crate) forwarded_bytes: u64,
    /// Packets of or for it that were dropped, by reason.
    pub(crate) drops: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    None,
    /// At an address that the other says it has.
    Direct,
    /// At an address where it was found: through a translator of addresses, or after a move.
    Punched,
    /// Through another node.
    Relayed,
}

impl Way {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Direct => "direct",
            Self::Punched => "punched",
            Self::Relayed => "relayed",
        }
    }
}
