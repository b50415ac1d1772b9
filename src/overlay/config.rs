//! What the control side says: how the interface looks, and which peers there shall be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::key::{KEY_LENGTH, PrivateKey, PublicKey};
use crate::mtu;
use crate::prefix::Prefix;
use crate::relay;

/// What the tunnel adds to a packet: IPv6 and UDP headers, and WireGuard's.
const TUNNEL_OVERHEAD: usize = 40 + 8 + 32;

/// The longest packet that is carried over Ethernet, through a relay too.
pub const DEFAULT_MTU: u16 = (1500 - TUNNEL_OVERHEAD - relay::OVERHEAD) as u16;

/// Bytes that one peer may have us forward in a second: a gigabit.
pub const DEFAULT_FORWARD_LIMIT: u64 = 125_000_000;

/// What does not change while the overlay runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the interface, at most 15 bytes.
    pub interface: String,
    pub key: PrivateKey,
    /// The interface's own addresses.
    pub addresses: Vec<Prefix>,
    /// What is led to the interface. Which peer gets it is each peer's `allowed`.
    pub routes: Vec<Prefix>,
    /// UDP port for both families; 0 lets the kernel choose.
    pub port: u16,
    /// The longest packet that the interface takes, at least 1280. Paths are probed up to here.
    pub mtu: u16,
    /// Whether packets between other members are carried, and how many bytes a second for each
    /// member that asks.
    pub forward: Option<u64>,
    /// Whether the kernel hands over and takes large segments. Slower without it; for comparison.
    pub offload: bool,
}

impl Config {
    pub fn new(interface: &str, key: PrivateKey) -> Self {
        Self {
            interface: interface.to_owned(),
            key,
            addresses: Vec::new(),
            routes: Vec::new(),
            port: 0,
            mtu: DEFAULT_MTU,
            forward: Some(DEFAULT_FORWARD_LIMIT),
            offload: true,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let name = &self.interface;
        let plain = |c: char| c.is_ascii_graphic() && c != '/' && c != '%';
        if !(1..=15).contains(&name.len()) || !name.chars().all(plain) || name.starts_with('.') {
            return Err(ConfigError::Name(name.clone()));
        }
        if self.mtu < mtu::LEAST {
            return Err(ConfigError::Mtu(self.mtu));
        }
        Ok(())
    }
}

/// What is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("`{0}` cannot be the name of an interface")]
    Name(String),
    #[error("an MTU of {0} is below the least of IPv6, 1280")]
    Mtu(u16),
}

/// What a peer understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// A node with this overlay: it answers probes and may relay.
    Member,
    /// Any implementation of WireGuard.
    Client,
}

/// Somewhere that a peer may send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    pub to: Prefix,
    /// TCP and UDP to this port and nothing else; `None` is everything.
    pub port: Option<u16>,
}

/// A peer as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub key: PublicKey,
    pub kind: PeerKind,
    pub preshared_key: Option<[u8; KEY_LENGTH]>,
    /// Addresses that are sent to it, and that it may send from.
    pub allowed: Vec<Prefix>,
    /// What it may send to; `None` is everything. What is sent to it is not limited.
    pub reach: Option<Vec<Reach>>,
    /// Where it may be reached; all are tried. The first 16 count.
    pub endpoints: Vec<SocketAddr>,
    /// How often it hears of us when there is nothing to say; keeps the way through a NAT open.
    /// Without it a session is made for traffic only.
    pub keepalive: Option<Duration>,
    /// Members that may carry its packets, the preferred ones first. The first four count.
    pub relays: Vec<PublicKey>,
}

impl Peer {
    pub fn member(key: PublicKey) -> Self {
        Self {
            key,
            kind: PeerKind::Member,
            preshared_key: None,
            allowed: Vec::new(),
            reach: None,
            endpoints: Vec::new(),
            keepalive: None,
            relays: Vec::new(),
        }
    }

    pub fn client(key: PublicKey) -> Self {
        Self {
            kind: PeerKind::Client,
            ..Self::member(key)
        }
    }
}

/// What is wrong with a set of peers; nothing of it is applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeersError {
    #[error("peer {0:?} is there twice")]
    Twice(PublicKey),
    #[error("peer {0:?} has our own key")]
    Own(PublicKey),
    #[error("{prefix} belongs to both {first:?} and {second:?}")]
    Contested {
        prefix: Prefix,
        first: PublicKey,
        second: PublicKey,
    },
}

/// Whether all peers can be there together.
pub(crate) fn check(peers: &[Peer], own: PublicKey) -> Result<(), PeersError> {
    let mut keys = BTreeSet::new();
    let mut owners = BTreeMap::new();
    for peer in peers {
        if peer.key == own {
            return Err(PeersError::Own(peer.key));
        }
        if !keys.insert(peer.key) {
            return Err(PeersError::Twice(peer.key));
        }
        for prefix in &peer.allowed {
            let before = owners.insert(prefix.network(), peer.key);
            if let Some(first) = before.filter(|first| *first != peer.key) {
                return Err(PeersError::Contested {
                    prefix: prefix.network(),
                    first,
                    second: peer.key,
                });
            }
        }
    }
    Ok(())
}

/// What [`crate::Overlay::apply`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub added: Vec<PublicKey>,
    pub changed: Vec<PublicKey>,
    pub removed: Vec<PublicKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8, allowed: &str) -> Peer {
        Peer {
            allowed: vec![allowed.parse().expect("a prefix")],
            ..Peer::member(PublicKey([number; 32]))
        }
    }

    #[test]
    fn a_prefix_has_one_owner_however_it_is_written() {
        let own = PublicKey([9; 32]);
        let peers = [peer(1, "10.80.1.0/24"), peer(2, "10.80.1.7/24")];
        assert!(matches!(
            check(&peers, own),
            Err(PeersError::Contested { .. })
        ));
        let peers = [peer(1, "10.80.1.0/24"), peer(2, "10.80.1.7/32")];
        assert_eq!(check(&peers, own), Ok(()));
        let peers = [peer(1, "10.80.1.0/24"), peer(1, "10.80.2.0/24")];
        assert_eq!(
            check(&peers, own),
            Err(PeersError::Twice(PublicKey([1; 32])))
        );
        assert!(check(&peers[..1], PublicKey([1; 32])).is_err());
    }

    #[test]
    fn a_name_that_the_kernel_would_refuse_or_cut_is_refused() {
        for name in ["", "a/b", "sixteen-bytes-ab", ".", "with space", "tun%d"] {
            let config = Config::new(name, PrivateKey::new([1; 32]));
            assert!(config.check().is_err(), "{name}");
        }
        assert_eq!(
            Config::new("kontena0", PrivateKey::new([1; 32])).check(),
            Ok(())
        );
    }
}
