//! What the overlay tells of itself.

use std::net::SocketAddr;
use std::time::Duration;

use crate::drops::Drops;
use crate::key::PublicKey;

/// The whole state, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The UDP port.
    pub port: u16,
    /// The interface's present MTU.
    pub mtu: u16,
    /// Whether large TCP segments, and large datagrams, pass between us and the kernel.
    pub offload: (bool, bool),
    /// In the order of their keys.
    pub peers: Vec<PeerStatus>,
    /// Of packets that are no peer's.
    pub drops: Drops,
}

/// A peer as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerStatus {
    pub key: PublicKey,
    pub way: Way,
    /// Whether there are keys to talk with.
    pub session: bool,
    /// Since the last handshake.
    pub handshake_age: Option<Duration>,
    /// There and back inside the tunnel, a moving average. Members only.
    pub rtt: Option<Duration>,
    /// Of the latest 32 probes on the present way. Members only.
    pub lost_in_1000: Option<u16>,
    /// The longest packet that the way takes.
    pub mtu: u16,
    /// Packets inside the tunnel.
    pub received: Traffic,
    pub sent: Traffic,
    /// Carried for it to others.
    pub forwarded: Traffic,
    pub drops: Drops,
    /// Our address as it sees us: what others may try to reach us at.
    pub observed: Option<SocketAddr>,
}

/// How a peer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Not at all, now.
    None,
    Direct {
        endpoint: SocketAddr,
        /// Whether the control side named this endpoint; else the peer was heard there, as one
        /// that moved or is behind a NAT.
        configured: bool,
    },
    Relayed {
        through: PublicKey,
    },
}

/// IP packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}
