//! Words, colours and times as people read them. Pure.

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr;

use crate::api::types::Time;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

impl Colour {
    fn code(self) -> u8 {
        match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Magenta => 35,
            Self::Cyan => 36,
        }
    }
}

pub(crate) fn paint(text: &str, colour: Colour, enabled: bool) -> String {
    if enabled {
        format!("\x1b[{}m{text}\x1b[0m", colour.code())
    } else {
        text.to_owned()
    }
}

/// The columns that `text` takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` without anything that a terminal would obey: it may come from any container or node.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || turns_lines_around(character) {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// What makes a terminal show the rest of a line in another direction, whatever it is.
fn turns_lines_around(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same of several lines, those after the first indented.
pub(crate) fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n  ")
}

/// `3 s`, `5 min`, `2 h`, `4 d`: the largest unit that fits, rounded down. Empty for the future,
/// where a clock is wrong.
pub(crate) fn age(since: Time, now: Timestamp) -> String {
    let seconds = now.as_second() - since.0.as_second();
    match seconds {
        ..0 => String::new(),
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400.. => format!("{} d", seconds / 86_400),
    }
}

/// When it was, to the second: `2026-01-31 12:00:00Z`.
pub(crate) fn moment(time: Option<&Time>) -> String {
    let said = time.map(|time| time.0.strftime("%Y-%m-%d %H:%M:%SZ"));
    or_dash(said.as_ref())
}

/// `999 B`, `1.2 KiB`, `20 MiB`: at most seven characters, rounded down.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1_024;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while tenths >= 10_000 {
        tenths /= 1_024;
        unit = units.next().unwrap_or(unit);
    }
    match tenths {
        0..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths / 10),
    }
}

pub(crate) fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

/// `-` for what is not known or not set.
pub(crate) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// `` `a`, `b` ``.
pub(crate) fn quoted<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let quoted = names.into_iter().map(|name| format!("`{name}`"));
    quoted.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let since: Time = "2026-01-01T00:00:00Z".parse().unwrap();
        for (now, expected) in [
            ("2025-12-31T23:59:59Z", ""),
            ("2026-01-01T00:00:59Z", "59 s"),
            ("2026-01-01T00:02:59Z", "2 min"),
            ("2026-01-01T23:59:59Z", "23 h"),
            ("2026-03-01T00:00:00Z", "59 d"),
        ] {
            assert_eq!(age(since, now.parse().unwrap()), expected, "{now}");
        }
    }

    #[test]
    fn a_size_takes_seven_characters_at_most() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "0.9 KiB"),
            (20 << 10, "20 KiB"),
            (1_205 << 10, "1.1 MiB"),
            (9_999_999_999, "9.3 GiB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
        let all = (0..=63).map(|shift| bytes(1 << shift));
        assert!(all.into_iter().all(|text| text.len() <= 7));
    }

    #[test]
    fn a_terminal_is_never_given_orders() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(printable("東京 مركز"), "東京 مركز");
    }
}
