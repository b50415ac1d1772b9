//! How much is looked at, by size: virtual time costs real time in proportion to at least the size.

use std::time::Duration;

/// The extent of the measurements at one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Nodes that crash, one after the other.
    pub crashes: usize,
    /// Changes that are made.
    pub changes: usize,
    /// How long false absences are counted under each condition.
    pub watch: Duration,
    /// How long one node is cut off before it returns.
    pub away: Duration,
}

/// A grid to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    pub nodes: usize,
    pub seed: u64,
    pub effort: Effort,
}

impl Setup {
    /// `percent` of the usual effort at that size.
    pub fn new(nodes: usize, seed: u64, percent: u32) -> Self {
        let effort = Effort::of(nodes).scaled(percent);
        Self {
            nodes,
            seed,
            effort,
        }
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const fn effort(crashes: usize, changes: usize, watch: u64, away: u64) -> Effort {
    Effort {
        crashes,
        changes,
        watch: Duration::from_secs(watch),
        away: Duration::from_secs(away),
    }
}

impl Effort {
    /// At this many nodes. An absence of more than a day is told from a shorter one, so it is played
    /// wherever that takes minutes.
    pub fn of(nodes: usize) -> Self {
        match nodes {
            0..=3 => effort(20, 50, 12 * HOUR, 30 * DAY),
            4..=10 => effort(20, 50, 6 * HOUR, 26 * HOUR),
            11..=30 => effort(20, 50, HOUR, 4 * HOUR),
            31..=100 => effort(10, 20, 10 * MINUTE, HOUR),
            101..=300 => effort(4, 10, 3 * MINUTE, 10 * MINUTE),
            _ => effort(2, 5, MINUTE, 3 * MINUTE),
        }
    }
    /// At least one of each, and a second.
    fn scaled(self, percent: u32) -> Self {
        let count = |usual: usize| (usual * percent as usize / 100).max(1);
        let span = |usual: Duration| (usual * percent / 100).max(Duration::from_secs(1));
        Self {
            crashes: count(self.crashes),
            changes: count(self.changes),
            watch: span(self.watch),
            away: span(self.away),
        }
    }
}
