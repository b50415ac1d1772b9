//! Who may stop what: a container that runs is stopped for a reason only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::{InstanceId, NodeId};
use kontena_core::node::Phase;
use kontena_core::placement::{Assignment, Role, place};
use kontena_core::reconcile::action::{Action, Container, ContainerId};
use kontena_core::report::{Health, InstanceState};
use kontena_core::time::Instant;
use kontena_core::view::{Lifecycle, ServiceRecord, View};

use super::running::service_number;
use super::stateful::is_stateful;
use super::{Check, Findings, Scene, Topic, name};
use crate::engine::{Change, is_running};
use crate::fact::Fact;
use crate::host::Host;
use crate::plan::Shape;

pub(super) const CHECKS: &[&Check] = &[&FOR_A_REASON, &CUT_OFF, &RELIEVED, &RUNS_THERE, &ONLY_OURS];

static FOR_A_REASON: Check = Check {
    name: "stops-for-a-reason",
    says: "a healthy container is stopped only because the documents no longer want it, a newer deploy replaces it, no member that it hears knows its deploy any more, another node runs the instance, it moves to another node, or its lease is over",
    why: "a link that came back, a restart or a lost message is no reason to restart anything",
};

static CUT_OFF: Check = Check {
    name: "cut-off-keeps-running",
    says: "a node that hears of nobody stops nothing for the sake of another node",
    why: "being cut off is a normal state, and its containers may be the only ones left",
};

static RELIEVED: Check = Check {
    name: "loser-stops-after-the-winner-runs",
    says: "whoever gives a stateless instance up has read that its successor is healthy at the wanted revision",
    why: "rules of the mesh 2: else both could be gone",
};

static RUNS_THERE: Check = Check {
    name: "given-up-only-to-who-runs-it",
    says: "a stateless instance is given up only to a node whose engine runs it, or did within the last minute",
    why: "what was healthy in an earlier life of a node may be nowhere now: then both are gone",
};

/// What a node says of an instance that has ended may be so old: it is believed while the node is heard of.
const SAID_FOR: Duration = Duration::from_secs(60);

/// Before the fence does it.
const STOPPED_BEFORE: Duration = Duration::from_secs(5);

static ONLY_OURS: Check = Check {
    name: "only-ours",
    says: "a node touches only containers that carry the labels of its grid and that it was shown",
    why: "people run other things on their hosts",
};

/// Containers that each node was told about are those of its engine; some are gone by now.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    known: BTreeSet<ContainerId>,
    /// When an instance ran last where it does so no more. By node: its machine may be replaced by another.
    ended: BTreeMap<(NodeId, InstanceId), Instant>,
    /// What each node showed before what it showed last, and when that was: it says that a container stops
    /// at the moment at which it asks for that.
    before: BTreeMap<usize, (Instant, Arc<View>)>,
}

impl Topic for Stopping {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Changed(Change::Started(container)) = fact {
            self.known.insert(container.id.clone());
        }
        if let Fact::Changed(Change::Ended { container, .. }) = fact {
            let instance = container.owner.instance.clone();
            self.ended
                .insert((scene.world.id(host), instance), scene.now());
        }
        if let Fact::Shown { before, .. } = fact {
            let now = scene.now();
            let is_first = self.before.get(&host).is_none_or(|(at, _)| *at < now);
            if is_first {
                self.before.insert(host, (now, before.clone()));
            }
        }
        let Fact::Asked(action) = fact else {
            return;
        };
        if let Action::Stop { container, .. }
        | Action::Start { container }
        | Action::Remove { container } = action
        {
            self.is_ours(scene, host, container, findings);
        }
        if let Action::Stop { container, .. } = action
            && let Some(container) = scene.host(host).engine.get(container)
            && is_running(container)
            && self.read_healthy(scene, host, container)
        {
            has_reason(scene, host, container, findings);
            self.runs_there(scene, host, container, findings);
        }
    }
}

impl Stopping {
    fn is_ours(&self, scene: Scene<'_>, host: usize, id: &ContainerId, findings: &mut Findings) {
        let there = scene.host(host).engine.get(id);
        let is_ours = there.is_some() || self.known.contains(id);
        findings.expect(is_ours, &ONLY_OURS, || {
            format!("{} touches container {}", name(host), id.0)
        });
    }

    /// Whether the node itself said until now that it is healthy, or nothing yet: an unhealthy one may be replaced.
    fn read_healthy(&self, scene: Scene<'_>, host: usize, container: &Container) -> bool {
        let before = self.before.get(&host);
        let before = before.filter(|(at, _)| *at == scene.now());
        let view = before.map_or(scene.view(host), |(_, view)| view);
        let report = view.reports.get(&scene.world.id(host));
        let hold = report.and_then(|report| report.holds.get(&container.owner.instance));
        hold.is_none_or(|hold| {
            hold.health == Health::Healthy && hold.container.as_ref() == Some(&container.id.0)
        })
    }

    /// By the engine of the one that placement names: what it says of itself may be of an earlier life.
    fn runs_there(
        &self,
        scene: Scene<'_>,
        host: usize,
        container: &Container,
        findings: &mut Findings,
    ) {
        let instance = &container.owner.instance;
        let view = scene.view(host);
        let is_given_up = scene.host(host).status.phase == Phase::Member
            && !is_unwanted(view, container)
            && !is_bound(instance)
            && !container.care.leased;
        let placement = place(view);
        let successor = placement.get(instance).and_then(|each| each.holder);
        let Some(successor) = successor.filter(|_| is_given_up) else {
            return;
        };
        if successor == scene.world.id(host) {
            return;
        }
        let runs = self.ran_lately(scene, successor, instance);
        findings.expect(runs, &RUNS_THERE, || {
            let report = view.reports.get(&successor);
            let said = report.and_then(|report| report.holds.get(instance));
            let successor = scene.name_of(&successor);
            format!(
                "{} stops {instance}, which {successor} does not run and says {said:?}",
                name(host)
            )
        });
    }

    /// An engine that hangs says nothing of what ended meanwhile, and a loop that stands still hears nothing.
    fn ran_lately(&self, scene: Scene<'_>, node: NodeId, instance: &InstanceId) -> bool {
        let ended = self.ended.get(&(node, instance.clone()));
        let mut machines = scene.world.hosts.iter().filter(|each| each.id() == node);
        ended.is_some_and(|at| scene.now().since(*at) < SAID_FOR)
            || machines.any(|machine| {
                let mut running = machine.engine.running();
                machine.engine.is_hung()
                    || running.any(|container| container.owner.instance == *instance)
            })
    }
}

fn has_reason(scene: Scene<'_>, host: usize, container: &Container, findings: &mut Findings) {
    let machine = scene.host(host);
    let view = scene.view(host);
    if machine.status.phase != Phase::Member {
        return;
    }
    if is_unwanted(view, container)
        || is_asked_for(scene, host, &container.owner.instance)
        || is_of_a_lost_deploy(scene, host, container)
        || has_better_twin(scene, host, container)
        || is_out_of_time(scene, host, container)
    {
        return;
    }
    let instance = &container.owner.instance;
    let placement = place(view);
    let is_here = matches!(
        placement.role(instance, &scene.world.id(host)),
        Role::Run(_)
    );
    // Its successor cannot begin before.
    if container.care.leased && !is_here {
        return;
    }
    match placement.role(instance, &scene.world.id(host)) {
        Role::Run(_) | Role::Keep => findings.add(&FOR_A_REASON, {
            let owner = &container.owner;
            format!("{} stops {instance} ({owner:?})", name(host))
        }),
        Role::KeepUntilRelieved(assignment) => findings.add(&RELIEVED, {
            format!("{} stops {instance} before {assignment:?}", name(host))
        }),
        Role::Stop => {
            let Some(assignment) = placement.get(instance) else {
                return;
            };
            is_relieved(scene, host, container, assignment, findings);
        }
    }
}

/// Whether the lease that it runs under is over in a moment, so that the fence would kill it.
fn is_out_of_time(scene: Scene<'_>, host: usize, container: &Container) -> bool {
    let left = scene.world.time_left(host, &container.id);
    left.is_some_and(|left| left < STOPPED_BEFORE)
}

/// Whether a person wants it elsewhere, with its data, and the node there has asked for that.
fn is_asked_for(scene: Scene<'_>, host: usize, instance: &InstanceId) -> bool {
    let record = scene.view(host).documents.services.get(&instance.service);
    let is_moving = record.is_some_and(|record| record.moving(instance.number).is_some());
    is_moving && scene.world.was_asked_for(host, instance)
}

/// Whether the documents, as this node has them, do not ask for this very container.
fn is_unwanted(view: &View, container: &Container) -> bool {
    let owner = &container.owner;
    let Some(record) = view.documents.services.get(&owner.instance.service) else {
        return true;
    };
    let is_wanted = record.state == Lifecycle::Running
        && (is_daemon(record) || owner.instance.number <= record.instances);
    let deployed = record.deployed.as_ref();
    // Two sides of a split, or two lives of a disk, may give one number to two deploys.
    let is_newest =
        deployed.is_some_and(|deployed| deployed.is_met_by(&owner.revision, owner.generation));
    !is_wanted || !is_newest
}

/// Stateful, or one of a node's daemons.
pub(super) fn is_bound(instance: &InstanceId) -> bool {
    is_stateful(instance) || service_number(instance).map(Shape::of) == Some(Shape::Daemon)
}

/// Whether no member that the host hears knows its deploy any more. What a removed node wrote beside its
/// removal counts for itself alone; and who is not heard may give the number to another deploy.
fn is_of_a_lost_deploy(scene: Scene<'_>, host: usize, container: &Container) -> bool {
    let owner = &container.owner;
    let view = scene.view(host);
    let is_heard =
        |node: &NodeId| view.freshness(node).is_online() && !view.documents.excludes(node);
    let knows = |host: &Host| {
        let record = host.view.documents.services.get(&owner.instance.service);
        let deployed = record.and_then(|record| record.deployed.as_ref());
        deployed.is_some_and(|deployed| deployed.generation >= owner.generation)
    };
    let mut members = scene.members();
    !members.any(|(_, other)| is_heard(&other.id()) && knows(other))
}

fn is_daemon(record: &ServiceRecord) -> bool {
    let service = record.latest.service.as_ref();
    service.is_ok_and(|service| service.deploy.strategy == kontena_core::stack::Strategy::Daemon)
}

/// Another container of the instance on this host.
fn has_better_twin(scene: Scene<'_>, host: usize, container: &Container) -> bool {
    scene
        .host(host)
        .engine
        .containers()
        .any(|other| other.id != container.id && other.owner.instance == container.owner.instance)
}

fn is_relieved(
    scene: Scene<'_>,
    host: usize,
    container: &Container,
    assignment: &Assignment,
    findings: &mut Findings,
) {
    let (view, instance) = (scene.view(host), &container.owner.instance);
    let Some(holder) = assignment.holder.or(assignment.leaving) else {
        return;
    };
    // An instance that is bound to a node has no successor. A node's daemons get other numbers where both sides
    // of a split gave theirs to two nodes.
    let record = view.documents.services.get(&instance.service);
    let service = record.and_then(|record| record.latest.service.as_ref().ok());
    let is_stateful = service.is_some_and(|service| service.stateful);
    if is_stateful || record.is_some_and(is_daemon) {
        return;
    }
    let hears_somebody = view
        .standings
        .iter()
        .any(|(node, standing)| *node != scene.world.id(host) && standing.freshness.is_online());
    findings.expect(hears_somebody, &CUT_OFF, || {
        format!(
            "{} stops {instance}, which {} has",
            name(host),
            scene.name_of(&holder)
        )
    });
    let successor = view
        .reports
        .get(&holder)
        .and_then(|report| report.holds.get(instance));
    let is_healthy = successor
        .is_some_and(|hold| hold.state == InstanceState::Running && hold.health == Health::Healthy);
    findings.expect(is_healthy, &RELIEVED, || {
        let holder = scene.name_of(&holder);
        format!(
            "{} stops {instance}; {holder} says {successor:?}",
            name(host)
        )
    });
}
