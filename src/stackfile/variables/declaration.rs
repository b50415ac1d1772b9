//! `variables:` of a file, as it is written.

use std::rc::Rc;

use super::kind::Kind;
use crate::problem::Report;
use crate::suggestion::nearest;
use crate::value::Value;
use crate::yaml::Node;

/// A variable as a file declares it.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    /// Where its name stands.
    pub(crate) at: usize,
    pub(crate) kind: Kind,
    /// Everything else that is written of it: what its type does, and checks.
    pub(super) options: Value,
    /// A fixed value.
    pub(super) value: Option<Value>,
    pub(super) default: Value,
    /// Resolvers, each with its hint, in order.
    pub(super) from: Vec<(String, Value)>,
    /// Setters, each with its hint.
    pub(super) to: Vec<(String, Value)>,
    pub(super) required: bool,
    pub(super) only_if: Option<Value>,
    pub(super) skip_if: Option<Value>,
}

/// What every type knows.
const COMMON: [&str; 13] = [
    "type",
    "from",
    "to",
    "default",
    "value",
    "required",
    "only_if",
    "skip_if",
    "label",
    "description",
    "validate",
    "transform",
    "in",
];

/// The most variables of a file.
const MAX_VARIABLES: usize = 1_000;

/// The variables under `node`, in the order of the file; what is wrong is reported.
pub(crate) fn declarations(node: Option<&Rc<Node>>, report: &mut Report) -> Vec<Declaration> {
    let Some(node) = node.filter(|node| !node.is_null()) else {
        return Vec::new();
    };
    let Some(entries) = node.entries() else {
        let message = format!("`variables` has to be a mapping, this is {}", node.what());
        report.error(node.at, message);
        return Vec::new();
    };
    if entries.len() > MAX_VARIABLES {
        report.error(node.at, format!("more than {MAX_VARIABLES} variables"));
        return Vec::new();
    }
    let entries = entries.iter();
    entries
        .filter_map(|(key, value)| declaration(key, value, report))
        .collect()
}

fn declaration(key: &Node, node: &Rc<Node>, report: &mut Report) -> Option<Declaration> {
    let name = key.key();
    if node.entries().is_none() {
        let message = format!(
            "the variable `{name}` has to be a mapping, this is {}",
            node.what()
        );
        report.error_with_hint(key.at, message, format!("as in `{name}: {{type: string}}`"));
        return None;
    }
    let kind = kind(key.at, &name, node, report)?;
    warn_of_unknown(kind, node, report);
    let value = |key: &str| node.get(key).map(|node| node.to_value());
    let condition = |key: &str| value(key).filter(|value| !value.is_null());
    Some(Declaration {
        at: key.at,
        kind,
        options: options(node),
        value: value("value").filter(|value| !value.is_null()),
        default: value("default").unwrap_or(Value::Null),
        from: places(node.get("from"), Kind::is_source, "source", report),
        to: places(
            node.get("to"),
            |name| matches!(name, "env" | "vault"),
            "target",
            report,
        ),
        required: value("required") != Some(Value::Boolean(false)),
        only_if: condition("only_if"),
        skip_if: condition("skip_if"),
        name,
    })
}

fn kind(at: usize, name: &str, node: &Node, report: &mut Report) -> Option<Kind> {
    let Some(written) = node.get("type").filter(|node| !node.is_null()) else {
        let message = format!("the variable `{name}` has no `type`");
        report.error_with_hint(at, message, format!("one of {}", Kind::NAMES.join(", ")));
        return None;
    };
    let text = written.key();
    let kind = Kind::named(&text);
    if kind.is_none() {
        let message = format!("`{text}` is no type of a variable");
        let hint = match nearest(&text, Kind::NAMES.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of {}", Kind::NAMES.join(", ")),
        };
        report.error_with_hint(written.at, message, hint);
    }
    kind
}

fn warn_of_unknown(kind: Kind, node: &Node, report: &mut Report) {
    let known = || COMMON.iter().chain(kind.options()).copied();
    for (key, _) in node.entries().into_iter().flatten() {
        let name = key.key();
        if known().any(|known| known == name) {
            continue;
        }
        let message = format!("`{name}` means nothing for a variable of this type");
        match nearest(&name, known()) {
            Some(near) => report.warn_with_hint(key.at, message, format!("did you mean `{near}`?")),
            None => report.warn(key.at, message),
        }
    }
}

/// The keys of the variable, with those under `validate` and `transform` among them.
fn options(node: &Node) -> Value {
    let Value::Map(mut entries) = node.to_value() else {
        return Value::Map(Vec::new());
    };
    for nested in ["validate", "transform"] {
        let more = node.get(nested).map(|node| node.to_value());
        match more {
            Some(Value::Map(more)) => entries.extend(more),
            Some(Value::List(names)) => {
                let names = names.iter();
                entries.extend(names.map(|name| (name.to_string(), Value::Boolean(true))));
            }
            Some(Value::Text(name)) => entries.push((name, Value::Boolean(true))),
            Some(Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_)) | None => {}
        }
    }
    Value::Map(entries)
}

/// `from` or `to`: a mapping of names to hints, a list of such, or bare names.
fn places(
    node: Option<&Rc<Node>>,
    is_known: impl Fn(&str) -> bool + Copy,
    what: &str,
    report: &mut Report,
) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    if let Some(node) = node {
        collect(node, is_known, what, report, &mut found);
    }
    found
}

fn collect(
    node: &Rc<Node>,
    is_known: impl Fn(&str) -> bool + Copy,
    what: &str,
    report: &mut Report,
    found: &mut Vec<(String, Value)>,
) {
    if let Some(items) = node.items() {
        for item in items {
            collect(item, is_known, what, report, found);
        }
        return;
    }
    let mut add = |at: usize, name: String, hint: Value| {
        if is_known(&name) {
            found.push((name, hint));
        } else {
            let message = format!("`{name}` is no {what} of a variable");
            let near = nearest(&name, Kind::SOURCES.into_iter());
            let near = near.filter(|near| is_known(near));
            report.error_or_hint(
                at,
                message,
                near.map(|near| format!("did you mean `{near}`?")),
            );
        }
    };
    match node.entries() {
        Some(entries) => {
            for (key, value) in entries {
                add(key.at, key.key(), value.to_value());
            }
        }
        None if node.is_null() => {}
        None => add(node.at, node.key(), Value::Null),
    }
}
