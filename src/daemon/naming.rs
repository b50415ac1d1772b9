//! This node's part in the grid's names: a server on the bridge of its containers, which answers from the
//! newest view.
//!
//! One task owns the server. It listens once the bridge is there, follows views, and looks again every
//! [`LOOK_EVERY`] at the host: which resolvers it has, and whether it still asks us, because DHCP clients and
//! administrators write resolv.conf anew. When the daemon stops, resolv.conf stays as it is: the host's own
//! resolvers are behind ours in it.

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
    Authority, Host, HostProblem, Limits, Meter, Name, Prefix, Records, Server, Settings, Target,
    Transport, Way, Zone,
};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::addresses::own_addresses;
use super::networking::End;

const PORT: u16 = 53;

/// How soon an address is listened on that appeared, and a changed resolv.conf is seen.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The task, from outside.
pub(super) struct Naming {
    meter: Meter,
    end: oneshot::Sender<End>,
    task: JoinHandle<()>,
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
        let _ = self.end.send(how);
        let _ = self.task.await;
    }
}

struct Worker {
    setting: Setting,
    host: Host,
    server: Server,
    zones: Zones,
    /// What was said last, so that it is said once.
    problem: Option<String>,
    way: Option<Way>,
    /// The host does not ask us.
    is_clean: bool,
}

impl Worker {
    fn new(setting: Setting) -> Self {
        let supernet = supernet(&View::default());
        let settings = Settings {
            clients: Vec::new(),
            limits: Limits::default(),
        };
        Self {
            setting,
            host: Host::default(),
            server: Server::new(server_zone(&zone::Zone::default(), supernet), settings),
            zones: Zones::default(),
            problem: None,
            way: None,
            is_clean: false,
        }
    }

    async fn run(mut self, mut ended: oneshot::Receiver<End>) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut views = self.setting.views.clone();
        loop {
            tokio::select! {
                end = &mut ended => {
                    if end == Ok(End::Remove) {
                        self.forget_host().await;
                    }
                    return;
                }
                changed = views.changed() => match changed {
                    Ok(()) => self.follow(),
                    Err(_) => return,
                },
                _ = look.tick() => self.look().await,
            }
        }
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.setting.views.borrow())
    }

    fn follow(&mut self) {
        let view = self.view();
        if let Some(zone) = self.zones.follow(&view) {
            self.server.set_zone(server_zone(&zone, supernet(&view)));
        }
    }

    /// Listens where it has to, and brings the host to ask us where we can answer.
    async fn look(&mut self) {
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
        let mut problem =
            taken.map(|(address, error)| format!("names cannot be served on {address}: {error}"));
        match own {
            Some(own) if failed.is_empty() => problem = problem.or(self.ask_host(own).await),
            Some(_) => {}
            // No member, or not any more: an earlier life may have left something.
            None if !self.is_clean => self.forget_host().await,
            None => {}
        }
        if self.problem != problem {
            if let Some(problem) = &problem {
                tracing::warn!(%problem, "Names do not work as they should");
            }
            self.problem = problem;
        }
    }

    fn own_address(&self) -> Option<IpAddr> {
        let view = self.view();
        let member = view.documents.roster.get(&self.setting.me)?;
        member.subnet.map(|subnet| subnet.gateway().into())
    }

    /// Learns the host's resolvers, and makes it ask `own` first; what went wrong, if anything.
    async fn ask_host(&mut self, own: IpAddr) -> Option<String> {
        self.is_clean = false;
        let (host, bridge) = (self.host.clone(), self.setting.bridge.clone());
        let asked = spawn_blocking(move || {
            let upstreams = host.upstreams(|address| address == own)?;
            Ok::<_, HostProblem>((upstreams, host.ask(own, &bridge, DOMAIN)))
        });
        let (upstreams, way) = match asked.await {
            Ok(Ok(asked)) => asked,
            Ok(Err(problem)) => return Some(described(&problem)),
            Err(problem) => return Some(problem.to_string()),
        };
        self.server.set_upstreams(&upstreams);
        match way {
            Ok(way) => {
                if self.way.replace(way) != Some(way) {
                    tracing::info!(%own, ?way, "This host resolves the grid's names");
                }
                None
            }
            Err(problem) => Some(described(&problem)),
        }
    }

    async fn forget_host(&mut self) {
        self.way = None;
        self.is_clean = true;
        let (host, bridge) = (self.host.clone(), self.setting.bridge.clone());
        match spawn_blocking(move || host.forget(&bridge)).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                let problem = described(&problem);
                tracing::warn!(%problem, "This host still asks for the grid's names");
            }
            Err(problem) => {
                tracing::error!(%problem, "Taking our resolver out of the host's panicked");
            }
        }
    }
}

/// A problem with its cause.
fn described(problem: &HostProblem) -> String {
    match std::error::Error::source(problem) {
        Some(cause) => format!("{problem}: {cause}"),
        None => problem.to_string(),
    }
}

/// Containers, users of the VPN, and this host, which Docker's rules let ask its own bridge from any of its
/// addresses.
fn clients(supernet: Prefix) -> Vec<Prefix> {
    let own = own_addresses().into_iter().map(Prefix::of);
    own.chain([supernet, loopback()]).collect()
}

fn supernet(view: &View) -> Prefix {
    let supernet: Range = view.documents.grid.plan.supernet();
    let text = supernet.to_string();
    text.parse().expect("it is a network and its length")
}

fn loopback() -> Prefix {
    "127.0.0.0/8"
        .parse()
        .expect("it is a network and its length")
}

/// The core's zone in the server's words.
fn server_zone(zone: &zone::Zone, supernet: Prefix) -> Zone {
    let authority = Authority {
        domain: DOMAIN.parse().expect("it is a domain"),
        networks: vec![supernet],
        ttl: TTL,
    };
    let names = zone
        .names
        .iter()
        .map(|(host, records)| (name(host), server_records(records)));
    let reverse = zone
        .reverse
        .iter()
        .map(|(address, host)| (*address, name(host)));
    Zone::new(&authority, names, reverse)
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
