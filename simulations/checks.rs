//! What must hold, whatever befalls a grid.
//!
//! Each check is a sentence with its reason. Most watch facts as they happen and cost nothing where
//! nothing happens; some ask the whole world once it has come to rest.

mod acknowledged;
mod beginnings;
mod bounds;
mod changes;
mod clones;
mod documents;
mod due;
mod epochs;
mod fallen;
mod health;
pub mod jobs;
mod keys;
pub mod leases;
mod membership;
mod moves;
mod names;
mod network;
mod offline;
mod order;
mod parting;
mod patience;
mod processors;
mod rest;
mod restarts;
mod rollout;
mod running;
mod stacks;
mod standby;
mod stateful;
mod stopping;
mod succession;
mod volumes;

use std::fmt;
use std::time::Duration;

use kontena_core::command::CommandId;
use kontena_core::id::NodeId;
use kontena_core::node::Phase;
use kontena_core::report::Report;
use kontena_core::time::Instant;
use kontena_core::view::View;

use crate::fact::Fact;
use crate::host::Host;
use crate::stage::Calm;
use crate::world::World;

/// Something that must hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    /// What holds.
    pub says: &'static str,
    /// Why it must.
    pub why: &'static str,
}

/// A check that did not hold, and what was seen.
#[derive(Clone, Debug)]
pub struct Finding {
    pub check: &'static Check,
    pub at: Instant,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Check { name, says, why } = self.check;
        let at = self.at.since_start().as_secs_f64();
        write!(
            f,
            "{name}: {says}\n  at {at:.3} s: {}\n  because {why}",
            self.what
        )
    }
}

/// What a check may look at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub world: &'a World,
    pub calm: &'a Calm,
    /// Commands that only a refusal answers rightly.
    pub wrong: &'a [CommandId],
    /// Faults are over and the grid has settled: from now on nothing happens.
    pub rests: bool,
}

impl<'a> Scene<'a> {
    fn now(&self) -> Instant {
        self.world.now()
    }

    fn host(&self, host: usize) -> &'a Host {
        &self.world.hosts[host]
    }

    fn view(&self, host: usize) -> &'a View {
        &self.world.hosts[host].view
    }

    fn is_calm(&self, host: usize, since: Duration) -> bool {
        self.calm.of(host, self.now()) >= since
    }

    fn all_calm(&self, since: Duration) -> bool {
        self.calm.of_all(self.now()) >= since
    }

    /// Nothing has changed for so long: each host is calm, or off.
    fn all_steady(&self, since: Duration) -> bool {
        let mut hosts = self.world.hosts.iter().enumerate();
        let is_steady = |(index, host): (usize, &Host)| {
            let is_alone = self.calm.under_way(index) == u32::from(!host.powered);
            is_alone && self.calm.steady(index, self.now()) >= since
        };
        hosts.all(is_steady)
    }

    /// Hosts that are up and take themselves for members.
    fn members(&self) -> impl Iterator<Item = (usize, &'a Host)> {
        let hosts = self.world.hosts.iter().enumerate();
        hosts.filter(|(_, host)| host.is_up() && host.status.phase == Phase::Member)
    }

    /// What a node says of itself, and what it said before, where both are of this boot and differ. What it
    /// said in an earlier one it may learn again from others, and decides nothing by saying it.
    fn own_reports<'b>(&self, host: usize, before: &'b View) -> Option<(&'b Report, &'a Report)> {
        let was = self.said_in_this_boot(host, before)?;
        let is = self.said_in_this_boot(host, self.view(host))?;
        (was.order != is.order).then_some((was, is))
    }

    fn said_in_this_boot<'b>(&self, host: usize, view: &'b View) -> Option<&'b Report> {
        let report = view.reports.get(&self.world.id(host))?;
        (report.order.nonce == self.host(host).nonce).then_some(report)
    }

    fn name_of(&self, node: &NodeId) -> String {
        let host = self.world.hosts.iter().position(|host| host.id() == *node);
        host.map_or_else(|| node.short(), name)
    }
}

/// As people call it.
fn name(host: usize) -> String {
    format!("n{}", host + 1)
}

/// Where checks put what they find.
#[derive(Debug, Default)]
pub struct Findings(Vec<(&'static Check, String)>);

impl Findings {
    fn add(&mut self, check: &'static Check, what: String) {
        self.0.push((check, what));
    }

    fn expect(&mut self, holds: bool, check: &'static Check, what: impl FnOnce() -> String) {
        if !holds {
            self.add(check, what());
        }
    }
}

/// Checks of one topic, with what they have to remember.
trait Topic: fmt::Debug {
    /// Something happened on a host.
    fn see(&mut self, _scene: Scene<'_>, _host: usize, _fact: &Fact, _findings: &mut Findings) {}

    /// What does not hold yet, now that faults are over: it must within the time of settling.
    fn settled(&self, _scene: Scene<'_>, _findings: &mut Findings) {}

    /// Faults are over and all has settled.
    fn rest(&mut self, _scene: Scene<'_>, _findings: &mut Findings) {}
}

/// All checks of one run.
#[derive(Debug)]
pub struct Checks {
    topics: Vec<Box<dyn Topic>>,
}

impl Checks {
    pub fn new(hosts: usize) -> Self {
        Self {
            topics: vec![
                Box::new(running::Running),
                Box::<beginnings::Beginnings>::default(),
                Box::<due::Due>::default(),
                Box::<stopping::Stopping>::default(),
                Box::<stateful::Stateful>::default(),
                Box::<rollout::Rollouts>::default(),
                Box::new(succession::Successions),
                Box::<epochs::Epochs>::default(),
                Box::<order::Orders>::default(),
                Box::<processors::Processors>::default(),
                Box::<volumes::Volumes>::default(),
                Box::<moves::Moves>::default(),
                Box::<offline::Offlines>::default(),
                Box::<acknowledged::Acknowledged>::default(),
                Box::<membership::Membership>::default(),
                Box::<keys::Keys>::default(),
                Box::<jobs::Runs>::default(),
                Box::<leases::Leases>::default(),
                Box::new(clones::Clones::new(hosts)),
                Box::new(patience::Patience::new(hosts)),
                Box::new(names::Names::new(hosts)),
                Box::<health::Illnesses>::default(),
                Box::<parting::Partings>::default(),
                Box::new(network::Networks),
                Box::<restarts::Restarts>::default(),
                Box::new(documents::Documents),
                Box::new(stacks::Stacks),
                Box::new(standby::Standbys),
                Box::<rest::Rest>::default(),
                Box::new(bounds::Bounds::new(hosts)),
            ],
        }
    }

    pub fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact) -> Option<Finding> {
        let mut findings = Findings::default();
        for topic in &mut self.topics {
            topic.see(scene, host, fact, &mut findings);
        }
        first(findings, scene)
    }

    /// The first thing that does not hold of a grid that should have settled.
    pub fn unsettled(&self, scene: Scene<'_>) -> Option<Finding> {
        let mut findings = Findings::default();
        for topic in &self.topics {
            topic.settled(scene, &mut findings);
        }
        first(findings, scene)
    }

    /// All has settled: what is looked at once, and what is watched from now on.
    pub fn rest(&mut self, scene: Scene<'_>) -> Option<Finding> {
        let mut findings = Findings::default();
        for topic in &mut self.topics {
            topic.rest(scene, &mut findings);
        }
        first(findings, scene)
    }
}

fn first(findings: Findings, scene: Scene<'_>) -> Option<Finding> {
    let (check, what) = findings.0.into_iter().next()?;
    let at = scene.now();
    Some(Finding { check, at, what })
}

/// Every check that there is.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [
        running::CHECKS,
        beginnings::CHECKS,
        due::CHECKS,
        stopping::CHECKS,
        stateful::CHECKS,
        rollout::CHECKS,
        succession::CHECKS,
        epochs::CHECKS,
        offline::CHECKS,
        order::CHECKS,
        processors::CHECKS,
        volumes::CHECKS,
        moves::CHECKS,
        acknowledged::CHECKS,
        membership::CHECKS,
        keys::CHECKS,
        jobs::CHECKS,
        leases::CHECKS,
        clones::CHECKS,
        patience::CHECKS,
        names::CHECKS,
        health::CHECKS,
        parting::CHECKS,
        network::CHECKS,
        restarts::CHECKS,
        documents::CHECKS,
        stacks::CHECKS,
        standby::CHECKS,
        rest::CHECKS,
        bounds::CHECKS,
        DRIVING,
    ]
    .into_iter()
    .flatten()
    .copied()
}

const DRIVING: &[&Check] = &[&NO_PANIC];

/// Found by whoever drives the run.
pub static NO_PANIC: Check = Check {
    name: "no-panic",
    says: "no input makes a node panic",
    why: "a node that dies of a message dies again of the next one",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_many_checks_and_each_has_a_name_a_sentence_and_a_reason() {
        let names: BTreeSet<_> = all().map(|check| check.name).collect();
        assert_eq!(names.len(), all().count(), "two have one name");
        assert!(names.len() >= 25);
        assert!(all().all(|check| check.says.contains(' ') && check.why.contains(' ')));
    }
}
