//! What nodes say to each other.
//!
//! CBOR in an envelope of protocol version and kind, so that a node of another version can tell a
//! message that it does not know ([`Undecodable::Unknown`], ignored) from garbage. Fields may be
//! added; none is ever given another meaning. What must survive relaying (envelopes, reports)
//! travels as its author's signed bytes.

mod exchange;
mod stranger;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::document::{DocumentId, Have, SignedEnvelope};
use crate::id::{EnvelopeHash, GridId, NodeId};
use crate::keys::{KeyNews, KeysHeld};
use crate::lease::LeaseWord;
use crate::membership::admission::JoinRequest;
use crate::membership::vector::{Brief, Vector};
use crate::network::plan::{HostRoute, Range};
use crate::report::{ReportOrder, SignedReport};

pub use stranger::{MAX_CALL_BYTES, Presentation, Presented, StrangerAnswer, StrangerCall};

/// One message between two members of a grid. Any may be lost, doubled or late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Push-pull of what is cheap: who was heard of lately, and digests of the rest. Of all that is said
    /// at rest this is nearly everything, hence the short name.
    #[serde(rename = "x")]
    Exchange(Exchange),
    /// What an [`Exchange`] leaves out: sent to a peer that knows other lives.
    Beats(Beats),
    /// What the sender has, one by one: sent to a peer whose digests differ, which answers with what
    /// is missing here and asks for what is missing there.
    Inventory(Inventory),
    /// Reports that the receiver does not have, or that just changed.
    Reports(Vec<SignedReport>),
    /// Changes that the receiver does not have, or that were just written. In causal order within
    /// one message.
    Envelopes(Envelopes),
    /// "I have this much of these documents: send what is missing."
    Want(BTreeMap<DocumentId, Have>),
    /// These envelopes are on the sender's disk.
    Stored(Vec<EnvelopeHash>),
    /// "The names here follow your report of this order", which said of an instance that it stops.
    Applied { order: ReportOrder },
    /// Of a lease that a node wants, has or lets go, and that the other is a witness of.
    Lease(LeaseWord),
    /// "I have these keys: send what is missing", to a peer whose digest differs.
    KeysHeld(KeysHeld),
    /// Writes of keys that the receiver does not have, or that were just written.
    Keys(KeyNews),
    /// "Somebody else speaks with your key": the two orders that alternated.
    Cloned {
        first: ReportOrder,
        second: ReportOrder,
    },
}

/// In a grid of ten nodes it takes some 70 bytes: a node that begins two a second and answers two sends
/// 270 bytes a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Whether the receiver shall answer with its own.
    pub reply: bool,
    pub brief: Brief,
    /// The newest report of the receiver that the sender has: in an answer, if the digests differ.
    pub yours: Option<ReportOrder>,
    /// Of the newest report of each node that the sender has.
    pub reports: Digest,
    /// Of the heads of all documents.
    pub documents: Digest,
    /// Of the key-value store, once there ever was a key.
    pub keys: Option<Digest>,
}

/// Every beat that the sender knows, with the lives: 50 bytes a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beats {
    /// Whether the receiver shall answer with its own.
    pub reply: bool,
    /// The sender's own order: which boot of the node speaks.
    pub order: ReportOrder,
    pub vector: Vector,
}

/// Says whether two nodes have the same of something: the beginning of a SHA-256.
///
/// Two that differ look alike once in 2⁶⁴ times; a member that makes them alike on purpose (2³² attempts)
/// withholds only what it wrote itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(u64);

/// What the sender has of what its peer has otherwise; `None` where that is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The order of the newest report of each node.
    pub reports: Option<BTreeMap<NodeId, ReportOrder>>,
    /// A digest of each document's heads.
    pub documents: Option<BTreeMap<DocumentId, EnvelopeHash>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelopes {
    pub envelopes: Vec<SignedEnvelope>,
    /// Whether the sender wants [`Message::Stored`] once they are on disk.
    pub acknowledge: bool,
    /// How often this was passed on already; bounds the flood.
    pub hops: u8,
}

/// What a stranger says that asks to be admitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinCall {
    pub request: JoinRequest,
    /// What earlier answers brought of the `grid` document: the next page of a welcome is asked for.
    #[serde(default)]
    pub have: Have,
}

/// What a member answers a stranger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// The `grid` document, from the grid's own first envelope to the stranger's admission: the
    /// proof that this is the grid that the token names. What the stranger has already is left out.
    Welcome {
        grid: GridId,
        envelopes: Vec<SignedEnvelope>,
        /// It did not fit: the stranger asks again, and says what it has.
        #[serde(default)]
        more: bool,
    },
    Refused(JoinRefusal),
}

/// Why a stranger is not admitted. `text` is for people; the kind for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinRefusal {
    /// The token is unknown, revoked, or not proved.
    Token,
    /// The name is taken; `suggestion` is free.
    NameTaken { name: String, suggestion: String },
    /// The node was removed; its identity never comes back.
    Removed,
    /// A route of the node's host leads into the grid's network.
    Overlap { supernet: Range, route: HostRoute },
    /// The member cannot write to its disk, or is not a member itself.
    NotNow { problem: String },
}

impl Digest {
    /// Of parts that follow from each other in length: the caller sees to it that no two things look
    /// alike when they are put together.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        let whole: [u8; 32] = hasher.finalize().into();
        let (beginning, _) = whole.split_first_chunk().expect("32 bytes are more than 8");
        Self(u64::from_be_bytes(*beginning))
    }

    /// Counts another digest in, or out again: in whatever order, equal sets come to equal sums.
    ///
    /// For things of which an author has one at a time only: who may choose many could make two sets
    /// look alike.
    pub(crate) fn toggle(&mut self, other: Self) {
        self.0 ^= other.0;
    }
}

/// Why bytes are not a message.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Undecodable {
    #[error("{0} bytes are more than a message may have")]
    TooLarge(usize),
    #[error("protocol version {0} is not known here")]
    Version(u8),
    #[error("not known to this version: {0}")]
    Unknown(String),
}

/// The largest message: a `grid` document of 4,000 nodes, or a batch of changes.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

const VERSION: u8 = 3;

/// Encodes a message (or a join call or answer) with the protocol version in front.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    ciborium::into_writer(message, &mut bytes)
        .expect("a message has text keys and writes to memory");
    bytes
}

/// Decodes what [`encode`] made; refuses what is too large, of another version, or not understood.
pub fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, Undecodable> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(Undecodable::TooLarge(bytes.len()));
    }
    match bytes.split_first() {
        Some((&VERSION, rest)) => ciborium::de::from_reader_with_recursion_limit(rest, 64)
            .map_err(|error| Undecodable::Unknown(error.to_string())),
        Some((version, _)) => Err(Undecodable::Version(*version)),
        None => Err(Undecodable::Unknown("no bytes".to_owned())),
    }
}
