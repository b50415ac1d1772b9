//! Placement again, after a change: only what the change has a bearing on is decided anew.
//!
//! In: the view that was placed last and the view now. Out: exactly what [`place`] says of the view
//! now; a test holds the two against each other through random changes.
//!
//! A service is *settled* when each of its instances is with a present node that holds it. Then who
//! has what follows from its record and from the nodes that hold it or that it is bound to, and
//! nothing of it makes a node fuller for the others. So a settled service is decided again when one
//! of these changed; one that is not, always. Services that publish the same host port are
//! decided together. Where a service has an affinity to services or containers, any change may have
//! a bearing on any service, and all are decided anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::report::Report;
use crate::stack::{AffinityKey, Strategy};
use crate::view::{Documents, Member, View};

use super::survey::{Survey, deployed};
use super::{Assignment, Placement, Reason, ServicePlacement, place, place_service};

/// A placement that follows a view.
#[derive(Clone, Debug, Default)]
pub struct Incremental {
    /// What `placement` was made of.
    view: Arc<View>,
    placement: Placement,
    /// The nodes whose reports hold any instance of a service.
    holding: BTreeMap<ServiceKey, BTreeSet<NodeId>>,
    unsettled: BTreeSet<ServiceKey>,
    traits: Traits,
}

/// What the documents say of services that have a bearing on others.
#[derive(Clone, Debug, Default)]
struct Traits {
    /// Whether any service is drawn to others or shuns them.
    entangled: bool,
    /// Publish a host port that another one publishes too.
    contending: BTreeSet<ServiceKey>,
    daemons: BTreeSet<ServiceKey>,
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
        let mut affected = BTreeSet::new();
        self.compare_reports(&before, &mut affected);
        self.compare_standings(&before, &mut affected);
        if !Arc::ptr_eq(&before.documents, &view.documents) {
            self.compare_documents(&before.documents, &mut affected);
        }
        let version = |view: &View| view.documents.grid.placement_version;
        if self.traits.entangled || version(&before) != version(view) {
            return self.place_all();
        }
        affected.extend(self.unsettled.iter().cloned());
        if affected
            .iter()
            .any(|key| self.traits.contending.contains(key))
        {
            affected.extend(self.traits.contending.iter().cloned());
        }
        self.place_some(&affected);
    }

    fn place_all(&mut self) {
        self.placement = place(&self.view);
        // Nobody has judged them: all are decided again as soon as that is enough.
        self.unsettled = self.placement.services.keys().cloned().collect();
    }

    fn place_some(&mut self, affected: &BTreeSet<ServiceKey>) {
        let view = Arc::clone(&self.view);
        let services = affected
            .iter()
            .filter_map(|key| view.documents.services.get_key_value(key));
        let mut services = services.peekable();
        if services.peek().is_none() {
            return;
        }
        let nobody = BTreeSet::new();
        let held = affected
            .iter()
            .map(|key| (key, self.holding.get(key).unwrap_or(&nobody)));
        let mut survey = Survey::of_services(&view, held);
        for (key, record) in services {
            let placed = place_service(&mut survey, key, record, &mut |_, _, _, _| ());
            if is_settled(&survey, key, &placed) {
                self.unsettled.remove(key);
            } else {
                self.unsettled.insert(key.clone());
            }
            self.placement.services.insert(key.clone(), placed);
        }
    }

    // --- what changed ---

    fn compare_reports(&mut self, before: &View, affected: &mut BTreeSet<ServiceKey>) {
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
        affected: &mut BTreeSet<ServiceKey>,
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
            affected.extend(services_of(old_holds).cloned());
            affected.extend(services_of(new_holds).cloned());
        }
        let differ = changed(old_holds, new_holds, |a, b| a == b);
        let touched: BTreeSet<ServiceKey> = differ
            .map(|(instance, _, _)| instance.service.clone())
            .collect();
        for key in &touched {
            let first = InstanceId::new(key.clone(), 0);
            let holds = new.is_some_and(|report| report.holds_of(&first).next().is_some());
            self.note_holding(key, node, holds);
        }
        affected.extend(touched);
    }

    fn note_holding(&mut self, key: &ServiceKey, node: NodeId, holds: bool) {
        if holds {
            self.holding.entry(key.clone()).or_default().insert(node);
        } else if let Some(nodes) = self.holding.get_mut(key) {
            nodes.remove(&node);
            if nodes.is_empty() {
                self.holding.remove(key);
            }
        }
    }

    fn compare_standings(&self, before: &View, affected: &mut BTreeSet<ServiceKey>) {
        let same = |a: &_, b: &_| a == b;
        for (node, ..) in changed(&before.standings, &self.view.standings, same) {
            if before.freshness(node) != self.view.freshness(node) {
                self.affect_held(node, affected);
            }
        }
    }

    /// All that a node holds. What it held before and does not any more is found by its report.
    fn affect_held(&self, node: &NodeId, affected: &mut BTreeSet<ServiceKey>) {
        if let Some(report) = self.view.reports.get(node) {
            affected.extend(services_of(&report.holds).cloned());
        }
    }

    fn compare_documents(&mut self, before: &Documents, affected: &mut BTreeSet<ServiceKey>) {
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
            affected.insert(key.clone());
            if new.is_none() {
                self.placement.services.remove(key);
                self.unsettled.remove(key);
            }
        }
        if services_changed {
            affected.extend(std::mem::take(&mut self.traits.contending));
            self.traits = Traits::of(documents);
        }
        if roster_changed {
            affected.extend(self.traits.daemons.iter().cloned());
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
            traits.entangled |= service.affinity.iter().any(|affinity| match affinity.key {
                AffinityKey::Service | AffinityKey::Container => true,
                AffinityKey::Node | AffinityKey::Label => false,
            });
            if service.deploy.strategy == Strategy::Daemon {
                traits.daemons.insert(key.clone());
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

/// Whether all of a service is where it was placed, or nothing of it is to be placed.
fn is_settled(survey: &Survey<'_>, key: &ServiceKey, placed: &ServicePlacement) -> bool {
    let stays = |(number, assignment): (&u32, &Assignment)| {
        let is_kept = match assignment.reason {
            Reason::Kept | Reason::HolderStale | Reason::Pinned | Reason::Daemon => true,
            Reason::New | Reason::TakenOver { .. } | Reason::Moved { .. } | Reason::Waits(_) => {
                false
            }
        };
        let node = assignment.holder.and_then(|node| survey.index(&node));
        is_kept && node.is_some_and(|node| is_held_by(survey, key, *number, node))
    };
    match placed {
        ServicePlacement::Placed(assignments) => assignments.iter().all(stays),
        ServicePlacement::Idle(_) | ServicePlacement::Frozen(_) => true,
    }
}

fn is_held_by(survey: &Survey<'_>, key: &ServiceKey, number: u32, node: usize) -> bool {
    let mut holders = survey.holders(key, number).iter();
    !survey.nodes[node].is_away() && holders.any(|holder| holder.node == node)
}

/// Whether two reports of a node say the same about what it can do now.
fn is_judged_alike(old: &Report, new: &Report) -> bool {
    old.placement_version == new.placement_version
        && old.engine.state == new.engine.state
        && old.disk == new.disk
        && old.refusals == new.refusals
}

/// Whether placement sees no difference.
fn is_alike(old: &Member, new: &Member) -> bool {
    old.name == new.name
        && old.labels == new.labels
        && old.availability == new.availability
        && old.number == new.number
}

fn services_of<V>(holds: &BTreeMap<InstanceId, V>) -> impl Iterator<Item = &ServiceKey> {
    holds.keys().map(|instance| &instance.service)
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
