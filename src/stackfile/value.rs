//! What values of a file are: YAML's, and those that variables and Liquid make of them.

use std::fmt;

/// A value without its place. Text keys only: another key is written as its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    /// In the order of the file, each key once.
    Map(Vec<(String, Self)>),
}

impl Value {
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::List(_)
            | Self::Map(_) => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Map(_) => None,
        }
    }

    pub fn as_map(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Map(entries) => Some(entries),
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::List(_) => None,
        }
    }

    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Null
            | Self::Boolean(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Map(_) => None,
        }
    }

    pub fn as_float(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "floats are what is asked for")]
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Null | Self::Boolean(_) | Self::Text(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.as_map()?;
        let entry = entries.iter().find(|(name, _)| name == key);
        entry.map(|(_, value)| value)
    }

    pub fn is_true(&self) -> bool {
        *self == Self::Boolean(true)
    }

    /// What it costs to walk through or copy it: values and bytes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) => 1,
            Self::Text(text) => 1 + text.len(),
            Self::List(items) => 1 + items.iter().map(Self::weight).sum::<usize>(),
            Self::Map(entries) => {
                let weights = entries
                    .iter()
                    .map(|(key, value)| key.len() + value.weight());
                1 + weights.sum::<usize>()
            }
        }
    }

    /// As JSON, which has no infinite numbers: those become text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Boolean(value) => Json::Bool(*value),
            Self::Integer(number) => (*number).into(),
            Self::Float(number) => serde_json::Number::from_f64(*number)
                .map_or_else(|| Json::String(self.to_string()), Json::Number),
            Self::Text(text) => Json::String(text.clone()),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.clone(), value.to_json()))
                .collect(),
        }
    }

    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Boolean(*value),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Integer(number),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(fields) => {
                let fields = fields.iter();
                let entries = fields.map(|(key, value)| (key.clone(), Self::from_json(value)));
                Self::Map(entries.collect())
            }
        }
    }

    /// As Ruby shows a value to programmers: texts in quotes. Kontena puts it into files.
    pub(crate) fn inspect(&self) -> String {
        match self {
            Self::Null => "nil".to_owned(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::inspect).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries = entries.iter();
                let entries =
                    entries.map(|(key, value)| format!("{}=>{}", quoted(key), value.inspect()));
                format!("{{{}}}", entries.collect::<Vec<String>>().join(", "))
            }
            Self::Boolean(_) | Self::Integer(_) | Self::Float(_) => self.to_string(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Value {
    /// As Ruby writes a value into a text, since Kontena does: null is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => f.write_str(&float(*number)),
            Self::Text(text) => f.write_str(text),
            Self::List(_) | Self::Map(_) => f.write_str(&self.inspect()),
        }
    }
}

/// `1.0`, `1.0e+16`, `1.0e-05`: as Ruby, which goes over to exponents at 10^16 and below 10^-4.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}{point}e{sign}{:02}", exponent.abs());
    }
    format!("{number:?}")
}

/// In double quotes, with escapes that YAML reads back.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{1b}' => quoted.push_str("\\e"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                quoted.push_str(&format!("\\x{:02X}", u32::from(character)));
            }
            '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_ruby_writes_them() {
        for (value, text) in [
            (Value::Null, ""),
            (Value::Boolean(true), "true"),
            (Value::Float(1.0), "1.0"),
            (Value::Float(1638.4), "1638.4"),
            (Value::Float(1e16), "1.0e+16"),
            (Value::Float(0.000_01), "1.0e-05"),
            (Value::Float(1.5e20), "1.5e+20"),
            (Value::Float(0.0), "0.0"),
            (
                Value::List(vec!["a".into(), Value::Integer(1), Value::Null]),
                "[\"a\", 1, nil]",
            ),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
