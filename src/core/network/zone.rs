//! Names: which addresses a name of the grid has now.
//!
//! [`zone`] is a pure function of a [`View`], and does not depend on who asks: equal views give equal
//! zones. [`Zones`] builds it anew only when something that it is made of has changed. The forms are
//! Kontena's (`SERVICE.STACK.GRID.kontena.local` …), and `NODE.node.GRID.kontena.local` for nodes.
//!
//! A service's name exists as long as the service does, whether or not anybody can be reached: a name
//! without addresses is told from one that nobody has.
//!
//! Where two things want one name, it belongs to the one of the higher [`Claim`]: nobody gets a mixture.
//!
//! Not here: the wire format, the order within a class, other domains (`kontena-names`).

mod follow;
mod host_name;
mod instances;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{GridName, InstanceId, NodeId, NodeName, ServiceKey};
use crate::stack::{Protocol, Service, Strategy};
use crate::view::{Documents, Member, ServiceRecord, View};

pub use follow::Zones;
pub use host_name::HostName;
pub use instances::Class;
use instances::{Holdings, Known};

/// The domain of all grids, as Kontena's.
pub const DOMAIN: &str = "kontena.local";

/// How long an answer may be kept: rules of the mesh 3.
pub const TTL: Duration = Duration::from_secs(1);

/// All names of a grid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// A name without targets exists, and has no address now.
    pub names: BTreeMap<HostName, Records>,
    /// What an address is called.
    pub reverse: BTreeMap<IpAddr, HostName>,
}

impl Zone {
    /// What a name leads to; `None` if nobody has it.
    pub fn get(&self, name: &HostName) -> Option<&Records> {
        self.names.get(name)
    }
}

/// What one name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Those to answer with, the better class first, then by address.
    pub targets: Arc<[Target]>,
    /// What the service listens on as far as its definition says, for SRV: the container's side of its
    /// published ports, and the one that a deploy waits for.
    pub ports: Arc<[(u16, Protocol)]>,
}

/// One instance, or one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub class: Class,
    pub address: IpAddr,
    /// Its own name.
    pub name: HostName,
}

/// Who has a name that several want, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// A service under its own name: a person chose it.
    Service,
    /// `SERVICE-N`.
    Instance,
    /// The service that a stack exposes, under the stack's name.
    Exposed,
    /// `STACK-N`.
    ExposedInstance,
    Node,
}

/// The names of the grid; none before `init` or `join`.
pub fn zone(view: &View) -> Zone {
    let Some(grid) = &view.documents.grid.name else {
        return Zone::default();
    };
    let holdings = Holdings::of(view);
    let mut names = Names::default();
    for (key, record) in &view.documents.services {
        names.add_service(grid, &view.documents, key, record, &holdings);
    }
    for (node, member) in &view.documents.roster {
        names.add_node(grid, view, node, member);
    }
    names.settle()
}

/// What a service is called whether or not its stack exposes it.
pub fn service_name(grid: &GridName, key: &ServiceKey) -> HostName {
    let (service, grid) = (key.service.as_str(), grid.as_str());
    if key.stack.is_null() {
        HostName::of(&[service, grid])
    } else {
        HostName::of(&[service, key.stack.as_str(), grid])
    }
}

/// What an instance is called; `None` if its number makes a label longer than DNS allows.
pub fn instance_name(grid: &GridName, instance: &InstanceId) -> Option<HostName> {
    service_name(grid, &instance.service).numbered(instance.number)
}

/// What a node is called.
pub fn node_name(grid: &GridName, node: &NodeName) -> HostName {
    HostName::of(&[node.as_str(), "node", grid.as_str()])
}

/// Names as they are collected, before it is settled whose they are.
#[derive(Debug, Default)]
struct Names {
    claims: Vec<(HostName, Claim, Records)>,
    addresses: Vec<Target>,
}

impl Names {
    fn add_service(
        &mut self,
        grid: &GridName,
        documents: &Documents,
        key: &ServiceKey,
        record: &ServiceRecord,
        holdings: &Holdings<'_>,
    ) {
        let places = places(grid, key, documents);
        let ports = ports(record);
        let mut every: BTreeMap<u32, Vec<Target>> = BTreeMap::new();
        for number in 1..=numbered(record) {
            every.insert(number, Vec::new());
        }
        for known in holdings.of_service(key) {
            let target = target(&places[0], known);
            every.entry(known.number).or_default().push(target);
        }
        self.addresses.extend(every.values().flatten().cloned());
        let all = best(every.values().flatten().cloned().collect());
        for place in &places {
            let records = Records {
                targets: all.clone(),
                ports: ports.clone(),
            };
            self.claims.push((place.name.clone(), place.whole, records));
        }
        for (number, targets) in every {
            let targets = best(targets);
            for place in &places {
                let Some(name) = place.instance(number) else {
                    continue;
                };
                let records = Records {
                    targets: targets.clone(),
                    ports: ports.clone(),
                };
                self.claims.push((name, place.part, records));
            }
        }
    }

    /// A node is reached at the bridge of its containers.
    fn add_node(&mut self, grid: &GridName, view: &View, node: &NodeId, member: &Member) {
        let name = node_name(grid, &member.name);
        let class = Class::of_node(view.freshness(node));
        let address = member.subnet.map(|subnet| IpAddr::V4(subnet.gateway()));
        let target = address.map(|address| Target {
            class,
            address,
            name: name.clone(),
        });
        self.addresses.extend(target.clone());
        let records = Records {
            targets: target.into_iter().collect(),
            ..Records::default()
        };
        self.claims.push((name, Claim::Node, records));
    }

    fn settle(mut self) -> Zone {
        // Stable: of equal claims the first stays. There are none, but for two nodes of one name.
        self.claims.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        self.claims.dedup_by(|later, first| later.0 == first.0);
        let order = |a: &Target, b: &Target| {
            (a.address, a.class, &a.name).cmp(&(b.address, b.class, &b.name))
        };
        self.addresses.sort_by(order);
        self.addresses
            .dedup_by(|later, first| later.address == first.address);
        Zone {
            names: self
                .claims
                .into_iter()
                .map(|(name, _, records)| (name, records))
                .collect(),
            reverse: self
                .addresses
                .into_iter()
                .map(|target| (target.address, target.name))
                .collect(),
        }
    }
}

/// One form of a service's name, and the two claims that go with it.
#[derive(Debug)]
struct Place {
    name: HostName,
    whole: Claim,
    part: Claim,
}

impl Place {
    /// `None` where that makes a label longer than DNS allows.
    fn instance(&self, number: u32) -> Option<HostName> {
        self.name.numbered(number)
    }
}

/// Every form of a service's name; the first is the one that its instances are called by.
fn places(grid: &GridName, key: &ServiceKey, documents: &Documents) -> Vec<Place> {
    let own = |name| Place {
        name,
        whole: Claim::Service,
        part: Claim::Instance,
    };
    let mut places = vec![own(service_name(grid, key))];
    if key.stack.is_null() {
        places.push(own(HostName::of(&[key.service.as_str()])));
    } else if is_exposed(key, documents) {
        let name = HostName::of(&[key.stack.as_str(), grid.as_str()]);
        places.push(Place {
            name,
            whole: Claim::Exposed,
            part: Claim::ExposedInstance,
        });
    }
    places
}

fn is_exposed(key: &ServiceKey, documents: &Documents) -> bool {
    let record = documents.stacks.get(&key.stack);
    record.and_then(|record| record.expose.as_ref()) == Some(&key.service)
}

/// How many instances have a name before anybody holds them. Those of a `daemon` service are numbered by
/// their nodes, and have one once they are held.
fn numbered(record: &ServiceRecord) -> u32 {
    match definition(record).map(|service| service.deploy.strategy) {
        Some(Strategy::Daemon) => 0,
        Some(Strategy::Ha | Strategy::Random) | None => {
            record.instances.min(Service::MAX_INSTANCES)
        }
    }
}

/// What runs, as far as this version can read it.
fn definition(record: &ServiceRecord) -> Option<&Service> {
    record.deployed.as_ref()?.revision.service.as_deref().ok()
}

fn ports(record: &ServiceRecord) -> Arc<[(u16, Protocol)]> {
    let Some(service) = definition(record) else {
        return Arc::default();
    };
    let published = service
        .ports
        .iter()
        .map(|port| (port.container_port, port.protocol));
    let awaited = service
        .deploy
        .wait_for_port
        .map(|port| (port, Protocol::Tcp));
    let mut ports: Vec<_> = published.chain(awaited).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.into()
}

fn target(place: &Place, known: &Known) -> Target {
    let name = place.instance(known.number);
    Target {
        class: known.class,
        address: known.address,
        name: name.unwrap_or_else(|| place.name.clone()),
    }
}

/// Those to answer with: the ready ones, those of late nodes after them; only if there are none, whoever is
/// known, because a client can try again, and takes an error about the name for final.
fn best(mut targets: Vec<Target>) -> Arc<[Target]> {
    targets.sort_by_key(|target| (target.class, target.address));
    targets.dedup_by_key(|target| target.address);
    if targets.first().is_some_and(|first| first.class.is_ready()) {
        targets.retain(|target| target.class.is_ready());
    }
    targets.into()
}
