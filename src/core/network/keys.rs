//! The overlay's public keys: each follows from its node's id.

use ed25519_dalek::VerifyingKey;

use crate::id::NodeId;

/// The x25519 form of a node's key (RFC 7748, section 4.1). `None` for an id that is no key, or one of
/// the few whose secrets everybody knows.
pub fn public(node: &NodeId) -> Option<[u8; 32]> {
    let verifying = VerifyingKey::from_bytes(node.as_bytes()).ok()?;
    (!verifying.is_weak()).then(|| verifying.to_montgomery().to_bytes())
}

/// What [`public`] follows from: the id without the sign of x (RFC 8032, section 5.1.2: the highest bit).
///
/// Whoever made one key can sign with its negative too, which is another id with the same key in the
/// overlay: two such nodes cannot both be peers.
pub fn stem(node: &NodeId) -> [u8; 32] {
    let mut stem = *node.as_bytes();
    stem[31] &= 0x7f;
    stem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;

    #[test]
    fn a_key_and_its_negative_are_one_in_the_overlay() {
        for seed in 0..20 {
            let node = SecretKey::from_seed([seed; 32]).node_id();
            let mut negative = node;
            negative.0[31] ^= 0x80;
            assert_ne!(node, negative);
            assert_eq!(stem(&node), stem(&negative));
            assert!(public(&node).is_some());
            assert_eq!(public(&node), public(&negative));
            let other = SecretKey::from_seed([seed + 100; 32]).node_id();
            assert_ne!(stem(&node), stem(&other));
        }
    }
}
