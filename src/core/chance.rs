//! Chance as an argument: a small seeded generator, so that a run can be repeated.
//!
//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
//! 2014): 64 bits of state, every seed is good. It spreads load; it keeps no secret.

use sha2::{Digest, Sha256};

/// A stream of numbers that follows from a seed and a purpose alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Two purposes under one seed give unrelated streams, so that drawing more for one does not
    /// change what the other draws.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(seed.to_be_bytes())
            .chain_update(purpose)
            .finalize();
        let mut state = [0; 8];
        state.copy_from_slice(&digest[..8]);
        Self {
            state: u64::from_be_bytes(state),
        }
    }

    /// The next number, each of the 2⁶⁴ equally likely.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where `bound` is 0. Uneven by less than `bound` in 2⁶⁴.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the upper half of a product of two u64 fits one")
    }

    /// One of them; `None` of none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }

    /// Takes up to `count` of them, in random order.
    pub fn take<T>(&mut self, mut from: Vec<T>, count: usize) -> Vec<T> {
        let count = count.min(from.len());
        for place in 0..count {
            let other = place + self.index(from.len() - place);
            from.swap(place, other);
        }
        from.truncate(count);
        from
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("an index is below a length in memory")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // The first outputs of SplitMix64 from state 0, as its authors' reference prints them.
        let mut chance = Chance { state: 0 };
        assert_eq!(chance.draw(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(chance.draw(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn equal_seeds_repeat_and_purposes_differ() {
        assert_eq!(Chance::new(1, "a").draw(), Chance::new(1, "a").draw());
        assert_ne!(Chance::new(1, "a").draw(), Chance::new(1, "b").draw());
        assert_ne!(Chance::new(1, "a").draw(), Chance::new(2, "a").draw());
    }

    #[test]
    fn every_number_below_the_bound_comes_about_equally_often() {
        let mut chance = Chance::new(7, "dice");
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[chance.index(6)] += 1;
        }
        assert!(
            seen.iter().all(|count| (850..1150).contains(count)),
            "{seen:?}"
        );
        assert_eq!(chance.below(0), 0);
    }

    #[test]
    fn a_hand_is_drawn_without_repeats() {
        let mut hand = Chance::new(3, "cards").take((0..10).collect(), 4);
        hand.sort_unstable();
        hand.dedup();
        assert_eq!(hand.len(), 4);
        assert_eq!(Chance::new(3, "cards").take(vec![1, 2], 9).len(), 2);
        assert_eq!(Chance::new(3, "cards").pick::<u8>(&[]), None);
    }
}
