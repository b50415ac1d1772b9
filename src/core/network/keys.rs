//! The overlay's public keys: each follows from its node's id.

use ed25519_dalek::VerifyingKey;

use crate::id::NodeId;

/// The x25519 form of a node's key (RFC 7748, section 4.1). `None` for an id that is no key, or one of
/// the few whose secrets everybody knows.
pub fn public(node: &NodeId) -> Option<[u8; 32]> {
    let verifying = VerifyingKey::from_bytes(node.as_bytes()).ok()?;
    (!verifying.is_weak()).then(|| verifying.to_montgomery().to_bytes())
}
