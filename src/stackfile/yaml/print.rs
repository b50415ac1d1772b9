//! Values as YAML text that reads back as the same values.

use super::scalar;
use crate::value::{Value, quoted};

/// YAML looks no farther for the colon behind a key (1,024 characters, with what stands around it).
const MAX_KEY: usize = 1000;

/// A document in block style, with a line break at its end.
pub fn print(value: &Value) -> String {
    let mut printed = String::new();
    print_rest(value, 0, &mut printed);
    printed
}

fn print_map(entries: &[(String, Value)], indent: usize, printed: &mut String) {
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            push_indent(indent, printed);
        }
        print_key(key, indent, printed);
        print_child(value, indent + 2, printed);
    }
}

/// A long key has to be announced.
fn print_key(key: &str, indent: usize, printed: &mut String) {
    let key = text(key);
    if key.chars().count() > MAX_KEY {
        printed.push_str("? ");
        printed.push_str(&key);
        printed.push('\n');
        push_indent(indent, printed);
    } else {
        printed.push_str(&key);
    }
    printed.push(':');
}

fn print_list(items: &[Value], indent: usize, printed: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            push_indent(indent, printed);
        }
        printed.push('-');
        print_item(item, indent + 2, printed);
    }
}

fn push_indent(indent: usize, printed: &mut String) {
    printed.extend(std::iter::repeat_n(' ', indent));
}

/// The value of a key: collections begin on a line of their own.
fn print_child(value: &Value, indent: usize, printed: &mut String) {
    if is_block(value) {
        printed.push('\n');
        push_indent(indent, printed);
    } else {
        printed.push(' ');
    }
    print_rest(value, indent, printed);
}

/// An item of a list: collections begin behind its dash.
fn print_item(value: &Value, indent: usize, printed: &mut String) {
    printed.push(' ');
    print_rest(value, indent, printed);
}

fn print_rest(value: &Value, indent: usize, printed: &mut String) {
    match value {
        Value::Map(entries) if !entries.is_empty() => print_map(entries, indent, printed),
        Value::List(items) if !items.is_empty() => print_list(items, indent, printed),
        Value::Null
        | Value::Boolean(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => {
            printed.push_str(&on_one_line(value));
            printed.push('\n');
        }
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Map(entries) => !entries.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            false
        }
    }
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(content) => text(content),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
        Value::Float(number) if number.is_nan() => ".nan".to_owned(),
        Value::Float(number) if number.is_infinite() && *number > 0.0 => ".inf".to_owned(),
        Value::Float(number) if number.is_infinite() => "-.inf".to_owned(),
        Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => value.to_string(),
    }
}

/// Plain where no YAML of any version could take it for anything else.
fn text(content: &str) -> String {
    if is_safe(content) {
        content.to_owned()
    } else {
        quoted(content)
    }
}

fn is_safe(content: &str) -> bool {
    let first = content.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'));
    let safe = |c: char| c.is_ascii_alphanumeric() || "/_-.@+=$".contains(c);
    // A colon or a blank between other characters is safe too.
    let words = content.split([':', ' ']).all(|word| !word.is_empty());
    let inner = content.chars().all(|c| safe(c) || matches!(c, ':' | ' '));
    let is_word = matches!(
        content.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "true" | "false" | "on" | "off" | "null"
    );
    first
        && inner
        && words
        && !content.contains(": ")
        && !is_word
        && scalar::resolve(content) == Ok(Value::from(content))
}
