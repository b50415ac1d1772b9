//! Addresses without a master: which /24 of the grid's supernet a node gets.
//!
//! The sponsor of a node chooses with [`allocate`] and writes the answer into the admission record
//! that it signs. Two sponsors on two sides of a split may choose the same one; [`incumbent`] says
//! who keeps it, and nobody asks it yet: that comes with the overlay. Not here: the addresses inside a node's subnet, which that node hands out alone.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::id::{EnvelopeHash, NodeId};

/// The range that all subnets of a grid come from: 10.80.0.0/12, which is 4,096 nodes. It is the
/// range that Kontena 1.x used.
const SUPERNET: u32 = u32::from_be_bytes([10, 80, 0, 0]);
const SUPERNET_PREFIX: u32 = 12;
const SUBNET_PREFIX: u32 = 24;
const SLOTS: u32 = 1 << (SUBNET_PREFIX - SUPERNET_PREFIX);

/// A node's /24 of the supernet. Written `10.80.7.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    /// Which /24 of the supernet: always below [`SLOTS`].
    slot: u32,
}

/// The text is not a /24 of the supernet.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a /24 of 10.80.0.0/12")]
pub struct InvalidSubnet(String);

impl Subnet {
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(SUPERNET | (self.slot << (32 - SUBNET_PREFIX)))
    }

    fn of_slot(slot: u32) -> Self {
        Self { slot: slot % SLOTS }
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(raw: &str) -> Result<Self, InvalidSubnet> {
        let invalid = || InvalidSubnet(raw.chars().take(32).collect());
        let (network, prefix) = raw.split_once('/').ok_or_else(invalid)?;
        let network: Ipv4Addr = network.parse().map_err(|_| invalid())?;
        let slot = network.to_bits().wrapping_sub(SUPERNET) >> (32 - SUBNET_PREFIX);
        let subnet = Self::of_slot(slot);
        if prefix != "24" || subnet.network() != network {
            return Err(invalid());
        }
        Ok(subnet)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{SUBNET_PREFIX}", self.network()))
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A free subnet for `node`; `None` if all 4,096 are taken.
///
/// Free subnets are tried in an order that follows from the node's key, and not from the lowest
/// up: of two sponsors that cannot see each other both would take the lowest, while like this
/// they clash once in as many cases as there are free subnets.
pub fn allocate(node: NodeId, taken: &BTreeSet<Subnet>) -> Option<Subnet> {
    probes(node).find(|subnet| !taken.contains(subnet))
}

/// Every subnet once: an odd stride visits all slots, because their number is a power of two.
fn probes(node: NodeId) -> impl Iterator<Item = Subnet> {
    let digest = Sha256::new()
        .chain_update(b"kontena/subnet/1\0")
        .chain_update(node.as_bytes())
        .finalize();
    let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let stride = u32::from_be_bytes([digest[4], digest[5], digest[6], digest[7]]) | 1;
    (0..SLOTS).map(move |probe| Subnet::of_slot(start.wrapping_add(stride.wrapping_mul(probe))))
}

/// How the two admissions of a clash lie in the causal order of the `grid` document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// The second admission's author had seen the first.
    FirstIsOlder,
    SecondIsOlder,
    /// Written on two sides of a split.
    Concurrent,
}

/// Which of two admissions keeps a subnet that both were given: the one in the causal past of the
/// other, else the one with the lower hash.
///
/// Every node decides alike and at once. The loser attaches a new network beside the old one and
/// moves its instances one at a time.
pub fn incumbent(first: EnvelopeHash, second: EnvelopeHash, order: Precedence) -> EnvelopeHash {
    match order {
        Precedence::FirstIsOlder => first,
        Precedence::SecondIsOlder => second,
        Precedence::Concurrent => first.min(second),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subnet_is_read_as_it_is_written() {
        for text in ["10.80.0.0/24", "10.80.7.0/24", "10.95.255.0/24"] {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "10.80.7.0",
            "10.80.7.1/24",
            "10.80.7.0/16",
            "10.96.0.0/24",
            "10.79.255.0/24",
            "192.168.0.0/24",
            "10.80.7.0/024",
            "::/24",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_free_subnet_is_found_and_then_none() {
        let node = NodeId([7; 32]);
        let mut taken: BTreeSet<Subnet> = (0..SLOTS).map(Subnet::of_slot).collect();
        assert_eq!(allocate(node, &taken), None);
        let free = Subnet::of_slot(77);
        taken.remove(&free);
        assert_eq!(allocate(node, &taken), Some(free));
    }

    #[test]
    fn two_blind_sponsors_seldom_clash() {
        let chosen: BTreeSet<_> = (0..64_u8)
            .map(|n| allocate(NodeId([n; 32]), &BTreeSet::new()))
            .collect();
        // 64 blind choices of 4,096: half a clash is expected.
        assert!(chosen.len() >= 61, "{}", chosen.len());
    }

    #[test]
    fn the_older_admission_keeps_a_subnet_and_else_the_lower_hash() {
        let (low, high) = (EnvelopeHash([1; 32]), EnvelopeHash([2; 32]));
        assert_eq!(incumbent(high, low, Precedence::FirstIsOlder), high);
        assert_eq!(incumbent(low, high, Precedence::SecondIsOlder), high);
        assert_eq!(incumbent(high, low, Precedence::Concurrent), low);
        assert_eq!(incumbent(low, high, Precedence::Concurrent), low);
    }

    proptest! {
        #[test]
        fn what_is_allocated_was_free_and_stays_the_same(key: [u8; 32], slots: Vec<u16>) {
            let taken = slots.into_iter().map(|slot| Subnet::of_slot(slot.into())).collect();
            let subnet = allocate(NodeId(key), &taken).unwrap();
            prop_assert!(!taken.contains(&subnet));
            prop_assert_eq!(allocate(NodeId(key), &taken), Some(subnet));
        }

        #[test]
        fn probing_visits_every_subnet(key: [u8; 32]) {
            let all: BTreeSet<_> = probes(NodeId(key)).collect();
            prop_assert_eq!(all.len(), SLOTS as usize);
        }
    }
}
