//! This node's part in the grid's names: a server on the bridge of its containers, which answers from the
//! newest view.
//!
//! One task owns the server: it listens once the bridge is there, and follows views. What the host asks, and whom
//! we ask, is another's matter ([`resolvers`]), because that may take long.

mod resolvers;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::NodeId;
use kontena_core::network::plan::Range;
use kontena_core::network::zone::{self, Class, DOMAIN, HostName, TTL, Zones};
use kontena_core::stack::Protocol;
use kontena_core::view::View;
use kontena_names::{
    Authority, Host, Limits, Meter, Name, Prefix, Records, Server, Settings, Target, Transport,
    Zone,
};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::addresses::own_addresses;
use super::networking::End;
pub(super) use resolvers::forget;
use resolvers::{Found, Resolvers, Wish};

const PORT: u16 = 53;

/// How soon an address is listened on that appeared.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The task, from outside.
pub(super) struct Naming {
    meter: Meter,
    end: oneshot::Sender<()>,
    task: JoinHandle<Resolvers>,
}

/// What the task runs with.
pub(super) struct Setting {
    pub(super) me: NodeId,
    /// The interface that has the server's address.
    pub(super) bridge: String,
    pub(super) views: watch::Receiver<Arc<View>>,
}

impl Naming {
    pub(super) fn start(setting: Setting) -> Self {
        let (end, ended) = oneshot::channel();
        let worker = Worker::new(setting);
        let meter = worker.server.meter();
        let task = tokio::spawn(worker.run(ended));
        Self { meter, end, task }
    }

    /// What the server did.
    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    pub(super) async fn end(self, how: End) {
        // The task may have ended by itself: it panicked, and has said so.
        let _ = self.end.send(());
        if let Ok(resolvers) = self.task.await {
            resolvers.end(how).await;
        }
    }
}

struct Worker {
    setting: Setting,
    resolvers: Resolvers,
    server: Server,
    zones: Zones,
    /// What was said last, so that it is said once.
    problem: Option<String>,
}

impl Worker {
    fn new(setting: Setting) -> Self {
        let supernet = supernet(&View::default());
        let settings = Settings {
            clients: Vec::new(),
            limits: Limits::default(),
        };
        Self {
            resolvers: Resolvers::start(Host::default(), setting.bridge.clone()),
            setting,
            server: Server::new(
                server_zone(&zone::Zone::default(), None, supernet),
                settings,
            ),
            zones: Zones::default(),
            problem: None,
        }
    }

    async fn run(mut self, mut ended: oneshot::Receiver<()>) -> Resolvers {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut views, mut found) = (self.setting.views.clone(), self.resolvers.found());
        loop {
            tokio::select! {
                _ = &mut ended => return self.resolvers,
                changed = views.changed() => match changed {
                    Ok(()) => self.follow(),
                    Err(_) => return self.resolvers,
                },
                // The other task may have panicked; this one goes on.
                Ok(()) = found.changed() => {
                    let Found { upstreams, .. } = found.borrow_and_update().clone();
                    self.server.set_upstreams(&upstreams);
                }
                _ = look.tick() => self.look(),
            }
        }
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.setting.views.borrow())
    }

    fn follow(&mut self) {
        let view = self.view();
        let own = self.own_address();
        let changed = self.zones.follow(&view);
        if let Some(zone) = changed {
            self.server
                .set_zone(server_zone(&zone, own, supernet(&view)));
        }
    }

    /// Listens where it has to, and brings the host to ask us where we can answer.
    fn look(&mut self) {
        let own = self.own_address();
        let wanted: BTreeSet<SocketAddr> = own
            .map(|own| SocketAddr::new(own, PORT))
            .into_iter()
            .collect();
        self.server.set_clients(clients(supernet(&self.view())));
        let failed = self.server.listen(&wanted);
        // It is there once the engine's network is made, which has problems of its own.
        let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::AddrNotAvailable;
        let taken = failed.iter().find(|(_, error)| !is_absent(error));
        let problem =
            taken.map(|(address, error)| format!("names cannot be served on {address}: {error}"));
        self.resolvers.wish(match own {
            Some(own) if failed.is_empty() => Wish::Ask(own),
            Some(_) => Wish::Leave,
            // No member, or not any more: an earlier life may have left something.
            None => Wish::Forget,
        });
        self.tell(problem.or_else(|| self.resolvers.problem()));
    }

    fn tell(&mut self, problem: Option<String>) {
        if self.problem != problem {
            if let Some(problem) = &problem {
                tracing::warn!(%problem, "Names do not work as they should");
            }
            self.problem = problem;
        }
    }

    fn own_address(&self) -> Option<IpAddr> {
        own_address(&self.view(), &self.setting.me)
    }
}

/// Of the bridge of a node's containers, once it is a member.
pub(super) fn own_address(view: &View, me: &NodeId) -> Option<IpAddr> {
    let member = view.documents.roster.get(me)?;
    member.subnet.map(|subnet| subnet.gateway().into())
}

/// Containers, users of the VPN, and this host, which Docker's rules let ask its own bridge from any of its
/// addresses.
pub(super) fn clients(supernet: Prefix) -> Vec<Prefix> {
    let own = own_addresses().into_iter().map(Prefix::of);
    own.chain([supernet, loopback()]).collect()
}

pub(super) fn supernet(view: &View) -> Prefix {
    let supernet: Range = view.documents.grid.plan.supernet();
    let text = supernet.to_string();
    text.parse().expect("it is a network and its length")
}

fn loopback() -> Prefix {
    "127.0.0.0/8"
        .parse()
        .expect("it is a network and its length")
}

/// The core's zone in the server's words, and the key-value store: containers ask that of their own node, which is
/// at `own`.
fn server_zone(zone: &zone::Zone, own: Option<IpAddr>, supernet: Prefix) -> Zone {
    let authority = Authority {
        domain: DOMAIN.parse().expect("it is a domain"),
        networks: vec![supernet],
        ttl: TTL,
    };
    let names = zone
        .names
        .iter()
        .map(|(host, records)| (name(host), server_records(records)))
        .chain(key_store(zone, own));
    let reverse = zone
        .reverse
        .iter()
        .map(|(address, host)| (*address, name(host)));
    Zone::new(&authority, names, reverse)
}

/// The name that etcd has in Kontena's grids. A service without a stack that is called so has it instead: a person
/// chose that name.
fn key_store(zone: &zone::Zone, own: Option<IpAddr>) -> Option<(Name, Records)> {
    let host = format!("etcd.{DOMAIN}");
    let address = own.filter(|_| !zone.names.contains_key(host.as_str()))?;
    let name: Name = host.parse().expect("it is made of labels");
    let target = Target {
        rank: rank(Class::Ready),
        address,
        name: name.clone(),
    };
    let records = Records {
        targets: [target].into(),
        ports: [(super::keys::PORT, Transport::Tcp)].into(),
    };
    Some((name, records))
}

fn name(host: &HostName) -> Name {
    host.as_str()
        .parse()
        .expect("a host name is made of labels, and short enough for DNS")
}

fn server_records(records: &zone::Records) -> Records {
    let targets = records.targets.iter().map(|target| Target {
        rank: rank(target.class),
        address: target.address,
        name: name(&target.name),
    });
    let ports = records
        .ports
        .iter()
        .map(|(port, protocol)| (*port, transport(*protocol)));
    Records {
        targets: targets.collect(),
        ports: ports.collect(),
    }
}

fn rank(class: Class) -> u8 {
    match class {
        Class::Ready => 0,
        Class::Late => 1,
        Class::Unready => 2,
        Class::Lost => 3,
    }
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
    }
}

#[cfg(test)]
mod tests {
    use kontena_core::id::{EnvelopeHash, ServiceKey};
    use kontena_core::stack::Service;
    use kontena_core::time::WallTime;
    use kontena_core::view::{Lifecycle, Revision, ServiceRecord};

    use super::*;

    const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 80, 1, 1));

    /// The names of a grid with this service.
    fn zone_with(service: &str) -> zone::Zone {
        let definition = Service::new("alpine");
        let record = ServiceRecord {
            creation: EnvelopeHash([1; 32]),
            born: 0,
            latest: Revision {
                hash: definition.hash(),
                number: 1,
                service: Ok(Arc::new(definition)),
                image: None,
            },
            deployed: None,
            deploys: Arc::default(),
            instances: 1,
            state: Lifecycle::Running,
            pins: Default::default(),
            moves: Default::default(),
            witnesses: Default::default(),
            created: WallTime(0),
            updated: WallTime(0),
        };
        let mut view = View::default();
        let documents = Arc::make_mut(&mut view.documents);
        documents.grid.name = Some("home".parse().unwrap());
        let key: ServiceKey = service.parse().unwrap();
        documents.services.insert(key, record);
        zone::zone(&view)
    }

    #[test]
    fn the_store_is_found_at_this_nodes_own_bridge() {
        let (name, records) = key_store(&zone_with("web"), Some(OWN)).unwrap();
        assert_eq!(name.to_string().trim_end_matches('.'), "etcd.kontena.local");
        assert_eq!(records.targets[0].address, OWN);
        assert_eq!(records.ports, [(2379, Transport::Tcp)]);
        assert_eq!(key_store(&zone_with("web"), None), None);
    }

    #[test]
    fn a_service_that_is_called_as_the_store_keeps_its_name() {
        assert_eq!(key_store(&zone_with("etcd"), Some(OWN)), None);
        // In a stack it is called otherwise.
        assert!(key_store(&zone_with("shop/etcd"), Some(OWN)).is_some());
    }
}
