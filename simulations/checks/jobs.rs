//! Jobs: at most one run for a slot, and none that is not written down.

use std::collections::BTreeMap;

use kontena_core::id::{EnvelopeHash, InstanceId};
use kontena_core::reconcile::action::{Action, Container};
use kontena_core::schedule::Slot;

use super::{Check, Findings, Scene, Topic, name};
use crate::engine::Change;
use crate::fact::Fact;
use crate::world::World;

pub(super) const CHECKS: &[&Check] = &[&ONCE, &WRITTEN];

static ONCE: Check = Check {
    name: "a-slot-runs-once",
    says: "no job is started twice for one slot, on whatever node, unless it may be taken over or a person moved it",
    why: "what a job does may be worse when it is done twice than when it is not done: it is missed, and that is shown",
};

static WRITTEN: Check = Check {
    name: "slots-are-written-first",
    says: "no container of a job is made before its slot is on the disk of its node",
    why: "a boot that does not find it there would run it again",
};

/// A slot of one instance, in one life of its service.
type Key = (InstanceId, Option<EnvelopeHash>, Slot);

/// The runs that anybody started.
#[derive(Debug, Default)]
pub struct Runs {
    started: BTreeMap<Key, usize>,
}

impl Runs {
    /// What is wrong with this fact, in words.
    pub fn see(&mut self, world: &World, host: usize, fact: &Fact) -> Option<String> {
        let Fact::Changed(Change::Started(container)) = fact else {
            return None;
        };
        let key = key(world, host, container)?;
        let before = self.started.insert(key.clone(), host);
        let before = before.filter(|_| !may_run_twice(world, host, &key.0))?;
        let (instance, _, slot) = key;
        let (first, second) = (name(before), name(host));
        Some(format!(
            "{instance} ran for {slot} on {first}, and is started on {second}"
        ))
    }
}

fn key(world: &World, host: usize, container: &Container) -> Option<Key> {
    let slot = container.owner.slot?;
    let instance = container.owner.instance.clone();
    let services = &world.hosts[host].view.documents.services;
    let life = services
        .get(&instance.service)
        .map(|record| record.creation);
    Some((instance, life, slot))
}

fn may_run_twice(world: &World, host: usize, instance: &InstanceId) -> bool {
    let services = &world.hosts[host].view.documents.services;
    let record = services.get(&instance.service);
    let service = record.and_then(|record| record.latest.service.as_ref().ok());
    let is_bound = service.is_some_and(|service| service.is_bound());
    !is_bound || world.forced.contains(instance)
}

/// Whether the slot of a container is on the disk of the host that makes it.
pub fn is_written(world: &World, host: usize, instance: &InstanceId, slot: Slot) -> bool {
    let me = world.id(host);
    let saved = world.hosts[host].disk.load();
    let mut reports = saved.reports.iter().filter_map(|signed| signed.open().ok());
    let own = reports.find(|report| report.node == me);
    let ledger = own.as_ref().and_then(|report| report.jobs.get(instance));
    ledger.is_some_and(|ledger| ledger.get(slot).is_some())
}

impl Topic for Runs {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Some(what) = Self::see(self, scene.world, host, fact) {
            findings.add(&ONCE, what);
        }
        if let Fact::Asked(Action::Run(spec)) = fact
            && let Some(slot) = spec.labels.slot
        {
            let instance = &spec.labels.instance;
            findings.expect(
                is_written(scene.world, host, instance, slot),
                &WRITTEN,
                || format!("{} makes {instance} for {slot}", name(host)),
            );
        }
    }
}
