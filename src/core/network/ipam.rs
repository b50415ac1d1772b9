//! Addresses without a master: which /24 of the grid's plan a node gets.
//!
//! The sponsor of a node chooses with [`allocate`] and writes the answer into the admission record
//! that it signs. Two sponsors on two sides of a split may choose the same one; [`settle`] says, on every
//! node alike, who keeps it and what the other gets. Not here: the addresses inside a node's subnet, which
//! that node hands out alone ([`super::addresses`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::id::{EnvelopeHash, NodeId};
use crate::network::plan::{AddressPlan, NODE_PREFIX, Range};

/// A node's /24. Written `10.80.7.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    /// Its first 24 bits.
    head: u32,
}

/// The text is not a /24.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an IPv4 network of 24 bits")]
pub struct InvalidSubnet(String);

impl Subnet {
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.head << 8)
    }

    /// The node's own address in it, on the bridge of its containers: `.1`.
    pub fn gateway(self) -> Ipv4Addr {
        self.address(1)
    }

    /// The address with this last number.
    pub fn address(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network().to_bits() | u32::from(number))
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        Self::of(address) == self
    }

    /// The one that an address is of.
    pub fn of(address: Ipv4Addr) -> Self {
        Self {
            head: address.to_bits() >> 8,
        }
    }

    /// Whether nodes of this grid get it.
    pub fn is_of(self, plan: AddressPlan) -> bool {
        plan.subnet().contains(self.network())
    }

    fn of_slot(plan: AddressPlan, slot: u32) -> Self {
        let first = Self::of(plan.subnet().network());
        Self {
            head: first.head + slot % plan.room(),
        }
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(raw: &str) -> Result<Self, InvalidSubnet> {
        let invalid = || InvalidSubnet(raw.chars().take(32).collect());
        let range: Range = raw.parse().map_err(|_| invalid())?;
        if range.prefix() != NODE_PREFIX {
            return Err(invalid());
        }
        Ok(Self::of(range.network()))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{NODE_PREFIX}", self.network()))
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A free subnet for `node`; `None` if all of the plan's are taken.
///
/// Free subnets are tried in an order that follows from the node's key, and not from the lowest
/// up: of two sponsors that cannot see each other both would take the lowest, while like this
/// they clash once in as many cases as there are free subnets.
pub fn allocate(plan: AddressPlan, node: NodeId, taken: &BTreeSet<Subnet>) -> Option<Subnet> {
    probes(plan, node).find(|subnet| !taken.contains(subnet))
}

/// Every subnet once: an odd stride visits all slots, because their number is a power of two.
fn probes(plan: AddressPlan, node: NodeId) -> impl Iterator<Item = Subnet> {
    let digest = Sha256::new()
        .chain_update(b"kontena/subnet/1\0")
        .chain_update(node.as_bytes())
        .finalize();
    let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let stride = u32::from_be_bytes([digest[4], digest[5], digest[6], digest[7]]) | 1;
    (0..plan.room())
        .map(move |probe| Subnet::of_slot(plan, start.wrapping_add(stride.wrapping_mul(probe))))
}

/// A member's subnet as its admission says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub node: NodeId,
    pub subnet: Subnet,
    /// Of the change that wrote the admission.
    pub admission: EnvelopeHash,
}

/// The subnet of each member, no two alike: what its admission says, but for those who lost a clash.
/// They get the next one of their own order that no member has. A member is left out where none is left.
///
/// `claims` are in the order in which all nodes count members; `precedes(a, b)` says whether the author
/// of the second admission had seen the first.
pub fn settle(
    plan: AddressPlan,
    claims: &[Claim],
    precedes: impl Fn(EnvelopeHash, EnvelopeHash) -> bool,
) -> BTreeMap<NodeId, Subnet> {
    let mut by_subnet: BTreeMap<Subnet, Vec<Claim>> = BTreeMap::new();
    for claim in claims {
        by_subnet.entry(claim.subnet).or_default().push(*claim);
    }
    let keepers = by_subnet
        .values()
        .filter_map(|rivals| incumbent(rivals, &precedes));
    let mut settled: BTreeMap<NodeId, Subnet> =
        keepers.map(|claim| (claim.node, claim.subnet)).collect();
    let mut taken: BTreeSet<Subnet> = by_subnet.into_keys().collect();
    for claim in claims {
        if !settled.contains_key(&claim.node)
            && let Some(subnet) = allocate(plan, claim.node, &taken)
        {
            taken.insert(subnet);
            settled.insert(claim.node, subnet);
        }
    }
    settled
}

/// Who keeps a subnet: of those whose author had seen no other of these claims, the one with the lowest
/// hash. Of two, that is the older one, or the lower hash where they were written on two sides of a split.
fn incumbent(
    rivals: &[Claim],
    precedes: impl Fn(EnvelopeHash, EnvelopeHash) -> bool,
) -> Option<Claim> {
    let has_an_older = |claim: &Claim| {
        rivals.iter().any(|other| {
            other.admission != claim.admission && precedes(other.admission, claim.admission)
        })
    };
    let first = rivals.iter().filter(|claim| !has_an_older(claim));
    first.min_by_key(|claim| claim.admission).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan() -> AddressPlan {
        AddressPlan::default()
    }

    fn slot(slot: u32) -> Subnet {
        Subnet::of_slot(plan(), slot)
    }

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
            "10.80.7.0/024",
            "::/24",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subnet_has_the_addresses_that_begin_as_it_does() {
        let subnet: Subnet = "10.80.7.0/24".parse().unwrap();
        assert_eq!(subnet.gateway().to_string(), "10.80.7.1");
        assert_eq!(subnet.address(254).to_string(), "10.80.7.254");
        assert!(subnet.contains(subnet.address(0)));
        assert!(!subnet.contains("10.80.8.1".parse().unwrap()));
        assert_eq!(Subnet::of(subnet.address(9)), subnet);
        for (text, is_of) in [
            ("10.80.0.0/24", true),
            ("10.95.255.0/24", true),
            ("10.79.255.0/24", false),
            ("10.96.0.0/24", false),
            ("172.17.0.0/24", false),
        ] {
            let subnet: Subnet = text.parse().unwrap();
            assert_eq!(subnet.is_of(AddressPlan::default()), is_of, "{text}");
        }
    }

    #[test]
    fn the_last_free_subnet_is_found_and_then_none() {
        let node = NodeId([7; 32]);
        let mut taken: BTreeSet<Subnet> = (0..4_096).map(slot).collect();
        assert_eq!(allocate(plan(), node, &taken), None);
        let free = slot(77);
        taken.remove(&free);
        assert_eq!(allocate(plan(), node, &taken), Some(free));
    }

    #[test]
    fn two_blind_sponsors_seldom_clash() {
        let chosen: BTreeSet<_> = (0..64_u8)
            .map(|n| allocate(plan(), NodeId([n; 32]), &BTreeSet::new()))
            .collect();
        // 64 blind choices of 4,096: half a clash is expected.
        assert!(chosen.len() >= 61, "{}", chosen.len());
    }

    fn claim(node: u8, slot: u32, admission: u8) -> Claim {
        Claim {
            node: NodeId([node; 32]),
            subnet: self::slot(slot),
            admission: EnvelopeHash([admission; 32]),
        }
    }

    #[test]
    fn the_older_admission_keeps_a_subnet_and_else_the_lower_hash() {
        let (low, high) = (claim(1, 7, 1), claim(2, 7, 2));
        let keeper = |precedes: &dyn Fn(EnvelopeHash, EnvelopeHash) -> bool| {
            let settled = settle(plan(), &[low, high], precedes);
            let kept = settled.iter().find(|(_, subnet)| **subnet == low.subnet);
            *kept.unwrap().0
        };
        assert_eq!(keeper(&|a, _| a == high.admission), high.node);
        assert_eq!(keeper(&|a, _| a == low.admission), low.node);
        assert_eq!(keeper(&|_, _| false), low.node);
    }

    #[test]
    fn who_loses_gets_the_next_of_its_own_order_that_no_member_has() {
        let loser = NodeId([2; 32]);
        let order: Vec<Subnet> = probes(plan(), loser).take(3).collect();
        let of = |node: u8, subnet: Subnet, admission: u8| Claim {
            subnet,
            ..claim(node, 0, admission)
        };
        let claims = [of(1, order[0], 1), of(2, order[0], 2), of(3, order[1], 3)];
        let settled = settle(plan(), &claims, |_, _| false);
        assert_eq!(settled[&loser], order[2]);
        assert_eq!(settled[&NodeId([3; 32])], order[1]);
    }

    proptest! {
        #[test]
        fn what_is_allocated_was_free_and_stays_the_same(key: [u8; 32], slots: Vec<u16>) {
            let taken = slots.into_iter().map(|slot| self::slot(slot.into())).collect();
            let subnet = allocate(plan(), NodeId(key), &taken).unwrap();
            prop_assert!(!taken.contains(&subnet));
            prop_assert_eq!(allocate(plan(), NodeId(key), &taken), Some(subnet));
        }

        /// Admissions in any order of before and after, with few subnets for many.
        #[test]
        fn no_two_members_have_one_subnet_and_who_has_no_rival_keeps_its_own(
            slots in prop::collection::vec(0..12_u32, 1..24),
            seen in prop::collection::vec(any::<bool>(), 24 * 24),
        ) {
            let claims: Vec<Claim> = (0_u8..)
                .zip(&slots)
                .map(|(number, slot)| claim(number, *slot, number.wrapping_mul(167)))
                .collect();
            let place = |hash: EnvelopeHash| {
                claims.iter().position(|claim| claim.admission == hash).unwrap()
            };
            let settled = settle(plan(), &claims, |a, b| {
                let (a, b) = (place(a), place(b));
                a < b && seen[a * 24 + b]
            });
            let distinct: BTreeSet<Subnet> = settled.values().copied().collect();
            prop_assert_eq!(distinct.len(), claims.len());
            for claim in &claims {
                let rivals = claims.iter().filter(|other| other.subnet == claim.subnet);
                let keeps = settled[&claim.node] == claim.subnet;
                prop_assert!(keeps || rivals.count() > 1);
                prop_assert!(distinct.contains(&claim.subnet), "somebody keeps it");
            }
        }

        #[test]
        fn probing_visits_every_subnet_of_the_plan(key: [u8; 32], head: u8, prefix in 16..=24_u8) {
            let supernet = Range::around(Ipv4Addr::new(10, head, 0, 0), prefix).unwrap();
            let plan = AddressPlan::new(supernet, None).unwrap();
            let all: BTreeSet<_> = probes(plan, NodeId(key)).collect();
            prop_assert_eq!(all.len(), plan.room() as usize);
            prop_assert!(all.iter().all(|subnet| subnet.is_of(plan)));
        }
    }
}
