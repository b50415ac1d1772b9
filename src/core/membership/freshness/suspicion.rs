//! Self-suspicion: a node that has reason to doubt its own eyes waits before it takes anything over.
//!
//! Each cause delays once, and then rests: whatever goes wrong here, takeovers are never forbidden.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Instant;

/// Why this node doubts what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its own loop stood still for more than a second.
    Lagged,
    /// More than a third of a roster of four or more went stale within ten seconds.
    ManyStale,
    /// In a roster of three or more, no peer shows that it hears of this node.
    Unheard,
    /// A member that was absent is back: others may be on their way, one exchange later. Without this,
    /// a minority that meets the rest again takes over what those run whom it has not heard yet.
    Returning,
}

impl Cause {
    fn delay(self) -> Duration {
        match self {
            Self::Lagged => Duration::from_secs(30),
            Self::ManyStale | Self::Unheard => Duration::from_secs(10),
            // Everybody knows everybody 6 s after a heal of 30 nodes, and about 20 s after one of 1,000.
            Self::Returning => Duration::from_secs(20),
        }
    }
}

/// Until when this node shall take nothing over, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    pub until: Instant,
    pub why: Cause,
}

/// After a delay the same cause starts no other for this long, so that a host which lags all the time
/// still takes over half of the time.
const REST: Duration = Duration::from_secs(30);

/// The delays that were started, by cause.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    until: BTreeMap<Cause, Instant>,
}

impl Doubt {
    pub(super) fn raise(&mut self, why: Cause, now: Instant) {
        let rests = |until: &Instant| now < *until + REST;
        if !self.until.get(&why).is_some_and(rests) {
            self.until.insert(why, now + why.delay());
        }
    }

    pub(super) fn current(&self, now: Instant) -> Option<Suspicion> {
        let open = self.until.iter().filter(|(_, until)| **until > now);
        let last = open.max_by_key(|(_, until)| **until);
        last.map(|(why, until)| Suspicion {
            until: *until,
            why: *why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_delays_once_and_then_rests() {
        let mut doubt = Doubt::default();
        let mut suspected = 0;
        for second in 0..600 {
            let now = Instant::from_millis(second * 1_000);
            doubt.raise(Cause::Lagged, now);
            suspected += u64::from(doubt.current(now).is_some());
        }
        assert_eq!(
            suspected, 300,
            "half of the time, though it lags each second"
        );
    }

    #[test]
    fn the_longest_delay_counts() {
        let mut doubt = Doubt::default();
        doubt.raise(Cause::ManyStale, Instant::ZERO);
        doubt.raise(Cause::Lagged, Instant::ZERO);
        let why = |millis| {
            doubt
                .current(Instant::from_millis(millis))
                .map(|found| found.why)
        };
        assert_eq!(why(0), Some(Cause::Lagged));
        assert_eq!(why(29_999), Some(Cause::Lagged));
        assert_eq!(why(30_000), None);
    }
}
