//! The replicated documents: what people want, as signed changes.
//!
//! The log of envelopes is the truth. automerge materialises it; no automerge type leaves this
//! module, and a document can be rebuilt from the log. [`Replica`] is the way in; one [`envelope`]
//! carries one [`change`]; the [`schema`] says which register an [`edit`] writes.
//!
//! Not here: who may write ([`crate::access`]), the disk, and how envelopes travel.

pub mod change;
pub mod edit;
pub mod envelope;
pub(crate) mod graph;
pub(crate) mod log;
mod materialise;
mod parking;
pub mod replica;
pub(crate) mod schema;
mod sync;
#[cfg(test)]
mod tests;
mod write;
mod writes;

pub use replica::{Ingested, Refusal, Replica};
pub use write::{Prepared, WriteRefusal};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{EnvelopeHash, StackName};
use crate::identity::Seal;

/// One replicated document: `grid`, or `stack/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DocumentId {
    Grid,
    Stack(StackName),
}

/// The text is no document's name.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a document")]
pub struct InvalidDocumentId(String);

impl FromStr for DocumentId {
    type Err = InvalidDocumentId;

    fn from_str(raw: &str) -> Result<Self, InvalidDocumentId> {
        let invalid = || InvalidDocumentId(raw.to_owned());
        match raw.split_once('/') {
            None if raw == "grid" => Ok(Self::Grid),
            Some(("stack", name)) => Ok(Self::Stack(name.parse().map_err(|_| invalid())?)),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for DocumentId {
    type Error = InvalidDocumentId;

    fn try_from(raw: String) -> Result<Self, InvalidDocumentId> {
        raw.parse()
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grid => f.write_str("grid"),
            Self::Stack(name) => write!(f, "stack/{name}"),
        }
    }
}

/// An envelope as it travels and as it is kept: the bytes that its author signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedEnvelope {
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    pub seal: Seal,
}

/// How much of a document a replica has: its heads, and how far it has each write session.
///
/// Who has an envelope has all that it depends on, so the newest one of each session says exactly
/// what is there, also where both sides went on for thousands of changes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Have {
    pub heads: Vec<EnvelopeHash>,
    /// The sessions that wrote last, at most [`Have::MAX_SESSIONS`].
    pub sessions: Vec<SessionMark>,
}

impl Have {
    /// 1,024 marks are about 80 KB. Older sessions lie in the past of newer ones.
    pub const MAX_SESSIONS: usize = 1024;
}

/// The newest envelope that a replica has of one write session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMark {
    #[serde(with = "serde_bytes")]
    pub actor: Vec<u8>,
    pub sequence: u64,
    pub newest: EnvelopeHash,
}
