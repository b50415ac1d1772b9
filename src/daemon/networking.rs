//! This node's part in the grid's network: what is set up in which order, looked at again, and removed.
//!
//! One task owns the data plane. It is told what the core wants, and tells what it sees. The order is: the
//! overlay's interface, the engine's network, forwarding, the firewall's rules (before the engine's own, so
//! after its network). All of it is looked at again every [`LOOK_EVERY`] and after the engine came back, because
//! engines, administrators and boots remove parts of it.

mod question;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::network::addresses::{BY_HAND, BY_HAND_PREFIX};
use kontena_core::network::ipam::Subnet;
use kontena_core::network::peers::Wanted;
use kontena_core::network::plan::{Range, in_the_way};
use kontena_core::network::sight::{Containers, Sight};
use kontena_core::node::Input;
use kontena_overlay::DEFAULT_MTU;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::api::types::network::{self as wire, NodeNetwork};
use crate::docker::{BridgeNetwork, Docker, Ensured, Removed};
use crate::network::{
    Firewall, Holding, Names, Pair, Plane, Route, allow_forwarding, answer_for_users, host_routes,
};

pub(super) use question::{NodeNetworks, is_question};

/// How often everything is looked at again. Rules that somebody flushed are missing for so long.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often the data plane is asked how it is.
const GLANCE_EVERY: Duration = Duration::from_secs(2);
/// How long a removal is tried while the engine still lets go of containers.
const REMOVE_WITHIN: Duration = Duration::from_secs(8);
const REMOVE_PAUSE: Duration = Duration::from_millis(300);
/// Questions that wait.
const QUESTIONS: usize = 16;

/// What the core said last: nothing in this life, or how the network shall be.
pub(super) type Told = Option<Option<Arc<Wanted>>>;

/// What the task runs with.
pub(super) struct Setting {
    /// `None`: this node takes no part.
    pub(super) names: Option<Names>,
    /// UDP.
    pub(super) port: u16,
    pub(super) identity: SecretKey,
    pub(super) docker: Docker,
    pub(super) told: watch::Receiver<Told>,
    pub(super) inputs: mpsc::Sender<Input>,
}

/// Asks the task how everything is.
pub(super) type Questions = mpsc::Sender<oneshot::Sender<NodeNetwork>>;

/// The task, from outside.
pub(super) struct Networking {
    look: Arc<Notify>,
    end: oneshot::Sender<End>,
    task: JoinHandle<()>,
}

/// What stays of the network when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The bridge and the rules, so that containers go on; the interface goes with the process.
    Stop,
    /// Nothing: the node left its grid.
    Remove,
}

impl Networking {
    pub(super) fn start(setting: Setting) -> (Self, Questions) {
        let (end, ended) = oneshot::channel();
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let look = Arc::new(Notify::new());
        let worker = Worker::new(setting, Arc::clone(&look));
        let task = tokio::spawn(worker.run(asked, ended));
        (Self { look, end, task }, questions)
    }

    /// The engine came back: what it had may be gone.
    pub(super) fn look_again(&self) {
        self.look.notify_one();
    }

    pub(super) async fn end(self, how: End) {
        // The task may have ended by itself: it panicked, and has said so.
        let _ = self.end.send(how);
        let _ = self.task.await;
    }
}

struct Worker {
    setting: Setting,
    firewall: Option<Firewall>,
    look: Arc<Notify>,
    plane: Option<Plane>,
    holding: Holding,
    /// The subnet that the engine's network has.
    ready: Option<Subnet>,
    containers: Containers,
    rules: Vec<String>,
    problem: Option<String>,
    /// Nothing of ours is left on this host.
    is_clean: bool,
    said: Sight,
}

impl Worker {
    fn new(setting: Setting, look: Arc<Notify>) -> Self {
        let firewall = setting.names.clone().map(Firewall::new);
        let said = begins(setting.names.is_some());
        Self {
            containers: said.containers,
            setting,
            firewall,
            look,
            plane: None,
            holding: Holding::default(),
            ready: None,
            rules: Vec::new(),
            problem: None,
            is_clean: false,
            said,
        }
    }

    async fn run(
        mut self,
        mut asked: mpsc::Receiver<oneshot::Sender<NodeNetwork>>,
        mut ended: oneshot::Receiver<End>,
    ) {
        let mut glance = interval(GLANCE_EVERY);
        let mut look = interval(LOOK_EVERY);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, again) = (self.setting.told.clone(), Arc::clone(&self.look));
        loop {
            tokio::select! {
                end = &mut ended => {
                    if end == Ok(End::Remove) {
                        self.remove_soon().await;
                    }
                    return;
                }
                changed = told.changed() => match changed {
                    Ok(()) => self.follow().await,
                    Err(_) => return,
                },
                () = again.notified() => self.settle().await,
                _ = look.tick() => self.settle().await,
                _ = glance.tick() => {}
                Some(answer) = asked.recv() => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.describe());
                }
            }
            self.say().await;
        }
    }

    fn wanted(&self) -> Told {
        self.setting.told.borrow().clone()
    }

    /// Other peers are told to the data plane at once; the rest is looked at only where it has to change.
    async fn follow(&mut self) {
        let Some(Some(wanted)) = self.wanted() else {
            return self.settle().await;
        };
        let is_set_up = self.plane.as_ref().is_some_and(|plane| plane.fits(&wanted))
            && self.ready == wanted.subnet;
        if is_set_up {
            self.set_up_plane(&wanted);
        } else {
            self.settle().await;
        }
    }

    /// Makes everything what it shall be.
    async fn settle(&mut self) {
        let Some(names) = self.setting.names.clone() else {
            return;
        };
        match self.wanted() {
            None => {}
            Some(None) => self.remove(&names).await,
            Some(Some(wanted)) => {
                self.is_clean = false;
                let before = self.problem.take();
                if self.set_up_plane(&wanted) {
                    self.set_up_containers(&names, &wanted).await;
                } else if self.containers == Containers::Pending {
                    self.containers = Containers::Plain;
                }
                if self.problem != before
                    && let Some(problem) = &self.problem
                {
                    tracing::warn!(%problem, "The network of containers is not as it should be");
                }
            }
        }
    }

    /// Whether the data plane runs with these peers.
    fn set_up_plane(&mut self, wanted: &Wanted) -> bool {
        let Some(names) = &self.setting.names else {
            return false;
        };
        if let Err(problem) = self.holding.begin(wanted) {
            tracing::warn!(
                problem = format!("{problem:#}"),
                "What is for other nodes leaves this host unsealed while its overlay is down"
            );
        }
        self.plane = self.plane.take().filter(|plane| plane.fits(wanted));
        let started = match self.plane.take() {
            Some(plane) => Ok(plane),
            None => Plane::start(
                &names.interface,
                &self.setting.identity,
                self.setting.port,
                wanted,
            ),
        };
        let plane = match started {
            Ok(plane) => self.plane.insert(plane),
            Err(problem) => {
                self.problem = Some(format!(
                    "{problem:#}; it takes /dev/net/tun and the right CAP_NET_ADMIN. Containers are started \
                     on Docker's own bridge meanwhile"
                ));
                return false;
            }
        };
        // Peers that cannot be set cost nobody those that are: one that ended by itself is found by the next glance.
        if let Err(problem) = plane.apply(wanted) {
            self.problem = Some(format!("{problem:#}; the peers are those of before"));
        }
        true
    }

    async fn set_up_containers(&mut self, names: &Names, wanted: &Wanted) {
        let Some(subnet) = wanted.subnet else {
            self.containers = Containers::Plain;
            self.problem = Some("this node has no subnet: all of the grid's are taken".to_owned());
            return;
        };
        match self
            .setting
            .docker
            .ensure_network(&bridge_network(names, subnet))
            .await
        {
            Ensured::Ready => {
                self.containers = Containers::Attached;
                self.ready = Some(subnet);
                self.set_up_rules(subnet).await;
                self.look_for_overlaps(names, wanted.supernet);
            }
            // The engine's trouble is told elsewhere, and nothing is started meanwhile.
            Ensured::Unreachable => {}
            Ensured::Failed(problem) => {
                self.containers = Containers::Plain;
                self.problem = Some(format!("the engine's network cannot be made: {problem}"));
            }
        }
    }

    async fn set_up_rules(&mut self, subnet: Subnet) {
        let Some(firewall) = &self.firewall else {
            return;
        };
        let bridge = &firewall.names().bridge;
        let ensured = match allow_forwarding().and_then(|()| answer_for_users(bridge)) {
            Ok(()) => firewall.ensure(&subnet.to_string()).await,
            Err(problem) => Err(problem),
        };
        match ensured {
            Ok(rules) => self.rules = rules,
            Err(problem) => {
                self.problem = Some(format!(
                    "containers of other nodes are not let in: {problem:#}"
                ));
            }
        }
    }

    /// Nobody is admitted whose host has such a route, but it may get one later: people have to know.
    fn look_for_overlaps(&mut self, names: &Names, supernet: Range) {
        let routes = match host_routes(names) {
            Ok(routes) => routes,
            Err(problem) => {
                return tracing::debug!(
                    problem = format!("{problem:#}"),
                    "The routes are not known"
                );
            }
        };
        if let Some(route) = in_the_way(supernet, &routes)
            && self.problem.is_none()
        {
            self.problem = Some(format!(
                "{supernet}, the grid's network, overlaps a route of this host: `{route}`. One of the two is not \
                 reached from here"
            ));
        }
    }

    /// Removes what is ours; what the engine does not let go yet is tried again.
    async fn remove(&mut self, names: &Names) {
        self.plane = None;
        self.ready = None;
        self.problem = None;
        self.containers = Containers::Pending;
        if self.is_clean {
            return;
        }
        let mut is_clean = true;
        if let Some(firewall) = &self.firewall {
            match firewall.remove().await {
                Ok(()) => self.rules.clear(),
                Err(problem) => {
                    tracing::debug!(problem = format!("{problem:#}"), "Rules may be left");
                    is_clean = false;
                }
            }
        }
        if let Err(problem) = self.holding.end() {
            tracing::debug!(problem = format!("{problem:#}"), "A route is still there");
            is_clean = false;
        }
        let removed = self
            .setting
            .docker
            .remove_network(&names.network, &names.interface);
        if let Removed::NotYet(problem) = removed.await {
            tracing::debug!(%problem, "The network of containers is still there");
            is_clean = false;
        }
        self.is_clean = is_clean;
    }

    async fn remove_soon(&mut self) {
        let Some(names) = self.setting.names.clone() else {
            return;
        };
        let deadline = Instant::now() + REMOVE_WITHIN;
        self.is_clean = false;
        self.remove(&names).await;
        while !self.is_clean && Instant::now() < deadline {
            sleep(REMOVE_PAUSE).await;
            self.remove(&names).await;
        }
        if !self.is_clean {
            let network = &names.network;
            tracing::warn!(
                %network,
                comment = names.comment,
                "Something of the network is left behind: rules with this comment, or the network, because something \
                 is attached to it"
            );
        }
    }

    /// Tells the node what it does not know yet.
    async fn say(&mut self) {
        let sight = self.sight();
        if sight != self.said {
            self.said = sight.clone();
            // The daemon is stopping when nobody takes it.
            let _ = self.setting.inputs.send(Input::Network(sight)).await;
        }
    }

    fn sight(&mut self) -> Sight {
        let plane = match self.plane.as_mut().map(Plane::sight) {
            Some(Ok(plane)) => Some(plane),
            Some(Err(problem)) => {
                tracing::error!(
                    problem = format!("{problem:#}"),
                    "The overlay ended; it is started anew"
                );
                self.plane = None;
                self.look.notify_one();
                None
            }
            None => None,
        };
        Sight {
            containers: self.containers,
            plane,
            problem: self.problem.clone(),
        }
    }

    fn describe(&mut self) -> NodeNetwork {
        let wanted = self.wanted().flatten();
        let subnet = wanted.as_ref().and_then(|wanted| wanted.subnet);
        let running = self.plane.as_mut().and_then(|plane| plane.sight().ok());
        let pairs = self.plane.as_ref().and_then(|plane| plane.pairs().ok());
        let drops = self.plane.as_ref().and_then(|plane| plane.drops().ok());
        let names = self.setting.names.as_ref();
        let attached = names.filter(|_| self.ready.is_some());
        NodeNetwork {
            node: String::new(),
            containers: match self.containers {
                Containers::Plain => wire::Containers::Plain,
                Containers::Pending => wire::Containers::Pending,
                Containers::Attached => wire::Containers::Attached,
            },
            problem: self.problem.clone(),
            subnet: subnet.map(|subnet| subnet.to_string()),
            address: subnet.map(|subnet| subnet.gateway().to_string()),
            management_address: wanted.map(|wanted| wanted.management.to_string()),
            interface: names
                .filter(|_| running.is_some())
                .map(|names| names.interface.clone()),
            port: running.as_ref().map(|plane| plane.port),
            mtu: running.as_ref().map(|plane| plane.mtu),
            bridge: attached.map(|names| names.bridge.clone()),
            engine_network: attached.map(|names| names.network.clone()),
            rules: self.rules.clone(),
            peers: pairs.into_iter().flatten().map(peer).collect(),
            drops: drops.unwrap_or_default(),
            // Whoever serves names counts them.
            names: BTreeMap::new(),
        }
    }
}

/// What a node is told before anything was looked at.
pub(super) fn begins(takes_part: bool) -> Sight {
    Sight {
        containers: match takes_part {
            true => Containers::Pending,
            false => Containers::Plain,
        },
        ..Sight::default()
    }
}

fn bridge_network(names: &Names, subnet: Subnet) -> BridgeNetwork {
    BridgeNetwork {
        name: names.network.clone(),
        bridge: names.bridge.clone(),
        interface: names.interface.clone(),
        subnet: subnet.to_string(),
        gateway: subnet.gateway(),
        by_hand: format!("{}/{BY_HAND_PREFIX}", subnet.address(BY_HAND)),
        mtu: DEFAULT_MTU,
    }
}

fn peer(pair: Pair) -> wire::Peer {
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let micros = |rtt: Duration| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
    let (way, through) = match pair.route {
        Route::None => (wire::Way::None, None),
        Route::Direct(endpoint) => (wire::Way::Direct, Some(endpoint.to_string())),
        Route::Punched(endpoint) => (wire::Way::Punched, Some(endpoint.to_string())),
        Route::Relayed(node) => (wire::Way::Relayed, Some(node_text(node))),
    };
    wire::Peer {
        node: String::new(),
        node_id: node_text(pair.node),
        way,
        through,
        rtt_micros: pair.rtt.map(micros),
        lost_in_1000: pair.lost_in_1000,
        handshake_age_millis: pair.handshake_age.map(millis),
        mtu: pair.mtu,
        received_bytes: pair.received_bytes,
        sent_bytes: pair.sent_bytes,
        forwarded_bytes: pair.forwarded_bytes,
        drops: pair.drops,
    }
}

fn node_text(node: NodeId) -> String {
    node.to_string()
}
