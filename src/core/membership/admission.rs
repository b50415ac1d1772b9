//! Admission: the record that makes a node a member, signed by its sponsor, without an expiry date.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{GridId, NodeId, NodeName, TokenId};
use crate::identity::Seal;
use crate::time::WallTime;

/// A member's admission record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    pub grid: GridId,
    pub node: NodeId,
    pub name: NodeName,
    pub labels: Vec<String>,
    /// Where the sponsor saw it: `IP:PORT`.
    pub addresses: Vec<String>,
    /// The node's /24 of the grid's supernet, written by the sponsor: `10.80.7.0/24`.
    pub subnet: String,
    pub joined: WallTime,
    /// Who admits it; itself for the first node, which the grid's key admits.
    pub sponsor: NodeId,
    /// The token that it showed, and its proof; none for the first node.
    pub token: Option<TokenId>,
    pub proof: Option<Seal>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// What a stranger shows to be admitted. Its node id is proved by the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    pub grid: GridId,
    pub node: NodeId,
    pub name: NodeName,
    pub labels: Vec<String>,
    /// Where it listens: `IP:PORT`; an unspecified IP means the one that the sponsor sees.
    pub addresses: Vec<String>,
    pub token: TokenId,
    /// Signature of the token's secret key over (grid, node): useless to anybody else.
    pub proof: Seal,
    /// The version of its daemon.
    pub version: String,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}
