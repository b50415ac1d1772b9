//! What waits to be sent, for each peer: bounded in number, bytes and age.
//!
//! The oldest gives way, because a newer message says more, and anti-entropy makes up for what was
//! lost. A peer's link runs while there is something to send to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kontena_core::id::NodeId;
use kontena_core::message::MAX_MESSAGE_BYTES;
use libp2p::PeerId;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::P2pEvent;
use super::driver::Order;
use super::link::Link;

const MAX_MESSAGES: usize = 256;
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// After this a message is not worth sending: the exchange that follows a heal says it better.
const LIFE: Duration = Duration::from_secs(10);

/// A message and when it was handed over.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) bytes: Bytes,
    since: Instant,
}

/// What [`Outboxes::take`] found.
pub(super) enum Taken {
    Message(Queued),
    Nothing,
    /// The peer is no member any more, or its link was replaced.
    Gone,
}

pub(super) struct Outboxes {
    by_peer: Mutex<BTreeMap<PeerId, Outbox>>,
    dropped: AtomicU64,
    orders: mpsc::Sender<Order>,
    events: mpsc::Sender<P2pEvent>,
    streams: libp2p_stream::Control,
}

#[derive(Debug)]
struct Outbox {
    queue: VecDeque<Queued>,
    bytes: usize,
    /// Messages that were taken and not acknowledged.
    in_flight: usize,
    /// Also tells this outbox from a later one of the same peer.
    wake: Arc<Notify>,
}

impl std::fmt::Debug for Outboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outboxes")
    }
}

impl Outboxes {
    pub(super) fn new(
        orders: mpsc::Sender<Order>,
        events: mpsc::Sender<P2pEvent>,
        streams: libp2p_stream::Control,
    ) -> Arc<Self> {
        Arc::new(Self {
            by_peer: Mutex::default(),
            dropped: AtomicU64::new(0),
            orders,
            events,
            streams,
        })
    }

    /// Queues a message, and starts the peer's link if it does not run.
    pub(super) fn push(self: &Arc<Self>, node: NodeId, peer: PeerId, bytes: Bytes) {
        if bytes.len() > MAX_MESSAGE_BYTES {
            tracing::error!(bytes = bytes.len(), "A message is too large to be sent");
            self.count_dropped(1);
            return;
        }
        let mut by_peer = self.lock();
        let outbox = by_peer
            .entry(peer)
            .or_insert_with(|| self.start_link(node, peer));
        let dropped = outbox.push(Queued {
            bytes,
            since: Instant::now(),
        });
        outbox.wake.notify_one();
        drop(by_peer);
        self.count_dropped(dropped);
    }

    /// Forgets what waits for peers for which `wanted` does not hold, and ends their links.
    pub(super) fn keep(&self, wanted: impl Fn(&PeerId) -> bool) {
        self.lock().retain(|peer, outbox| {
            let keep = wanted(peer);
            if !keep {
                outbox.wake.notify_one();
            }
            keep
        });
    }

    #[cfg(test)]
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The oldest message that is still worth sending.
    pub(super) fn take(&self, peer: &PeerId, wake: &Arc<Notify>) -> Taken {
        let mut by_peer = self.lock();
        let Some(outbox) = by_peer.get_mut(peer).filter(|outbox| outbox.is(wake)) else {
            return Taken::Gone;
        };
        let old = outbox.drop_old();
        let taken = match outbox.pop() {
            Some(message) => {
                outbox.in_flight += 1;
                Taken::Message(message)
            }
            None => Taken::Nothing,
        };
        drop(by_peer);
        self.count_dropped(old);
        taken
    }

    /// One of the messages that were taken has arrived.
    pub(super) fn acknowledged(&self, peer: &PeerId, wake: &Arc<Notify>) {
        let mut by_peer = self.lock();
        if let Some(outbox) = by_peer.get_mut(peer).filter(|outbox| outbox.is(wake)) {
            outbox.in_flight = outbox.in_flight.saturating_sub(1);
        }
    }

    /// Whether nothing waits, and nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        let by_peer = self.lock();
        let mut outboxes = by_peer.values();
        outboxes.all(|outbox| outbox.queue.is_empty() && outbox.in_flight == 0)
    }

    /// Puts messages that were taken, and not acknowledged, back in front.
    pub(super) fn put_back(&self, peer: &PeerId, wake: &Arc<Notify>, messages: Vec<Queued>) {
        let mut by_peer = self.lock();
        let Some(outbox) = by_peer.get_mut(peer).filter(|outbox| outbox.is(wake)) else {
            return;
        };
        outbox.in_flight = 0;
        for message in messages.into_iter().rev() {
            outbox.bytes += message.bytes.len();
            outbox.queue.push_front(message);
        }
        let dropped = outbox.trim();
        drop(by_peer);
        self.count_dropped(dropped);
    }

    /// Ends a link's outbox if nothing waits in it; the next message starts another link.
    pub(super) fn retire(&self, peer: &PeerId, wake: &Arc<Notify>) -> bool {
        let mut by_peer = self.lock();
        let Some(outbox) = by_peer.get_mut(peer).filter(|outbox| outbox.is(wake)) else {
            return true;
        };
        let old = outbox.drop_old();
        let empty = outbox.queue.is_empty();
        if empty {
            by_peer.remove(peer);
        }
        drop(by_peer);
        self.count_dropped(old);
        empty
    }

    fn start_link(self: &Arc<Self>, node: NodeId, peer: PeerId) -> Outbox {
        let wake = Arc::new(Notify::new());
        let link = Link {
            peer,
            node,
            wake: Arc::clone(&wake),
            outboxes: Arc::clone(self),
            orders: self.orders.clone(),
            events: self.events.clone(),
            streams: self.streams.clone(),
        };
        tokio::spawn(link.run());
        Outbox {
            queue: VecDeque::new(),
            bytes: 0,
            in_flight: 0,
            wake,
        }
    }

    fn count_dropped(&self, count: u64) {
        if count > 0 {
            let total = self.dropped.fetch_add(count, Ordering::Relaxed) + count;
            tracing::debug!(
                count,
                total,
                "Messages were dropped: too many, too old or too large"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Outbox>> {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    fn is(&self, wake: &Arc<Notify>) -> bool {
        Arc::ptr_eq(&self.wake, wake)
    }

    /// How many had to give way.
    fn push(&mut self, message: Queued) -> u64 {
        self.bytes += message.bytes.len();
        self.queue.push_back(message);
        self.trim()
    }

    fn pop(&mut self) -> Option<Queued> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.bytes.len();
        Some(message)
    }

    fn trim(&mut self) -> u64 {
        let mut dropped = 0;
        while self.queue.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            self.pop();
            dropped += 1;
        }
        dropped
    }

    fn drop_old(&mut self) -> u64 {
        let mut dropped = 0;
        while self.queue.front().is_some_and(|m| m.since.elapsed() > LIFE) {
            self.pop();
            dropped += 1;
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize) -> Queued {
        Queued {
            bytes: Bytes::from(vec![0; size]),
            since: Instant::now(),
        }
    }

    fn outbox() -> Outbox {
        Outbox {
            queue: VecDeque::new(),
            bytes: 0,
            in_flight: 0,
            wake: Arc::default(),
        }
    }

    #[test]
    fn the_oldest_give_way_by_number_and_by_bytes() {
        let mut many = outbox();
        let dropped: u64 = (0..MAX_MESSAGES + 3).map(|n| many.push(message(n))).sum();
        assert_eq!(dropped, 3);
        assert_eq!(many.pop().unwrap().bytes.len(), 3);

        let mut large = outbox();
        let sizes = [MAX_BYTES / 2, MAX_BYTES / 2, 1];
        let dropped: u64 = sizes.map(|size| large.push(message(size))).iter().sum();
        assert_eq!(dropped, 1);
        assert_eq!(large.bytes, MAX_BYTES / 2 + 1);
    }

    #[test]
    fn an_old_message_is_not_worth_sending() {
        let mut outbox = outbox();
        let old = Queued {
            since: Instant::now().checked_sub(LIFE * 2).unwrap(),
            ..message(1)
        };
        outbox.push(old);
        outbox.push(message(2));
        assert_eq!(outbox.drop_old(), 1);
        assert_eq!(outbox.pop().unwrap().bytes.len(), 2);
    }
}
