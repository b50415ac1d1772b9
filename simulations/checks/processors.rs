//! Processors: nobody is given what it cannot run.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::reconcile::action::Action;
use kontena_core::stack::FrozenImage;
use kontena_core::time::Instant;

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&BUILT_FOR_IT];

static BUILT_FOR_IT: Check = Check {
    name: "built-for-its-processor",
    says: "nobody who has known its own machine for a minute fetches an image of which its deploy says that it was built for other processors, but for an instance that is bound to the node",
    why: "the fetch fails, and with it a deploy that others would have ended well",
};

/// A copy of a disk on another machine acts on what that one said of itself, until its own words are known to it.
const LEARNT_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Processors {
    /// What each host shows as its own machine, in this boot, and since when.
    shown: BTreeMap<usize, (String, Instant)>,
}

impl Topic for Processors {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Booted = fact {
            self.shown.remove(&host);
        }
        if let Fact::Shown { .. } = fact {
            self.take_note(scene, host);
        }
        let Fact::Asked(Action::Fetch { image, frozen }) = fact else {
            return;
        };
        let machine = scene.host(host).engine.machine;
        let is_known = self.shown.get(&host).is_some_and(|(shown, since)| {
            shown == machine && scene.now().since(*since) >= LEARNT_AFTER
        });
        if !is_known {
            return;
        }
        let platforms = frozen.as_ref().and_then(FrozenImage::platforms);
        let runs = platforms.is_none_or(|platforms| platforms.run_on(machine));
        findings.expect(runs || is_bound(scene, host, image), &BUILT_FOR_IT, || {
            format!("{} ({machine}) fetches {image}, {frozen:?}", name(host))
        });
    }
}

impl Processors {
    fn take_note(&mut self, scene: Scene<'_>, host: usize) {
        let report = scene.view(host).reports.get(&scene.world.id(host));
        let Some(report) = report else { return };
        let shows = &report.engine.architecture;
        let known = self
            .shown
            .get(&host)
            .is_some_and(|(shown, _)| shown == shows);
        if !known {
            self.shown.insert(host, (shows.clone(), scene.now()));
        }
    }
}

/// Whether a service of the image has an instance that can run on the host alone.
fn is_bound(scene: Scene<'_>, host: usize, image: &str) -> bool {
    let me = scene.world.id(host);
    let mut services = scene.view(host).documents.services.values();
    services.any(|record| {
        let deployed = record.deployed.as_ref();
        let service = deployed.and_then(|deployed| deployed.revision.service.as_ref().ok());
        let is_of_it = service.is_some_and(|service| service.image == image);
        is_of_it && record.pins.values().any(|pin| pin.node == me)
    })
}
