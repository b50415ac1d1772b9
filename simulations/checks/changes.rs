//! Who knew what: the changes of a document, read from the disks as they were signed.

use std::collections::{BTreeMap, BTreeSet};

use kontena_core::document::DocumentId;
use kontena_core::document::change::Change;
use kontena_core::document::envelope::Envelope;
use kontena_core::id::EnvelopeHash;

use super::Scene;

/// The changes of one document, on whatever disk: for a moment they may be on their way to the own one.
pub(super) struct Changes(BTreeMap<EnvelopeHash, Envelope>);

impl Changes {
    pub(super) fn of(scene: Scene<'_>, document: &DocumentId) -> Self {
        let hosts = scene.world.hosts.iter();
        let all = hosts.flat_map(|host| host.disk.load().envelopes);
        let opened = all.filter_map(|signed| Some((signed.hash(), signed.open().ok()?)));
        Self(
            opened
                .filter(|(_, envelope)| envelope.document == *document)
                .collect(),
        )
    }

    /// One of [`Self::writing`].
    pub(super) fn get(&self, hash: EnvelopeHash) -> &Envelope {
        &self.0[&hash]
    }

    /// The changes that write a register.
    pub(super) fn writing(&self, register: &str) -> impl Iterator<Item = EnvelopeHash> {
        let writing = self.0.iter().filter(move |(_, envelope)| {
            let change = Change::decode(&envelope.payload);
            change.is_ok_and(|change| change.writes.iter().any(|write| write.register == register))
        });
        writing.map(|(hash, _)| *hash)
    }

    /// Whether the author of `descendant` knew `ancestor`, or is its author.
    pub(super) fn knows(&self, descendant: EnvelopeHash, ancestor: EnvelopeHash) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![descendant];
        while let Some(hash) = open.pop() {
            if hash == ancestor {
                return true;
            }
            if let Some(envelope) = self.0.get(&hash).filter(|_| seen.insert(hash)) {
                open.extend(&envelope.dependencies);
            }
        }
        false
    }
}
