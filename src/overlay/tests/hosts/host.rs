//! One host: a namespace with an overlay in it.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use kontena_overlay::{
    Config, Overlay, Peer, PeerStatus, PrivateKey, PublicKey, Snapshot, StartError,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::lab::{output, succeed};

/// How long something may take that the network has to find out.
const PATIENCE: Duration = Duration::from_secs(60);

/// The private key of a host.
pub(crate) fn key(number: u8) -> PrivateKey {
    PrivateKey::new([number; 32])
}

/// A host without an overlay.
pub(crate) struct Stopped {
    namespace: String,
    number: u8,
    address: IpAddr,
    offload: bool,
}

impl Stopped {
    pub(crate) fn new(namespace: String, number: u8, address: IpAddr) -> Self {
        Self {
            namespace,
            number,
            address,
            offload: true,
        }
    }

    pub(crate) fn with_offload(self, offload: bool) -> Self {
        Self { offload, ..self }
    }

    pub(crate) fn start(self) -> Host {
        let overlay = self.try_start().expect("an overlay can be started");
        Host {
            stopped: self,
            running: Running::Overlay(overlay),
        }
    }

    fn try_start(&self) -> Result<Overlay, StartError> {
        let mut config = Config::new(&format!("kontena{}", self.number), key(self.number));
        config.addresses = vec![
            format!("10.98.0.{}/32", self.number)
                .parse()
                .expect("a prefix"),
            format!("fd98::{}/128", self.number)
                .parse()
                .expect("a prefix"),
        ];
        config.routes = vec![
            "10.98.0.0/16".parse().expect("a prefix"),
            "fd98::/64".parse().expect("a prefix"),
        ];
        config.port = 5000 + u16::from(self.number);
        config.offload = self.offload;
        within(&self.namespace, move || Overlay::start(&config))
    }

    /// Runs `wireguard-go` in place of an overlay, with one peer.
    pub(crate) fn start_wireguard_go(self, peer: &Host) -> Host {
        let name = format!("w{}{}", std::process::id() % 100_000, self.number);
        let child = Command::new("ip")
            .args([
                "netns",
                "exec",
                &self.namespace,
                "wireguard-go",
                "-f",
                &name,
            ])
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("wireguard-go can be run");
        let socket = format!("/var/run/wireguard/{name}.sock");
        await_true("wireguard-go", || fs::metadata(&socket).is_ok());
        let file = std::env::temp_dir().join(format!("{name}.conf"));
        fs::write(&file, self.settings(peer)).expect("a file can be written");
        let run = |line: String| succeed(&format!("ip netns exec {} {line}", self.namespace));
        run(format!("wg setconf {name} {}", file.display()));
        run(format!(
            "ip address add 10.98.0.{}/16 dev {name}",
            self.number
        ));
        run(format!("ip link set {name} mtu 1420 up"));
        let _ = fs::remove_file(file);
        Host {
            stopped: self,
            running: Running::Process(child, socket),
        }
    }

    fn settings(&self, peer: &Host) -> String {
        format!(
            "[Interface]\nPrivateKey = {}\nListenPort = {}\n[Peer]\nPublicKey = {}\n\
             AllowedIPs = 10.98.0.0/16\nEndpoint = {}\n",
            BASE64.encode(&[self.number; 32]),
            5000 + u16::from(self.number),
            BASE64.encode(&peer.public().0),
            peer.endpoint(),
        )
    }

    pub(crate) fn output(&self, line: &str) -> String {
        succeed(&format!("ip netns exec {} {line}", self.namespace))
    }
}

/// A host that takes part.
pub(crate) struct Host {
    stopped: Stopped,
    running: Running,
}

enum Running {
    Overlay(Overlay),
    /// And the socket by which it is set up, which it leaves behind.
    Process(Child, String),
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Process(child, socket) = self {
            let _ = child.kill();
            let _ = child.wait();
            let _ = fs::remove_file(socket);
        }
    }
}

impl Host {
    pub(crate) fn number(&self) -> u8 {
        self.stopped.number
    }

    pub(crate) fn interface(&self) -> String {
        format!("kontena{}", self.stopped.number)
    }

    pub(crate) fn public(&self) -> PublicKey {
        key(self.number()).public_key()
    }

    pub(crate) fn inner(&self) -> String {
        format!("10.98.0.{}", self.number())
    }

    pub(crate) fn inner_v6(&self) -> String {
        format!("fd98::{}", self.number())
    }

    pub(crate) fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.stopped.address, 5000 + u16::from(self.number()))
    }

    pub(crate) fn overlay(&self) -> &Overlay {
        match &self.running {
            Running::Overlay(overlay) => overlay,
            Running::Process(..) => panic!("this host runs another implementation"),
        }
    }

    pub(crate) fn start_another(&self) -> Result<Overlay, StartError> {
        self.stopped.try_start()
    }

    pub(crate) fn stop(self) -> Stopped {
        if let Running::Overlay(_) = &self.running {
            drop(self.running);
        }
        self.stopped
    }

    /// Makes the others its peers, each a relay to each.
    pub(crate) fn apply(&self, others: &[&Self]) {
        let others: Vec<_> = others
            .iter()
            .map(|other| (*other, other.endpoint()))
            .collect();
        self.apply_at(&others);
    }

    pub(crate) fn apply_at(&self, others: &[(&Self, SocketAddr)]) {
        let keys: Vec<_> = others.iter().map(|(other, _)| other.public()).collect();
        let peers = others.iter().map(|(other, endpoint)| {
            let mut peer = other.as_peer();
            peer.endpoints = vec![*endpoint];
            peer.relays = keys
                .iter()
                .copied()
                .filter(|key| *key != peer.key)
                .collect();
            peer
        });
        self.apply_peers(peers.collect());
    }

    /// Makes the others its peers, without saying where they are.
    pub(crate) fn apply_unknown(&self, others: &[&Self]) {
        self.apply_peers(others.iter().map(|other| other.as_peer()).collect());
    }

    pub(crate) fn apply_peers(&self, peers: Vec<Peer>) {
        let applied = self.overlay().apply(peers).expect("the overlay runs");
        applied.expect("the peers fit");
    }

    fn as_peer(&self) -> Peer {
        let mut peer = Peer::member(self.public());
        peer.allowed = vec![
            format!("{}/32", self.inner()).parse().expect("a prefix"),
            format!("{}/128", self.inner_v6())
                .parse()
                .expect("a prefix"),
        ];
        peer.keepalive = Some(Duration::from_secs(5));
        peer
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.overlay().snapshot().expect("the overlay runs")
    }

    pub(crate) fn status(&self, other: &Self) -> PeerStatus {
        let peers = self.snapshot().peers;
        let peer = peers.into_iter().find(|peer| peer.key == other.public());
        peer.expect("it is a peer")
    }

    pub(crate) fn await_peer(&self, other: &Self) {
        self.await_ping(&other.inner());
    }

    pub(crate) fn await_ping(&self, to: &str) {
        await_true(&format!("an answer of {to}"), || {
            self.try_ping(to, &[]).contains(" 0% packet loss")
        });
    }

    pub(crate) fn await_stop(&self) {
        await_true("end", || self.overlay().snapshot().is_err());
    }

    pub(crate) fn await_that(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !is(self) {
            assert!(
                Instant::now() < limit,
                "no {what} in {:#?}",
                self.snapshot()
            );
            sleep(Duration::from_millis(100));
        }
    }

    /// Three packets, all of which must come back.
    pub(crate) fn ping(&self, to: &str, arguments: &[&str]) {
        let said = self.try_ping(to, arguments);
        assert!(said.contains(" 0% packet loss"), "{arguments:?}: {said}");
    }

    pub(crate) fn try_ping(&self, to: &str, arguments: &[&str]) -> String {
        let line = format!("ping -n -c 3 -i 0.1 -W 3 {} {to}", arguments.join(" "));
        let output = output(&format!("ip netns exec {} {line}", self.stopped.namespace));
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        said(&output.stdout) + &said(&output.stderr)
    }

    pub(crate) fn run(&self, line: &str) {
        self.output(line);
    }

    pub(crate) fn output(&self, line: &str) -> String {
        self.stopped.output(line)
    }

    pub(crate) fn try_run(&self, line: &str) -> bool {
        let line = format!("ip netns exec {} {line}", self.stopped.namespace);
        output(&line).status.success()
    }

    /// Does something in this host's network.
    pub(crate) fn within<Answer: Send + 'static>(
        &self,
        work: impl FnOnce() -> Answer + Send + 'static,
    ) -> Answer {
        within(&self.stopped.namespace, work)
    }
}

/// Runs in a thread that has moved into a namespace; what it opens there stays there.
fn within<Answer: Send + 'static>(
    namespace: &str,
    work: impl FnOnce() -> Answer + Send + 'static,
) -> Answer {
    use std::os::fd::AsFd;
    let file = File::open(format!("/run/netns/{namespace}")).expect("the namespace exists");
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter a namespace");
        work()
    });
    thread.join().expect("the work succeeds")
}

fn await_true(what: &str, is: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < limit, "no {what}");
        sleep(Duration::from_millis(100));
    }
}
