//! Keys of the overlay: x25519, as WireGuard has them.

use std::fmt;

use boringtun::x25519;

/// Length of a key in bytes.
pub const KEY_LENGTH: usize = 32;

/// A peer's public key: the name by which it is known here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; KEY_LENGTH]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…")
    }
}

/// The node's own secret.
#[derive(Clone)]
pub struct PrivateKey(x25519::StaticSecret);

impl PrivateKey {
    /// Takes 32 secret bytes; which bits of them count is x25519's business.
    pub fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(x25519::StaticSecret::from(bytes))
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey(x25519::PublicKey::from(&self.0).to_bytes())
    }

    /// The secret itself, for a configuration that is written down.
    pub fn to_bytes(&self) -> [u8; KEY_LENGTH] {
        self.0.to_bytes()
    }

    /// What only the owners of the two keys can compute.
    pub(crate) fn shared(&self, other: PublicKey) -> [u8; KEY_LENGTH] {
        self.0.diffie_hellman(&other.0.into()).to_bytes()
    }

    pub(crate) fn secret(&self) -> &x25519::StaticSecret {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}
