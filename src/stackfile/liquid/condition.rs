//! What `if`, `unless`, `elsif` and `when` ask.

use std::cmp::Ordering;

use super::Fault;
use super::expression::{Expression, Reader};
use crate::value::Value;

/// Comparisons joined by `and` and `or`, which Liquid reads from the right: `a or b and c` is
/// `a or (b and c)`, and `a and b or c` is `a and (b or c)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) first: Comparison,
    pub(super) rest: Option<(Joint, Box<Self>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    pub(super) at: usize,
    pub(super) left: Expression,
    pub(super) right: Option<(&'static str, Expression)>,
}

/// The most comparisons of one condition: they are read one within the other.
const MAX_COMPARISONS: usize = 100;

pub(super) fn condition(reader: &mut Reader) -> Result<Condition, Fault> {
    let mut comparisons = Vec::new();
    loop {
        let comparison = comparison(reader)?;
        let joint = if reader.take_name("and") {
            Some(Joint::And)
        } else if reader.take_name("or") {
            Some(Joint::Or)
        } else {
            None
        };
        comparisons.push((comparison, joint));
        if comparisons.len() > MAX_COMPARISONS {
            return Err(reader.fault("too many comparisons"));
        }
        if joint.is_none() {
            break;
        }
    }
    reader.expect_end()?;
    let joined = comparisons
        .into_iter()
        .rev()
        .fold(None, |rest, (first, joint)| {
            let rest: Option<Condition> = rest;
            let rest = joint.zip(rest.map(Box::new));
            Some(Condition { first, rest })
        });
    Ok(joined.expect("at least one comparison was read"))
}

fn comparison(reader: &mut Reader) -> Result<Comparison, Fault> {
    let at = reader.place();
    let left = reader.expression()?;
    let sign = match reader.take_comparison() {
        None if reader.take_name("contains") => Some("contains"),
        sign => sign,
    };
    let right = match sign {
        Some(sign) => Some((sign, reader.expression()?)),
        None => None,
    };
    Ok(Comparison { at, left, right })
}

/// Liquid's truth: everything but null and false.
pub(super) fn is_truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Boolean(false))
}

/// Whether `left sign right` holds; `None` where the two cannot be compared.
pub(super) fn compare(left: &Value, sign: &str, right: &Value) -> Option<bool> {
    match sign {
        "==" => Some(is_equal(left, right)),
        "!=" | "<>" => Some(!is_equal(left, right)),
        "contains" => Some(contains(left, right)),
        // Ruby raises an error for a text and a number alone; other kinds are in no order.
        _ if !is_ordered(left) || !is_ordered(right) => Some(false),
        _ => {
            let order = order(left, right)?;
            Some(match sign {
                "<" => order == Ordering::Less,
                ">" => order == Ordering::Greater,
                "<=" => order != Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
    }
}

fn is_ordered(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Float(_) | Value::Text(_))
}

pub(super) fn is_equal(left: &Value, right: &Value) -> bool {
    match (left.as_float(), right.as_float()) {
        (Some(left), Some(right)) => left.total_cmp(&right) == Ordering::Equal,
        _ => left == right,
    }
}

/// How two values of one kind are ordered.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => left.as_float()?.partial_cmp(&right.as_float()?),
    }
}

fn contains(left: &Value, right: &Value) -> bool {
    match left {
        Value::Text(text) => !right.is_null() && text.contains(&right.to_string()),
        Value::List(items) => items.iter().any(|item| is_equal(item, right)),
        Value::Map(entries) => entries
            .iter()
            .any(|(key, _)| Some(key.as_str()) == right.as_text()),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => false,
    }
}

/// Whether a value is `empty`.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => false,
    }
}
