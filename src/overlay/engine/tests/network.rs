//! The imagined network. Its clock is its own; that of boringtun's timers stands still, as far as
//! the moments of a test are concerned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{engine, member};
use crate::config::Peer;
use crate::drops::Drops;
use crate::engine::{Engine, TURN};
use crate::key::PrivateKey;
use crate::packet::offload::{LENGTH, Offload};
use crate::packet::tests::datagram;
use crate::snapshot::PeerStatus;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn key(node: usize) -> PrivateKey {
    PrivateKey::new([node as u8 + 1; 32])
}

/// An address of a node's subnet.
pub(super) fn subnet(node: usize, host: u8) -> String {
    format!("10.80.{node}.{host}")
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Network {
    engines: Vec<Engine>,
    peers: Vec<Vec<Peer>>,
    addresses: Vec<SocketAddr>,
    /// Outer addresses of nodes behind a translator, and whom they have sent to.
    translators: BTreeMap<usize, (SocketAddr, BTreeSet<SocketAddr>)>,
    cut: BTreeSet<(usize, usize)>,
    longest: usize,
    received: Vec<Vec<Vec<u8>>>,
    recorded: Option<Vec<Sent>>,
    handshakes: usize,
    now: Instant,
}

impl Network {
    /// Nodes that know all others, and may relay through all.
    pub(super) fn new(nodes: usize) -> Self {
        let addresses: Vec<SocketAddr> = (0..nodes)
            .map(|node| ([192, 0, 2, node as u8 + 1], 51820).into())
            .collect();
        let peers = (0..nodes).map(|node| peers(node, &addresses)).collect();
        let mut network = Self {
            engines: (0..nodes).map(engine).collect(),
            peers,
            addresses,
            translators: BTreeMap::new(),
            cut: BTreeSet::new(),
            longest: usize::MAX,
            received: vec![Vec::new(); nodes],
            recorded: None,
            handshakes: 0,
            now: Instant::now(),
        };
        (0..nodes).for_each(|node| network.apply(node));
        network
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn engine(&mut self, node: usize) -> &mut Engine {
        &mut self.engines[node]
    }

    pub(super) fn address(&self, node: usize) -> SocketAddr {
        self.addresses[node]
    }

    pub(super) fn outer(&self, node: usize) -> SocketAddr {
        self.translators
            .get(&node)
            .map_or(self.addresses[node], |(outer, _)| *outer)
    }

    pub(super) fn peers_of(&self, node: usize) -> Vec<Peer> {
        self.peers[node].clone()
    }

    /// Messages of handshakes that arrived so far.
    pub(super) fn handshakes(&self) -> usize {
        self.handshakes
    }

    pub(super) fn drops(&self, node: usize) -> Drops {
        self.engines[node].drops()
    }

    /// What `node` says of `peer`.
    pub(super) fn status(&self, node: usize, peer: usize) -> PeerStatus {
        let peers = self.engines[node].peers(self.now);
        let peer = peers
            .into_iter()
            .find(|status| status.key == key(peer).public_key());
        peer.expect("it is a peer")
    }

    /// The packets that came out of a node since it was last asked.
    pub(super) fn received(&mut self, node: usize) -> Vec<Vec<u8>> {
        self.collect(node);
        std::mem::take(&mut self.received[node])
    }

    pub(super) fn change(&mut self, node: usize, change: impl FnOnce(&mut Vec<Peer>)) {
        change(&mut self.peers[node]);
        self.apply(node);
    }

    pub(super) fn keep_alive(&mut self, every: Duration) {
        for node in 0..self.engines.len() {
            self.change(node, |peers| {
                peers
                    .iter_mut()
                    .for_each(|peer| peer.keepalive = Some(every));
            });
        }
    }

    pub(super) fn forget_relays(&mut self) {
        for node in 0..self.engines.len() {
            self.change(node, |peers| {
                peers.iter_mut().for_each(|peer| peer.relays.clear());
            });
        }
    }

    /// A node begins anew, with the same key.
    pub(super) fn restart(&mut self, node: usize) {
        self.engines[node] = engine(node);
        self.apply(node);
        self.settle();
    }

    fn apply(&mut self, node: usize) {
        let peers = self.peers[node].clone();
        self.engines[node]
            .apply(peers, self.now)
            .expect("the peers fit");
    }

    /// Gives a node another address, of which it tells nobody.
    pub(super) fn move_to(&mut self, node: usize, address: &str) {
        self.addresses[node] = address.parse().expect("an address");
    }

    /// Puts a node behind a translator, and tells the others its outer address.
    pub(super) fn translate(&mut self, node: usize) {
        let outer: SocketAddr = ([198, 51, 100, node as u8 + 1], 40000).into();
        self.translators.insert(node, (outer, BTreeSet::new()));
        let public = key(node).public_key();
        for other in 0..self.engines.len() {
            self.change(other, |peers| {
                let theirs = peers.iter_mut().filter(|peer| peer.key == public);
                theirs.for_each(|peer| peer.endpoints = vec![outer]);
            });
        }
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        self.cut.extend([(a, b), (b, a)]);
    }

    pub(super) fn cut_one_way(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Lets no unfragmented IPv4 packet pass that is longer than this.
    pub(super) fn narrow(&mut self, longest: usize) {
        self.longest = longest;
    }

    pub(super) fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    pub(super) fn recorded(&mut self) -> Vec<Sent> {
        self.recorded.take().unwrap_or_default()
    }

    /// A host of one node's subnet sends a datagram to one of another's.
    pub(super) fn send(&mut self, from: usize, to: usize, payload: &[u8]) {
        self.send_raw(from, &datagram(&subnet(from, 1), &subnet(to, 1), payload));
    }

    pub(super) fn send_raw(&mut self, from: usize, packet: &[u8]) {
        let mut frame = vec![0; LENGTH];
        frame.extend(packet);
        self.engines[from].outbound(&frame, self.now);
    }

    /// A datagram arrives at a node out of nowhere.
    pub(super) fn inject(&mut self, from: SocketAddr, to: usize, bytes: &[u8]) {
        self.engines[to].inbound(from, bytes, self.now);
    }

    /// Makes two nodes have a session.
    pub(super) fn meet(&mut self, a: usize, b: usize) {
        self.send(a, b, b"hello");
        self.settle();
        self.send(b, a, b"hello");
        self.settle();
        assert!(
            !self.received(a).is_empty() && !self.received(b).is_empty(),
            "they did not meet"
        );
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.settle();
            self.now += TURN;
            for engine in &mut self.engines {
                engine.turn(self.now);
            }
        }
        self.settle();
    }

    pub(super) fn run_with_traffic(&mut self, time: Duration, a: usize, b: usize) {
        let end = self.now + time;
        while self.now < end {
            self.send(a, b, b"traffic");
            self.send(b, a, b"traffic");
            self.run(TURN);
        }
    }

    pub(super) fn run_with_traffic_among_all(&mut self, time: Duration) {
        let end = self.now + time;
        let nodes = self.engines.len();
        while self.now < end {
            for from in 0..nodes {
                let others = (0..nodes).filter(|to| *to != from);
                others.for_each(|to| self.send(from, to, b"traffic"));
            }
            self.run(TURN);
        }
    }

    /// Tells each node where the others are now.
    pub(super) fn tell_addresses(&mut self) {
        for node in 0..self.engines.len() {
            let addresses: BTreeMap<_, _> = (0..self.engines.len())
                .map(|other| (key(other).public_key(), self.outer(other)))
                .collect();
            self.change(node, |peers| {
                peers
                    .iter_mut()
                    .for_each(|peer| peer.endpoints = vec![addresses[&peer.key]]);
            });
        }
    }

    /// Delivers until nothing is on its way.
    pub(super) fn settle(&mut self) {
        let mut under_way = VecDeque::new();
        loop {
            for node in 0..self.engines.len() {
                self.gather(node, &mut under_way);
                self.collect(node);
            }
            let Some((from, sent)) = under_way.pop_front() else {
                return;
            };
            self.deliver(from, sent);
        }
    }

    /// What a node has ready to be sent, as it leaves its translator.
    fn gather(&mut self, node: usize, under_way: &mut VecDeque<(usize, Sent)>) {
        let own = self.addresses[node];
        let longest = self.longest;
        let mut ready = Vec::new();
        self.engines[node].outbox.flush(|batch| {
            for datagram in batch.datagrams() {
                if !batch.whole || datagram.len() + 28 <= longest {
                    ready.push((batch.to, datagram.to_vec()));
                }
            }
        });
        for (to, bytes) in ready {
            let from = self
                .translators
                .get_mut(&node)
                .map_or(own, |(outer, sent_to)| {
                    sent_to.insert(to);
                    *outer
                });
            let sent = Sent { from, to, bytes };
            if let Some(recorded) = &mut self.recorded {
                recorded.push(sent.clone());
            }
            under_way.push_back((node, sent));
        }
    }

    fn deliver(&mut self, from: usize, sent: Sent) {
        let reached = (0..self.engines.len()).find(|node| match self.translators.get(node) {
            Some((outer, sent_to)) => *outer == sent.to && sent_to.contains(&sent.from),
            None => self.addresses[*node] == sent.to,
        });
        let Some(to) = reached.filter(|to| !self.cut.contains(&(from, *to))) else {
            return;
        };
        self.handshakes += usize::from(matches!(sent.bytes[0], 1 | 2));
        self.engines[to].inbound(sent.from, &sent.bytes, self.now);
    }

    fn collect(&mut self, node: usize) {
        let received = &mut self.received[node];
        self.engines[node].inbox.flush(|frame| {
            let (_, packet) = Offload::split(frame).expect("a frame");
            received.push(packet.to_vec());
        });
    }
}

/// What a node is told of all others.
fn peers(node: usize, addresses: &[SocketAddr]) -> Vec<Peer> {
    let others = (0..addresses.len()).filter(|other| *other != node);
    others
        .map(|other| Peer {
            endpoints: vec![addresses[other]],
            relays: (0..addresses.len())
                .filter(|relay| *relay != node && *relay != other)
                .map(|relay| key(relay).public_key())
                .collect(),
            ..member(other)
        })
        .collect()
}
