//! Who holds which instance at which address, and how far it can be relied upon.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::network::ipam::Subnet;
use crate::network::plan::AddressPlan;
use crate::report::{Health, Hold, InstanceState, Report};
use crate::stack::Strategy;
use crate::view::{Availability, Deployed, Freshness, Lifecycle, Member, ServiceRecord, View};

use super::definition;

/// How far an instance can be relied upon, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Runs, is healthy and stays, on a node that was heard of just now.
    Ready,
    /// The same on a node that is late.
    Late,
    /// On a node that is heard of, and unhealthy, not up yet, or about to go.
    Unready,
    /// On a node that is stale or longer away: what it said last.
    Lost,
}

impl Class {
    /// Whether it is answered with while there are others.
    pub fn is_ready(self) -> bool {
        match self {
            Self::Ready | Self::Late => true,
            Self::Unready | Self::Lost => false,
        }
    }

    pub(super) fn of_node(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Fresh => Self::Ready,
            Freshness::Late => Self::Late,
            Freshness::Stale | Freshness::Absent | Freshness::Gone => Self::Lost,
        }
    }

    fn of_instance(node: Self, is_ready: bool) -> Self {
        if node.is_ready() && !is_ready {
            Self::Unready
        } else {
            node
        }
    }
}

/// An instance with an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) number: u32,
    pub(super) address: IpAddr,
    pub(super) class: Class,
}

/// The instances of all services.
#[derive(Debug)]
pub(super) struct Holdings<'a> {
    by_service: BTreeMap<&'a ServiceKey, Vec<Known>>,
}

impl<'a> Holdings<'a> {
    pub(super) fn of(view: &'a View) -> Self {
        let owners = owners(view);
        let mut by_service: BTreeMap<&ServiceKey, Vec<Known>> = BTreeMap::new();
        for (node, report) in &view.reports {
            let Some(member) = view.documents.roster.get(node) else {
                continue;
            };
            let holder = Holder::of(view, *node, member, report);
            for (instance, hold) in &report.holds {
                let address = hold.address.filter(|address| {
                    is_its_own(*address, *node, view.documents.grid.plan, &owners)
                });
                let record = view.documents.services.get(&instance.service);
                let (Some(address), Some(record)) = (address, record) else {
                    continue;
                };
                if let Some(class) = holder.class(instance, hold, record) {
                    let known = Known {
                        number: instance.number,
                        address,
                        class,
                    };
                    by_service.entry(&instance.service).or_default().push(known);
                }
            }
        }
        Self { by_service }
    }

    pub(super) fn of_service(&self, key: &ServiceKey) -> &[Known] {
        self.by_service.get(key).map_or(&[], Vec::as_slice)
    }
}

/// What holds for all instances of one node.
struct Holder {
    class: Class,
    /// Its stateless instances are for others to take.
    released: bool,
    drains: bool,
}

impl Holder {
    fn of(view: &View, node: NodeId, member: &Member, report: &Report) -> Self {
        Self {
            class: Class::of_node(view.freshness(&node)),
            released: report.has_released(),
            drains: member.availability == Availability::Drain,
        }
    }

    /// `None` if what it holds is of an earlier service of the name.
    fn class(&self, instance: &InstanceId, hold: &Hold, record: &ServiceRecord) -> Option<Class> {
        let is_ready = is_up(hold) && is_wanted(instance, record) && !self.released && !self.drains;
        is_of_it(hold, record).then(|| Class::of_instance(self.class, is_ready))
    }
}

/// Whether it is of this service, and not of an earlier one of the name. What is deployed is, whatever its number:
/// across a split that of a new life may be below the change that made the service.
fn is_of_it(hold: &Hold, record: &ServiceRecord) -> bool {
    let is_deployed = |deployed: &Deployed| deployed.generation == hold.generation;
    hold.generation >= record.born || record.deployed.as_ref().is_some_and(is_deployed)
}

fn is_up(hold: &Hold) -> bool {
    hold.state == InstanceState::Running && hold.health == Health::Healthy && !hold.updating
}

/// Whether it stays; what is scaled down or stopped leaves its name before it ends.
fn is_wanted(instance: &InstanceId, record: &ServiceRecord) -> bool {
    let is_daemon =
        definition(record).is_some_and(|service| service.deploy.strategy == Strategy::Daemon);
    record.state == Lifecycle::Running && (is_daemon || instance.number <= record.instances)
}

fn owners(view: &View) -> BTreeMap<Subnet, NodeId> {
    let members = view.documents.roster.iter();
    members
        .filter_map(|(node, member)| Some((member.subnet?, *node)))
        .collect()
}

/// Whether `node` may speak for this address: it is of the grid's plan (one of Docker's own bridge means
/// nothing elsewhere), and of no other member's subnet. A node that is moving to another subnet still has
/// instances in its old one. The plan is IPv4 alone, so that no instance has an IPv6 address yet.
fn is_its_own(
    address: IpAddr,
    node: NodeId,
    plan: AddressPlan,
    owners: &BTreeMap<Subnet, NodeId>,
) -> bool {
    let IpAddr::V4(address) = address else {
        return false;
    };
    let subnet = Subnet::of(address);
    subnet.is_of(plan) && owners.get(&subnet).is_none_or(|owner| *owner == node)
}
