//! From this host into the tunnel.

use std::time::Instant;

use boringtun::noise::TunnResult;

use super::{COMPLAINTS, Engine, Hop};
use crate::drops::Drop;
use crate::outbox::Outbox;
use crate::packet::fragment::fragments;
use crate::packet::header::{self, Ip};
use crate::packet::icmp::{self, Trouble};
use crate::packet::offload::Offload;
use crate::packet::segment::Segments;
use crate::path::PeerIndex;
use crate::peer::{Message, Peer, SEALED};
use crate::probe;
use crate::relay::RelayId;

impl Engine {
    /// Takes a frame that the kernel routed to the interface.
    pub(crate) fn outbound(&mut self, frame: &[u8], now: Instant) {
        let Some((offload, packet)) = Offload::split(frame) else {
            return self.drops.count(Drop::Malformed);
        };
        let owner = header::destination(packet)
            .filter(|_| !probe::is_probe(packet))
            .and_then(|destination| self.routes.lookup(destination));
        let Some(owner) = owner else {
            self.drops.count(Drop::NoRoute);
            return self.complain(packet, Trouble::NoRoute);
        };
        let Some(segments) = Segments::split(offload, packet) else {
            return self.drops.count(Drop::Malformed);
        };
        let mtu = self.peers.get(&owner).map_or(0, |peer| peer.mtu.in_use());
        if segments.longest() <= usize::from(mtu) {
            self.send_segments(owner, segments, now);
        } else {
            self.send_too_big(owner, segments, packet, mtu, now);
        }
    }

    /// The common case: everything fits.
    fn send_segments(&mut self, owner: PeerIndex, mut segments: Segments<'_>, now: Instant) {
        self.send_each(owner, now, |into| segments.next_into(into));
    }

    pub(super) fn send_packet(&mut self, owner: PeerIndex, packet: &[u8], now: Instant) {
        let mut left = Some(packet);
        self.send_each(owner, now, |into| {
            let packet = left.take()?;
            into[..packet.len()].copy_from_slice(packet);
            Some(packet.len())
        });
    }

    /// Sends the packets that `next` writes, until there are no more.
    fn send_each(
        &mut self,
        owner: PeerIndex,
        now: Instant,
        mut next: impl FnMut(&mut [u8]) -> Option<usize>,
    ) {
        let hop = self.hop_of(owner);
        let own = self.own_id;
        let mut messages = Vec::new();
        if let Some(peer) = self.peers.get_mut(&owner) {
            peer.data = Some(now);
            while let Some(length) = next(&mut self.scratch) {
                let packet = &self.scratch[..length];
                peer.send(
                    packet,
                    hop.as_ref(),
                    own,
                    &mut self.outbox,
                    now,
                    &mut messages,
                );
            }
        }
        self.send_all(owner, &mut messages);
    }

    /// Cuts what may be cut, and tells the sender of what may not.
    fn send_too_big(
        &mut self,
        owner: PeerIndex,
        mut segments: Segments<'_>,
        packet: &[u8],
        mtu: u16,
        now: Instant,
    ) {
        if Ip::parse(packet).is_none_or(Ip::is_whole_or_nothing) {
            if let Some(peer) = self.peers.get_mut(&owner) {
                peer.drops.count(Drop::TooBig);
            }
            return self.complain(packet, Trouble::TooBig(mtu));
        }
        let mut segment = vec![0; segments.longest()];
        while let Some(length) = segments.next_into(&mut segment) {
            let pieces = Ip::parse(&segment[..length]).map(|ip| fragments(ip, usize::from(mtu)));
            for piece in pieces.unwrap_or_default() {
                self.send_packet(owner, &piece, now);
            }
        }
    }

    /// Where data for a peer goes now.
    fn hop_of(&self, owner: PeerIndex) -> Option<Hop> {
        let peer = self.peers.get(&owner)?;
        self.hop(peer.paths.active()?, peer)
    }

    /// Tells a sender on this host why its packet is not carried.
    fn complain(&mut self, packet: &[u8], trouble: Trouble) {
        if self.complaints >= COMPLAINTS / 4 {
            return;
        }
        if let Some(answer) = Ip::parse(packet).and_then(|ip| icmp::answer(ip, trouble)) {
            self.complaints += 1;
            self.inbox.push(&answer);
        }
    }
}

impl Peer {
    /// Seals a packet into the outbox, or lets it wait for a session.
    fn send(
        &mut self,
        packet: &[u8],
        hop: Option<&Hop>,
        own: RelayId,
        outbox: &mut Outbox,
        now: Instant,
        messages: &mut Vec<Message>,
    ) {
        let Some(hop) = hop.filter(|_| self.session) else {
            if !self.wait(packet, now, messages) {
                self.drops.count(Drop::NoSession);
            }
            return;
        };
        let datagram = hop.room(outbox, packet.len() + SEALED, false);
        let sealed = self.tunn.encapsulate(packet, &mut datagram[hop.offset()..]);
        debug_assert!(
            matches!(sealed, TunnResult::WriteToNetwork(_)),
            "there is a session"
        );
        hop.seal(datagram, own);
        self.sent.count(packet.len());
    }
}
