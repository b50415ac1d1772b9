//! Signing and verifying with ed25519 (RFC 8032): deterministic, so the core may hold the key.
//!
//! Every signature is made over a *context* and the bytes, so that what was signed for one purpose
//! cannot be shown for another.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Envelope,
    Report,
    Admission,
    JoinProof,
}

impl Context {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Envelope => b"kontena/envelope/1\0",
            Self::Report => b"kontena/report/1\0",
            Self::Admission => b"kontena/admission/1\0",
            Self::JoinProof => b"kontena/join/1\0",
        }
    }
}

/// An ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seal(#[serde(with = "serde_bytes")] pub [u8; 64]);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({})", data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

/// A secret signing key: a node's, a grid's or a join token's.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key made from 32 random bytes, which are the secret to keep.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub fn node_id(&self) -> NodeId {
        NodeId(self.public())
    }

    pub fn sign(&self, context: Context, bytes: &[u8]) -> Seal {
        Seal(self.0.sign(&framed(context, bytes)).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.node_id())
    }
}

/// Whether `seal` was made by the owner of `key` over `bytes` for this purpose. Small-order keys and
/// malleable signatures are refused.
pub fn verify(key: &[u8; 32], context: Context, bytes: &[u8], seal: &Seal) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else {
        return false;
    };
    key.verify_strict(&framed(context, bytes), &Signature::from_bytes(&seal.0))
        .is_ok()
}

fn framed(context: Context, bytes: &[u8]) -> Vec<u8> {
    [context.prefix(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_its_purpose_and_its_bytes_only() {
        let key = SecretKey::from_seed([1; 32]);
        let seal = key.sign(Context::Report, b"hello");
        assert!(verify(&key.public(), Context::Report, b"hello", &seal));
        assert!(!verify(&key.public(), Context::Envelope, b"hello", &seal));
        assert!(!verify(&key.public(), Context::Report, b"hullo", &seal));
        assert!(!verify(
            &SecretKey::from_seed([2; 32]).public(),
            Context::Report,
            b"hello",
            &seal
        ));
    }
}
