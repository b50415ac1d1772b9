//! The network between the hosts: delay, loss, and links that are cut one way or both.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::chance::Chance;

/// Who can reach whom, and how well.
#[derive(Clone, Debug)]
pub struct Network {
    /// Directed links that carry nothing.
    cut: BTreeSet<(usize, usize)>,
    /// Lost messages, in thousandths.
    pub loss: u64,
    /// Messages that arrive twice, in thousandths.
    pub doubled: u64,
    pub latency: (Duration, Duration),
}

impl Default for Network {
    /// A quiet local network.
    fn default() -> Self {
        Self {
            cut: BTreeSet::new(),
            loss: 0,
            doubled: 0,
            latency: (Duration::from_micros(300), Duration::from_millis(2)),
        }
    }
}

impl Network {
    /// How long each copy of a message takes: none if it is lost.
    pub fn carry(&self, from: usize, to: usize, chance: &mut Chance) -> Vec<Duration> {
        if self.cut.contains(&(from, to)) || chance.happens(self.loss) {
            return Vec::new();
        }
        let copies = if chance.happens(self.doubled) { 2 } else { 1 };
        (0..copies)
            .map(|_| chance.between(self.latency.0, self.latency.1))
            .collect()
    }

    pub fn cut_one_way(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Cuts every link between the two groups, both ways.
    pub fn split(&mut self, left: &[usize], right: &[usize]) {
        for &a in left {
            for &b in right {
                self.cut.insert((a, b));
                self.cut.insert((b, a));
            }
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }
}
