//! A host's clocks: a monotonic one that runs a little fast or slow, and a wall clock that jumps.

use kontena_core::time::{Instant, Now, WallTime};

/// Wall time at the start of every run: 2026-01-01, in milliseconds.
const EPOCH: u64 = 1_767_225_600_000;

const MILLION: u128 = 1_000_000;

/// How one host's clocks differ from the world's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Parts per million by which the monotonic clock runs fast (quartz: up to ±200).
    drift: i64,
    /// Milliseconds by which the wall clock is ahead.
    ahead: i64,
}

impl Clock {
    pub fn drifting(drift: i64) -> Self {
        Self { drift, ahead: 0 }
    }

    /// Sets the wall clock forward, or back. The monotonic one goes on.
    pub fn jump(&mut self, millis: i64) {
        self.ahead = self.ahead.saturating_add(millis);
    }

    /// What this host's clocks show at a moment of the world.
    pub fn read(self, now: Instant) -> Now {
        Now {
            monotonic: self.local(now),
            wall: WallTime(wall_millis(now).saturating_add_signed(self.ahead)),
        }
    }

    fn rate(self) -> u128 {
        let rate = MILLION
            .checked_add_signed(i128::from(self.drift))
            .unwrap_or(MILLION);
        rate.max(1)
    }

    fn local(self, now: Instant) -> Instant {
        at_nanos(now.since_start().as_nanos() * self.rate() / MILLION)
    }

    /// The first moment of the world at which the monotonic clock shows `local`.
    pub fn world(self, local: Instant) -> Instant {
        at_nanos((local.since_start().as_nanos() * MILLION).div_ceil(self.rate()))
    }
}

fn wall_millis(now: Instant) -> u64 {
    let millis = u64::try_from(now.since_start().as_millis());
    EPOCH + millis.expect("a run is shorter than the universe")
}

fn at_nanos(nanos: u128) -> Instant {
    let nanos = u64::try_from(nanos).expect("a run is shorter than five hundred years");
    Instant::from_duration(std::time::Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_sleeps_until_a_time_of_its_own_clock_wakes_when_it_shows_that_time() {
        for drift in [-200, -7, 0, 3, 200] {
            let clock = Clock::drifting(drift);
            for millis in [1, 999, 86_400_123] {
                let local = Instant::from_millis(millis);
                assert!(clock.read(clock.world(local)).monotonic >= local);
            }
        }
    }

    #[test]
    fn a_jump_of_the_wall_clock_leaves_the_monotonic_one_alone() {
        let mut clock = Clock::default();
        let before = clock.read(Instant::from_millis(5));
        clock.jump(-3_600_000);
        let after = clock.read(Instant::from_millis(5));
        assert_eq!(after.monotonic, before.monotonic);
        assert_eq!(after.wall.0, before.wall.0 - 3_600_000);
    }
}
