//! Sending to one peer: connect, one stream, messages one after the other, again when it breaks.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::io::BufReader;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use kontena_core::id::NodeId;
use kontena_core::message::MAX_MESSAGE_BYTES;
use libp2p::PeerId;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::P2pEvent;
use super::answers::Answers;
use super::driver::{self, Order};
use super::frames::{
    ACKNOWLEDGED, ANSWER, BUSY, chunk_count, read_chunk, read_length, write_chunk,
};
use super::outbox::{Outboxes, Queued, Taken};
use super::receive::PROTOCOL;

/// A peer that acknowledges nothing for so long, with something to acknowledge, sits behind a dead
/// connection. Twice the longest pause of a saturated host in trials.
pub(super) const PROGRESS_LIMIT: Duration = Duration::from_secs(3);

/// A link without work ends; gossip comes back to each peer within seconds in a small grid.
const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// Chunks on the way at once: 256 KiB, so that a dead connection's buffers take them all and it can
/// still be closed.
const WINDOW: usize = 16;

/// Between two attempts, doubled each time. The cap is what a heal may cost.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// One peer's sending side.
pub(super) struct Link {
    pub(super) peer: PeerId,
    pub(super) node: NodeId,
    pub(super) wake: Arc<Notify>,
    pub(super) outboxes: Arc<Outboxes>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) events: mpsc::Sender<P2pEvent>,
    pub(super) streams: libp2p_stream::Control,
}

/// Why a session ended.
enum Broken {
    /// Not connected, or the other side closed: a new attempt is due.
    Failed(String),
    /// Silence on a connection that seems to stand: it has to be closed first.
    Dead,
}

impl Link {
    /// Until nothing waits any more, or the peer is gone.
    pub(super) async fn run(self) {
        let mut back_off = BACK_OFF_MIN;
        loop {
            let flight = Flight::default();
            let ended = self.session(&flight).await;
            let (unacknowledged, progressed) = flight.finish();
            self.outboxes
                .put_back(&self.peer, &self.wake, unacknowledged);
            if let Err(broken) = ended {
                if progressed {
                    back_off = BACK_OFF_MIN;
                }
                self.recover(broken).await;
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF_MAX);
            }
            if self.orders.is_closed() || self.outboxes.retire(&self.peer, &self.wake) {
                return;
            }
        }
    }

    async fn recover(&self, broken: Broken) {
        match broken {
            Broken::Failed(problem) => {
                tracing::debug!(peer = %self.peer, %problem, "Sending failed");
            }
            Broken::Dead => {
                tracing::debug!(peer = %self.peer, "A connection is dead");
                let peer = self.peer;
                // A closed channel is the end of the wire, which `run` sees.
                drop(self.orders.send(Order::Disconnect { peer }).await);
            }
        }
    }

    /// Sends until there was nothing to send for [`IDLE_LIMIT`].
    async fn session(&self, flight: &Flight) -> Result<(), Broken> {
        driver::connect(&self.orders, self.peer)
            .await
            .map_err(Broken::Failed)?;
        let mut streams = self.streams.clone();
        let opened = timeout(PROGRESS_LIMIT, streams.open_stream(self.peer, PROTOCOL)).await;
        let stream = opened
            .map_err(|_| Broken::Dead)?
            .map_err(|error| Broken::Failed(error.to_string()))?;
        let (reader, mut writer) = stream.split();
        let ended = tokio::select! {
            ended = self.write(&mut writer, flight) => ended,
            ended = self.read_acknowledgements(reader, flight) => ended,
        };
        if ended.is_ok() {
            // The other side reads the end of the stream; if it does not, that is no loss.
            drop(timeout(PROGRESS_LIMIT, writer.close()).await);
        }
        ended
    }

    async fn write<T>(&self, writer: &mut T, flight: &Flight) -> Result<(), Broken>
    where
        T: AsyncWrite + Unpin,
    {
        while let Some(message) = self.next_message().await {
            let bytes = message.bytes.clone();
            flight.start(message);
            let chunks = chunk_count(bytes.len());
            for number in 0..chunks {
                flight.room().await;
                flight.send(number + 1 == chunks);
                timeout(PROGRESS_LIMIT, write_chunk(writer, &bytes, number))
                    .await
                    .map_err(|_| Broken::Dead)?
                    .map_err(|error| Broken::Failed(error.to_string()))?;
            }
        }
        Ok(())
    }

    async fn next_message(&self) -> Option<Queued> {
        loop {
            match self.outboxes.take(&self.peer, &self.wake) {
                Taken::Message(message) => return Some(message),
                Taken::Gone => return None,
                Taken::Nothing => timeout(IDLE_LIMIT, self.wake.notified()).await.ok()?,
            }
        }
    }

    async fn read_acknowledgements<T>(&self, reader: T, flight: &Flight) -> Result<(), Broken>
    where
        T: AsyncRead + Unpin,
    {
        let mut reader = BufReader::new(reader);
        let mut byte = [0];
        loop {
            let read = reader.read(&mut byte);
            let count = if flight.is_waiting() {
                timeout(PROGRESS_LIMIT, read)
                    .await
                    .map_err(|_| Broken::Dead)?
            } else {
                tokio::select! {
                    count = read => count,
                    () = flight.sent.notified() => continue,
                }
            };
            match received(count, byte)? {
                ACKNOWLEDGED => {
                    if flight.acknowledge() {
                        self.outboxes.acknowledged(&self.peer, &self.wake);
                    }
                }
                BUSY => {}
                ANSWER => self.deliver(read_answer(&mut reader).await?).await,
                other => return Err(Broken::Failed(format!("byte {other} makes no sense"))),
            }
        }
    }

    /// Hands an answer to the daemon. While that has no room nothing else is read here, so an answer
    /// waits no longer than a message may; it is lost then, which costs a round.
    async fn deliver(&self, bytes: Vec<u8>) {
        let message = P2pEvent::Message {
            from: self.node,
            bytes,
            answers: Answers::default(),
        };
        if timeout(PROGRESS_LIMIT, self.events.send(message))
            .await
            .is_err()
        {
            tracing::debug!(node = %self.node.short(), "The daemon is too busy for an answer");
        }
    }
}

fn received(count: io::Result<usize>, [byte]: [u8; 1]) -> Result<u8, Broken> {
    match count {
        Ok(0) => Err(Broken::Failed("the peer closed the stream".to_owned())),
        Ok(_) => Ok(byte),
        Err(error) => Err(Broken::Failed(error.to_string())),
    }
}

async fn read_answer<T: AsyncRead + Unpin>(reader: &mut T) -> Result<Vec<u8>, Broken> {
    let failed = |error: io::Error| Broken::Failed(error.to_string());
    let length = timeout(PROGRESS_LIMIT, read_length(reader, MAX_MESSAGE_BYTES)).await;
    let length = length.map_err(|_| Broken::Dead)?.map_err(failed)?;
    let Some(length) = length else {
        return Err(Broken::Failed("an answer has no end".to_owned()));
    };
    let mut bytes = Vec::new();
    for _ in 0..chunk_count(length) {
        timeout(PROGRESS_LIMIT, read_chunk(reader, &mut bytes, length))
            .await
            .map_err(|_| Broken::Dead)?
            .map_err(failed)?;
    }
    Ok(bytes)
}

/// What is on its way.
#[derive(Default)]
struct Flight {
    state: Mutex<State>,
    /// A chunk was sent.
    sent: Notify,
    /// A chunk was acknowledged.
    freed: Notify,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Queued>,
    /// Chunks sent and not acknowledged; whether each is the last of its message.
    chunks: VecDeque<bool>,
    progressed: bool,
}

impl Flight {
    fn start(&self, message: Queued) {
        self.state().messages.push_back(message);
    }

    fn send(&self, last: bool) {
        self.state().chunks.push_back(last);
        self.sent.notify_one();
    }

    async fn room(&self) {
        while self.state().chunks.len() >= WINDOW {
            self.freed.notified().await;
        }
    }

    fn is_waiting(&self) -> bool {
        !self.state().chunks.is_empty()
    }

    /// The oldest chunk arrived; whether that ends a message.
    fn acknowledge(&self) -> bool {
        let mut state = self.state();
        state.progressed = true;
        let ends = state.chunks.pop_front() == Some(true);
        if ends {
            state.messages.pop_front();
        }
        drop(state);
        self.freed.notify_one();
        ends
    }

    /// The messages that were not acknowledged, and whether any chunk was.
    fn finish(self) -> (Vec<Queued>, bool) {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        (state.messages.into(), state.progressed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
