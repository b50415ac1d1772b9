//! Health checks: containers that run and do not do their work.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::network::zone::{Class, zone};
use kontena_core::reconcile::action::{Container, ContainerId};
use kontena_core::time::Instant;
use kontena_core::view::Freshness;

use super::{Check, Findings, Scene, Topic, name};
use crate::engine::Change;
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&LEAVES, &RESTARTED];

static LEAVES: Check = Check {
    name: "the-ill-leave-names",
    says: "in calm times nobody takes a container for ready that has not done its work for 9 s",
    why: "whoever is led to it waits, and another one could have answered",
};

static RESTARTED: Check = Check {
    name: "the-ill-are-restarted",
    says: "no container that fell ill runs on once faults are over and the grid has settled",
    why: "a health check is there so that nobody has to look",
};

/// The interval of simulated checks (5 s), what an answer may take (2 s), and some exchanges.
const KNOWN_WITHIN: Duration = Duration::from_secs(9);

/// No longer than that: the third failure ends the container, and falling ill is a trouble itself.
const CALM: Duration = KNOWN_WITHIN;

/// When containers fell ill that were not restarted since.
#[derive(Debug, Default)]
pub(super) struct Illnesses {
    since: BTreeMap<ContainerId, (usize, Instant)>,
}

impl Topic for Illnesses {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Changed(change) = fact {
            self.note(scene, host, change);
        }
        if let Fact::Shown { .. } = fact {
            self.are_they_answered_with(scene, host, findings);
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        for (host, machine) in scene.members() {
            let is_ill = |container: &&Container| machine.engine.is_ill(&container.id);
            let ill = machine.engine.running().find(is_ill);
            findings.expect(ill.is_none(), &RESTARTED, || {
                format!("{} runs {:?}", name(host), ill.map(|ill| &ill.name))
            });
        }
    }
}

impl Illnesses {
    fn note(&mut self, scene: Scene<'_>, host: usize, change: &Change) {
        match change {
            Change::FellIll(container) => {
                let since = (host, scene.now());
                self.since.entry(container.id.clone()).or_insert(since);
            }
            Change::Started(container)
            | Change::Ended { container, .. }
            | Change::Removed(container) => {
                self.since.remove(&container.id);
            }
        }
    }

    fn are_they_answered_with(&self, scene: Scene<'_>, viewer: usize, findings: &mut Findings) {
        if self.since.is_empty() || !scene.all_calm(CALM) {
            return;
        }
        let view = scene.view(viewer);
        let answered = zone(view);
        let targets = answered
            .names
            .values()
            .flat_map(|records| records.targets.iter());
        let ready = targets.filter(|target| target.class == Class::Ready);
        let ready: Vec<_> = ready.map(|target| target.address).collect();
        for (id, (host, since)) in &self.since {
            let address = scene.host(*host).engine.get(id).and_then(|ill| ill.address);
            let is_fresh = view.freshness(&scene.world.id(*host)) == Freshness::Fresh;
            let is_known = scene.now().since(*since) >= KNOWN_WITHIN && is_fresh;
            let is_ready = address.is_some_and(|address| ready.contains(&address));
            findings.expect(!is_known || !is_ready, &LEAVES, || {
                format!(
                    "{} answers with {address:?} of {}",
                    name(viewer),
                    name(*host)
                )
            });
        }
    }
}
