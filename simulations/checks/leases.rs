//! Leases: never two holders at work, whatever happens to daemons, hosts, witnesses and ways.

use std::collections::{BTreeMap, BTreeSet};

use kontena_core::id::{EnvelopeHash, NodeId, ServiceKey};
use kontena_core::reconcile::action::{Container, ContainerId};

use super::{Check, Findings, Scene, Topic, name};
use crate::engine::Change;
use crate::fact::Fact;
use crate::world::World;

pub(super) const CHECKS: &[&Check] = &[&ONCE, &FENCED];

static ONCE: Check = Check {
    name: "leased-once",
    says: "no container of a leased service starts while one of it runs on another host, unless the two are one identity that was copied, or of two lives of the service",
    why: "whoever asks for a lease has something outside that two must never write to at once (rules of the mesh 2)",
};

static FENCED: Check = Check {
    name: "leased-is-fenced",
    says: "a node makes no container of a leased service, and runs no hook for one, that the fence does not know",
    why: "a daemon that is killed or stands still stops nothing",
};

/// Whether a service runs under a lease that too few of its witnesses are there to grant, or are heard by a host.
pub(super) fn lacks_witnesses(scene: Scene<'_>, host: usize, service: &ServiceKey) -> bool {
    let view = scene.view(host);
    let Some(record) = view.documents.services.get(service) else {
        return false;
    };
    let members: BTreeSet<NodeId> = scene.members().map(|(_, machine)| machine.id()).collect();
    let is_there = |node: &&NodeId| members.contains(node) && view.freshness(node).is_online();
    let there = record.witnesses.iter().filter(is_there).count();
    !record.witnesses.is_empty() && 2 * there <= record.witnesses.len()
}

/// For which life of its service each container was started.
#[derive(Debug, Default)]
pub struct Leases {
    lives: BTreeMap<(usize, ContainerId), Option<EnvelopeHash>>,
}

impl Leases {
    /// What is wrong with this fact, in words.
    pub fn see(&mut self, world: &World, host: usize, fact: &Fact) -> Option<String> {
        let Fact::Changed(Change::Started(container)) = fact else {
            return None;
        };
        if !container.care.leased {
            return None;
        }
        let services = &world.hosts[host].view.documents.services;
        let record = services.get(&container.owner.instance.service);
        let life = record.map(|record| record.creation);
        self.lives.insert((host, container.id.clone()), life);
        let others = (0..world.hosts.len()).filter(|other| world.id(*other) != world.id(host));
        let mut running = others.flat_map(|other| {
            let running = world.hosts[other].engine.running();
            running.map(move |container| (other, container))
        });
        let (other, _) = running.find(|(other, one)| {
            is_same(container, one) && self.are_of_one_life(life, *other, one)
        })?;
        let instance = &container.owner.instance;
        Some(format!(
            "{} starts {instance}, which {} runs",
            name(host),
            name(other)
        ))
    }

    fn are_of_one_life(
        &self,
        life: Option<EnvelopeHash>,
        other: usize,
        container: &Container,
    ) -> bool {
        let its = self.lives.get(&(other, container.id.clone()));
        its.is_none_or(|its| *its == life)
    }
}

fn is_same(one: &Container, other: &Container) -> bool {
    other.care.leased && one.owner.instance == other.owner.instance
}

impl Topic for Leases {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Some(what) = Self::see(self, scene.world, host, fact) {
            findings.add(&ONCE, what);
        }
        if let Fact::Asked(action) = fact
            && let Some(spec) = action.makes()
        {
            let services = &scene.view(host).documents.services;
            let record = services.get(&spec.labels.instance.service);
            let latest = record.and_then(|record| record.latest.service.as_ref().ok());
            let is_leased = latest.is_some_and(|service| service.is_leased());
            findings.expect(!is_leased || spec.fence.is_some(), &FENCED, || {
                format!("{} makes {} without a fence", name(host), spec.name)
            });
        }
    }
}
