//! The types of variables: what they make of a value, and which values they take.

use data_encoding::{BASE64, HEXLOWER};
use sha1::Digest;

use crate::liquid::capitalize;
use crate::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Boolean,
    Enumeration,
    Uri,
    Array,
    /// Variables within a variable; Kontena's library knows it, and stack files do not use it.
    Group,
}

impl Kind {
    pub(super) const NAMES: [&'static str; 7] = [
        "string", "integer", "boolean", "enum", "uri", "array", "group",
    ];

    pub(super) const SOURCES: [&'static str; 16] = [
        "env",
        "file",
        "prompt",
        "random_string",
        "random_number",
        "random_uuid",
        "interpolate",
        "evaluate",
        "vault",
        "vault_cert_prompt",
        "certificates",
        "service_link",
        "service_instances",
        "variable",
        "condition",
        "yaml",
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::Text),
            "integer" => Some(Self::Integer),
            "boolean" => Some(Self::Boolean),
            "enum" => Some(Self::Enumeration),
            "uri" => Some(Self::Uri),
            "array" => Some(Self::Array),
            "group" => Some(Self::Group),
            _ => None,
        }
    }

    pub(super) fn is_source(name: &str) -> bool {
        Self::SOURCES.contains(&name)
    }

    /// The keys that this type knows, beside those that all know.
    pub(super) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Text => &[
                "min_length",
                "max_length",
                "empty_is_nil",
                "hexdigest",
                "encode_64",
                "decode_64",
                "upcase",
                "downcase",
                "strip",
                "chomp",
                "capitalize",
                "echo",
            ],
            Self::Integer => &["min", "max", "nil_is_zero"],
            Self::Boolean => &["truthy", "nil_is", "blank_is", "true", "false", "as"],
            Self::Enumeration => &["options", "can_be_other"],
            Self::Uri => &["schemes"],
            Self::Array => &[
                "split",
                "join",
                "empty_is_nil",
                "sort",
                "uniq",
                "count",
                "compact",
            ],
            Self::Group => &["variables"],
        }
    }
}

/// What a value becomes as one of this type; `options` are the variable's keys.
///
/// # Errors
/// Why it cannot be one.
pub(super) fn convert(kind: Kind, options: &Value, value: Value) -> Result<Value, String> {
    match kind {
        Kind::Text => text(options, value),
        Kind::Integer => integer(options, value),
        Kind::Boolean => Ok(boolean(options, value)),
        Kind::Enumeration | Kind::Group => Ok(value),
        Kind::Uri => Ok(match value {
            Value::Null => Value::Null,
            value => Value::Text(value.to_string()),
        }),
        Kind::Array => array(options, value),
    }
}

fn is_set(options: &Value, name: &str) -> bool {
    options.get(name).is_some_and(Value::is_true)
}

fn text(options: &Value, value: Value) -> Result<Value, String> {
    let empty_is_nil = options.get("empty_is_nil") != Some(&Value::Boolean(false));
    if value.is_null() {
        return Ok(value);
    }
    let mut text = value.to_string();
    type Change = fn(&str) -> Result<String, String>;
    let changes: [(&str, Change); 7] = [
        ("strip", |text| Ok(text.trim().to_owned())),
        ("chomp", |text| {
            Ok(text.strip_suffix('\n').unwrap_or(text).to_owned())
        }),
        ("upcase", |text| Ok(text.to_uppercase())),
        ("downcase", |text| Ok(text.to_lowercase())),
        ("capitalize", |text| Ok(capitalize(text))),
        ("encode_64", |text| Ok(BASE64.encode(text.as_bytes()))),
        ("decode_64", decode_64),
    ];
    for (name, change) in changes {
        if is_set(options, name) {
            text = change(&text)?;
        }
    }
    if text.is_empty() && empty_is_nil {
        return Ok(Value::Null);
    }
    match options.get("hexdigest") {
        Some(Value::Text(algorithm)) => hexdigest(algorithm, &text).map(Value::Text),
        _ => Ok(Value::Text(text)),
    }
}

fn decode_64(text: &str) -> Result<String, String> {
    let compact: String = text.split_whitespace().collect();
    let decoded = BASE64.decode(compact.as_bytes());
    let decoded = decoded.map_err(|_| "is not base64".to_owned())?;
    String::from_utf8(decoded).map_err(|_| "is not text, decoded from base64".to_owned())
}

fn hexdigest(algorithm: &str, text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    Ok(match algorithm {
        "md5" => HEXLOWER.encode(&md5::Md5::digest(bytes)),
        "sha1" => HEXLOWER.encode(&sha1::Sha1::digest(bytes)),
        "sha256" => HEXLOWER.encode(&sha2::Sha256::digest(bytes)),
        "sha384" => HEXLOWER.encode(&sha2::Sha384::digest(bytes)),
        "sha512" => HEXLOWER.encode(&sha2::Sha512::digest(bytes)),
        _ => {
            return Err(format!(
                "cannot be digested by `{algorithm}`: there are md5, sha1, sha256, sha384 and sha512"
            ));
        }
    })
}

fn integer(options: &Value, value: Value) -> Result<Value, String> {
    match value {
        Value::Null if is_set(options, "nil_is_zero") => Ok(Value::Integer(0)),
        Value::Null | Value::Integer(_) => Ok(value),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Kontena cuts fractions off"
        )]
        Value::Float(number) if number.is_finite() => Ok(Value::Integer(number as i64)),
        Value::Text(text) if text.trim().is_empty() => integer(options, Value::Null),
        Value::Text(text) => {
            let number = text.trim().replace('_', "");
            let number = number.parse().map(Value::Integer);
            number.map_err(|_| format!("is `{text}`, not a whole number"))
        }
        value => Err(format!("is {}, not a whole number", value.inspect())),
    }
}

const TRUTHY: [&str; 6] = ["true", "yes", "1", "on", "enabled", "enable"];

fn boolean(options: &Value, value: Value) -> Value {
    let otherwise = |name: &str| options.get(name).cloned().unwrap_or(Value::Boolean(false));
    let value = match value {
        Value::Null => otherwise("nil_is"),
        Value::Text(text) if text.trim().is_empty() => otherwise("blank_is"),
        value => value,
    };
    let text = value.to_string().to_lowercase();
    let truth = match options.get("truthy") {
        Some(Value::List(truthy)) => truthy
            .iter()
            .any(|word| word.to_string().to_lowercase() == text),
        _ => TRUTHY.contains(&text.as_str()),
    };
    let shown = |name: &str, number: i64| match options.get("as").and_then(Value::as_text) {
        Some("string") => options
            .get(name)
            .map_or_else(|| Value::from(name), |shown| Value::Text(shown.to_string())),
        Some("integer") => Value::Integer(number),
        Some("true_or_nil") if !truth => Value::Null,
        _ => Value::Boolean(truth),
    };
    if truth {
        shown("true", 1)
    } else {
        shown("false", 0)
    }
}

fn array(options: &Value, value: Value) -> Result<Value, String> {
    let mut items = match value {
        Value::Null => return Ok(Value::Null),
        Value::List(items) => items,
        Value::Text(text) => {
            let by = options
                .get("split")
                .map_or(",".to_owned(), ToString::to_string);
            split(&text, &by)
        }
        value => vec![value],
    };
    if is_set(options, "compact") {
        items.retain(|item| !item.is_null() && item.as_text() != Some(""));
    }
    if is_set(options, "sort") {
        items.sort_by_key(ToString::to_string);
    }
    if is_set(options, "uniq") {
        let mut seen = std::collections::BTreeSet::new();
        items.retain(|item| seen.insert(item.inspect()));
    }
    if items.is_empty() && is_set(options, "empty_is_nil") {
        return Ok(Value::Null);
    }
    if is_set(options, "count") {
        return i64::try_from(items.len())
            .map(Value::Integer)
            .map_err(|_| "has too many items".to_owned());
    }
    Ok(match options.get("join") {
        Some(Value::Text(by)) => {
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            Value::Text(items.join(by))
        }
        _ => Value::List(items),
    })
}

fn split(text: &str, by: &str) -> Vec<Value> {
    if text.is_empty() {
        return Vec::new();
    }
    if by.is_empty() {
        return text.chars().map(|c| Value::Text(c.into())).collect();
    }
    text.split(by).map(Value::from).collect()
}

/// What is wrong with a value that has its type; null is never wrong here.
pub(super) fn faults(kind: Kind, options: &Value, value: &Value) -> Vec<String> {
    if value.is_null() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    match kind {
        Kind::Text => text_faults(options, value, &mut faults),
        Kind::Integer => integer_faults(options, value, &mut faults),
        Kind::Enumeration => enumeration_faults(options, value, &mut faults),
        Kind::Uri => uri_faults(options, value, &mut faults),
        Kind::Boolean | Kind::Array | Kind::Group => {}
    }
    if let Some(Value::List(allowed)) = options.get("in") {
        let text = value.to_string();
        if !allowed.iter().any(|allowed| allowed.to_string() == text) {
            faults.push(format!("is `{text}`, not one of {}", shown(allowed)));
        }
    }
    faults
}

fn shown(values: &[Value]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(", ")
}

fn text_faults(options: &Value, value: &Value, faults: &mut Vec<String>) {
    let length = i64::try_from(value.to_string().chars().count()).unwrap_or(i64::MAX);
    let limit = |name: &str| options.get(name).and_then(Value::as_integer);
    if let Some(least) = limit("min_length").filter(|least| length < *least) {
        faults.push(format!(
            "has {length} characters, at least {least} are needed"
        ));
    }
    if let Some(most) = limit("max_length").filter(|most| length > *most) {
        faults.push(format!(
            "has {length} characters, at most {most} are possible"
        ));
    }
}

fn integer_faults(options: &Value, value: &Value, faults: &mut Vec<String>) {
    let Some(number) = value.as_integer() else {
        return;
    };
    let limit = |name: &str| options.get(name).and_then(Value::as_integer);
    let least = match options.get("min") {
        Some(Value::Null) => i64::MIN,
        _ => limit("min").unwrap_or(0),
    };
    if number < least {
        faults.push(format!("is {number}, the least is {least}"));
    }
    if let Some(most) = limit("max").filter(|most| number > *most) {
        faults.push(format!("is {number}, the most is {most}"));
    }
}

/// The values that an `enum` lists.
pub(super) fn choices(options: &Value) -> Vec<crate::world::Choice> {
    let listed = options.get("options").and_then(Value::as_list);
    let choice = |option: &Value| {
        let value = option.get("value").unwrap_or(option).clone();
        let label = option
            .get("label")
            .map_or_else(|| value.to_string(), ToString::to_string);
        let label = match option.get("description") {
            Some(description) => format!("{label} ({description})"),
            None => label,
        };
        crate::world::Choice { value, label }
    };
    listed.unwrap_or_default().iter().map(choice).collect()
}

fn enumeration_faults(options: &Value, value: &Value, faults: &mut Vec<String>) {
    let choices = choices(options);
    if choices.is_empty() {
        faults.push("has no `options` to choose from".to_owned());
        return;
    }
    let text = value.to_string();
    let known = choices
        .iter()
        .any(|choice| choice.value.to_string() == text);
    if !known && !is_set(options, "can_be_other") {
        let values: Vec<Value> = choices.into_iter().map(|choice| choice.value).collect();
        faults.push(format!("is `{text}`, not one of {}", shown(&values)));
    }
}

fn uri_faults(options: &Value, value: &Value, faults: &mut Vec<String>) {
    let text = value.to_string();
    let default = [Value::from("http"), Value::from("https")];
    let schemes = options
        .get("schemes")
        .and_then(Value::as_list)
        .unwrap_or(&default);
    let parts = text.split_once("://");
    let Some((scheme, rest)) = parts.filter(|(_, rest)| !rest.is_empty()) else {
        faults.push(format!("is `{text}`, not a URI as `https://example.com`"));
        return;
    };
    if rest.contains(char::is_whitespace) {
        faults.push(format!("is `{text}`: a URI has no blanks"));
    }
    if !schemes.is_empty() && !schemes.iter().any(|known| known.to_string() == scheme) {
        faults.push(format!(
            "is `{text}`, which begins with none of {}",
            shown(schemes)
        ));
    }
}
