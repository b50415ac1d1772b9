//! What is true in a world, sampled every few milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::InstanceId;
use kontena_core::view::{Freshness, View};

use crate::world::World;

/// How exact times are: small against every limit that is measured.
pub const SAMPLE: Duration = Duration::from_millis(50);

/// Runs until `holds`, looking every [`SAMPLE`]; how long that took, or `None` after `limit`.
pub fn wait(
    world: &mut World,
    limit: Duration,
    mut holds: impl FnMut(&World) -> bool,
) -> Option<Duration> {
    let start = world.now();
    loop {
        if holds(world) {
            return Some(world.now().since(start));
        }
        if world.now().since(start) >= limit {
            return None;
        }
        world.run_for(SAMPLE);
    }
}

/// Whether every node that lives has heard of all members lately.
pub fn all_online(world: &World) -> bool {
    let living = world.hosts.iter().filter(|host| host.node.is_some());
    let mut views = living.map(|host| &host.view);
    views.all(|view| {
        let standings = &view.standings;
        standings.len() == world.hosts.len()
            && standings
                .values()
                .all(|standing| standing.freshness.is_online())
    })
}

/// Whether all nodes that live know this many services.
pub fn all_know(world: &World, services: usize) -> bool {
    let living = world.hosts.iter().filter(|host| host.node.is_some());
    let mut views = living.map(|host| &host.view);
    views.all(|view| view.documents.services.len() == services)
}

/// Whether all nodes have equal documents.
pub fn equal_documents(world: &World) -> bool {
    let first = &world.hosts[0].view.documents;
    let mut others = world.hosts[1..].iter();
    others.all(|host| host.view.documents == *first)
}

/// Where the instances of one service run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instances(BTreeMap<InstanceId, Vec<usize>>);

impl Instances {
    pub fn of(world: &World, service: &str) -> Self {
        let mut running = world.running();
        running.retain(|instance, _| instance.service.to_string() == service);
        Self(running)
    }

    /// Instances that run at all.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Containers that run beside the one that is wanted.
    pub fn doubled(&self) -> usize {
        self.0.values().map(|hosts| hosts.len() - 1).sum()
    }

    pub fn on(&self, host: usize) -> usize {
        let here = self.0.values().filter(|hosts| hosts.contains(&host));
        here.count()
    }

    /// Where one of them runs, by its number.
    pub fn host_of(&self, number: u32) -> Option<usize> {
        let found = self
            .0
            .iter()
            .find(|(instance, _)| instance.number == number);
        found.and_then(|(_, hosts)| hosts.first().copied())
    }

    /// How many run elsewhere than in `before`.
    pub fn moved_since(&self, before: &Self) -> usize {
        let moved = before
            .0
            .iter()
            .filter(|(instance, hosts)| self.0.get(*instance) != Some(*hosts));
        moved.count()
    }
}

/// Counts how often a node that lives takes another that lives for stale or absent.
#[derive(Debug)]
pub struct Alarms {
    views: Vec<Arc<View>>,
    /// By pair of observer and observed, in the order of the standings.
    standings: Vec<Vec<Freshness>>,
    pub stale: usize,
    pub absent: usize,
}

impl Alarms {
    pub fn new(world: &World) -> Self {
        let views: Vec<_> = world
            .hosts
            .iter()
            .map(|host| Arc::clone(&host.view))
            .collect();
        Self {
            standings: views.iter().map(|view| freshness(view)).collect(),
            views,
            stale: 0,
            absent: 0,
        }
    }

    /// Counts what became worse since the last look. No node may have died or left.
    pub fn look(&mut self, world: &World) {
        for (host, machine) in world.hosts.iter().enumerate() {
            if Arc::ptr_eq(&machine.view, &self.views[host]) {
                continue;
            }
            let now = freshness(&machine.view);
            self.count(host, &now);
            self.standings[host] = now;
            self.views[host] = Arc::clone(&machine.view);
        }
    }

    fn count(&mut self, host: usize, now: &[Freshness]) {
        for (before, after) in self.standings[host].iter().zip(now) {
            let reached = |limit| *before < limit && *after >= limit;
            self.stale += usize::from(reached(Freshness::Stale));
            self.absent += usize::from(reached(Freshness::Absent));
        }
    }
}

fn freshness(view: &View) -> Vec<Freshness> {
    let standings = view.standings.values();
    standings.map(|standing| standing.freshness).collect()
}
