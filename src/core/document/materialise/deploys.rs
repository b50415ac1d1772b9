//! The deploy of record with what became of it, and the orders before it.
//!
//! A halt is written once for a deploy, by whoever saw it fail or by a person, and never taken back. Where it
//! says so, what ran before is wanted again, under the next generation: that follows from the halt alone, so that
//! of several nodes that see the failure none has to be the one who orders the way back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stack::Reader;
use super::{Read, readable};
use crate::document::graph::Index;
use crate::document::log::Log;
use crate::document::schema::{
    DeployOrder, HaltOrder, PreviousDeploy, PromotionOrder, ServiceRegister, StackRegister,
};
use crate::id::{NodeId, RevisionHash, ServiceName};
use crate::view::{DeployRecord, Deployed, Halt, HaltCause, Revision, TakenBack};

/// Every order to deploy that the log has. An order never changes, so that each is read once.
#[derive(Debug, Default)]
pub(super) struct Orders {
    by_service: BTreeMap<ServiceName, BTreeMap<Index, DeployOrder>>,
    /// How many entries of the log were searched.
    searched: Index,
}

impl Orders {
    /// Finds what came since the last time.
    pub(super) fn read(&mut self, log: &Log) {
        for index in self.searched..log.entries().len() {
            let mut registers = log.entry(index).registers().iter();
            if registers.any(|register| ordered(register).is_some()) {
                self.read_entry(log, index);
            }
        }
        self.searched = log.entries().len();
    }

    fn read_entry(&mut self, log: &Log, index: Index) {
        let (_, change) = log.read(index);
        for write in &change.writes {
            let order = serde_json::from_str(&write.value).ok();
            if let (Some(service), Some(order)) = (ordered(&write.register), order) {
                let orders = self.by_service.entry(service).or_default();
                orders.insert(index, order);
            }
        }
    }
}

fn ordered(register: &str) -> Option<ServiceName> {
    match StackRegister::parse(register)? {
        StackRegister::Service(service, ServiceRegister::Deploy) => Some(service),
        StackRegister::Service(..)
        | StackRegister::Record
        | StackRegister::Created
        | StackRegister::Removed
        | StackRegister::Label(_)
        | StackRegister::Definition(_) => None,
    }
}

/// All that is said against one deploy.
struct Halted {
    halt: Halt,
    /// Somebody wants what ran before.
    rollback: bool,
}

impl Reader<'_> {
    /// What an order and its halts come to, in the life of the service that began at `born`.
    pub(super) fn deployed(&self, order: &Read<DeployOrder>, born: u64) -> Deployed {
        let generation = self.log.entry(order.source).lamport;
        let ordered = self.ordered(generation, &order.value);
        let halted = self.halted(generation, order.value.revision);
        let Some(Halted { halt, rollback }) = halted else {
            return ordered;
        };
        let way_back = order.value.previous.as_ref().filter(|_| rollback);
        match way_back.filter(|previous| previous.hash != order.value.revision) {
            Some(previous) => Deployed {
                keeps_from: Some(born),
                ..self.way_back(ordered, previous, halt)
            },
            None => Deployed {
                halt: Some(halt),
                ..ordered
            },
        }
    }

    fn ordered(&self, generation: u64, order: &DeployOrder) -> Deployed {
        let revision = Revision {
            image: order.image.clone(),
            ..self.revision(order.revision, order.number)
        };
        let previous = order.previous.as_ref();
        Deployed {
            previous: previous.map(|previous| self.revision_of(previous)),
            promoted: self.is_promoted(generation, order.revision),
            ..Deployed::new(revision, generation, order.at)
        }
    }

    fn revision_of(&self, previous: &PreviousDeploy) -> Revision {
        Revision {
            image: previous.image.clone(),
            ..self.revision(previous.hash, previous.number)
        }
    }

    fn is_promoted(&self, generation: u64, revision: RevisionHash) -> bool {
        let values = self.alive(ServiceRegister::Promotion(generation));
        readable::<PromotionOrder>(&values).any(|read| read.value.revision == revision)
    }

    /// Everybody goes back, the first few first or not.
    fn way_back(&self, failed: Deployed, previous: &PreviousDeploy, halt: Halt) -> Deployed {
        let generation = failed.generation + 1;
        let again = self.halted(generation, previous.hash);
        Deployed {
            previous: Some(failed.revision.clone()),
            promoted: true,
            halt: again.map(|halted| halted.halt),
            takes_back: Some(TakenBack {
                revision: failed.revision,
                generation: failed.generation,
                halt: halt.clone(),
            }),
            ..Deployed::new(self.revision_of(previous), generation, halt.at)
        }
    }

    /// The halts of a deploy together: the first is told, in the order of the changes.
    fn halted(&self, generation: u64, revision: RevisionHash) -> Option<Halted> {
        let values = self.alive(ServiceRegister::Halt(generation));
        let read = readable::<HaltOrder>(&values);
        let mut orders: Vec<Read<HaltOrder>> = read
            .filter(|read| read.value.revision == revision)
            .collect();
        orders.sort_by_key(|read| self.log.rank(read.source));
        let rollback = orders.iter().any(|read| read.value.rollback);
        let first = orders.into_iter().next()?;
        let entry = self.log.entry(first.source);
        Some(Halted {
            halt: Halt {
                cause: bounded(first.value.cause),
                by: NodeId(entry.author),
                at: entry.time,
            },
            rollback,
        })
    }

    /// The orders that count, the newest first.
    pub(super) fn deploys(&self, service: &ServiceName) -> Arc<[DeployRecord]> {
        let orders = self.orders.by_service.get(service);
        let mut alive: Vec<(&Index, &DeployOrder)> = orders
            .into_iter()
            .flatten()
            .filter(|(source, _)| self.counts(**source))
            .collect();
        alive.sort_by_key(|(source, _)| std::cmp::Reverse(self.log.rank(**source)));
        let newest = alive.into_iter().take(DeployRecord::MAX);
        newest
            .map(|(source, order)| self.record(*source, order))
            .collect()
    }

    fn record(&self, source: Index, order: &DeployOrder) -> DeployRecord {
        let entry = self.log.entry(source);
        let halted = self.halted(entry.lamport, order.revision);
        let is_taken_back = halted.as_ref().is_some_and(|halted| halted.rollback)
            && order
                .previous
                .as_ref()
                .is_some_and(|previous| previous.hash != order.revision);
        DeployRecord {
            generation: entry.lamport,
            revision: order.revision,
            number: order.number,
            image: order.image.clone(),
            at: order.at,
            by: NodeId(entry.author),
            halt: halted.map(|halted| halted.halt),
            is_taken_back,
        }
    }

    fn counts(&self, source: Index) -> bool {
        let is_looked_through = self.log.entry(source).quarantined || self.log.is_masked(source);
        !is_looked_through && self.life.has(source)
    }
}

/// Whoever wrote it may not have cut it.
fn bounded(cause: HaltCause) -> HaltCause {
    match cause {
        HaltCause::Failed { number, problem } => HaltCause::failed(number, &problem),
        HaltCause::Aborted => HaltCause::Aborted,
    }
}
