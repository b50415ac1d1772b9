//! Node ids are libp2p peer ids, and socket addresses are multiaddrs: there and back.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::joining::Target;

/// The node's key as libp2p wants it.
pub(super) fn keypair(key: &SecretKey) -> anyhow::Result<Keypair> {
    Ok(Keypair::ed25519_from_bytes(key.seed())?)
}

/// `None` for 32 bytes that are no key.
pub(super) fn peer_id(node: &NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(node.as_bytes()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// `None` for a peer whose key is of another kind: no node of ours.
pub(super) fn node_id(peer: &PeerId) -> Option<NodeId> {
    const IDENTITY: u64 = 0;
    let hash: &libp2p::multihash::Multihash<64> = peer.as_ref();
    if hash.code() != IDENTITY {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(NodeId(key.try_into_ed25519().ok()?.to_bytes()))
}

pub(super) fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

/// The IP and port in front of whatever else is in the address.
pub(super) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = ip(&parts.next()?)?;
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    Some(SocketAddr::new(ip, port))
}

fn ip(part: &Protocol<'_>) -> Option<IpAddr> {
    if let Protocol::Ip4(ip) = part {
        return Some((*ip).into());
    }
    if let Protocol::Ip6(ip) = part {
        return Some((*ip).into());
    }
    None
}

/// The members, both ways.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    by_peer: BTreeMap<PeerId, (NodeId, Vec<Multiaddr>)>,
    by_node: BTreeMap<NodeId, PeerId>,
}

impl Peers {
    /// All of `members` but `own`.
    pub(super) fn new(members: &BTreeMap<NodeId, Vec<SocketAddr>>, own: &NodeId) -> Self {
        let mut peers = Self::default();
        for (node, addresses) in members.iter().filter(|(node, _)| *node != own) {
            let Some(peer) = peer_id(node) else {
                tracing::warn!(?node, "A member's id is not a key: it cannot be reached");
                continue;
            };
            let addresses = addresses.iter().copied().map(multiaddr).collect();
            peers.by_peer.insert(peer, (*node, addresses));
            peers.by_node.insert(*node, peer);
        }
        peers
    }

    pub(super) fn node_of(&self, peer: &PeerId) -> Option<NodeId> {
        self.by_peer.get(peer).map(|(node, _)| *node)
    }

    pub(super) fn peer_of(&self, node: &NodeId) -> Option<PeerId> {
        self.by_node.get(node).copied()
    }

    /// A member at each of its addresses, and nobody else who may be there.
    pub(super) fn targets(&self, node: &NodeId) -> Vec<Target> {
        let Some(peer) = self.peer_of(node) else {
            return Vec::new();
        };
        let target = |address| Target {
            address,
            peer: Some(peer),
        };
        self.addresses(&peer).into_iter().map(target).collect()
    }

    pub(super) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let found = self.by_peer.get(peer);
        found
            .map(|(_, addresses)| addresses.clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_a_peer_id_and_back() {
        let key = SecretKey::from_seed([7; 32]);
        let peer = keypair(&key).unwrap().public().to_peer_id();
        assert_eq!(peer_id(&key.node_id()), Some(peer));
        assert_eq!(node_id(&peer), Some(key.node_id()));
        assert_eq!(node_id(&PeerId::random()), None);
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["10.0.0.1:8470", "[fe80::1]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(socket_address(&multiaddr(address)), Some(address));
        }
    }
}
