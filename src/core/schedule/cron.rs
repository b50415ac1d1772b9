//! Cron expressions: five fields as Vixie cron has them, or six with seconds before them.
//!
//! ```text
//! ┌ second, where there are six (0 to 59)
//! │ ┌ minute (0 to 59)
//! │ │ ┌ hour (0 to 23)
//! │ │ │ ┌ day of the month (1 to 31)
//! │ │ │ │ ┌ month (1 to 12, jan to dec)
//! │ │ │ │ │ ┌ day of the week (0 to 7, sun to sat; 0 and 7 are Sunday)
//! 0 */5 * * * mon-fri
//! ```
//!
//! A field is a list of `*`, `N`, `N-M`, and of these with `/STEP`. Where both days are said (neither begins with `*`) one of
//! them is enough, as in Vixie cron. Its reading is a set of numbers for each field, so that the next time is found without
//! trying every second.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};

/// Leap days are eight years apart at most.
const HORIZON_DAYS: u32 = 8 * 366 + 1;

/// A cron expression as it was written, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    is_every_day: bool,
    is_every_weekday: bool,
    is_every_hour: bool,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    #[error(
        "a schedule has five fields (minute, hour, day, month, weekday), or six with seconds before them; this has {0}"
    )]
    Fields(usize),
    #[error("`{0}` is not a schedule: there are @hourly, @daily, @weekly, @monthly and @yearly")]
    Word(String),
    #[error("{field}: `{item}` is not a number, a range or `*`, with or without a step")]
    Form { field: &'static str, item: String },
    #[error("{field}: {number} is not from {least} to {most}")]
    Range {
        field: &'static str,
        number: u64,
        least: u64,
        most: u64,
    },
    #[error("{field}: the range `{item}` goes backwards")]
    Backwards { field: &'static str, item: String },
    #[error("{field}: a step is 1 at least")]
    NoStep { field: &'static str },
    #[error("it never runs: no such day is in any of its months")]
    Never,
}

/// One of the fields, and what it may say.
struct Field {
    name: &'static str,
    least: u64,
    most: u64,
    names: &'static [&'static str],
}

const SECOND: Field = field("the second", 0, 59, &[]);
const MINUTE: Field = field("the minute", 0, 59, &[]);
const HOUR: Field = field("the hour", 0, 23, &[]);
const DAY: Field = field("the day of the month", 1, 31, &[]);
const MONTH: Field = field(
    "the month",
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
const WEEKDAY: Field = field(
    "the day of the week",
    0,
    7,
    &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
);

const fn field(name: &'static str, least: u64, most: u64, names: &'static [&'static str]) -> Field {
    Field {
        name,
        least,
        most,
        names,
    }
}

impl Field {
    /// The numbers that it stands for, a bit for each.
    fn read(&self, text: &str) -> Result<u64, InvalidCron> {
        let mut items = text.split(',').map(|item| self.item(item));
        items.try_fold(0, |all, item| Ok(all | item?))
    }

    fn item(&self, item: &str) -> Result<u64, InvalidCron> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step, item)?)),
            None => (item, None),
        };
        let (first, last) = self.range(range, item, step.is_some())?;
        let numbers = (first..=last).step_by(step.unwrap_or(1));
        Ok(numbers.fold(0, |all, number| all | 1 << number))
    }

    fn step(&self, text: &str, item: &str) -> Result<usize, InvalidCron> {
        let step = self.digits(text, item)?;
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        if step == 0 {
            return Err(InvalidCron::NoStep { field: self.name });
        }
        Ok(step)
    }

    /// `N/STEP` goes on to the end.
    fn range(&self, range: &str, item: &str, has_step: bool) -> Result<(u64, u64), InvalidCron> {
        if range == "*" {
            return Ok((self.least, self.last()));
        }
        let Some((first, last)) = range.split_once('-') else {
            let first = self.number(range, item)?;
            let last = if has_step {
                self.last().max(first)
            } else {
                first
            };
            return Ok((first, last));
        };
        let (first, last) = (self.number(first, item)?, self.number(last, item)?);
        if first > last {
            let item = item.to_owned();
            return Err(InvalidCron::Backwards {
                field: self.name,
                item,
            });
        }
        Ok((first, last))
    }

    /// The last of `*`: Sunday has two numbers, and is once in it.
    fn last(&self) -> u64 {
        self.most.min(self.least + self.count() - 1)
    }

    fn count(&self) -> u64 {
        match self.names.len() {
            0 => self.most - self.least + 1,
            names => names as u64,
        }
    }

    fn number(&self, text: &str, item: &str) -> Result<u64, InvalidCron> {
        let mut names = (self.least..).zip(self.names);
        if let Some((number, _)) = names.find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Ok(number);
        }
        let number = self.digits(text, item)?;
        if (self.least..=self.most).contains(&number) {
            return Ok(number);
        }
        Err(InvalidCron::Range {
            field: self.name,
            number,
            least: self.least,
            most: self.most,
        })
    }

    fn digits(&self, text: &str, item: &str) -> Result<u64, InvalidCron> {
        let is_digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let number = is_digits.then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| InvalidCron::Form {
            field: self.name,
            item: item.to_owned(),
        })
    }
}

impl Cron {
    /// Whether the hour begins with `*`: its runs follow time as it passes, not what a clock on a wall shows.
    pub(super) fn is_every_hour(&self) -> bool {
        self.is_every_hour
    }

    /// The first time from `from` on that it names, `from` included.
    pub(super) fn next(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut time = from.time();
        for _ in 0..HORIZON_DAYS {
            if self.has_day(date)
                && let Some(time) = self.time(time)
            {
                return Some(date.to_datetime(time));
            }
            date = date.tomorrow().ok()?;
            time = Time::midnight();
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        if !has(self.months, date.month()) {
            return false;
        }
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        match self.is_every_day || self.is_every_weekday {
            true => day && weekday,
            false => day || weekday,
        }
    }

    /// The first time of a day from this one on.
    fn time(&self, from: Time) -> Option<Time> {
        let (hour, minute, second) = (from.hour(), from.minute(), from.second());
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = first(self.seconds, second)
            {
                return Time::new(hour, minute, second, 0).ok();
            }
            if let Some(minute) = first(self.minutes, minute + 1) {
                return Time::new(hour, minute, first(self.seconds, 0)?, 0).ok();
            }
        }
        let hour = first(self.hours, hour + 1)?;
        let (minute, second) = (first(self.minutes, 0)?, first(self.seconds, 0)?);
        Time::new(hour, minute, second, 0).ok()
    }
}

fn has(numbers: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| numbers >> number & 1 == 1)
}

/// The first of the numbers from this one on.
fn first(numbers: u64, from: i8) -> Option<i8> {
    let from = u32::try_from(from).ok()?;
    let rest = numbers.checked_shr(from).unwrap_or(0);
    let first = (rest != 0).then(|| from + rest.trailing_zeros())?;
    i8::try_from(first).ok()
}

fn word(text: &str) -> Result<&str, InvalidCron> {
    Ok(match text {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        text if text.starts_with('@') => return Err(InvalidCron::Word(text.to_owned())),
        text => text,
    })
}

impl FromStr for Cron {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        let text = text.trim();
        let fields: Vec<&str> = word(text)?.split_ascii_whitespace().collect();
        let (second, [minute, hour, day, month, weekday]) = match *fields {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => {
                (second, [minute, hour, day, month, weekday])
            }
            _ => return Err(InvalidCron::Fields(fields.len())),
        };
        let weekdays = WEEKDAY.read(weekday)?;
        let cron = Self {
            text: text.to_owned(),
            seconds: SECOND.read(second)?,
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            days: DAY.read(day)?,
            months: MONTH.read(month)?,
            weekdays: weekdays | weekdays >> 7 & 1,
            is_every_day: day.starts_with('*'),
            is_every_weekday: weekday.starts_with('*'),
            is_every_hour: hour.starts_with('*'),
        };
        let some_day = jiff::civil::date(2000, 1, 1).to_datetime(Time::midnight());
        cron.next(some_day).map(|_| ()).ok_or(InvalidCron::Never)?;
        Ok(cron)
    }
}

impl TryFrom<String> for Cron {
    type Error = InvalidCron;

    fn try_from(text: String) -> Result<Self, InvalidCron> {
        text.parse()
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::datetime;
    use proptest::prelude::*;

    use super::*;

    fn next(text: &str, from: DateTime) -> String {
        let cron: Cron = text.parse().unwrap();
        cron.next(from).unwrap().to_string()
    }

    #[test]
    fn the_next_time_is_the_first_that_all_fields_name() {
        // A Friday.
        let from = datetime(2026, 11, 27, 12, 34, 56, 0);
        for (cron, at) in [
            ("*/5 * * * *", "2026-11-27T12:35:00"),
            ("* * * * *", "2026-11-27T12:35:00"),
            ("34 12 * * *", "2026-11-28T12:34:00"),
            ("*/20 * * * * *", "2026-11-27T12:35:00"),
            ("56 34 12 * * *", "2026-11-27T12:34:56"),
            ("0 0 * * *", "2026-11-28T00:00:00"),
            ("30 9-17/4 * * MON-FRI", "2026-11-27T13:30:00"),
            ("0 8 * * 7", "2026-11-29T08:00:00"),
            ("0 8 * * Sun", "2026-11-29T08:00:00"),
            ("0 8 * * 5-7", "2026-11-28T08:00:00"),
            ("15,45 8 1 jan,jul *", "2027-01-01T08:15:00"),
            ("0 0 29 2 *", "2028-02-29T00:00:00"),
            ("0 0 31 * *", "2026-12-31T00:00:00"),
            ("50/5 * * * *", "2026-11-27T12:50:00"),
            ("@hourly", "2026-11-27T13:00:00"),
            ("@midnight", "2026-11-28T00:00:00"),
            ("@weekly", "2026-11-29T00:00:00"),
            ("@monthly", "2026-12-01T00:00:00"),
            ("@yearly", "2027-01-01T00:00:00"),
        ] {
            assert_eq!(next(cron, from), at, "{cron}");
        }
    }

    #[test]
    fn of_two_days_that_are_said_one_is_enough() {
        let from = datetime(2026, 11, 27, 12, 0, 0, 0);
        assert_eq!(next("0 0 13 * mon", from), "2026-11-30T00:00:00");
        let later = datetime(2026, 12, 12, 0, 0, 0, 0);
        assert_eq!(next("0 0 13 * mon", later), "2026-12-13T00:00:00");
        // Of one that begins with `*` both have to be right.
        assert_eq!(next("0 0 */2 * mon", from), "2026-12-07T00:00:00");
    }

    #[test]
    fn a_leap_day_is_found_across_a_century_without_one() {
        let from = datetime(2096, 3, 1, 0, 0, 0, 0);
        assert_eq!(next("0 0 29 2 *", from), "2104-02-29T00:00:00");
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        for (text, why) in [
            ("", "this has 0"),
            ("* * * *", "this has 4"),
            ("0 0 * * * * *", "this has 7"),
            ("@reboot", "`@reboot` is not a schedule"),
            ("60 * * * *", "the minute: 60 is not from 0 to 59"),
            ("* 24 * * *", "the hour: 24 is not from 0 to 23"),
            ("* * 0 * *", "the day of the month: 0 is not from 1 to 31"),
            ("* * * 13 *", "the month: 13 is not from 1 to 12"),
            ("* * * * 8", "the day of the week: 8 is not from 0 to 7"),
            ("*/0 * * * *", "the minute: a step is 1 at least"),
            ("9-5 * * * *", "the minute: the range `9-5` goes backwards"),
            ("1,,2 * * * *", "the minute: `` is not a number"),
            ("x * * * *", "the minute: `x` is not a number"),
            ("-1 * * * *", "the minute: `-1` is not a number"),
            ("* * L * *", "the day of the month: `L` is not"),
            ("99999999999999999999 * * * *", "is not a number"),
            ("0 0 30 2 *", "it never runs"),
            ("0 0 31 4,6,9,11 *", "it never runs"),
        ] {
            let problem = text.parse::<Cron>().unwrap_err().to_string();
            assert!(problem.contains(why), "{text}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Cron>();
        }

        #[test]
        fn what_looks_like_a_schedule_is_read_or_refused(text in "[0-9*,/ a-z-]{0,40}") {
            if let Ok(cron) = text.parse::<Cron>() {
                prop_assert_eq!(cron.to_string().parse::<Cron>(), Ok(cron));
            }
        }

        #[test]
        fn the_next_time_is_not_before_and_is_its_own_next(
            minute in 0..60_u8, hour in 0..24_u8, step in 1..30_u8, day in 1..28_i8, at in 0..24_i8,
        ) {
            let text = format!("{minute}/{step} {hour},{} * * *", (hour + 7) % 24);
            let cron: Cron = text.parse().unwrap();
            let from = datetime(2026, 11, day, at, 17, 31, 0);
            let next = cron.next(from).unwrap();
            prop_assert!(next >= from);
            prop_assert_eq!(cron.next(next), Some(next));
        }
    }
}
