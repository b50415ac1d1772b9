//! Why a deploy that documents named may count no more: what the rules say of changes that are looked
//! through, and of those that a removal knew.

use std::collections::{BTreeMap, BTreeSet};

use kontena_core::document::DocumentId;
use kontena_core::document::change::Change;
use kontena_core::document::envelope::Envelope;
use kontena_core::id::{EnvelopeHash, NodeId, ServiceKey};
use kontena_core::view::Deployed;

use super::Scene;

/// The changes of one document, on whatever disk: for a moment they may be on their way to the own one.
struct Changes(BTreeMap<EnvelopeHash, Envelope>);

/// Whether a deploy that a host showed was written by somebody who is no member any more, without a remover's
/// knowledge, or by one life of the service that a removal knew, while another one beside it goes on.
pub(super) fn counts_no_more(
    scene: Scene<'_>,
    host: usize,
    key: &ServiceKey,
    deployed: &Deployed,
) -> bool {
    let changes = Changes::of(scene, &DocumentId::Stack(key.stack.clone()));
    let register = format!("service/{}/deploy", key.service);
    let documents = &scene.view(host).documents;
    let written = changes.0.iter().filter(|(_, envelope)| {
        envelope.lamport == deployed.generation && writes(envelope, &register)
    });
    let mut hashes = written.map(|(hash, _)| *hash);
    hashes.any(|hash| {
        documents.excludes(&NodeId(changes.0[&hash].author)) || changes.are_removed(key, hash)
    })
}

fn writes(envelope: &Envelope, register: &str) -> bool {
    let change = Change::decode(&envelope.payload);
    change.is_ok_and(|change| change.writes.iter().any(|write| write.register == register))
}

impl Changes {
    fn of(scene: Scene<'_>, document: &DocumentId) -> Self {
        let hosts = scene.world.hosts.iter();
        let all = hosts.flat_map(|host| host.disk.load().envelopes);
        let opened = all.filter_map(|signed| Some((signed.hash(), signed.open().ok()?)));
        Self(
            opened
                .filter(|(_, envelope)| envelope.document == *document)
                .collect(),
        )
    }

    /// Whether somebody removed the service, or its stack, who knew this change.
    fn are_removed(&self, key: &ServiceKey, change: EnvelopeHash) -> bool {
        let registers = [
            format!("service/{}/removed", key.service),
            "removed".to_owned(),
        ];
        let removals = self
            .0
            .iter()
            .filter(|(_, envelope)| registers.iter().any(|register| writes(envelope, register)));
        let mut removals = removals.map(|(hash, _)| *hash);
        removals.any(|removal| self.knows(removal, change))
    }

    fn knows(&self, descendant: EnvelopeHash, ancestor: EnvelopeHash) -> bool {
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
