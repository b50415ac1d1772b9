//! Receiving from members: one stream each, every message acknowledged once the daemon has it.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures::{AsyncReadExt, StreamExt};
use kontena_core::id::NodeId;
use kontena_core::message::MAX_MESSAGE_BYTES;
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::P2pEvent;
use super::driver::Order;
use super::frames::{ACKNOWLEDGED, BUSY, chunk_count, read_chunk, read_length, write_byte};
use super::keys::Peers;
use super::link::PROGRESS_LIMIT;

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/kontena/message/1");

/// A stream that says nothing for so long was forgotten by its sender, which ends an idle one itself.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

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
        let mut readers: BTreeMap<PeerId, AbortHandle> = BTreeMap::new();
        while let Some((peer, stream)) = incoming.next().await {
            readers.retain(|_, reader| !reader.is_finished());
            let Some(from) = self.peers.borrow().node_of(&peer) else {
                // If there are too many orders, it is closed as a silent stranger.
                drop(self.orders.try_send(Order::Dismiss { peer }));
                continue;
            };
            let reader = tokio::spawn(read(stream, from, self.events.clone()));
            // A sender has one stream: the earlier one is broken, and what was not acknowledged on
            // it comes again.
            if let Some(earlier) = readers.insert(peer, reader.abort_handle()) {
                earlier.abort();
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
    loop {
        let length = timeout(IDLE_LIMIT, read_length(&mut reader, MAX_MESSAGE_BYTES)).await;
        let Some(length) = length.unwrap_or(Ok(None))? else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        let chunks = chunk_count(length);
        for number in 1..=chunks {
            timeout(IDLE_LIMIT, read_chunk(&mut reader, &mut bytes, length)).await??;
            if number < chunks {
                answer(&mut writer, ACKNOWLEDGED).await?;
            }
        }
        deliver(P2pEvent::Message { from, bytes }, events, &mut writer).await?;
        answer(&mut writer, ACKNOWLEDGED).await?;
    }
}

/// Hands a message to the daemon. While the daemon has no room, its sender is told to be patient.
async fn deliver<T>(
    message: P2pEvent,
    events: &mpsc::Sender<P2pEvent>,
    writer: &mut T,
) -> io::Result<()>
where
    T: futures::AsyncWrite + Unpin,
{
    let sending = events.send(message);
    tokio::pin!(sending);
    loop {
        match timeout(PATIENCE, &mut sending).await {
            Ok(sent) => return sent.map_err(|_| io::ErrorKind::BrokenPipe.into()),
            Err(_) => answer(writer, BUSY).await?,
        }
    }
}

async fn answer<T>(writer: &mut T, byte: u8) -> io::Result<()>
where
    T: futures::AsyncWrite + Unpin,
{
    timeout(PROGRESS_LIMIT, write_byte(writer, byte)).await?
}
