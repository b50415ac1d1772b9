//! Placement again, after a change: only what the change has a bearing on is decided anew.
//!
//! In: the view that was placed last and the view now. Out: exactly what [`place`] says of the view
//! now; a test holds the two against each other through random changes.
//!
//! A service is *settled* when each of its instances is with a present node that holds it. Then who
//! has what follows from its record and from the nodes that hold it or that it is bound to, and
//! nothing of it makes a node fuller for the others. So a settled service is decided again when one
//! of these changed; one that is not, always. Services that publish the same host port are
//! decided together, and so are services that mount each other's volumes. Where a service has an affinity to services or containers, any change may have
//! a bearing on any service, and all are decided anew.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::report::Report;
use crate::stack::{AffinityKey, Strategy};
use crate::view::{Documents, Member, ServiceRecord, View};

use super::sources::{self, sources_first};
use super::standby::{Candidacy, candidacy};
use super::survey::{Survey, deployed};
use super::wanted::affinities;
use super::{Assignment, Placement, Reason, ServicePlacement, place, place_again, place_service};

/// A placement that follows a view.
#[derive(Clone, Debug, Default)]
pub struct Incremental {
    /// What `placement` was made of.
    view: Arc<View>,
    placement: Placement,
    /// The nodes whose reports hold an instance, in the order of their keys.
    holding: BTreeMap<InstanceId, Vec<NodeId>>,
    unsettled: BTreeSet<ServiceKey>,
    traits: Traits,
}

/// What is decided again, by service.
type Affected = BTreeMap<ServiceKey, Extent>;

#[derive(Clone, Debug)]
enum Extent {
    Whole,
    /// Some instances; the others are settled.
    Numbers(BTreeSet<u32>),
}

/// What the documents say of services that have a bearing on others.
#[derive(Clone, Debug, Default)]
struct Traits {
    /// Whether any service is drawn to others or shuns them.
    entangled: bool,
    /// Publish a host port that another one publishes too.
    contending: BTreeSet<ServiceKey>,
    /// Mount volumes of another one, or have theirs mounted by one.
    tied: BTreeSet<ServiceKey>,
    daemons: BTreeSet<ServiceKey>,
    /// Move where others run fewer of them: any node may change that.
    rebalancing: BTreeSet<ServiceKey>,
}

impl Incremental {
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Follows to this view. Whatever changed since the last call is found by comparing, and what is
    /// shared by the two views is not looked at.
    pub fn update(&mut self, view: &Arc<View>) {
        if Arc::ptr_eq(&self.view, view) {
            return;
        }
        let before = std::mem::replace(&mut self.view, Arc::clone(view));
        let mut affected = Affected::new();
        self.compare_reports(&before, &mut affected);
        self.compare_standings(&before, &mut affected);
        if !Arc::ptr_eq(&before.documents, &view.documents) {
            self.compare_documents(&before.documents, &mut affected);
        }
        let (old, new) = (&before.documents.grid, &view.documents.grid);
        let asks_alike = old.placement_version == new.placement_version
            && old.default_affinity == new.default_affinity;
        if self.traits.entangled || !asks_alike {
            return self.place_all();
        }
        add_whole(&mut affected, self.unsettled.iter());
        add_whole(&mut affected, self.traits.rebalancing.iter());
        // Each may have a bearing on the other, so whoever is of one or the other brings all of both.
        let Traits {
            contending, tied, ..
        } = &self.traits;
        let has_bearing = |key: &ServiceKey| contending.contains(key) || tied.contains(key);
        if affected.keys().any(has_bearing) {
            add_whole(&mut affected, contending.iter().chain(tied));
        }
        self.place_some(&affected);
    }

    /// What those `services` of the view that follow `after` are to a node that keeps images ready, in the order of
    /// their keys; `most` of them at a time.
    pub fn candidacies(
        &self,
        node: &NodeId,
        after: Option<&ServiceKey>,
        most: usize,
    ) -> Vec<(ServiceKey, Candidacy)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let services = &self.view.documents.services;
        let services = services.range((from, Bound::Unbounded)).take(most);
        let services: Vec<_> = services.collect();
        let mut survey = self.survey_of(&services);
        let Some(me) = survey.index(node) else {
            return Vec::new();
        };
        let candidacy = |(key, record)| {
            (
                ServiceKey::clone(key),
                candidacy(&mut survey, me, key, record),
            )
        };
        services.into_iter().map(candidacy).collect()
    }

    /// All that has a bearing on these services.
    fn survey_of(&self, services: &[(&ServiceKey, &ServiceRecord)]) -> Survey<'_> {
        if self.traits.entangled {
            return Survey::of(&self.view);
        }
        let keys: BTreeSet<&ServiceKey> = services.iter().map(|(key, _)| *key).collect();
        let contending = self.traits.contending.iter();
        let contending = contending.filter(|key| !keys.contains(key));
        let all = keys.iter().copied().chain(contending);
        let held = all.clone().flat_map(|key| self.held(key, &Extent::Whole));
        let mut survey = Survey::of_instances(&self.view, held);
        for key in all {
            if let Some((key, record)) = self.view.documents.services.get_key_value(key) {
                survey.reserve_pins(key, record);
            }
        }
        survey
    }

    fn place_all(&mut self) {
        self.placement = place(&self.view);
        // Nobody has judged them: all are decided again as soon as that is enough.
        self.unsettled = self.placement.services.keys().cloned().collect();
    }

    fn place_some(&mut self, affected: &Affected) {
        let view = Arc::clone(&self.view);
        let services = &view.documents.services;
        let found = affected.iter().filter_map(|(key, extent)| {
            let (key, record) = services.get_key_value(key)?;
            Some((key, record, self.extent_of(key, record, extent)))
        });
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            return;
        }
        let held = found
            .iter()
            .flat_map(|(key, _, extent)| self.held(key, extent));
        let mut survey = Survey::of_instances(&view, held);
        for (key, record, _) in &found {
            survey.reserve_pins(key, record);
            survey.expect_sources(key, record);
        }
        for (key, record, extent) in sources_first(found.into_iter()) {
            self.place_one(&mut survey, key, record, extent);
        }
    }

    /// Some instances can be decided alone only where the others have nothing to do with them.
    fn extent_of<'a>(
        &self,
        key: &ServiceKey,
        record: &ServiceRecord,
        extent: &'a Extent,
    ) -> &'a Extent {
        let are_apart = deployed(record).is_some_and(|service| {
            !service.is_bound()
                && service.ports.is_empty()
                && service.deploy.max_per_node.is_none()
                && !service.deploy.rebalance
                && !self.traits.daemons.contains(key)
        });
        let is_placed = self.placement.of_service(key).is_some();
        match are_apart && is_placed {
            true => extent,
            false => &Extent::Whole,
        }
    }

    /// The instances of an extent that anybody holds, and who does.
    fn held<'a>(
        &'a self,
        key: &ServiceKey,
        extent: &'a Extent,
    ) -> Vec<(&'a InstanceId, &'a Vec<NodeId>)> {
        let instance = |number| InstanceId::new(key.clone(), number);
        match extent {
            Extent::Whole => self
                .holding
                .range(instance(0)..=instance(u32::MAX))
                .collect(),
            Extent::Numbers(numbers) => numbers
                .iter()
                .filter_map(|number| self.holding.get_key_value(&instance(*number)))
                .collect(),
        }
    }

    fn place_one<'v>(
        &mut self,
        survey: &mut Survey<'v>,
        key: &'v ServiceKey,
        record: &'v ServiceRecord,
        extent: &Extent,
    ) {
        let settled = match (extent, self.placement.services.get_mut(key)) {
            (Extent::Numbers(numbers), Some(ServicePlacement::Placed(assignments))) => {
                place_again(survey, key, record, numbers, assignments);
                let decided = numbers
                    .iter()
                    .filter_map(|number| Some((number, assignments.get(number)?)));
                are_settled(survey, key, decided)
            }
            (Extent::Whole | Extent::Numbers(_), _) => {
                let placed = place_service(survey, key, record, &mut |_, _, _, _| ());
                let settled = match &placed {
                    ServicePlacement::Placed(decided) => are_settled(survey, key, decided.iter()),
                    ServicePlacement::Idle(_) | ServicePlacement::Frozen(_) => true,
                };
                self.placement.services.insert(key.clone(), placed);
                settled
            }
        };
        if settled {
            self.unsettled.remove(key);
        } else {
            self.unsettled.insert(key.clone());
        }
    }

    // --- what changed ---

    fn compare_reports(&mut self, before: &View, affected: &mut Affected) {
        let view = Arc::clone(&self.view);
        for (node, old, new) in changed(&before.reports, &view.reports, Arc::ptr_eq) {
            self.compare_report(
                *node,
                old.map(AsRef::as_ref),
                new.map(AsRef::as_ref),
                affected,
            );
        }
    }

    fn compare_report(
        &mut self,
        node: NodeId,
        old: Option<&Report>,
        new: Option<&Report>,
        affected: &mut Affected,
    ) {
        let nothing = BTreeMap::new();
        let old_holds = old.map_or(&nothing, |report| &report.holds);
        let new_holds = new.map_or(&nothing, |report| &report.holds);
        let judged_alike = match (old, new) {
            (Some(old), Some(new)) => is_judged_alike(old, new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !judged_alike {
            add_instances(affected, old_holds.keys());
            add_instances(affected, new_holds.keys());
        }
        if !have_same_machine(old, new) {
            add_whole(affected, self.traits.daemons.iter());
        }
        for (instance, _, new) in changed(old_holds, new_holds, |a, b| a == b) {
            add_instances(affected, [instance]);
            self.note_holding(instance, node, new.is_some());
        }
    }

    fn note_holding(&mut self, instance: &InstanceId, node: NodeId, holds: bool) {
        let Some(nodes) = self.holding.get_mut(instance) else {
            if holds {
                self.holding.insert(instance.clone(), vec![node]);
            }
            return;
        };
        match (nodes.binary_search(&node), holds) {
            (Err(at), true) => nodes.insert(at, node),
            (Ok(at), false) => {
                nodes.remove(at);
            }
            (Ok(_), true) | (Err(_), false) => {}
        }
        if nodes.is_empty() {
            self.holding.remove(instance);
        }
    }

    fn compare_standings(&self, before: &View, affected: &mut Affected) {
        let same = |a: &_, b: &_| a == b;
        for (node, ..) in changed(&before.standings, &self.view.standings, same) {
            if before.freshness(node) != self.view.freshness(node) {
                self.affect_held(node, affected);
            }
        }
    }

    /// All that a node holds. What it held before and does not any more is found by its report.
    fn affect_held(&self, node: &NodeId, affected: &mut Affected) {
        if let Some(report) = self.view.reports.get(node) {
            add_instances(affected, report.holds.keys());
        }
    }

    fn compare_documents(&mut self, before: &Documents, affected: &mut Affected) {
        let view = Arc::clone(&self.view);
        let documents = &view.documents;
        let mut roster_changed = false;
        for (node, ..) in changed(&before.roster, &documents.roster, is_alike) {
            roster_changed = true;
            self.affect_held(node, affected);
        }
        let mut services_changed = false;
        for (key, _, new) in changed(&before.services, &documents.services, |a, b| a == b) {
            services_changed = true;
            affected.insert(key.clone(), Extent::Whole);
            if new.is_none() {
                self.placement.services.remove(key);
                self.unsettled.remove(key);
            }
        }
        if before.volumes != documents.volumes {
            let mount = documents.services.iter();
            let mount = mount.filter(|(_, record)| record.volumes().next().is_some());
            let keys: Vec<_> = mount.map(|(key, _)| key.clone()).collect();
            add_whole(affected, keys.iter());
        }
        let default_changed = before.grid.default_affinity != documents.grid.default_affinity;
        if services_changed || default_changed {
            add_whole(affected, self.traits.contending.iter());
            self.traits = Traits::of(documents);
        }
        if roster_changed {
            add_whole(affected, self.traits.daemons.iter());
        }
    }
}

impl Traits {
    fn of(documents: &Documents) -> Self {
        let mut traits = Self::default();
        let mut publishers: BTreeMap<u16, BTreeSet<&ServiceKey>> = BTreeMap::new();
        for (key, record) in &documents.services {
            let Some(service) = deployed(record) else {
                continue;
            };
            let affinities = affinities(documents, service);
            traits.entangled |= affinities.iter().any(|affinity| match affinity.key {
                AffinityKey::Service | AffinityKey::Container => true,
                AffinityKey::Node | AffinityKey::Label => false,
            });
            if service.deploy.rebalance {
                traits.rebalancing.insert(key.clone());
            }
            if service.deploy.strategy == Strategy::Daemon {
                traits.daemons.insert(key.clone());
            }
            let sources = sources::of_record(key, record);
            if !sources.is_empty() {
                traits.tied.insert(key.clone());
                traits.tied.extend(sources);
            }
            for port in &service.ports {
                publishers.entry(port.node_port).or_default().insert(key);
            }
        }
        let contending = publishers.into_values().filter(|keys| keys.len() > 1);
        traits.contending = contending.flatten().cloned().collect();
        traits
    }
}

fn add_whole<'a>(affected: &mut Affected, services: impl Iterator<Item = &'a ServiceKey>) {
    affected.extend(services.map(|key| (key.clone(), Extent::Whole)));
}

fn add_instances<'a>(affected: &mut Affected, instances: impl IntoIterator<Item = &'a InstanceId>) {
    for instance in instances {
        match affected.get_mut(&instance.service) {
            Some(Extent::Whole) => {}
            Some(Extent::Numbers(numbers)) => {
                numbers.insert(instance.number);
            }
            None => {
                let numbers = BTreeSet::from([instance.number]);
                affected.insert(instance.service.clone(), Extent::Numbers(numbers));
            }
        }
    }
}

/// Whether these instances of a service are where they were placed.
fn are_settled<'a>(
    survey: &Survey<'_>,
    key: &ServiceKey,
    mut decided: impl Iterator<Item = (&'a u32, &'a Assignment)>,
) -> bool {
    decided.all(|(number, assignment)| {
        let is_kept = match assignment.reason {
            Reason::Kept | Reason::HolderStale | Reason::Pinned | Reason::Daemon => true,
            Reason::New
            | Reason::TakenOver { .. }
            | Reason::Moved { .. }
            | Reason::Rebalanced { .. }
            | Reason::Waits(_) => false,
        };
        let node = assignment.holder.and_then(|node| survey.index(&node));
        is_kept && node.is_some_and(|node| is_held_by(survey, key, *number, node))
    })
}

fn is_held_by(survey: &Survey<'_>, key: &ServiceKey, number: u32, node: usize) -> bool {
    let mut holders = survey.holders(key, number).iter();
    !survey.nodes[node].is_away() && holders.any(|holder| holder.node == node)
}

/// Whether two reports of a node say the same about what it can do now.
fn is_judged_alike(old: &Report, new: &Report) -> bool {
    old.placement_version == new.placement_version
        && old.engine.state == new.engine.state
        && old.engine.cpus == new.engine.cpus
        && old.engine.memory_bytes == new.engine.memory_bytes
        && old.engine.architecture == new.engine.architecture
        && old.engine.volume_drivers == new.engine.volume_drivers
        && old.disk == new.disk
        && old.refusals == new.refusals
}

/// Whether two reports of a node say the same about the machine, by which daemons have an instance there or none.
fn have_same_machine(old: Option<&Report>, new: Option<&Report>) -> bool {
    old.map(machine) == new.map(machine)
}

fn machine(report: &Report) -> (u32, &str, &[String]) {
    let engine = &report.engine;
    (engine.cpus, &engine.architecture, &engine.volume_drivers)
}

/// Whether placement sees no difference.
fn is_alike(old: &Member, new: &Member) -> bool {
    old.name == new.name
        && old.labels == new.labels
        && old.availability == new.availability
        && old.number == new.number
}

/// The entries that are not the same in two maps.
fn changed<'a, K: Ord, V>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let mut old = old.iter().peekable();
    let mut new = new.iter().peekable();
    std::iter::from_fn(move || {
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some((a, _)), Some((b, _))) => a.cmp(b),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return None,
            };
            let left = if order.is_le() { old.next() } else { None };
            let right = if order.is_ge() { new.next() } else { None };
            match (left, right) {
                (Some((_, a)), Some((_, b))) if same(a, b) => {}
                (Some((key, a)), right) => return Some((key, Some(a), right.map(|(_, b)| b))),
                (None, Some((key, b))) => return Some((key, None, Some(b))),
                (None, None) => return None,
            }
        }
    })
}
