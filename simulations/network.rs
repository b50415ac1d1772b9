//! The network between the hosts: delay, loss, doubling, reordering, and links that are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::chance::Chance;

/// Who can reach whom, and how well.
#[derive(Clone, Debug)]
pub struct Network {
    seed: u64,
    links: BTreeMap<(usize, usize), Chance>,
    /// Directed links that carry nothing.
    cut: BTreeSet<(usize, usize)>,
    /// Lost messages, in thousandths.
    pub loss: u64,
    /// Messages that arrive twice, in thousandths.
    pub doubled: u64,
    pub latency: (Duration, Duration),
    /// What troubles it for a time, beside the above.
    pub trouble: Trouble,
}

/// What is wrong with the network for a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Directed links that carry nothing.
    pub cut: BTreeSet<(usize, usize)>,
    pub loss: u64,
    pub doubled: u64,
    /// Thousandths of the messages that are held up, and for how long at most: others overtake them.
    pub held_up: (u64, Duration),
    /// Hosts whose links take this much longer, both ways.
    pub slow: BTreeMap<usize, Duration>,
}

impl Network {
    /// A quiet local network.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            loss: 0,
            doubled: 0,
            latency: (Duration::from_micros(300), Duration::from_millis(2)),
            trouble: Trouble::default(),
        }
    }

    /// How long each copy of a message takes: none if it is lost.
    pub fn carry(&mut self, from: usize, to: usize) -> Vec<Duration> {
        if self.is_cut(from, to) {
            return Vec::new();
        }
        let seed = self.seed;
        let link = self.links.entry((from, to));
        let chance = link.or_insert_with(|| Chance::of(seed, "link", &[from, to]));
        if chance.happens(self.loss.max(self.trouble.loss)) {
            return Vec::new();
        }
        let doubled = self.doubled.max(self.trouble.doubled);
        let copies = 1 + usize::from(chance.happens(doubled));
        let slow = |host| self.trouble.slow.get(&host).copied().unwrap_or_default();
        let slowness = slow(from) + slow(to);
        (0..copies)
            .map(|_| delay(chance, self.latency, self.trouble.held_up) + slowness)
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
        self.cut.contains(&(from, to)) || self.trouble.cut.contains(&(from, to))
    }
}

fn delay(
    chance: &mut Chance,
    latency: (Duration, Duration),
    (held_up, longest): (u64, Duration),
) -> Duration {
    let usual = chance.between(latency.0, latency.1);
    match chance.happens(held_up) {
        true => usual + chance.between(Duration::ZERO, longest),
        false => usual,
    }
}
