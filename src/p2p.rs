//! The wire between nodes: libp2p over TCP, encrypted with noise, multiplexed with yamux.
//!
//! In: messages to members ([`P2p::send`]), who the members are ([`P2p::set_peers`]), a request to be
//! admitted ([`P2p::ask_join`]) and streams for logs ([`P2p::open_stream`]). Out: [`P2pEvent`]s. A
//! connection proves the node's key, so the sender of a message is certain. A stranger is heard on
//! the join protocol alone, within tight limits; it may be a member whom this node does not know.
//!
//! A message may be lost (the queue of a peer is bounded and messages grow old) or doubled (what was
//! not acknowledged when a connection broke is sent again). A dead connection is noticed within
//! [`link::PROGRESS_LIMIT`] of sending, and replaced.
//!
//! Not here: what the bytes mean (`core::message`), who belongs (`core::membership`).

mod answers;
mod behaviour;
mod connections;
mod driver;
mod frames;
mod joining;
mod keys;
mod link;
mod open_streams;
mod outbox;
mod receive;
mod strangers;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use libp2p::PeerId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub(crate) use answers::Answers;
pub(crate) use streams::PeerStream;

use driver::{Driver, Order};
use keys::Peers;
use open_streams::OpenStreams;
use outbox::Outboxes;

/// The port on which every node listens unless it is told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 8470;

/// Orders that wait for the driver; it never blocks, so a few are enough for bursts.
const ORDERS: usize = 1024;

/// How often a flush looks whether all is said.
const FLUSH_PAUSE: Duration = Duration::from_millis(10);

/// How often a question to be admitted is asked, and the pause between.
const ASK_TIMES: u32 = 3;
const ASK_PAUSE: Duration = Duration::from_millis(300);
/// Only what failed at once is asked again; a silence has taken its time already.
const ASK_SOON: Duration = Duration::from_secs(2);

/// How often a stream is opened that is not accepted, as long as that is known soon, and the first pause, which
/// doubles.
const OPEN_TIMES: u32 = 9;
const OPEN_SOON: Duration = Duration::from_secs(3);
const OPEN_PAUSE: Duration = Duration::from_millis(5);

/// Streams that are opened with one member at the same time; the others wait for their turn. More of them take
/// each other's place at the other end.
const OPEN_AT_ONCE: usize = 4;
/// How long one waits for its turn: two others, one after the other, may take all the time there is.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// Something happened on the wire.
#[derive(Debug)]
pub(crate) enum P2pEvent {
    /// A member said something; `from` is proved by the connection, and `answers` go back on it.
    Message {
        from: NodeId,
        bytes: Vec<u8>,
        answers: Answers,
    },
    /// Somebody, a member or not, asks to be admitted or says that it is a member: to be answered within
    /// [`strangers::ANSWER_LIMIT`] by [`P2p::answer_join`]. Only the IP of `seen` tells something.
    JoinAsked {
        id: u64,
        from: NodeId,
        bytes: Vec<u8>,
        seen: SocketAddr,
    },
    /// A member opened a stream for logs and the like.
    Stream {
        from: NodeId,
        header: Vec<u8>,
        stream: PeerStream,
    },
    /// A connection with a member stands; `address` is the other end as it is seen from here.
    Connected { peer: NodeId, address: SocketAddr },
    /// The member's host refused the connection: the host is up, its daemon is down.
    Refused { peer: NodeId },
    /// The member cannot be reached, which says nothing about its health.
    Unreachable { peer: NodeId, problem: String },
    /// All addresses that this node listens on, loopback last.
    Listening(Vec<SocketAddr>),
}

/// The running wire. Clones share it; when the last is dropped, all connections are closed.
#[derive(Clone)]
pub(crate) struct P2p {
    orders: mpsc::Sender<Order>,
    outboxes: Arc<Outboxes>,
    peers: Arc<watch::Sender<Peers>>,
    streams: libp2p_stream::Control,
    open_streams: OpenStreams,
    own: NodeId,
    _running: Arc<Running>,
}

#[derive(Debug)]
struct Running(Vec<AbortHandle>);

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl std::fmt::Debug for P2p {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("P2p").field("own", &self.own).finish()
    }
}

impl P2p {
    /// Listens on all of `listen` (an error if one cannot be bound) and starts. Events are sent to
    /// `events`: messages and streams wait while it is full, which slows their senders down; of the
    /// others those that do not fit are dropped, because they come again. Must be called within a
    /// tokio runtime.
    pub(crate) fn start(
        key: &SecretKey,
        listen: &[SocketAddr],
        events: mpsc::Sender<P2pEvent>,
    ) -> anyhow::Result<Self> {
        let (orders, incoming_orders) = mpsc::channel(ORDERS);
        let (peers, known_peers) = watch::channel(Peers::default());
        let mut swarm = behaviour::swarm(key)?;
        for address in listen {
            swarm
                .listen_on(keys::multiaddr(*address))
                .map_err(|problem| {
                    anyhow::anyhow!("failed to listen on `{address}`: {}", innermost(&problem))
                })?;
        }
        let mut streams = swarm.behaviour().streams.new_control();
        let messages = streams
            .accept(receive::PROTOCOL)
            .context("messages are accepted twice")?;
        let opened = streams
            .accept(streams::PROTOCOL)
            .context("streams are accepted twice")?;
        let receiving = receive::Receiving {
            peers: known_peers.clone(),
            events: events.clone(),
            orders: orders.clone(),
        };
        let open_streams = OpenStreams::default();
        let accepting = streams::accept(
            opened,
            known_peers.clone(),
            open_streams.clone(),
            events.clone(),
        );
        let outboxes = Outboxes::new(orders.clone(), events.clone(), streams.clone());
        let driver = Driver::new(
            swarm,
            incoming_orders,
            known_peers,
            open_streams.clone(),
            events,
        );
        let tasks = [
            tokio::spawn(receiving.run(messages)),
            tokio::spawn(accepting),
            tokio::spawn(driver.run()),
        ];
        Ok(Self {
            orders,
            outboxes,
            peers: Arc::new(peers),
            streams,
            open_streams,
            own: key.node_id(),
            _running: Arc::new(Running(tasks.map(|task| task.abort_handle()).into())),
        })
    }

    /// Queues a message to a member and returns at once. A message to anybody else, or larger than
    /// [`kontena_core::message::MAX_MESSAGE_BYTES`], is dropped; so is the oldest of a full queue.
    pub(crate) fn send(&self, to: NodeId, bytes: Bytes) {
        if let Some(peer) = self.peers.borrow().peer_of(&to) {
            self.outboxes.push(to, peer, bytes);
        }
    }

    /// Who may talk to us, and where each was last. Connections with whoever is not among them are
    /// closed. This node itself is left out.
    pub(crate) fn set_peers(&self, members: &BTreeMap<NodeId, Vec<SocketAddr>>) {
        self.peers.send_replace(Peers::new(members, &self.own));
        let peers = self.peers.borrow();
        self.outboxes.keep(|peer| peers.node_of(peer).is_some());
    }

    /// Asks the node at `address` (`HOST`, `HOST:PORT` or a multiaddr) to admit us; returns what it
    /// answers. Takes at most half a minute.
    pub(crate) async fn ask_join(&self, address: &str, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let targets = joining::resolve(address).await?;
        let mut last = None;
        for target in targets {
            match self.ask_again(&target, &bytes).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("it has no address")))
    }

    /// Asks a member, which may take us for a stranger, on the protocol of strangers; returns what it
    /// answers. Nobody else hears it.
    pub(crate) async fn ask_member(&self, to: NodeId, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let targets = self.peers.borrow().targets(&to);
        let mut last = None;
        for target in targets.into_iter().take(joining::MAX_TARGETS) {
            match self.ask_again(&target, &bytes).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no address of it is known")))
    }

    /// A question may go down with a connection that was ending already, of an earlier question: it
    /// is asked again, which changes nothing where it was heard.
    async fn ask_again(&self, target: &joining::Target, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut asked = 1;
        loop {
            let began = Instant::now();
            match self.ask_one(target.clone(), bytes.to_vec()).await {
                Err(error) if asked < ASK_TIMES && began.elapsed() < ASK_SOON => {
                    tracing::debug!(problem = format!("{error:#}"), "Asking again");
                    asked += 1;
                    tokio::time::sleep(ASK_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn ask_one(&self, target: joining::Target, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let (reply, answer) = oneshot::channel();
        let order = Order::AskJoin {
            target,
            bytes,
            reply,
        };
        self.order(order).await?;
        let answer = tokio::time::timeout(joining::ASK_LIMIT, answer).await;
        answer
            .context("it did not answer in time")?
            .context("the wire has ended")?
            .map_err(anyhow::Error::msg)
    }

    /// Answers [`P2pEvent::JoinAsked`]; an answer that comes too late goes nowhere.
    pub(crate) async fn answer_join(&self, id: u64, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.order(Order::AnswerJoin { id, bytes }).await
    }

    /// Opens a stream to a member, with a header of at most [`streams::MAX_HEADER_BYTES`] that tells
    /// it what for. A connection that closes just then is no reason to fail: another is there,
    /// or made. The header may arrive twice then, and the stream that came first ends without another word.
    pub(crate) async fn open_stream(
        &self,
        to: NodeId,
        header: &[u8],
    ) -> anyhow::Result<PeerStream> {
        let peer = self.peers.borrow().peer_of(&to);
        let peer = peer.context("the node is not a member")?;
        let (began, mut opened) = (Instant::now(), 1);
        loop {
            match self.open_one(peer, header).await {
                Err(problem) if opened < OPEN_TIMES && began.elapsed() < OPEN_SOON => {
                    tracing::debug!(problem = format!("{problem:#}"), "Opening a stream again");
                    tokio::time::sleep(OPEN_PAUSE * (1 << opened)).await;
                    opened += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn open_one(&self, peer: PeerId, header: &[u8]) -> anyhow::Result<PeerStream> {
        let open = self.open_streams.begin(peer);
        let turn = tokio::time::timeout(TURN_LIMIT, self.open_streams.turn(peer)).await;
        let turn = turn.context("too many streams to the node are being opened")?;
        driver::connect(&self.orders, peer)
            .await
            .map_err(anyhow::Error::msg)
            .context("failed to connect")?;
        let opened = streams::open(self.streams.clone(), open, peer, header).await;
        drop(turn);
        opened
    }

    /// Waits until every message has arrived or was dropped, at most for `limit`: before the end, so
    /// that a goodbye is heard.
    pub(crate) async fn flush(&self, limit: Duration) {
        let empty = async {
            while !self.outboxes.is_empty() {
                tokio::time::sleep(FLUSH_PAUSE).await;
            }
        };
        if tokio::time::timeout(limit, empty).await.is_err() {
            tracing::debug!("Some messages were not heard before the end");
        }
    }

    /// How many messages were dropped because they were too many, too old or too large.
    #[cfg(test)]
    fn dropped_messages(&self) -> u64 {
        self.outboxes.dropped()
    }

    async fn order(&self, order: Order) -> anyhow::Result<()> {
        let sent = self.orders.send(order).await;
        sent.ok().context("the wire has ended")
    }
}

/// libp2p's own errors have empty texts around the one of the operating system, or repeat it.
fn innermost<'e>(mut problem: &'e (dyn std::error::Error + 'static)) -> &'e dyn std::error::Error {
    while let Some(cause) = problem.source() {
        problem = cause;
    }
    problem
}
