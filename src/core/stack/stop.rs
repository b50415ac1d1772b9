//! How a container is stopped: its signal, and the time it gets.

/// Signal names of Linux, as Docker knows them, without `SIG`.
const SIGNALS: [&str; 38] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "UNUSED", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN",
    "RTMAX", "INFO",
];

/// The highest signal number of Linux.
const MAX_SIGNAL: u8 = 64;

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a signal: expected a name as `SIGTERM` or `SIGRTMIN+3`, or a number from 1 to 64"
)]
pub struct InvalidSignal(pub String);

/// A signal in Docker's spelling: `SIGTERM`, `SIGRTMIN+3` or a number. `term` is `SIGTERM`.
pub fn stop_signal(text: &str) -> Result<String, InvalidSignal> {
    let invalid = || InvalidSignal(text.to_owned());
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: u8 = text.parse().map_err(|_| invalid())?;
        let valid = (1..=MAX_SIGNAL).contains(&number);
        return valid.then(|| number.to_string()).ok_or_else(invalid);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if SIGNALS.contains(&name) || is_real_time(name) {
        return Ok(format!("SIG{name}"));
    }
    Err(invalid())
}

/// `RTMIN+1` … `RTMIN+15` and `RTMAX-1` … `RTMAX-14`.
fn is_real_time(name: &str) -> bool {
    let offset = |text: &str| text.parse::<u8>().ok().filter(|_| !text.starts_with('+'));
    let from = |text: Option<&str>, max| {
        text.and_then(offset)
            .is_some_and(|n| (1..=max).contains(&n))
    };
    from(name.strip_prefix("RTMIN+"), 15) || from(name.strip_prefix("RTMAX-"), 14)
}

/// The longest grace, a day: who waits longer has forgotten it.
pub(crate) const MAX_GRACE_MILLIS: u64 = 24 * 3_600_000;

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidGrace {
    #[error(
        "`{0}` is not a duration: expected hours, minutes and seconds, as `30s`, `1m30s` or `1.5h`"
    )]
    Form(String),
    #[error("`{0}` is more than a day")]
    TooLong(String),
}

/// A duration in milliseconds: `1h`, `1m30s`, `1.5s`, or a bare number of seconds.
pub fn grace_millis(text: &str) -> Result<u64, InvalidGrace> {
    let mut rest = text;
    let mut total = 0_u64;
    if rest.is_empty() {
        return Err(InvalidGrace::Form(text.to_owned()));
    }
    while !rest.is_empty() {
        let end = rest.find(['h', 'm', 's']).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let unit_millis = match unit.chars().next() {
            Some('h') => 3_600_000,
            Some('m') => 60_000,
            Some(_) => 1_000,
            None if end == text.len() => 1_000,
            None => return Err(InvalidGrace::Form(text.to_owned())),
        };
        total = total.saturating_add(part_millis(number, unit_millis, text)?);
        rest = unit.get(1..).unwrap_or_default();
    }
    if total > MAX_GRACE_MILLIS {
        return Err(InvalidGrace::TooLong(text.to_owned()));
    }
    Ok(total)
}

/// `1.25` units, in whole milliseconds; digits after the ninth are below them and left out.
fn part_millis(number: &str, unit_millis: u64, text: &str) -> Result<u64, InvalidGrace> {
    let form = || InvalidGrace::Form(text.to_owned());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(fraction) {
        return Err(form());
    }
    let whole: u64 = whole
        .parse()
        .map_err(|_| InvalidGrace::TooLong(text.to_owned()))?;
    let billionths: u64 = format!("{fraction:0<9.9}").parse().map_err(|_| form())?;
    let part = billionths * unit_millis / 1_000_000_000;
    Ok(whole.saturating_mul(unit_millis).saturating_add(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_stored_in_dockers_spelling() {
        for (text, expected) in [
            ("SIGTERM", "SIGTERM"),
            ("quit", "SIGQUIT"),
            ("SIGRTMIN+3", "SIGRTMIN+3"),
            ("09", "9"),
        ] {
            assert_eq!(stop_signal(text).unwrap(), expected);
        }
        for text in [
            "",
            "SIGNOTHING",
            "0",
            "65",
            "-9",
            "SIGRTMIN+16",
            "SIGRTMIN++1",
            "SIG",
        ] {
            assert!(stop_signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_hours_minutes_and_seconds() {
        for (text, expected) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("0.25s", 250),
            ("30", 30_000),
            ("0s", 0),
            ("24h", MAX_GRACE_MILLIS),
        ] {
            assert_eq!(grace_millis(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "s",
            "1x",
            "1d",
            "-1s",
            "1.s",
            ".5s",
            "1s2",
            "500ms",
            "25h",
            "99999999999999999999s",
        ] {
            assert!(grace_millis(text).is_err(), "{text}");
        }
    }
}
