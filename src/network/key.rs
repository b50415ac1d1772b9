//! The overlay's keys: the x25519 form of the nodes' own ed25519 keys.
//!
//! So a node's key in the overlay follows from its id, which its admission has already proved: nothing is
//! announced that somebody could forge, a member is a peer before it ever reported, and the key changes
//! exactly when the identity does. The same pair signs and agrees on secrets; that this is safe for these two
//! uses is shown in "On using the same key pair for Ed25519 and an X25519 based KEM" (2021), and is done by
//! age and Signal's XEdDSA the other way round.

use ed25519_dalek::SigningKey;
use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::network::keys;
use kontena_overlay::{PrivateKey, PublicKey};

pub(super) fn private(identity: &SecretKey) -> PrivateKey {
    let signing = SigningKey::from_bytes(&identity.seed());
    PrivateKey::new(signing.to_scalar_bytes())
}

/// `None` for an id that is no key, or one of the few whose secrets everybody knows.
pub(super) fn public(node: &NodeId) -> Option<PublicKey> {
    keys::public(node).map(PublicKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_find_a_nodes_key_from_its_id() {
        for seed in 0..32 {
            let identity = SecretKey::from_seed([seed; 32]);
            let found = public(&identity.node_id());
            assert_eq!(found, Some(private(&identity).public_key()));
        }
    }

    #[test]
    fn an_id_that_everybody_has_the_secret_of_is_no_peer() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(public(&NodeId(identity)), None);
        assert_eq!(public(&NodeId([0; 32])), None);
    }
}
