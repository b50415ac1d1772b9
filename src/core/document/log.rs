//! One document: its envelopes in causal order, and automerge's picture of them.
//!
//! An envelope is *active* (automerge has it) or *quarantined*: its author used one place in its
//! session twice, or it builds on such an envelope. An active one may be *masked*: its author was
//! removed, so that what it wrote is looked through ([`crate::access`] decides which).
//!
//! Which of two rivals for one place is active depends on their hashes alone, so every replica that
//! knows both comes to the same answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;

use automerge::{ActorId, Automerge, ChangeHash, ObjId, ROOT, ReadDoc};
use serde_bytes::ByteBuf;

use super::change::{Change, OperationId, Unusable};
use super::envelope::Envelope;
use super::graph::{Graph, Index, Past};
use super::writes::Writes;
use super::{DocumentId, SignedEnvelope};
use crate::id::EnvelopeHash;
use crate::time::WallTime;

#[derive(Debug)]
pub(crate) struct Log {
    document: DocumentId,
    entries: Vec<Entry>,
    by_hash: BTreeMap<EnvelopeHash, Index>,
    pub(crate) graph: Graph,
    automerge: Automerge,
    /// Changes of active entries that automerge does not have yet: it is given many at once, because each
    /// call costs it time that grows with the history.
    pending: Vec<automerge::Change>,
    /// Who claims which place in which session.
    places: BTreeMap<(ActorId, u64), Vec<Index>>,
    /// The first operation of each active entry.
    operations: BTreeMap<(ActorId, u64), Index>,
    by_author: BTreeMap<[u8; 32], Vec<Index>>,
    /// Of active entries.
    writes: Writes,
    /// The newest active entries.
    heads: BTreeSet<EnvelopeHash>,
    masked: BTreeSet<Index>,
    registers: BTreeMap<String, Vec<Value>>,
    /// Registers whose values must be read again.
    stale: BTreeSet<String>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) hash: EnvelopeHash,
    pub(crate) signed: SignedEnvelope,
    pub(crate) author: [u8; 32],
    pub(crate) lamport: u64,
    pub(crate) time: WallTime,
    pub(crate) actor: ActorId,
    pub(crate) sequence: u64,
    dependencies: Vec<Index>,
    /// Operation counters, last one included.
    start: u64,
    end: u64,
    change: ChangeHash,
    registers: Vec<String>,
    pub(crate) quarantined: bool,
}

impl Entry {
    pub(crate) fn registers(&self) -> &[String] {
        &self.registers
    }

    /// The operation that writes a register, which must be one of its own.
    fn operation(&self, register: &str) -> OperationId {
        let mut registers = self.registers.iter();
        let place = registers.position(|own| own == register);
        OperationId {
            counter: self.start + place.expect("the entry writes it") as u64,
            actor: ByteBuf::from(self.actor.to_bytes()),
        }
    }
}

/// One visible value of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// JSON.
    pub(crate) text: String,
    /// The entry that wrote it.
    pub(crate) source: Index,
}

/// Why an envelope does not fit into its document. It never will.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("its lamport clock is {found}, not {expected}")]
    Lamport { found: u64, expected: u64 },
    #[error("it is not the next change of its session")]
    Sequence,
    #[error("the document has more operations than can be counted")]
    Exhausted,
    #[error("register `{0}` had other values than it says")]
    Replaces(String),
}

/// Whether what an envelope says of the values it replaces is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// From a peer, or written here.
    Nobody,
    /// From our own disk: checked before it was saved.
    Disk,
}

/// An envelope that fits, ready to be added.
#[derive(Debug)]
pub(crate) struct Fitting {
    entry: Entry,
    built: automerge::Change,
}

impl Log {
    pub(crate) fn new(document: DocumentId) -> Self {
        Self {
            document,
            entries: Vec::new(),
            by_hash: BTreeMap::new(),
            graph: Graph::default(),
            automerge: Automerge::new(),
            pending: Vec::new(),
            places: BTreeMap::new(),
            operations: BTreeMap::new(),
            by_author: BTreeMap::new(),
            writes: Writes::default(),
            heads: BTreeSet::new(),
            masked: BTreeSet::new(),
            registers: BTreeMap::new(),
            stale: BTreeSet::new(),
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, index: Index) -> &Entry {
        &self.entries[index]
    }

    pub(crate) fn find(&self, hash: &EnvelopeHash) -> Option<Index> {
        self.by_hash.get(hash).copied()
    }

    /// The indices of those that are known.
    pub(crate) fn find_all(&self, hashes: &[EnvelopeHash]) -> Vec<Index> {
        hashes.iter().filter_map(|hash| self.find(hash)).collect()
    }

    pub(crate) fn heads(&self) -> &BTreeSet<EnvelopeHash> {
        &self.heads
    }

    pub(crate) fn by_author(&self) -> &BTreeMap<[u8; 32], Vec<Index>> {
        &self.by_author
    }

    pub(crate) fn registers(&self) -> &BTreeMap<String, Vec<Value>> {
        &self.registers
    }

    pub(crate) fn is_masked(&self, index: Index) -> bool {
        self.masked.contains(&index)
    }

    /// The newest active entry of each session.
    pub(crate) fn sessions(&self) -> BTreeMap<&ActorId, Index> {
        let active = self.places.iter().flat_map(|((actor, _), claims)| {
            let of_actor = move |index: &Index| (actor, *index);
            claims.iter().map(of_actor)
        });
        active
            .filter(|(_, index)| !self.entries[*index].quarantined)
            .collect()
    }

    /// The highest place that anybody claims in a session; 0 if none.
    pub(crate) fn last_sequence(&self, actor: &ActorId) -> u64 {
        let claims = self
            .places
            .range((actor.clone(), 0)..=(actor.clone(), u64::MAX));
        claims.last().map_or(0, |((_, sequence), _)| *sequence)
    }

    pub(crate) fn claims(&self, actor: &ActorId, sequence: u64) -> &[Index] {
        self.places
            .get(&(actor.clone(), sequence))
            .map_or(&[], Vec::as_slice)
    }

    /// Checks an envelope whose dependencies are all here.
    pub(crate) fn fit(
        &self,
        signed: SignedEnvelope,
        envelope: &Envelope,
        change: &Change,
        trust: Trust,
    ) -> Result<Fitting, Unfit> {
        let dependencies = self.find_all(&envelope.dependencies);
        let past = dependencies.iter().map(|index| &self.entries[*index]);
        let expected = past.clone().map(|entry| entry.lamport).max().unwrap_or(0) + 1;
        if envelope.lamport != expected {
            let found = envelope.lamport;
            return Err(Unfit::Lamport { found, expected });
        }
        let actor = change.session.actor(&envelope.author, &self.document);
        self.check_sequence(&actor, change.sequence, &dependencies)?;
        let start = past.clone().map(|entry| entry.end).max().unwrap_or(0) + 1;
        let end = start + change.writes.len() as u64 - 1;
        if end > u64::from(u32::MAX) {
            return Err(Unfit::Exhausted);
        }
        if trust == Trust::Nobody && past.clone().all(|entry| !entry.quarantined) {
            self.check_replaces(change, &self.graph.past_of(&dependencies))?;
        }
        let built = change.build(
            actor.clone(),
            NonZeroU64::new(start).expect("it is at least 1"),
            past.map(|entry| entry.change).collect(),
        );
        let entry = Entry {
            hash: signed.hash(),
            signed,
            author: envelope.author,
            lamport: envelope.lamport,
            time: envelope.time,
            actor,
            sequence: change.sequence,
            dependencies,
            start,
            end,
            change: built.hash(),
            registers: change.writes.iter().map(|w| w.register.clone()).collect(),
            quarantined: false,
        };
        Ok(Fitting { entry, built })
    }

    /// A session is a line: its previous change lies in the past, and nothing else at this place.
    fn check_sequence(
        &self,
        actor: &ActorId,
        sequence: u64,
        dependencies: &[Index],
    ) -> Result<(), Unfit> {
        let past = self.graph.past_of(dependencies);
        let seen = |sequence| {
            let claims = self.claims(actor, sequence);
            claims
                .iter()
                .any(|index| self.graph.contains(&past, *index))
        };
        let follows = sequence == 1 || sequence > 1 && seen(sequence - 1);
        if follows && !seen(sequence) {
            Ok(())
        } else {
            Err(Unfit::Sequence)
        }
    }

    fn check_replaces(&self, change: &Change, past: &Past) -> Result<(), Unfit> {
        for write in &change.writes {
            if write.replaces != self.seen_at(&write.register, past) {
                return Err(Unfit::Replaces(write.register.clone()));
            }
        }
        Ok(())
    }

    /// The values of a register that an author saw who knew `dependencies`, rising.
    pub(crate) fn replaced_by(&self, register: &str, dependencies: &[Index]) -> Vec<OperationId> {
        self.seen_at(register, &self.graph.past_of(dependencies))
    }

    /// What automerge says of the same, of entries that it has.
    #[cfg(test)]
    pub(crate) fn replaced_by_automerge(
        &self,
        register: &str,
        dependencies: &[Index],
    ) -> Vec<OperationId> {
        let values = self.values_at(register, &self.changes_of(dependencies));
        let mut ids: Vec<OperationId> = values
            .into_iter()
            .map(|(_, (actor, counter))| OperationId {
                counter,
                actor: ByteBuf::from(actor.to_bytes()),
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    fn seen_at(&self, register: &str, past: &Past) -> Vec<OperationId> {
        let seen = self.writes.seen_at(&self.graph, register, past);
        let mut ids: Vec<OperationId> = seen
            .into_iter()
            .map(|index| self.entries[index].operation(register))
            .collect();
        ids.sort_unstable();
        ids
    }

    fn changes_of(&self, indices: &[Index]) -> Vec<ChangeHash> {
        indices
            .iter()
            .map(|index| self.entries[*index].change)
            .collect()
    }

    fn values_at(&self, register: &str, at: &[ChangeHash]) -> Vec<(String, (ActorId, u64))> {
        if at.is_empty() {
            return Vec::new();
        }
        let values = self.automerge.get_all_at(ROOT, register, at);
        let values = values.expect("the root is a map");
        values
            .into_iter()
            .filter_map(|(value, id)| match id {
                ObjId::Id(counter, actor, _) => {
                    Some((value.as_str()?.to_owned(), (actor, counter)))
                }
                ObjId::Root => None,
            })
            .collect()
    }

    /// Adds it. Answers whether entries that were active are not any more.
    pub(crate) fn add(&mut self, fitting: Fitting) -> bool {
        let Fitting { mut entry, built } = fitting;
        let place = (entry.actor.clone(), entry.sequence);
        let rivals = self.places.get(&place).cloned().unwrap_or_default();
        let builds_on_quarantined = entry
            .dependencies
            .iter()
            .any(|d| self.entries[*d].quarantined);
        let lost = rivals
            .iter()
            .any(|rival| self.entries[*rival].hash < entry.hash);
        entry.quarantined = builds_on_quarantined || lost;

        let index = self.graph.add(&entry.dependencies);
        self.places.entry(place).or_default().push(index);
        self.by_hash.insert(entry.hash, index);
        self.by_author.entry(entry.author).or_default().push(index);
        let active = !entry.quarantined;
        self.entries.push(entry);
        if active {
            self.activate(index, built);
        }
        let beaten: Vec<Index> = match lost {
            true => Vec::new(),
            false => rivals
                .into_iter()
                .filter(|rival| !self.entries[*rival].quarantined)
                .collect(),
        };
        if !beaten.is_empty() {
            self.quarantine(&beaten);
        }
        !beaten.is_empty()
    }

    fn activate(&mut self, index: Index, built: automerge::Change) {
        let entry = &self.entries[index];
        for dependency in &entry.dependencies {
            self.heads.remove(&self.entries[*dependency].hash);
        }
        self.heads.insert(entry.hash);
        self.operations
            .insert((entry.actor.clone(), entry.start), index);
        self.stale.extend(entry.registers.iter().cloned());
        let past = self.graph.past_of(&entry.dependencies);
        for register in &entry.registers {
            self.writes.add(&self.graph, register, index, &past);
        }
        self.pending.push(built);
    }

    /// Takes entries and all that builds on them out, and builds automerge's picture anew.
    fn quarantine(&mut self, beaten: &[Index]) {
        for index in 0..self.entries.len() {
            if beaten.iter().any(|rival| self.graph.reaches(index, *rival)) {
                self.entries[index].quarantined = true;
            }
        }
        self.heads.clear();
        self.operations.clear();
        self.writes = Writes::default();
        self.pending.clear();
        self.automerge = Automerge::new();
        for index in 0..self.entries.len() {
            if !self.entries[index].quarantined {
                let built = self.build_again(index);
                self.activate(index, built);
            }
        }
        self.stale.extend(self.registers.keys().cloned());
    }

    fn build_again(&self, index: Index) -> automerge::Change {
        let entry = &self.entries[index];
        let (_, change) = self.read(index);
        let start = NonZeroU64::new(entry.start).expect("it is at least 1");
        change.build(
            entry.actor.clone(),
            start,
            self.changes_of(&entry.dependencies),
        )
    }

    /// The envelope of an entry and its change.
    pub(crate) fn read(&self, index: Index) -> (Envelope, Change) {
        let envelope = self.entries[index].signed.open();
        let envelope = envelope.expect("it was read when it was added");
        let change = Change::decode(&envelope.payload);
        (envelope, change.expect("it was read when it was added"))
    }

    /// Gives automerge what it does not have yet.
    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return;
        }
        self.automerge
            .apply_changes(pending)
            .expect("places in sessions are unique and dependencies are there: checked by `fit`");
    }

    /// Says anew which entries are looked through.
    pub(crate) fn mask(&mut self, masked: BTreeSet<Index>) {
        for index in self.masked.symmetric_difference(&masked) {
            self.stale
                .extend(self.entries[*index].registers.iter().cloned());
        }
        self.masked = masked;
    }

    /// Reads again what changed. Answers whether any register has other values now.
    pub(crate) fn refresh(&mut self) -> bool {
        self.flush();
        let mut changed = false;
        for register in std::mem::take(&mut self.stale) {
            let values = self.visible(&register);
            let before = match values.is_empty() {
                true => self.registers.remove(&register),
                false => self.registers.insert(register.clone(), values),
            };
            changed |= before.as_ref() != self.registers.get(&register);
        }
        changed
    }

    /// The values of a register that nothing replaced, the winner first: the highest lamport clock,
    /// then author, then hash. What a masked entry wrote gives way to what it had replaced.
    fn visible(&self, register: &str) -> Vec<Value> {
        let heads: Vec<EnvelopeHash> = self.heads.iter().copied().collect();
        let mut waiting = VecDeque::from([self.find_all(&heads)]);
        let mut looked_through = BTreeSet::new();
        let mut found = BTreeMap::new();
        while let Some(at) = waiting.pop_front() {
            for (text, id) in self.values_at(register, &self.changes_of(&at)) {
                let source = self.source_of(id);
                if !self.masked.contains(&source) {
                    found.insert(source, text);
                } else if looked_through.insert(source) {
                    waiting.push_back(self.entries[source].dependencies.clone());
                }
            }
        }
        let replaced = |source: &Index| {
            let others = found.keys().filter(|other| *other != source);
            !looked_through.is_empty()
                && others
                    .into_iter()
                    .any(|other| self.graph.reaches(*other, *source))
        };
        let mut values: Vec<Value> = found
            .iter()
            .filter(|(source, _)| !replaced(source))
            .map(|(source, text)| Value {
                text: text.clone(),
                source: *source,
            })
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(self.rank(value.source)));
        values
    }

    /// The order of concurrent writers.
    pub(crate) fn rank(&self, index: Index) -> (u64, [u8; 32], EnvelopeHash) {
        let entry = &self.entries[index];
        (entry.lamport, entry.author, entry.hash)
    }

    fn source_of(&self, (actor, counter): (ActorId, u64)) -> Index {
        let (_, index) = self
            .operations
            .range((actor.clone(), 0)..=(actor, counter))
            .next_back()
            .expect("automerge has the operations of active entries only");
        *index
    }
}
