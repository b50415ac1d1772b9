//! Envelopes that wait for what they depend on. Bounded: the oldest go first, and come again by
//! anti-entropy.

use std::collections::{BTreeMap, BTreeSet};

use super::{DocumentId, SignedEnvelope};
use crate::id::EnvelopeHash;

#[derive(Debug, Default)]
pub(crate) struct Parking {
    places: BTreeMap<u64, Parked>,
    by_hash: BTreeMap<EnvelopeHash, u64>,
    /// Who waits for an envelope.
    waiting: BTreeMap<EnvelopeHash, BTreeSet<u64>>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Parked {
    signed: SignedEnvelope,
    hash: EnvelopeHash,
    document: DocumentId,
    /// One that is missing; the others are looked at again when it comes.
    waits_for: EnvelopeHash,
}

/// A gap of 10,000 changes is synced in order anyway; this holds what overtakes on the way.
const MAX_PARKED: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

impl Parking {
    pub(crate) fn contains(&self, hash: &EnvelopeHash) -> bool {
        self.by_hash.contains_key(hash)
    }

    pub(crate) fn park(
        &mut self,
        signed: SignedEnvelope,
        document: DocumentId,
        waits_for: EnvelopeHash,
    ) {
        let hash = signed.hash();
        let place = self.next;
        self.next += 1;
        self.bytes += signed.bytes.len();
        self.by_hash.insert(hash, place);
        self.waiting.entry(waits_for).or_default().insert(place);
        self.places.insert(
            place,
            Parked {
                signed,
                hash,
                document,
                waits_for,
            },
        );
        while self.places.len() > MAX_PARKED || self.bytes > MAX_BYTES {
            let oldest = self.places.keys().next().copied();
            self.take(oldest.expect("there are more than none"));
        }
    }

    /// Those that waited for this one.
    pub(crate) fn released_by(&mut self, hash: &EnvelopeHash) -> Vec<SignedEnvelope> {
        let places = self.waiting.get(hash).cloned().unwrap_or_default();
        places
            .into_iter()
            .filter_map(|place| self.take(place))
            .collect()
    }

    fn take(&mut self, place: u64) -> Option<SignedEnvelope> {
        let parked = self.places.remove(&place)?;
        self.bytes -= parked.signed.bytes.len();
        self.by_hash.remove(&parked.hash);
        if let Some(waiting) = self.waiting.get_mut(&parked.waits_for) {
            waiting.remove(&place);
            if waiting.is_empty() {
                self.waiting.remove(&parked.waits_for);
            }
        }
        Some(parked.signed)
    }

    /// The documents of which something is missing: those of the parked ones.
    pub(crate) fn documents(&self) -> BTreeSet<DocumentId> {
        self.places
            .values()
            .map(|parked| parked.document.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Seal;

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let mut parking = Parking::default();
        let envelope = |n: u64| SignedEnvelope {
            bytes: n.to_be_bytes().to_vec(),
            seal: Seal([0; 64]),
        };
        let missing = EnvelopeHash([0; 32]);
        for n in 0..=MAX_PARKED as u64 {
            parking.park(envelope(n), DocumentId::Grid, missing);
        }
        assert!(!parking.contains(&envelope(0).hash()));
        assert!(parking.contains(&envelope(1).hash()));
        assert_eq!(parking.released_by(&missing).len(), MAX_PARKED);
        assert_eq!((parking.bytes, parking.waiting.len()), (0, 0));
        assert!(parking.documents().is_empty());
    }
}
