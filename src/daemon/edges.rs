//! The edges of one life of a node: opened together, listened to together, closed together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kontena_core::identity::SecretKey;
use kontena_core::node::{Input, Status};
use kontena_core::reconcile::action::Observed;
use kontena_core::view::View;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::api::backend::{Backend, KeyOrder, Local, Order, Routes};
use crate::api::dial::Dialer;
use crate::api::routes::handover::Handovers;
use crate::api::server::limits::Limits;
use crate::api::server::{self, Listeners};
use crate::api::think::Thinker;
use crate::api::types::membership::Phase;
use crate::disk::{Disk, Footprint, Saved};
use crate::docker::{Docker, Watch};
use crate::entropy::entropy;
use crate::network::{Names, host_routes};
use crate::p2p::{P2p, P2pEvent};

use super::addresses::addresses;
use super::backups::DiskBackups;
use super::clock::Clock;
use super::config::{self, Config};
use super::containers::NodeContainers;
use super::effects::{Effects, input_of, message_of};
use super::fences::Fencing;
use super::images::EngineImages;
use super::keys::KeyServing;
use super::logs::NodeLogs;
use super::moves::NodeMoves;
use super::naming::{self, Naming};
use super::networking::{self, Networking, NodeNetworks, Setting};
use super::node_name::default_name;
use super::registries::{self, GridLogins};
use super::streams::Answering;
use super::volumes::NodeVolumes;

/// Commands that wait to be taken; the node itself queues and answers that it is busy.
const ORDERS: usize = 64;
/// Inputs from actions and calls that are done.
const INPUTS: usize = 256;
/// Messages that wait; senders are slowed down then.
const EVENTS: usize = 1024;
/// How often the host's addresses are looked at again.
const LOOK_AT_ADDRESSES: Duration = Duration::from_secs(10);

/// How long the last words to peers may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Something that the loop waits for.
pub(super) enum Happened {
    Input(Box<Input>),
    Order(Box<Order>),
    KeyOrder(Box<KeyOrder>),
    /// Nothing for the node.
    Nothing,
    /// An edge is gone that the daemon cannot do without.
    Ended(&'static str),
}

/// Everything around the node.
pub(super) struct Edges {
    pub(super) effects: Effects,
    p2p_events: mpsc::Receiver<P2pEvent>,
    saved: mpsc::UnboundedReceiver<Saved>,
    inputs: mpsc::Receiver<Input>,
    orders: mpsc::Receiver<Order>,
    key_orders: mpsc::Receiver<KeyOrder>,
    watch: Watch,
    logs: Arc<NodeLogs>,
    containers: NodeContainers,
    volumes: NodeVolumes,
    moves: NodeMoves,
    network: Network,
    api: Api,
    /// `None` where this node takes no part in the network.
    key_serving: Option<KeyServing>,
    /// Of the registries' passwords.
    sharing: JoinHandle<()>,
    local: watch::Sender<Local>,
    status: watch::Receiver<Status>,
    listen: Vec<SocketAddr>,
    advertise: Vec<SocketAddr>,
    look: Interval,
    known_addresses: Vec<String>,
}

/// This node's part in the grid's network.
struct Network {
    networking: Networking,
    /// `None` where this node takes no part.
    naming: Option<Naming>,
    /// How it is, here and on other nodes.
    of_nodes: NodeNetworks,
}

impl Network {
    fn start(
        config: &Config,
        key: &SecretKey,
        p2p: &P2p,
        views: &watch::Receiver<Arc<View>>,
        setting: impl FnOnce(Option<Names>) -> Setting,
    ) -> Self {
        let me = key.node_id();
        let naming = config.overlay.as_ref().map(|names| {
            Naming::start(naming::Setting {
                me,
                bridge: names.bridge.clone(),
                views: views.clone(),
            })
        });
        let meter = naming.as_ref().map(Naming::meter);
        let (networking, questions) = Networking::start(setting(config.overlay.clone()));
        Self {
            networking,
            naming,
            of_nodes: NodeNetworks::new(me, questions, p2p.clone(), meter),
        }
    }

    async fn end(self, how: networking::End) {
        if let Some(naming) = self.naming {
            naming.end(how).await;
        }
        self.networking.end(how).await;
    }
}

/// The API's server, from outside. It answers from the node's first view on; who asks sooner waits for it.
struct Api {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Api {
    fn start(listeners: Listeners, backend: Arc<Backend>) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let mut views = backend.view.clone();
        let task = tokio::spawn(async move {
            // Who asks before the node shows anything would take it for one of no grid.
            let is_over = tokio::select! {
                _ = views.changed() => false,
                _ = &mut stopped => true,
            };
            let stop = async {
                if !is_over {
                    // Dropping the sender means the same.
                    let _ = stopped.await;
                }
            };
            server::serve(listeners, backend, Limits::default(), stop).await;
        });
        Self { task, stop }
    }

    async fn end(self) -> anyhow::Result<()> {
        // It may have ended by itself.
        let _ = self.stop.send(());
        self.task.await.context("the API's server panicked")
    }
}

impl Edges {
    pub(super) async fn open(
        config: &Config,
        disk: Disk,
        key: &SecretKey,
        boot: u64,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let (view, views) = watch::channel(Arc::default());
        let (input, inputs) = mpsc::channel(INPUTS);
        let (fencing, fences) = Fencing::start(&config.data_dir, input.clone())?;
        let logins = Arc::new(GridLogins {
            views: views.clone(),
            identity: key.clone(),
        });
        let docker = docker(config)?.with_logins(logins).with_fences(fences);
        let (events, p2p_events) = mpsc::channel(EVENTS);
        let listen = bindable(config);
        let p2p = P2p::start(key, &listen, events)?;
        let listeners = listeners(config, &docker).await?;
        let footprint = Footprint::read(&config.data_dir)?;
        let (saver, saved) = disk.start()?;
        let (status, statuses) = watch::channel(Status::default());
        let (grid, grids) = watch::channel(None);
        let (commands, orders) = mpsc::channel(ORDERS);
        let (key_writes, key_orders) = mpsc::channel(ORDERS);
        let (keys, keys_shown) = watch::channel(Arc::default());
        let sharing = tokio::spawn(registries::share(
            views.clone(),
            commands.clone(),
            key.clone(),
        ));
        let (local, locals) = watch::channel(Local::default());
        let (told, tellings) = watch::channel(None);
        let network = Network::start(config, key, &p2p, &views, |names| Setting {
            names,
            port: config.overlay_port,
            identity: key.clone(),
            docker: docker.clone(),
            footprint: Arc::new(footprint),
            told: tellings,
        });
        let me = key.node_id();
        let logs = Arc::new(NodeLogs::new(me, docker.clone(), p2p.clone()));
        let containers = NodeContainers::new(me, docker.clone(), p2p.clone(), views.clone());
        let volumes = NodeVolumes::new(me, docker.clone(), p2p.clone(), views.clone());
        let moves = NodeMoves::new(
            docker.clone(),
            p2p.clone(),
            views.clone(),
            input.clone(),
            &config.data_dir,
        );
        let backend = Arc::new(Backend {
            view: views,
            commands,
            keys: keys_shown,
            key_writes,
            core_now: Box::new(move || clock.now().monotonic),
            logs: Arc::<NodeLogs>::clone(&logs),
            networks: Arc::new(network.of_nodes.clone()),
            containers: Arc::new(containers.clone()),
            volumes: Arc::new(volumes.clone()),
            images: Arc::new(EngineImages(docker.clone())),
            backups: Arc::new(DiskBackups {
                key: key.clone(),
                boot,
                disk: saver.reader(),
            }),
            routes: routes_of(config.overlay.clone()),
            local: locals,
            dialer: Dialer::default(),
            definitions: tokio::sync::Mutex::default(),
            handovers: Handovers::default(),
            thinker: Thinker::default(),
            me,
            default_name: default_name(&gethostname::gethostname().to_string_lossy()),
            entropy,
            version: env!("CARGO_PKG_VERSION"),
        });
        let network_names = config.overlay.as_ref();
        let key_serving = network_names.map(|_| KeyServing::start(Arc::clone(&backend)));
        let api = Api::start(listeners, backend);
        let watch = docker.watch(grids);
        let carrying = moves.clone();
        let effects = Effects::new(
            p2p, docker, carrying, fencing, clock, saver, input, view, keys, status, grid, told,
        );
        let known_addresses = addresses(&listen, &config.advertise);
        Ok(Self {
            effects,
            p2p_events,
            saved,
            inputs,
            orders,
            key_orders,
            watch,
            logs,
            containers,
            volumes,
            moves,
            network,
            api,
            key_serving,
            sharing,
            local,
            status: statuses,
            listen,
            advertise: config.advertise.clone(),
            look: looks(),
            known_addresses,
        })
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.known_addresses.clone()
    }

    /// Waits for the next thing that happens. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Happened {
        self.show_local();
        tokio::select! {
            Some((id, result)) = self.saved.recv() => input(Input::Saved { id, result }),
            Some(done) = self.inputs.recv() => input(done),
            Some(order) = self.orders.recv() => Happened::Order(Box::new(order)),
            Some(order) = self.key_orders.recv() => Happened::KeyOrder(Box::new(order)),
            event = self.p2p_events.recv() => match event {
                Some(P2pEvent::Stream { from, header, stream }) => {
                    self.answering().serve(from, header, stream);
                    Happened::Nothing
                }
                Some(P2pEvent::Message { from, bytes, answers }) => {
                    self.effects.answer_to(answers);
                    message_of(from, &bytes).map_or(Happened::Nothing, input)
                }
                Some(event) => input_of(event).map_or(Happened::Nothing, input),
                None => Happened::Ended("the connection to other nodes"),
            },
            observed = self.watch.next() => {
                if matches!(observed, Observed::Engine(_)) {
                    self.network.networking.look_again();
                }
                input(Input::Observed(observed))
            }
            sight = self.network.networking.changed() => input(Input::Network(sight)),
            _ = self.look.tick() => self.look_at_addresses(),
        }
    }

    fn answering(&self) -> Answering<'_> {
        Answering {
            networks: &self.network.of_nodes,
            containers: &self.containers,
            volumes: &self.volumes,
            moves: &self.moves,
            logs: &self.logs,
        }
    }

    fn look_at_addresses(&mut self) -> Happened {
        let now = addresses(&self.listen, &self.advertise);
        if now == self.known_addresses {
            return Happened::Nothing;
        }
        tracing::info!(addresses = ?now, "This host's addresses changed");
        self.known_addresses.clone_from(&now);
        input(Input::Addresses(now))
    }

    /// What the API tells of this node beside the view.
    fn show_local(&self) {
        let status = self.status.borrow();
        let local = Local {
            phase: phase_of(&status.phase),
            problems: status.problems.clone(),
            addresses: self.known_addresses.clone(),
        };
        self.local.send_if_modified(|known| {
            let changed = *known != local;
            *known = local;
            changed
        });
    }

    /// Commands that were not taken yet are refused from now on.
    pub(super) fn refuse_orders(&mut self) {
        self.orders.close();
        while self.orders.try_recv().is_ok() {}
        self.key_orders.close();
        while self.key_orders.try_recv().is_ok() {}
    }

    /// Lets answers out, makes everything durable, and gives the directory and the socket back. Of the network
    /// stays what `network` says.
    pub(super) async fn close(mut self, network: networking::End) -> anyhow::Result<()> {
        self.sharing.abort();
        self.refuse_orders();
        self.effects.answer_no_more();
        self.effects.flush(GOODBYE).await;
        tokio::join!(self.containers.end(), self.volumes.end(), self.moves.end());
        if let Some(serving) = self.key_serving {
            serving.end().await;
        }
        self.network.end(network).await;
        self.api.end().await?;
        let saver = self.effects.into_saver();
        tokio::task::spawn_blocking(move || saver.close())
            .await
            .context("failed to wait for the disk")?
    }
}

fn docker(config: &Config) -> anyhow::Result<Docker> {
    let network = config.overlay.as_ref();
    let network = network.map_or("", |names| names.network.as_str());
    Docker::connect(Some(&docker_address(&config.docker)), network)
}

async fn listeners(config: &Config, docker: &Docker) -> anyhow::Result<Listeners> {
    let listeners = Listeners::bind(&config.socket, config.api_listen).await?;
    tracing::info!(
        socket = %config.socket.display(),
        api = ?listeners.tcp_address(),
        docker = docker.address(),
        "Listening for commands"
    );
    Ok(listeners)
}

fn input(input: Input) -> Happened {
    Happened::Input(Box::new(input))
}

fn looks() -> Interval {
    let mut look = interval(LOOK_AT_ADDRESSES);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

fn docker_address(docker: &config::Docker) -> String {
    match docker {
        config::Docker::Socket(path) => format!("unix://{}", path.display()),
        config::Docker::Tcp(address) => format!("tcp://{address}"),
    }
}

/// A host without IPv6 is no mistake where nobody asked for it.
pub(super) fn bindable(config: &Config) -> Vec<SocketAddr> {
    let works = |address: &SocketAddr| {
        !config.listen_is_default
            || address.is_ipv4()
            || std::net::UdpSocket::bind(SocketAddr::new(address.ip(), 0)).is_ok()
    };
    config.listen.iter().copied().filter(works).collect()
}

/// A node without an overlay has nothing that could be in the way.
fn routes_of(names: Option<Names>) -> Box<Routes> {
    Box::new(move || names.as_ref().map_or_else(|| Ok(Vec::new()), host_routes))
}

fn phase_of(phase: &kontena_core::node::Phase) -> Phase {
    use kontena_core::node::Phase as Core;
    match phase {
        Core::Alone | Core::Joining => Phase::Waiting,
        Core::Member | Core::Leaving => Phase::Member,
        Core::Removed => Phase::Removed,
        Core::Cloned => Phase::Cloned,
    }
}
