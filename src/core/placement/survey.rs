//! The survey: the view turned into indexes, and what the pass has given away so far.
//!
//! In: a [`View`]. Out: the nodes in the order of their keys, who holds what, which host ports are
//! taken, how full each node is. Services are placed one after the other in the order of their keys;
//! for those that came before, the survey shows what was decided, for those that follow what
//! is held. So every node judges an affinity between two services by the same facts.
//!
//! Not here: any rule about who may run what.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::rc::Rc;

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::network::cut_off::cut_off;
use crate::report::{Hold, InstanceState, Report};
use crate::stack::{Affinity, Service, Spread};
use crate::view::{Freshness, Lifecycle, Member, ServiceRecord, View};

use super::ServicePlacement;
use super::affinity::Verdicts;
use super::domains::Domains;
use super::sources::{self, Whereabouts};
use super::{filter, score};

/// The distance between two instance numbers of a `daemon` service on one node.
///
/// Instance *j* on the node with roster number *k* is number `(j − 1) × 100,000 + k`: derived, so
/// that two sides of a split cannot disagree, and unchanged when the service is scaled, so that
/// scaling restarts nothing. It bounds roster numbers, far above the 4,096 subnets of a grid.
pub const DAEMON_STRIDE: u32 = 100_000;

/// So many rules are told apart.
const MAX_KINDS_OF_RULES: usize = 64;

/// A roster member as placement sees it. Its place in [`Survey::nodes`] stands for it.
#[derive(Debug)]
pub(super) struct Node<'v> {
    pub id: NodeId,
    pub member: &'v Member,
    pub report: Option<&'v Report>,
    pub freshness: Freshness,
    /// Most others find no way to it.
    pub cut_off: bool,
    pub hash: u64,
    /// Its roster number, made unique: see [`unique_numbers`].
    pub number: u32,
}

impl Node<'_> {
    pub(super) fn is_away(&self) -> bool {
        match self.freshness {
            Freshness::Fresh | Freshness::Late | Freshness::Stale => false,
            Freshness::Absent | Freshness::Gone => true,
        }
    }

    /// Whether others need not wait for it with what it holds of stateless services.
    pub(super) fn has_released(&self) -> bool {
        self.report.is_some_and(Report::has_released)
    }

    fn tells_images(&self) -> bool {
        self.report.is_some_and(|report| !report.images.is_empty())
    }

    /// How many instances it holds, of all services.
    fn fullness(&self) -> u32 {
        let holds = self.report.filter(|_| !self.is_away());
        let count = holds.map_or(0, |report| report.holds.len());
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// A node's hold of an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Holder<'v> {
    pub node: usize,
    pub number: u32,
    pub hold: &'v Hold,
}

/// Who has a host port of a node: where several want it, the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim<'v> {
    /// A running container comes before one that is not.
    idle: bool,
    pub key: &'v ServiceKey,
    pub number: u32,
}

#[derive(Debug)]
pub(super) struct Survey<'v> {
    pub view: &'v View,
    /// In the order of keys.
    pub nodes: Vec<Node<'v>>,
    /// The beginning of each node's key, close together: a key is looked for in every decision.
    beginnings: Vec<u64>,
    /// The nodes that take new work of a service that asks for nothing.
    pub open: Vec<usize>,
    /// Whether any node says which images it has.
    pub images_told: bool,
    /// By number, then in the order of nodes. Those of the service at hand are in `at_hand`.
    holders: BTreeMap<&'v ServiceKey, Vec<Holder<'v>>>,
    at_hand: Option<(&'v ServiceKey, Vec<Holder<'v>>)>,
    /// Where instances are: as decided for the services that were placed, else as held.
    present: BTreeMap<&'v ServiceKey, Vec<(usize, u32)>>,
    /// By node, in the order of port numbers, whatever the address and protocol (as Kontena).
    ports: Vec<Vec<(u16, Claim<'v>)>>,
    /// Of the services whose volumes others mount, once they are decided.
    whereabouts: BTreeMap<ServiceKey, Option<Whereabouts>>,
    /// Instances of all services by node.
    pub totals: Vec<u32>,
    /// Bytes that instances have set aside by node: what is held is added up for the nodes that somebody asks about,
    /// what was given away since is counted as it comes.
    memory_held: Vec<OnceCell<u64>>,
    memory_given: Vec<u64>,
    /// Of the rules that were asked so far: a grid has few kinds of them and many services.
    verdicts: RefCell<Vec<(Affinity, Verdicts)>>,
    /// What was asked for so far: a grid has few kinds of spread and many services.
    spreads: Vec<(&'v Spread, Rc<Domains>)>,
    /// Those of the service at hand.
    pub domains: Rc<Domains>,
    /// Instances of the service at hand, by domain and by node.
    pub in_domain: Vec<u32>,
    pub on_node: Vec<u32>,
}

impl<'v> Survey<'v> {
    pub(super) fn of(view: &'v View) -> Self {
        let mut survey = Self::of_nodes(view);
        for index in 0..survey.nodes.len() {
            let holds = survey.nodes[index].report.map(|report| &report.holds);
            for (instance, hold) in holds.into_iter().flatten() {
                survey.count_hold(index, instance, hold);
            }
        }
        survey.sort_holders();
        for (key, record) in &view.documents.services {
            survey.reserve_pins(key, record);
            survey.expect_sources(key, record);
        }
        survey
    }

    /// The same, of some instances alone and the nodes that hold them. It serves to decide those that
    /// no other has a bearing on but by how full each node is.
    pub(super) fn of_instances<'a>(
        view: &'v View,
        instances: impl Iterator<Item = (&'a InstanceId, &'a Vec<NodeId>)>,
    ) -> Self {
        let mut survey = Self::of_nodes(view);
        for (instance, nodes) in instances {
            for index in nodes
                .iter()
                .filter_map(|node| survey.index(node))
                .collect::<Vec<_>>()
            {
                let report = survey.nodes[index].report;
                let held = report.and_then(|report| report.holds.get_key_value(instance));
                if let Some((instance, hold)) = held {
                    survey.count_hold(index, instance, hold);
                }
            }
        }
        survey.sort_holders();
        survey
    }

    /// The nodes, and how full they are.
    fn of_nodes(view: &'v View) -> Self {
        let nodes = nodes(view);
        let mut survey = Self {
            view,
            beginnings: nodes.iter().map(|node| beginning(&node.id)).collect(),
            open: Vec::new(),
            images_told: nodes.iter().any(Node::tells_images),
            verdicts: RefCell::default(),
            spreads: Vec::new(),
            domains: Rc::default(),
            in_domain: Vec::new(),
            on_node: vec![0; nodes.len()],
            memory_held: vec![OnceCell::new(); nodes.len()],
            memory_given: vec![0; nodes.len()],
            totals: nodes.iter().map(Node::fullness).collect(),
            ports: vec![Vec::new(); nodes.len()],
            holders: BTreeMap::new(),
            at_hand: None,
            present: BTreeMap::new(),
            whereabouts: BTreeMap::new(),
            nodes,
        };
        let all = 0..survey.nodes.len();
        survey.open = all.filter(|node| filter::is_open(&survey, *node)).collect();
        survey
    }

    pub(super) fn index(&self, id: &NodeId) -> Option<usize> {
        let first = self
            .beginnings
            .partition_point(|other| *other < beginning(id));
        let alike = self.beginnings[first..].partition_point(|other| *other == beginning(id));
        (first..first + alike).find(|node| self.nodes[*node].id == *id)
    }

    /// Every roster member whose last report holds the instance, away or not, in the order of keys.
    pub(super) fn holders(&self, key: &ServiceKey, number: u32) -> &[Holder<'v>] {
        let at_hand = self.at_hand.as_ref().filter(|(at_hand, _)| *at_hand == key);
        let all = match at_hand {
            Some((_, holders)) => Some(holders),
            None => self.holders.get(key),
        };
        let all = all.map_or(&[][..], Vec::as_slice);
        let first = all.partition_point(|holder| holder.number < number);
        let count = all[first..].partition_point(|holder| holder.number == number);
        &all[first..first + count]
    }

    /// The instances of all services as (service, node, number).
    pub(super) fn present(&self) -> impl Iterator<Item = (&'v ServiceKey, &[(usize, u32)])> {
        self.present.iter().map(|(key, at)| (*key, at.as_slice()))
    }

    /// What is decided of the services whose volumes this one mounts is remembered.
    pub(super) fn expect_sources(&mut self, key: &ServiceKey, record: &ServiceRecord) {
        for source in sources::of_record(key, record) {
            self.whereabouts.entry(source).or_default();
        }
    }

    /// A service is decided.
    pub(super) fn settle(&mut self, key: &ServiceKey, placed: &ServicePlacement) {
        if let Some(whereabouts) = self.whereabouts.get_mut(key) {
            *whereabouts = Some(Whereabouts::of(placed));
        }
    }

    /// What was decided of a service whose volumes others mount.
    pub(super) fn whereabouts(&self, key: &ServiceKey) -> Option<&Whereabouts> {
        self.whereabouts.get(key)?.as_ref()
    }

    /// Who has a host port of a node.
    pub(super) fn claim(&self, node: usize, port: u16) -> Option<&Claim<'v>> {
        let ports = &self.ports[node];
        let at = ports.binary_search_by_key(&port, |(port, _)| *port).ok()?;
        Some(&ports[at].1)
    }

    /// The memory that is set aside on a node, in bytes: of everything that it holds, and of what it was given.
    pub(super) fn memory_taken(&self, node: usize) -> u64 {
        let held = self.memory_held[node].get_or_init(|| self.memory_of_holds(node));
        held.saturating_add(self.memory_given[node])
    }

    fn memory_of_holds(&self, node: usize) -> u64 {
        let Node { report, .. } = &self.nodes[node];
        let holds = report.filter(|_| !self.nodes[node].is_away());
        let holds = holds.into_iter().flat_map(|report| &report.holds);
        holds
            .filter_map(|(instance, _)| definition(self.view, &instance.service))
            .filter_map(|service| service.resources.memory)
            .fold(0, u64::saturating_add)
    }

    /// From here on this service's instances are where they are decided to be.
    pub(super) fn begin(&mut self, key: &'v ServiceKey, service: &'v Service) {
        self.holders.extend(self.at_hand.take());
        self.at_hand = self.holders.remove_entry(key);
        self.present.insert(key, Vec::new());
        self.domains = self.domains_of(&service.deploy.spread);
        self.in_domain.clear();
        self.in_domain.resize(self.domains.count, 0);
        self.on_node.fill(0);
    }

    /// What a rule says of each node, shared by all that ask the same: those that the documents alone answer.
    pub(super) fn verdicts(&self, rule: &Affinity) -> Verdicts {
        let mut all = self.verdicts.borrow_mut();
        let known = all.iter().find(|(known, _)| known == rule);
        if let Some((_, verdicts)) = known {
            return Rc::clone(verdicts);
        }
        let verdicts: Verdicts = vec![Cell::new(None); self.nodes.len()].into();
        // Beyond a few dozen kinds it costs more to find one than to judge anew.
        if all.len() < MAX_KINDS_OF_RULES {
            all.push((rule.clone(), Rc::clone(&verdicts)));
        }
        verdicts
    }

    fn domains_of(&mut self, spread: &'v Spread) -> Rc<Domains> {
        let known = self.spreads.iter().find(|(known, _)| *known == spread);
        if let Some((_, domains)) = known {
            return Rc::clone(domains);
        }
        let domains = Rc::new(Domains::new(&self.nodes, spread));
        self.spreads.push((spread, Rc::clone(&domains)));
        domains
    }

    /// Counts a decision in for everything that is decided after it.
    pub(super) fn assign(
        &mut self,
        key: &'v ServiceKey,
        service: &Service,
        number: u32,
        node: usize,
    ) {
        self.present.entry(key).or_default().push((node, number));
        self.count_kept(node);
        let away = self.nodes[node].is_away();
        if away || !self.holders(key, number).iter().any(|h| h.node == node) {
            self.totals[node] += 1;
            self.memory_given[node] += service.resources.memory.unwrap_or_default();
        }
        self.claim_ports(key, service, number, node, true);
    }

    /// Counts in an instance of the service at hand that stays with a node which holds it.
    pub(super) fn count_kept(&mut self, node: usize) {
        for domain in self.domains.of(node) {
            self.in_domain[*domain as usize] += 1;
        }
        self.on_node[node] += 1;
    }

    /// Who holds the service at hand, by number, away or not.
    pub(super) fn held_at_hand(&self) -> &[Holder<'v>] {
        let at_hand = self.at_hand.as_ref();
        at_hand.map_or(&[], |(_, holders)| holders)
    }

    /// The service is at hand, and nothing of it is decided: its instances are where nodes that are not away hold them.
    pub(super) fn begin_as_held(&mut self, key: &'v ServiceKey, service: &'v Service) {
        self.begin(key, service);
        let held = self.held_at_hand().iter();
        let present = held.filter(|holder| !self.nodes[holder.node].is_away());
        let present: Vec<_> = present.map(|holder| (holder.node, holder.number)).collect();
        for (node, _) in &present {
            self.count_kept(*node);
        }
        self.present.insert(key, present);
    }

    /// Takes back what [`Self::count_kept`] counted of one.
    pub(super) fn uncount(&mut self, node: usize) {
        for domain in self.domains.of(node) {
            self.in_domain[*domain as usize] -= 1;
        }
        self.on_node[node] -= 1;
    }

    /// Takes back what was counted of the service at hand.
    pub(super) fn count_none(&mut self) {
        self.in_domain.fill(0);
        self.on_node.fill(0);
    }

    fn count_hold(&mut self, node: usize, instance: &'v InstanceId, hold: &'v Hold) {
        let (key, number) = (&instance.service, instance.number);
        let record = self.view.documents.services.get(key);
        if record.is_some_and(|record| is_of_another_life(record, hold)) {
            return;
        }
        let holder = Holder { node, number, hold };
        self.holders.entry(key).or_default().push(holder);
        if self.nodes[node].is_away() {
            return;
        }
        self.present.entry(key).or_default().push((node, number));
        if hold.state == InstanceState::Stopped {
            return;
        }
        if let Some(service) = definition(self.view, key) {
            let idle = hold.state != InstanceState::Running;
            self.claim_ports(key, service, number, node, idle);
        }
    }

    fn sort_holders(&mut self) {
        for holders in self.holders.values_mut() {
            holders.sort_by_key(|holder| (holder.number, holder.node));
        }
    }

    /// A stateful instance has its ports on its node before it runs there: it can run nowhere else.
    pub(super) fn reserve_pins(&mut self, key: &'v ServiceKey, record: &'v ServiceRecord) {
        let Some(service) = deployed(record) else {
            return;
        };
        if !service.is_bound() || record.state == Lifecycle::Stopped {
            return;
        }
        for (number, node) in pinned(record) {
            if let Some(node) = self.index(&node) {
                self.claim_ports(key, service, number, node, true);
            }
        }
    }

    fn claim_ports(
        &mut self,
        key: &'v ServiceKey,
        service: &Service,
        number: u32,
        node: usize,
        idle: bool,
    ) {
        for port in &service.ports {
            let claim = Claim { idle, key, number };
            let ports = &mut self.ports[node];
            match ports.binary_search_by_key(&port.node_port, |(port, _)| *port) {
                Ok(at) => ports[at].1 = claim.min(ports[at].1),
                Err(at) => ports.insert(at, (port.node_port, claim)),
            }
        }
    }
}

/// Whether a stateful instance is left over of an earlier service of the name: its data is not this one's.
fn is_of_another_life(record: &ServiceRecord, hold: &Hold) -> bool {
    deployed(record).is_some_and(Service::is_bound) && hold.generation < record.born
}

/// What a service publishes, by its deployed revision.
fn definition<'v>(view: &'v View, key: &ServiceKey) -> Option<&'v Service> {
    deployed(view.documents.services.get(key)?)
}

/// What shall run of a service, where this version of Kontena can read it.
pub(super) fn deployed(record: &ServiceRecord) -> Option<&Service> {
    let deployed = record.deployed.as_ref()?;
    deployed.revision.service.as_deref().ok()
}

/// The wanted pins of a service.
fn pinned(record: &ServiceRecord) -> impl Iterator<Item = (u32, NodeId)> {
    let wanted = record.pins.iter();
    wanted
        .take_while(|(number, _)| **number <= record.instances)
        .map(|(number, pin)| (*number, pin.node))
}

fn nodes(view: &View) -> Vec<Node<'_>> {
    let roster = &view.documents.roster;
    let numbers = unique_numbers(roster);
    let cut_off = cut_off(view);
    let mut reports = view.reports.iter().peekable();
    let mut standings = view.standings.iter().peekable();
    roster
        .iter()
        .zip(numbers)
        .map(|((id, member), number)| Node {
            id: *id,
            member,
            report: beside(&mut reports, id).map(AsRef::as_ref),
            freshness: beside(&mut standings, id)
                .map_or(Freshness::Absent, |standing| standing.freshness),
            cut_off: cut_off.contains(id),
            hash: score::node_hash(id),
            number,
        })
        .collect()
}

/// The entry of a node, of a map that is gone through beside the roster.
fn beside<'v, V>(
    entries: &mut Peekable<impl Iterator<Item = (&'v NodeId, &'v V)>>,
    node: &NodeId,
) -> Option<&'v V> {
    while entries.next_if(|(other, _)| *other < node).is_some() {}
    let (_, value) = entries.next_if(|(other, _)| *other == node)?;
    Some(value)
}

/// In the order of keys.
fn beginning(node: &NodeId) -> u64 {
    let (first, _) = node
        .as_bytes()
        .split_first_chunk()
        .expect("a key has 32 bytes");
    u64::from_be_bytes(*first)
}

/// Roster numbers, each once. Two sides of a split may have given one number to two nodes: the lower
/// key keeps it, and the other gets the next one above all, until the documents settle it.
///
/// In the order of the roster.
fn unique_numbers(roster: &BTreeMap<NodeId, Member>) -> Vec<u32> {
    let valid = |number: &u32| (1..DAEMON_STRIDE).contains(number);
    let given: Vec<u32> = roster.values().map(|member| member.number).collect();
    let mut sorted = given.clone();
    sorted.sort_unstable();
    if sorted.iter().all(valid) && sorted.is_sorted_by(|a, b| a < b) {
        return given;
    }
    let given: BTreeSet<u32> = given.into_iter().filter(valid).collect();
    let highest = given.last().copied().unwrap_or(0);
    let above = (highest + 1..DAEMON_STRIDE).chain(1..highest);
    let mut spare = above.filter(|number| !given.contains(number));
    let mut taken = BTreeSet::new();
    let number = |member: &Member| {
        let own = Some(member.number).filter(|number| valid(number) && taken.insert(*number));
        // A roster outgrows the stride only by forgery; then some share the last number.
        let number = own.or_else(|| spare.next());
        number.unwrap_or(DAEMON_STRIDE - 1)
    };
    roster.values().map(number).collect()
}
