//! What the containers of a service use, on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer of `GET /v1/services/{grid}/{stack}/{service}/stats`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Stats {
    /// Those that run, by instance number.
    pub(crate) stats: Vec<Stat>,
    /// *Ours*: containers whose node or engine did not tell.
    #[serde(default)]
    pub(crate) missing: Vec<MissingStat>,
}

/// One container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Stat {
    /// `grid/node/name`.
    pub(crate) id: String,
    /// Its name, `stack.service-N`: Kontena's command line shows this.
    pub(crate) container_id: String,
    /// *Ours*: the node's name.
    #[serde(default)]
    pub(crate) node: String,
    pub(crate) cpu: Option<CpuUse>,
    pub(crate) memory: Option<MemoryUse>,
    /// Null for one in its host's own network.
    pub(crate) network: Option<NetworkUse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CpuUse {
    /// 100 is one processor.
    pub(crate) usage: f64,
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MemoryUse {
    pub(crate) usage: u64,
    /// Its own, or all that its host has.
    pub(crate) limit: Option<u64>,
}

/// Bytes since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NetworkUse {
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MissingStat {
    /// The container's name.
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) problem: String,
}

/// What one container uses: what nodes tell each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) cpu: Option<CpuUse>,
    pub(crate) memory: Option<MemoryUse>,
    pub(crate) network: Option<NetworkUse>,
}
