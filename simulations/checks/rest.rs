//! A grid at rest: everything that is wanted runs, nothing else does, and nothing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use kontena_core::id::{InstanceId, NodeId, ServiceKey};
use kontena_core::placement::{place, waiting};
use kontena_core::reconcile::action::{Action, Ownership};
use kontena_core::report::InstanceState;
use kontena_core::stack::{FrozenImage, Service, Strategy};
use kontena_core::view::{Availability, Deployed, Documents, Lifecycle, ServiceRecord};

use super::rollout::floor;
use super::running::service_number;
use super::{Check, Findings, Scene, Topic, name};
use crate::engine::Engine;
use crate::fact::Fact;
use crate::plan::Shape;

pub(super) const CHECKS: &[&Check] = &[
    &EXACTLY,
    &NO_MORE,
    &BALANCED,
    &NOTHING_ELSE,
    &NEWEST,
    &SAYS_WHY,
    &REPORTS_TRUE,
    &NO_ACTIONS,
    &NO_CHANGES,
];

static EXACTLY: Check = Check {
    name: "runs-exactly-what-is-wanted",
    says: "after faults every service has exactly its instances, each once, on nodes that may run it",
    why: "that is what the platform is for",
};

static NO_MORE: Check = Check {
    name: "no-more-than-a-node-may-have",
    says: "after faults no node runs more instances of a service than `max_per_node` allows",
    why: "who sets it wants to lose no more than that with one machine",
};

static BALANCED: Check = Check {
    name: "rebalanced-is-even",
    says: "after faults, and while no member is away, a service that is rebalanced has at most one more in one zone than in another with room, and on one node than on another of its zone",
    why: "who asks for it wants new nodes to be used; and as a grid at rest asks for nothing, it ends",
};

static NOTHING_ELSE: Check = Check {
    name: "runs-nothing-else",
    says: "after faults no host runs what nobody wants, and a removed one runs nothing",
    why: "a forgotten container answers, writes and costs",
};

static SAYS_WHY: Check = Check {
    name: "unfinished-says-why",
    says: "after faults every instance that a deploy has not reached, where that is not halted and waits for nobody, says why, or placement does",
    why: "a deploy that stands still without a word sends people looking for it",
};

static NEWEST: Check = Check {
    name: "runs-the-newest-deploy",
    says: "after faults every instance on a node that may run it runs the deploy that the documents name",
    why: "every rollout ends, unless it was halted or waits to be promoted, no node may run it, or its floor cannot be kept because stateful instances wait for a person",
};

static REPORTS_TRUE: Check = Check {
    name: "reports-are-true",
    says: "after faults every member says of itself what its engine runs, and all others know it",
    why: "names, balancers and rollouts are computed from reports",
};

static NO_ACTIONS: Check = Check {
    name: "idle-asks-nothing",
    says: "a grid at rest asks its engines for nothing",
    why: "an action without a cause comes again and again",
};

static NO_CHANGES: Check = Check {
    name: "idle-writes-nothing",
    says: "a grid at rest writes no change",
    why: "documents keep their history for ever",
};

#[derive(Debug, Default)]
pub(super) struct Rest;

impl Topic for Rest {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if !scene.rests {
            return;
        }
        if let Fact::Asked(action) = fact {
            findings.expect(is_look(scene, host, action), &NO_ACTIONS, || {
                format!("{}: {action:?}", name(host))
            });
        }
        if let Fact::Saved(envelopes) = fact {
            findings.expect(envelopes.is_empty(), &NO_CHANGES, || {
                format!("{} saves {} changes", name(host), envelopes.len())
            });
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        let Some((_, model)) = scene.members().next() else {
            return;
        };
        let truth = Truth::of(scene, &model.view.documents);
        for (key, record) in &truth.documents.services {
            truth.service(key, record, findings);
        }
        truth.nothing_else(findings);
        reports_are_true(scene, findings);
    }
}

/// Whether it changes nothing and asks nobody else: an image that stands by is looked for now and then.
fn is_look(scene: Scene<'_>, host: usize, action: &Action) -> bool {
    match action {
        Action::Probe { .. } | Action::Check { .. } => true,
        Action::Fetch { image, frozen } => {
            image.starts_with("sha256:") || scene.host(host).engine.has(image, frozen)
        }
        Action::Run(_)
        | Action::Hook { .. }
        | Action::Command { .. }
        | Action::LastLines { .. }
        | Action::Start { .. }
        | Action::Stop { .. }
        | Action::Remove { .. }
        | Action::RemoveVolume { .. }
        | Action::Move(_)
        | Action::Rename { .. } => false,
    }
}

/// What the documents ask for, and what runs.
struct Truth<'a> {
    scene: Scene<'a>,
    documents: &'a Documents,
    running: BTreeMap<InstanceId, Vec<usize>>,
    /// Members that are up.
    present: BTreeSet<NodeId>,
}

impl<'a> Truth<'a> {
    fn of(scene: Scene<'a>, documents: &'a Documents) -> Self {
        let present = scene.members().map(|(_, host)| host.id());
        Self {
            scene,
            documents,
            running: scene.world.running(),
            present: present
                .filter(|id| documents.roster.contains_key(id))
                .collect(),
        }
    }

    fn service(&self, key: &ServiceKey, record: &ServiceRecord, findings: &mut Findings) {
        let Some(deployed) = record.deployed.as_ref() else {
            return;
        };
        let Ok(service) = &deployed.revision.service else {
            return;
        };
        if record.state != Lifecycle::Running || self.lacks_witnesses(record, service) {
            return;
        }
        match (service.deploy.strategy, service.stateful) {
            (Strategy::Daemon, _) => self.daemon(key, record, deployed, findings),
            (_, true) => self.stateful(key, record, findings),
            (_, false) => self.stateless(key, record, deployed, service, findings),
        }
        let goes_on = deployed.halt.is_none() && deployed.canary().is_none();
        if goes_on && self.has_room_for_a_rollout(record, service) {
            self.is_newest(key, deployed, findings);
        }
        if goes_on {
            self.says_why_not(key, deployed, findings);
        }
    }

    /// Whether too few of its witnesses are there to grant it to anybody.
    fn lacks_witnesses(&self, record: &ServiceRecord, service: &Service) -> bool {
        let present = record.witnesses.intersection(&self.present).count();
        service.is_leased() && 2 * present <= record.witnesses.len()
    }

    /// Who may not run it starts nothing of it: what it keeps for want of another node stays as it is.
    fn is_newest(&self, key: &ServiceKey, deployed: &Deployed, findings: &mut Findings) {
        let eligible = self.eligible(deployed);
        let may_run = |host: usize| eligible.contains(&self.scene.world.id(host));
        let containers = self.containers().filter(|(host, _)| may_run(*host));
        for (host, container) in containers.filter(|(_, c)| c.owner.instance.service == *key) {
            let runs = (container.owner.generation, container.owner.revision);
            let wanted = (deployed.generation, deployed.revision.hash);
            let is_right = deployed.is_met_by(&runs.1, runs.0) && runs.0 <= wanted.0;
            findings.expect(is_right, &NEWEST, || {
                let name = name(host);
                format!("{name} runs {} at {runs:?}, not {wanted:?}", container.name)
            });
        }
    }

    /// What a deploy has not reached is told by placement, or by who has it.
    fn says_why_not(&self, key: &ServiceKey, deployed: &Deployed, findings: &mut Findings) {
        let Some((host, _)) = self.scene.members().next() else {
            return;
        };
        let view = self.scene.view(host);
        let placement = place(view);
        for (number, assigned) in placement.of_service(key).into_iter().flatten() {
            let node = assigned.holder.or(assigned.leaving);
            // Who is away is known to be.
            if node.is_some_and(|node| !self.present.contains(&node)) {
                continue;
            }
            let report = node.and_then(|node| view.reports.get(&node));
            let instance = InstanceId::new(key.clone(), *number);
            let hold = report.and_then(|report| report.holds.get(&instance));
            let is_there =
                hold.is_some_and(|hold| deployed.is_met_by(&hold.revision, hold.generation));
            let is_said = hold.is_some_and(|hold| hold.problem.is_some())
                || waiting(view, assigned).is_some();
            findings.expect(is_there || is_said, &SAYS_WHY, || {
                format!("{instance} is not at its deploy: {assigned:?}, {hold:?}")
            });
        }
    }

    fn containers(
        &self,
    ) -> impl Iterator<Item = (usize, &'a kontena_core::reconcile::action::Container)> {
        let hosts = self.scene.world.hosts.iter().enumerate();
        hosts.flat_map(|(index, host)| host.engine.running().map(move |each| (index, each)))
    }

    /// Nodes that may run something new of it, by their rows and their machines alone.
    fn eligible(&self, deployed: &Deployed) -> BTreeSet<NodeId> {
        let service = deployed.revision.service.as_ref().ok();
        let is_zoned = service.is_some_and(|service| !service.affinity.is_empty());
        let rows = self.documents.roster.iter();
        rows.filter(|(node, _)| self.present.contains(node))
            .filter(|(_, row)| row.availability == Availability::Active)
            .filter(|(_, row)| !is_zoned || row.zone() == "a")
            .filter(|(node, _)| !self.is_foreign(node, deployed))
            .map(|(node, _)| *node)
            .collect()
    }

    /// Whether the image of the deploy was built for other processors than the node's.
    fn is_foreign(&self, node: &NodeId, deployed: &Deployed) -> bool {
        let image = deployed.revision.image.as_ref();
        let platforms = image.and_then(FrozenImage::platforms);
        let mut members = self.scene.members();
        let host = members.find(|(_, host)| host.id() == *node);
        host.is_some_and(|(_, host)| {
            platforms.is_some_and(|platforms| !platforms.run_on(host.engine.machine))
        })
    }

    fn places(&self, key: &ServiceKey, number: u32) -> &[usize] {
        let instance = InstanceId::new(key.clone(), number);
        self.running.get(&instance).map_or(&[], Vec::as_slice)
    }

    fn expect_once(&self, key: &ServiceKey, number: u32, findings: &mut Findings) {
        let places = self.places(key, number);
        findings.expect(places.len() == 1, &EXACTLY, || {
            let hosts: Vec<_> = places.iter().map(|host| name(*host)).collect();
            format!("{key}-{number} runs on {hosts:?}")
        });
    }

    fn stateless(
        &self,
        key: &ServiceKey,
        record: &ServiceRecord,
        deployed: &Deployed,
        service: &Service,
        findings: &mut Findings,
    ) {
        let eligible = self.eligible(deployed);
        let on_each = match (service.ports.is_empty(), service.resources.memory) {
            (false, _) => 1,
            (true, Some(memory)) => u32::try_from(Engine::MEMORY / memory).unwrap_or(u32::MAX),
            (true, None) => record.instances,
        };
        let most = service.deploy.max_per_node.map(NonZeroU32::get);
        let on_each = most.unwrap_or(u32::MAX).min(on_each);
        self.has_no_more(key, most, findings);
        self.is_balanced(key, record, deployed, on_each, findings);
        let nodes = u32::try_from(eligible.len()).unwrap_or(u32::MAX);
        let room = nodes.saturating_mul(on_each);
        if room >= record.instances {
            for number in 1..=record.instances {
                self.expect_once(key, number, findings);
                self.is_eligible(key, number, &eligible, findings);
            }
            return;
        }
        // Where nobody may run it, a holder keeps it for good; where there is no room, some wait.
        let counts = (1..=record.instances).map(|number| self.places(key, number).len());
        let (least, most) = (room as usize, record.instances as usize);
        let running: usize = counts.sum();
        findings.expect((least..=most).contains(&running), &EXACTLY, || {
            format!("{running} of {key} run, with room for {room}")
        });
    }

    /// What a node may not have for ever, whatever it took over: where another fits, the rest goes there.
    fn has_no_more(&self, key: &ServiceKey, most: Option<u32>, findings: &mut Findings) {
        let Some(most) = most else {
            return;
        };
        for (host, machine) in self.scene.members() {
            let here = machine.engine.running();
            let count = here.filter(|c| c.owner.instance.service == *key).count();
            findings.expect(count <= most as usize, &NO_MORE, || {
                format!("{} runs {count} of {key}, and may run {most}", name(host))
            });
        }
    }

    /// A service that is rebalanced has no more in one place than it must, unless some of it cannot be well.
    fn is_balanced(
        &self,
        key: &ServiceKey,
        record: &ServiceRecord,
        deployed: &Deployed,
        on_each: u32,
        findings: &mut Findings,
    ) {
        let aim = (deployed.generation, deployed.revision.hash);
        let service = deployed.revision.service.as_ref().ok();
        let is_rebalanced = service.is_some_and(|service| service.deploy.rebalance);
        let of_it = || {
            self.containers()
                .filter(|(_, c)| c.owner.instance.service == *key)
        };
        let is_newest = |owner: &Ownership| (owner.generation, owner.revision) == aim;
        let are_well = of_it().count() == record.instances as usize
            && of_it().all(|(_, container)| is_newest(&container.owner));
        let mut members = self.documents.roster.keys();
        let all_are_there = members.all(|node| self.present.contains(node));
        if !is_rebalanced || !are_well || !all_are_there {
            return;
        }
        let mut zones: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for node in self.eligible(deployed) {
            let here = of_it().filter(|(host, _)| self.scene.world.id(*host) == node);
            let row = &self.documents.roster[&node];
            zones.entry(row.zone()).or_default().push(here.count());
        }
        let has_room = |counts: &Vec<usize>| counts.iter().any(|count| *count < on_each as usize);
        let sum = |counts: &Vec<usize>| counts.iter().sum::<usize>();
        let uneven = |counts: &Vec<usize>| {
            let least = counts.iter().min().copied().unwrap_or_default();
            counts.iter().any(|count| *count > least + 1)
        };
        let open = zones.values().filter(|counts| has_room(counts));
        let least = open.map(sum).min().unwrap_or(usize::MAX - 1);
        let fullest = zones.values().map(sum).max().unwrap_or_default();
        let is_even = fullest <= least + 1 && !zones.values().any(uneven);
        findings.expect(is_even, &BALANCED, || format!("{key} runs as {zones:?}"));
    }

    fn is_eligible(
        &self,
        key: &ServiceKey,
        number: u32,
        eligible: &BTreeSet<NodeId>,
        findings: &mut Findings,
    ) {
        for host in self.places(key, number) {
            let may = eligible.contains(&self.scene.world.id(*host));
            findings.expect(may, &EXACTLY, || {
                format!("{key}-{number} runs on {}, which may not", name(*host))
            });
        }
    }

    /// Whether the others keep the floor while one instance is replaced: those that stand by do not
    /// run, and only a person can change that.
    fn has_room_for_a_rollout(&self, record: &ServiceRecord, service: &Service) -> bool {
        if !service.stateful || service.deploy.strategy == Strategy::Daemon {
            return true;
        }
        let numbers = 1..=record.instances;
        let running = numbers.filter(|number| !self.stands_by(record, *number));
        running.count() as u64 > floor(service, record.instances)
    }

    /// A stateful instance whose node drains, was removed or is away.
    fn stands_by(&self, record: &ServiceRecord, number: u32) -> bool {
        let pin = record.pins.get(&number).map(|pin| pin.node);
        let row = pin.and_then(|node| self.documents.roster.get(&node));
        row.is_none_or(|row| row.availability == Availability::Drain)
            || pin.is_some_and(|node| !self.present.contains(&node))
    }

    /// On the node that it is bound to, if that is there and takes work; else nowhere.
    fn stateful(&self, key: &ServiceKey, record: &ServiceRecord, findings: &mut Findings) {
        for number in 1..=record.instances {
            let pin = record.pins.get(&number).map(|pin| pin.node);
            if !self.stands_by(record, number) {
                self.expect_once(key, number, findings);
            }
            let bound: BTreeSet<NodeId> = pin.into_iter().collect();
            if pin.is_some() {
                self.is_eligible(key, number, &bound, findings);
            }
        }
    }

    fn daemon(
        &self,
        key: &ServiceKey,
        record: &ServiceRecord,
        deployed: &Deployed,
        findings: &mut Findings,
    ) {
        let eligible = self.eligible(deployed);
        for (host, machine) in self.scene.members() {
            let here = machine.engine.running();
            let count = here.filter(|c| c.owner.instance.service == *key).count();
            let instances = record.instances as usize;
            let wanted = match eligible.contains(&machine.id()) {
                true => instances..=instances,
                // What it runs of an older deploy it keeps.
                false if self.is_foreign(&machine.id(), deployed) => 0..=instances,
                false => 0..=0,
            };
            findings.expect(wanted.contains(&count), &EXACTLY, || {
                format!("{} runs {count} of {key}, not {wanted:?}", name(host))
            });
        }
    }

    fn nothing_else(&self, findings: &mut Findings) {
        for (host, container) in self.containers() {
            let instance = &container.owner.instance;
            let is_member = self.present.contains(&self.scene.world.id(host));
            let record = self.documents.services.get(&instance.service);
            let is_wanted = record.is_some_and(|record| {
                let is_daemon = service_number(instance).map(Shape::of) == Some(Shape::Daemon);
                record.state == Lifecycle::Running
                    && (is_daemon || instance.number <= record.instances)
            });
            findings.expect(is_member && is_wanted, &NOTHING_ELSE, || {
                format!("{} runs {instance}", name(host))
            });
        }
    }
}

fn reports_are_true(scene: Scene<'_>, findings: &mut Findings) {
    for (host, machine) in scene.members() {
        let runs: BTreeSet<InstanceId> = machine
            .engine
            .running()
            .map(|container| container.owner.instance.clone())
            .collect();
        for (viewer, other) in scene.members() {
            let report = other.view.reports.get(&machine.id());
            let says: BTreeSet<InstanceId> = report
                .into_iter()
                .flat_map(|report| &report.holds)
                .filter(|(_, hold)| hold.state == InstanceState::Running)
                .map(|(instance, _)| instance.clone())
                .collect();
            findings.expect(says == runs, &REPORTS_TRUE, || {
                let (viewer, host) = (name(viewer), name(host));
                format!("{viewer} believes that {host} runs {says:?}, and it is {runs:?}")
            });
        }
    }
}
