//! Scores: which of several fitting nodes comes first.
//!
//! In: counts that the pass keeps, and 64-bit hashes of services and nodes. Out: [`Scores`], ordered
//! so that the smallest is best. Integers only, because nodes of different architectures must agree.
//!
//! The rendezvous score of (service, number, node) is `mix(mix(S + number·G) ^ N)`: `S` is FNV-1a of
//! the service's key, `N` folds the four little-endian words of the node's key through `mix`, `mix`
//! is the finaliser of SplitMix64 (Steele, Lea, Flood 2014) and `G` its increment, 2^64 divided by
//! the golden ratio. It costs a few nanoseconds and is spread evenly, but is no defence against somebody who
//! picks node keys: nodes are admitted by people. It is a part of the rules: changing it raises
//! [`super::PLACEMENT_VERSION`].
//!
//! Not here: whether a node may run an instance at all (`filter`).

use std::cmp::Reverse;

use crate::id::{NodeId, ServiceKey};

use super::domains::Place;

/// The increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How well a node suits an instance. Smaller is better; the fields are compared in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scores {
    pub crowd: Crowd,
    /// Between equals the highest wins.
    pub rendezvous: Reverse<u64>,
}

/// What is the same for many nodes, so that the rest is computed for the best of them alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Crowd {
    /// Most others find no way to the node: it comes after all that are reached.
    pub cut_off: bool,
    /// It refuses another instance of the service: what failed there will hardly work for this one.
    pub refuses: bool,
    /// Of the volumes that the instance has for itself so many are not on the node.
    pub lacks_volumes: u32,
    /// One bit for each soft affinity that the node misses; the first rule is the highest bit.
    pub misses: u64,
    /// Instances of this service in the node's domains, the widest first: by themselves in its zone.
    pub domains: Place,
    /// Instances of this service on the node.
    pub service: u32,
    /// An empty node comes first, and of equals one that has the image.
    pub fullness: Fullness,
}

/// Instances of all services on a node, twice, and one more where the node does not say that it has the service's image: one number,
/// because the best of all nodes is looked for by it for each instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fullness(u32);

impl Fullness {
    #[inline]
    pub(super) fn new(total: u32, lacks_image: bool) -> Self {
        Self(total << 1 | u32::from(lacks_image))
    }

    /// Instances of all services.
    pub(super) fn total(self) -> u32 {
        self.0 >> 1
    }
}

/// A bijection that spreads every bit of `z` over all of the result.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(super) fn node_hash(node: &NodeId) -> u64 {
    let (words, _) = node.as_bytes().as_chunks::<8>();
    words
        .iter()
        .fold(0, |hash, word| mix(hash ^ u64::from_le_bytes(*word)))
}

pub(super) fn service_hash(key: &ServiceKey) -> u64 {
    let bytes = key.stack.as_str().bytes().chain([b'/']);
    bytes
        .chain(key.service.as_str().bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// What an instance contributes to its rendezvous scores.
pub(super) fn instance_hash(service: u64, number: u32) -> u64 {
    mix(service.wrapping_add(GOLDEN.wrapping_mul(u64::from(number))))
}

pub(super) fn rendezvous(instance: u64, node: u64) -> u64 {
    mix(instance ^ node)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every node of every version must compute these: a change of the numbers is a new placement version.
    #[test]
    fn the_score_of_a_triple_never_changes() {
        let service = service_hash(&"shop/web".parse().unwrap());
        let node = node_hash(&NodeId([7; 32]));
        assert_eq!(service, 0x1b2c_e43c_8d2a_78c4);
        assert_eq!(node, 0xffb2_a367_ea2c_d4c5);
        assert_eq!(
            rendezvous(instance_hash(service, 3), node),
            0xf9b2_af8c_0500_aa70
        );
    }

    #[test]
    fn scores_share_instances_out_evenly() {
        let nodes: Vec<u64> = (0..10).map(|n| node_hash(&NodeId([n; 32]))).collect();
        let service = service_hash(&"web".parse().unwrap());
        let mut held = [0_u32; 10];
        for number in 1..=10_000 {
            let instance = instance_hash(service, number);
            let best = (0..10).max_by_key(|n| rendezvous(instance, nodes[*n]));
            held[best.unwrap()] += 1;
        }
        assert!(held.iter().all(|n| (900..=1100).contains(n)), "{held:?}");
    }
}
