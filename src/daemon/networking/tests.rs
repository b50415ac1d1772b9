//! The tasks on a host of their own: a network namespace. Takes root, `/dev/net/tun` and `ip`; without them a
//! test says so and passes.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::Ipv6Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use kontena_core::network::ipam::Subnet;
use kontena_core::network::peers::Peer;
use kontena_core::network::plan::AddressPlan;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::network::Firewall;

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
                let runtime = runtime.enable_all().build().unwrap();
                LocalSet::new().block_on(&runtime, test());
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

/// Something at an engine's place.
struct Engine {
    docker: Docker,
    folder: tempfile::TempDir,
    _answering: JoinHandle<()>,
}

impl Engine {
    /// Takes connections and never says anything.
    fn hanging() -> Self {
        Self::start(async |listener| {
            let mut held = Vec::new();
            loop {
                held.push(listener.accept().await.unwrap());
            }
        })
    }

    /// Works, and has nothing.
    fn empty() -> Self {
        Self::start(async |listener| {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Whoever asked may have gone.
                let _ = answer_that_there_is_nothing(stream).await;
            }
        })
    }

    fn start<Answering: Future<Output = ()> + 'static>(
        answer: impl FnOnce(UnixListener) -> Answering,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        Self {
            _answering: tokio::task::spawn_local(answer(listener)),
            docker: Docker::connect(socket.to_str(), "kontena").unwrap(),
            folder,
        }
    }

    /// The tasks as a daemon with these names starts them; this folder is its data directory.
    fn serve(&self, names: Option<Names>) -> (watch::Sender<Told>, Networking, Questions) {
        let (told, tellings) = watch::channel(wanted(&[2, 3]));
        let (networking, questions) = Networking::start(Setting {
            names,
            port: 0,
            identity: key(1),
            docker: self.docker.clone(),
            footprint: Arc::new(self.footprint()),
            told: tellings,
        });
        (told, networking, questions)
    }

    /// As it is on the disk.
    fn footprint(&self) -> Footprint {
        Footprint::read(self.folder.path()).unwrap()
    }
}

async fn answer_that_there_is_nothing(mut stream: UnixStream) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(stream.read_u8().await?);
    }
    let (status, body) = match String::from_utf8_lossy(&asked).contains("/version") {
        true => ("200 OK", r#"{"ApiVersion":"1.43"}"#),
        false => ("404 Not Found", r#"{"message":"no such thing"}"#),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}");
    let answer = format!("{head}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await
}

fn printed(command: &str) -> String {
    let done = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let reached = timeout(PATIENCE, async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(reached.await.is_ok(), "{what} did not come");
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
        let engine = Engine::hanging();
        let (told, networking, questions) = engine.serve(Some(Names::standard()));
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
        let engine = Engine::hanging();
        let (_told, mut networking, _questions) = engine.serve(Some(Names::standard()));
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

#[test]
fn what_a_daemon_of_other_names_left_is_taken_away_by_one_that_takes_no_part() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(async || {
        let engine = Engine::empty();
        let (_told, networking, questions) = engine.serve(Some(Names::standard()));
        until_nodes(&questions, PATIENCE, &[2, 3]).await;
        networking.end(End::Stop).await;
        // As its firewall does where an engine makes its network.
        printed("iptables -A INPUT -m comment --comment kontena:kontena0 -j ACCEPT");
        let rules = || printed("iptables -S INPUT");
        let routes = || printed("ip route");
        assert!(rules().contains("kontena:kontena0"), "{}", rules());
        assert!(routes().contains("blackhole 10.80.0.0/12"), "{}", routes());
        assert!(engine.footprint().interfaces().contains("kontena0"));

        let (_told, networking, _questions) = engine.serve(None);
        until("an end of the rules", || !rules().contains("kontena")).await;
        until("an end of the routes", || !routes().contains("blackhole")).await;
        until("an end of the footprint", || {
            let left = engine.footprint();
            left.interfaces().is_empty() && left.held().is_empty()
        })
        .await;
        networking.end(End::Stop).await;
    });
}

#[test]
fn what_cannot_be_removed_yet_is_not_forgotten() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(async || {
        let engine = Engine::hanging();
        engine.footprint().add("kontena7", &[]).unwrap();
        printed("iptables -A INPUT -m comment --comment kontena:kontena7 -j ACCEPT");
        let (_told, networking, _questions) = engine.serve(Some(Names::standard()));
        let rules = || printed("iptables -S INPUT");
        // The engine is asked after that, and does not answer.
        until("an end of the rules", || !rules().contains("kontena7")).await;
        networking.end(End::Stop).await;
        assert!(engine.footprint().interfaces().contains("kontena7"));
    });
}

#[test]
fn our_rules_stand_before_the_engine_s_and_stay_as_they_are() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(async || {
        let firewall = Firewall::new(Names::standard());
        let rules = || printed("iptables -S; iptables -t nat -S");
        let ensure = async || firewall.ensure("10.80.7.0/24").await.unwrap();
        let count = ensure().await.len();
        let first = rules();
        assert_eq!(first.matches("kontena:kontena0").count(), count, "{first}");
        // After what is let through: whoever else speaks in the name of a container.
        let dropped = "-A FORWARD -s 10.80.7.0/24 ! -i kontena-br -o kontena0";
        assert!(first.contains(dropped), "{first}");
        ensure().await;
        assert_eq!(rules(), first);
        // As an engine does that starts again.
        printed("iptables -t nat -I POSTROUTING 1 -s 10.80.7.0/24 ! -o kontena-br -j MASQUERADE");
        ensure().await;
        let after = rules();
        let place = |what: &str| after.find(what).unwrap();
        assert!(place("RETURN") < place("MASQUERADE"), "{after}");
        assert_eq!(after.matches("kontena:kontena0").count(), count, "{after}");
        firewall.remove().await.unwrap();
        assert!(!rules().contains("kontena:kontena0"), "{}", rules());
    });
}
