//! Stateful instances: never in two places.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::id::{EnvelopeHash, InstanceId};
use kontena_core::reconcile::action::{Action, Container, ContainerId};
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
    says: "a stateful instance never starts while another host runs it, unless both are bound to it by documents that have not met, or have just met at the other one alone, or the other one is of an earlier life of the service",
    why: "two writers of one volume lose data (rules of the mesh 2)",
};

static DUPLICATES_GO: Check = Check {
    name: "duplicates-go",
    says: "after two calm minutes no instance runs in two places",
    why: "a duplicate of a split is settled on contact, within the stop grace",
};

/// The grace of a stop, and a moment to begin.
const STOPS_WITHIN: Duration = Duration::from_secs(12);

/// A duplicate must be gone after so long without any trouble: the grace of a stop is 10 s.
const CALM: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Stateful {
    /// Where each instance runs, and since when in more than one place.
    places: BTreeMap<InstanceId, (Vec<usize>, Option<Instant>)>,
    /// The life of the service that a host made its newest container of an instance for: another one
    /// has another volume.
    lives: BTreeMap<(usize, InstanceId), (ContainerId, Option<EnvelopeHash>)>,
    /// Since when a host that runs an instance knows that it is bound to another one.
    unbound: BTreeMap<(usize, InstanceId), Instant>,
}

impl Topic for Stateful {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        // Judged when the node asks for it: what becomes known while the engine is at it cannot be held against it.
        if let Fact::Asked(action) = fact
            && let Some(instance) = to_start(scene, host, action).filter(|one| is_stateful(one))
        {
            is_bound(scene, host, instance, findings);
        }
        if let Fact::Changed(Change::Started(container)) = fact {
            self.started(scene, host, container, findings);
        }
        if let Fact::Changed(Change::Ended { container, .. }) = fact {
            self.ended(scene, host, &container.owner.instance);
        }
        if let Fact::Shown { .. } = fact {
            self.note_unbound(scene, host);
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
            self.note_life(scene, host, container);
            self.is_alone(scene, host, instance, findings);
        }
        let (places, twice) = self.places.entry(instance.clone()).or_default();
        places.push(host);
        if places.len() > 1 {
            twice.get_or_insert(scene.now());
        }
    }

    /// A container belongs to the life of its service in which it was made, however often it is started.
    fn note_life(&mut self, scene: Scene<'_>, host: usize, container: &Container) {
        let instance = &container.owner.instance;
        let record = scene.view(host).documents.services.get(&instance.service);
        let life = record.map(|record| record.creation);
        let noted = self.lives.entry((host, instance.clone()));
        let noted = noted.or_insert_with(|| (container.id.clone(), life));
        if noted.0 != container.id {
            *noted = (container.id.clone(), life);
        }
    }

    fn note_unbound(&mut self, scene: Scene<'_>, host: usize) {
        let here = self.places.iter();
        let here = here.filter(|(one, (places, _))| is_stateful(one) && places.contains(&host));
        for (instance, _) in here {
            let at = (host, instance.clone());
            match believes_bound(scene, host, instance) {
                true => drop(self.unbound.remove(&at)),
                false => drop(self.unbound.entry(at).or_insert(scene.now())),
            }
        }
    }

    /// Whether a host has just learnt that another one has it, which was never told that this one does.
    fn is_about_to_stop(
        &self,
        scene: Scene<'_>,
        host: usize,
        other: usize,
        one: &InstanceId,
    ) -> bool {
        let since = self.unbound.get(&(other, one.clone()));
        let report = scene.view(host).reports.get(&scene.world.id(other));
        let is_told = report.is_some_and(|report| report.holds.contains_key(one));
        !is_told && since.is_some_and(|since| scene.now().since(*since) < STOPS_WITHIN)
    }

    /// Whether two hosts made their containers for two lives of a service.
    fn are_of_two_lives(&self, instance: &InstanceId, hosts: [usize; 2]) -> bool {
        let life = |host| self.lives.get(&(host, instance.clone()))?.1;
        let [one, other] = hosts.map(life);
        one.is_some() && other.is_some() && one != other
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
            let have_not_met =
                believes_bound(scene, *other, instance) && believes_bound(scene, host, instance);
            let is_excused = have_not_met
                || self.are_of_two_lives(instance, [host, *other])
                || self.is_about_to_stop(scene, host, *other, instance);
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

/// What an action starts.
fn to_start<'a>(scene: Scene<'a>, host: usize, action: &'a Action) -> Option<&'a InstanceId> {
    match action {
        Action::Run(spec) => Some(&spec.labels.instance),
        Action::Start { container } => {
            let container = scene.host(host).engine.get(container)?;
            Some(&container.owner.instance)
        }
        Action::Fetch { .. }
        | Action::Hook { .. }
        | Action::Command { .. }
        | Action::Stop { .. }
        | Action::Remove { .. }
        | Action::RemoveVolume { .. }
        | Action::Move(_)
        | Action::Rename { .. }
        | Action::Probe { .. }
        | Action::Check { .. }
        | Action::LastLines { .. } => None,
    }
}

pub(super) fn is_stateful(instance: &InstanceId) -> bool {
    service_number(instance).is_some_and(|number| Shape::of(number).is_bound())
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
