//! A grid made by hand, and a node that answers commands as a test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{SinkExt, StreamExt};
use kontena_core::command::{Accepted, Command, Reply};
use kontena_core::external_registry::{Account, Lock, Registry, SealedText};
use kontena_core::id::{EnvelopeHash, GridId, InstanceId, NodeId, RevisionHash, ServiceKey};
use kontena_core::identity::SecretKey;
use kontena_core::keys::{Keys, Life};
use kontena_core::network::plan::{AddressPlan, HostRoute};
use kontena_core::node::SavedState;
use kontena_core::report::{
    Disk, Engine, EngineState, Health, Hold, InstanceState, Report, ReportOrder,
};
use kontena_core::stack::{FrozenImage, Platforms, Service};
use kontena_core::time::{Instant, WallTime};
use kontena_core::view::{
    Availability, Conflict, Deployed, Documents, Freshness, Grid, Lifecycle, Member, Revision,
    ServiceRecord, StackRecord, Standing, View,
};
use kontena_core::volume::{Definition, Scope, Volume};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::contents::FakeVolumes;
use crate::api::backend::{
    Backend, Backups, Carried, Containers, Images, KeyOrder, Local, LogLine, LogOptions, LogSource,
    Logs, Networks, OneOffAsked,
};
use crate::api::client::{ApiError, Client};
use crate::api::routes::handover::Handovers;
use crate::api::server::limits::Limits;
use crate::api::server::{Listeners, serve};
use crate::api::target::Target;
use crate::api::types::exec::{Failed, Heard, Said, Size, Start, answering};
use crate::api::types::membership::Phase;
use crate::api::types::network::{NodeNetwork, Peer, Way};
use crate::api::types::usage::{CpuUse, MemoryUse, Usage};
use crate::backup::Contents;

pub(super) const ADMIN_TOKEN: [u8; 32] = [0xad; 32];
/// 2026-01-02T03:04:05Z.
pub(super) const NOON: u64 = 1_767_323_045_000;

pub(super) fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

pub(super) fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

/// Containers of one letter, 64 times.
pub(super) fn container(letter: char) -> String {
    letter.to_string().repeat(64)
}

/// Four nodes: `alpha` and `beta` (draining) are there, `gamma` is absent, `delta` never spoke. A
/// stack `shop` with `web` (2 wanted) and `db` (never deployed), and `redis` without a stack.
pub(super) fn view() -> View {
    let web = web();
    let hash = web.latest.hash;
    let mut view = View {
        documents: Arc::new(documents(web)),
        ..View::default()
    };
    let alpha = [(
        "shop/web-1",
        hold(hash, 'a', InstanceState::Running, Health::Healthy),
    )];
    let gamma = [(
        "shop/web-2",
        hold(hash, 'b', InstanceState::Running, Health::Healthy),
    )];
    add_report(&mut view, 1, Freshness::Fresh, &alpha);
    add_report(&mut view, 2, Freshness::Late, &[]);
    add_report(&mut view, 3, Freshness::Absent, &gamma);
    view
}

/// Whose password nobody can open.
fn registry() -> Registry {
    Registry {
        account: Account {
            url: "https://quay.io".to_owned(),
            username: "robot".to_owned(),
            email: None,
            password: SealedText {
                lock: Lock([1; 32]),
                text: Vec::new(),
            },
        },
        since: WallTime(NOON),
        keys: BTreeMap::new(),
    }
}

fn documents(web: ServiceRecord) -> Documents {
    let member = |number: u32, name: &str, labels: &[&str], availability| Member {
        name: name.parse().unwrap(),
        sponsor: node(1),
        joined: WallTime(NOON),
        labels: labels.iter().map(ToString::to_string).collect(),
        availability,
        number,
        addresses: vec![format!("10.0.0.{number}:8470")],
        subnet: format!("10.80.{number}.0/24").parse().ok(),
    };
    Documents {
        grid: Grid {
            id: Some(GridId([9; 32])),
            name: Some("home".parse().unwrap()),
            placement_version: 1,
            plan: AddressPlan::default(),
            default_affinity: Vec::new(),
            created: WallTime(NOON),
        },
        roster: BTreeMap::from([
            (
                node(1),
                member(1, "alpha", &["az=a", "ssd"], Availability::Active),
            ),
            (node(2), member(2, "beta", &[], Availability::Drain)),
            (node(3), member(3, "gamma", &[], Availability::Active)),
            (node(4), member(4, "delta", &[], Availability::Active)),
        ]),
        admin_tokens: BTreeSet::from([Sha256::digest(ADMIN_TOKEN).into()]),
        stacks: BTreeMap::from([("shop".parse().unwrap(), stack())]),
        services: BTreeMap::from([
            (key("shop/web"), web),
            (key("shop/db"), undeployed("postgres:15")),
            (key("redis"), undeployed("redis:7")),
        ]),
        conflicts: vec![Conflict {
            document: "stack/shop".to_owned(),
            register: "service/web/instances".to_owned(),
            applied: "2".to_owned(),
            others: vec!["3".to_owned()],
        }],
        registries: BTreeMap::from([("quay.io".parse().unwrap(), Arc::new(registry()))]),
        volumes: BTreeMap::from([("data".parse().unwrap(), Arc::new(volume()))]),
        ..Documents::default()
    }
}

fn stack() -> StackRecord {
    StackRecord {
        stack: "acme/shop".to_owned(),
        version: "1.2.0".to_owned(),
        description: None,
        source: Some("stack: acme/shop\n".to_owned()),
        expose: None,
        labels: Vec::new(),
        variables: BTreeMap::new(),
        metadata: BTreeMap::from([("tags".to_owned(), json!(["store"]))]),
        parent: None,
        revision: 3,
        services: vec!["db".parse().unwrap(), "web".parse().unwrap()],
        definitions: BTreeMap::new(),
        created: WallTime(NOON),
        updated: WallTime(NOON + 1_000),
        unknown: BTreeMap::new(),
    }
}

fn web() -> ServiceRecord {
    let definition = serde_json::json!({
        "image": "nginx:1.25",
        "command": ["nginx", "-g", "daemon off;"],
        "environment": ["MODE=live"],
        "ports": [{"ip": "0.0.0.0", "node_port": 80, "container_port": 8080, "protocol": "tcp"}],
        "links": [{"service": "db", "alias": "database"}],
        "volumes": [{"path": "/cache", "source": {"bind": "/srv/cache"}, "flags": "ro"}],
        "affinity": ["label!=~az=b"],
        "stop_grace_millis": 2_500,
        "deploy": {"strategy": "ha", "wait_for_port": 8080, "min_health": 500},
        "labels": {"team": "a"},
    });
    let latest = revision(serde_json::from_value(definition).unwrap(), 2);
    ServiceRecord {
        deployed: Some(Deployed::new(latest.clone(), 7, WallTime(NOON))),
        deploys: Arc::default(),
        instances: 2,
        latest,
        ..undeployed("unused")
    }
}

fn undeployed(image: &str) -> ServiceRecord {
    ServiceRecord {
        creation: EnvelopeHash([6; 32]),
        born: 0,
        latest: revision(Service::new(image), 1),
        deployed: None,
        deploys: Arc::default(),
        instances: 1,
        state: Lifecycle::Running,
        pins: BTreeMap::new(),
        moves: BTreeMap::new(),
        witnesses: Default::default(),
        created: WallTime(NOON),
        updated: WallTime(NOON + 1_000),
    }
}

fn revision(service: Service, number: u64) -> Revision {
    Revision {
        hash: service.hash(),
        number,
        service: Ok(Arc::new(service)),
        image: None,
    }
}

pub(super) fn hold(
    revision: RevisionHash,
    letter: char,
    state: InstanceState,
    health: Health,
) -> Hold {
    Hold {
        epoch: 1,
        revision,
        generation: 7,
        state,
        health,
        updating: false,
        on_trial: false,
        former: false,
        container: Some(container(letter)),
        address: Some("172.17.0.2".parse().unwrap()),
        image: Some("sha256:1234".to_owned()),
        since: WallTime(NOON + 500),
        age: 0,
        problem: None,
        hooks_ran: Default::default(),
        restarts: 0,
        exit_code: None,
    }
}

/// Replaces a node's report and standing.
pub(super) fn add_report(
    view: &mut View,
    number: u8,
    freshness: Freshness,
    holds: &[(&str, Hold)],
) {
    let holds = holds.iter().cloned().map(|(id, hold)| {
        let id: InstanceId = id.parse().unwrap();
        (id, hold)
    });
    let report = Report {
        node: node(number),
        order: ReportOrder::default(),
        version: "2.0.0".to_owned(),
        placement_version: 1,
        engine: Engine {
            state: EngineState::Working,
            version: "20.10.24".to_owned(),
            cpus: 2,
            memory_bytes: 4 << 30,
            architecture: "x86_64".to_owned(),
            operating_system: "Debian GNU/Linux 12".to_owned(),
            kernel: "6.1.0".to_owned(),
            volume_drivers: vec!["local".to_owned()],
        },
        disk: Disk::Working,
        addresses: vec![
            format!("10.0.0.{number}:8470"),
            format!("192.0.2.{number}:8470"),
        ],
        restarting: false,
        holds: holds.collect(),
        refusals: BTreeMap::new(),
        images: BTreeSet::new(),
        missing_images: BTreeMap::new(),
        volumes: BTreeMap::new(),
        made: BTreeSet::new(),
        jobs: BTreeMap::new(),
        one_offs: BTreeMap::new(),
        arrived: BTreeMap::new(),
        arrivals: BTreeMap::new(),
        network: None,
        unknown: BTreeMap::new(),
    };
    let since = WallTime(NOON + 2_000);
    view.reports.insert(node(number), Arc::new(report));
    view.standings
        .insert(node(number), Standing { freshness, since });
}

fn volume() -> Volume {
    Volume {
        definition: Definition::local(Scope::Instance),
        creation: EnvelopeHash([3; 32]),
        created: WallTime(NOON),
        removed: false,
    }
}

/// Saved on this node and another.
pub(super) fn accepted() -> Reply {
    Ok(Accepted {
        saved_on: vec!["alpha".parse().unwrap(), "beta".parse().unwrap()],
        has_others: true,
        join_token: None,
    })
}

/// What a test's node does with a command.
type Obey = Box<dyn FnMut(Command, &mut View) -> Reply + Send>;

/// A server with a node behind it.
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) view: watch::Sender<Arc<View>>,
    pub(super) logs: Arc<FakeLogs>,
    pub(super) containers: Arc<FakeContainers>,
    pub(super) volumes: Arc<FakeVolumes>,
    /// Where it answers TCP.
    pub(super) tcp: std::net::SocketAddr,
    pub(super) backend: Arc<Backend>,
    folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Refuses to be commanded.
    pub(super) async fn reading(view: View) -> Self {
        Self::in_phase(Phase::Member, view).await
    }

    /// Refuses to be commanded, whatever it is to its grid.
    pub(super) async fn in_phase(phase: Phase, view: View) -> Self {
        Self::obeying(phase, view, |command, _| panic!("unexpected {command:?}")).await
    }

    pub(super) async fn start(
        view: View,
        obey: impl FnMut(Command, &mut View) -> Reply + Send + 'static,
    ) -> Self {
        Self::obeying(Phase::Member, view, obey).await
    }

    /// With few places.
    pub(super) async fn limited(view: View, limits: Limits, handovers: Handovers) -> Self {
        let obey = |command: Command, _: &mut View| panic!("unexpected {command:?}");
        Self::with(Phase::Member, view, (limits, handovers), obey).await
    }

    async fn obeying(
        phase: Phase,
        view: View,
        obey: impl FnMut(Command, &mut View) -> Reply + Send + 'static,
    ) -> Self {
        Self::with(phase, view, Default::default(), obey).await
    }

    async fn with(
        phase: Phase,
        view: View,
        (limits, handovers): (Limits, Handovers),
        obey: impl FnMut(Command, &mut View) -> Reply + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("kontena.sock");
        let (sender, receiver) = watch::channel(Arc::new(view));
        let (commands, orders) = mpsc::channel(8);
        tokio::spawn(obeying(orders, sender.clone(), Box::new(obey)));
        let (keys, key_writes) = key_store();
        let logs = Arc::new(FakeLogs::default());
        let containers = Arc::new(FakeContainers::default());
        let volumes = Arc::new(FakeVolumes::default());
        let backend = Arc::new(Backend {
            view: receiver,
            commands,
            keys,
            key_writes,
            core_now: Box::new(|| Instant::ZERO),
            logs: logs.clone(),
            networks: Arc::new(FakeNetworks),
            containers: containers.clone(),
            images: Arc::new(FakeImages),
            backups: Arc::new(FakeBackups),
            volumes: volumes.clone(),
            routes: Box::new(|| Ok(vec![route()])),
            local: watch::channel(Local {
                phase,
                problems: vec!["docker engine: it is tired".to_owned()],
                addresses: vec!["10.0.0.1:8470".to_owned()],
            })
            .1,
            dialer: crate::api::dial::Dialer::default(),
            definitions: tokio::sync::Mutex::default(),
            handovers,
            thinker: crate::api::think::Thinker::default(),
            me: node(1),
            default_name: "myhost".parse().unwrap(),
            entropy: || Ok([7; 32]),
            version: "2.0.0-test",
        });
        let listeners = Listeners::bind(&socket, Some("127.0.0.1:0".parse().unwrap()))
            .await
            .unwrap();
        let tcp = listeners.tcp_address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listeners, Arc::clone(&backend), limits, async move {
            stopped.await.ok();
        }));
        Self {
            client: Client::new(Target::Socket(socket)),
            backend,
            view: sender,
            logs,
            containers,
            volumes,
            tcp,
            folder,
            stop: Some(stop),
            serving,
        }
    }

    /// The answer as indented JSON.
    pub(super) async fn get(&self, path: &str) -> String {
        let value: Value = self.client.get(path).await.unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    }

    pub(super) async fn refused(&self, path: &str) -> ApiError {
        self.client.get::<Value>(path).await.unwrap_err()
    }

    /// Stops it and waits for the end; the folder of its socket is what remains.
    pub(super) async fn stop(mut self) -> tempfile::TempDir {
        self.stop.take().unwrap().send(()).unwrap();
        self.serving.await.unwrap();
        self.folder
    }
}

/// The bytes that come back until the server closes.
pub(super) async fn raw(server: &Server, request: &[u8]) -> String {
    let Target::Socket(path) = server.client.target() else {
        panic!("no socket");
    };
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn obeying(
    mut orders: mpsc::Receiver<(Command, oneshot::Sender<Reply>)>,
    sender: watch::Sender<Arc<View>>,
    mut obey: Obey,
) {
    while let Some((command, answer)) = orders.recv().await {
        let mut view = View::clone(&sender.borrow());
        let reply = obey(command, &mut view);
        sender.send_replace(Arc::new(view));
        answer.send(reply).ok();
    }
}

/// Logs by container; a followed one goes on with what is pushed, unless it breaks.
#[derive(Default)]
pub(super) struct FakeLogs {
    lines: Mutex<BTreeMap<String, Vec<Result<LogLine, String>>>>,
    followers: Mutex<Vec<(String, mpsc::UnboundedSender<LogLine>)>>,
    pub(super) opened: Mutex<Vec<(LogSource, LogOptions)>>,
}

impl FakeLogs {
    pub(super) fn put(&self, letter: char, lines: Vec<Result<LogLine, String>>) {
        self.lines.lock().unwrap().insert(container(letter), lines);
    }

    /// Waits until nobody follows any more.
    pub(super) async fn unfollowed(&self) {
        let followers: Vec<_> = self.followers.lock().unwrap().drain(..).collect();
        for (_, sender) in followers {
            sender.closed().await;
        }
    }

    /// Those who follow hear the end, as when a container stops.
    pub(super) fn end(&self, letter: char) {
        let mut followers = self.followers.lock().unwrap();
        followers.retain(|(name, _)| *name != container(letter));
    }

    pub(super) fn times_opened(&self) -> usize {
        self.opened.lock().unwrap().len()
    }

    pub(super) fn push(&self, letter: char, line: &LogLine) {
        let followers = self.followers.lock().unwrap();
        let of_it = followers
            .iter()
            .filter(|(name, _)| *name == container(letter));
        of_it.for_each(|(_, sender)| sender.send(line.clone()).unwrap());
    }
}

impl Logs for FakeLogs {
    fn open(
        &self,
        source: LogSource,
        options: LogOptions,
    ) -> BoxStream<'static, Result<LogLine, String>> {
        let lines = self.lines.lock().unwrap().get(&source.container).cloned();
        let since = options.since.map_or(0, |since| since.0 * 1_000_000);
        let is_older =
            |line: &Result<LogLine, String>| line.as_ref().is_ok_and(|line| line.nanos < since);
        let mut lines = lines.unwrap_or_default();
        lines.retain(|line| !is_older(line));
        let breaks = lines.iter().any(Result::is_err);
        let lines = stream::iter(lines);
        let container = source.container.clone();
        self.opened.lock().unwrap().push((source, options));
        if !options.follow || breaks {
            return lines.boxed();
        }
        let (sender, mut receiver) = mpsc::unbounded_channel();
        self.followers.lock().unwrap().push((container, sender));
        let later = stream::poll_fn(move |context| receiver.poll_recv(context));
        lines.chain(later.map(Ok)).boxed()
    }
}

/// An engine that knows one image that was built here, one that nobody has, and all others from a registry.
struct FakeImages;

struct FakeBackups;

impl Backups for FakeBackups {
    fn contents(&self) -> BoxFuture<'_, anyhow::Result<Contents>> {
        let key = SecretKey::from_seed([7; 32]);
        Box::pin(async move { Ok(Contents::of(&key, 3, SavedState::default())) })
    }
}

impl Images for FakeImages {
    fn meaning(&self, image: String) -> BoxFuture<'_, Option<FrozenImage>> {
        let meaning = match image.as_str() {
            "built:1" => Some(FrozenImage::Id {
                id: "sha256:b1".to_owned(),
            }),
            "nowhere:1" => None,
            _ => Some(FrozenImage::Digest {
                digest: "sha256:d1".to_owned(),
                id: Some("sha256:a1".to_owned()),
                platforms: Platforms::default(),
                said: true,
            }),
        };
        Box::pin(async move { meaning })
    }
}

/// Containers in which `cat` writes what it reads, `exit N` ends with N, `say TEXT` writes it byte by byte, and nothing
/// else is there. `sleep` never ends.
#[derive(Default)]
pub(super) struct FakeContainers {
    /// What was asked for.
    pub(super) asked: Arc<Mutex<Vec<Start>>>,
    /// The one-off containers that were asked for.
    pub(super) one_offs: Arc<Mutex<Vec<(NodeId, OneOffAsked)>>>,
    /// What was said beside the input.
    pub(super) resized: Arc<Mutex<Vec<Size>>>,
    /// How many commands are over.
    pub(super) over: Arc<watch::Sender<usize>>,
}

impl FakeContainers {
    async fn run(
        io: DuplexStream,
        asked: Arc<Mutex<Vec<Start>>>,
        resized: Arc<Mutex<Vec<Size>>>,
    ) -> Option<()> {
        let mut words = answering(io);
        let Some(Ok(Said::Start(start))) = words.next().await else {
            return None;
        };
        asked.lock().unwrap().push(start.clone());
        let command: Vec<&str> = start.command.iter().map(String::as_str).collect();
        let last = match command.as_slice() {
            ["exit", code] => Heard::Ended(code.parse().unwrap()),
            ["say", text] => {
                for byte in text.bytes() {
                    let piece = Bytes::copy_from_slice(&[byte]);
                    words.send(Heard::Output(piece)).await.ok()?;
                }
                words
                    .send(Heard::Errors(Bytes::from_static(b"\xff")))
                    .await
                    .ok()?;
                Heard::Ended(0)
            }
            ["cat" | "sleep"] => loop {
                match words.next().await?.ok()? {
                    Said::Input(bytes) => words.send(Heard::Output(bytes)).await.ok()?,
                    Said::InputEnds => break Heard::Ended(0),
                    Said::Resize(size) => resized.lock().unwrap().push(size),
                    Said::Alive | Said::Start(_) => {}
                }
            },
            ["busy"] => Heard::Failed(Failed::Busy, "too many commands run".to_owned()),
            ["stopped"] => Heard::Failed(Failed::NotNow, "it does not run".to_owned()),
            ["broken"] => Heard::Failed(Failed::Lost, "the engine broke off".to_owned()),
            _ => Heard::Failed(Failed::Wrong, "there is no such command".to_owned()),
        };
        words.send(last).await.ok()?;
        words.close().await.ok()
    }
}

impl Containers for FakeContainers {
    fn exec(&self, asked: NodeId, _: String) -> BoxFuture<'_, Result<Box<dyn Carried>, String>> {
        if asked == node(2) {
            return Box::pin(async { Err("it is cut off".to_owned()) });
        }
        let (near, far) = duplex(1024);
        let running = Self::run(far, self.asked.clone(), self.resized.clone());
        let over = self.over.clone();
        tokio::spawn(async move {
            running.await;
            over.send_modify(|over| *over += 1);
        });
        Box::pin(async move { Ok(Box::new(near) as Box<dyn Carried>) })
    }

    fn run(
        &self,
        asked: NodeId,
        one_off: OneOffAsked,
    ) -> BoxFuture<'_, Result<Box<dyn Carried>, String>> {
        self.one_offs.lock().unwrap().push((asked, one_off));
        self.exec(asked, String::new())
    }

    fn inspect(&self, asked: NodeId, container: String) -> BoxFuture<'_, Result<Value, String>> {
        let told = match asked == node(2) {
            true => Err("it is cut off".to_owned()),
            false => Ok(json!({"Id": container, "HostConfig": {"Memory": 0}})),
        };
        Box::pin(async move { told })
    }

    fn usage(&self, asked: NodeId, _: String) -> BoxFuture<'_, Result<Usage, String>> {
        Box::pin(async move { Self::used(asked) })
    }
}

impl FakeContainers {
    /// The first node does not count networks.
    fn used(asked: NodeId) -> Result<Usage, String> {
        match asked == node(2) {
            true => Err("it is cut off".to_owned()),
            false => Ok(Usage {
                cpu: Some(CpuUse { usage: 12.5 }),
                memory: Some(MemoryUse {
                    usage: 1 << 20,
                    limit: Some(4 << 20),
                }),
                network: None,
            }),
        }
    }
}

/// Nodes that say how their network is, but for the second.
struct FakeNetworks;

impl Networks for FakeNetworks {
    fn of(&self, asked: NodeId) -> BoxFuture<'_, Result<NodeNetwork, String>> {
        let peer = Peer {
            node: String::new(),
            node_id: node(2).to_string(),
            way: Way::Relayed,
            through: Some(node(1).to_string()),
            rtt_micros: Some(1_200),
            lost_in_1000: Some(0),
            handshake_age_millis: None,
            mtu: 1396,
            received_bytes: 1,
            sent_bytes: 2,
            forwarded_bytes: 0,
            drops: BTreeMap::new(),
        };
        let network = NodeNetwork {
            interface: Some("kontena0".to_owned()),
            peers: vec![peer],
            ..NodeNetwork::default()
        };
        let answer = match asked == node(2) {
            true => Err("it is cut off".to_owned()),
            false => Ok(network),
        };
        Box::pin(async move { answer })
    }
}

/// What the asked host has beside its default route.
pub(super) fn route() -> HostRoute {
    HostRoute {
        to: "192.168.1.0/24".parse().unwrap(),
        device: "eth0".to_owned(),
    }
}

/// A key-value store of one node, on which time stands still.
fn key_store() -> (watch::Receiver<Arc<Keys>>, mpsc::Sender<KeyOrder>) {
    let (shown, keys) = watch::channel(Arc::<Keys>::default());
    let (writes, mut orders) = mpsc::channel::<KeyOrder>(8);
    let life = Life {
        writer: node(1),
        boot: 1,
        nonce: 1,
    };
    tokio::spawn(async move {
        while let Some((write, answer)) = orders.recv().await {
            let mut keys = Keys::clone(&shown.borrow());
            let reply = keys.write(&write, life, Instant::ZERO);
            shown.send_replace(Arc::new(keys));
            answer.send(reply.map(|(event, _)| event)).ok();
        }
    });
    (keys, writes)
}
