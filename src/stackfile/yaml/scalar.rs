//! What a plain scalar means to Ruby's YAML, which Kontena's files are written for.
//!
//! Not quite YAML 1.1: `y` and `n` are texts, numbers may have commas, exponents need a sign and a
//! point, and numbers of base 60 (`22:22`) weigh their parts in Ruby's own way.

use crate::value::Value;

/// Why a plain scalar is refused: Kontena reads no values of these kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// `:word`.
    Symbol,
    /// `2018-01-01`, with or without a time.
    Date,
}

pub(super) fn resolve(text: &str) -> Result<Value, Refused> {
    if let Some(word) = word(text) {
        return Ok(word);
    }
    if is_date(text) {
        return Err(Refused::Date);
    }
    if text.len() > 1 && text.starts_with(':') {
        return Err(Refused::Symbol);
    }
    let number = special_float(text)
        .or_else(|| base_60(text))
        .or_else(|| float(text))
        .or_else(|| integer(text));
    Ok(number.unwrap_or_else(|| Value::from(text)))
}

fn word(text: &str) -> Option<Value> {
    if text.is_empty() || text == "~" {
        return Some(Value::Null);
    }
    if text.len() > 5 {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "null" => Some(Value::Null),
        "yes" | "true" | "on" => Some(Value::Boolean(true)),
        "no" | "false" | "off" => Some(Value::Boolean(false)),
        _ => None,
    }
}

fn special_float(text: &str) -> Option<Value> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        ".inf" | "+.inf" => Some(Value::Float(f64::INFINITY)),
        "-.inf" => Some(Value::Float(f64::NEG_INFINITY)),
        ".nan" => Some(Value::Float(f64::NAN)),
        _ => None,
    }
}

/// `2018-01-01`, alone or before a time; only days that a calendar may have.
fn is_date(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let Some((day, rest)) = date(unsigned) else {
        return false;
    };
    if rest.is_empty() {
        return text == unsigned && day;
    }
    is_time(rest)
}

/// Whether the day exists, and what follows `YYYY-M-D`.
fn date(text: &str) -> Option<(bool, &str)> {
    let (year, rest) = text.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (day, rest) = rest.split_at(end);
    let one_or_two = |part: &str| matches!(part.len(), 1 | 2) && is_digits(part);
    let plausible = year.len() == 4 && is_digits(year) && one_or_two(month) && one_or_two(day);
    let exists = (1..=12).contains(&month.parse().unwrap_or(0)) && {
        let last = last_day(year.parse().ok()?, month.parse().ok()?);
        (1..=last).contains(&day.parse().unwrap_or(0))
    };
    plausible.then_some((exists, rest))
}

fn last_day(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// ` 21:59:43.10 +01:00`, or `T` for the space.
fn is_time(text: &str) -> bool {
    let Some(time) = text
        .strip_prefix(['T', 't'])
        .or_else(|| text.starts_with(' ').then(|| text.trim_start()))
    else {
        return false;
    };
    let mut parts = time.splitn(3, ':');
    let (Some(hours), Some(minutes), Some(rest)) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    matches!(hours.len(), 1 | 2)
        && is_digits(hours)
        && minutes.len() == 2
        && is_digits(minutes)
        && rest.len() >= 2
        && rest.is_char_boundary(2)
        && is_digits(&rest[..2])
        && rest[2..]
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b". Z+-:".contains(&byte))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `22:22` or `1:30:00`, of which each part after the first is below 60.
fn base_60(text: &str) -> Option<Value> {
    let (negative, digits) = sign(text);
    let (digits, fraction) = match digits.split_once('.') {
        Some((digits, fraction)) => (digits, Some(fraction)),
        None => (digits, None),
    };
    if fraction.is_some_and(|fraction| !all(fraction, |b| b.is_ascii_digit())) {
        return None;
    }
    let parts: Vec<&str> = digits.split(':').collect();
    let right = (2..=3).contains(&parts.len())
        && parts[0].starts_with(|c: char| c.is_ascii_digit())
        && all(parts[0], |byte| byte.is_ascii_digit())
        && !parts[0].contains(',')
        && parts[1..].iter().all(|part| is_below_60(part));
    if !right {
        return None;
    }
    let mut total = 0_i64;
    for (index, part) in parts.iter().enumerate() {
        let weight = [3600, 60, 1][index];
        let part: i64 = part.replace('_', "").parse().ok()?;
        // Ruby weighs by the distance from the third place, so that `22:22` is 22 hours.
        total = total.checked_add(part.checked_mul(weight)?)?;
    }
    let total = if negative { -total } else { total };
    let Some(fraction) = fraction else {
        return Some(Value::Integer(total));
    };
    let last = if parts.len() == 3 { 1.0 } else { 60.0 };
    let part: f64 = format!("0.{}", fraction.replace('_', ""))
        .parse()
        .unwrap_or(0.0);
    let sign = if negative { -1.0 } else { 1.0 };
    Some(Value::Float(
        Value::Integer(total).as_float()? + sign * part * last,
    ))
}

fn is_below_60(part: &str) -> bool {
    matches!(part.len(), 1 | 2) && is_digits(part) && part.parse::<u8>().is_ok_and(|n| n < 60)
}

/// `1.5`, `.5`, `5.`, `1.5e+3`: with a point, and a sign in the exponent.
fn float(text: &str) -> Option<Value> {
    let (_, digits) = sign(text);
    let (whole, rest) = digits.split_once('.')?;
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let whole_right = whole.is_empty()
        || whole.starts_with(|c: char| c.is_ascii_digit()) && all(whole, |b| b.is_ascii_digit());
    let fraction_right = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_right = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']);
        digits.is_some_and(is_digits)
    });
    if !whole_right || !fraction_right || !exponent_right || whole.len() + rest.len() == 0 {
        return None;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let plain = text.replace([',', '_'], "");
    plain.parse().ok().map(Value::Float)
}

fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = sign(text);
    let (digits, radix) = match digits.get(..2) {
        Some("0x") => (&digits[2..], 16),
        Some("0b") => (&digits[2..], 2),
        _ if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    let right = if radix == 10 {
        digits.starts_with(|c: char| c.is_ascii_digit()) && is_grouped(digits)
    } else {
        all(digits, |byte| char::from(byte).is_digit(radix))
    };
    if !right {
        return None;
    }
    let plain = digits.replace([',', '_'], "");
    let number = match plain.as_str() {
        "" => 0, // `0_`
        plain => i64::from_str_radix(plain, radix).ok()?,
    };
    Some(Value::Integer(if negative { -number } else { number }))
}

/// Digits with single `_` or `,` between them.
fn is_grouped(digits: &str) -> bool {
    let groups = digits.split(['_', ',']);
    groups.into_iter().all(is_digits)
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// At least one byte, each a digit by `digit` or a separator.
fn all(text: &str, digit: impl Fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    !text.is_empty() && bytes.all(|byte| digit(byte) || matches!(byte, b'_' | b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_they_mean_to_ruby() {
        for (text, expected) in [
            ("", "nil"),
            ("~", "nil"),
            ("nUll", "nil"),
            ("Yes", "true"),
            ("oN", "true"),
            ("off", "false"),
            ("y", "\"y\""),
            ("trueish", "\"trueish\""),
            ("1.2.3", "\"1.2.3\""),
            ("0.1", "0.1"),
            ("0.10", "0.1"),
            ("1_000", "1000"),
            ("1,000", "1000"),
            ("1__0", "\"1__0\""),
            ("1_", "\"1_\""),
            ("017", "15"),
            ("-017", "-15"),
            ("08", "\"08\""),
            ("00", "0"),
            ("0_", "0"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("0o17", "\"0o17\""),
            ("22:22", "80520"),
            ("8080:22", "29089320"),
            ("80:80", "\"80:80\""),
            ("1:30:00", "5400"),
            ("1:30:00:00", "\"1:30:00:00\""),
            ("12:30.5", "45030.0"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("+.5", "0.5"),
            (".", "\".\""),
            ("-", "\"-\""),
            ("1e3", "\"1e3\""),
            ("1.5e3", "\"1.5e3\""),
            ("1.5e+3", "1500.0"),
            ("1,0.5", "10.5"),
            (".inf", "Infinity"),
            ("-.INF", "-Infinity"),
            ("+1", "1"),
            ("-1", "-1"),
            ("=", "\"=\""),
            (":", "\":\""),
            ("2001-13-01", "\"2001-13-01\""),
            ("2001-02-30", "\"2001-02-30\""),
            ("192.168.0.1:80", "\"192.168.0.1:80\""),
            ("123456789012345678901", "\"123456789012345678901\""),
        ] {
            let value = resolve(text).map(|value| value.inspect());
            assert_eq!(value.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn symbols_and_dates_are_refused() {
        for (text, refused) in [
            (":a", Refused::Symbol),
            (":/tcp", Refused::Symbol),
            ("2001-01-01", Refused::Date),
            ("2001-1-1", Refused::Date),
            ("2001-12-14 21:59:43", Refused::Date),
            ("2001-12-14T21:59:43.1Z", Refused::Date),
        ] {
            assert_eq!(resolve(text), Err(refused), "{text}");
        }
    }
}
