//! Texts that only those can read whom they are meant for.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. A text is sealed once, for
//! a key pair of its own; the private half of that is sealed for each node, by the x25519 form of the node's key. So a
//! text costs its length and 80 bytes for each node, and whoever can open it can let others in without saying it anew.
//!
//! Each ciphertext is bound to what it is a secret *of*: put under another name it does not open, so that nobody gets
//! one sent elsewhere by moving it.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use ed25519_dalek::SigningKey;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256};
use hpke::{Deserializable, HpkeError, OpModeR, OpModeS, Serializable};
use kontena_core::external_registry::{Lock, SealedKey, SealedText};
use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::network::keys;

use crate::backup::{RecoveryCode, RecoveryKey};

type Private = <X25519HkdfSha256 as Kem>::PrivateKey;
type Public = <X25519HkdfSha256 as Kem>::PublicKey;
type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Of an encapsulated key, which a ciphertext begins with.
const ENCAPPED: usize = 32;

const TEXT: &[u8] = b"kontena/sealed-text/1";
const KEY: &[u8] = b"kontena/sealed-key/1";
const BACKUP: &[u8] = b"kontena/grid-backup/1";

/// A text and its keys. Nodes whose id is no key get none.
pub(crate) fn seal(
    text: &str,
    of: &str,
    nodes: impl IntoIterator<Item = NodeId>,
) -> anyhow::Result<(SealedText, BTreeMap<NodeId, SealedKey>)> {
    let (private, public) = X25519HkdfSha256::gen_keypair();
    let lock = Lock(public.to_bytes().into());
    let sealed = SealedText {
        lock,
        text: seal_for(&public, TEXT, text.as_bytes(), of)?,
    };
    Ok((sealed, keys_for(&private, lock, of, nodes)?))
}

/// The text, to a node that has a key of it.
pub(crate) fn open(
    identity: &SecretKey,
    of: &str,
    sealed: &SealedText,
    key: &SealedKey,
) -> anyhow::Result<String> {
    let private = open_key(identity, of, key)?;
    let text = open_by(&private, TEXT, &sealed.text, of)?;
    String::from_utf8(text).context("the sealed text is no text")
}

/// Keys for others, by a node that has one.
pub(crate) fn share(
    identity: &SecretKey,
    of: &str,
    key: &SealedKey,
    nodes: impl IntoIterator<Item = NodeId>,
) -> anyhow::Result<BTreeMap<NodeId, SealedKey>> {
    let private = open_key(identity, of, key)?;
    keys_for(&private, key.lock, of, nodes)
}

/// Whom a backup is sealed for that this code opens.
pub(crate) fn recovery_key(code: &RecoveryCode) -> RecoveryKey {
    let (_, public) = X25519HkdfSha256::derive_keypair(code.bytes());
    RecoveryKey(public.to_bytes().into())
}

/// Whether something can be sealed for it: of some points nothing secret comes.
pub(crate) fn is_usable(key: &RecoveryKey) -> bool {
    seal_backup(key, b"", b"").is_ok()
}

/// Bound to what is said of it in the clear.
pub(crate) fn seal_backup(
    to: &RecoveryKey,
    contents: &[u8],
    head: &[u8],
) -> anyhow::Result<Vec<u8>> {
    let public = Public::from_bytes(&to.0).map_err(named)?;
    seal_bytes(&public, BACKUP, contents, head)
}

pub(crate) fn open_backup(
    code: &RecoveryCode,
    sealed: &[u8],
    head: &[u8],
) -> anyhow::Result<Vec<u8>> {
    let (private, _) = X25519HkdfSha256::derive_keypair(code.bytes());
    open_bytes(&private, BACKUP, sealed, head)
}

fn keys_for(
    private: &Private,
    lock: Lock,
    of: &str,
    nodes: impl IntoIterator<Item = NodeId>,
) -> anyhow::Result<BTreeMap<NodeId, SealedKey>> {
    let nodes = nodes.into_iter();
    let recipients = nodes.filter_map(|node| Some((node, keys::public(&node)?)));
    let sealed = recipients.map(|(node, public)| {
        let public = Public::from_bytes(&public).map_err(named)?;
        let key = seal_for(&public, KEY, &private.to_bytes(), of)?;
        Ok((node, SealedKey { lock, key }))
    });
    sealed.collect()
}

fn open_key(identity: &SecretKey, of: &str, key: &SealedKey) -> anyhow::Result<Private> {
    let own = SigningKey::from_bytes(&identity.seed()).to_scalar_bytes();
    let own = Private::from_bytes(&own).map_err(named)?;
    let private = open_by(&own, KEY, &key.key, of)?;
    let private = Private::from_bytes(&private).map_err(named)?;
    let public: [u8; 32] = X25519HkdfSha256::sk_to_pk(&private).to_bytes().into();
    match public == key.lock.0 {
        true => Ok(private),
        false => Err(anyhow!("the key is of another text")),
    }
}

fn seal_for(to: &Public, info: &[u8], text: &[u8], of: &str) -> anyhow::Result<Vec<u8>> {
    seal_bytes(to, info, text, of.as_bytes())
}

fn seal_bytes(to: &Public, info: &[u8], text: &[u8], of: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (encapped, sealed) =
        hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            to,
            info,
            text,
            of,
        )
        .map_err(named)?;
    Ok([encapped.to_bytes().as_slice(), &sealed].concat())
}

fn open_by(own: &Private, info: &[u8], sealed: &[u8], of: &str) -> anyhow::Result<Vec<u8>> {
    open_bytes(own, info, sealed, of.as_bytes())
}

fn open_bytes(own: &Private, info: &[u8], sealed: &[u8], of: &[u8]) -> anyhow::Result<Vec<u8>> {
    let parts = sealed.split_at_checked(ENCAPPED);
    let (encapped, sealed) = parts.context("the sealed text is cut off")?;
    let encapped = Encapped::from_bytes(encapped).map_err(named)?;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        own,
        &encapped,
        info,
        sealed,
        of,
    )
    .map_err(named)
}

fn named(problem: HpkeError) -> anyhow::Error {
    anyhow!("{problem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: &str = "registry/quay.io";

    fn identity(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn node(seed: u8) -> NodeId {
        identity(seed).node_id()
    }

    #[test]
    fn those_whom_it_is_sealed_for_open_it_and_nobody_else() {
        let (text, keys) = seal("pässword", OF, (1..=20).map(node)).unwrap();
        assert_eq!(keys.len(), 20);
        for seed in 1..=20 {
            let opened = open(&identity(seed), OF, &text, &keys[&node(seed)]);
            assert_eq!(opened.unwrap(), "pässword");
        }
        assert!(open(&identity(21), OF, &text, &keys[&node(1)]).is_err());
        assert!(open(&identity(2), OF, &text, &keys[&node(1)]).is_err());
    }

    #[test]
    fn who_has_a_key_lets_others_in() {
        let (text, keys) = seal("secret", OF, [node(1)]).unwrap();
        let more = share(&identity(1), OF, &keys[&node(1)], [node(2)]).unwrap();
        assert_eq!(
            open(&identity(2), OF, &text, &more[&node(2)]).unwrap(),
            "secret"
        );
        assert!(share(&identity(3), OF, &keys[&node(1)], [node(3)]).is_err());
    }

    #[test]
    fn what_is_moved_altered_or_cut_does_not_open() {
        let (text, keys) = seal("secret", OF, [node(1)]).unwrap();
        let (me, key) = (identity(1), &keys[&node(1)]);
        assert!(open(&me, "registry/evil.example", &text, key).is_err());
        let (other, _) = seal("other", OF, [node(1)]).unwrap();
        assert!(
            open(&me, OF, &other, key).is_err(),
            "the text of another lock"
        );
        for at in [0, ENCAPPED, text.text.len() - 1] {
            let mut altered = text.clone();
            altered.text[at] ^= 1;
            assert!(open(&me, OF, &altered, key).is_err(), "{at}");
        }
        for length in [0, ENCAPPED - 1, ENCAPPED, text.text.len() - 1] {
            let mut cut = text.clone();
            cut.text.truncate(length);
            assert!(open(&me, OF, &cut, key).is_err(), "{length}");
        }
    }

    #[test]
    fn what_is_sealed_shows_no_more_than_its_length_and_differs_each_time() {
        let (one, _) = seal("secret", OF, []).unwrap();
        let (other, _) = seal("secret", OF, []).unwrap();
        assert_ne!(one, other);
        assert_eq!(one.text.len(), ENCAPPED + "secret".len() + 16);
        assert!(!format!("{one:?}").contains("secret"));
    }

    #[test]
    fn a_node_whose_id_is_no_key_gets_none() {
        let (_, keys) = seal("secret", OF, [NodeId([0; 32]), node(1)]).unwrap();
        assert_eq!(keys.into_keys().collect::<Vec<_>>(), [node(1)]);
    }
}
