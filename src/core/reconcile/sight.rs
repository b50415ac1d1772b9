//! What the engine holds, as far as this node knows: its last listing, and what actions confirmed
//! since.
//!
//! A listing may be older than the outcome of an action that arrived before it. What an action
//! confirmed is therefore believed against listings of the next [`BELIEVED_FOR`]; a container that
//! was removed stays removed, because Docker never uses an id twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::id::InstanceId;
use crate::time::{Instant, Now};

use super::action::{Container, ContainerId, ContainerState};
use super::lifecycle::is_up;

/// Longer than a listing takes. A crash within it still shows: only what was before the start is
/// held to be older than it.
const BELIEVED_FOR: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
enum Confirmed {
    Running {
        container: Container,
        /// Its state before: a listing that still shows it is older than the start.
        before: Option<ContainerState>,
    },
    Exited(Container),
    Removed,
}

/// The containers of one instance.
pub(super) type Seen = Vec<Container>;

#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    containers: BTreeMap<ContainerId, Container>,
    confirmed: BTreeMap<ContainerId, (Instant, Confirmed)>,
    listed: bool,
}

impl Sight {
    /// The engine listed all containers. Those of other grids are not ours to see.
    pub(super) fn list(
        &mut self,
        listing: BTreeMap<ContainerId, Container>,
        grid: &str,
        now: Instant,
    ) {
        self.listed = true;
        self.containers = listing;
        self.containers
            .retain(|_, container| container.owner.grid == grid);
        let containers = &mut self.containers;
        self.confirmed
            .retain(|id, (at, confirmed)| confirmed.overrules(id, *at, containers, now));
    }

    /// Whether there was a listing in this boot.
    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    pub(super) fn started(&mut self, mut container: Container, now: Now) {
        if !matches!(container.state, ContainerState::Running { .. }) {
            container.state = ContainerState::Running { since: now.wall };
        }
        let before = self
            .containers
            .insert(container.id.clone(), container.clone());
        let id = container.id.clone();
        let confirmed = Confirmed::Running {
            container,
            before: before.map(|container| container.state),
        };
        self.confirm(id, confirmed, now);
    }

    pub(super) fn stopped(&mut self, id: &ContainerId, now: Now) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        // The code is not known here; the next listing brings it.
        container.state = ContainerState::Exited {
            code: 0,
            at: now.wall,
        };
        container.address = None;
        let confirmed = Confirmed::Exited(container.clone());
        self.confirm(id.clone(), confirmed, now);
    }

    pub(super) fn removed(&mut self, id: &ContainerId, now: Now) {
        self.containers.remove(id);
        self.confirm(id.clone(), Confirmed::Removed, now);
    }

    pub(super) fn renamed(&mut self, id: &ContainerId, name: &str) {
        let confirmed = self.confirmed.get_mut(id);
        let believed = confirmed.and_then(|(_, confirmed)| match confirmed {
            Confirmed::Running { container, .. } | Confirmed::Exited(container) => Some(container),
            Confirmed::Removed => None,
        });
        for container in self.containers.get_mut(id).into_iter().chain(believed) {
            name.clone_into(&mut container.name);
        }
    }

    fn confirm(&mut self, id: ContainerId, confirmed: Confirmed, now: Now) {
        self.confirmed.insert(id, (now.monotonic, confirmed));
    }

    pub(super) fn get(&self, id: &ContainerId) -> Option<&Container> {
        self.containers.get(id)
    }

    /// Those of which processes may be alive.
    pub(super) fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers
            .values()
            .filter(|container| is_up(container))
    }

    /// The addresses of the grid's network that containers were created with, whether they run or not.
    pub(super) fn assigned(&self) -> impl Iterator<Item = Ipv4Addr> {
        let containers = self.containers.values();
        containers.filter_map(|container| container.assigned)
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &InstanceId> {
        let containers = self.containers.values();
        containers.map(|container| &container.owner.instance)
    }

    /// Those that have a container which was ever started: before that it has written nothing.
    pub(super) fn started_instances(&self) -> impl Iterator<Item = &InstanceId> {
        let started = self
            .containers
            .values()
            .filter(|container| container.state != ContainerState::Created);
        started.map(|container| &container.owner.instance)
    }

    pub(super) fn of(&self, instance: &InstanceId) -> impl Iterator<Item = &Container> {
        let containers = self.containers.values();
        containers.filter(move |container| container.owner.instance == *instance)
    }

    /// Instances of which a container runs, or may, that needs a lease.
    pub(super) fn up_and_leased(&self) -> impl Iterator<Item = &InstanceId> {
        let containers = self.containers.values();
        let leased = containers.filter(|container| container.care.leased && is_up(container));
        leased.map(|container| &container.owner.instance)
    }

    pub(super) fn has(&self, instance: &InstanceId) -> bool {
        self.instances().any(|other| other == instance)
    }

    /// The containers of runs of jobs.
    pub(super) fn runs_of(&self, instance: &InstanceId) -> Vec<&Container> {
        let runs = self.containers.values();
        runs.filter(|container| {
            container.owner.slot.is_some() && container.owner.instance == *instance
        })
        .collect()
    }

    /// Whose runs there are.
    pub(super) fn run_instances(&self) -> BTreeSet<InstanceId> {
        let runs = self.containers.values();
        runs.filter(|container| container.owner.slot.is_some())
            .map(|container| container.owner.instance.clone())
            .collect()
    }

    /// Whether that it has ended is known from an action alone: its exit code comes with the next listing.
    pub(super) fn is_assumed(&self, id: &ContainerId) -> bool {
        let confirmed = self.confirmed.get(id);
        confirmed.is_some_and(|(_, confirmed)| matches!(confirmed, Confirmed::Exited(_)))
    }

    /// Those that are kept running, and what is left of them.
    pub(super) fn by_instance(&self) -> BTreeMap<InstanceId, Seen> {
        let mut seen: BTreeMap<InstanceId, Seen> = BTreeMap::new();
        let kept = self.containers.values();
        for container in kept.filter(|container| container.owner.slot.is_none()) {
            seen.entry(container.owner.instance.clone())
                .or_default()
                .push(container.clone());
        }
        seen
    }
}

impl Confirmed {
    /// Puts what was confirmed in place of an older listing; `false` once it is no longer needed.
    fn overrules(
        &self,
        id: &ContainerId,
        at: Instant,
        listing: &mut BTreeMap<ContainerId, Container>,
        now: Instant,
    ) -> bool {
        let believed = now.since(at) < BELIEVED_FOR;
        let listed = listing.get(id).map(|container| &container.state);
        match self {
            Self::Removed => listing.remove(id).is_some(),
            Self::Running { container, before } => {
                let older = matches!(listed, None | Some(ContainerState::Created))
                    || listed == before.as_ref();
                if believed && older {
                    listing.insert(id.clone(), container.clone());
                }
                believed && older
            }
            Self::Exited(container) => {
                let older = matches!(listed, Some(ContainerState::Running { .. }));
                if believed && older {
                    listing.insert(id.clone(), container.clone());
                }
                believed && older
            }
        }
    }
}
