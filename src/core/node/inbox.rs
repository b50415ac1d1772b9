//! Changes of others that came and are not taken in yet.
//!
//! Taking one in costs a signature and more, and a message holds thousands: so a batch is taken in
//! by slices, and the loop goes on in between. Peers take turns, so that none waits for another's
//! backlog. What does not fit is dropped, and comes again by anti-entropy.

use std::collections::{BTreeMap, VecDeque};

use crate::document::SignedEnvelope;
use crate::id::NodeId;
use crate::message::{Envelopes, MAX_MESSAGE_BYTES};

/// Taken in at once: one costs some 0.1 ms in a release build (`simulations/benches/core`, row
/// `merging`), so that a slice takes less than 10 ms.
const SLICE: usize = 64;

/// Of large changes fewer: a payload of JSON costs about 10 ns a byte.
const SLICE_BYTES: usize = 256 * 1024;

/// What one peer may have waiting: one full message while another is worked off.
const MAX_BYTES_OF_PEER: usize = 2 * MAX_MESSAGE_BYTES;

/// What may wait in all.
const MAX_BYTES: usize = 8 * MAX_MESSAGE_BYTES;

/// What an envelope costs beside its bytes, so that empty ones are bounded too.
const OVERHEAD: usize = 128;

/// The batches that wait, by peer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    peers: BTreeMap<NodeId, Backlog>,
    bytes: usize,
    /// Whose turn it was last.
    last: Option<NodeId>,
}

#[derive(Debug, Default)]
struct Backlog {
    batches: VecDeque<Batch>,
    bytes: usize,
}

/// What is left of one message.
#[derive(Debug)]
struct Batch {
    envelopes: VecDeque<SignedEnvelope>,
    acknowledge: bool,
    hops: u8,
    /// Something of it waits for what it depends on.
    is_parked: bool,
}

/// Part of one message, in its order.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) from: NodeId,
    pub(super) envelopes: Vec<SignedEnvelope>,
    pub(super) acknowledge: bool,
    pub(super) hops: u8,
    /// Something of an earlier slice of the message waits for what it depends on.
    pub(super) is_parked: bool,
    /// Nothing of the message is left.
    pub(super) is_last: bool,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Keeps a message for later. Answers whether there was room for it.
    pub(super) fn push(&mut self, from: NodeId, received: Envelopes) -> bool {
        let bytes: usize = received.envelopes.iter().map(weight).sum();
        let waiting = self.peers.get(&from).map_or(0, |backlog| backlog.bytes);
        if waiting + bytes > MAX_BYTES_OF_PEER || self.bytes + bytes > MAX_BYTES {
            return false;
        }
        if received.envelopes.is_empty() {
            return true;
        }
        self.bytes += bytes;
        let backlog = self.peers.entry(from).or_default();
        backlog.bytes += bytes;
        backlog.batches.push_back(Batch {
            envelopes: received.envelopes.into(),
            acknowledge: received.acknowledge,
            hops: received.hops,
            is_parked: false,
        });
        true
    }

    /// The next slice: of the peer after the one whose turn it was.
    pub(super) fn take(&mut self) -> Option<Slice> {
        let from = self.next_peer()?;
        self.last = Some(from);
        let backlog = self.peers.get_mut(&from)?;
        let batch = backlog.batches.front_mut()?;
        let envelopes = batch.cut();
        let is_last = batch.envelopes.is_empty();
        let slice = Slice {
            from,
            acknowledge: batch.acknowledge,
            hops: batch.hops,
            is_parked: batch.is_parked,
            is_last,
            envelopes,
        };
        let bytes: usize = slice.envelopes.iter().map(weight).sum();
        backlog.bytes -= bytes;
        self.bytes -= bytes;
        if is_last {
            backlog.batches.pop_front();
        }
        if backlog.batches.is_empty() {
            self.peers.remove(&from);
        }
        Some(slice)
    }

    /// Something of the slice that was taken last waits for what it depends on, and more of its
    /// message is left.
    pub(super) fn note_parked(&mut self, from: &NodeId) {
        let batch = self
            .peers
            .get_mut(from)
            .and_then(|backlog| backlog.batches.front_mut());
        if let Some(batch) = batch {
            batch.is_parked = true;
        }
    }

    fn next_peer(&self) -> Option<NodeId> {
        let after = |node: &&NodeId| self.last.is_none_or(|last| **node > last);
        let next = self.peers.keys().find(after);
        next.or_else(|| self.peers.keys().next()).copied()
    }
}

impl Batch {
    /// At least one envelope, and as many more as a slice holds.
    fn cut(&mut self) -> Vec<SignedEnvelope> {
        let mut bytes = 0;
        let fits = |envelope: &&SignedEnvelope| {
            bytes += weight(envelope);
            bytes <= SLICE_BYTES
        };
        let count = self.envelopes.iter().take(SLICE).take_while(fits).count();
        let count = count.max(1).min(self.envelopes.len());
        self.envelopes.drain(..count).collect()
    }
}

fn weight(envelope: &SignedEnvelope) -> usize {
    envelope.bytes.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Seal;

    #[test]
    fn peers_take_turns_and_a_message_keeps_its_order() {
        let mut inbox = Inbox::default();
        assert!(inbox.push(node(1), message(0..150, 10)));
        assert!(inbox.push(node(2), message(150..160, 10)));
        let taken: Vec<_> = std::iter::from_fn(|| inbox.take())
            .map(|slice| (slice.from, numbers(&slice), slice.is_last))
            .collect();
        let expected = [
            (node(1), (0..64).collect(), false),
            (node(2), (150..160).collect(), true),
            (node(1), (64..128).collect(), false),
            (node(1), (128..150).collect(), true),
        ];
        assert_eq!(taken, expected);
        assert!(inbox.is_empty() && inbox.bytes == 0);
    }

    #[test]
    fn large_changes_make_small_slices() {
        let mut inbox = Inbox::default();
        assert!(inbox.push(node(1), message(0..3, SLICE_BYTES)));
        assert_eq!(inbox.take().map(|slice| numbers(&slice)), Some(vec![0]));
        assert!(inbox.push(node(2), message(3..9, SLICE_BYTES / 3)));
        assert_eq!(inbox.take().map(|slice| numbers(&slice)), Some(vec![3, 4]));
    }

    #[test]
    fn a_flood_is_dropped_and_the_others_still_have_room() {
        let mut inbox = Inbox::default();
        let full = || message(0..8, MAX_MESSAGE_BYTES / 8 - OVERHEAD);
        assert!(inbox.push(node(1), full()) && inbox.push(node(1), full()));
        assert!(!inbox.push(node(1), message(0..1, 1)));
        assert!(inbox.push(node(2), full()));
        for other in 3..60 {
            inbox.push(node(other), full());
        }
        assert_eq!(inbox.bytes, MAX_BYTES);
    }

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn message(numbers: std::ops::Range<u64>, bytes: usize) -> Envelopes {
        let envelope = |number: u64| {
            let mut content = number.to_be_bytes().to_vec();
            content.resize(bytes.max(8), 0);
            SignedEnvelope {
                bytes: content,
                seal: Seal([0; 64]),
            }
        };
        Envelopes {
            envelopes: numbers.map(envelope).collect(),
            acknowledge: true,
            hops: 0,
        }
    }

    fn numbers(slice: &Slice) -> Vec<u64> {
        let number = |envelope: &SignedEnvelope| {
            let (first, _) = envelope.bytes.split_first_chunk().unwrap();
            u64::from_be_bytes(*first)
        };
        slice.envelopes.iter().map(number).collect()
    }
}
