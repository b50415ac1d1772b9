//! A cron expression in a zone → the slots, one after the other.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::{Cron, Slot, Zone};
use crate::time::WallTime;

/// Slots are counted so far: of a longer time it is said that there were this many or more.
pub const MAX_COUNTED: u32 = 1_000;

/// Slots of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// [`MAX_COUNTED`] is that many or more.
    pub count: u32,
    /// The last of them, or where they were not all counted the end of that time.
    pub last: WallTime,
}

/// The offset of a zone changes a few times a year, and a schedule has a day within eight years.
const MAX_CHANGES: u32 = 100;

/// Longer than an hour that comes twice has seconds; no zone ever went back by more than a day.
const MAX_PASSED: u32 = 90_000;

/// The slots of a schedule.
///
/// Where clocks are put forward or back, it depends on the hour that the expression names:
///
/// * It begins with `*`: runs follow time as it passes. `*/5 * * * *` runs every five minutes through both of two equal hours,
///   and has nothing to do in an hour that is left out.
/// * It names hours: each time that a clock on a wall would show is one slot. A time that is left out is the first moment after
///   the gap; of one that comes twice the first counts.
#[derive(Clone, Debug)]
pub struct Calendar {
    cron: Cron,
    rules: TimeZone,
}

impl Calendar {
    pub fn new(cron: Cron, zone: Zone) -> Self {
        Self {
            cron,
            rules: zone.rules(),
        }
    }

    /// The first slot after this time; `None` where the calendar ends (the year 9999).
    pub fn next(&self, after: WallTime) -> Option<Slot> {
        let seconds = i64::try_from(after.0 / 1_000).ok()?;
        let after = Timestamp::from_second(seconds).ok()?;
        let next = match self.cron.is_every_hour() {
            true => self.next_as_time_passes(after),
            false => self.next_on_the_wall(after),
        };
        let millis = next?.as_second().checked_mul(1_000)?;
        u64::try_from(millis).ok().map(Slot)
    }

    /// The slots after one time and not after another.
    pub fn passed(&self, after: WallTime, until: WallTime) -> Passed {
        let mut count = 0;
        let mut last = after;
        while let Some(slot) = self.next(last).filter(|slot| slot.has_come(until)) {
            if count == MAX_COUNTED {
                return Passed { count, last: until };
            }
            count += 1;
            last = slot.time();
        }
        Passed { count, last }
    }

    /// From one change of the offset to the next the clock on the wall runs evenly.
    fn next_as_time_passes(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = later(after)?;
        for _ in 0..MAX_CHANGES {
            let offset = self.rules.to_offset(from);
            let changes = self.rules.following(from).next();
            let next = self.cron.next(offset.to_datetime(from))?;
            let next = offset.to_timestamp(next).ok()?;
            match changes.map(|change| change.timestamp()) {
                Some(change) if change <= next => from = change,
                Some(_) | None => return Some(next),
            }
        }
        None
    }

    fn next_on_the_wall(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = self.rules.to_datetime(after);
        for _ in 0..MAX_PASSED {
            let next = self.cron.next(from.checked_add(SECOND).ok()?)?;
            let at = self.moment(next)?;
            if at > after {
                return Some(at);
            }
            from = next;
        }
        None
    }

    /// When a clock on the wall shows this time, or would have.
    fn moment(&self, shown: DateTime) -> Option<Timestamp> {
        match self.rules.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(shown).ok(),
            AmbiguousOffset::Gap { before, .. } => {
                let within = later(before.to_timestamp(shown).ok()?)?;
                let change = self.rules.preceding(within).next();
                change.map(|change| change.timestamp())
            }
        }
    }
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn later(at: Timestamp) -> Option<Timestamp> {
    at.checked_add(SECOND).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(cron: &str, zone: &str) -> Calendar {
        Calendar::new(cron.parse().unwrap(), zone.parse().unwrap())
    }

    fn wall(text: &str) -> WallTime {
        let at: Timestamp = text.parse().unwrap();
        WallTime(at.as_millisecond().try_into().unwrap())
    }

    /// So many slots, as times of UTC.
    fn slots(calendar: &Calendar, after: &str, count: usize) -> Vec<String> {
        let mut at = wall(after);
        let next = || {
            let slot = calendar.next(at)?;
            at = slot.time();
            let seconds = i64::try_from(slot.0 / 1_000).unwrap();
            Some(Timestamp::from_second(seconds).unwrap().to_string())
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn a_slot_is_after_and_never_at_the_time_that_is_asked_for() {
        let each_minute = calendar("* * * * *", "UTC");
        let next = |after: u64| each_minute.next(WallTime(after)).unwrap().0;
        assert_eq!(
            [0, 1, 59_999, 60_000, 60_001].map(next),
            [60_000, 60_000, 60_000, 120_000, 120_000]
        );
    }

    #[test]
    fn a_time_of_a_zone_moves_with_its_summer() {
        // +02:00 until 29 March 2026, 01:00 UTC, then +03:00 until 25 October, 01:00 UTC.
        let daily = calendar("30 9 * * *", "Europe/Helsinki");
        let march = slots(&daily, "2026-03-27T12:00:00Z", 3);
        assert_eq!(
            march,
            [
                "2026-03-28T07:30:00Z",
                "2026-03-29T06:30:00Z",
                "2026-03-30T06:30:00Z"
            ]
        );
    }

    #[test]
    fn a_named_time_that_is_left_out_is_the_first_moment_after_the_gap() {
        // 03:00 to 04:00 is left out.
        let daily = calendar("30 3 * * *", "Europe/Helsinki");
        let march = slots(&daily, "2026-03-28T00:00:00Z", 3);
        assert_eq!(
            march,
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
        let often = calendar("*/20 3,4 * * *", "Europe/Helsinki");
        let march = slots(&often, "2026-03-29T00:00:00Z", 4);
        assert_eq!(
            march,
            [
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:20:00Z",
                "2026-03-29T01:40:00Z",
                "2026-03-30T00:00:00Z"
            ]
        );
    }

    #[test]
    fn a_named_time_that_comes_twice_is_the_first_of_the_two() {
        // 03:00 to 04:00 comes twice.
        let daily = calendar("30 3 * * *", "Europe/Helsinki");
        let october = slots(&daily, "2026-10-24T12:00:00Z", 2);
        assert_eq!(october, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        // Asked in the second of the two hours, nothing of it is left.
        let within = slots(&daily, "2026-10-25T01:10:00Z", 1);
        assert_eq!(within, ["2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn every_so_many_minutes_is_as_time_passes() {
        let often = calendar("*/30 * * * *", "Europe/Helsinki");
        let october = slots(&often, "2026-10-24T23:59:59Z", 6);
        assert_eq!(
            october,
            [
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z",
                "2026-10-25T02:30:00Z",
            ]
        );
        let march = slots(&often, "2026-03-29T00:15:00Z", 3);
        assert_eq!(
            march,
            [
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z"
            ]
        );
    }

    #[test]
    fn a_zone_of_half_hours_and_one_that_left_out_a_day_have_slots_too() {
        let half = slots(
            &calendar("0 * * * *", "Asia/Kolkata"),
            "2026-01-01T00:00:00Z",
            2,
        );
        assert_eq!(half, ["2026-01-01T00:30:00Z", "2026-01-01T01:30:00Z"]);
        // Apia had no 30 December 2011: it went from -10:00 to +14:00 at the end of the 29th.
        let apia = slots(
            &calendar("0 12 * * *", "Pacific/Apia"),
            "2011-12-29T00:00:00Z",
            3,
        );
        assert_eq!(
            apia,
            [
                "2011-12-29T22:00:00Z",
                "2011-12-30T10:00:00Z",
                "2011-12-30T22:00:00Z"
            ]
        );
    }

    #[test]
    fn what_a_long_absence_missed_is_counted_so_far_and_no_further() {
        let each_second = calendar("* * * * * *", "UTC");
        let passed = |after, until| each_second.passed(WallTime(after), WallTime(until));
        let of = |count, last| Passed {
            count,
            last: WallTime(last),
        };
        assert_eq!(passed(0, 10_500), of(10, 10_000));
        assert_eq!(passed(0, 1_000_000), of(MAX_COUNTED, 1_000_000));
        assert_eq!(
            passed(0, 1_767_225_600_000),
            of(MAX_COUNTED, 1_767_225_600_000)
        );
        assert_eq!(passed(10_000, 10_000), of(0, 10_000));
        assert_eq!(passed(20_000, 10_000), of(0, 20_000));
    }

    #[test]
    fn the_calendar_ends_without_a_word() {
        let daily = calendar("@daily", "America/New_York");
        assert_eq!(daily.next(WallTime(u64::MAX)), None);
        assert_eq!(daily.next(WallTime(253_402_300_799_000)), None);
    }

    #[test]
    fn slots_rise_through_each_change_of_a_year_in_every_kind_of_zone() {
        for zone in [
            "Europe/Helsinki",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Africa/Casablanca",
            "UTC",
        ] {
            for cron in ["*/7 * * * *", "13 1,2,3 * * *", "0 0 * * 0"] {
                let calendar = calendar(cron, zone);
                let mut at = wall("2026-01-01T00:00:00Z");
                while at < wall("2027-01-01T00:00:00Z") {
                    let slot = calendar.next(at).unwrap();
                    assert!(slot.time() > at, "{zone} {cron}");
                    assert!(slot.0 - at.0 <= 9 * 24 * 3_600_000, "{zone} {cron}");
                    at = slot.time();
                }
            }
        }
    }
}
