//! Anti-entropy: what two replicas tell each other to have the same envelopes.
//!
//! A digest of each document's heads says whether there is anything to do. [`Have`] says exactly
//! what is there, so [`Replica::missing`] answers nothing twice, in causal order, and as much as
//! fits: repeated rounds converge, however far both sides went on alone.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use automerge::ActorId;

use super::graph::{Index, Past};
use super::log::Log;
use super::replica::Replica;
use super::{DocumentId, Have, SessionMark, SignedEnvelope};
use crate::id::EnvelopeHash;
use crate::message;

impl Replica {
    /// A digest of the heads of each document that has any.
    pub fn digests(&self) -> &BTreeMap<DocumentId, EnvelopeHash> {
        &self.digests
    }

    /// The same on all nodes whose documents have the same heads.
    pub fn digest(&mut self) -> message::Digest {
        let digests = &self.digests;
        *self.digest.get_or_insert_with(|| {
            let names: Vec<String> = digests.keys().map(ToString::to_string).collect();
            let parts = names.iter().zip(digests.values());
            // A name holds no zero, and a digest has one length.
            message::Digest::of(
                parts.flat_map(|(name, digest)| [name.as_bytes(), &[0], digest.as_bytes()]),
            )
        })
    }

    /// How much of a document is here.
    pub fn have(&self, document: &DocumentId) -> Have {
        self.logs.get(document).map_or_else(Have::default, have)
    }

    /// What somebody lacks who has this much: in causal order, at least one envelope if there is
    /// any, and no more than fit into `max_bytes`.
    pub fn missing(
        &self,
        document: &DocumentId,
        have: &Have,
        max_bytes: usize,
    ) -> Vec<SignedEnvelope> {
        let Some(log) = self.logs.get(document) else {
            return Vec::new();
        };
        let past = past_of(log, have);
        let mut bytes = 0;
        let lacking = (0..log.graph.len()).filter(|index| !log.graph.contains(&past, *index));
        lacking
            .map(|index| &log.entry(index).signed)
            .take_while(|signed| {
                let is_first = bytes == 0;
                bytes += signed.bytes.len() + ENVELOPE_OVERHEAD;
                is_first || bytes <= max_bytes
            })
            .cloned()
            .collect()
    }

    /// How many envelopes somebody lacks who has this much.
    pub fn count_missing(&self, document: &DocumentId, have: &Have) -> usize {
        self.logs.get(document).map_or(0, |log| {
            let past = past_of(log, have);
            let all = 0..log.graph.len();
            all.filter(|index| !log.graph.contains(&past, *index))
                .count()
        })
    }

    /// The documents of which envelopes are parked: a peer has more of them, or of `grid`.
    pub fn wanted(&self) -> BTreeSet<DocumentId> {
        let mut wanted = self.parking.documents();
        if !wanted.is_empty() {
            wanted.insert(DocumentId::Grid);
        }
        wanted
    }
}

/// The seal and its frame.
const ENVELOPE_OVERHEAD: usize = 96;

pub(super) fn digest_of(log: &Log) -> EnvelopeHash {
    let mut hasher = Sha256::new();
    for head in log.heads() {
        hasher.update(head.0);
    }
    EnvelopeHash(hasher.finalize().into())
}

fn have(log: &Log) -> Have {
    let mut newest: Vec<(Index, &ActorId)> = log
        .sessions()
        .into_iter()
        .map(|(actor, index)| (index, actor))
        .collect();
    newest.sort_unstable_by_key(|(index, _)| std::cmp::Reverse(*index));
    newest.truncate(Have::MAX_SESSIONS);
    let mark = |(index, actor): (Index, &ActorId)| SessionMark {
        actor: actor.to_bytes().to_vec(),
        sequence: log.entry(index).sequence,
        newest: log.entry(index).hash,
    };
    Have {
        heads: log
            .heads()
            .iter()
            .copied()
            .take(Have::MAX_SESSIONS)
            .collect(),
        sessions: newest.into_iter().map(mark).collect(),
    }
}

/// What of our log lies in the past of what the other side says it has.
fn past_of(log: &Log, have: &Have) -> Past {
    let mut known: BTreeSet<Index> = log.find_all(&have.heads).into_iter().collect();
    known.extend(
        have.sessions
            .iter()
            .flat_map(|mark| known_of_session(log, mark)),
    );
    let known: Vec<Index> = known.into_iter().collect();
    log.graph.past_of(&known)
}

/// The entries of a session that the other side surely has. If it has another change than ours at a
/// place, nothing is sure.
fn known_of_session(log: &Log, mark: &SessionMark) -> Vec<Index> {
    if let Some(index) = log.find(&mark.newest) {
        return vec![index];
    }
    let actor = ActorId::from(mark.actor.as_slice());
    let last = log.last_sequence(&actor);
    match log.claims(&actor, last) {
        [only] if last < mark.sequence => vec![*only],
        _ => Vec::new(),
    }
}
