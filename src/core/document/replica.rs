//! One node's copy of all documents: what comes in is checked, ordered and materialised here.
//!
//! In: signed envelopes from peers ([`Replica::ingest`]), from the own disk ([`Replica::load`]) and
//! the edits of commands ([`Replica::prepare`], then [`Replica::commit`] once they are on disk).
//! Out: [`Documents`], and whatever a peer is missing ([`Replica::missing`]).
//!
//! An envelope that can never be right (forged, malformed, without the right) is refused and
//! remembered by its hash. That depends on it and its causal past alone, so every replica refuses
//! the same. One that comes before its dependencies is parked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::change::{Change, Session, Unusable};
use super::envelope::{Envelope, Malformed};
use super::log::{Fitting, Log, Trust, Unfit};
use super::materialise::Parts;
use super::parking::Parking;
use super::sync::digest_of;
use super::{DocumentId, SignedEnvelope, schema};
use crate::access::{Access, Denied, Members};
use crate::id::{EnvelopeHash, GridId};
use crate::identity::SecretKey;
use crate::message::Digest;
use crate::time::WallTime;
use crate::view::Documents;

/// All documents of one grid, as one node has them.
#[derive(Debug)]
pub struct Replica {
    pub(super) author: SecretKey,
    pub(super) session: Session,
    /// Whether [`Replica::prepare`] gave out something that was neither committed nor abandoned.
    pub(super) outstanding: bool,
    pub(super) grid: Option<GridId>,
    pub(super) logs: BTreeMap<DocumentId, Log>,
    pub(super) access: Access,
    pub(super) parking: Parking,
    rejected: Rejected,
    events: VecDeque<Event>,

    /// Documents with envelopes that are not in `documents` yet.
    touched: BTreeSet<DocumentId>,
    /// Of the heads of each document that has any.
    pub(super) digests: BTreeMap<DocumentId, EnvelopeHash>,
    /// Of all of `digests`; `None` once one has changed.
    pub(super) digest: Option<Digest>,
    members: Members,
    parts: Parts,
    documents: Arc<Documents>,
    version: u64,
}

/// What became of an envelope.
#[derive(Clone, Debug, PartialEq)]
pub enum Ingested {
    /// It is in its document, with whatever waited for it. All of `newly` must be saved, in this
    /// order; a quarantined one too, because it proves something about its author.
    Applied {
        newly: Vec<SignedEnvelope>,
    },
    Known,
    /// Something that it depends on is missing: [`Replica::wanted`].
    Parked,
    Refused(Refusal),
}

/// Why an envelope is not taken, now or ever.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("it is not signed by its author")]
    Forged,
    #[error("this node belongs to no grid yet")]
    NoGrid,
    #[error("register `{register}` does not belong into document `{document}`")]
    Register {
        document: DocumentId,
        register: String,
    },
    #[error("it depends on a change that was refused")]
    DependsOnRefused,
}

/// A signed envelope that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub hash: EnvelopeHash,
    pub author: [u8; 32],
    pub document: DocumentId,
    pub reason: Refusal,
}

/// Something that a person should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An author used one place in its session twice: a bug, or a stolen key. The change with the
    /// lower hash is kept; the other, and what builds on it, has no effect.
    Equivocation {
        document: DocumentId,
        author: [u8; 32],
        kept: EnvelopeHash,
        dropped: EnvelopeHash,
    },
}

/// One change of a document, for `history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub hash: EnvelopeHash,
    pub author: [u8; 32],
    pub lamport: u64,
    /// By the author's clock.
    pub time: WallTime,
    /// `REGISTER = VALUE`, one for each write.
    pub writes: Vec<String>,
    pub effect: Effect,
}

/// Whether a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Counts,
    /// Its author used its place in a session twice, or it builds on such a change.
    Quarantined,
    /// Its author was removed without this change being known.
    Masked,
}

/// What became of one envelope, without those that waited for it.
enum Offered {
    Added(SignedEnvelope),
    Known,
    Parked,
    Refused(Refusal),
}

/// How many events wait to be read; the oldest go first.
const MAX_EVENTS: usize = 1000;

impl Replica {
    /// An empty replica that writes as `author`. `session` is random and new in each run: two runs
    /// with one author and one session could write two different changes at one place.
    pub fn new(author: SecretKey, session: u64) -> Self {
        Self {
            author,
            session: Session::new(session),
            outstanding: false,
            grid: None,
            logs: BTreeMap::from([(DocumentId::Grid, Log::new(DocumentId::Grid))]),
            access: Access::default(),
            parking: Parking::default(),
            rejected: Rejected::default(),
            events: VecDeque::new(),
            touched: BTreeSet::new(),
            digests: BTreeMap::new(),
            digest: None,
            members: Members::default(),
            parts: Parts::default(),
            documents: Arc::default(),
            version: 0,
        }
    }

    /// Accepts envelopes of this grid, and of no other: only its key can have signed the first one.
    pub fn open_grid(&mut self, grid: GridId) {
        self.grid = Some(grid);
    }

    pub fn grid(&self) -> Option<GridId> {
        self.grid
    }

    /// Takes back what was saved, in the order in which it was saved, after [`Replica::open_grid`].
    ///
    /// Signatures, rights and replaced values were checked before it was saved; its structure is
    /// checked again. Answers what could not be used: a damaged disk, whose gaps peers will fill.
    pub fn load(&mut self, saved: impl IntoIterator<Item = SignedEnvelope>) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for signed in saved {
            if let Ingested::Refused(refusal) = self.take_in(signed, Trust::Disk) {
                refusals.push(refusal);
            }
        }
        refusals
    }

    /// Takes in an envelope from a peer, and what waited for it.
    pub fn ingest(&mut self, signed: SignedEnvelope) -> Ingested {
        self.take_in(signed, Trust::Nobody)
    }

    /// Takes in a change of `grid` that anybody may have brought. Answers what is new by that, or `None` if
    /// it does not follow from what is here: for a stranger nothing is kept that no member wrote.
    pub fn ingest_from_stranger(&mut self, signed: SignedEnvelope) -> Option<Vec<SignedEnvelope>> {
        let envelope = signed.open().ok()?;
        if self.has(&DocumentId::Grid, &signed.hash()) {
            return Some(Vec::new());
        }
        let is_readable = envelope.document == DocumentId::Grid
            && self.access.has_admitted(&envelope.author)
            && self.first_missing(&envelope).is_none();
        if !is_readable {
            return None;
        }
        match self.ingest(signed) {
            Ingested::Applied { newly } => Some(newly),
            Ingested::Known | Ingested::Parked | Ingested::Refused(_) => None,
        }
    }

    pub(super) fn take_in(&mut self, signed: SignedEnvelope, trust: Trust) -> Ingested {
        let first = match self.offer(signed, trust) {
            Offered::Added(signed) => signed,
            Offered::Known => return Ingested::Known,
            Offered::Parked => return Ingested::Parked,
            Offered::Refused(refusal) => return Ingested::Refused(refusal),
        };
        let mut newly = vec![first];
        let mut next = 0;
        while next < newly.len() {
            for released in self.parking.released_by(&newly[next].hash()) {
                if let Offered::Added(signed) = self.offer(released, trust) {
                    newly.push(signed);
                }
            }
            next += 1;
        }
        Ingested::Applied { newly }
    }

    fn offer(&mut self, signed: SignedEnvelope, trust: Trust) -> Offered {
        let hash = signed.hash();
        let envelope = match signed.open() {
            Ok(envelope) => envelope,
            Err(malformed) => return Offered::Refused(malformed.into()),
        };
        if self.has(&envelope.document, &hash) {
            return Offered::Known;
        }
        if self.parking.contains(&hash) {
            return Offered::Parked;
        }
        if let Some(rejection) = self.rejected.get(&hash) {
            return Offered::Refused(rejection.reason.clone());
        }
        if self.grid.is_none() {
            return Offered::Refused(Refusal::NoGrid);
        }
        if trust == Trust::Nobody && !signed.is_signed_by(&envelope.author) {
            return Offered::Refused(Refusal::Forged);
        }
        if let Some(missing) = self.first_missing(&envelope) {
            if self.rejected.get(&missing).is_none() {
                self.parking.park(signed, envelope.document, missing);
                return Offered::Parked;
            }
            return self.refuse(hash, &envelope, Refusal::DependsOnRefused);
        }
        match self.check(signed, &envelope, trust) {
            Ok((fitting, change)) => Offered::Added(self.add(&envelope, fitting, &change)),
            Err(refusal) => self.refuse(hash, &envelope, refusal),
        }
    }

    fn has(&self, document: &DocumentId, hash: &EnvelopeHash) -> bool {
        let log = self.logs.get(document);
        log.is_some_and(|log| log.find(hash).is_some())
    }

    fn first_missing(&self, envelope: &Envelope) -> Option<EnvelopeHash> {
        let lacks = |document: &DocumentId, hashes: &[EnvelopeHash]| {
            hashes
                .iter()
                .find(|hash| !self.has(document, hash))
                .copied()
        };
        lacks(&envelope.document, &envelope.dependencies)
            .or_else(|| lacks(&DocumentId::Grid, &envelope.access))
    }

    /// Everything that can be wrong with an envelope whose dependencies are here.
    pub(super) fn check(
        &self,
        signed: SignedEnvelope,
        envelope: &Envelope,
        trust: Trust,
    ) -> Result<(Fitting, Change), Refusal> {
        let change = Change::decode(&envelope.payload)?;
        if let Some(write) = change
            .writes
            .iter()
            .find(|write| !schema::belongs(&envelope.document, &write.register))
        {
            return Err(Refusal::Register {
                document: envelope.document.clone(),
                register: write.register.clone(),
            });
        }
        if trust == Trust::Nobody {
            let grid = self.grid.ok_or(Refusal::NoGrid)?;
            self.access
                .check(grid, self.grid_log(), envelope, &change)?;
        }
        let fitting = match self.logs.get(&envelope.document) {
            Some(log) => log.fit(signed, envelope, &change, trust)?,
            None => Log::new(envelope.document.clone()).fit(signed, envelope, &change, trust)?,
        };
        Ok((fitting, change))
    }

    fn add(&mut self, envelope: &Envelope, fitting: Fitting, change: &Change) -> SignedEnvelope {
        let document = &envelope.document;
        let log = self
            .logs
            .entry(document.clone())
            .or_insert_with(|| Log::new(document.clone()));
        log.add(fitting);
        self.digests.insert(document.clone(), digest_of(log));
        self.digest = None;
        let index = log.entries().len() - 1;
        let signed = log.entry(index).signed.clone();
        let event = equivocation(document, log, index);
        if *document == DocumentId::Grid {
            self.access.learn(log, index, change);
        }
        self.note(event);
        self.touched.insert(document.clone());
        signed
    }

    fn note(&mut self, event: Option<Event>) {
        self.events.extend(event);
        while self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
    }

    fn refuse(&mut self, hash: EnvelopeHash, envelope: &Envelope, reason: Refusal) -> Offered {
        self.rejected.remember(Rejection {
            hash,
            author: envelope.author,
            document: envelope.document.clone(),
            reason: reason.clone(),
        });
        Offered::Refused(reason)
    }

    pub(super) fn grid_log(&self) -> &Log {
        self.logs
            .get(&DocumentId::Grid)
            .expect("it is made with the replica")
    }

    /// Whether an envelope is in one of the documents.
    pub fn contains(&self, hash: &EnvelopeHash) -> bool {
        self.logs.values().any(|log| log.find(hash).is_some())
    }

    /// What people want, by all that was taken in.
    pub fn documents(&mut self) -> Arc<Documents> {
        self.settle();
        self.documents.clone()
    }

    /// Rises whenever [`Replica::documents`] changes.
    pub fn version(&mut self) -> u64 {
        self.settle();
        self.version
    }

    fn settle(&mut self) {
        let (Some(grid), false) = (self.grid, self.touched.is_empty()) else {
            return;
        };
        let mut touched = std::mem::take(&mut self.touched);
        if touched.contains(&DocumentId::Grid) {
            let members = self.access.members(grid, self.grid_log());
            if members != self.members {
                self.members = members;
                touched.extend(self.logs.keys().cloned());
            }
        }
        for document in touched {
            let Some(log) = self.logs.get_mut(&document) else {
                continue;
            };
            log.mask(self.members.masked(grid, &document, log));
            log.refresh();
            self.parts.update(grid, &document, log, &self.members);
        }
        let documents = self.parts.combine();
        if *self.documents != documents {
            self.documents = Arc::new(documents);
            self.version += 1;
        }
    }

    /// The newest envelopes of a document.
    pub fn heads(&self, document: &DocumentId) -> Vec<EnvelopeHash> {
        let log = self.logs.get(document);
        log.map_or(Vec::new(), |log| log.heads().iter().copied().collect())
    }

    /// All envelopes of a document, in causal order.
    pub fn envelopes_of(&self, document: &DocumentId) -> Vec<SignedEnvelope> {
        let log = self.logs.get(document);
        log.map_or(Vec::new(), |log| {
            log.entries()
                .iter()
                .map(|entry| entry.signed.clone())
                .collect()
        })
    }

    /// What was changed in a document, by whom, in causal order.
    pub fn history(&mut self, document: &DocumentId) -> Vec<Recorded> {
        self.settle();
        let Some(log) = self.logs.get(document) else {
            return Vec::new();
        };
        (0..log.entries().len())
            .map(|index| recorded(log, index))
            .collect()
    }

    /// Signed envelopes that were refused: the first hundred of each author.
    pub fn rejected(&self) -> impl Iterator<Item = &Rejection> {
        self.rejected.by_hash.values()
    }

    /// What happened since the last call that a person should hear of.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }
}

fn equivocation(document: &DocumentId, log: &Log, index: usize) -> Option<Event> {
    let entry = log.entry(index);
    let claims = log.claims(&entry.actor, entry.sequence);
    let mut hashes: Vec<EnvelopeHash> = claims.iter().map(|claim| log.entry(*claim).hash).collect();
    hashes.sort_unstable();
    let (kept, others) = hashes.split_first()?;
    let dropped = if *kept == entry.hash {
        *others.first()?
    } else {
        entry.hash
    };
    Some(Event::Equivocation {
        document: document.clone(),
        author: entry.author,
        kept: *kept,
        dropped,
    })
}

fn recorded(log: &Log, index: usize) -> Recorded {
    let entry = log.entry(index);
    let (_, change) = log.read(index);
    let effect = if entry.quarantined {
        Effect::Quarantined
    } else if log.is_masked(index) {
        Effect::Masked
    } else {
        Effect::Counts
    };
    Recorded {
        hash: entry.hash,
        author: entry.author,
        lamport: entry.lamport,
        time: entry.time,
        writes: change
            .writes
            .iter()
            .map(|write| format!("{} = {}", write.register, write.value))
            .collect(),
        effect,
    }
}

/// What was refused, so that it is refused at once when it comes again. Bounded, because whoever
/// sends garbage can send a lot of it.
#[derive(Debug, Default)]
struct Rejected {
    by_hash: BTreeMap<EnvelopeHash, Rejection>,
    by_author: BTreeMap<[u8; 32], usize>,
}

impl Rejected {
    /// Rules of the mesh 4: the first hundred of each author.
    const MAX_PER_AUTHOR: usize = 100;
    /// As many authors as a grid has nodes.
    const MAX_AUTHORS: usize = 4096;

    fn get(&self, hash: &EnvelopeHash) -> Option<&Rejection> {
        self.by_hash.get(hash)
    }

    fn remember(&mut self, rejection: Rejection) {
        if self.by_author.len() >= Self::MAX_AUTHORS
            && !self.by_author.contains_key(&rejection.author)
        {
            return;
        }
        let count = self.by_author.entry(rejection.author).or_default();
        if *count < Self::MAX_PER_AUTHOR {
            *count += 1;
            self.by_hash.insert(rejection.hash, rejection);
        }
    }
}
