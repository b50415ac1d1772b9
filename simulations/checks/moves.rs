//! Moves of instances with their data.

use std::collections::BTreeSet;

use kontena_core::id::{EnvelopeHash, InstanceId, NodeId};
use kontena_core::reconcile::action::{Action, Container, MoveStep};
use kontena_core::view::{ServiceRecord, View};

use super::{Check, Findings, Scene, Topic, name};
use crate::engine::Change;
use crate::fact::Fact;
use crate::host::Host;

pub(super) const CHECKS: &[&Check] = &[&WHOLE, &AT_REST, &KEPT, &CLEAN];

static WHOLE: Check = Check {
    name: "moved-data-is-whole",
    says: "an instance that was moved is started first with exactly what is in its volumes on the node that it left",
    why: "what was written there last was acknowledged to somebody",
};

static AT_REST: Check = Check {
    name: "sent-at-rest",
    says: "a node sends the data of an instance only while no container of it runs there",
    why: "what is written while it is copied is in no copy",
};

static KEPT: Check = Check {
    name: "moved-data-is-kept",
    says: "a node removes data that was moved from it only once the instance was started where it went",
    why: "until then nobody has seen that what went is what came",
};

static CLEAN: Check = Check {
    name: "a-move-ends-clean",
    says: "once all has settled no move is under way whose two nodes are there, nothing is left of one that is off, and what was moved is on one node alone",
    why: "interrupted at any point a move ends in one of two states: there or here",
};

#[derive(Debug, Default)]
pub(super) struct Moves {
    /// Those that were started where they went, by the life of their service and the epoch of the binding.
    started: BTreeSet<(InstanceId, EnvelopeHash, u64)>,
}

impl Topic for Moves {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        match fact {
            Fact::Changed(Change::Started(container)) => {
                self.finds_its_data(scene, host, container, findings);
                is_not_sent(scene, host, container, findings);
            }
            Fact::Asked(Action::RemoveVolume { name, .. }) => {
                self.was_started_elsewhere(scene, host, name, findings);
            }
            Fact::Asked(Action::Move(step)) => is_at_rest(scene, host, step, findings),
            Fact::Booted
            | Fact::ToldToStop
            | Fact::Died { .. }
            | Fact::Given(_)
            | Fact::Replied { .. }
            | Fact::KeyWritten { .. }
            | Fact::KeyAnswered { .. }
            | Fact::Asked(_)
            | Fact::Changed(_)
            | Fact::Saved(_)
            | Fact::Lost(_)
            | Fact::Shown { .. }
            | Fact::Answered { .. }
            | Fact::Sent { .. } => {}
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        for (index, host) in scene.members() {
            for (key, record) in &host.view.documents.services {
                for number in record.moves.keys() {
                    let instance = InstanceId::new(key.clone(), *number);
                    is_over(scene, index, host, record, &instance, findings);
                    left_nothing(scene, index, host, record, &instance, findings);
                }
            }
            for instance in host.engine.landings().keys() {
                let is_pending = is_under_way(&host.view, instance);
                findings.expect(is_pending, &CLEAN, || {
                    format!("{} has a landing of {instance}", name(index))
                });
            }
        }
    }
}

impl Moves {
    fn was_started_elsewhere(
        &self,
        scene: Scene<'_>,
        host: usize,
        docker: &str,
        findings: &mut Findings,
    ) {
        let (view, me) = (scene.view(host), scene.world.id(host));
        let Some(went) = move_of(view, me, docker) else {
            return;
        };
        findings.expect(self.started.contains(&went), &KEPT, || {
            format!(
                "{} removes {docker}, and nobody has started with it",
                name(host)
            )
        });
    }

    fn finds_its_data(
        &mut self,
        scene: Scene<'_>,
        host: usize,
        container: &Container,
        findings: &mut Findings,
    ) {
        let instance = &container.owner.instance;
        let record = scene.view(host).documents.services.get(&instance.service);
        let came = record.and_then(|record| Some((record, record.came_by(instance.number)?)));
        let Some((record, (order, copies))) = came else {
            return;
        };
        let move_of_it = (instance.clone(), record.creation, order.target().epoch);
        if order.to != scene.world.id(host) || !self.started.insert(move_of_it) {
            return;
        }
        let found = scene.host(host).engine.found(&container.id);

        for docker in copies.keys() {
            let Some(left) = left_behind(scene, order.from.node, docker) else {
                continue;
            };
            let found = found.get(docker).copied().unwrap_or_default();
            findings.expect(found == left, &WHOLE, || {
                format!(
                    "{} starts {instance} with other data in {docker}",
                    name(host)
                )
            });
        }
    }
}

/// The move by which a copy went from a node, as that node's documents have it.
fn move_of(view: &View, me: NodeId, docker: &str) -> Option<(InstanceId, EnvelopeHash, u64)> {
    let mut services = view.documents.services.iter();
    services.find_map(|(key, record)| {
        let mut numbers = record.moves.keys();
        numbers.find_map(|number| {
            let (order, copies) = record.came_by(*number)?;
            let is_it = order.from.node == me && copies.contains_key(docker);
            let instance = InstanceId::new(key.clone(), *number);
            is_it.then_some((instance, record.creation, order.target().epoch))
        })
    })
}

/// What is in a copy on the node that it was moved from.
fn left_behind(scene: Scene<'_>, node: NodeId, docker: &str) -> Option<u64> {
    let mut hosts = scene.world.hosts.iter().filter(|host| host.id() == node);
    let host = hosts.find(|host| host.engine.volumes().contains_key(docker))?;
    Some(host.engine.data(docker))
}

fn is_not_sent(scene: Scene<'_>, host: usize, container: &Container, findings: &mut Findings) {
    let instance = &container.owner.instance;
    findings.expect(!scene.world.sends(host, instance), &AT_REST, || {
        format!("{} starts {instance}, whose data it sends", name(host))
    });
}

fn is_at_rest(scene: Scene<'_>, host: usize, step: &MoveStep, findings: &mut Findings) {
    let MoveStep::Send { ask, .. } = step else {
        return;
    };
    let instance = scene.world.asked_for(*ask);
    let mut running = scene.host(host).engine.running();
    let runs = running.any(|container| container.owner.instance == *instance);
    findings.expect(!runs, &AT_REST, || {
        format!("{} sends {instance}, which it runs", name(host))
    });
}

fn is_under_way(view: &View, instance: &InstanceId) -> bool {
    let record = view.documents.services.get(&instance.service);
    record.is_some_and(|record| record.moving(instance.number).is_some())
}

/// Both nodes are there and can go on: then it is done by now, or given up.
fn is_over(
    scene: Scene<'_>,
    index: usize,
    host: &Host,
    record: &ServiceRecord,
    instance: &InstanceId,
    findings: &mut Findings,
) {
    let view = &host.view;
    let Some(order) = record.moving(instance.number) else {
        return;
    };
    let is_member = |node: NodeId| {
        let mut members = scene.members();
        let is_known = view.documents.roster.contains_key(&node);
        is_known && members.any(|(_, host)| host.id() == node)
    };
    let are_there = is_member(order.from.node) && is_member(order.to);
    let report = view.reports.get(&order.to);
    let word = report.and_then(|report| report.arrivals.get(instance));
    let lacks_image = word.is_some_and(|word| word.contains("image"));
    let can_go_on =
        are_there && view.takes_moves(&order.to) && view.can_move(instance).is_ok() && !lacks_image;
    findings.expect(!can_go_on, &CLEAN, || {
        format!("{} has {instance} move yet: {word:?}", name(index))
    });
}

fn left_nothing(
    scene: Scene<'_>,
    index: usize,
    host: &Host,
    record: &ServiceRecord,
    instance: &InstanceId,
    findings: &mut Findings,
) {
    let Some((order, copies)) = record.came_by(instance.number) else {
        return;
    };
    let report = host.view.reports.get(&order.to);
    let arrived = report.and_then(|report| report.arrived.get(instance));
    if order.from.node != scene.world.id(index) || arrived != Some(&order.target().epoch) {
        return;
    }
    let left = copies.keys();
    let mut left = left.filter(|docker| host.engine.volumes().contains_key(*docker));
    let left = left.next();
    findings.expect(left.is_none(), &CLEAN, || {
        format!("{} has {left:?} of {instance} still", name(index))
    });
}
