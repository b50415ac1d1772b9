//! What was seen while the story was played: why each node began what it began, and when that ran.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::{InstanceId, NodeId, ServiceKey};
use kontena_core::placement::{Reason, explain, place};
use kontena_core::time::Instant;
use kontena_core::view::View;

use crate::world::World;

/// Looks at every node after every event.
pub(super) struct Witness {
    since: Instant,
    /// A node that lives.
    pub(super) viewer: usize,
    views: Vec<Arc<View>>,
    /// The node's own reason, at the moment when it decided.
    decided: BTreeMap<(InstanceId, usize), String>,
    started: BTreeMap<(InstanceId, usize), Instant>,
}

impl Witness {
    pub(super) fn new(world: &World, killed: &BTreeSet<usize>) -> Self {
        let mut hosts = 0..world.hosts.len();
        Self {
            since: world.now(),
            viewer: hosts
                .find(|host| !killed.contains(host))
                .expect("at least one node lives"),
            views: world
                .hosts
                .iter()
                .map(|host| Arc::clone(&host.view))
                .collect(),
            decided: BTreeMap::new(),
            started: BTreeMap::new(),
        }
    }

    pub(super) fn look(&mut self, world: &World) {
        for host in 0..world.hosts.len() {
            let view = &world.hosts[host].view;
            if !Arc::ptr_eq(view, &self.views[host]) {
                let node = world.id(host);
                let deciding = deciding(view, &self.views[host], node);
                self.ask(&deciding, host, node);
                self.views[host] = Arc::clone(view);
            }
        }
        for (instance, holders) in world.running() {
            for host in holders {
                let started = self.started.entry((instance.clone(), host));
                started.or_insert(world.now());
            }
        }
    }

    /// What this node is about to begin, and why.
    fn ask(&mut self, view: &View, host: usize, node: NodeId) {
        for (instance, assignment) in place(view).of_node(node) {
            match assignment.reason {
                Reason::New
                | Reason::TakenOver { .. }
                | Reason::Moved { .. }
                | Reason::Rebalanced { .. } => {
                    let why = reason(view, &instance.service, instance.number);
                    self.decided.entry((instance, host)).or_insert(why);
                }
                Reason::Kept
                | Reason::HolderStale
                | Reason::Pinned
                | Reason::Daemon
                | Reason::Waits(_) => {}
            }
        }
    }

    /// Why a node runs an instance, in its own words.
    pub(super) fn decided(&self, instance: &InstanceId, host: usize) -> Option<&String> {
        self.decided.get(&(instance.clone(), host))
    }

    /// How long after the beginning an instance ran there.
    pub(super) fn started_after(&self, instance: &InstanceId, host: usize) -> Duration {
        let started = self.started.get(&(instance.clone(), host));
        started.map_or(Duration::ZERO, |started| started.since(self.since))
    }
}

/// What a node saw when it decided: all that it sees now, without what it has begun since `before`.
fn deciding(now: &View, before: &View, node: NodeId) -> View {
    let mut view = now.clone();
    if let Some(report) = view.reports.get_mut(&node) {
        let held = before.reports.get(&node).map(|report| &report.holds);
        Arc::make_mut(report)
            .holds
            .retain(|instance, _| held.is_some_and(|held| held.contains_key(instance)));
    }
    view
}

fn reason(view: &View, service: &ServiceKey, number: u32) -> String {
    let explanation = explain(view, service, Some(number));
    let instance = explanation.instances.into_iter().next();
    instance.map_or_else(String::new, |instance| instance.reason)
}
