//! The revisions that a stack's document recorded: every value that its record ever had, but those that
//! a removal knew and those that are looked through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::life::Life;
use super::stack::{Definitions, defined};
use crate::document::graph::Index;
use crate::document::log::Log;
use crate::document::schema::StackRegister;
use crate::id::{NodeId, ServiceName};
use crate::view::{History, StackRecord, StackRevision};

/// Which entries of the log recorded a revision, and what the newest of them say.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    sources: Vec<Index>,
    /// How many entries of the log were searched.
    searched: Index,
    /// A record never changes, so that each is parsed once; only those of the history are kept.
    parsed: BTreeMap<Index, Option<Arc<StackRecord>>>,
}

impl Recorded {
    /// Finds what came since the last time.
    pub(super) fn read(&mut self, log: &Log) {
        let register = StackRegister::Record.to_string();
        let is_recording = |index: &Index| log.entry(*index).registers().contains(&register);
        let new = (self.searched..log.entries().len()).filter(is_recording);
        self.sources.extend(new);
        self.searched = log.entries().len();
    }

    /// The newest revisions that count, the oldest first.
    pub(super) fn history(
        &mut self,
        log: &Log,
        life: &Life<'_>,
        definitions: &Definitions,
    ) -> History {
        let mut alive = self.alive(log, life);
        alive.sort_by_key(|source| log.rank(*source));
        let mut newest: Vec<(Index, Arc<StackRecord>)> = alive
            .into_iter()
            .rev()
            .filter_map(|source| Some((source, self.record(log, source)?)))
            .take(History::MAX)
            .collect();
        newest.reverse();
        self.parsed
            .retain(|source, _| newest.iter().any(|(kept, _)| kept == source));
        let revisions = newest.into_iter();
        History {
            revisions: revisions
                .map(|(source, record)| revision(log, source, &record, definitions))
                .collect(),
        }
    }

    /// What all these entries, each of which recorded a revision, have in their past: the newest such revision.
    pub(super) fn base(
        &mut self,
        log: &Log,
        life: &Life<'_>,
        sides: &[Index],
    ) -> Option<Arc<StackRecord>> {
        let mut before = self.alive(log, life);
        before.retain(|source| {
            let is_past = |side: &Index| side != source && log.graph.reaches(*side, *source);
            sides.iter().all(is_past)
        });
        before.sort_by_key(|source| log.rank(*source));
        let newest_first = before.into_iter().rev();
        newest_first
            .filter_map(|source| self.record(log, source))
            .next()
    }

    fn alive(&self, log: &Log, life: &Life<'_>) -> Vec<Index> {
        let counts = |source: &Index| {
            let is_looked_through = log.entry(*source).quarantined || log.is_masked(*source);
            !is_looked_through && life.has(*source)
        };
        self.sources.iter().copied().filter(counts).collect()
    }

    /// `None` where this version cannot read it.
    fn record(&mut self, log: &Log, source: Index) -> Option<Arc<StackRecord>> {
        let parsed = self.parsed.entry(source);
        parsed.or_insert_with(|| parse(log, source)).clone()
    }
}

/// The services of a stack that several sides of a split gave a revision at once: what any side added, less
/// what any side dropped. What one side dropped and another changed stays, because a service that is removed
/// by mistake costs more than one that is left.
pub(crate) fn merged_services(
    base: Option<&StackRecord>,
    sides: &[&StackRecord],
) -> Vec<ServiceName> {
    let all: BTreeSet<&ServiceName> = sides.iter().flat_map(|side| &side.services).collect();
    all.into_iter()
        .filter(|service| standing(service, base, sides) != Standing::Dropped)
        .cloned()
        .collect()
}

/// What becomes of a service that at least one side has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A side added it, or no side dropped it.
    Kept,
    /// A side dropped it, another changed it.
    KeptThoughDropped,
    Dropped,
}

pub(super) fn standing(
    service: &ServiceName,
    base: Option<&StackRecord>,
    sides: &[&StackRecord],
) -> Standing {
    let has = |side: &StackRecord| side.services.contains(service);
    let Some(base) = base.filter(|base| has(base)) else {
        return Standing::Kept;
    };
    let is_changed = |side: &StackRecord| {
        has(side) && side.definitions.get(service) != base.definitions.get(service)
    };
    if sides.iter().all(|side| has(side)) {
        Standing::Kept
    } else if sides.iter().any(|side| is_changed(side)) {
        Standing::KeptThoughDropped
    } else {
        Standing::Dropped
    }
}

fn parse(log: &Log, source: Index) -> Option<Arc<StackRecord>> {
    let register = StackRegister::Record.to_string();
    let (_, change) = log.read(source);
    let write = change
        .writes
        .iter()
        .find(|write| write.register == register)?;
    let record: StackRecord = serde_json::from_str(&write.value).ok()?;
    Some(Arc::new(StackRecord {
        updated: log.entry(source).time,
        ..record
    }))
}

fn revision(
    log: &Log,
    source: Index,
    record: &Arc<StackRecord>,
    definitions: &Definitions,
) -> StackRevision {
    let entry = log.entry(source);
    let services = record.definitions.iter();
    StackRevision {
        hash: entry.hash,
        author: NodeId(entry.author),
        services: services
            .map(|(name, definition)| (name.clone(), defined(definitions, &definition.hash)))
            .collect(),
        record: Arc::clone(record),
    }
}
