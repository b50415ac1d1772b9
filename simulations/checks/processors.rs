//! Processors: nobody is given what it cannot run.

use kontena_core::reconcile::action::Action;
use kontena_core::stack::FrozenImage;

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&BUILT_FOR_IT];

static BUILT_FOR_IT: Check = Check {
    name: "built-for-its-processor",
    says: "nobody fetches an image of which its deploy says that it was built for other processors, but for an instance that is bound to the node",
    why: "the fetch fails, and with it a deploy that others would have ended well",
};

#[derive(Debug, Default)]
pub(super) struct Processors;

impl Topic for Processors {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        let Fact::Asked(Action::Fetch { image, frozen }) = fact else {
            return;
        };
        let machine = scene.host(host).engine.machine;
        // A copy of a disk on another machine knows what that one said, until it is told.
        let report = scene.view(host).reports.get(&scene.world.id(host));
        if report.is_none_or(|report| report.engine.architecture != machine) {
            return;
        }
        let platforms = frozen.as_ref().and_then(FrozenImage::platforms);
        let runs = platforms.is_none_or(|platforms| platforms.run_on(machine));
        findings.expect(runs || is_bound(scene, host, image), &BUILT_FOR_IT, || {
            format!("{} ({machine}) fetches {image}, {frozen:?}", name(host))
        });
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
