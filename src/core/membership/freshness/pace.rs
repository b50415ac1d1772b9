//! The pace of gossip and the limits of silence, from the size of the roster.
//!
//! A table with steps and not a formula: every number can be read, measured and argued about. The
//! limits follow the ages of what is known of live nodes: p99.99 was 8.2 s at 1,000 nodes in a trial,
//! and up to 100 nobody was *stale* in hours to a day with a tenth of all messages lost ([decision 9]).
//!
//! [decision 9]: docs/design/decisions/0009-limits-of-silence.md

use std::time::Duration;

/// How often to bump and exchange, and how much silence is how bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// *h*: how often a node bumps its own counter.
    pub bump: Duration,
    /// *p*: how often a node starts an exchange.
    pub round: Duration,
    /// Gets no new work.
    pub late: Duration,
    /// Out of DNS and balancers.
    pub stale: Duration,
    /// Its instances may be taken over: the grace of a node that did not go stale lately.
    pub absent: Duration,
}

/// Up to how many members, and the pace in milliseconds.
const STEPS: [(usize, Pace); 6] = [
    (5, pace(1_000, 500, 3_000, 4_000, 7_000)),
    (7, pace(1_000, 500, 3_500, 4_300, 11_000)),
    (10, pace(1_000, 500, 3_800, 4_500, 15_000)),
    (30, pace(1_000, 500, 4_500, 5_500, 22_000)),
    (100, pace(1_000, 500, 5_500, 6_500, 30_000)),
    (1_000, pace(2_000, 1_000, 9_500, 11_000, 30_000)),
];

/// Above 1,000 members: not measured, and vectors of that size want zones first.
const BEYOND: Pace = pace(5_000, 2_000, 22_000, 30_000, 60_000);

const fn pace(bump: u64, round: u64, late: u64, stale: u64, absent: u64) -> Pace {
    Pace {
        bump: Duration::from_millis(bump),
        round: Duration::from_millis(round),
        late: Duration::from_millis(late),
        stale: Duration::from_millis(stale),
        absent: Duration::from_millis(absent),
    }
}

impl Pace {
    /// The pace of a roster of this many members, this node included.
    pub fn of(members: usize) -> Self {
        STEPS
            .iter()
            .find(|(up_to, _)| members <= *up_to)
            .map_or(BEYOND, |(_, pace)| *pace)
    }

    /// How long an exchange may stay unanswered before another member is asked in the same round:
    /// two fifths of a round, so that two retries fit.
    pub fn patience(&self) -> Duration {
        self.round * 2 / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_rosters_are_given_more_time() {
        let limits = |n| {
            let pace = Pace::of(n);
            [pace.bump, pace.round, pace.late, pace.stale, pace.absent]
        };
        for members in 0..1_200 {
            let now = limits(members);
            let next = limits(members + 1);
            assert!(now.iter().zip(next).all(|(a, b)| *a <= b), "{members}");
            assert!(now[0] < now[2] && now[2] < now[3] && now[3] < now[4]);
        }
    }

    #[test]
    fn a_cut_link_in_a_small_grid_is_noticed_after_seven_seconds() {
        assert_eq!(Pace::of(3).absent, Duration::from_secs(7));
        assert_eq!(Pace::of(10).absent, Duration::from_secs(15));
        assert_eq!(Pace::of(100).absent, Duration::from_secs(30));
    }
}
