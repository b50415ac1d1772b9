//! Makes the peers those that are wanted, and disturbs none that stays.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::Engine;
use crate::config::{self, Applied, PeersError, check};
use crate::key::PublicKey;
use crate::path::PeerIndex;
use crate::peer::Peer;
use crate::routes::Routes;

/// WireGuard's index has 32 bits, of which boringtun keeps 8 for the sessions of a peer.
const INDICES: PeerIndex = 1 << 24;

impl Engine {
    /// Takes the whole set of peers. On an error nothing has changed.
    pub(crate) fn apply(
        &mut self,
        wanted: Vec<config::Peer>,
        now: Instant,
    ) -> Result<Applied, PeersError> {
        check(&wanted, self.key.public_key())?;
        let wanted: BTreeMap<_, _> = wanted.into_iter().map(|peer| (peer.key, peer)).collect();
        let mut applied = Applied::default();
        self.remove_unwanted(&wanted, &mut applied);
        for (key, peer) in wanted {
            let known = self
                .by_key
                .get(&key)
                .and_then(|index| self.peers.get_mut(index));
            match known {
                Some(known) if known.desired == peer => {}
                Some(known) => {
                    known.change(peer);
                    applied.changed.push(key);
                }
                None => {
                    self.add(peer, now);
                    applied.added.push(key);
                }
            }
        }
        self.route();
        self.lead(&applied);
        // What is new is tried at once, and not a turn later.
        self.turn(now);
        Ok(applied)
    }

    /// Removes who is not wanted, and who has other secrets now: that is another peer.
    fn remove_unwanted(
        &mut self,
        wanted: &BTreeMap<PublicKey, config::Peer>,
        applied: &mut Applied,
    ) {
        let stays = |peer: &Peer| {
            wanted.get(&peer.key()).is_some_and(|wanted| {
                wanted.preshared_key == peer.desired.preshared_key
                    && wanted.kind == peer.desired.kind
            })
        };
        let gone: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| !stays(peer))
            .map(|(index, _)| *index)
            .collect();
        for index in gone {
            if let Some(peer) = self.peers.remove(&index) {
                self.by_key.remove(&peer.key());
                self.by_relay_id.remove(&peer.relay_id);
                if !wanted.contains_key(&peer.key()) {
                    applied.removed.push(peer.key());
                }
            }
            for peer in self.peers.values_mut() {
                peer.paths.remove_relay(index);
            }
        }
        applied.removed.sort();
    }

    fn add(&mut self, wanted: config::Peer, now: Instant) {
        let index = self.unused_index();
        let limiter = self.no_limit.clone();
        let peer = Peer::new(wanted, &self.key, index, limiter, self.mtu, now);
        self.by_key.insert(peer.key(), index);
        self.by_relay_id.insert(peer.relay_id, index);
        self.peers.insert(index, peer);
    }

    /// An index that says nothing and that no earlier peer had lately: what is still on its way to
    /// a removed peer must not be taken for the new one's.
    fn unused_index(&self) -> PeerIndex {
        let mut index = random().unwrap_or(0);
        while self.peers.contains_key(&(index % INDICES)) {
            index = index.wrapping_add(1);
        }
        index % INDICES
    }

    fn route(&mut self) {
        let mut routes = Routes::default();
        for (index, peer) in &self.peers {
            for prefix in &peer.desired.allowed {
                routes.insert(*prefix, *index);
            }
        }
        self.routes = routes;
    }

    /// Gives the paths to the peers that are new or other than before. A relay may have been added
    /// that an unchanged peer names.
    fn lead(&mut self, applied: &Applied) {
        if *applied == Applied::default() {
            return;
        }
        let inside = &self.inside;
        for peer in self.peers.values_mut() {
            let relays: Vec<_> = peer
                .desired
                .relays
                .iter()
                .filter(|relay| **relay != peer.desired.key)
                .filter_map(|relay| self.by_key.get(relay).copied())
                .collect();
            // A datagram to an address inside the tunnel would come back as a packet to be sealed.
            let outside =
                |endpoint: &SocketAddr| !inside.iter().any(|prefix| prefix.contains(endpoint.ip()));
            let endpoints: Vec<_> = peer
                .desired
                .endpoints
                .iter()
                .copied()
                .filter(outside)
                .collect();
            let member = peer.is_member();
            peer.paths.configure(member, &endpoints, &relays);
        }
    }
}

fn random() -> io::Result<u32> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(u32::from_ne_bytes(bytes))
}
