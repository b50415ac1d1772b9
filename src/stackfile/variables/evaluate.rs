//! `evaluate`: arithmetic with Ruby's numbers, in which `7 / 2` is 3 and `7 / 2.0` is 3.5.

use crate::liquid::divide_down;
use crate::value::Value;

/// How deep brackets may be within each other.
const MAX_DEPTH: usize = 50;

/// The value of `+ - * /` over numbers and brackets.
///
/// # Errors
/// What is wrong with the text, or with the numbers.
pub(super) fn evaluate(text: &str) -> Result<Value, String> {
    let mut calculation = Calculation {
        rest: text.trim(),
        depth: 0,
    };
    let value = calculation.sum()?;
    match calculation.rest.chars().next() {
        None => Ok(value),
        Some(character) => Err(format!("`{character}` cannot stand there")),
    }
}

struct Calculation<'t> {
    rest: &'t str,
    depth: usize,
}

const TOO_LARGE: &str = "the numbers are too large";

impl Calculation<'_> {
    fn take(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Result<Value, String> {
        let mut value = self.product()?;
        loop {
            value = if self.take('+') {
                apply(&value, &self.product()?, i64::checked_add, |a, b| a + b)?
            } else if self.take('-') {
                apply(&value, &self.product()?, i64::checked_sub, |a, b| a - b)?
            } else {
                return Ok(value);
            };
        }
    }

    fn product(&mut self) -> Result<Value, String> {
        let mut value = self.factor()?;
        loop {
            value = if self.take('*') {
                apply(&value, &self.factor()?, i64::checked_mul, |a, b| a * b)?
            } else if self.take('/') {
                divide(&value, &self.factor()?)?
            } else {
                return Ok(value);
            };
        }
    }

    fn factor(&mut self) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it has too many brackets within each other".to_owned());
        }
        let value = self.one_factor();
        self.depth -= 1;
        value
    }

    fn one_factor(&mut self) -> Result<Value, String> {
        if self.take('-') {
            let value = self.factor()?;
            return apply(&Value::Integer(0), &value, i64::checked_sub, |a, b| a - b);
        }
        if self.take('+') {
            return self.factor();
        }
        if self.take('(') {
            let value = self.sum()?;
            return match self.take(')') {
                true => Ok(value),
                false => Err("a bracket is not closed".to_owned()),
            };
        }
        self.number()
    }

    fn number(&mut self) -> Result<Value, String> {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let end = self.rest.find(|c| !is_number(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let value = match text.parse() {
            Ok(number) => Some(Value::Integer(number)),
            Err(_) if text.contains('.') => text.parse().ok().map(Value::Float),
            Err(_) => None,
        };
        let found = self.rest.chars().next();
        let value = value.ok_or_else(|| match found {
            Some(found) if text.is_empty() => format!("a number is missing before `{found}`"),
            Some(_) => format!("`{text}` is no number"),
            None => "a number is missing at the end".to_owned(),
        })?;
        self.rest = rest.trim_start();
        Ok(value)
    }
}

fn apply(
    left: &Value,
    right: &Value,
    whole: impl Fn(i64, i64) -> Option<i64>,
    real: impl Fn(f64, f64) -> f64,
) -> Result<Value, String> {
    if let (Value::Integer(left), Value::Integer(right)) = (left, right) {
        let result = whole(*left, *right).map(Value::Integer);
        return result.ok_or_else(|| TOO_LARGE.to_owned());
    }
    let (left, right) = (left.as_float(), right.as_float());
    let result = real(left.unwrap_or_default(), right.unwrap_or_default());
    let result = Some(result).filter(|result| result.is_finite());
    result.map(Value::Float).ok_or_else(|| TOO_LARGE.to_owned())
}

fn divide(left: &Value, right: &Value) -> Result<Value, String> {
    if right.as_float() == Some(0.0) {
        return Err("nothing can be divided by 0".to_owned());
    }
    apply(left, right, divide_down, |a, b| a / b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_stay_whole_and_others_do_not() {
        for (text, expected) in [
            ("2048 * 0.8", "1638.4"),
            ("1 / 2.0", "0.5"),
            ("((512 * 10) * 7) / 100", "358"),
            ("-7 / 2", "-4"),
            ("1+2*3-4", "3"),
            ("2 - -3", "5"),
            (" 7 ", "7"),
        ] {
            let value = evaluate(text).map(|value| value.to_string());
            assert_eq!(value.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let deep = "(".repeat(10_000);
        for text in [
            "",
            "1 +",
            "2 ** 3",
            "system('x')",
            "1 / 0",
            "(1",
            "1 2",
            "1.2.3",
            deep.as_str(),
            "9223372036854775807 + 1",
        ] {
            assert!(evaluate(text).is_err(), "{text}");
        }
    }
}
