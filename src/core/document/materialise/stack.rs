//! A document `stack/NAME`: the stack and its services.
//!
//! A service is there if it was created outside of the past of its removals (and its stack's). What
//! was written in the past of a removal is gone with it; what was written beside it does not bring
//! the service back and is no part of one that is made anew ([`Life`]), but is listed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::contested::{contested, kept_though_dropped, presence};
use super::deploys::Orders;
use super::history::{Recorded, merged_services};
use super::life::Life;
use super::{Read, conflict, readable, shown};
use crate::document::DocumentId;
use crate::document::change::Write;
use crate::document::graph::Index;
use crate::document::log::{Log, Value};
use crate::document::schema::{DeployOrder, RevisionPointer, ServiceRegister, StackRegister};
use crate::id::{NodeId, RevisionHash, ServiceName, StackName};
use crate::stack::{Service, StackLabel};
use crate::view::{
    Conflict, ConflictSubject, ConflictValue, History, Lifecycle, MoveOrder, MoveState, Pin,
    Revision, ServiceRecord, StackConflict, StackRecord,
};

#[derive(Debug, Default)]
pub(super) struct StackPart {
    pub(super) record: Option<StackRecord>,
    pub(super) services: BTreeMap<ServiceName, ServiceRecord>,
    /// Of the stack that is there.
    pub(super) history: Arc<History>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) contested: Vec<StackConflict>,
    /// Definitions never change, so each is parsed once. Whoever wrote one: its hash says that it is the
    /// right one, and what others built on it counts though its writer was removed.
    definitions: Definitions,
    /// How many entries of the log were searched for definitions.
    searched: Index,
    recorded: Recorded,
    orders: Orders,
}

/// What each definition says, or why it cannot be read here.
pub(super) type Definitions = BTreeMap<RevisionHash, Result<Arc<Service>, String>>;

/// The registers of one service.
type Registers<'a> = BTreeMap<ServiceRegister, &'a [Value]>;

impl StackPart {
    pub(super) fn read(&mut self, name: &StackName, log: &Log) {
        self.record = None;
        self.services.clear();
        self.conflicts.clear();
        self.contested.clear();
        self.read_definitions(log);
        let mut services: BTreeMap<ServiceName, Registers<'_>> = BTreeMap::new();
        let mut labels: Vec<(StackLabel, &[Value])> = Vec::new();
        for (register, values) in log.registers() {
            match StackRegister::parse(register) {
                Some(StackRegister::Service(service, register)) => {
                    services
                        .entry(service)
                        .or_default()
                        .insert(register, values);
                }
                Some(StackRegister::Label(label)) => labels.push((label, values)),
                Some(
                    StackRegister::Record
                    | StackRegister::Created
                    | StackRegister::Removed
                    | StackRegister::Definition(_),
                )
                | None => {}
            }
        }
        let document = DocumentId::Stack(name.clone());
        let removals = sources(named(log, &StackRegister::Removed));
        let life = Life::new(&log.graph, removals, named(log, &StackRegister::Created));
        self.recorded.read(log);
        self.orders.read(log);
        let recorded = self.read_record(&document, log, &life);
        if let (Some(record), Some(recorded)) = (&mut self.record, recorded) {
            relabel(record, log, &labels, &life, recorded);
        }
        self.history = Arc::new(self.recorded.history(log, &life, &self.definitions));
        for (service, registers) in services {
            let mut services = self.record.iter().flat_map(|record| &record.services);
            let is_wanted = services.any(|wanted| *wanted == service);
            let mut reader = Reader {
                document: &document,
                log,
                recorded: match is_wanted {
                    true => InForce::Lists(recorded),
                    false => InForce::Drops(recorded),
                },
                contested: &mut self.contested,
                life: life_of(log, &registers, &life),
                registers,
                definitions: &self.definitions,
                orders: &self.orders,
                conflicts: &mut self.conflicts,
            };
            if let Some(record) = reader.read(&service) {
                self.services.insert(service, record);
            }
        }
        self.conflicts.sort_by(|a, b| a.register.cmp(&b.register));
        self.contested
            .sort_by(|a, b| (&a.service, a.subject).cmp(&(&b.service, b.subject)));
    }

    fn read_definitions(&mut self, log: &Log) {
        for index in self.searched..log.entries().len() {
            let mut registers = log.entry(index).registers().iter();
            if registers.any(|register| definition(register).is_some()) {
                let (_, change) = log.read(index);
                change.writes.iter().for_each(|write| self.define(write));
            }
        }
        self.searched = log.entries().len();
    }

    fn define(&mut self, write: &Write) {
        if let Some(hash) = definition(&write.register)
            && Service::hash_of(write.value.as_bytes()) == hash
        {
            let text = &write.value;
            self.definitions.entry(hash).or_insert_with(|| parse(text));
        }
    }

    /// Answers the entry that recorded the revision in force.
    fn read_record(&mut self, document: &DocumentId, log: &Log, life: &Life<'_>) -> Option<Index> {
        let created = life.creations().iter();
        let created = created.map(|source| log.entry(*source).time).min()?;
        let values = life.of(named(log, &StackRegister::Record));
        let records: Vec<Read<StackRecord>> = readable(&values).collect();
        let version = |record: &StackRecord| format!("{} {}", record.stack, record.version);
        self.conflicts
            .extend(conflict(document, "stack", &records, version));
        let sides: Vec<Index> = records.iter().map(|read| read.source).collect();
        let base = self.recorded.base(log, life, &sides);
        let values: Vec<&StackRecord> = records.iter().map(|read| &read.value).collect();
        let services = merged_services(base.as_deref(), &values);
        self.contested
            .extend(contested(log, None, ConflictSubject::File, &records, file));
        self.contested
            .extend(kept_though_dropped(log, base.as_deref(), &records));
        let winner = records.into_iter().next()?;
        self.record = Some(StackRecord {
            created,
            services,
            updated: log.entry(winner.source).time,
            ..winner.value
        });
        Some(winner.source)
    }
}

/// What was said of labels beside the revision in force or after it: what a revision or a removal knew is gone.
fn relabel(
    record: &mut StackRecord,
    log: &Log,
    labels: &[(StackLabel, &[Value])],
    life: &Life<'_>,
    recorded: Index,
) {
    let counts = |source: Index| life.has(source) && !log.graph.reaches(recorded, source);
    for (label, values) in labels {
        let mut said = readable::<bool>(values).filter(|read| counts(read.source));
        let Some(said) = said.next() else { continue };
        record.labels.retain(|other| other != label);
        if said.value {
            record.labels.push(label.clone());
        }
    }
}

pub(super) struct Reader<'a> {
    document: &'a DocumentId,
    pub(super) log: &'a Log,
    pub(super) life: Life<'a>,
    registers: Registers<'a>,
    definitions: &'a Definitions,
    pub(super) orders: &'a Orders,
    recorded: InForce,
    conflicts: &'a mut Vec<Conflict>,
    contested: &'a mut Vec<StackConflict>,
}

/// Whether the revision of the stack that is in force has the service, and the entry that recorded it.
#[derive(Clone, Copy, Debug)]
enum InForce {
    Lists(Option<Index>),
    Drops(Option<Index>),
}

/// The life of a service: who removes its stack removes it as well.
fn life_of<'a>(log: &'a Log, registers: &Registers<'_>, stack: &Life<'a>) -> Life<'a> {
    let values = |register| registers.get(&register).copied().unwrap_or_default();
    let removed = sources(values(ServiceRegister::Removed));
    let removals = stack.removals().iter().copied().chain(removed).collect();
    Life::new(&log.graph, removals, values(ServiceRegister::Created))
}

impl Reader<'_> {
    fn read(&mut self, service: &ServiceName) -> Option<ServiceRecord> {
        self.list_lost_edits(service);
        let created = self.life.creations().to_vec();
        // Two sides of a split may have created it: the order of the changes says which was first.
        let first = created
            .iter()
            .min_by_key(|source| self.log.rank(**source))?;
        let (creation, born) = (self.log.entry(*first).hash, self.log.entry(*first).lamport);
        let definitions = self.definitions;
        let pointer = self.settle(
            service,
            (ServiceRegister::Revision, ConflictSubject::Definition),
            |pointer: &RevisionPointer| pointer.hash.short(),
            |pointer| definition_value(definitions, pointer.hash),
        );
        let instances = self.settle(
            service,
            (ServiceRegister::Instances, ConflictSubject::Instances),
            shown::<u32>,
            |instances| ConflictValue::Instances(*instances),
        );
        let state = self.settle(
            service,
            (ServiceRegister::Lifecycle, ConflictSubject::State),
            shown::<Lifecycle>,
            |state| ConflictValue::State(*state),
        );
        let deploy = self.deploy(service);
        let pointer = pointer?;
        let touched = [
            Some(pointer.source),
            instances.as_ref().map(|read| read.source),
            state.as_ref().map(|read| read.source),
        ];
        self.tell_of_drop(service, touched.into_iter().flatten().collect());
        let last = touched
            .into_iter()
            .flatten()
            .max_by_key(|source| self.log.rank(*source));
        let created = created
            .into_iter()
            .map(|source| self.log.entry(source).time)
            .min();
        let wanted = instances.as_ref().map_or(1, |read| read.value);
        Some(ServiceRecord {
            creation,
            born,
            latest: self.revision(pointer.value.hash, pointer.value.number),
            deployed: deploy.map(|read| self.deployed(&read, born).of(wanted)),
            deploys: self.deploys(service),
            instances: wanted,
            state: state.map(|read| read.value).unwrap_or_default(),
            pins: self.pins(service),
            moves: self.moves(service),
            witnesses: self.witnesses(service),
            created: created.unwrap_or_default(),
            updated: last
                .map(|source| self.log.entry(source).time)
                .unwrap_or_default(),
        })
    }

    fn values(&self, register: ServiceRegister) -> &[Value] {
        self.registers.get(&register).copied().unwrap_or_default()
    }

    /// The values that are a part of its life.
    pub(super) fn alive(&self, register: ServiceRegister) -> Vec<Value> {
        self.life.of(self.values(register))
    }

    /// The winner of a register; what else there is is listed, both ways.
    fn settle<T: serde::de::DeserializeOwned>(
        &mut self,
        service: &ServiceName,
        (register, subject): (ServiceRegister, ConflictSubject),
        show: impl Fn(&T) -> String,
        value: impl Fn(&T) -> ConflictValue,
    ) -> Option<Read<T>> {
        let read: Vec<Read<T>> = readable(&self.alive(register)).collect();
        let name = StackRegister::Service(service.clone(), register).to_string();
        self.conflicts
            .extend(conflict(self.document, name, &read, show));
        self.contested
            .extend(contested(self.log, Some(service), subject, &read, value));
        read.into_iter().next()
    }

    /// Two orders to deploy are no conflict once somebody who saw both said which definition counts: the
    /// next deploy runs that one.
    fn deploy(&mut self, service: &ServiceName) -> Option<Read<DeployOrder>> {
        let orders = sources(&self.alive(ServiceRegister::Deploy));
        let pointers = sources(&self.alive(ServiceRegister::Revision));
        let (listed, told) = (self.conflicts.len(), self.contested.len());
        let definitions = self.definitions;
        let order = self.settle(
            service,
            (ServiceRegister::Deploy, ConflictSubject::Deploy),
            |order: &DeployOrder| order.revision.short(),
            |order| definition_value(definitions, order.revision),
        );
        match pointers[..] {
            [pointer] => {
                let is_known = |order: &Index| self.log.graph.reaches(pointer, *order);
                if orders.len() > 1 && orders.iter().all(is_known) {
                    self.conflicts.truncate(listed);
                    self.contested.truncate(told);
                }
            }
            // The definitions differ as well, and say it.
            _ => self.contested.truncate(told),
        }
        order
    }

    /// Lists what was changed beside the revision that dropped the service.
    fn tell_of_drop(&mut self, service: &ServiceName, touched: Vec<Index>) {
        let InForce::Drops(Some(dropped)) = self.recorded else {
            return;
        };
        let graph = &self.log.graph;
        let mut beside = touched;
        beside
            .retain(|source| !graph.reaches(dropped, *source) && !graph.reaches(*source, dropped));
        self.contested
            .extend(presence(self.log, service, dropped, &beside, false));
    }

    pub(super) fn revision(&self, hash: RevisionHash, number: u64) -> Revision {
        let service = defined(self.definitions, &hash);
        Revision {
            hash,
            number,
            service,
            image: None,
        }
    }

    /// Where one instance was bound twice, the lower binding holds: the higher one stops on contact
    /// (rules of the mesh 2).
    fn pins(&mut self, service: &ServiceName) -> BTreeMap<u32, Pin> {
        let numbers: Vec<u32> = self.registers.keys().filter_map(pin_number).collect();
        let mut pins = BTreeMap::new();
        for number in numbers {
            let register = ServiceRegister::Pin(number);
            let mut read: Vec<Read<Pin>> = readable(&self.alive(register)).collect();
            read.sort_by_key(|read| read.value);
            let name = StackRegister::Service(service.clone(), register).to_string();
            let node = |pin: &Pin| pin.node.to_string();
            self.conflicts
                .extend(conflict(self.document, name, &read, node));
            if let Some(first) = read.first() {
                pins.insert(number, first.value);
            }
        }
        pins
    }

    /// Two sides of a split that created it may have meant others: as with pins the lower ones hold.
    fn witnesses(&mut self, service: &ServiceName) -> BTreeSet<NodeId> {
        let register = ServiceRegister::Witnesses;
        let mut read: Vec<Read<BTreeSet<NodeId>>> = readable(&self.alive(register)).collect();
        read.sort_by(|a, b| a.value.cmp(&b.value));
        let name = StackRegister::Service(service.clone(), register).to_string();
        self.conflicts
            .extend(conflict(self.document, name, &read, shown));
        let first = read.into_iter().next();
        first.map(|read| read.value).unwrap_or_default()
    }

    /// What two sides of a split ordered at once, one of them counts; what came of one, before all.
    fn moves(&mut self, service: &ServiceName) -> BTreeMap<u32, MoveOrder> {
        let numbers: Vec<u32> = self.registers.keys().filter_map(move_number).collect();
        let mut moves = BTreeMap::new();
        for number in numbers {
            let register = ServiceRegister::Move(number);
            let mut read: Vec<Read<MoveOrder>> = readable(&self.alive(register)).collect();
            let is_done = |order: &MoveOrder| matches!(order.state, MoveState::Done { .. });
            read.sort_by_key(|read| Reverse((read.value.from.epoch, is_done(&read.value))));
            let name = StackRegister::Service(service.clone(), register).to_string();
            let node = |order: &MoveOrder| order.to.to_string();
            self.conflicts
                .extend(conflict(self.document, name, &read, node));
            if let Some(first) = read.into_iter().next() {
                moves.insert(number, first.value);
            }
        }
        moves
    }

    /// A removal wins over an edit beside it, but the edit is shown.
    fn list_lost_edits(&mut self, service: &ServiceName) {
        let is_gone = self.life.creations().is_empty();
        let is_told = |register: ServiceRegister| is_gone || is_what_people_say(register);
        let edits: Vec<(ServiceRegister, Value)> = self
            .registers
            .iter()
            .filter(|(register, _)| is_edit(**register) && is_told(**register))
            .flat_map(|(register, values)| values.iter().map(|value| (*register, value.clone())))
            .filter(|(_, value)| self.life.misses(value.source))
            .collect();
        if self.life.removals().is_empty() {
            return;
        }
        self.list_removal(service, &edits, is_gone);
        if is_gone {
            let beside = edits.iter().map(|(_, value)| value.source);
            self.tell_of_removal(service, beside.collect());
        }
    }

    fn list_removal(
        &mut self,
        service: &ServiceName,
        edits: &[(ServiceRegister, Value)],
        is_gone: bool,
    ) {
        let others = edits.iter();
        let mut others: Vec<String> = others
            .map(|(register, value)| format!("{register} = {}", value.text))
            .collect();
        others.sort_unstable();
        if others.is_empty() {
            return;
        }
        let register = StackRegister::Service(service.clone(), ServiceRegister::Removed);
        let applied = match is_gone {
            true => "removed",
            false => "removed and made anew",
        };
        self.conflicts.push(Conflict {
            document: self.document.to_string(),
            register: register.to_string(),
            applied: applied.to_owned(),
            others,
        });
    }

    /// Tells of a service that one side removed for good while another changed it, or gave the stack a
    /// revision that has it.
    fn tell_of_removal(&mut self, service: &ServiceName, mut beside: Vec<Index>) {
        let removals = self.life.removals().iter();
        if let Some(removal) = removals.max_by_key(|source| self.log.rank(**source)) {
            if let InForce::Lists(Some(recorded)) = self.recorded
                && !self.log.graph.reaches(recorded, *removal)
                && self.life.misses(recorded)
            {
                beside.push(recorded);
            }
            self.contested
                .extend(presence(self.log, service, *removal, &beside, false));
        }
    }
}

fn definition_value(definitions: &Definitions, hash: RevisionHash) -> ConflictValue {
    ConflictValue::Definition {
        hash,
        service: defined(definitions, &hash),
    }
}

fn file(record: &StackRecord) -> ConflictValue {
    ConflictValue::File {
        stack: record.stack.clone(),
        version: record.version.clone(),
        expose: record.expose.clone(),
    }
}

pub(super) fn defined(
    definitions: &Definitions,
    hash: &RevisionHash,
) -> Result<Arc<Service>, String> {
    let missing = || Err("its definition is missing".to_owned());
    definitions.get(hash).cloned().unwrap_or_else(missing)
}

fn definition(register: &str) -> Option<RevisionHash> {
    match StackRegister::parse(register)? {
        StackRegister::Definition(hash) => Some(hash),
        StackRegister::Record
        | StackRegister::Created
        | StackRegister::Removed
        | StackRegister::Label(_)
        | StackRegister::Service(..) => None,
    }
}

/// Whether it says what somebody wants of a service, and not what became of that.
fn is_edit(register: ServiceRegister) -> bool {
    match register {
        ServiceRegister::Created
        | ServiceRegister::Revision
        | ServiceRegister::Instances
        | ServiceRegister::Lifecycle
        | ServiceRegister::Deploy
        | ServiceRegister::Pin(_)
        | ServiceRegister::Move(_)
        | ServiceRegister::Witnesses => true,
        ServiceRegister::Removed | ServiceRegister::Halt(_) | ServiceRegister::Promotion(_) => {
            false
        }
    }
}

fn is_what_people_say(register: ServiceRegister) -> bool {
    match register {
        ServiceRegister::Revision | ServiceRegister::Instances | ServiceRegister::Lifecycle => true,
        ServiceRegister::Created
        | ServiceRegister::Removed
        | ServiceRegister::Deploy
        | ServiceRegister::Pin(_)
        | ServiceRegister::Move(_)
        | ServiceRegister::Witnesses
        | ServiceRegister::Halt(_)
        | ServiceRegister::Promotion(_) => false,
    }
}

fn move_number(register: &ServiceRegister) -> Option<u32> {
    match register {
        ServiceRegister::Move(number) => Some(*number),
        ServiceRegister::Created
        | ServiceRegister::Removed
        | ServiceRegister::Revision
        | ServiceRegister::Instances
        | ServiceRegister::Lifecycle
        | ServiceRegister::Deploy
        | ServiceRegister::Pin(_)
        | ServiceRegister::Witnesses
        | ServiceRegister::Halt(_)
        | ServiceRegister::Promotion(_) => None,
    }
}

fn pin_number(register: &ServiceRegister) -> Option<u32> {
    match register {
        ServiceRegister::Pin(number) => Some(*number),
        ServiceRegister::Created
        | ServiceRegister::Removed
        | ServiceRegister::Revision
        | ServiceRegister::Instances
        | ServiceRegister::Lifecycle
        | ServiceRegister::Deploy
        | ServiceRegister::Move(_)
        | ServiceRegister::Witnesses
        | ServiceRegister::Halt(_)
        | ServiceRegister::Promotion(_) => None,
    }
}

fn named<'a>(log: &'a Log, register: &StackRegister) -> &'a [Value] {
    log.registers()
        .get(&register.to_string())
        .map_or(&[], Vec::as_slice)
}

fn sources(values: &[Value]) -> Vec<usize> {
    values.iter().map(|value| value.source).collect()
}

/// Reads a definition; one with fields of a newer version is not understood.
fn parse(text: &str) -> Result<Arc<Service>, String> {
    let service: Service = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if service.is_from_the_future() {
        let fields = service.unknown.keys().chain(service.deploy.unknown.keys());
        let fields: Vec<String> = fields.map(|field| format!("`{field}`")).collect();
        return Err(format!(
            "a newer version of Kontena wrote it: {} is not known here",
            fields.join(", ")
        ));
    }
    Ok(Arc::new(service))
}
