//! Why a deploy that documents named may count no more: what the rules say of changes that are looked
//! through, and of those that a removal knew.

use kontena_core::document::DocumentId;
use kontena_core::id::{EnvelopeHash, NodeId, ServiceKey};
use kontena_core::view::Deployed;

use super::Scene;
use super::changes::Changes;

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
    let mut hashes = changes.writing(&register);
    hashes.any(|hash| {
        let change = changes.get(hash);
        change.lamport == deployed.generation
            && (documents.excludes(&NodeId(change.author)) || are_removed(&changes, key, hash))
    })
}

/// Whether somebody removed the service, or its stack, who knew this change.
fn are_removed(changes: &Changes, key: &ServiceKey, change: EnvelopeHash) -> bool {
    let registers = [
        format!("service/{}/removed", key.service),
        "removed".to_owned(),
    ];
    let mut removals = registers
        .iter()
        .flat_map(|register| changes.writing(register));
    removals.any(|removal| changes.knows(removal, change))
}
