//! Restarts that were announced: the daemon ends in time, and nobody takes over what it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::time::Instant;
use kontena_core::view::{Freshness, View};

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&ENDS, &BORNE];

static ENDS: Check = Check {
    name: "stops-in-time",
    says: "a daemon that is told to stop ends within five seconds",
    why: "whoever stops it kills it after a while, and then nobody is asked for patience",
};

static BORNE: Check = Check {
    name: "announced-restart-is-borne",
    says: "in calm times a node that was stopped properly is absent to nobody for 55 s",
    why: "rules of the mesh 1: an announced restart lengthens the grace to 60 s, and an upgrade moves nothing",
};

/// The wait for a second disk, a slow one here, and a margin.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

const BORNE_FOR: Duration = Duration::from_secs(55);

const CALM: Duration = Duration::from_secs(90);

#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// Who was told to stop and has not ended.
    told: BTreeMap<usize, Told>,
    /// Who ended after that, in calm times.
    stopped: BTreeMap<usize, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    /// How long the host had been calm before.
    calm: Duration,
}

impl Topic for Restarts {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::ToldToStop = fact {
            let told = Told {
                at: scene.now(),
                calm: scene.calm.before(host),
            };
            self.told.insert(host, told);
        }
        if let Fact::Died { .. } = fact {
            self.end(scene, host, findings);
        }
        if let Fact::Booted = fact {
            self.told.remove(&host);
            self.stopped.remove(&host);
        }
        if let Fact::Shown { before, .. } = fact {
            self.absences(scene, host, before, findings);
        }
    }
}

impl Restarts {
    fn end(&mut self, scene: Scene<'_>, host: usize, findings: &mut Findings) {
        let Some(told) = self.told.remove(&host) else {
            return;
        };
        let took = scene.now().since(told.at);
        let is_hindered = told.calm.is_zero() || scene.calm.under_way(host) > 1;
        findings.expect(is_hindered || took <= ENDS_WITHIN, &ENDS, || {
            format!("{} ends after {took:?}", name(host))
        });
        let mut others = (0..scene.world.hosts.len()).filter(|other| *other != host);
        if told.calm >= CALM && others.all(|other| scene.is_calm(other, CALM)) {
            self.stopped.insert(host, scene.now());
        }
    }

    fn absences(&self, scene: Scene<'_>, viewer: usize, before: &View, findings: &mut Findings) {
        let is_absent = |view: &View, host| {
            let node = scene.world.id(host);
            view.freshness(&node) >= Freshness::Absent && !view.absence(&node).assumed_dead
        };
        let lately = self
            .stopped
            .iter()
            .filter(|(_, at)| scene.now().since(**at) < BORNE_FOR);
        for (host, _) in lately.filter(|_| scene.is_calm(viewer, CALM)) {
            let became_absent = is_absent(scene.view(viewer), *host) && !is_absent(before, *host);
            findings.expect(!became_absent, &BORNE, || {
                format!("{} finds {} absent", name(viewer), name(*host))
            });
        }
    }
}
