//! The order of links: what links to another service of its stack begins after it.
//!
//! Told by what nodes report alone, without the rules of reconciliation, and weaker than they are: one instance of the
//! linked service has to be healthy, where the product waits for each of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::{InstanceId, ServiceKey};
use kontena_core::placement::place;
use kontena_core::reconcile::action::{Action, ContainerSpec};
use kontena_core::report::{Health, Hold};
use kontena_core::stack::Link;
use kontena_core::time::Instant;
use kontena_core::view::{Deployed, Lifecycle, View};

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&AFTER];

static AFTER: Check = Check {
    name: "starts-after-what-it-links-to",
    says: "nobody makes the first container of a service that was never deployed before while no instance of one that it links to, deployed by the same change, is healthy, but after ten minutes",
    why: "a service that comes up before its database crashes, or works without it",
};

/// As long as a linked service is waited for.
pub(super) const AWAITED_FOR: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Orders {
    /// When each node showed a deploy first, in this boot.
    shown: BTreeMap<(usize, ServiceKey), (u64, Instant)>,
    /// What each node showed before what it showed last, and when that was: it may have decided on that.
    before: BTreeMap<usize, (Instant, Arc<View>)>,
}

impl Topic for Orders {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Booted = fact {
            self.shown.retain(|(of, _), _| *of != host);
            self.before.remove(&host);
        }
        if let Fact::Shown { before, .. } = fact {
            self.before.insert(host, (scene.now(), before.clone()));
            self.take_note(scene, host);
        }
        if let Fact::Asked(Action::Run(spec)) = fact {
            self.has_waited(scene, host, spec, findings);
        }
    }
}

impl Orders {
    fn take_note(&mut self, scene: Scene<'_>, host: usize) {
        for (key, record) in &scene.view(host).documents.services {
            let Some(deployed) = &record.deployed else {
                continue;
            };
            let shown = self.shown.entry((host, key.clone()));
            let shown = shown.or_insert((0, scene.now()));
            if shown.0 != deployed.generation {
                *shown = (deployed.generation, scene.now());
            }
        }
    }

    fn has_waited(
        &self,
        scene: Scene<'_>,
        host: usize,
        spec: &ContainerSpec,
        findings: &mut Findings,
    ) {
        let instance = &spec.labels.instance;
        let shown = self.shown.get(&(host, instance.service.clone()));
        let is_over = |(_, at): &(u64, Instant)| scene.now().since(*at) >= AWAITED_FOR;
        if shown.is_none_or(is_over) {
            return;
        }
        let before = self.before.get(&host);
        let before = before.filter(|(at, _)| *at == scene.now());
        let views = [
            Some(scene.view(host)),
            before.map(|(_, view)| view.as_ref()),
        ];
        let awaited = views.map(|view| awaited(view?, instance, spec.labels.generation));
        // Where it showed one view alone there was nothing else to decide on.
        let may = awaited[0].is_none() || (before.is_some() && awaited[1].is_none());
        findings.expect(may, &AFTER, || {
            format!("{} runs {instance} before {:?}", name(host), awaited[0])
        });
    }
}

/// The linked service of which nobody says that an instance is healthy.
fn awaited(view: &View, instance: &InstanceId, generation: u64) -> Option<ServiceKey> {
    let key = &instance.service;
    let record = view.documents.services.get(key)?;
    let deployed = record.deployed.as_ref()?;
    let is_first = deployed.previous.is_none() && deployed.takes_back.is_none();
    let mut begun = holds(view, key).filter(|hold| hold.generation >= record.born);
    let has_begun = begun.any(|hold| hold.container.is_some());
    if !is_first || has_begun || deployed.generation != generation {
        return None;
    }
    let service = deployed.revision.service.as_ref().ok()?;
    let linked = service.links.iter().map(|link| target(key, link));
    let mut linked = linked.filter(|linked| linked.stack == key.stack && linked != key);
    linked.find(|linked| is_awaited(view, linked, deployed))
}

/// Whether an instance may be waiting for what it links to: more than the product does, so that whoever judges what is
/// late can allow for it.
pub(super) fn may_wait(view: &View, instance: &InstanceId) -> bool {
    let key = &instance.service;
    let record = view.documents.services.get(key);
    let Some((record, deployed)) =
        record.and_then(|record| Some((record, record.deployed.as_ref()?)))
    else {
        return false;
    };
    let is_first = deployed.previous.is_none() && deployed.takes_back.is_none();
    let mut begun = holds(view, key).filter(|hold| hold.generation >= record.born);
    let Some(service) = deployed.revision.service.as_ref().ok().filter(|_| is_first) else {
        return false;
    };
    let linked = service.links.iter().map(|link| target(key, link));
    let mut linked = linked.filter(|linked| linked.stack == key.stack && linked != key);
    !begun.any(|hold| hold.container.is_some())
        && linked.any(|linked| is_not_whole(view, &linked, deployed.generation))
}

/// Deployed by the same change, and not all that somebody is to have of it works there.
fn is_not_whole(view: &View, linked: &ServiceKey, generation: u64) -> bool {
    let record = view.documents.services.get(linked);
    let record = record.filter(|record| record.state == Lifecycle::Running);
    let its = record.and_then(|record| record.deployed.as_ref());
    let Some(its) = its.filter(|its| its.generation == generation) else {
        return false;
    };
    let placement = place(view);
    let mut assignments = placement.of_service(linked).into_iter().flatten();
    !assignments.all(|(number, each)| {
        let node = each.holder.or(each.leaving);
        let report = node.and_then(|node| view.reports.get(&node));
        let instance = InstanceId::new(linked.clone(), *number);
        let hold = report.and_then(|report| report.holds.get(&instance));
        hold.is_some_and(|hold| {
            hold.health == Health::Healthy && its.is_met_by(&hold.revision, hold.generation)
        })
    })
}

fn target(key: &ServiceKey, link: &Link) -> ServiceKey {
    let stack = link.stack.as_ref().unwrap_or(&key.stack);
    ServiceKey::new(stack.clone(), link.service.clone())
}

/// Deployed by the same change, somebody is to have it, and it works nowhere.
fn is_awaited(view: &View, linked: &ServiceKey, by: &Deployed) -> bool {
    let record = view.documents.services.get(linked);
    let record = record.filter(|record| record.state == Lifecycle::Running);
    let its = record.and_then(|record| record.deployed.as_ref());
    let its = its.filter(|its| its.takes_back.is_none() && its.generation == by.generation);
    let Some(its) = its.filter(|its| its.revision.service.is_ok()) else {
        return false;
    };
    let placement = place(view);
    let mut assignments = placement.assignments();
    let is_placed = assignments.any(|(key, _, each)| key == linked && each.holder.is_some());
    let mut healthy = holds(view, linked).filter(|hold| hold.health == Health::Healthy);
    is_placed && !healthy.any(|hold| its.is_met_by(&hold.revision, hold.generation))
}

fn holds<'v>(view: &'v View, key: &'v ServiceKey) -> impl Iterator<Item = &'v Hold> {
    let holds = view.reports.values().flat_map(|report| &report.holds);
    holds
        .filter(|(instance, _)| instance.service == *key)
        .map(|(_, hold)| hold)
}
