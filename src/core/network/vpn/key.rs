//! The public key of a VPN user.

use std::fmt;
use std::str::FromStr;

use curve25519_dalek::MontgomeryPoint;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};

/// An x25519 public key. Written in base64, as WireGuard's tools do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VpnKey([u8; 32]);

/// Why a text is no key of a user.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidVpnKey {
    #[error("`{0}` is not a WireGuard key: 44 characters of base64 are expected")]
    Form(String),
    /// What is agreed with such a key is known to everybody (RFC 7748, section 6.1).
    #[error("`{0}` is a key that anybody could use")]
    LowOrder(String),
    /// Its highest bit, or a number from 2^255 - 19 on: everybody else takes it for another key (RFC 7748, section
    /// 5), and a revocation of that one would not cover it.
    #[error("`{0}` is another key in an unusual form: give the one that `wg pubkey` prints")]
    NotCanonical(String),
}

impl VpnKey {
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As it stands in the name of a register: base64 has a `/`.
    pub(crate) fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    pub(crate) fn from_hex(raw: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(raw.as_bytes()).ok()?;
        Self::of_bytes(bytes.try_into().ok()?)
    }

    /// `None` for a key that anybody could use, and for what is not the one form of a key.
    fn of_bytes(bytes: [u8; 32]) -> Option<Self> {
        Some(bytes)
            .filter(is_canonical)
            .and_then(Self::of_canonical)
    }

    fn of_canonical(bytes: [u8; 32]) -> Option<Self> {
        // A clamped scalar is a multiple of the cofactor, which takes any point of small order to zero.
        let agreed = MontgomeryPoint(bytes).mul_clamped([1; 32]);
        (agreed.0 != [0; 32]).then_some(Self(bytes))
    }
}

/// Whether it is a number below 2^255 - 19, least significant byte first.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let is_above = bytes[31] == 0x7f && bytes[1..31].iter().all(|byte| *byte == 0xff);
    bytes[31] < 0x80 && !(is_above && bytes[0] >= 0xed)
}

impl FromStr for VpnKey {
    type Err = InvalidVpnKey;

    fn from_str(raw: &str) -> Result<Self, InvalidVpnKey> {
        let shown = || raw.chars().take(64).collect();
        let decoded = BASE64.decode(raw.as_bytes()).ok();
        let bytes = decoded.and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| InvalidVpnKey::Form(shown()))?;
        if !is_canonical(&bytes) {
            return Err(InvalidVpnKey::NotCanonical(shown()));
        }
        Self::of_canonical(bytes).ok_or_else(|| InvalidVpnKey::LowOrder(shown()))
    }
}

impl TryFrom<String> for VpnKey {
    type Error = InvalidVpnKey;

    fn try_from(raw: String) -> Result<Self, InvalidVpnKey> {
        raw.parse()
    }
}

impl From<VpnKey> for String {
    fn from(key: VpnKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for VpnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for VpnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}
