//! Liquid's filters, with Ruby's numbers: whole ones stay whole, and divide downwards.

use std::cmp::Ordering;

use super::condition::{is_equal, is_truthy, order};
use crate::suggestion::nearest;
use crate::value::Value;

/// Why a filter cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilterProblem {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl From<&str> for FilterProblem {
    fn from(message: &str) -> Self {
        Self {
            message: message.to_owned(),
            hint: None,
        }
    }
}

type Filtered = Result<Value, FilterProblem>;

/// What a filter is and how many arguments it takes, at least and at most.
type Entry = (&'static str, usize, usize, fn(Value, &[Value]) -> Filtered);

/// The longest text that a filter may make.
const MAX_TEXT: usize = 1 << 20;
/// The longest list that a filter may make.
const MAX_ITEMS: usize = 100_000;

const FILTERS: &[Entry] = &[
    ("abs", 0, 0, |value, _| {
        number(&value, i64::checked_abs, f64::abs)
    }),
    ("append", 1, 1, |value, arguments| {
        joined(&[&value, &arguments[0]])
    }),
    ("at_least", 1, 1, |value, arguments| {
        limited(value, &arguments[0], Ordering::Less)
    }),
    ("at_most", 1, 1, |value, arguments| {
        limited(value, &arguments[0], Ordering::Greater)
    }),
    ("capitalize", 0, 0, |value, _| text(&value, capitalize)),
    ("ceil", 0, 0, |value, _| rounded(&value, f64::ceil)),
    ("compact", 0, 1, |value, arguments| {
        compact(value, arguments)
    }),
    ("concat", 1, 1, |value, arguments| {
        concat(value, &arguments[0])
    }),
    ("default", 1, 1, |value, arguments| {
        Ok(default(value, &arguments[0]))
    }),
    ("divided_by", 1, 1, |value, arguments| {
        divided_by(&value, &arguments[0])
    }),
    ("downcase", 0, 0, |value, _| text(&value, str::to_lowercase)),
    ("escape", 0, 0, |value, _| text(&value, escape)),
    ("first", 0, 0, |value, _| {
        Ok(end(value, |items| items.first()))
    }),
    ("floor", 0, 0, |value, _| rounded(&value, f64::floor)),
    ("join", 0, 1, |value, arguments| join(value, arguments)),
    ("last", 0, 0, |value, _| {
        Ok(end(value, |items| items.last()))
    }),
    ("lstrip", 0, 0, |value, _| {
        text(&value, |text| text.trim_start().to_owned())
    }),
    ("map", 1, 1, |value, arguments| map(value, &arguments[0])),
    ("minus", 1, 1, |value, arguments| {
        arithmetic(&value, &arguments[0], i64::checked_sub, |a, b| a - b)
    }),
    ("modulo", 1, 1, |value, arguments| {
        modulo(&value, &arguments[0])
    }),
    ("newline_to_br", 0, 0, |value, _| {
        text(&value, |text| text.replace('\n', "<br />\n"))
    }),
    ("plus", 1, 1, |value, arguments| {
        arithmetic(&value, &arguments[0], i64::checked_add, |a, b| a + b)
    }),
    ("prepend", 1, 1, |value, arguments| {
        joined(&[&arguments[0], &value])
    }),
    ("remove", 1, 1, |value, arguments| {
        replace(&value, &arguments[0], &Value::Null, usize::MAX)
    }),
    ("remove_first", 1, 1, |value, arguments| {
        replace(&value, &arguments[0], &Value::Null, 1)
    }),
    ("replace", 1, 2, |value, arguments| {
        replace(&value, &arguments[0], second(arguments), usize::MAX)
    }),
    ("replace_first", 1, 2, |value, arguments| {
        replace(&value, &arguments[0], second(arguments), 1)
    }),
    ("reverse", 0, 0, |value, _| {
        Ok(Value::List(list(value).into_iter().rev().collect()))
    }),
    ("round", 0, 1, |value, arguments| round(&value, arguments)),
    ("rstrip", 0, 0, |value, _| {
        text(&value, |text| text.trim_end().to_owned())
    }),
    ("size", 0, 0, |value, _| Ok(size(&value))),
    ("slice", 1, 2, |value, arguments| slice(value, arguments)),
    ("sort", 0, 1, |value, arguments| {
        sort(value, arguments, |text| text.to_owned())
    }),
    ("sort_natural", 0, 1, |value, arguments| {
        sort(value, arguments, str::to_lowercase)
    }),
    ("split", 1, 1, |value, arguments| {
        split(&value, &arguments[0])
    }),
    ("strip", 0, 0, |value, _| {
        text(&value, |text| text.trim().to_owned())
    }),
    ("strip_newlines", 0, 0, |value, _| {
        text(&value, |text| text.replace(['\r', '\n'], ""))
    }),
    ("times", 1, 1, |value, arguments| {
        arithmetic(&value, &arguments[0], i64::checked_mul, |a, b| a * b)
    }),
    ("truncate", 0, 2, |value, arguments| {
        truncate(&value, arguments)
    }),
    ("truncatewords", 0, 2, |value, arguments| {
        truncate_words(&value, arguments)
    }),
    ("uniq", 0, 0, |value, _| Ok(uniq(value))),
    ("upcase", 0, 0, |value, _| text(&value, str::to_uppercase)),
    ("url_decode", 0, 0, |value, _| url_decode(&value)),
    ("url_encode", 0, 0, |value, _| text(&value, url_encode)),
    ("where", 1, 2, |value, arguments| choose(value, arguments)),
];

pub(super) fn apply(name: &str, value: Value, arguments: &[Value]) -> Filtered {
    let Some((_, least, most, filter)) = FILTERS.iter().find(|entry| entry.0 == name) else {
        return Err(unknown(name));
    };
    if !(*least..=*most).contains(&arguments.len()) {
        let takes = if least == most {
            least.to_string()
        } else {
            format!("{least} to {most}")
        };
        let message = format!("the filter `{name}` takes {takes} arguments");
        return Err(FilterProblem::from(message.as_str()));
    }
    let made = filter(value, arguments)?;
    if made.weight() > MAX_TEXT || made.as_list().is_some_and(|items| items.len() > MAX_ITEMS) {
        return Err("the filter makes too much".into());
    }
    Ok(made)
}

fn unknown(name: &str) -> FilterProblem {
    let names = FILTERS.iter().map(|entry| entry.0);
    let hint = match name {
        "date" => Some("a stack file means the same at any time: use a variable".to_owned()),
        _ => nearest(name, names).map(|near| format!("did you mean `{near}`?")),
    };
    FilterProblem {
        message: format!("Liquid knows no filter `{name}`"),
        hint,
    }
}

fn second(arguments: &[Value]) -> &Value {
    arguments.get(1).unwrap_or(&Value::Null)
}

fn text(value: &Value, change: impl Fn(&str) -> String) -> Filtered {
    Ok(Value::Text(change(&value.to_string())))
}

fn joined(values: &[&Value]) -> Filtered {
    let text: String = values.iter().map(|value| value.to_string()).collect();
    Ok(Value::Text(text))
}

/// The first letter large, all others small.
pub(crate) fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + &characters.as_str().to_lowercase()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// What Liquid takes for a list: anything else is a list of one.
fn list(value: Value) -> Vec<Value> {
    match value {
        Value::List(items) => items,
        Value::Null => Vec::new(),
        Value::Boolean(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Map(_) => {
            vec![value]
        }
    }
}

/// Of a list alone.
fn end(value: Value, end: impl Fn(&[Value]) -> Option<&Value>) -> Value {
    let item = value.as_list().and_then(end);
    item.cloned().unwrap_or(Value::Null)
}

/// A number, also out of a text; anything else counts as zero.
fn as_number(value: &Value) -> Value {
    match value {
        Value::Integer(_) | Value::Float(_) => value.clone(),
        Value::Text(text) => {
            let text = text.trim();
            match text.parse::<i64>() {
                Ok(number) => Value::Integer(number),
                Err(_) => text.parse().map_or(Value::Integer(0), Value::Float),
            }
        }
        Value::Null | Value::Boolean(_) | Value::List(_) | Value::Map(_) => Value::Integer(0),
    }
}

const TOO_LARGE: &str = "the number is too large";

fn number(
    value: &Value,
    whole: impl Fn(i64) -> Option<i64>,
    real: impl Fn(f64) -> f64,
) -> Filtered {
    match as_number(value) {
        Value::Integer(number) => whole(number).map(Value::Integer).ok_or(TOO_LARGE.into()),
        number => Ok(Value::Float(real(number.as_float().unwrap_or_default()))),
    }
}

fn arithmetic(
    left: &Value,
    right: &Value,
    whole: impl Fn(i64, i64) -> Option<i64>,
    real: impl Fn(f64, f64) -> f64,
) -> Filtered {
    let (left, right) = (as_number(left), as_number(right));
    if let (Value::Integer(left), Value::Integer(right)) = (&left, &right) {
        let result = whole(*left, *right).map(Value::Integer);
        return result.ok_or(TOO_LARGE.into());
    }
    let left = left.as_float().unwrap_or_default();
    let result = real(left, right.as_float().unwrap_or_default());
    Ok(Value::Float(as_decimal(result)))
}

/// Liquid adds and multiplies decimal numbers, so that 0.1 and 0.2 are 0.3.
fn as_decimal(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

fn divided_by(left: &Value, right: &Value) -> Filtered {
    let (left, right) = (as_number(left), as_number(right));
    if right == Value::Integer(0) {
        return Err("nothing can be divided by 0".into());
    }
    if let (Value::Integer(left), Value::Integer(right)) = (&left, &right) {
        let quotient = divide_down(*left, *right).map(Value::Integer);
        return quotient.ok_or(TOO_LARGE.into());
    }
    let left = left.as_float().unwrap_or_default();
    Ok(Value::Float(left / right.as_float().unwrap_or_default()))
}

/// Rounded towards minus infinity, as Ruby divides.
pub(crate) fn divide_down(left: i64, right: i64) -> Option<i64> {
    let quotient = left.checked_div(right)?;
    let inexact = left.checked_rem(right)? != 0;
    Some(quotient - i64::from(inexact && (left < 0) != (right < 0)))
}

fn modulo(left: &Value, right: &Value) -> Filtered {
    let (left, right) = (as_number(left), as_number(right));
    if right == Value::Integer(0) {
        return Err("nothing can be divided by 0".into());
    }
    let whole = |a: i64, b: i64| a.checked_sub(divide_down(a, b)?.checked_mul(b)?);
    arithmetic(&left, &right, whole, |a, b| a - b * (a / b).floor())
}

fn rounded(value: &Value, round: impl Fn(f64) -> f64) -> Filtered {
    match as_number(value) {
        Value::Float(number) => whole(round(number)),
        number => Ok(number),
    }
}

fn whole(number: f64) -> Filtered {
    #[expect(clippy::cast_precision_loss, reason = "only the size is compared")]
    let fits = number.abs() < i64::MAX as f64;
    #[expect(clippy::cast_possible_truncation, reason = "it was rounded, and fits")]
    let rounded = number as i64;
    fits.then_some(Value::Integer(rounded))
        .ok_or(TOO_LARGE.into())
}

fn round(value: &Value, arguments: &[Value]) -> Filtered {
    let places = arguments.first().and_then(Value::as_integer).unwrap_or(0);
    match (as_number(value), i32::try_from(places)) {
        (Value::Float(number), Ok(places @ 1..=15)) => {
            let scale = 10_f64.powi(places);
            Ok(Value::Float((number * scale).round() / scale))
        }
        (Value::Float(number), _) => whole(number.round()),
        (number, _) => Ok(number),
    }
}

/// `at_least` replaces what is less than the limit, `at_most` what is greater.
fn limited(value: Value, limit: &Value, replaced: Ordering) -> Filtered {
    let (value, limit) = (as_number(&value), as_number(limit));
    let outside = order(&value, &limit) == Some(replaced);
    Ok(if outside { limit } else { value })
}

fn default(value: Value, otherwise: &Value) -> Value {
    let empty = match &value {
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => !is_truthy(&value),
    };
    if empty { otherwise.clone() } else { value }
}

fn size(value: &Value) -> Value {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => 0,
    };
    Value::Integer(i64::try_from(size).unwrap_or(i64::MAX))
}

fn split(value: &Value, by: &Value) -> Filtered {
    let (text, by) = (value.to_string(), by.to_string());
    let mut parts: Vec<String> = match by.as_str() {
        "" => text.chars().map(String::from).collect(),
        " " => text.split_whitespace().map(str::to_owned).collect(),
        by => text.split(by).map(str::to_owned).collect(),
    };
    while parts.last().is_some_and(String::is_empty) {
        parts.pop(); // as Ruby: empty parts at the end do not count
    }
    Ok(Value::List(parts.into_iter().map(Value::Text).collect()))
}

fn join(value: Value, arguments: &[Value]) -> Filtered {
    let between = arguments
        .first()
        .map_or(" ".to_owned(), ToString::to_string);
    let items: Vec<String> = list(value).iter().map(ToString::to_string).collect();
    if between.len().saturating_mul(items.len()) > MAX_TEXT {
        return Err("the filter makes too much".into());
    }
    Ok(Value::Text(items.join(&between)))
}

fn concat(value: Value, other: &Value) -> Filtered {
    let Value::List(others) = other else {
        return Err("`concat` needs a list".into());
    };
    let mut items = list(value);
    items.extend(others.iter().cloned());
    Ok(Value::List(items))
}

/// A property of each item.
fn map(value: Value, name: &Value) -> Filtered {
    let name = name.to_string();
    let property = |item: Value| item.get(&name).cloned().unwrap_or(Value::Null);
    Ok(Value::List(list(value).into_iter().map(property).collect()))
}

fn compact(value: Value, arguments: &[Value]) -> Filtered {
    let mut items = list(value);
    match arguments.first() {
        Some(name) => {
            let name = name.to_string();
            items.retain(|item| item.get(&name).is_some_and(|value| !value.is_null()));
        }
        None => items.retain(|item| !item.is_null()),
    }
    Ok(Value::List(items))
}

fn choose(value: Value, arguments: &[Value]) -> Filtered {
    let name = arguments[0].to_string();
    let mut items = list(value);
    items.retain(|item| {
        let property = item.get(&name).unwrap_or(&Value::Null);
        match arguments.get(1) {
            Some(wanted) => is_equal(property, wanted),
            None => is_truthy(property),
        }
    });
    Ok(Value::List(items))
}

fn uniq(value: Value) -> Value {
    let mut seen = std::collections::BTreeSet::new();
    let mut items = list(value);
    items.retain(|item| seen.insert(item.inspect()));
    Value::List(items)
}

/// Null comes last; values of different kinds stay as they are.
fn sort(value: Value, arguments: &[Value], fold: impl Fn(&str) -> String) -> Filtered {
    let name = arguments.first().map(ToString::to_string);
    let key = |item: &Value| -> Value {
        let value = match &name {
            Some(name) => item.get(name).cloned().unwrap_or(Value::Null),
            None => item.clone(),
        };
        match value {
            Value::Text(text) => Value::Text(fold(&text)),
            value => value,
        }
    };
    let mut items: Vec<(Value, Value)> = list(value)
        .into_iter()
        .map(|item| (key(&item), item))
        .collect();
    items.sort_by(|(left, _), (right, _)| {
        let nulls = left.is_null().cmp(&right.is_null());
        nulls
            .then(rank(left).cmp(&rank(right)))
            .then(order(left, right).unwrap_or(Ordering::Equal))
    });
    Ok(Value::List(
        items.into_iter().map(|(_, item)| item).collect(),
    ))
}

/// So that values of different kinds have an order among each other.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Integer(_) | Value::Float(_) => 0,
        Value::Text(_) => 1,
        Value::Null | Value::Boolean(_) | Value::List(_) | Value::Map(_) => 2,
    }
}

fn replace(value: &Value, what: &Value, with: &Value, times: usize) -> Filtered {
    let (text, what, with) = (value.to_string(), what.to_string(), with.to_string());
    let found = text.matches(what.as_str()).take(times).count();
    if found.saturating_mul(with.len()) > MAX_TEXT {
        return Err("the filter makes too much".into());
    }
    Ok(Value::Text(text.replacen(&what, &with, times)))
}

/// From an index, negative from the end, one item or as many as asked.
fn slice(value: Value, arguments: &[Value]) -> Filtered {
    let Some(from) = arguments[0].as_integer() else {
        return Err("`slice` needs whole numbers".into());
    };
    let length = arguments.get(1).map_or(Some(1), Value::as_integer);
    let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
        return Err("`slice` needs whole numbers".into());
    };
    let start = |count: usize| -> Option<usize> {
        match usize::try_from(from) {
            Ok(from) => Some(from).filter(|from| *from <= count),
            Err(_) => count.checked_sub(usize::try_from(from.unsigned_abs()).ok()?),
        }
    };
    Ok(match value {
        Value::List(items) => match start(items.len()) {
            Some(start) => Value::List(items.into_iter().skip(start).take(length).collect()),
            None => Value::Null,
        },
        value => {
            let text = value.to_string();
            let start = start(text.chars().count()).unwrap_or(usize::MAX);
            Value::Text(text.chars().skip(start).take(length).collect())
        }
    })
}

fn length(arguments: &[Value], otherwise: usize) -> usize {
    let given = arguments.first().and_then(Value::as_integer);
    given.map_or(otherwise, |given| usize::try_from(given).unwrap_or(0))
}

fn ellipsis(arguments: &[Value]) -> String {
    arguments
        .get(1)
        .map_or("...".to_owned(), ToString::to_string)
}

fn truncate(value: &Value, arguments: &[Value]) -> Filtered {
    let (text, length, end) = (
        value.to_string(),
        length(arguments, 50),
        ellipsis(arguments),
    );
    if text.chars().count() <= length {
        return Ok(Value::Text(text));
    }
    let kept = length.saturating_sub(end.chars().count());
    let kept: String = text.chars().take(kept).collect();
    Ok(Value::Text(kept + &end))
}

fn truncate_words(value: &Value, arguments: &[Value]) -> Filtered {
    let (text, length) = (value.to_string(), length(arguments, 15).max(1));
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() <= length {
        return Ok(Value::Text(text));
    }
    Ok(Value::Text(
        words[..length].join(" ") + &ellipsis(arguments),
    ))
}

fn url_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn url_decode(value: &Value) -> Filtered {
    let text = value.to_string();
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                let byte = u8::from_str_radix(digits, 16);
                decoded.push(byte.map_err(|_| FilterProblem::from("this is not URL-encoded"))?);
            }
            byte => decoded.push(byte),
        }
    }
    let decoded = String::from_utf8(decoded);
    decoded
        .map(Value::Text)
        .map_err(|_| "this is not URL-encoded text".into())
}
