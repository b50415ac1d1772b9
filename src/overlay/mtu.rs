//! How large a packet a path takes (RFC 8899 in small): the largest size is tried first, and if it
//! gets no answer the largest that does is looked for, by halving. Until a size is known to be lost
//! data is sent as if it fitted; it may be fragmented on its way, so that nothing is lost meanwhile.

use std::time::{Duration, Instant};

/// Each path is taken to carry this; IPv6 has no smaller packets. What does not fit is fragmented
/// between the nodes.
pub(crate) const LEAST: u16 = 1280;

/// Sizes are told apart by so many bytes.
const STEP: u16 = 8;

/// So many lost probes of a size, while shorter ones are answered, say that it does not fit.
const TRIES: u8 = 3;

/// How long to wait for an answer.
const WAIT: Duration = Duration::from_secs(1);

/// How often the size in use is tried again: a route may have changed.
const CONFIRM: Duration = Duration::from_secs(60);

/// How often larger sizes are tried again.
const RAISE: Duration = Duration::from_secs(600);

/// The state of the search on one path.
#[derive(Clone, Debug)]
pub(crate) struct PathMtu {
    ceiling: u16,
    /// The largest size known to fit.
    low: u16,
    /// The largest size that may fit.
    high: u16,
    in_use: u16,
    asked: Option<Asked>,
    /// When to ask next.
    next: Instant,
    raised: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    size: u16,
    tries: u8,
    until: Instant,
}

impl PathMtu {
    pub(crate) fn new(ceiling: u16, now: Instant) -> Self {
        let ceiling = ceiling.max(LEAST);
        Self {
            ceiling,
            low: LEAST,
            high: ceiling,
            in_use: ceiling,
            asked: None,
            next: now,
            raised: now,
        }
    }

    /// The longest packet to be sent.
    pub(crate) fn in_use(&self) -> u16 {
        self.in_use
    }

    /// Begins anew: the path is another one.
    pub(crate) fn restart(&mut self, now: Instant) {
        *self = Self::new(self.ceiling, now);
    }

    /// The size of a probe to be sent now. Asked only while the path answers short probes.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u16> {
        match self.asked {
            Some(asked) if now < asked.until => return None,
            Some(asked) if asked.tries >= TRIES => self.lost(asked.size, now),
            Some(_) => {}
            None if now < self.next => return None,
            None => self.plan(now),
        }
        let size = self
            .asked
            .map_or_else(|| self.candidate(), |asked| asked.size);
        let tries = self.asked.map_or(0, |asked| asked.tries);
        self.asked = Some(Asked {
            size,
            tries: tries + 1,
            until: now + WAIT,
        });
        Some(size)
    }

    /// A probe of this size arrived at the other end.
    pub(crate) fn answered(&mut self, size: u16, now: Instant) {
        if self.asked.is_none_or(|asked| asked.size != size) {
            return;
        }
        self.asked = None;
        self.low = size.max(self.low);
        self.in_use = self.low;
        if self.is_found() {
            self.next = now + CONFIRM;
        } else {
            self.next = now;
        }
    }

    /// What was asked while nothing else came by this path says nothing.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.asked = None;
        self.next = now + WAIT;
    }

    fn lost(&mut self, size: u16, now: Instant) {
        self.asked = None;
        if size <= self.low {
            // What used to fit does not any more.
            self.low = LEAST;
        }
        self.high = (size - 1).max(LEAST);
        self.in_use = self.low;
        self.raised = now;
    }

    /// When a found size is due again: whether to look for more.
    fn plan(&mut self, now: Instant) {
        if self.is_found() && now >= self.raised + RAISE && self.in_use < self.ceiling {
            self.high = self.ceiling;
            self.raised = now;
        }
    }

    fn is_found(&self) -> bool {
        self.high < self.low + STEP
    }

    /// The size to be tried next: the largest first, then the middle.
    fn candidate(&self) -> u16 {
        if self.high == self.ceiling || self.is_found() {
            return if self.is_found() { self.low } else { self.high };
        }
        let middle = self.low + (self.high - self.low) / 2;
        (middle.next_multiple_of(STEP)).clamp(self.low + STEP, self.high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs the search on a path that takes packets of `fits` bytes, and tells what it found.
    fn searched(mtu: &mut PathMtu, fits: u16, mut now: Instant, time: Duration) -> (u16, Instant) {
        let end = now + time;
        while now < end {
            if let Some(size) = mtu.due(now)
                && size <= fits
            {
                mtu.answered(size, now);
            }
            now += Duration::from_millis(250);
        }
        (mtu.in_use(), now)
    }

    proptest! {
        #[test]
        fn the_search_comes_within_a_step_of_what_fits_and_never_above(
            ceiling in LEAST..9000,
            fits in LEAST..9000_u16,
            later in LEAST..9000_u16,
        ) {
            let now = Instant::now();
            let mut mtu = PathMtu::new(ceiling, now);
            let (found, now) = searched(&mut mtu, fits, now, Duration::from_secs(60));
            let right = |found: u16, fits: u16| {
                found <= fits && found + STEP > fits.min(ceiling)
            };
            prop_assert!(right(found, fits), "found {found} of {fits} below {ceiling}");
            // The path changes, and is measured again within the time of a raise.
            let time = RAISE + Duration::from_secs(200);
            let (found, _) = searched(&mut mtu, later, now, time);
            prop_assert!(right(found, later), "found {found} of {later} below {ceiling}");
        }
    }

    #[test]
    fn a_path_that_takes_all_is_known_after_one_probe() {
        let now = Instant::now();
        let mut mtu = PathMtu::new(1396, now);
        assert_eq!(mtu.due(now), Some(1396));
        mtu.answered(1396, now);
        assert_eq!(mtu.in_use(), 1396);
        assert_eq!(mtu.due(now + Duration::from_secs(1)), None);
    }

    #[test]
    fn a_narrow_path_is_used_with_the_least_size_three_seconds_after_it_was_opened() {
        let now = Instant::now();
        let mut mtu = PathMtu::new(1396, now);
        for second in 0..3 {
            assert_eq!(mtu.due(now + Duration::from_secs(second)), Some(1396));
            assert_eq!(mtu.in_use(), 1396);
        }
        assert_ne!(mtu.due(now + Duration::from_secs(3)), Some(1396));
        assert_eq!(mtu.in_use(), LEAST);
    }
}
