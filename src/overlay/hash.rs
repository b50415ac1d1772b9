//! A hash for keys that nobody outside chooses: indices that we draw, prefixes that the control
//! side assigned. It is a few instructions where the standard one, which withstands chosen keys,
//! took 3 % of the time of a receiving node.

use std::hash::{BuildHasherDefault, Hasher};

/// A map that is asked once or more for each packet.
pub(crate) type HashMap<Key, Value> =
    std::collections::HashMap<Key, Value, BuildHasherDefault<Multiplying>>;

/// 2⁶⁴ divided by the golden ratio: neighbours end up far apart.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Multiplying(u64);

impl Hasher for Multiplying {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The table takes the place from the low bits, which a multiplication alone leaves poor.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(FACTOR);
        self.0 ^= self.0 >> 32;
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::Hash;

    use super::*;

    #[test]
    fn the_networks_of_a_large_grid_fall_on_different_places() {
        // 4,096 networks of /24 in 10.80.0.0/12, on 8,192 places.
        let places: BTreeSet<_> = (0..4096_u128)
            .map(|network| {
                let mut hasher = Multiplying::default();
                ((10 << 24 | 80 << 16) + (network << 8)).hash(&mut hasher);
                hasher.finish() % 8192
            })
            .collect();
        // Chance would fill 3,223 of them.
        assert!(places.len() > 3000, "{}", places.len());
    }
}
