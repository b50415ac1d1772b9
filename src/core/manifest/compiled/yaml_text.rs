//! JSON values as YAML text for people, as `stack validate` prints them.

use std::fmt::Write;

use serde_json::Value;

use crate::manifest::tree::Scalar;

/// `value` in block style, ending in a line break; nulls of objects are left out. Every YAML
/// reader, of version 1.1 or 1.2, reads the same values back.
pub fn yaml_text(value: &Value) -> String {
    let mut text = String::new();
    write_block(value, 0, &mut text);
    text
}

/// The lines of a value; the cursor stands at the start of a line, or behind `- `.
fn write_block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                start_line(index, indent, text);
                text.push_str("- ");
                write_block(item, indent + 2, text);
            }
        }
        Value::Object(fields) if fields.values().any(|value| !value.is_null()) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            for (index, (key, value)) in fields.enumerate() {
                start_line(index, indent, text);
                write_field(key, value, indent, text);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            text.push_str(&inline_text(value));
            text.push('\n');
        }
    }
}

/// The first line of a block stands where the cursor is.
fn start_line(index: usize, indent: usize, text: &mut String) {
    if index > 0 || text.is_empty() || text.ends_with(":\n") {
        let _ = write!(text, "{:indent$}", "");
    }
}

fn write_field(key: &str, value: &Value, indent: usize, text: &mut String) {
    text.push_str(&scalar_text(key));
    text.push(':');
    text.push(if is_block(value) { '\n' } else { ' ' });
    write_block(value, indent + 2, text);
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => fields.values().any(|value| !value.is_null()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn inline_text(value: &Value) -> String {
    match value {
        Value::String(text) => scalar_text(text),
        Value::Object(_) => "{}".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}

/// Unquoted only where nobody could take it for anything but a text.
fn scalar_text(text: &str) -> String {
    let scalar = Scalar {
        text: text.to_owned(),
        plain: true,
    };
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-:=@+".contains(&byte);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let word = !matches!(text, "y" | "Y" | "n" | "N") && !text.ends_with(':');
    let plain = starts_well && text.bytes().all(simple) && word;
    if plain && !scalar.is_null() && scalar.boolean().is_none() {
        return scalar.text;
    }
    quoted(text)
}

/// JSON's quotes are YAML's, but for characters that YAML does not allow as they are.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for character in Value::from(text).to_string().chars() {
        let special = matches!(
            character,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
        );
        if special {
            let _ = write!(quoted, "\\u{:04x}", u32::from(character));
        } else {
            quoted.push(character);
        }
    }
    quoted
}
