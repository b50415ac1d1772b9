//! Cryptokey routing: which peer owns an address. The longest prefix decides.

use std::net::IpAddr;

use crate::hash::HashMap;
use crate::prefix::{Prefix, bits, masked, number};

/// Prefixes and their owners. Looked up once for each packet; there are few different lengths, so
/// one hash table for each length beats a tree.
#[derive(Clone, Debug)]
pub(crate) struct Routes<Owner> {
    v4: Vec<Level<Owner>>,
    v6: Vec<Level<Owner>>,
}

#[derive(Clone, Debug)]
struct Level<Owner> {
    length: u8,
    owners: HashMap<u128, Owner>,
}

impl<Owner> Default for Routes<Owner> {
    fn default() -> Self {
        Self {
            v4: Vec::new(),
            v6: Vec::new(),
        }
    }
}

impl<Owner: Copy + Eq> Routes<Owner> {
    /// Gives a prefix to an owner, and tells who had it.
    pub(crate) fn insert(&mut self, prefix: Prefix, owner: Owner) -> Option<Owner> {
        let levels = match prefix.address() {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        };
        let length = prefix.length();
        // Longest first, which is the order in which they are asked.
        let at = levels.partition_point(|level| level.length > length);
        if levels.get(at).is_none_or(|level| level.length != length) {
            let owners = HashMap::default();
            levels.insert(at, Level { length, owners });
        }
        let address = prefix.address();
        let network = masked(number(address), length, bits(address));
        levels[at].owners.insert(network, owner)
    }

    /// The owner of an address.
    pub(crate) fn lookup(&self, address: IpAddr) -> Option<Owner> {
        let (levels, width) = match address {
            IpAddr::V4(_) => (&self.v4, 32),
            IpAddr::V6(_) => (&self.v6, 128),
        };
        let address = number(address);
        levels
            .iter()
            .find_map(|level| level.owners.get(&masked(address, level.length, width)))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        // Few bits differ, so that prefixes nest and meet.
        prop_oneof![
            any::<u8>().prop_map(|low| IpAddr::V4(Ipv4Addr::new(10, low & 1, 0, low))),
            any::<u8>().prop_map(|low| IpAddr::V6(Ipv6Addr::from_bits(u128::from(low) << 60))),
        ]
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        (address(), 0..=128_u8).prop_map(|(address, length)| {
            Prefix::new(address, length.min(bits(address))).expect("the length fits the family")
        })
    }

    proptest! {
        #[test]
        fn the_longest_prefix_decides_as_in_a_plain_list(
            prefixes in proptest::collection::vec(prefix(), 0..20),
            asked in address(),
        ) {
            let mut routes = Routes::default();
            for (owner, prefix) in prefixes.iter().enumerate() {
                routes.insert(*prefix, owner);
            }
            // Of equal prefixes the last one given counts.
            let naive = (0..prefixes.len())
                .filter(|at| prefixes[*at].contains(asked))
                .max_by_key(|at| (prefixes[*at].length(), *at));
            prop_assert_eq!(routes.lookup(asked), naive);
        }
    }

    #[test]
    fn who_loses_a_prefix_is_told() {
        let mut routes = Routes::default();
        let prefix: Prefix = "10.80.1.0/24".parse().expect("a prefix");
        assert_eq!(routes.insert(prefix, 1), None);
        assert_eq!(routes.insert(prefix, 2), Some(1));
    }
}
