//! Frames between members that carry a third one's messages.

use std::net::SocketAddr;
use std::time::Instant;

use super::Engine;
use crate::drops::Drop;
use crate::path::{PeerIndex, Via};
use crate::relay::{self, Frame, Kind, OVERHEAD};

impl Engine {
    /// Takes a frame, if a member proves to have sent it.
    pub(super) fn frame(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        let Some(frame) = Frame::parse(datagram) else {
            return self.drops.count(Drop::Garbage);
        };
        let sender = self.by_relay_id.get(&frame.sender).copied();
        let proved = sender.filter(|sender| {
            let peer = self.peers.get(sender);
            peer.is_some_and(|peer| peer.is_member() && frame.is_proved_by(&peer.relay_key))
        });
        let Some(sender) = proved else {
            return self.drops.count(Drop::Stranger);
        };
        match frame.kind {
            Kind::Deliver => self.deliver(sender, from, frame, now),
            Kind::Forward => {
                let forwarded = self.forward(sender, frame, now);
                if let (Err(reason), Some(peer)) = (forwarded, self.peers.get_mut(&sender)) {
                    peer.drops.count(reason);
                }
            }
        }
    }

    /// A message for us that a relay carried.
    fn deliver(&mut self, relay: PeerIndex, from: SocketAddr, frame: Frame<'_>, now: Instant) {
        match self.by_relay_id.get(&frame.other) {
            // What comes by a relay must be of the one that it names; the keys see to that.
            Some(_) => self.message(Via::Relay(relay), from.ip(), frame.message, now),
            None => self.drops.count(Drop::Stranger),
        }
    }

    /// A message that we shall carry for a member to another one, to which we have a direct path.
    fn forward(&mut self, sender: PeerIndex, frame: Frame<'_>, now: Instant) -> Result<(), Drop> {
        let limit = self.forward.ok_or(Drop::NotForwarded)?;
        let other = self.by_relay_id.get(&frame.other).copied();
        let other = other
            .filter(|other| *other != sender)
            .ok_or(Drop::NotForwarded)?;
        let target = self.peers.get(&other).filter(|peer| peer.is_member());
        let target = target.ok_or(Drop::NotForwarded)?;
        let Some(Via::Direct(to)) = target.paths.active() else {
            return Err(Drop::NotForwarded);
        };
        let key = target.relay_key.clone();
        let peer = self.peers.get_mut(&sender).ok_or(Drop::NotForwarded)?;
        if !peer.allowance.take(frame.message.len(), limit, now) {
            return Err(Drop::ForwardLimit);
        }
        peer.forwarded.count(frame.message.len());
        let datagram = self.outbox.slot(to, OVERHEAD + frame.message.len());
        datagram[OVERHEAD..].copy_from_slice(frame.message);
        relay::seal(datagram, Kind::Deliver, self.own_id, frame.sender, &key);
        Ok(())
    }
}
