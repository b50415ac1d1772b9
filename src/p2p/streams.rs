//! Streams between members for what is never gossiped: logs, commands in containers, statistics.
//!
//! Who accepts one says so in a byte: of several that come at the same moment libp2p hands over one and drops the
//! others without a word (`libp2p_stream`'s channel has one place), and a connection may end under one that was just
//! opened. Without that byte it is not open, and is opened again.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt;
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use super::P2pEvent;
use super::keys::Peers;
use super::open_streams::{OpenStream, OpenStreams};

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/kontena/stream/2");

/// A header says what the stream is for.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// For opening, and for the header to arrive.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// What who accepts a stream says first.
const ACCEPTED: u8 = 1;

/// Streams that others have opened here, at once; each may cost a yamux window of memory.
const STREAMS: usize = 256;

/// One stream with a member; both ends read and write. Dropping it resets it.
pub(crate) struct PeerStream {
    stream: Compat<Stream>,
    /// Its connection is not closed as one of two.
    _open: Box<OpenStream>,
    /// Given back when an accepted stream ends.
    _permit: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerStream")
    }
}

pub(super) async fn open(
    mut control: libp2p_stream::Control,
    open: OpenStream,
    peer: PeerId,
    header: &[u8],
) -> anyhow::Result<PeerStream> {
    anyhow::ensure!(header.len() <= MAX_HEADER_BYTES, "the header is too long");
    let opening = async {
        let mut stream = PeerStream {
            stream: control.open_stream(peer, PROTOCOL).await?.compat(),
            _open: Box::new(open),
            _permit: None,
        };
        stream.write_u32(u32::try_from(header.len())?).await?;
        stream.write_all(header).await?;
        stream.flush().await?;
        let answer = stream.read_u8().await.context("it was not accepted")?;
        anyhow::ensure!(answer == ACCEPTED, "it was not accepted");
        anyhow::Ok(stream)
    };
    timeout(OPEN_LIMIT, opening)
        .await
        .context("the node does not answer")?
        .context("failed to open a stream")
}

/// Accepts streams of members, at most [`STREAMS`] at once; others are reset.
pub(super) async fn accept(
    mut incoming: libp2p_stream::IncomingStreams,
    peers: watch::Receiver<Peers>,
    open: OpenStreams,
    events: mpsc::Sender<P2pEvent>,
) {
    let permits = Arc::new(Semaphore::new(STREAMS));
    while let Some((peer, stream)) = incoming.next().await {
        let from = peers.borrow().node_of(&peer);
        let permit = Arc::clone(&permits).try_acquire_owned();
        let (Some(from), Ok(permit)) = (from, permit) else {
            tracing::debug!(%peer, "A stream is refused");
            continue;
        };
        let stream = PeerStream {
            stream: stream.compat(),
            _open: Box::new(open.begin(peer)),
            _permit: Some(permit),
        };
        let events = events.clone();
        tokio::spawn(async move {
            match timeout(OPEN_LIMIT, with_header(stream)).await {
                Ok(Ok((header, stream))) => {
                    let event = P2pEvent::Stream {
                        from,
                        header,
                        stream,
                    };
                    // Nobody listens any more: the daemon is ending.
                    drop(events.send(event).await);
                }
                Ok(Err(problem)) => tracing::debug!(?from, %problem, "A stream has no header"),
                Err(_) => tracing::debug!(?from, "A stream's header does not come"),
            }
        });
    }
}

async fn with_header(mut stream: PeerStream) -> io::Result<(Vec<u8>, PeerStream)> {
    let length = stream.read_u32().await? as usize;
    if length > MAX_HEADER_BYTES {
        return Err(io::Error::other(format!("{length} bytes are too many")));
    }
    let mut header = vec![0; length];
    stream.read_exact(&mut header).await?;
    stream.write_u8(ACCEPTED).await?;
    stream.flush().await?;
    Ok((header, stream))
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
