//! `only_if` and `skip_if`.

use std::collections::BTreeMap;
use std::fmt;

use crate::value::Value;

/// Why a condition cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConditionProblem {
    UnknownVariable(String),
    UnknownComparison(String),
    /// A number where a name has to be, or the like.
    Malformed,
}

impl fmt::Display for ConditionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVariable(name) => write!(f, "the condition names `{name}`, which is no variable before it"),
            Self::UnknownComparison(name) => {
                write!(f, "`{name}` compares nothing: there are {}", COMPARISONS.join(", "))
            }
            Self::Malformed => f.write_str("a condition is the name of a variable, a list of names, or a mapping of names to values"),
        }
    }
}

const COMPARISONS: [&str; 10] = [
    "lt",
    "lte",
    "gt",
    "gte",
    "eq",
    "ne",
    "start_with",
    "end_with",
    "contain",
    "any_of",
];

/// Whether the condition of a variable holds: a name whose value is true, all of a list, or all
/// values of a mapping.
pub(crate) fn holds(
    condition: &Value,
    values: &BTreeMap<String, Value>,
) -> Result<bool, ConditionProblem> {
    all(condition, values, &|value, wanted| match wanted {
        Value::Map(comparisons) => {
            let mut holds = true;
            for (name, with) in comparisons {
                let compared = compare(name, value, with);
                holds &=
                    compared.ok_or_else(|| ConditionProblem::UnknownComparison(name.clone()))?;
            }
            Ok(holds)
        }
        wanted => Ok(is_equal(value, wanted)),
    })
}

/// The same for a service or a volume, which compare for equality alone.
pub(crate) fn holds_for_service(
    condition: &Value,
    values: &BTreeMap<String, Value>,
) -> Result<bool, ConditionProblem> {
    all(condition, values, &|value, wanted| {
        Ok(is_equal(value, wanted))
    })
}

type Wanted<'a> = &'a dyn Fn(&Value, &Value) -> Result<bool, ConditionProblem>;

fn all(
    condition: &Value,
    values: &BTreeMap<String, Value>,
    is_wanted: Wanted<'_>,
) -> Result<bool, ConditionProblem> {
    let value = |name: &str| {
        let value = values.get(name);
        value.ok_or_else(|| ConditionProblem::UnknownVariable(name.to_owned()))
    };
    let mut holds = true;
    match condition {
        Value::Text(name) => holds = is_truthy(value(name)?),
        Value::List(conditions) => {
            for condition in conditions {
                holds &= all(condition, values, is_wanted)?;
            }
        }
        Value::Map(entries) => {
            for (name, wanted) in entries {
                holds &= is_wanted(value(name)?, wanted)?;
            }
        }
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => {
            return Err(ConditionProblem::Malformed);
        }
    }
    Ok(holds)
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Boolean(false) => false,
        Value::Text(text) => text != "false",
        Value::Boolean(true)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::List(_)
        | Value::Map(_) => true,
    }
}

fn is_equal(value: &Value, wanted: &Value) -> bool {
    match (value.as_float(), wanted.as_float()) {
        (Some(value), Some(wanted)) => value.total_cmp(&wanted).is_eq(),
        _ => value == wanted,
    }
}

/// `None` for a comparison that there is not.
fn compare(name: &str, value: &Value, with: &Value) -> Option<bool> {
    use std::cmp::Ordering::{Greater, Less};
    let order = order(value, with);
    let (text, part) = (value.to_string(), with.to_string());
    Some(match name {
        "lt" => order == Some(Less),
        "lte" => order.is_some_and(|order| order != Greater),
        // `gte` is `gt` in Kontena's library, and files that were tried with it rely on that.
        "gt" | "gte" => order == Some(Greater),
        "eq" => is_equal(value, with),
        "ne" => !is_equal(value, with),
        "start_with" => text.starts_with(&part),
        "end_with" => text.ends_with(&part),
        "contain" => match value {
            Value::List(items) => items.contains(with),
            _ => text.contains(&part),
        },
        "any_of" => match with {
            Value::List(any) => any.iter().any(|one| is_equal(value, one)),
            Value::Text(any) => any.split(',').any(|one| one.trim() == text),
            _ => is_equal(value, with),
        },
        _ => return None,
    })
}

fn order(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => left.as_float()?.partial_cmp(&right.as_float()?),
    }
}
