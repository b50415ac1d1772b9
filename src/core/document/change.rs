//! The payload of an envelope: registers and their new values, by one write session.
//!
//! It is our own encoding of an automerge change, not automerge's bytes: what a hostile author can
//! say is only this, every part of it is bounded by its bytes, and the format does not change with
//! the library. Every replica builds the same automerge change from it ([`Change::build`]).
//!
//! A *session* is one run of one author. Its actor id names author, run and document, so nobody can
//! take another author's actor, and a cloned or restored disk starts a new one.

use std::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, ChangeHash, ExpandedChange, ScalarValue};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use sha2::{Digest, Sha256};

use super::DocumentId;
use super::envelope::read_whole;

/// What one envelope writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub session: Session,
    /// Counts this session's changes of this document, from 1.
    pub sequence: u64,
    /// Each register once.
    pub writes: Vec<Write>,
}

/// One register's new value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    pub register: String,
    /// JSON.
    pub value: String,
    /// The values that this one replaces: all that its author saw, rising.
    pub replaces: Vec<OperationId>,
}

/// One write among all of a document: automerge's operation id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OperationId {
    pub counter: u64,
    pub actor: ByteBuf,
}

/// One run of one author: a random number made at its start, and a count of restarts within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Session {
    nonce: ByteArray<8>,
    count: u32,
}

/// Why a payload is no change.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unusable {
    #[error("its payload cannot be read: {0}")]
    Unreadable(String),
    #[error("it writes nothing, too much, or one register twice")]
    Writes,
    #[error("the name of a register is empty or too long")]
    Register,
}

/// The most registers that one change may write.
pub(super) const MAX_WRITES: usize = 4096;
/// The longest name of a register, in bytes.
const MAX_REGISTER_BYTES: usize = 256;

impl Session {
    pub(super) fn new(nonce: u64) -> Self {
        Self {
            nonce: ByteArray::new(nonce.to_be_bytes()),
            count: 0,
        }
    }

    /// A session that never wrote anything.
    pub(super) fn next(self) -> Self {
        Self {
            count: self.count.wrapping_add(1),
            ..self
        }
    }

    /// This session's actor in one document.
    pub(super) fn actor(self, author: &[u8; 32], document: &DocumentId) -> ActorId {
        let mut hasher = Sha256::new();
        hasher.update(author);
        hasher.update(self.nonce.as_slice());
        hasher.update(self.count.to_be_bytes());
        hasher.update(document.to_string());
        ActorId::from(&hasher.finalize()[..16])
    }
}

impl Change {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes)
            .expect("a change has text keys and writes to memory");
        bytes
    }

    /// Reads a payload and checks its shape.
    ///
    /// # Errors
    /// Says why it is no change.
    pub fn decode(payload: &[u8]) -> Result<Self, Unusable> {
        let change: Self = read_whole(payload).map_err(Unusable::Unreadable)?;
        let registers: std::collections::BTreeSet<&str> =
            change.writes.iter().map(|w| w.register.as_str()).collect();
        if registers.is_empty()
            || registers.len() > MAX_WRITES
            || registers.len() != change.writes.len()
        {
            return Err(Unusable::Writes);
        }
        let fits = |register: &&str| !register.is_empty() && register.len() <= MAX_REGISTER_BYTES;
        if !registers.iter().all(fits) {
            return Err(Unusable::Register);
        }
        Ok(change)
    }

    /// The automerge change that this stands for, the same on every replica.
    pub(super) fn build(
        &self,
        actor: ActorId,
        start: NonZeroU64,
        mut dependencies: Vec<ChangeHash>,
    ) -> automerge::Change {
        dependencies.sort_unstable();
        automerge::Change::from(ExpandedChange {
            operations: self.writes.iter().map(Write::operation).collect(),
            actor_id: actor,
            hash: None,
            seq: self.sequence,
            start_op: start,
            time: 0,
            message: None,
            deps: dependencies,
            extra_bytes: Vec::new(),
            author: None,
        })
    }
}

impl Write {
    fn operation(&self) -> Op {
        let replaced = |id: &OperationId| OpId(id.counter, ActorId::from(id.actor.as_slice()));
        Op {
            action: OpType::Put(ScalarValue::Str(self.value.as_str().into())),
            obj: ObjectId::Root,
            key: Key::Map(self.register.as_str().into()),
            pred: self.replaces.iter().map(replaced).collect(),
            insert: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> Change {
        let replaces = vec![OperationId {
            counter: 3,
            actor: ByteBuf::from([7; 16]),
        }];
        Change {
            session: Session::new(5).next(),
            sequence: 2,
            writes: vec![Write {
                register: "service/web/instances".to_owned(),
                value: "4".to_owned(),
                replaces,
            }],
        }
    }

    #[test]
    fn the_frozen_format_does_not_change() {
        let encoded = data_encoding::HEXLOWER.encode(&any().encode());
        expect_test::expect!["a36773657373696f6ea2656e6f6e636548000000000000000565636f756e74016873657175656e6365026677726974657381a368726567697374657275736572766963652f7765622f696e7374616e6365736576616c75656134687265706c6163657381a267636f756e74657203656163746f725007070707070707070707070707070707"].assert_eq(&encoded);
        assert_eq!(Change::decode(&any().encode()).unwrap(), any());
    }

    #[test]
    fn an_actor_names_author_session_and_document() {
        let grid = DocumentId::Grid;
        let shop: DocumentId = "stack/shop".parse().unwrap();
        let actor = Session::new(5).actor(&[1; 32], &grid);
        assert_eq!(actor, Session::new(5).actor(&[1; 32], &grid));
        assert_ne!(actor, Session::new(5).actor(&[2; 32], &grid));
        assert_ne!(actor, Session::new(6).actor(&[1; 32], &grid));
        assert_ne!(actor, Session::new(5).next().actor(&[1; 32], &grid));
        assert_ne!(actor, Session::new(5).actor(&[1; 32], &shop));
    }
}
