//! The freshness vector: one counter a node, spread by push-pull; the higher order wins.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

use super::by_node::ByNode;
use crate::id::NodeId;

/// A node's heartbeat: which boot of it, and how often that boot has bumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Beat {
    pub boot: u64,
    pub nonce: u64,
    pub counter: u64,
}

impl Beat {
    /// Which life of the node beats: boot and nonce.
    pub(crate) fn life(&self) -> (u64, u64) {
        (self.boot, self.nonce)
    }
}

/// The newest beat known of each roster member. Copies share their memory.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Vector(Arc<ByNode<Beat>>);

impl Vector {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, node: &NodeId) -> Option<&Beat> {
        self.0.get(node)
    }

    /// In the order of the nodes' keys.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Beat)> {
        self.0.iter()
    }
}

impl FromIterator<(NodeId, Beat)> for Vector {
    fn from_iter<I: IntoIterator<Item = (NodeId, Beat)>>(beats: I) -> Self {
        Self(Arc::new(beats.into_iter().collect()))
    }
}

/// As it travels: id, boot, nonce, counter.
#[derive(Serialize, Deserialize)]
struct Entry(ByteArray<32>, u64, u64, u64);

impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = |(node, beat): (&NodeId, &Beat)| {
            Entry(ByteArray::new(node.0), beat.boot, beat.nonce, beat.counter)
        };
        serializer.collect_seq(self.iter().map(entry))
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<Entry>::deserialize(deserializer)?;
        let beat = |Entry(node, boot, nonce, counter)| {
            let beat = Beat {
                boot,
                nonce,
                counter,
            };
            (NodeId(node.into_array()), beat)
        };
        Ok(entries.into_iter().map(beat).collect())
    }
}
