//! Moves of bound instances: who is to bring what where, and how a move ended.
//!
//! An order lies beside the binding that it leaves, and counts only while that binding holds: a forced move, a rebinding or
//! the move's own end void it without anybody writing anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Lifecycle, Pin, ServiceRecord, View};
use crate::id::{InstanceId, NodeId, NodeName, ServiceKey};
use crate::report::Report;
use crate::stack::{Service, Strategy};
use crate::view::Availability;
use crate::volume::{Copy, Definition, Scope, Volume, VolumeName};

/// A person's word that a bound instance goes to another node, with its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveOrder {
    /// The binding that it leaves.
    pub from: Pin,
    pub to: NodeId,
    /// The most that the copying may take of the network, in megabits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub megabits: Option<u32>,
    #[serde(default)]
    pub state: MoveState,
}

/// What became of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveState {
    #[default]
    Ordered,
    /// By a person.
    Cancelled,
    /// By the node that has the data.
    GivenUp { problem: String },
    /// The data is on the other node: written by the node that had it, in one change with the binding there.
    Done {
        /// Docker volumes that were copied and that nobody but the instance mounts, by name: they go once it runs there.
        copies: BTreeMap<String, Copy>,
    },
}

impl MoveOrder {
    /// The fastest that it may be told to be: 100 gigabits a second.
    pub const MAX_MEGABITS: u32 = 100_000;

    /// The binding that it leads to.
    pub fn target(&self) -> Pin {
        Pin {
            epoch: self.from.epoch.saturating_add(1),
            node: self.to,
            moved: true,
        }
    }
}

impl ServiceRecord {
    /// Whether instances of what is deployed, and of what is to be, are bound to nodes.
    fn is_bound(&self) -> bool {
        let deployed = self.deployed.as_ref().map(|deployed| &deployed.revision);
        let mut revisions = deployed.into_iter().chain([&self.latest]);
        revisions.all(|revision| revision.service.as_deref().is_ok_and(is_bound))
    }

    /// The move that is ordered of an instance, if it counts now: not while its service is stopped.
    pub fn moving(&self, number: u32) -> Option<&MoveOrder> {
        let order = self.moves.get(&number)?;
        let is_bound = self.pins.get(&number) == Some(&order.from) && order.to != order.from.node;
        let is_wanted = self.state == Lifecycle::Running && number <= self.instances;
        (is_bound && is_wanted && order.state == MoveState::Ordered).then_some(order)
    }

    /// The move by which an instance came to be bound as it is, and what was copied.
    pub fn came_by(&self, number: u32) -> Option<(&MoveOrder, &BTreeMap<String, Copy>)> {
        let order = self.moves.get(&number)?;
        let is_so = self.pins.get(&number) == Some(&order.target());
        match &order.state {
            MoveState::Done { copies } if is_so => Some((order, copies)),
            MoveState::Done { .. }
            | MoveState::Ordered
            | MoveState::Cancelled
            | MoveState::GivenUp { .. } => None,
        }
    }
}

/// Why an instance cannot be moved with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmovable {
    NotBound,
    /// It runs by a schedule, and between its runs nothing is there to be stopped.
    Job,
    /// It mounts a volume that is not known here.
    Unknown(VolumeName),
    /// Others write to the copy that it mounts.
    Shared {
        volume: VolumeName,
        by: InstanceId,
    },
    /// Another program than the engine has the data.
    Driver {
        volume: VolumeName,
        driver: String,
    },
    /// The copy is a name for data that lies elsewhere.
    Elsewhere(VolumeName),
    /// Its instances are bound to no node, and may come to mount the copy wherever it goes.
    Roaming {
        volume: VolumeName,
        by: ServiceKey,
    },
    /// Another service mounts its volumes, and runs.
    Followed(ServiceKey),
    /// A folder of its host that it writes to: nobody knows what else is there.
    OnHost(String),
}

impl fmt::Display for Unmovable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBound => write!(
                f,
                "it is bound to no node: only instances of stateful services are, once they are deployed"
            ),
            Self::Job => write!(
                f,
                "its service is a job: `service force-move` binds it to another node"
            ),
            Self::Unknown(volume) => write!(f, "the volume `{volume}` is not known on this node"),
            Self::Shared { volume, by } => write!(
                f,
                "`{by}` mounts the same copy of the volume `{volume}`: remove that, or give each its own by a volume of scope `instance`"
            ),
            Self::Driver { volume, driver } => write!(
                f,
                "the data of the volume `{volume}` is where its driver `{driver}` keeps it: if that is the same on each node, `service force-move` binds the instance to another one"
            ),
            Self::Elsewhere(volume) => write!(
                f,
                "the volume `{volume}` has driver options, which may mount its data from elsewhere: if that is the same on each node, `service force-move` binds the instance to another one"
            ),
            Self::Roaming { volume, by } => write!(
                f,
                "the service `{by}` mounts the volume `{volume}` as well, and may run on any node: give each its own volume"
            ),
            Self::Followed(by) => write!(
                f,
                "the service `{by}` mounts its volumes and runs: `kontena service stop {by}` first, and start it afterwards"
            ),
            Self::OnHost(path) => write!(
                f,
                "it writes to `{path}` of its host, which does not move along: mount a volume instead, or mount it with `:ro`"
            ),
        }
    }
}

impl View {
    /// Whether an instance can be moved with all that it has, as far as is known here.
    ///
    /// # Errors
    /// Says what is in the way.
    pub fn can_move(&self, instance: &InstanceId) -> Result<(), Unmovable> {
        let record = self.documents.services.get(&instance.service);
        let bound = record.and_then(|record| Some((record, record.pins.get(&instance.number)?)));
        let (record, pin) = bound.ok_or(Unmovable::NotBound)?;
        let deployed = record.deployed.as_ref().ok_or(Unmovable::NotBound)?;
        let service = deployed.revision.service.as_deref();
        let service = service.ok().filter(|service| is_bound(service));
        let service = service.ok_or(Unmovable::NotBound)?;
        if service.is_job() {
            return Err(Unmovable::Job);
        }
        if let Some(path) = service.written_on_host().next() {
            return Err(Unmovable::OnHost(path.to_owned()));
        }
        if let Some(by) = self.running_follower(instance, &pin.node) {
            return Err(Unmovable::Followed(by));
        }
        for name in service.named_volumes() {
            let volume = self.documents.volumes.get(name);
            let volume = volume.ok_or_else(|| Unmovable::Unknown(name.clone()))?;
            self.can_copy(instance, pin, name, volume)?;
        }
        Ok(())
    }

    fn can_copy(
        &self,
        instance: &InstanceId,
        pin: &Pin,
        name: &VolumeName,
        volume: &Volume,
    ) -> Result<(), Unmovable> {
        let Definition {
            driver, options, ..
        } = &volume.definition;
        if driver != Definition::LOCAL {
            return Err(Unmovable::Driver {
                volume: name.clone(),
                driver: driver.clone(),
            });
        }
        if !options.is_empty() {
            return Err(Unmovable::Elsewhere(name.clone()));
        }
        if volume.definition.scope == Scope::Instance {
            return Ok(());
        }
        let volume_name = name.clone();
        if let Some(by) = self.other_user(instance, pin, name, volume) {
            let volume = volume_name;
            return Err(Unmovable::Shared { volume, by });
        }
        match self.roaming_user(instance, name, volume) {
            Some(by) => Err(Unmovable::Roaming {
                volume: volume_name,
                by,
            }),
            None => Ok(()),
        }
    }

    /// A service whose instances are not bound and have the same copy on whatever node they run.
    fn roaming_user(
        &self,
        instance: &InstanceId,
        name: &VolumeName,
        volume: &Volume,
    ) -> Option<ServiceKey> {
        let copy = volume.definition.copy_of(name, instance);
        let services = self.documents.services.iter();
        let users = services.filter(|(_, record)| record.volumes().any(|used| used == name));
        let mut roaming = users.filter(|(key, record)| {
            let other = InstanceId::new((*key).clone(), 1);
            let is_same = volume.definition.copy_of(name, &other) == copy;
            is_same && **key != instance.service && !record.is_bound()
        });
        roaming.next().map(|(key, _)| key.clone())
    }

    /// Another instance on the same node, bound to it or said to be there, that mounts the same copy.
    fn other_user(
        &self,
        instance: &InstanceId,
        pin: &Pin,
        name: &VolumeName,
        volume: &Volume,
    ) -> Option<InstanceId> {
        let copy = volume.definition.copy_of(name, instance);
        let services = self.documents.services.iter();
        let users = services.filter(|(_, record)| record.volumes().any(|used| used == name));
        let mut there = users.flat_map(|(key, record)| {
            let pins = record
                .pins
                .iter()
                .filter(|(_, other)| other.node == pin.node);
            let bound = pins.map(|(number, _)| InstanceId::new(key.clone(), *number));
            let report = self.reports.get(&pin.node);
            let held = report.into_iter().flat_map(|report| report.holds.keys());
            let held = held.filter(|held| held.service == *key).cloned();
            bound.chain(held).collect::<Vec<_>>()
        });
        there.find(|other| other != instance && volume.definition.copy_of(name, other) == copy)
    }

    /// The instance whose data a person means, by the name of a copy on an engine, or of a volume of which one bound
    /// instance alone has a copy. `Err`: those among which to choose; empty where there is none.
    pub fn bound_user(&self, name: &str) -> Result<InstanceId, BTreeSet<String>> {
        let mut by_copy = BTreeSet::new();
        let mut by_volume = BTreeSet::new();
        let mut copies = BTreeSet::new();
        for (instance, node) in self.bound_instances() {
            for (copy, volume) in self.named_copies_of(&instance, &node) {
                if copy == name {
                    by_copy.insert(instance.clone());
                }
                if volume.is_some_and(|volume| volume.to_string() == name) {
                    copies.insert(copy);
                    by_volume.insert(instance.clone());
                }
            }
        }
        let mut found = match by_copy.is_empty() {
            true => by_volume,
            false => by_copy,
        };
        match (found.pop_first(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(copies),
        }
    }

    /// What its node's engine calls the copies that a bound instance has, as far as the node has told.
    pub fn copies_of(&self, instance: &InstanceId) -> BTreeSet<String> {
        let record = self.documents.services.get(&instance.service);
        let pin = record.and_then(|record| record.pins.get(&instance.number));
        let copies = pin.map(|pin| self.named_copies_of(instance, &pin.node));
        let copies = copies.into_iter().flatten();
        copies.map(|(name, _)| name).collect()
    }

    fn bound_instances(&self) -> impl Iterator<Item = (InstanceId, NodeId)> {
        let services = self.documents.services.iter();
        let pins = services.flat_map(|(key, record)| {
            let wanted = record.pins.iter();
            let wanted = wanted.filter(|(number, _)| **number <= record.instances);
            wanted.map(move |(number, pin)| (InstanceId::new(key.clone(), *number), pin.node))
        });
        let is_bound = |instance: &InstanceId| self.service_of(instance).is_some_and(is_bound);
        pins.filter(move |(instance, _)| is_bound(instance))
    }

    /// What its node's engine calls the copies that an instance mounts, and of which volumes they are: those that are its own
    /// as the node tells them.
    fn named_copies_of(
        &self,
        instance: &InstanceId,
        node: &NodeId,
    ) -> Vec<(String, Option<&VolumeName>)> {
        let documents = &self.documents;
        let service = self.service_of(instance);
        let named = service.into_iter().flat_map(Service::named_volumes);
        let named = named.filter_map(|name| {
            let (name, volume) = documents.volumes.get_key_value(name)?;
            Some((volume.definition.copy_of(name, instance), Some(name)))
        });
        let record = documents.services.get(&instance.service);
        let creation = record.map(|record| record.creation);
        let is_own = |copy: &Copy| match copy {
            Copy::Own {
                instance: of,
                creation: made,
            } => of == instance && Some(*made) == creation,
            Copy::Volume { .. } => false,
        };
        let report = self.reports.get(node).map(|report| &**report);
        let kept = report
            .into_iter()
            .flat_map(|report: &Report| &report.volumes);
        let own = kept.filter(|(_, copy)| is_own(copy));
        // What came is told by its node once the instance was started there.
        let came = record.and_then(|record| record.came_by(instance.number));
        let came = came.into_iter().flat_map(|(_, copies)| copies);
        let came = came.filter(|(_, copy)| is_own(copy));
        let own: BTreeSet<&String> = own.chain(came).map(|(name, _)| name).collect();
        named
            .chain(own.into_iter().map(|name| (name.clone(), None)))
            .collect()
    }

    fn service_of(&self, instance: &InstanceId) -> Option<&Service> {
        let record = self.documents.services.get(&instance.service)?;
        let deployed = record.deployed.as_ref()?;
        deployed.revision.service.as_deref().ok()
    }

    /// Whether a node may be moved to now: what it must be for that lasts as long as the move.
    pub fn takes_moves(&self, node: &NodeId) -> bool {
        let member = self.documents.roster.get(node);
        member.is_some_and(|member| member.availability != Availability::Drain)
    }

    /// As people call a node, were it removed since.
    pub fn called(&self, node: &NodeId) -> String {
        let documents = &self.documents;
        let member = documents.roster.get(node).map(|member| &member.name);
        let name = member.or_else(|| documents.former.get(node));
        name.map_or_else(|| node.short(), NodeName::to_string)
    }
}

fn is_bound(service: &Service) -> bool {
    service.stateful && service.deploy.strategy != Strategy::Daemon
}
