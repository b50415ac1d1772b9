//! The freshness vector: one counter a node, spread by push-pull; the higher order wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// A node's heartbeat: which boot of it, and how often that boot has bumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Beat {
    pub boot: u64,
    pub nonce: u64,
    pub counter: u64,
}

/// The newest beat known of each roster member.
pub type Vector = BTreeMap<NodeId, Beat>;
