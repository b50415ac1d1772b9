//! External registries: where images are pulled from that ask for a name and a password.
//!
//! In: what a person says, with the password sealed already. Out: of each registry its credentials, which only nodes
//! can open that have a key of them. Sealing and opening are the shell's (`src/sealed.rs`): here bytes are carried.
//!
//! A registry is known by its host, as Kontena knew it: which one an image is pulled from follows from its name.

mod name;
mod sharing;

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};

pub use name::{InvalidRegistry, RegistryName};
pub use sharing::{Lack, MAX_SHARED, lacks};

use crate::id::NodeId;
use crate::time::WallTime;

/// A registry and its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    pub account: Account,
    /// When these credentials were given.
    pub since: WallTime,
    /// The password's key, sealed for each node that has it. Of members alone.
    pub keys: BTreeMap<NodeId, SealedKey>,
}

/// What is written of a registry; a new password is a new account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// As a person gave it, with its scheme.
    pub url: String,
    pub username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    pub password: SealedText,
}

impl Account {
    /// The longest text of each field but the password, in bytes.
    pub const MAX_TEXT: usize = 1024;

    /// Its limits. What is beyond them nobody is shown.
    pub fn check(&self) -> Result<(), String> {
        let most = Self::MAX_TEXT;
        let email = self.email.as_deref().unwrap_or_default();
        let texts = [
            ("url", &*self.url),
            ("username", &self.username),
            ("email", email),
        ];
        let is_wrong = |text: &str| text.len() > most || text.chars().any(char::is_control);
        if let Some((field, _)) = texts.into_iter().find(|(_, text)| is_wrong(text)) {
            return Err(format!(
                "`{field}` is longer than {most} bytes, or has control characters"
            ));
        }
        if self.username.is_empty() {
            return Err("`username` is empty".to_owned());
        }
        match self.password.text.len() {
            0..=SealedText::MAX => Ok(()),
            _ => Err(format!(
                "`password` is longer than {} bytes",
                SealedText::MAX
            )),
        }
    }
}

/// A text that is sealed for one key pair, which was made for it alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedText {
    pub lock: Lock,
    #[serde(with = "base64")]
    pub text: Vec<u8>,
}

impl SealedText {
    /// The longest password with what sealing adds, in bytes: the keys of service accounts, which some registries
    /// take for passwords, have about 2,400.
    pub const MAX: usize = 8 * 1024;
}

impl fmt::Debug for SealedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedText({:?}, {} bytes)", self.lock, self.text.len())
    }
}

/// The public half of the key pair of one sealed text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lock(pub [u8; 32]);

impl TryFrom<String> for Lock {
    type Error = &'static str;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        let bytes = HEXLOWER.decode(raw.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("64 hexadecimal digits are expected")
    }
}

impl From<Lock> for String {
    fn from(lock: Lock) -> Self {
        HEXLOWER.encode(&lock.0)
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

/// The secret half of a [`Lock`], sealed for one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// What it opens: a key of an earlier password opens nothing.
    pub lock: Lock,
    #[serde(with = "base64")]
    pub key: Vec<u8>,
}

impl SealedKey {
    /// An encapsulated key, 32 bytes and a tag.
    pub const MAX: usize = 128;
}

/// Bytes as text.
mod base64 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::BASE64;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}
