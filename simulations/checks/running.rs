//! Who may start what.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::{InstanceId, NodeId, NodeName};
use kontena_core::placement::{Role, Verdict, explain, place};
use kontena_core::reconcile::action::{Action, ContainerSpec};
use kontena_core::report::Report;
use kontena_core::stack::FrozenImage;
use kontena_core::view::{Availability, Member, View};

use super::{Check, Findings, Scene, Topic, name};
use crate::engine::{Change, Engine};
use crate::fact::Fact;
use crate::plan::Shape;

pub(super) const CHECKS: &[&Check] = &[
    &FALLS_TO_IT,
    &TAKES_NEW_WORK,
    &CUT_OFF_LAST,
    &NEVER_OLDER,
    &AS_WRITTEN,
    &ONE_IMAGE,
    &ONE_CONTAINER,
    &PORTS_APART,
    &ADDRESSES_APART,
    &MEMORY_SUFFICES,
];

static FALLS_TO_IT: Check = Check {
    name: "starts-what-falls-to-it",
    says: "a node starts only what placement, computed from nothing on the view it shows, gives to it",
    why: "who starts what falls to another makes duplicates that nobody resolves",
};

static TAKES_NEW_WORK: Check = Check {
    name: "takes-no-work-unless-active",
    says: "a node that drains, or is outside the zone that a service asks for, starts nothing new of it",
    why: "hard filters are promises, and draining is how people empty a machine",
};

static CUT_OFF_LAST: Check = Check {
    name: "cut-off-nodes-come-last",
    says: "a node that more than half of the other fresh ones find no way to starts nothing new that another, which they reach, could have",
    why: "rules of the mesh 1: what runs there, most containers do not reach",
};

static NEVER_OLDER: Check = Check {
    name: "never-an-older-deploy",
    says: "a node makes no container of an older deploy than the one that its documents name",
    why: "rules of the mesh 1 and 2: an action of an older generation is refused",
};

static AS_WRITTEN: Check = Check {
    name: "runs-what-was-written",
    says: "what is started is a revision that somebody wrote as a whole, with its own image",
    why: "a merge of two definitions is a third one that nobody asked for",
};

static ONE_IMAGE: Check = Check {
    name: "runs-one-image-of-a-deploy",
    says: "what is started of the deploy that a node's documents name is what its image's name meant when that was accepted, but where it was built on one host and is not on this one",
    why: "a tag that is moved meanwhile would make one deploy run two things, and a rollback bring back a third",
};

static ONE_CONTAINER: Check = Check {
    name: "asks-for-no-twin",
    says: "a node that nothing troubled for half a minute asks for no container of an instance of which its engine has another one of that name",
    why: "the engine refuses it, and whoever does not see its own containers asks again and again",
};

static PORTS_APART: Check = Check {
    name: "asks-for-free-ports",
    says: "a node that nothing troubled for half a minute asks for no container with a host port that one of its running containers has",
    why: "it cannot start: placement knows of the port, and has to find another node",
};

static ADDRESSES_APART: Check = Check {
    name: "addresses-apart",
    says: "no two running containers of one host have one address of the grid's network, and once a split has healed no two of the grid",
    why: "the second would not start, or take the first one's packets",
};

static MEMORY_SUFFICES: Check = Check {
    name: "sets-aside-what-there-is",
    says: "a node takes no instance for which the memory does not suffice that its instances leave",
    why: "the kernel kills whatever asks for memory next, and that may be another service",
};

/// What a node knows of its engine is what is there.
const CALM: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Running;

impl Topic for Running {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Shown { before, .. } = fact {
            takes_work(scene, host, before, findings);
        }
        if let Fact::Asked(Action::Run(spec)) = fact {
            is_allowed(scene, host, spec, findings);
            if scene.is_calm(host, CALM) {
                can_start(scene, host, spec, findings);
            }
        }
        if let Fact::Changed(Change::Started(_)) = fact {
            has_own_address(scene, &[host], findings);
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        let hosts: Vec<usize> = scene.members().map(|(host, _)| host).collect();
        has_own_address(scene, &hosts, findings);
    }
}

fn has_own_address(scene: Scene<'_>, hosts: &[usize], findings: &mut Findings) {
    let running = hosts
        .iter()
        .flat_map(|host| scene.host(*host).engine.running());
    let mut addresses: Vec<Ipv4Addr> = running.filter_map(|container| container.assigned).collect();
    addresses.sort_unstable();
    let twice = addresses.windows(2).find(|pair| pair[0] == pair[1]);
    findings.expect(twice.is_none(), &ADDRESSES_APART, || {
        format!(
            "{twice:?} on {}",
            hosts
                .iter()
                .map(|host| name(*host))
                .collect::<Vec<_>>()
                .join(", ")
        )
    });
}

fn is_allowed(scene: Scene<'_>, host: usize, spec: &ContainerSpec, findings: &mut Findings) {
    let (view, me) = (scene.view(host), scene.world.id(host));
    let instance = &spec.labels.instance;
    let placement = place(view);
    let is_held = held(scene, host, instance);
    let may = match placement.role(instance, &me) {
        Role::Run(_) => true,
        Role::KeepUntilRelieved(_) | Role::Keep => is_held,
        Role::Stop => false,
    };
    findings.expect(may, &FALLS_TO_IT, || {
        let assigned = placement.get(instance);
        format!(
            "{} runs {instance}, which is placed: {assigned:?}",
            name(host)
        )
    });
    let deployed = view
        .documents
        .services
        .get(&instance.service)
        .and_then(|record| record.deployed.as_ref());
    let is_current = deployed.is_none_or(|deployed| spec.labels.generation >= deployed.generation);
    findings.expect(is_current, &NEVER_OLDER, || {
        let generation = spec.labels.generation;
        format!("{} runs {instance} of deploy {generation}", name(host))
    });
    let frozen = deployed.filter(|it| it.generation == spec.labels.generation);
    let frozen = frozen.and_then(|deployed| deployed.revision.image.as_ref());
    let may = frozen.is_none_or(|frozen| is_it(&scene.host(host).engine, frozen, &spec.image));
    findings.expect(may, &ONE_IMAGE, || {
        let image = &spec.image;
        format!(
            "{} runs {instance} from {image}, not {frozen:?}",
            name(host)
        )
    });
    findings.expect(was_written(spec), &AS_WRITTEN, || {
        format!("{} runs {instance} from {}", name(host), spec.image)
    });
}

/// What was built on one host, and is in no registry, may be another thing elsewhere.
fn is_it(engine: &Engine, frozen: &FrozenImage, image: &str) -> bool {
    let is_alike = frozen.to_string() == image;
    match frozen {
        FrozenImage::Digest { .. } => is_alike,
        FrozenImage::Id { id } => {
            is_alike || !engine.images.contains(id.trim_start_matches("sha256:"))
        }
    }
}

/// Who could have an instance that `me` takes, where most find no way to `me` and do find one to that other. Bound
/// instances and daemons are not taken by placement's choice.
fn better_reached(view: &View, me: &NodeId, instance: &InstanceId) -> Option<NodeName> {
    let is_chosen = match Shape::of(service_number(instance)?) {
        Shape::Stateful | Shape::Kept | Shape::Daemon => false,
        Shape::Plain
        | Shape::Waiting
        | Shape::Leased
        | Shape::Relaxed
        | Shape::Zoned
        | Shape::Published
        | Shape::Random => true,
    };
    if !is_chosen || most_reach(view, me) {
        return None;
    }
    let explained = explain(view, &instance.service, Some(instance.number));
    let rows = explained.instances.into_iter().flat_map(|one| one.nodes);
    let could = rows.filter(|row| matches!(row.verdict, Verdict::Eligible { .. }));
    let mut could = could.map(|row| row.node);
    let roster = &view.documents.roster;
    could.find(|name| {
        let of_name = roster.iter().find(|(_, member)| member.name == *name);
        of_name.is_some_and(|(node, _)| most_reach(view, node))
    })
}

/// Told without the rules of placement: of those who are fresh and another, at least half say nothing against it.
fn most_reach(view: &View, node: &NodeId) -> bool {
    let others = view.documents.roster.keys().filter(|other| *other != node);
    let others: Vec<&NodeId> = others.filter(|other| view.is_fresh(other)).collect();
    let reaches = |other: &&&NodeId| {
        let report = view.reports.get(**other);
        let network = report.and_then(|report| report.network.as_ref());
        network.is_none_or(|network| !network.unreachable.contains(node))
    };
    let reaching = others.iter().filter(reaches).count();
    2 * reaching >= others.len()
}

/// Whether the node has said that it holds the instance.
fn held(scene: Scene<'_>, host: usize, instance: &InstanceId) -> bool {
    let report = scene.view(host).reports.get(&scene.world.id(host));
    report.is_some_and(|report| report.holds.contains_key(instance))
}

/// By the node's own row alone, without asking placement. A node says that it holds an instance before it
/// makes the container: what it says for the first time is what it takes.
fn takes_work(scene: Scene<'_>, host: usize, before: &View, findings: &mut Findings) {
    let (view, me) = (scene.view(host), scene.world.id(host));
    let rows = [before, view].map(|view| view.documents.roster.get(&me));
    let [Some(was_row), Some(row)] = rows else {
        return;
    };
    let Some((was, is)) = scene.own_reports(host, before) else {
        return;
    };
    let taken = is
        .holds
        .iter()
        .filter(|(instance, hold)| hold.container.is_none() && !was.holds.contains_key(*instance));
    for (instance, _) in taken {
        has_memory(host, is, instance, findings);
        let may = [was_row, row].iter().any(|row| takes(row, instance));
        findings.expect(may, &TAKES_NEW_WORK, || {
            format!("{} takes {instance} as {row:?}", name(host))
        });
        // It decided on one of the two, or on one in between; and before it said that it has them.
        let undecided = [before, view].map(|view| saying(view, was));
        let better = undecided.map(|view| better_reached(&view, &me, instance));
        let is_last = better.iter().any(Option::is_none);
        findings.expect(is_last, &CUT_OFF_LAST, || {
            format!("{} takes {instance}, and {better:?} could", name(host))
        });
    }
}

/// A view in which a node still says what it said before.
fn saying(view: &View, said: &Report) -> View {
    let mut view = view.clone();
    view.reports.insert(said.node, Arc::new(said.clone()));
    view
}

/// Of all that it says to hold.
fn has_memory(host: usize, report: &Report, taken: &InstanceId, findings: &mut Findings) {
    let memory = |instance| service_number(instance).and_then(|number| Shape::of(number).memory());
    if memory(taken).is_none() {
        return;
    }
    let set_aside: u64 = report.holds.keys().filter_map(memory).sum();
    findings.expect(set_aside <= Engine::MEMORY, &MEMORY_SUFFICES, || {
        let holds: Vec<_> = report.holds.keys().collect();
        format!("{} takes {taken} and holds {holds:?}", name(host))
    });
}

fn takes(row: &Member, instance: &InstanceId) -> bool {
    let is_zoned = service_number(instance).map(Shape::of) == Some(Shape::Zoned);
    row.availability == Availability::Active && (!is_zoned || row.zone() == "a")
}

fn was_written(spec: &ContainerSpec) -> bool {
    let Some(number) = service_number(&spec.labels.instance) else {
        return true;
    };
    let mut revisions = Shape::revisions(number);
    revisions.any(|(hash, images)| hash == spec.labels.revision && images.contains(&spec.image))
}

/// `s3` is service 3.
pub(super) fn service_number(instance: &InstanceId) -> Option<usize> {
    let name = instance.service.service.as_str();
    name.strip_prefix('s')?.parse().ok()
}

/// Whether the engine can do what it is asked for, by what it has.
fn can_start(scene: Scene<'_>, host: usize, spec: &ContainerSpec, findings: &mut Findings) {
    let engine = &scene.host(host).engine;
    let instance = &spec.labels.instance;
    let mut all = engine.containers();
    let has_twin = all.any(|there| there.name == spec.name && there.owner != spec.labels);
    findings.expect(!has_twin, &ONE_CONTAINER, || {
        format!("{} asks for {instance} beside an earlier one", name(host))
    });
    let others = engine.running().filter(|other| other.name != spec.name);
    let taken: BTreeSet<u16> = others
        .flat_map(|other| engine.ports(&other.id))
        .map(|port| port.node_port)
        .collect();
    let clash = spec
        .ports
        .iter()
        .find(|port| taken.contains(&port.node_port));
    findings.expect(clash.is_none(), &PORTS_APART, || {
        format!(
            "{} asks for {instance} with a port that another one has",
            name(host)
        )
    });
}
