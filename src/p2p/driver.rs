//! The one task that owns the swarm: it dials, keeps the books of connections, and shows strangers
//! the door. It never waits for anybody but the swarm, so it cannot be blocked by a slow daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::request_response::{
    Event as JoinEvent, Message as JoinMessage, OutboundRequestId, ResponseChannel,
};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, TransportError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::P2pEvent;
use super::behaviour::{Behaviour, BehaviourEvent, DIAL_LIMIT};
use super::connections::{Connection, Connections};
use super::joining::Target;
use super::keys::{Peers, node_id, socket_address};
use super::strangers::{ANSWER_LIMIT, Questions, may_connect};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);

/// While a dial is under way another one is tried, because the kernel repeats its first packet more
/// and more slowly: a healed link is noticed within this.
const REDIAL: Duration = Duration::from_secs(1);

/// A little more than a dial may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

const ITSELF: &str = "that is this node itself";

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

/// A member that is being dialled.
struct Dial {
    waiting: Vec<Answer<()>>,
    attempts: BTreeSet<ConnectionId>,
    last: Instant,
}

struct Ask {
    bytes: Vec<u8>,
    reply: Answer<Vec<u8>>,
}

impl Driver {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        orders: mpsc::Receiver<Order>,
        peers: watch::Receiver<Peers>,
        events: mpsc::Sender<P2pEvent>,
    ) -> Self {
        Self {
            swarm,
            orders,
            peers,
            events,
            connections: Connections::default(),
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
            Order::Disconnect { peer } => self.close(|driver| driver.connections.close_peer(&peer)),
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
    }

    /// Whoever is no member any more is closed; whoever was a stranger may have become one.
    fn on_peers(&mut self) {
        let peers = self.peers.borrow_and_update().clone();
        self.dials.retain(|peer, _| peers.node_of(peer).is_some());
        let young = |connection: &Connection| connection.since.elapsed() < ANSWER_LIMIT;
        let spared = self.spared();
        self.close(|driver| {
            driver.connections.close_all(|_, connection| {
                let is_spared = spared.contains(&connection.peer) && young(connection);
                peers.node_of(&connection.peer).is_none() && !is_spared
            })
        });
    }

    // --- members ---

    fn connect(&mut self, peer: PeerId, reply: Answer<()>) {
        if self.connections.is_connected(&peer) {
            // Whoever asked may have given up.
            drop(reply.send(Ok(())));
            return;
        }
        if let Some(dial) = self.dials.get_mut(&peer) {
            dial.waiting.retain(|waiting| !waiting.is_closed());
            dial.waiting.push(reply);
            return;
        }
        let dial = Dial {
            waiting: vec![reply],
            attempts: BTreeSet::new(),
            last: Instant::now(),
        };
        self.dials.insert(peer, dial);
        self.dial(peer);
    }

    fn dial(&mut self, peer: PeerId) {
        let addresses = self.peers.borrow().addresses(&peer);
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            // The port of the listener might still belong to the dead connection before.
            .allocate_new_port()
            .build();
        let attempt = options.connection_id();
        if let Some(dial) = self.dials.get_mut(&peer) {
            dial.attempts.insert(attempt);
            dial.last = Instant::now();
        }
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_failed(attempt, Some(peer), &error);
        }
    }

    /// One more attempt where the last one hangs, while somebody waits.
    fn redial(&mut self) {
        let mut due = Vec::new();
        self.dials.retain(|peer, dial| {
            dial.waiting.retain(|waiting| !waiting.is_closed());
            let wanted = !dial.waiting.is_empty();
            if wanted && dial.last.elapsed() >= REDIAL {
                due.push(*peer);
            }
            wanted
        });
        for peer in due {
            self.dial(peer);
        }
    }

    fn on_dial_failed(&mut self, attempt: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        if let Some(ask) = self.asks.remove(&attempt) {
            drop(ask.reply.send(Err(dial_problem(error))));
            return;
        }
        let Some(peer) = peer else { return };
        self.tell_unreachable(&peer, error);
        let Some(dial) = self.dials.get_mut(&peer) else {
            return;
        };
        dial.attempts.remove(&attempt);
        if dial.attempts.is_empty() {
            self.end_dial(&peer, &Err(dial_problem(error)));
        }
    }

    fn end_dial(&mut self, peer: &PeerId, result: &Result<(), String>) {
        let waiting = self.dials.remove(peer).map(|dial| dial.waiting);
        for reply in waiting.unwrap_or_default() {
            drop(reply.send(result.clone()));
        }
    }

    fn tell_unreachable(&self, peer: &PeerId, error: &DialError) {
        let Some(node) = self.peers.borrow().node_of(peer) else {
            return;
        };
        self.tell(if is_refused(error) {
            P2pEvent::Refused { peer: node }
        } else {
            P2pEvent::Unreachable {
                peer: node,
                problem: dial_problem(error),
            }
        });
    }

    // --- connections ---

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
            self.close(|driver| driver.connections.close_superfluous(id, &own));
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
            self.close(|driver| driver.connections.close_peer(peer));
        }
    }

    fn close_silent_strangers(&mut self) {
        let spared = self.spared();
        let peers = self.peers.borrow().clone();
        self.close(|driver| {
            driver.connections.close_all(|_, connection| {
                connection.since.elapsed() >= ANSWER_LIMIT
                    && peers.node_of(&connection.peer).is_none()
                    && !spared.contains(&connection.peer)
            })
        });
    }

    fn close(&mut self, choose: impl FnOnce(&mut Self) -> Vec<ConnectionId>) {
        for id in choose(self) {
            self.swarm.close_connection(id);
        }
    }

    // --- joining ---

    fn ask_join(&mut self, target: Target, ask: Ask) {
        if self.swarm.listeners().any(|own| *own == target.address) {
            drop(ask.reply.send(Err(ITSELF.to_owned())));
            return;
        }
        let options = match target.peer {
            Some(peer) => DialOpts::peer_id(peer)
                .addresses(vec![target.address])
                .condition(PeerCondition::Always)
                .allocate_new_port()
                .build(),
            None => DialOpts::unknown_peer_id()
                .address(target.address)
                .allocate_new_port()
                .build(),
        };
        let attempt = options.connection_id();
        self.asks.insert(attempt, ask);
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_failed(attempt, None, &error);
        }
    }

    fn answer_join(&mut self, id: u64, bytes: Vec<u8>) {
        self.questions.close(id);
        if let Some(channel) = self.answers.remove(&id) {
            let sent = self
                .swarm
                .behaviour_mut()
                .join
                .send_response(channel, bytes);
            if sent.is_err() {
                tracing::debug!(id, "The asker of a join did not wait for its answer");
            }
        }
    }

    fn on_join(&mut self, event: JoinEvent<Vec<u8>, Vec<u8>>) {
        match event {
            JoinEvent::Message {
                peer,
                connection_id,
                message:
                    JoinMessage::Request {
                        request, channel, ..
                    },
            } => self.on_question(peer, connection_id, request, channel),
            JoinEvent::Message {
                message:
                    JoinMessage::Response {
                        request_id,
                        response,
                    },
                ..
            } => self.on_answer(request_id, Ok(response)),
            JoinEvent::OutboundFailure {
                request_id, error, ..
            } => self.on_answer(request_id, Err(format!("it did not answer: {error}"))),
            JoinEvent::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "A join request failed");
            }
            JoinEvent::ResponseSent { peer, .. } => tracing::debug!(%peer, "A join was answered"),
        }
    }

    /// Refused by dropping the channel: the asker sees its stream end.
    fn on_question(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        bytes: Vec<u8>,
        channel: ResponseChannel<Vec<u8>>,
    ) {
        let (Some(from), Some(connection)) = (node_id(&peer), self.connections.get(connection))
        else {
            return;
        };
        let seen = connection.address;
        let Some(id) = self.questions.ask(peer, seen.ip(), Instant::now()) else {
            tracing::debug!(%peer, %seen, "Too many join requests");
            return;
        };
        let asked = P2pEvent::JoinAsked {
            id,
            from,
            bytes,
            seen,
        };
        if self.events.try_send(asked).is_ok() {
            self.answers.insert(id, channel);
        } else {
            self.questions.close(id);
        }
    }

    fn on_answer(&mut self, request: OutboundRequestId, answer: Result<Vec<u8>, String>) {
        if let Some((_, reply)) = self.asked.remove(&request) {
            drop(reply.send(answer));
        }
    }

    fn forget_questions(&mut self) {
        for id in self.questions.expired(Instant::now()) {
            self.answers.remove(&id);
        }
        let questions = &mut self.questions;
        self.answers.retain(|id, channel| {
            let open = channel.is_open();
            if !open {
                questions.close(*id);
            }
            open
        });
    }

    fn forget_asks(&mut self) {
        self.asks.retain(|_, ask| !ask.reply.is_closed());
        self.asked.retain(|_, (_, reply)| !reply.is_closed());
    }

    // --- telling ---

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

/// Whether a host answered that nobody listens there.
fn is_refused(error: &DialError) -> bool {
    let DialError::Transport(attempts) = error else {
        return false;
    };
    attempts.iter().any(|(_, error)| has_refused(error))
}

/// By its words: libp2p wraps the system's error so that its kind cannot be reached.
fn has_refused(error: &TransportError<io::Error>) -> bool {
    cause(error).contains("Connection refused")
}

/// What libp2p's own text leaves out.
fn cause(error: &TransportError<io::Error>) -> String {
    match error {
        TransportError::Other(error) => error.to_string(),
        TransportError::MultiaddrNotSupported(_) => error.to_string(),
    }
}

/// In words for people, shorter than libp2p's.
fn dial_problem(error: &DialError) -> String {
    match error {
        DialError::LocalPeerId { .. } => ITSELF.to_owned(),
        DialError::NoAddresses => "no address of it is known".to_owned(),
        DialError::WrongPeerId { address, .. } => {
            format!("another node answers at `{}`", plain(address))
        }
        DialError::Transport(attempts) => {
            let each = attempts
                .iter()
                .map(|(address, error)| attempt_problem(address, error));
            each.collect::<Vec<_>>().join(", ")
        }
        DialError::DialPeerConditionFalse(_) | DialError::Aborted | DialError::Denied { .. } => {
            error.to_string()
        }
    }
}

fn attempt_problem(address: &Multiaddr, error: &TransportError<io::Error>) -> String {
    match has_refused(error) {
        true => format!("`{}` refuses the connection", plain(address)),
        false => format!("`{}`: {}", plain(address), cause(error)),
    }
}

fn plain(address: &Multiaddr) -> String {
    socket_address(address).map_or_else(|| address.to_string(), |socket| socket.to_string())
}
