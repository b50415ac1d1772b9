//! Stateful instances: never in two places.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::id::InstanceId;
use kontena_core::reconcile::action::Container;
use kontena_core::stack::Strategy;
use kontena_core::time::Instant;

use super::running::service_number;
use super::{Check, Findings, Scene, Topic, name};
use crate::engine::Change;
use crate::fact::Fact;
use crate::plan::Shape;

pub(super) const CHECKS: &[&Check] = &[&BOUND, &ONCE, &DUPLICATES_GO];

static BOUND: Check = Check {
    name: "stateful-only-where-bound",
    says: "a stateful instance is started only on the node that this node's documents bind it to",
    why: "its data is there and nowhere else",
};

static ONCE: Check = Check {
    name: "stateful-once",
    says: "a stateful instance never starts while another host runs it, unless both are bound to it by documents that have not met",
    why: "two writers of one volume lose data (rules of the mesh 2)",
};

static DUPLICATES_GO: Check = Check {
    name: "duplicates-go",
    says: "after two calm minutes no instance runs in two places",
    why: "a duplicate of a split is settled on contact, within the stop grace",
};

/// A duplicate must be gone after so long without any trouble: the grace of a stop is 10 s.
const CALM: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Stateful {
    /// Where each instance runs, and since when in more than one place.
    places: BTreeMap<InstanceId, (Vec<usize>, Option<Instant>)>,
}

impl Topic for Stateful {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Changed(Change::Started(container)) = fact {
            self.started(scene, host, container, findings);
        }
        if let Fact::Changed(Change::Ended { container, .. }) = fact {
            self.ended(scene, host, &container.owner.instance);
        }
        if let Fact::Shown { .. } = fact {
            self.lingers(scene, findings);
        }
    }
}

impl Stateful {
    fn started(
        &mut self,
        scene: Scene<'_>,
        host: usize,
        container: &Container,
        findings: &mut Findings,
    ) {
        let instance = &container.owner.instance;
        if is_stateful(instance) {
            is_bound(scene, host, instance, findings);
            self.is_alone(scene, host, instance, findings);
        }
        let (places, twice) = self.places.entry(instance.clone()).or_default();
        places.push(host);
        if places.len() > 1 {
            twice.get_or_insert(scene.now());
        }
    }

    fn ended(&mut self, _scene: Scene<'_>, host: usize, instance: &InstanceId) {
        let Some((places, twice)) = self.places.get_mut(instance) else {
            return;
        };
        if let Some(at) = places.iter().position(|place| *place == host) {
            places.swap_remove(at);
        }
        if places.len() <= 1 {
            *twice = None;
        }
    }

    fn is_alone(
        &self,
        scene: Scene<'_>,
        host: usize,
        instance: &InstanceId,
        findings: &mut Findings,
    ) {
        let places = self.places.get(instance).map(|(places, _)| places);
        let others = places.into_iter().flatten().filter(|place| **place != host);
        for other in others {
            let is_excused =
                believes_bound(scene, *other, instance) && believes_bound(scene, host, instance);
            findings.expect(is_excused, &ONCE, || {
                format!(
                    "{} starts {instance}, which {} runs",
                    name(host),
                    name(*other)
                )
            });
        }
    }

    fn lingers(&self, scene: Scene<'_>, findings: &mut Findings) {
        for (instance, (places, twice)) in &self.places {
            let Some(since) = twice else { continue };
            let lasts = scene.now().since(*since);
            if lasts > CALM && scene.all_calm(CALM) {
                let places: Vec<_> = places.iter().map(|host| name(*host)).collect();
                findings.add(&DUPLICATES_GO, format!("{instance} runs on {places:?}"));
            }
        }
    }
}

pub(super) fn is_stateful(instance: &InstanceId) -> bool {
    service_number(instance).map(Shape::of) == Some(Shape::Stateful)
}

/// A node that knows nothing of the service any more, or was removed, believes what it last knew.
fn believes_bound(scene: Scene<'_>, host: usize, instance: &InstanceId) -> bool {
    let services = &scene.view(host).documents.services;
    let Some(record) = services.get(&instance.service) else {
        return false;
    };
    let pin = record.pins.get(&instance.number);
    pin.is_some_and(|pin| pin.node == scene.world.id(host))
}

fn is_bound(scene: Scene<'_>, host: usize, instance: &InstanceId, findings: &mut Findings) {
    let services = &scene.view(host).documents.services;
    let Some(record) = services.get(&instance.service) else {
        return;
    };
    let service = record.latest.service.as_ref();
    if service.is_ok_and(|service| service.deploy.strategy == Strategy::Daemon) {
        return;
    }
    let pin = record.pins.get(&instance.number);
    findings.expect(believes_bound(scene, host, instance), &BOUND, || {
        let bound = pin.map(|pin| scene.name_of(&pin.node));
        format!("{} starts {instance}, bound to {bound:?}", name(host))
    });
}
