//! Frames that carry a peer's sealed packet through a third node, on the same port as WireGuard's.
//!
//! ```text
//!  0        1      2               9               16            24
//!  0x6b     kind   sender's id     other end's id  tag           a WireGuard message
//! ```
//!
//! WireGuard's messages begin with 1 to 4. A relay takes a *forward* frame and sends a *deliver*
//! frame, which nobody takes any further, and neither carries a frame: there are no loops and no
//! second hop. The tag proves the sender to the receiver of the frame, by a key that only the two
//! can compute. It covers the header and the beginning of the message, where WireGuard's own
//! counter is; the message proves itself at its end.

use blake2::digest::consts::U8;
use blake2::digest::{Digest, FixedOutput, KeyInit, Update};
use blake2::{Blake2s256, Blake2sMac};

use crate::key::{PrivateKey, PublicKey};

/// Bytes that a frame adds to the message.
pub(crate) const OVERHEAD: usize = 24;

const MARK: u8 = 0x6b;
const FORWARD: u8 = 1;
const DELIVER: u8 = 2;
const ID: usize = 7;
const TAG: usize = 8;
const COVERED: usize = 16;

/// Shortest message of WireGuard: a keepalive.
const SHORTEST_MESSAGE: usize = 32;

/// The beginning of a hash of a public key: enough to tell the members of a grid apart (two of
/// 4,096 have the same one with a probability of 10⁻¹⁰), and short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RelayId([u8; ID]);

impl RelayId {
    pub(crate) fn of(key: PublicKey) -> Self {
        let hash = Blake2s256::new()
            .chain_update(b"kontena relay id")
            .chain_update(key.0)
            .finalize();
        Self(std::array::from_fn(|at| hash[at]))
    }
}

/// What two members share to prove frames to each other.
#[derive(Clone)]
pub(crate) struct RelayKey([u8; 32]);

impl RelayKey {
    pub(crate) fn new(own: &PrivateKey, other: PublicKey) -> Self {
        let hash = Blake2s256::new()
            .chain_update(b"kontena relay key")
            .chain_update(own.shared(other))
            .finalize();
        Self(hash.into())
    }

    fn tag(&self, header: &[u8], message: &[u8]) -> [u8; TAG] {
        let mut mac = Blake2sMac::<U8>::new_from_slice(&self.0).expect("32 bytes are a key");
        Update::update(&mut mac, header);
        Update::update(&mut mac, &(message.len() as u16).to_be_bytes());
        Update::update(&mut mac, &message[..message.len().min(COVERED)]);
        mac.finalize_fixed().into()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To a relay: send this on to the other end.
    Forward,
    /// From a relay: this came from the other end.
    Deliver,
}

/// A frame as it arrived; who sent it is yet to be proved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) sender: RelayId,
    pub(crate) other: RelayId,
    pub(crate) message: &'a [u8],
    bytes: &'a [u8],
}

/// Whether a datagram claims to be a frame.
pub(crate) fn is_frame(datagram: &[u8]) -> bool {
    datagram.first() == Some(&MARK)
}

impl<'a> Frame<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, message) = bytes.split_at_checked(OVERHEAD)?;
        let kind = match (header[0], header[1]) {
            (MARK, FORWARD) => Kind::Forward,
            (MARK, DELIVER) => Kind::Deliver,
            _ => return None,
        };
        // Nothing but WireGuard's messages: above all no frame.
        let plain = message.len() >= SHORTEST_MESSAGE
            && matches!(message[0], 1..=4)
            && message[1..4] == [0; 3];
        let id = |at: usize| RelayId(std::array::from_fn(|byte| header[at + byte]));
        plain.then_some(Self {
            kind,
            sender: id(2),
            other: id(2 + ID),
            message,
            bytes,
        })
    }

    /// Whether the owner of the key sent this frame.
    pub(crate) fn is_proved_by(&self, key: &RelayKey) -> bool {
        let header = OVERHEAD - TAG;
        let difference = key
            .tag(&self.bytes[..header], self.message)
            .iter()
            .zip(&self.bytes[header..])
            .fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs));
        difference == 0
    }
}

/// Writes the header of a frame before the message that is already in its place.
pub(crate) fn seal(frame: &mut [u8], kind: Kind, sender: RelayId, other: RelayId, key: &RelayKey) {
    let (header, message) = frame.split_at_mut(OVERHEAD);
    header[0] = MARK;
    header[1] = match kind {
        Kind::Forward => FORWARD,
        Kind::Deliver => DELIVER,
    };
    header[2..2 + ID].copy_from_slice(&sender.0);
    header[2 + ID..2 + 2 * ID].copy_from_slice(&other.0);
    let tag = key.tag(&header[..OVERHEAD - TAG], message);
    header[OVERHEAD - TAG..].copy_from_slice(&tag);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(message: &[u8], kind: Kind) -> (Vec<u8>, RelayKey) {
        let (a, b) = (PrivateKey::new([1; 32]), PrivateKey::new([2; 32]));
        let ids = [&a, &b].map(|key| RelayId::of(key.public_key()));
        let mut frame = [&[0; OVERHEAD][..], message].concat();
        let key = RelayKey::new(&a, b.public_key());
        seal(&mut frame, kind, ids[0], ids[1], &key);
        (frame, RelayKey::new(&b, a.public_key()))
    }

    fn message() -> Vec<u8> {
        let mut message = vec![9; 100];
        message[..4].copy_from_slice(&[4, 0, 0, 0]);
        message
    }

    #[test]
    fn both_ends_compute_the_same_key_and_prove_frames_by_it() {
        let (bytes, key) = frame(&message(), Kind::Forward);
        let frame = Frame::parse(&bytes).expect("a frame");
        assert_eq!(frame.kind, Kind::Forward);
        assert_eq!(frame.message, message());
        assert!(frame.is_proved_by(&key));
        let stranger = RelayKey::new(&PrivateKey::new([3; 32]), PublicKey([4; 32]));
        assert!(!frame.is_proved_by(&stranger));
    }

    #[test]
    fn a_frame_in_a_frame_is_none() {
        let (inner, _) = frame(&message(), Kind::Deliver);
        let (bytes, _) = frame(&inner, Kind::Forward);
        assert!(Frame::parse(&bytes).is_none());
    }

    proptest! {
        #[test]
        fn a_change_in_what_the_tag_covers_is_seen(at in 2..OVERHEAD + COVERED, bit in 0..8_u8) {
            let (mut bytes, key) = frame(&message(), Kind::Forward);
            bytes[at] ^= 1 << bit;
            let proved = Frame::parse(&bytes).is_some_and(|frame| frame.is_proved_by(&key));
            prop_assert!(!proved);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
            marked in any::<bool>(),
        ) {
            let (_, key) = frame(&message(), Kind::Forward);
            if marked && bytes.len() > 1 {
                bytes[..2].copy_from_slice(&[MARK, FORWARD]);
            }
            if let Some(frame) = Frame::parse(&bytes) {
                prop_assert!(!frame.is_proved_by(&key));
            }
        }
    }
}
