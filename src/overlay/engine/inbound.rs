//! From the network to this host.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::{HandshakeInit, Packet, Tunn, TunnResult};

use super::Engine;
use crate::drops::Drop;
use crate::key::PublicKey;
use crate::packet::header::Ip;
use crate::path::{Heard, PeerIndex, Via};
use crate::peer::{Message, Peer};
use crate::probe::{self, Probe};
use crate::relay;

/// Handshakes that one relay brings in a second: those of as many members as a node has by one relay when it was
/// started anew, and at 150 µs each no more than a hundredth of a core.
const CARRIED_HANDSHAKES: u64 = 100;

/// What a message of a peer's turned out to be.
enum Opened {
    /// A message of a handshake, and what follows it.
    Handshake(Vec<u8>),
    /// What the next handshake has to show. It proves nothing: who knows our public keys and sees
    /// our handshakes can make one.
    Cookie,
    Keepalive,
    /// Length of the packet, and its source.
    Packet(usize, IpAddr),
    Dropped(Drop),
}

impl Engine {
    /// Takes a datagram.
    pub(crate) fn inbound(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        if relay::is_frame(datagram) {
            self.frame(from, datagram, now);
        } else {
            self.message(Via::Direct(from), from.ip(), datagram, now);
        }
    }

    /// Takes a WireGuard message. `sender` is whose address a handshake has to prove under load.
    pub(super) fn message(&mut self, via: Via, sender: IpAddr, message: &[u8], now: Instant) {
        let index = match Tunn::parse_incoming_packet(message) {
            Err(_) => return self.drops.count(Drop::Garbage),
            Ok(Packet::HandshakeInit(_)) => self.initiator(via, sender, message, now),
            Ok(Packet::HandshakeResponse(response)) => Ok(response.receiver_idx >> 8),
            Ok(Packet::PacketCookieReply(reply)) => Ok(reply.receiver_idx >> 8),
            Ok(Packet::PacketData(data)) => Ok(data.receiver_idx >> 8),
        };
        match index {
            Ok(index) if self.peers.contains_key(&index) => {
                self.open(index, via, sender, message, now);
            }
            Ok(_) => self.drops.count(Drop::UnknownIndex),
            Err(reason) => self.drops.count(reason),
        }
    }

    /// The peer that begins a handshake. Nobody else gets an answer; under load a peer, or who else
    /// knows our public key, is asked to prove its address. A relay has proved itself already, and brings no more
    /// than its share: what it carries it may have made up.
    fn initiator(
        &mut self,
        via: Via,
        sender: IpAddr,
        message: &[u8],
        now: Instant,
    ) -> Result<PeerIndex, Drop> {
        if let Via::Relay(relay) = via
            && let Some(relay) = self.peers.get_mut(&relay)
            && !relay.handshakes.take(1, CARRIED_HANDSHAKES, now)
        {
            return Err(Drop::Overload);
        }
        let mut cookie = [0; 64];
        let limiter = match via {
            Via::Direct(_) => &self.limiter,
            Via::Relay(_) => &*self.no_limit,
        };
        let verified = limiter.verify_packet(Some(sender), message, &mut cookie);
        let initiation = match verified {
            Ok(Packet::HandshakeInit(initiation)) => initiation,
            Err(TunnResult::WriteToNetwork(cookie)) => {
                if let Via::Direct(to) = via {
                    self.outbox.push(to, cookie);
                }
                return Err(Drop::Overload);
            }
            _ => return Err(Drop::Stranger),
        };
        self.peer_of(&initiation).ok_or(Drop::Stranger)
    }

    fn peer_of(&self, initiation: &HandshakeInit<'_>) -> Option<PeerIndex> {
        let own = self.key.public_key().0.into();
        let half = parse_handshake_anon(self.key.secret(), &own, initiation).ok()?;
        self.by_key
            .get(&PublicKey(half.peer_static_public))
            .copied()
    }

    /// Opens a message with a peer's keys.
    fn open(&mut self, index: PeerIndex, via: Via, sender: IpAddr, message: &[u8], now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let opened = match peer
            .tunn
            .decapsulate(Some(sender), message, &mut self.scratch)
        {
            TunnResult::WriteToNetwork(answer) => Opened::Handshake(answer.to_vec()),
            TunnResult::Done if message[0] == 4 => Opened::Keepalive,
            TunnResult::Done => Opened::Cookie,
            TunnResult::WriteToTunnelV4(packet, source) => {
                Opened::Packet(packet.len(), IpAddr::V4(source))
            }
            TunnResult::WriteToTunnelV6(packet, source) => {
                Opened::Packet(packet.len(), IpAddr::V6(source))
            }
            TunnResult::Err(error) => Opened::Dropped(reason(&error, message)),
        };
        match opened {
            Opened::Packet(length, source) => self.packet(index, via, length, source, now),
            Opened::Keepalive => self.heard(index, via, Heard::InUse, now),
            Opened::Handshake(answer) => self.handshake(index, via, answer, now),
            Opened::Cookie => {}
            Opened::Dropped(reason) => peer.drops.count(reason),
        }
    }

    /// A packet of a peer's lies in the scratch memory.
    fn packet(&mut self, index: PeerIndex, via: Via, length: usize, source: IpAddr, now: Instant) {
        let packet = &self.scratch[..length];
        if probe::is_probe(packet) {
            let probe = Probe::parse(packet);
            return self.probe(index, via, probe, now);
        }
        let owned = self.routes.lookup(source) == Some(index);
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        match Ip::parse(packet) {
            _ if !owned => peer.drops.count(Drop::ForeignSource),
            None => peer.drops.count(Drop::NotIp),
            Some(ip) if !peer.may_send(ip) => peer.drops.count(Drop::OutOfReach),
            Some(_) => {
                peer.received.count(length);
                peer.data = Some(now);
                self.inbox.push(packet);
            }
        }
        self.heard(index, via, Heard::InUse, now);
    }

    /// A message of a handshake was the peer's: there may be new keys.
    fn handshake(&mut self, index: PeerIndex, via: Via, answer: Vec<u8>, now: Instant) {
        self.send_all(index, &mut vec![Message::new(via, answer)]);
        self.heard(index, via, Heard::Handshake, now);
    }

    /// Something was proved to be the peer's.
    fn heard(&mut self, index: PeerIndex, via: Via, what: Heard, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let moved = peer.paths.heard(via, what, now);
        if moved {
            peer.mtu.restart(now);
        }
        if what == Heard::Handshake || !peer.session {
            peer.note_session();
        }
        for packet in peer.take_waiting() {
            self.send_packet(index, &packet, now);
        }
        if moved {
            self.log_way(index, now);
        }
    }

    fn probe(&mut self, index: PeerIndex, via: Via, probe: Option<Probe>, now: Instant) {
        if !self.peers.get(&index).is_some_and(Peer::is_member) {
            return;
        }
        match probe {
            Some(Probe::Request { sequence, active }) => {
                self.reply(index, via, sequence);
                let what = if active { Heard::InUse } else { Heard::Probe };
                self.heard(index, via, what, now);
            }
            Some(Probe::Reply { sequence, observed }) => {
                self.answered(index, sequence, observed, now);
                self.heard(index, via, Heard::Probe, now);
            }
            None => tracing::trace!("a probe of another version"),
        }
    }

    /// Answers a probe by the way that it came.
    fn reply(&mut self, index: PeerIndex, via: Via, sequence: u64) {
        let observed = match via {
            Via::Direct(from) => Some(from),
            Via::Relay(_) => None,
        };
        let reply = Probe::Reply { sequence, observed };
        let mut messages = Vec::new();
        if let Some(peer) = self.peers.get_mut(&index) {
            // The keys of a fresh session count from the first thing that came by it.
            peer.note_session();
            messages.extend(peer.probe(via, reply, 0));
        }
        self.send_all(index, &mut messages);
    }

    /// Takes the answer to a probe of ours.
    fn answered(
        &mut self,
        index: PeerIndex,
        sequence: u64,
        observed: Option<SocketAddr>,
        now: Instant,
    ) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        peer.observed = observed.or(peer.observed);
        let before = peer.paths.active();
        let size = peer.paths.answered(sequence, now);
        if peer.paths.active() != before {
            peer.mtu.restart(now);
            self.log_way(index, now);
        } else if let Some(size) = size {
            peer.mtu.answered(size, now);
        }
    }
}

/// Why a peer's message was not opened.
fn reason(error: &WireGuardError, message: &[u8]) -> Drop {
    use WireGuardError as Error;
    if matches!(error, Error::InvalidCounter | Error::DuplicateCounter) {
        Drop::Replay
    } else if matches!(error, Error::WrongIndex | Error::NoCurrentSession) {
        Drop::UnknownIndex
    } else if matches!(error, Error::InvalidPacket) {
        Drop::NotIp
    } else if message[0] == 4 {
        Drop::Forged
    } else {
        Drop::Handshake
    }
}
