//! The addresses inside a node's subnet: that node alone hands them out.
//!
//! `.1` is the node itself, on the bridge of its containers. Not here: which subnet a node has
//! ([`super::ipam`]).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use sha2::{Digest, Sha256};

use crate::id::{GridId, InstanceId, NodeId};
use crate::network::ipam::Subnet;

/// Last numbers of the addresses of instances: 190, several times what a host of this size runs.
pub const INSTANCES: RangeInclusive<u8> = 2..=191;
/// Of VPN users that enter by this node: each has the same number at every node, so a grid has 48 at most.
pub const VPN: RangeInclusive<u8> = 192..=239;
/// The same as prefixes: where they begin, and how many bits count.
pub const VPN_PREFIXES: [(u8, u8); 2] = [(192, 27), (224, 28)];
/// What Docker hands out by itself begins here: containers that people attach to the network by hand.
pub const BY_HAND: u8 = 240;
/// And is so long: `.240` to `.255`.
pub const BY_HAND_PREFIX: u8 = 28;

/// The bits of a grid's management prefix: a /48 that is unique as RFC 4193 asks for.
pub const MANAGEMENT_PREFIX: u8 = 48;

/// Whether a packet to this address goes to one other host: not to many, to none, or to whoever sends it.
pub fn is_one_host(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    let is_for_many = is_broadcast || address.is_multicast();
    !is_for_many && !address.is_unspecified() && !address.is_loopback()
}

/// The address of an instance's next container: the one that it had, else the first of its own order
/// that is free. `None` if all are taken.
///
/// The order follows from the instance's name, so that it comes to the same address wherever the memory of
/// the last one is lost.
pub fn choose(
    subnet: Subnet,
    instance: &InstanceId,
    before: Option<Ipv4Addr>,
    taken: &BTreeSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    before
        .filter(|address| is_of_instances(subnet, *address))
        .into_iter()
        .chain(order(subnet, instance))
        .find(|address| !taken.contains(address))
}

fn is_of_instances(subnet: Subnet, address: Ipv4Addr) -> bool {
    subnet.contains(address) && INSTANCES.contains(&address.octets()[3])
}

/// Every address of instances once, from one on that follows from the instance's name.
fn order(subnet: Subnet, instance: &InstanceId) -> impl Iterator<Item = Ipv4Addr> {
    let digest = Sha256::new()
        .chain_update(b"kontena/address/1\0")
        .chain_update(instance.to_string())
        .finalize();
    let count = INSTANCES.len();
    let start = usize::from(u16::from_be_bytes([digest[0], digest[1]])) % count;
    let all = INSTANCES.cycle().skip(start).take(count);
    all.map(move |number| subnet.address(number))
}

/// The addresses of all nodes of a grid that need no claim: each follows from a node's key.
pub fn management_network(grid: GridId) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..6].copy_from_slice(&grid.0[..5]);
    Ipv6Addr::from(octets)
}

/// A node's own: 80 bits of a hash of its key behind the grid's 48.
pub fn management(grid: GridId, node: NodeId) -> Ipv6Addr {
    let digest = Sha256::new()
        .chain_update(b"kontena/management/1\0")
        .chain_update(node.as_bytes())
        .finalize();
    let mut octets = management_network(grid).octets();
    octets[6..].copy_from_slice(&digest[..10]);
    Ipv6Addr::from(octets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subnet() -> Subnet {
        "10.80.7.0/24".parse().unwrap()
    }

    fn instance(number: u32) -> InstanceId {
        format!("shop/web-{number}").parse().unwrap()
    }

    #[test]
    fn one_host_is_neither_many_nor_none_nor_oneself() {
        let is_one = |text: &str| is_one_host(text.parse().unwrap());
        let good = [
            "203.0.113.7",
            "10.0.0.1",
            "2001:db8::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ];
        let bad = [
            "0.0.0.0",
            "::",
            "127.0.0.1",
            "::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "::ffff:255.255.255.255",
        ];
        assert_eq!(good.map(is_one), [true; 5]);
        assert_eq!(bad.map(is_one), [false; 9]);
    }

    #[test]
    fn an_instance_keeps_its_address_while_nobody_else_has_it() {
        let before = subnet().address(77);
        let mut taken = BTreeSet::new();
        let chosen = choose(subnet(), &instance(1), Some(before), &taken);
        assert_eq!(chosen, Some(before));
        taken.insert(before);
        let chosen = choose(subnet(), &instance(1), Some(before), &taken);
        assert!(chosen.is_some_and(|address| address != before));
    }

    #[test]
    fn an_address_of_another_subnet_or_of_another_use_is_not_kept() {
        for other in ["10.80.8.77", "10.80.7.1", "10.80.7.230", "10.80.7.0"] {
            let other = other.parse().unwrap();
            let chosen = choose(subnet(), &instance(1), Some(other), &BTreeSet::new());
            assert!(chosen.is_some_and(|address| address != other), "{other}");
        }
    }

    #[test]
    fn management_addresses_follow_from_the_keys() {
        let (grid, node) = (GridId([7; 32]), NodeId([9; 32]));
        let address = management(grid, node);
        assert_eq!(address, management(grid, node));
        assert_ne!(address, management(grid, NodeId([8; 32])));
        assert_eq!(management_network(grid).to_string(), "fd07:707:707::");
        assert_eq!(address.segments()[..3], [0xfd07, 0x0707, 0x0707]);
    }

    proptest! {
        #[test]
        fn no_address_is_given_twice_until_all_are_given(number: u32, count in 1..=190_usize) {
            let mut taken = BTreeSet::new();
            for _ in 0..count {
                let address = choose(subnet(), &instance(number), None, &taken).unwrap();
                prop_assert!(is_of_instances(subnet(), address));
                prop_assert!(taken.insert(address));
            }
            if count == 190 {
                prop_assert_eq!(choose(subnet(), &instance(number), None, &taken), None);
            }
        }
    }
}
