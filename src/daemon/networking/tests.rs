//! The tasks on a host of their own: a network namespace. Takes root, `/dev/net/tun` and `ip`; without them a
//! test says so and passes.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::Ipv6Addr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use kontena_core::network::ipam::Subnet;
use kontena_core::network::peers::Peer;
use kontena_core::network::plan::AddressPlan;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// What must not wait for an engine.
const AT_ONCE: Duration = Duration::from_secs(1);
/// For what takes as long as the machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A network namespace; gone with this.
struct Namespace(String);

impl Namespace {
    /// `None`, after saying so, where there can be none.
    fn new() -> Option<Self> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kontena-net-{}-{number}", std::process::id());
        let is_able = rustix::process::geteuid().is_root() && Path::new("/dev/net/tun").exists();
        if !is_able || !ip(&["netns", "add", &name]) {
            say_skipped();
            return None;
        }
        Some(Self(name))
    }

    /// Runs `test` on a thread that lives in here, and so do the threads and processes that it makes.
    fn run(&self, test: impl AsyncFnOnce() + Send) {
        let file = File::open(Path::new("/run/netns").join(&self.0)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                runtime.enable_all().build().unwrap().block_on(test());
            });
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    let done = Command::new("ip").args(arguments).status();
    done.is_ok_and(|status| status.success())
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn say_skipped() {
    eprintln!("skipped: needs root, `/dev/net/tun` and `ip`");
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// This node's network, with the nodes of these seeds.
fn wanted(peers: &[u8]) -> Told {
    let peer = |seed: &u8| {
        let peer = Peer {
            subnet: Some(Subnet::of([10, 80, *seed, 0].into())),
            management: Ipv6Addr::from(u128::from(*seed)),
            endpoints: Vec::new(),
            outer: Vec::new(),
            relays: Vec::new(),
        };
        (key(*seed).node_id(), peer)
    };
    Some(Some(Arc::new(Wanted {
        subnet: Some(Subnet::of([10, 80, 1, 0].into())),
        supernet: AddressPlan::default().supernet(),
        management: "fd00::1".parse().unwrap(),
        management_network: "fd00::".parse().unwrap(),
        peers: peers.iter().map(peer).collect(),
        clients: BTreeMap::new(),
    })))
}

/// An engine that takes connections and never says anything.
struct Hanging {
    docker: Docker,
    _listener: UnixListener,
    _folder: tempfile::TempDir,
}

impl Hanging {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        Self {
            _listener: UnixListener::bind(&socket).unwrap(),
            docker: Docker::connect(socket.to_str(), "kontena").unwrap(),
            _folder: folder,
        }
    }
}

fn start(docker: &Docker) -> (watch::Sender<Told>, Networking, Questions) {
    let (told, tellings) = watch::channel(wanted(&[2, 3]));
    let (networking, questions) = Networking::start(Setting {
        names: Some(Names::standard()),
        port: 0,
        identity: key(1),
        docker: docker.clone(),
        told: tellings,
    });
    (told, networking, questions)
}

async fn nodes(questions: &Questions) -> Vec<String> {
    let (answer, answered) = oneshot::channel();
    questions.send(answer).await.unwrap();
    let network = answered.await.unwrap();
    network.peers.into_iter().map(|peer| peer.node_id).collect()
}

async fn until_nodes(questions: &Questions, limit: Duration, seeds: &[u8]) {
    let mut wanted: Vec<String> = seeds
        .iter()
        .map(|seed| key(*seed).node_id().to_string())
        .collect();
    wanted.sort();
    let reached = timeout(limit, async {
        loop {
            let mut now = nodes(questions).await;
            now.sort();
            if now == wanted {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(reached.await.is_ok(), "not {wanted:?} within {limit:?}");
}

#[test]
fn who_is_shut_out_is_out_at_once_and_a_stop_does_not_wait_while_the_engine_hangs() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(async || {
        let engine = Hanging::start();
        let (told, networking, questions) = start(&engine.docker);
        until_nodes(&questions, PATIENCE, &[2, 3]).await;
        // The other task asks the engine by now, and waits.
        told.send_replace(wanted(&[2]));
        until_nodes(&questions, AT_ONCE, &[2]).await;
        let began = Instant::now();
        networking.end(End::Stop).await;
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    });
}

#[test]
fn the_node_hears_of_its_overlay_before_the_engine_says_anything() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(async || {
        let engine = Hanging::start();
        let (_told, mut networking, _questions) = start(&engine.docker);
        let sight = timeout(PATIENCE, async {
            loop {
                let sight = networking.changed().await;
                if sight.plane.is_some() {
                    return sight;
                }
            }
        });
        assert_eq!(sight.await.unwrap().containers, Containers::Pending);
        networking.end(End::Stop).await;
    });
}
