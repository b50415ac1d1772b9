//! What hosts send: messages and bytes.

use kontena_core::message::{Message, encode};

/// Counts by sender. A message counts as it is encoded, without the transport's frames, encryption
/// and acknowledgements, and whether it arrives or not.
#[derive(Clone, Debug)]
pub struct Meter {
    bytes: Vec<u64>,
}

impl Meter {
    pub fn new(hosts: usize) -> Self {
        Self {
            bytes: vec![0; hosts],
        }
    }

    pub fn sent(&mut self, from: usize, message: &Message) {
        self.bytes[from] += encode(message).len() as u64;
    }

    /// Bytes that each host sent.
    pub fn bytes(&self) -> &[u64] {
        &self.bytes
    }
}
