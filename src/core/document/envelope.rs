//! The envelope: what an author signs when it changes a document. Its format is frozen.
//!
//! A version byte, then CBOR with named fields. Fields may be added: the bytes are kept and passed
//! on as they were signed, so what this version does not know survives. What the payload says is
//! read by [`super::change`]; whether the author may say it is decided by [`crate::access`].

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use sha2::{Digest, Sha256};

use super::{DocumentId, SignedEnvelope};
use crate::id::EnvelopeHash;
use crate::identity::{Context, SecretKey, verify};
use crate::time::WallTime;

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub document: DocumentId,
    /// The document's heads as its author knew them, rising, each once; empty for the first.
    pub dependencies: Vec<EnvelopeHash>,
    /// The heads of the document that rules rights (`grid` for now), rising, each once; empty in
    /// that document itself, where the dependencies say the same.
    pub access: Vec<EnvelopeHash>,
    /// One more than the highest among the dependencies; 1 for the first.
    pub lamport: u64,
    /// The public key that signs: a node's, or the grid's for the very first envelope.
    pub author: [u8; 32],
    /// The place for the session keys of users; nothing else than none is accepted yet.
    pub delegation: Option<Vec<u8>>,
    /// By the author's clock; for display only.
    pub time: WallTime,
    /// A [`super::change::Change`].
    pub payload: Vec<u8>,
}

/// Why bytes are no envelope.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Malformed {
    #[error("{0} bytes are more than an envelope may have")]
    TooLarge(usize),
    #[error("envelope version {0} is not known here")]
    Version(u8),
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("its {0} are not in order, or too many")]
    Hashes(&'static str),
    #[error("it is signed for somebody else, which this version does not know")]
    Delegated,
}

/// The largest payload: a service definition of 64 KiB fits four times.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// The most dependencies, and heads of rights: more concurrent writers than a grid has nodes.
pub const MAX_DEPENDENCIES: usize = 1024;
/// A full payload, twice the hashes at 34 bytes each, and the small fields.
pub const MAX_ENVELOPE_BYTES: usize = MAX_PAYLOAD_BYTES + 2 * MAX_DEPENDENCIES * 34 + 1024;

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Wire {
    document: DocumentId,
    dependencies: Vec<ByteArray<32>>,
    access: Vec<ByteArray<32>>,
    lamport: u64,
    author: ByteArray<32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delegation: Option<ByteBuf>,
    time: WallTime,
    payload: ByteBuf,
}

impl SignedEnvelope {
    /// The hash that names this envelope.
    pub fn hash(&self) -> EnvelopeHash {
        EnvelopeHash(Sha256::digest(&self.bytes).into())
    }

    /// Reads it and checks its shape, not its signature.
    ///
    /// # Errors
    /// Says why the bytes are no envelope that this version accepts.
    pub fn open(&self) -> Result<Envelope, Malformed> {
        if self.bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(Malformed::TooLarge(self.bytes.len()));
        }
        let envelope = decode(&self.bytes)?;
        if envelope.payload.len() > MAX_PAYLOAD_BYTES {
            return Err(Malformed::TooLarge(envelope.payload.len()));
        }
        check_hashes("dependencies", &envelope.dependencies)?;
        check_hashes("heads of rights", &envelope.access)?;
        if envelope.delegation.as_ref().is_some_and(|d| !d.is_empty()) {
            return Err(Malformed::Delegated);
        }
        Ok(envelope)
    }

    /// Whether its author signed it.
    pub fn is_signed_by(&self, author: &[u8; 32]) -> bool {
        verify(author, Context::Envelope, &self.bytes, &self.seal)
    }
}

impl Envelope {
    /// Encodes and signs it. `key` is the author's.
    pub fn sign(&self, key: &SecretKey) -> SignedEnvelope {
        let bytes = encode(self);
        let seal = key.sign(Context::Envelope, &bytes);
        SignedEnvelope { bytes, seal }
    }
}

fn encode(envelope: &Envelope) -> Vec<u8> {
    let wire = Wire {
        document: envelope.document.clone(),
        dependencies: envelope.dependencies.iter().map(to_bytes).collect(),
        access: envelope.access.iter().map(to_bytes).collect(),
        lamport: envelope.lamport,
        author: ByteArray::new(envelope.author),
        delegation: envelope.delegation.clone().map(ByteBuf::from),
        time: envelope.time,
        payload: ByteBuf::from(envelope.payload.clone()),
    };
    let mut bytes = vec![VERSION];
    ciborium::into_writer(&wire, &mut bytes)
        .expect("an envelope has text keys and writes to memory");
    bytes
}

fn decode(bytes: &[u8]) -> Result<Envelope, Malformed> {
    let wire: Wire = match bytes.split_first() {
        Some((&VERSION, rest)) => read_whole(rest).map_err(Malformed::Unreadable)?,
        Some((version, _)) => return Err(Malformed::Version(*version)),
        None => return Err(Malformed::Unreadable("no bytes".to_owned())),
    };
    Ok(Envelope {
        document: wire.document,
        dependencies: wire.dependencies.into_iter().map(to_hash).collect(),
        access: wire.access.into_iter().map(to_hash).collect(),
        lamport: wire.lamport,
        author: wire.author.into_array(),
        delegation: wire.delegation.map(ByteBuf::into_vec),
        time: wire.time,
        payload: wire.payload.into_vec(),
    })
}

/// Reads one CBOR value that fills `bytes`, not nested deeper than 16.
pub(super) fn read_whole<T: for<'a> Deserialize<'a>>(mut bytes: &[u8]) -> Result<T, String> {
    let value = ciborium::de::from_reader_with_recursion_limit(&mut bytes, 16)
        .map_err(|error| error.to_string())?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err("something follows its end".to_owned())
    }
}

fn to_bytes(hash: &EnvelopeHash) -> ByteArray<32> {
    ByteArray::new(hash.0)
}

fn to_hash(bytes: ByteArray<32>) -> EnvelopeHash {
    EnvelopeHash(bytes.into_array())
}

fn check_hashes(what: &'static str, hashes: &[EnvelopeHash]) -> Result<(), Malformed> {
    let rising = hashes.windows(2).all(|pair| pair[0] < pair[1]);
    if rising && hashes.len() <= MAX_DEPENDENCIES {
        Ok(())
    } else {
        Err(Malformed::Hashes(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> Envelope {
        Envelope {
            document: DocumentId::Grid,
            dependencies: vec![EnvelopeHash([1; 32]), EnvelopeHash([2; 32])],
            access: Vec::new(),
            lamport: 7,
            author: SecretKey::from_seed([1; 32]).public(),
            delegation: None,
            time: WallTime(1),
            payload: vec![1, 2, 3],
        }
    }

    #[test]
    fn an_envelope_is_read_as_it_was_signed() {
        let signed = any().sign(&SecretKey::from_seed([1; 32]));
        assert_eq!(signed.open().unwrap(), any());
        assert!(signed.is_signed_by(&any().author));
    }

    #[test]
    fn the_frozen_format_does_not_change() {
        let hash = any().sign(&SecretKey::from_seed([1; 32])).hash();
        expect_test::expect!["35ea256670fe3af692dc4c4ff5b30dfb03989a480ed051262d5ee15f1fd29bad"]
            .assert_eq(&hash.to_string());
    }

    #[test]
    fn a_field_of_a_newer_version_does_no_harm() {
        let mut value: ciborium::Value = read_whole(&encode(&any())[1..]).unwrap();
        let ciborium::Value::Map(fields) = &mut value else {
            panic!("an envelope is a map");
        };
        fields.push(("novelty".into(), 1.into()));
        let mut bytes = vec![VERSION];
        ciborium::into_writer(&value, &mut bytes).unwrap();
        let seal = SecretKey::from_seed([1; 32]).sign(Context::Envelope, &bytes);
        assert_eq!(SignedEnvelope { bytes, seal }.open().unwrap(), any());
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let key = SecretKey::from_seed([1; 32]);
        let refused = |envelope: Envelope| envelope.sign(&key).open().unwrap_err();
        let twice = vec![EnvelopeHash([1; 32]); 2];
        let delegation = Some(vec![1]);
        let payload = vec![0; MAX_PAYLOAD_BYTES + 1];
        assert_eq!(
            refused(Envelope {
                dependencies: twice.clone(),
                ..any()
            }),
            Malformed::Hashes("dependencies")
        );
        assert_eq!(
            refused(Envelope {
                access: twice,
                ..any()
            }),
            Malformed::Hashes("heads of rights")
        );
        assert_eq!(
            refused(Envelope {
                delegation,
                ..any()
            }),
            Malformed::Delegated
        );
        assert_eq!(
            refused(Envelope { payload, ..any() }),
            Malformed::TooLarge(MAX_PAYLOAD_BYTES + 1)
        );
        let mut signed = any().sign(&key);
        signed.bytes.push(0);
        assert!(matches!(signed.open(), Err(Malformed::Unreadable(_))));
        signed.bytes[0] = 9;
        assert_eq!(signed.open(), Err(Malformed::Version(9)));
        assert!(!signed.is_signed_by(&any().author));
    }
}
