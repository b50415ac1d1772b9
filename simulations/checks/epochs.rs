//! Epochs: each change of holder is told by a higher number.

use std::sync::Arc;

use kontena_core::id::{InstanceId, NodeId};
use kontena_core::report::Report;
use kontena_core::view::View;

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
        let me = scene.world.id(host);
        let (Some(was), Some(is)) = (before.reports.get(&me), scene.view(host).reports.get(&me))
        else {
            return;
        };
        if Arc::ptr_eq(was, is) || was.order.boot != is.order.boot {
            return;
        }
        for instance in is.holds.keys() {
            compare(host, instance, was, is, findings);
            if !was.holds.contains_key(instance) {
                is_above(scene, host, before, instance, is, findings);
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

fn is_above(
    scene: Scene<'_>,
    host: usize,
    before: &View,
    instance: &InstanceId,
    is: &Report,
    findings: &mut Findings,
) {
    let hold = &is.holds[instance];
    // A container that was found on the engine brings its own epoch. Of a stateful instance the binding
    // decides; of a daemon's, the node: another holder of its number only had the number.
    if hold.container.is_some() || is_bound(instance) {
        return;
    }
    // It decided on one of the two, or on one in between.
    let seen = [before, scene.view(host)].map(|view| highest_of_others(view, is.node, instance));
    if let [Some(then), Some(now)] = seen {
        let (epoch, node) = then.min(now);
        findings.expect(hold.epoch > epoch, &TAKEN_ABOVE, || {
            let holder = scene.name_of(&node);
            format!(
                "{} takes {instance} at {}, {holder} had {epoch}",
                name(host),
                hold.epoch
            )
        });
    }
}

/// The highest epoch at which another node holds it, and which one.
fn highest_of_others(view: &View, me: NodeId, instance: &InstanceId) -> Option<(u64, NodeId)> {
    let others = view.reports.iter().filter(|(node, _)| **node != me);
    let holds =
        others.filter_map(|(node, report)| Some((report.holds.get(instance)?.epoch, *node)));
    holds.max()
}
