//! How many streams are open with whom: a connection is not closed under one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::OPEN_AT_ONCE;

/// For so long nobody has used a stream: one that is just being opened by the other side is here by then.
const IDLE: Duration = Duration::from_secs(10);

/// The open streams of all peers.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenStreams(Arc<Mutex<BTreeMap<PeerId, Use>>>);

#[derive(Clone, Debug)]
struct Use {
    streams: usize,
    /// When one was opened or ended last.
    changed: Instant,
    /// Of those that are being opened.
    turns: Arc<Semaphore>,
}

/// A stream that counts until this is dropped.
#[derive(Debug)]
pub(super) struct OpenStream {
    peer: PeerId,
    among: OpenStreams,
}

impl OpenStreams {
    /// To be called before the stream is opened: it counts while it is being opened.
    pub(super) fn begin(&self, peer: PeerId) -> OpenStream {
        self.change(peer, |streams| streams + 1);
        let among = self.clone();
        OpenStream { peer, among }
    }

    /// Waits for its turn to be opened, after [`Self::begin`]. It is over when what is returned is dropped.
    pub(super) async fn turn(&self, peer: PeerId) -> Option<OwnedSemaphorePermit> {
        let turns = self.uses().get(&peer).map(|of| Arc::clone(&of.turns));
        turns?.acquire_owned().await.ok()
    }

    /// Whether no stream is open with the peer, and none was a moment ago.
    pub(super) fn is_idle(&self, peer: &PeerId) -> bool {
        self.uses().get(peer).is_none_or(Use::is_idle)
    }

    fn change(&self, peer: PeerId, change: impl FnOnce(usize) -> usize) {
        let mut uses = self.uses();
        uses.retain(|_, of| !of.is_idle());
        let changed = Instant::now();
        let of = uses.entry(peer).or_insert_with(|| Use {
            streams: 0,
            changed,
            turns: Arc::new(Semaphore::new(OPEN_AT_ONCE)),
        });
        of.streams = change(of.streams);
        of.changed = changed;
    }

    fn uses(&self) -> MutexGuard<'_, BTreeMap<PeerId, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Use {
    fn is_idle(&self) -> bool {
        self.streams == 0 && self.changed.elapsed() >= IDLE
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.among
            .change(self.peer, |streams| streams.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_idle_a_while_after_its_last_stream() {
        let streams = OpenStreams::default();
        let (peer, other) = (PeerId::random(), PeerId::random());
        assert!(streams.is_idle(&peer));
        let (first, second) = (streams.begin(peer), streams.begin(peer));
        tokio::time::advance(2 * IDLE).await;
        assert!(!streams.is_idle(&peer) && streams.is_idle(&other));
        drop(first);
        tokio::time::advance(2 * IDLE).await;
        assert!(!streams.is_idle(&peer));
        drop(second);
        assert!(!streams.is_idle(&peer));
        tokio::time::advance(IDLE).await;
        assert!(streams.is_idle(&peer));
        drop(streams.begin(other));
        assert_eq!(streams.uses().len(), 1, "who is idle is forgotten");
    }
}
