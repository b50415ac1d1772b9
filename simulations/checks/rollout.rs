//! Rolling deploys: how many instances are there while one is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::id::{InstanceId, ServiceKey};
use kontena_core::placement::{Placement, Role, place};
use kontena_core::reconcile::action::{Action, Container, ContainerId};
use kontena_core::report::{Health, InstanceState};
use kontena_core::stack::{Service, Strategy};
use kontena_core::time::Instant;
use kontena_core::view::{Deployed, Lifecycle, ServiceRecord};

use super::fallen::counts_no_more;
use super::{Check, Findings, Scene, Topic, name};
use crate::engine::{Change, is_running};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&FLOOR, &HALTED, &STAYS_HALTED, &GENERATIONS];

static FLOOR: Check = Check {
    name: "keeps-the-floor",
    says: "in calm times, and while hosts are off, a deploy takes a running instance down only while min(ceil(min_health·n), n−1) others run, for n of when its hooks before the stop began",
    why: "rules of the mesh 3: a deploy costs no more than its author allowed",
};

static HALTED: Check = Check {
    name: "halts",
    says: "nobody takes an instance down for a deploy of which it sees another instance failed",
    why: "a broken image takes down one instance, not all of them",
};

static STAYS_HALTED: Check = Check {
    name: "stays-halted",
    says: "nobody takes an instance down for a deploy that its documents have as halted, or that waits to be promoted and has its first few",
    why: "a deploy that failed or was aborted ends where it is, though what failed recovers; and a canary is there to be looked at",
};

static GENERATIONS: Check = Check {
    name: "deploys-go-forward",
    says: "the deploy that a node's documents name for one life of a service never falls, unless whoever wrote it is no member any more, a removal of the service knew it, or it was the way back from one that lost to the other side of a split",
    why: "containers of a lower generation are replaced: falling back would replace newer ones",
};

/// Nothing changed for so long, no fault and no command: what the hosts believe is what is.
const CALM: Duration = Duration::from_secs(30);
const NO_COMMAND: Duration = Duration::from_secs(1);
/// The grace of a stop, and a margin: whoever was told to stop before that and runs on was not stopped.
const GOES_WITHIN: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Rollouts {
    last_command: Instant,
    /// Containers that were told to stop and run still, and since when: they count as down.
    going: BTreeMap<(usize, ContainerId), Instant>,
    /// The floor when the hooks before a container's stop began: however they end, the stop follows.
    begun: BTreeMap<(usize, ContainerId), u64>,
}

impl Topic for Rollouts {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Given(_) = fact {
            self.last_command = scene.now();
        }
        if let Fact::Booted | Fact::Died { .. } = fact {
            self.begun.retain(|(of, _), _| *of != host);
        }
        if let Fact::Asked(Action::Command {
            container, hook, ..
        }) = fact
            && let Some(container) = scene.host(host).engine.get(container)
            && container
                .care
                .pre_stop
                .iter()
                .any(|before| before.name == *hook)
        {
            let floor = floor_of(scene, host, container);
            let begun = (host, container.id.clone());
            self.begun.entry(begun).or_insert(floor);
        }
        if let Fact::Asked(Action::Stop { container, .. }) = fact
            && let Some(container) = scene.host(host).engine.get(container)
            && is_running(container)
        {
            self.takes_down(scene, host, container, findings);
            let going = (host, container.id.clone());
            self.going.insert(going, scene.now());
        }
        if let Fact::Changed(Change::Ended { container, .. } | Change::Removed(container)) = fact {
            self.going.remove(&(host, container.id.clone()));
            self.begun.remove(&(host, container.id.clone()));
        }
        if let Fact::Shown { before, .. } = fact {
            self.forget_who_goes_on(scene, host);
            generations_rise(scene, host, &before.documents.services, findings);
        }
    }
}

type Services = BTreeMap<ServiceKey, ServiceRecord>;

fn generations_rise(scene: Scene<'_>, host: usize, before: &Services, findings: &mut Findings) {
    let after = &scene.view(host).documents.services;
    for (key, was) in before {
        let is = after.get(key).filter(|is| is.creation == was.creation);
        let (Some(was), Some(is)) = (
            was.deployed.as_ref(),
            is.and_then(|record| record.deployed.as_ref()),
        ) else {
            continue;
        };
        let gave_way = was
            .takes_back
            .as_ref()
            .is_some_and(|taken_back| taken_back.generation <= is.generation);
        let rises = is.generation >= was.generation || gave_way;
        findings.expect(
            rises || counts_no_more(scene, host, key, was),
            &GENERATIONS,
            || {
                format!(
                    "{} went from deploy {} of {key} to {}",
                    name(host),
                    was.generation,
                    is.generation
                )
            },
        );
    }
}

impl Rollouts {
    fn takes_down(
        &self,
        scene: Scene<'_>,
        host: usize,
        container: &Container,
        findings: &mut Findings,
    ) {
        let services = &scene.view(host).documents.services;
        let Some(record) = services.get(&container.owner.instance.service) else {
            return;
        };
        let Some(deployed) = record.deployed.as_ref() else {
            return;
        };
        let is_for_a_deploy = container.owner.generation < deployed.generation
            && record.state == Lifecycle::Running
            && container.owner.instance.number <= record.instances;
        let is_for_a_deploy = is_for_a_deploy && !is_ill(scene, host, container);
        if !is_for_a_deploy || is_succeeded(scene, host, container) {
            return;
        }
        // Who goes to another node, which has asked for it, is not stopped for the deploy.
        let instance = &container.owner.instance;
        let moves = record.moving(instance.number).is_some();
        if moves && scene.world.was_asked_for(host, instance) {
            return;
        }
        let me = scene.world.id(host);
        let placement = place(scene.view(host));
        // Whoever gives the instance up to another node does not stop it for the deploy.
        if !matches!(placement.role(&container.owner.instance, &me), Role::Run(_)) {
            return;
        }
        is_not_halted(scene, host, container, deployed, findings);
        // What is left of an earlier service of the name goes in any case.
        if container.owner.generation >= record.born {
            may_go_on(&placement, &container.owner.instance, deployed, findings);
        }
        let nobody_asked = scene.now().since(self.last_command) >= NO_COMMAND;
        if nobody_asked && scene.all_steady(CALM) {
            self.keeps_floor(scene, host, container, deployed, findings);
        }
    }

    fn keeps_floor(
        &self,
        scene: Scene<'_>,
        host: usize,
        container: &Container,
        deployed: &Deployed,
        findings: &mut Findings,
    ) {
        let Ok(service) = &deployed.revision.service else {
            return;
        };
        if service.deploy.strategy == Strategy::Daemon {
            return;
        }
        let instance = &container.owner.instance;
        let count = counted(scene, host, instance);
        let begun = self.begun.get(&(host, container.id.clone()));
        let floor = begun
            .map_or(u64::MAX, |begun| *begun)
            .min(floor(service, count));
        let others = self.others(scene, instance);
        findings.expect(others.len() as u64 >= floor, &FLOOR, || {
            format!(
                "{} stops {instance}: only {others:?} of {count} run",
                name(host)
            )
        });
    }

    /// Who took its word back, and is said to run, begins anew when it goes.
    fn forget_who_goes_on(&mut self, scene: Scene<'_>, host: usize) {
        let report = scene.view(host).reports.get(&scene.world.id(host));
        let holds = report.into_iter().flat_map(|report| report.holds.values());
        let stay = holds.filter(|hold| hold.state == InstanceState::Running && !hold.updating);
        let stay: BTreeSet<&String> = stay.filter_map(|hold| hold.container.as_ref()).collect();
        self.begun
            .retain(|(of, container), _| *of != host || !stay.contains(&container.0));
    }

    /// The other instances of a service that run, and are not about to stop.
    fn others(&self, scene: Scene<'_>, instance: &InstanceId) -> BTreeSet<u32> {
        let hosts = scene.world.hosts.iter().enumerate();
        let running = hosts.flat_map(|(host, machine)| {
            let containers = machine.engine.running();
            containers.map(move |container| (host, container))
        });
        running
            .filter(|(host, other)| !self.is_going(scene, *host, &other.id))
            .map(|(_, other)| &other.owner.instance)
            .filter(|other| other.service == instance.service && other.number != instance.number)
            .map(|other| other.number)
            .collect()
    }

    fn is_going(&self, scene: Scene<'_>, host: usize, container: &ContainerId) -> bool {
        let since = self.going.get(&(host, container.clone()));
        since.is_some_and(|since| scene.now().since(*since) < GOES_WITHIN)
    }
}

/// Whether its health check ends it, whatever is deployed: it is started again as it was.
fn is_ill(scene: Scene<'_>, host: usize, container: &Container) -> bool {
    let engine = &scene.host(host).engine;
    let is_checked = container.care.health_check.is_some();
    let report = scene.view(host).reports.get(&scene.world.id(host));
    let hold = report.and_then(|report| report.holds.get(&container.owner.instance));
    let of_it = hold.filter(|hold| hold.container.as_ref() == Some(&container.id.0));
    let is_told = of_it.is_some_and(|hold| hold.health == Health::Unhealthy);
    is_checked && (engine.trouble.sickens.is_some() || is_told || engine.is_ill(&container.id))
}

/// Whether the host runs another container of the instance: that this one goes takes nobody down
/// ([`super::succession`] says when it may).
fn is_succeeded(scene: Scene<'_>, host: usize, container: &Container) -> bool {
    let mut running = scene.host(host).engine.running();
    let instance = &container.owner.instance;
    running.any(|other| other.id != container.id && other.owner.instance == *instance)
}

/// How many others a deploy leaves of a container's service now, by what its host shows.
fn floor_of(scene: Scene<'_>, host: usize, container: &Container) -> u64 {
    let instance = &container.owner.instance;
    let record = scene.view(host).documents.services.get(&instance.service);
    let deployed = record.and_then(|record| record.deployed.as_ref());
    let service = deployed.and_then(|deployed| deployed.revision.service.as_ref().ok());
    service.map_or(u64::MAX, |service| {
        floor(service, counted(scene, host, instance))
    })
}

/// How many instances must run while one is replaced.
pub(super) fn floor(service: &Service, instances: u32) -> u64 {
    let count = u64::from(instances);
    let share = (u64::from(service.deploy.min_health) * count).div_ceil(1000);
    share.min(count.saturating_sub(1))
}

/// How many instances of its service somebody has or is to have: what no node fits counts for nothing.
fn counted(scene: Scene<'_>, host: usize, instance: &InstanceId) -> u32 {
    let placement = place(scene.view(host));
    let assignments = placement
        .of_service(&instance.service)
        .into_iter()
        .flatten();
    let counted = assignments
        .filter(|(_, assignment)| assignment.holder.or(assignment.leaving).is_some())
        .count();
    u32::try_from(counted).unwrap_or(u32::MAX)
}

/// By the documents alone: the deploy is not halted, and the instance is one of the first few of a canary.
fn may_go_on(
    placement: &Placement,
    instance: &InstanceId,
    deployed: &Deployed,
    findings: &mut Findings,
) {
    let numbers = placement
        .of_service(&instance.service)
        .into_iter()
        .flatten();
    // What is kept for want of a node is not replaced, and so is none of the first few.
    let counted = numbers.filter(|(_, each)| each.holder.is_some());
    let lower = counted
        .filter(|(number, _)| **number < instance.number)
        .count();
    let is_first = |canary: u32| lower < canary as usize;
    let may = deployed.halt.is_none() && deployed.canary().is_none_or(is_first);
    findings.expect(may, &STAYS_HALTED, || {
        let (halt, canary) = (&deployed.halt, deployed.canary());
        format!("{instance} is stopped for a deploy with {halt:?} and canary {canary:?}")
    });
}

fn is_not_halted(
    scene: Scene<'_>,
    host: usize,
    container: &Container,
    deployed: &Deployed,
    findings: &mut Findings,
) {
    let view = scene.view(host);
    let instance = &container.owner.instance;
    let placement = place(view);
    let Some(assignments) = placement.of_service(&instance.service) else {
        return;
    };
    for (number, assignment) in assignments.iter().filter(|(n, _)| **n != instance.number) {
        let other = InstanceId::new(instance.service.clone(), *number);
        let holder = assignment
            .holder
            .filter(|node| view.freshness(node).is_online());
        let report = holder.and_then(|node| view.reports.get(&node));
        let hold = report.and_then(|report| report.holds.get(&other));
        let has_failed = hold.is_some_and(|hold| {
            let aim = (deployed.generation, deployed.revision.hash);
            // Two sides of a split may give two deploys one number.
            hold.state == InstanceState::Failed && (hold.generation, hold.revision) == aim
        });
        findings.expect(!has_failed, &HALTED, || {
            format!("{} stops {instance} though {other} has failed", name(host))
        });
    }
}
