//! Chance in a run: one stream of numbers for each purpose.
//!
//! A stream follows from the seed, the purpose and what it is drawn for (a host, a link). Taking one
//! fault out of a run therefore changes the numbers of nothing else, and a failing run can be shrunk.

use std::time::Duration;

use kontena_core::chance::Chance as Stream;

/// A stream of numbers that follows from a seed and a purpose.
#[derive(Clone, Debug)]
pub struct Chance(Stream);

impl Chance {
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(Stream::new(seed, purpose))
    }

    /// The stream of one of many: of a host, or of one boot of a host.
    pub fn of(seed: u64, purpose: &str, which: &[usize]) -> Self {
        Self::new(seed, &format!("{purpose} {which:?}"))
    }

    pub fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// An index of something that has `length` parts.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("an index is below a length in memory")
    }

    /// From `low` to `high`, both included.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `thousandths` of all cases.
    pub fn happens(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.below(1000) < thousandths
    }

    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high.saturating_sub(low).as_micros().max(1);
        low + Duration::from_micros(self.below(u64::try_from(span).unwrap_or(u64::MAX)))
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        self.0.pick(from)
    }

    /// Up to `count` of them, in random order.
    pub fn take<T>(&mut self, from: Vec<T>, count: usize) -> Vec<T> {
        self.0.take(from, count)
    }

    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_for_one_link_does_not_depend_on_another() {
        let mut quiet = Chance::of(7, "link", &[0, 1]);
        let mut busy = Chance::of(7, "link", &[1, 0]);
        let first = quiet.draw();
        busy.draw();
        assert_eq!(Chance::of(7, "link", &[0, 1]).draw(), first);
        assert_ne!(Chance::of(7, "link", &[1, 0]).draw(), first);
    }
}
