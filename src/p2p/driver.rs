//! The one task that owns the swarm: it dials, keeps the books of connections, and shows strangers
//! the door. It never waits for anybody but the swarm, so it cannot be blocked by a slow daemon.

mod admitting;
mod dialling;
mod problem;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::request_response::{OutboundRequestId, ResponseChannel};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{PeerId, Swarm};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::P2pEvent;
use super::behaviour::{Behaviour, BehaviourEvent};
use super::connections::{Connection, Connections};
use super::joining::Target;
use super::keys::{Peers, socket_address};
use super::open_streams::OpenStreams;
use super::strangers::{ANSWER_LIMIT, Questions, may_connect};
use admitting::Ask;
use dialling::Dial;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);

/// A little more than a dial may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

type Answer<T> = oneshot::Sender<Result<T, String>>;

/// What the driver is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Make sure that there is a connection with a member.
    Connect {
        peer: PeerId,
        reply: Answer<()>,
    },
    /// Close the connections with a peer, because they are dead.
    Disconnect {
        peer: PeerId,
    },
    /// Close the connections with a stranger that speaks like a member.
    Dismiss {
        peer: PeerId,
    },
    AskJoin {
        target: Target,
        bytes: Vec<u8>,
        reply: Answer<Vec<u8>>,
    },
    AnswerJoin {
        id: u64,
        bytes: Vec<u8>,
    },
}

/// Returns once there is a connection with `peer`, or says why there is none.
pub(super) async fn connect(orders: &mpsc::Sender<Order>, peer: PeerId) -> Result<(), String> {
    let (reply, answer) = oneshot::channel();
    let ended = || "the wire has ended".to_owned();
    let sent = orders.send(Order::Connect { peer, reply }).await;
    sent.map_err(|_| ended())?;
    match tokio::time::timeout(CONNECT_LIMIT, answer).await {
        Ok(answer) => answer.map_err(|_| ended())?,
        Err(_) => Err("no connection in time".to_owned()),
    }
}

pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    orders: mpsc::Receiver<Order>,
    peers: watch::Receiver<Peers>,
    events: mpsc::Sender<P2pEvent>,
    connections: Connections,
    open_streams: OpenStreams,
    dials: BTreeMap<PeerId, Dial>,
    /// Join requests of ours whose connection is being made.
    asks: BTreeMap<ConnectionId, Ask>,
    /// Join requests of ours that wait for an answer.
    asked: BTreeMap<OutboundRequestId, (PeerId, Answer<Vec<u8>>)>,
    questions: Questions,
    answers: BTreeMap<u64, ResponseChannel<Vec<u8>>>,
    /// The daemon does not know our newest addresses yet.
    listening_changed: bool,
}

impl Driver {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        orders: mpsc::Receiver<Order>,
        peers: watch::Receiver<Peers>,
        open_streams: OpenStreams,
        events: mpsc::Sender<P2pEvent>,
    ) -> Self {
        Self {
            swarm,
            orders,
            peers,
            events,
            connections: Connections::default(),
            open_streams,
            dials: BTreeMap::new(),
            asks: BTreeMap::new(),
            asked: BTreeMap::new(),
            questions: Questions::default(),
            answers: BTreeMap::new(),
            listening_changed: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(order) = self.orders.recv() => self.on_order(order),
                Ok(()) = self.peers.changed() => self.on_peers(),
                _ = tick.tick() => self.on_tick(),
                else => return,
            }
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Connect { peer, reply } => self.connect(peer, reply),
            Order::Disconnect { peer } => self.disconnect(&peer),
            Order::Dismiss { peer } => self.dismiss(&peer),
            Order::AskJoin {
                target,
                bytes,
                reply,
            } => self.ask_join(target, Ask { bytes, reply }),
            Order::AnswerJoin { id, bytes } => self.answer_join(id, bytes),
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "libp2p's enum is not ours, and grows"
        )]
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Join(event)) => self.on_join(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.on_connected(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.connections.remove(connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => self.on_dial_failed(connection_id, peer_id, &error),
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ListenerClosed { .. } => {
                self.listening_changed = true;
                self.tell_listening();
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "Listening fails");
            }
            other => tracing::trace!(?other, "Swarm"),
        }
    }

    fn on_tick(&mut self) {
        self.tell_listening();
        self.redial();
        self.forget_questions();
        self.forget_asks();
        self.close_silent_strangers();
        self.close_idle();
    }

    /// Of two connections that were made at once, the one that is one too many.
    fn close_idle(&mut self) {
        let streams = &self.open_streams;
        let idle = self.connections.close_idle(|peer| streams.is_idle(peer));
        self.close(idle);
    }

    /// Whoever is no member any more is closed; whoever was a stranger may have become one.
    fn on_peers(&mut self) {
        let spared = self.spared();
        let peers = self.peers.borrow_and_update();
        self.dials.retain(|peer, _| peers.node_of(peer).is_some());
        let closed = self.connections.close_former_members(
            |peer| peers.node_of(peer).is_some(),
            |connection| {
                spared.contains(&connection.peer) && connection.since.elapsed() < ANSWER_LIMIT
            },
        );
        drop(peers);
        self.close(closed);
    }

    fn on_connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let Some(address) = socket_address(endpoint.get_remote_address()) else {
            self.swarm.close_connection(id);
            return;
        };
        let member = self.peers.borrow().node_of(&peer);
        let connection = Connection {
            peer,
            address,
            inbound: endpoint.is_listener(),
            since: Instant::now(),
            member: member.is_some(),
            superfluous: false,
            closing: false,
        };
        if member.is_none() && connection.inbound && !self.has_room_for(address) {
            tracing::debug!(%address, "Too many strangers");
            self.swarm.close_connection(id);
            return;
        }
        self.connections.add(id, connection);
        if let Some(ask) = self.asks.remove(&id) {
            let request = self
                .swarm
                .behaviour_mut()
                .join
                .send_request(&peer, ask.bytes);
            self.asked.insert(request, (peer, ask.reply));
        } else {
            let own = *self.swarm.local_peer_id();
            let superfluous = self.connections.close_superfluous(id, &own);
            self.close(superfluous);
        }
        self.end_dial(&peer, &Ok(()));
        if let Some(peer) = member {
            self.tell(P2pEvent::Connected { peer, address });
        }
    }

    fn has_room_for(&self, address: SocketAddr) -> bool {
        let peers = self.peers.borrow();
        let others = self
            .connections
            .strangers(|peer| peers.node_of(peer).is_some());
        may_connect(address.ip(), &others)
    }

    /// Strangers that have a question open, or of whom we asked something.
    fn spared(&self) -> BTreeSet<PeerId> {
        let asked = self.asked.values().map(|(peer, _)| *peer);
        asked.chain(self.questions.asking()).collect()
    }

    fn dismiss(&mut self, peer: &PeerId) {
        let is_member = self.peers.borrow().node_of(peer).is_some();
        if !is_member && !self.spared().contains(peer) {
            self.disconnect(peer);
        }
    }

    fn close_silent_strangers(&mut self) {
        let spared = self.spared();
        let peers = self.peers.borrow();
        let silent = self.connections.close_all(|connection| {
            connection.since.elapsed() >= ANSWER_LIMIT
                && peers.node_of(&connection.peer).is_none()
                && !spared.contains(&connection.peer)
        });
        drop(peers);
        self.close(silent);
    }

    fn disconnect(&mut self, peer: &PeerId) {
        let closed = self.connections.close_peer(peer);
        self.close(closed);
    }

    fn close(&mut self, connections: Vec<ConnectionId>) {
        for id in connections {
            self.swarm.close_connection(id);
        }
    }

    fn tell_listening(&mut self) {
        if !self.listening_changed {
            return;
        }
        let mut addresses: Vec<SocketAddr> =
            self.swarm.listeners().filter_map(socket_address).collect();
        addresses.sort_by_key(|address| (address.ip().is_loopback(), *address));
        let told = self.events.try_send(P2pEvent::Listening(addresses));
        self.listening_changed = told.is_err();
    }

    fn tell(&self, event: P2pEvent) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("The daemon is too busy to be told of a connection");
        }
    }
}
