//! Receiving from members: one stream each, every message acknowledged once the daemon has it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, StreamExt};
use kontena_core::id::NodeId;
use kontena_core::message::MAX_MESSAGE_BYTES;
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::P2pEvent;
use super::answers::{self, Mouth, Word};
use super::driver::Order;
use super::frames::{chunk_count, read_chunk, read_length};
use super::keys::Peers;

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/kontena/message/2");

/// A stream that says nothing for so long was forgotten by its sender, which ends an idle one itself.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A sender has one stream. The one before is left to end by itself, because it may belong to another
/// process with the same key, which must be heard to be told; an older one is taken to be broken.
const STREAMS: usize = 2;

/// How often a sender is told to be patient: a third of what it waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// Accepts the streams on which members send messages.
pub(super) struct Receiving {
    pub(super) peers: watch::Receiver<Peers>,
    pub(super) events: mpsc::Sender<P2pEvent>,
    pub(super) orders: mpsc::Sender<Order>,
}

impl Receiving {
    pub(super) async fn run(self, mut incoming: libp2p_stream::IncomingStreams) {
        let mut readers: BTreeMap<PeerId, VecDeque<AbortHandle>> = BTreeMap::new();
        while let Some((peer, stream)) = incoming.next().await {
            readers.retain(|_, readers| {
                readers.retain(|reader| !reader.is_finished());
                !readers.is_empty()
            });
            let Some(from) = self.peers.borrow().node_of(&peer) else {
                // If there are too many orders, it is closed as a silent stranger.
                drop(self.orders.try_send(Order::Dismiss { peer }));
                continue;
            };
            let reader = tokio::spawn(read(stream, from, self.events.clone()));
            let of_peer = readers.entry(peer).or_default();
            of_peer.push_back(reader.abort_handle());
            if of_peer.len() > STREAMS
                && let Some(earliest) = of_peer.pop_front()
            {
                // What was not acknowledged on it comes again.
                earliest.abort();
            }
        }
    }
}

async fn read(stream: Stream, from: NodeId, events: mpsc::Sender<P2pEvent>) {
    if let Err(problem) = read_all(stream, from, &events).await {
        tracing::debug!(?from, %problem, "Receiving ended");
    }
}

async fn read_all(stream: Stream, from: NodeId, events: &mpsc::Sender<P2pEvent>) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let (mouth, mut words) = answers::channel();
    tokio::select! {
        ended = hear(&mut reader, &mouth, from, events) => ended,
        ended = answers::write(&mut writer, &mut words) => ended,
    }
}

async fn hear<T>(
    reader: &mut T,
    mouth: &Mouth,
    from: NodeId,
    events: &mpsc::Sender<P2pEvent>,
) -> io::Result<()>
where
    T: AsyncRead + Unpin,
{
    loop {
        let length = timeout(IDLE_LIMIT, read_length(reader, MAX_MESSAGE_BYTES)).await;
        let Some(length) = length.unwrap_or(Ok(None))? else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        let chunks = chunk_count(length);
        for number in 1..=chunks {
            timeout(IDLE_LIMIT, read_chunk(reader, &mut bytes, length)).await??;
            if number < chunks {
                mouth.say(Word::Acknowledged).await?;
            }
        }
        let message = P2pEvent::Message {
            from,
            bytes,
            answers: mouth.answers(),
        };
        deliver(message, events, mouth).await?;
        mouth.say(Word::Acknowledged).await?;
    }
}

/// Hands a message to the daemon. While the daemon has no room, its sender is told to be patient.
async fn deliver(
    message: P2pEvent,
    events: &mpsc::Sender<P2pEvent>,
    mouth: &Mouth,
) -> io::Result<()> {
    let sending = events.send(message);
    tokio::pin!(sending);
    loop {
        match timeout(PATIENCE, &mut sending).await {
            Ok(sent) => return sent.map_err(|_| io::ErrorKind::BrokenPipe.into()),
            Err(_) => mouth.say(Word::Busy).await?,
        }
    }
}
