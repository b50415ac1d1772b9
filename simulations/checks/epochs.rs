//! Epochs: each change of holder is told by a higher number.

use kontena_core::id::{InstanceId, NodeId};
use kontena_core::report::{Hold, Report};

use super::stopping::is_bound;
use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&TAKEN_ABOVE, &NEVER_FALL];

static TAKEN_ABOVE: Check = Check {
    name: "taken-over-above",
    says: "a node that takes a stateless instance that is no daemon's does so at a higher epoch than it has seen of any other holder",
    why: "of two healthy holders the lower epoch keeps it: whoever came later must be the higher one",
};

static NEVER_FALL: Check = Check {
    name: "epochs-never-fall",
    says: "the epoch of a container that goes on running never falls",
    why: "an order that changes while it is compared settles nothing",
};

#[derive(Debug, Default)]
pub(super) struct Epochs;

impl Topic for Epochs {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        let Fact::Shown { before, .. } = fact else {
            return;
        };
        let Some((was, is)) = scene.own_reports(host, before) else {
            return;
        };
        for instance in is.holds.keys() {
            compare(host, instance, was, is, findings);
            if !was.holds.contains_key(instance) {
                is_above(scene, host, instance, is, findings);
            }
        }
    }
}

fn compare(host: usize, instance: &InstanceId, was: &Report, is: &Report, findings: &mut Findings) {
    let (Some(old), Some(new)) = (was.holds.get(instance), is.holds.get(instance)) else {
        return;
    };
    let is_same = new.container.is_some() && old.container == new.container;
    findings.expect(!is_same || new.epoch >= old.epoch, &NEVER_FALL, || {
        format!(
            "{}: {instance} from {} to {}",
            name(host),
            old.epoch,
            new.epoch
        )
    });
}

/// Whether another machine with its identity has it at that epoch, or says so: what that one says is its own word
/// too, until each of the two knows of the other.
fn copy_has(scene: Scene<'_>, host: usize, instance: &InstanceId, hold: &Hold) -> bool {
    let me = scene.world.id(host);
    let hosts = scene.world.hosts.iter().enumerate();
    let mut copies = hosts.filter(|(other, machine)| *other != host && machine.id() == me);
    copies.any(|(other, machine)| {
        let mut running = machine.engine.running();
        let said = scene.view(other).reports.get(&me);
        let said = said.and_then(|report| report.holds.get(instance));
        said.is_some_and(|said| said.epoch == hold.epoch)
            || running.any(|it| it.owner.instance == *instance && it.owner.epoch == hold.epoch)
    })
}

fn is_above(
    scene: Scene<'_>,
    host: usize,
    instance: &InstanceId,
    is: &Report,
    findings: &mut Findings,
) {
    let hold = &is.holds[instance];
    // A container that was found on the engine brings its own epoch. Of a stateful instance the binding
    // decides; of a daemon's, the node: another holder of its number only had the number.
    if hold.container.is_some() || is_bound(instance) || copy_has(scene, host, instance, hold) {
        return;
    }
    let view = scene.view(host);
    let others = view.reports.iter().filter(|(node, _)| **node != is.node);
    let highest = others
        .filter_map(|(node, report)| Some((report.holds.get(instance)?.epoch, *node)))
        .max();
    if let Some((epoch, node)) = highest {
        findings.expect(hold.epoch > epoch, &TAKEN_ABOVE, || {
            let node: NodeId = node;
            let holder = scene.name_of(&node);
            format!(
                "{} takes {instance} at {}, {holder} had {epoch}",
                name(host),
                hold.epoch
            )
        });
    }
}
