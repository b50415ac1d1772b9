//! What is fenced: all containers of a leased instance on one node carry one tag, by which a process that outlives the
//! daemon finds and kills them when their time is over.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::NodeId;

use super::LeaseId;

/// Of a lease and the node that runs under it: hosts that share a kernel share its control groups. 16 bytes, written as 32
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FenceTag([u8; 16]);

impl FenceTag {
    pub fn of(lease: &LeaseId, node: &NodeId) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(lease.bytes());
        hasher.update(node.0);
        let whole: [u8; 32] = hasher.finalize().into();
        let (beginning, _) = whole
            .split_first_chunk()
            .expect("32 bytes are more than 16");
        Self(*beginning)
    }
}

impl fmt::Display for FenceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How a container is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fenced {
    pub tag: FenceTag,
    /// The epoch of the lease, which rises from holder to holder: a storage that is told it can refuse whoever comes with a
    /// lower one.
    pub token: u64,
}
