//! Whoever comes next for a service has its image.

use kontena_core::id::ServiceKey;
use kontena_core::placement::standbys;
use kontena_core::stack::{FrozenImage, ImageMark};
use kontena_core::view::{Revision, View};

use super::{Check, Findings, Scene, Topic, name};

pub(super) const CHECKS: &[&Check] = &[&READY];

static READY: Check = Check {
    name: "standbys-have-the-image",
    says: "after faults the nodes that come next for a service have its image and say so, unless no registry has it",
    why: "the registry may be gone when they are needed, and a pull takes longer than all the rest",
};

#[derive(Debug)]
pub(super) struct Standbys;

impl Topic for Standbys {
    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        let Some((_, model)) = scene.members().next() else {
            return;
        };
        for (key, record) in &model.view.documents.services {
            if let Some(deployed) = &record.deployed {
                are_ready(scene, &model.view, key, &deployed.revision, findings);
            }
        }
    }
}

fn are_ready(
    scene: Scene<'_>,
    view: &View,
    key: &ServiceKey,
    revision: &Revision,
    findings: &mut Findings,
) {
    let (Ok(service), frozen) = (&revision.service, &revision.image) else {
        return;
    };
    if matches!(frozen, Some(FrozenImage::Id { .. })) {
        return;
    }
    let mark = ImageMark::of(&service.image, frozen.as_ref());
    let next = standbys(view, key);
    let hosts = scene.members();
    for (host, machine) in hosts.filter(|(_, machine)| next.contains(&machine.id())) {
        let says = view.reports.get(&machine.id());
        let says = says.is_some_and(|report| report.images.contains(&mark));
        let has = machine.engine.has(&service.image, frozen);
        findings.expect(says && has, &READY, || {
            format!(
                "{} stands by for {key}: has the image {has}, says so {says}",
                name(host)
            )
        });
    }
}
