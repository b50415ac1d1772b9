//! Why packets were not carried, counted.

use std::fmt;
use std::ops::Index;

/// The reason for which a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// From the network: neither WireGuard nor a frame of a relay.
    Garbage,
    /// From the network: a handshake or a relay's frame of someone that is not our peer, or that
    /// does not know our key.
    Stranger,
    /// From the network: for a session that we do not have (any more).
    UnknownIndex,
    /// From the network: not sealed with the session's key.
    Forged,
    /// From the network: seen before, or too old to tell.
    Replay,
    /// From the network: a handshake of a peer that came out of order or twice.
    Handshake,
    /// From the network: too many handshakes; the sender was told to prove its address.
    Overload,
    /// From a peer: its source address belongs to another peer or to nobody.
    ForeignSource,
    /// From a peer: its destination is beyond what this peer may send to.
    OutOfReach,
    /// From a peer: no IP packet.
    NotIp,
    /// From this host: no peer owns the destination. The sender is told.
    NoRoute,
    /// From this host: larger than the path takes. The sender is told.
    TooBig,
    /// From this host: more packets wait for the peer's session than are kept.
    NoSession,
    /// From this host: headers that contradict each other.
    Malformed,
    /// To the network: the socket's buffer stayed full.
    Congested,
    /// To the network: no route to the endpoint, or larger than the device takes.
    Unreachable,
    /// A peer asked to forward what we do not: we do not forward, or have no direct path.
    NotForwarded,
    /// A peer asked to forward more than its share.
    ForwardLimit,
    /// To this host: the interface did not take it.
    Interface,
}

impl Drop {
    /// All reasons, in the order in which they are shown.
    pub const ALL: [Self; 19] = [
        Self::Garbage,
        Self::Stranger,
        Self::UnknownIndex,
        Self::Forged,
        Self::Replay,
        Self::Handshake,
        Self::Overload,
        Self::ForeignSource,
        Self::OutOfReach,
        Self::NotIp,
        Self::NoRoute,
        Self::TooBig,
        Self::NoSession,
        Self::Malformed,
        Self::Congested,
        Self::Unreachable,
        Self::NotForwarded,
        Self::ForwardLimit,
        Self::Interface,
    ];
}

/// How many packets were dropped for each reason.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; Drop::ALL.len()]);

impl Drops {
    pub(crate) fn count(&mut self, reason: Drop) {
        self.0[reason as usize] += 1;
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Drop, u64)> {
        Drop::ALL
            .into_iter()
            .map(|reason| (reason, self[reason]))
            .filter(|(_, count)| *count > 0)
    }
}

impl Index<Drop> for Drops {
    type Output = u64;

    fn index(&self, reason: Drop) -> &u64 {
        &self.0[reason as usize]
    }
}

impl fmt::Debug for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place() {
        for (place, reason) in Drop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
