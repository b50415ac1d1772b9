//! What becomes of each packet. Frames of the interface and datagrams of the network come in;
//! what shall leave gathers in an [`Outbox`] and a [`Coalescer`]. Reads no clock of its own and
//! does no I/O; boringtun's timers read the clock by themselves.

mod apply;
mod forward;
mod inbound;
mod outbound;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::rate_limiter::RateLimiter;

use crate::config::Config;
use crate::drops::{Drop, Drops};
use crate::hash::HashMap;
use crate::key::{PrivateKey, PublicKey};
use crate::outbox::Outbox;
use crate::packet::coalesce::Coalescer;
use crate::path::{PeerIndex, Via};
use crate::peer::{Message, Peer};
use crate::prefix::Prefix;
use crate::relay::{self, Kind, RelayId, RelayKey};
use crate::routes::Routes;
use crate::snapshot::{PeerStatus, Way};

/// How often [`Engine::turn`] is to be called.
pub(crate) const TURN: Duration = Duration::from_millis(250);

/// Handshakes in a second above which a sender has to prove its address. One costs about 150 µs,
/// so that strangers take at most a twelfth of a core.
const HANDSHAKES: u64 = 500;

/// Answers to this host's senders in a second.
const COMPLAINTS: u32 = 1000;

pub(crate) struct Engine {
    key: PrivateKey,
    own_id: RelayId,
    mtu: u16,
    forward: Option<u64>,
    /// What is led to the interface.
    inside: Vec<Prefix>,
    peers: HashMap<PeerIndex, Peer>,
    by_key: BTreeMap<PublicKey, PeerIndex>,
    by_relay_id: BTreeMap<RelayId, PeerIndex>,
    routes: Routes<PeerIndex>,
    /// For handshakes of whoever sends them.
    limiter: RateLimiter,
    /// Each peer's own, which never says no: a handshake is judged once.
    no_limit: Arc<RateLimiter>,
    complaints: u32,
    drops: Drops,
    scratch: Vec<u8>,
    /// To the network.
    pub(crate) outbox: Outbox,
    /// To the interface.
    pub(crate) inbox: Coalescer,
}

/// Where a way begins, and what has to stand before the message on it.
#[derive(Clone)]
struct Hop {
    to: SocketAddr,
    relay: Option<RelayHeader>,
}

#[derive(Clone)]
struct RelayHeader {
    key: RelayKey,
    other: RelayId,
}

impl Engine {
    pub(crate) fn new(config: &Config, inbox: Coalescer) -> Self {
        let own = config.key.public_key();
        Self {
            own_id: RelayId::of(own),
            mtu: config.mtu,
            forward: config.forward,
            inside: config.routes.clone(),
            peers: HashMap::default(),
            by_key: BTreeMap::new(),
            by_relay_id: BTreeMap::new(),
            routes: Routes::default(),
            limiter: RateLimiter::new(&own.0.into(), HANDSHAKES),
            no_limit: Arc::new(RateLimiter::new(&own.0.into(), u64::MAX)),
            complaints: 0,
            drops: Drops::default(),
            scratch: vec![0; usize::from(u16::MAX) + 1],
            outbox: Outbox::default(),
            inbox,
            key: config.key.clone(),
        }
    }

    /// Does what is due by the clock.
    pub(crate) fn turn(&mut self, now: Instant) {
        self.limiter.reset_count();
        self.complaints = 0;
        let mut messages = Vec::new();
        let indices: Vec<_> = self.peers.keys().copied().collect();
        for index in indices {
            if let Some(peer) = self.peers.get_mut(&index) {
                peer.turn(now, &mut messages);
            }
            self.send_all(index, &mut messages);
        }
    }

    /// The longest packet that any peer takes now: what the interface may take.
    pub(crate) fn interface_mtu(&self) -> u16 {
        let reached = self.peers.values().filter(|peer| peer.session);
        reached
            .map(|peer| peer.mtu.in_use())
            .max()
            .unwrap_or(self.mtu)
    }

    /// Counts a packet that was ready and could not leave.
    pub(crate) fn note_lost(&mut self, reason: Drop) {
        self.drops.count(reason);
    }

    pub(crate) fn drops(&self) -> Drops {
        self.drops
    }

    /// All peers in the order of their keys.
    pub(crate) fn peers(&self, now: Instant) -> Vec<PeerStatus> {
        let mut peers: Vec<_> = self
            .peers
            .values()
            .map(|peer| self.status(peer, now))
            .collect();
        peers.sort_by_key(|peer| peer.key);
        peers
    }

    fn status(&self, peer: &Peer, now: Instant) -> PeerStatus {
        PeerStatus {
            key: peer.key(),
            way: self.way(peer, now),
            session: peer.session,
            handshake_age: peer.tunn.time_since_last_handshake(),
            rtt: peer.paths.rtt(),
            lost_in_1000: peer.paths.lost_in_1000(),
            mtu: peer.mtu.in_use(),
            received: peer.received,
            sent: peer.sent,
            forwarded: peer.forwarded,
            drops: peer.drops,
            observed: peer.observed,
        }
    }

    fn way(&self, peer: &Peer, now: Instant) -> Way {
        match peer
            .paths
            .active()
            .filter(|_| peer.session && peer.paths.works(now))
        {
            None => Way::None,
            Some(Via::Direct(endpoint)) => Way::Direct {
                endpoint,
                configured: peer.paths.is_configured(endpoint),
            },
            Some(Via::Relay(through)) => {
                self.peers
                    .get(&through)
                    .map_or(Way::None, |relay| Way::Relayed {
                        through: relay.key(),
                    })
            }
        }
    }

    /// Says that a peer is reached by another way than before.
    fn log_way(&self, index: PeerIndex, now: Instant) {
        if let Some(peer) = self.peers.get(&index) {
            let way = self.way(peer, now);
            tracing::info!(peer = ?peer.key(), ?way, "a peer is reached by another way");
        }
    }

    /// Where a way to a peer begins; nothing if its relay cannot be reached directly itself.
    fn hop(&self, via: Via, peer: &Peer) -> Option<Hop> {
        match via {
            Via::Direct(to) => Some(Hop { to, relay: None }),
            Via::Relay(through) => {
                let relay = self.peers.get(&through)?;
                let Some(Via::Direct(to)) = relay.paths.active() else {
                    return None;
                };
                let header = RelayHeader {
                    key: relay.relay_key.clone(),
                    other: peer.relay_id,
                };
                Some(Hop {
                    to,
                    relay: Some(header),
                })
            }
        }
    }

    /// Sends what a peer has made ready.
    fn send_all(&mut self, index: PeerIndex, messages: &mut Vec<Message>) {
        for message in messages.drain(..) {
            let hop = self
                .peers
                .get(&index)
                .and_then(|peer| self.hop(message.via, peer));
            if let Some(hop) = hop {
                let room = hop.room(&mut self.outbox, message.bytes.len(), message.whole);
                let offset = hop.offset();
                room[offset..].copy_from_slice(&message.bytes);
                hop.seal(room, self.own_id);
            }
        }
    }
}

impl Hop {
    /// How many bytes stand before the message.
    fn offset(&self) -> usize {
        if self.relay.is_some() {
            relay::OVERHEAD
        } else {
            0
        }
    }

    fn room<'a>(&self, outbox: &'a mut Outbox, length: usize, whole: bool) -> &'a mut [u8] {
        let length = length + self.offset();
        if whole {
            outbox.whole_slot(self.to, length)
        } else {
            outbox.slot(self.to, length)
        }
    }

    /// Completes a datagram whose message is in its place.
    fn seal(&self, datagram: &mut [u8], own: RelayId) {
        if let Some(header) = &self.relay {
            relay::seal(datagram, Kind::Forward, own, header.other, &header.key);
        }
    }
}
