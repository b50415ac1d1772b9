//! Stopping in order: out of the names first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use kontena_core::id::InstanceId;
use kontena_core::network::zone::{Class, TTL, zone};
use kontena_core::node::Phase;
use kontena_core::reconcile::action::{Action, Container};
use kontena_core::time::Instant;
use kontena_core::view::Freshness;

use super::running::service_number;
use super::{Check, Findings, Scene, Topic, name};
use crate::engine::is_running;
use crate::fact::Fact;
use crate::plan::Shape;

pub(super) const CHECKS: &[&Check] = &[&NAMES_FIRST];

static NAMES_FIRST: Check = Check {
    name: "out-of-names-before-it-stops",
    says: "in calm times a node stops no container that a fresh member answered with as ready in the last second",
    why: "rules of the mesh 3: whoever was led to it would be refused, and another one could have answered",
};

const CALM: Duration = Duration::from_secs(30);

/// When each member had an address among its ready ones last, as long as it has, and the time of the last look.
#[derive(Debug, Default)]
pub(super) struct Partings {
    ready: BTreeMap<(usize, IpAddr), Instant>,
    shown: BTreeMap<usize, Vec<IpAddr>>,
}

impl Topic for Partings {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Shown { .. } = fact {
            self.note(scene, host);
        }
        if let Fact::Died { .. } | Fact::Booted = fact {
            self.shown.remove(&host);
            self.ready.retain(|(viewer, _), _| *viewer != host);
        }
        if let Fact::Asked(Action::Stop { container, .. }) = fact
            && scene.all_calm(CALM)
            && let Some(container) = scene.host(host).engine.get(container)
            && is_running(container)
            && has_others(scene, host, container)
        {
            self.is_left_out(scene, host, container, findings);
        }
    }
}

/// So long an answer is kept: a second of a host's clock, which may run a thousandth faster than the world's.
fn kept() -> Duration {
    TTL - TTL / 1000
}

/// Whether names can lead to another instance of its service: to the only one they lead until it stops.
fn has_others(scene: Scene<'_>, host: usize, container: &Container) -> bool {
    let instance = &container.owner.instance;
    let record = scene.view(host).documents.services.get(&instance.service);
    // One that was scaled away leaves the names as well.
    let stays = |other: &InstanceId| {
        let is_daemon = service_number(other).map(Shape::of) == Some(Shape::Daemon);
        record.is_none_or(|record| is_daemon || other.number <= record.instances)
    };
    let hosts = scene.world.hosts.iter();
    let mut running = hosts.flat_map(|host| host.engine.running());
    // The successor of an instance, too, is another one.
    running.any(|other| {
        other.id != container.id && {
            let other = &other.owner.instance;
            other.service == instance.service && stays(other)
        }
    })
}

impl Partings {
    fn note(&mut self, scene: Scene<'_>, viewer: usize) {
        let now = scene.now();
        let zone = zone(scene.view(viewer));
        let targets = zone
            .names
            .values()
            .flat_map(|records| records.targets.iter());
        let ready = targets.filter(|target| target.class == Class::Ready);
        let mut ready: Vec<IpAddr> = ready.map(|target| target.address).collect();
        ready.sort_unstable();
        ready.dedup();
        for address in self.shown.insert(viewer, ready).into_iter().flatten() {
            self.ready.insert((viewer, address), now);
        }
    }

    fn is_left_out(
        &self,
        scene: Scene<'_>,
        host: usize,
        container: &Container,
        findings: &mut Findings,
    ) {
        let Some(address) = container.address else {
            return;
        };
        let view = scene.view(host);
        for (viewer, machine) in scene.members() {
            let is_fresh = viewer == host || view.freshness(&machine.id()) == Freshness::Fresh;
            let answers = self
                .shown
                .get(&viewer)
                .is_some_and(|all| all.contains(&address));
            let last = self.ready.get(&(viewer, address));
            let lately = last.is_some_and(|last| scene.now().since(*last) < kept());
            let holds_something = machine.engine.containers().next().is_some();
            let is_asked = is_fresh && holds_something && machine.status.phase == Phase::Member;
            findings.expect(!is_asked || !(answers || lately), &NAMES_FIRST, || {
                format!(
                    "{} stops {} while {} answers with it",
                    name(host),
                    container.name,
                    name(viewer)
                )
            });
        }
    }
}
