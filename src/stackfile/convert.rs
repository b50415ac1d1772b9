//! Kontena's old flat files and Docker Compose files become stack files; what has no counterpart is
//! noted at its place.

mod deploy;
mod lists;
mod service;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::problem::{Findings, Report};
use crate::text::{Rendered, Source};
use crate::value::Value;
use crate::yaml::{self, Node, Repeats};

/// A stack file made of another file.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The stack file.
    pub text: String,
    /// What was left out or changed, at its place in the other file, as warnings.
    pub notes: Findings,
}

/// Makes a stack file of a flat or a Compose file, named `stack` unless the file has a name. `file` is the
/// name shown in notes.
///
/// # Errors
/// What keeps the file from being read.
pub fn convert(file: &str, text: &str, stack: &str) -> Result<Converted, Findings> {
    let mut report = Report::new(Rc::new(Source::new(file, text)));
    let root = yaml::read(&Rendered::original(text), Repeats::Warned, &mut report);
    let stack_file = root.and_then(|root| Conversion::new(&mut report).file(&root, stack));
    match stack_file {
        Some(stack_file) if report.is_clean() => {
            report.findings.sort();
            Ok(Converted {
                text: yaml::print(&stack_file),
                notes: report.findings,
            })
        }
        Some(_) | None => Err(report.findings),
    }
}

/// One file in the making.
struct Conversion<'a> {
    report: &'a mut Report,
    /// Variables that values refer to, each with its default.
    variables: BTreeMap<String, Option<String>>,
    /// Named volumes that services mount.
    volumes: BTreeMap<String, Value>,
}

/// Top-level keys of Compose files.
const TOP: [&str; 7] = [
    "version", "name", "services", "volumes", "networks", "secrets", "configs",
];

impl<'a> Conversion<'a> {
    fn new(report: &'a mut Report) -> Self {
        Self {
            report,
            variables: BTreeMap::new(),
            volumes: BTreeMap::new(),
        }
    }

    fn note(&mut self, at: usize, message: impl std::fmt::Display) {
        self.report.warn(at, message);
    }

    fn file(&mut self, root: &Node, stack: &str) -> Option<Value> {
        let Some(entries) = root.entries() else {
            self.report
                .error(root.at, "the file has to be a mapping of services");
            return None;
        };
        if root.get("stack").is_some() {
            self.report
                .error(root.at, "the file is a stack file already");
            return None;
        }
        let flat = root.get("services").is_none();
        let name = root
            .get("name")
            .filter(|_| !flat)
            .and_then(|name| name.text());
        let name = host_name(name.unwrap_or(stack));
        if !flat {
            self.top(root);
        }
        let services = match root.get("services") {
            Some(services) => services.entries(),
            None => Some(entries),
        };
        let mut converted = Vec::new();
        for (key, node) in services.into_iter().flatten() {
            converted.extend(self.service(key, node));
        }
        if converted.is_empty() {
            self.report.error(root.at, "the file has no services");
            return None;
        }
        Some(self.stack(&name, converted))
    }

    fn top(&mut self, root: &Node) {
        for (key, node) in root.entries().into_iter().flatten() {
            match key.key().as_str() {
                "volumes" => self.top_volumes(node),
                "networks" => self.note(
                    key.at,
                    "`networks` is left out: all services of a grid share one network",
                ),
                name @ ("secrets" | "configs") => {
                    self.note(
                        key.at,
                        format!("`{name}` is left out: put it into the vault, or into the image"),
                    );
                }
                name if !TOP.contains(&name) && !name.starts_with("x-") => {
                    self.note(
                        key.at,
                        format!("`{name}` is left out: a stack file has no such key"),
                    );
                }
                _ => {}
            }
        }
    }

    fn top_volumes(&mut self, node: &Node) {
        for (key, node) in node.entries().into_iter().flatten() {
            let external = node.get("external");
            let name = external
                .and_then(|external| external.get("name"))
                .or_else(|| node.get("name"));
            let external_value = match name.and_then(|name| name.text()) {
                Some(name) => Value::Map(vec![("name".to_owned(), Value::from(name))]),
                None => Value::Boolean(true),
            };
            if external.is_none() {
                let message = format!(
                    "a stack creates no volumes: create `{}` with `kontena volume create`",
                    key.key()
                );
                self.note(key.at, message);
            }
            let volume = Value::Map(vec![("external".to_owned(), external_value)]);
            self.volumes.insert(key.key(), volume);
        }
    }

    fn stack(&mut self, name: &str, services: Vec<(String, Value)>) -> Value {
        let mut stack = vec![
            ("stack".to_owned(), Value::from(name)),
            ("version".to_owned(), Value::from("0.0.1")),
        ];
        let variables = std::mem::take(&mut self.variables).into_iter();
        let variables: Vec<(String, Value)> = variables
            .map(|(name, default)| (name.clone(), variable(&name, default)))
            .collect();
        if !variables.is_empty() {
            stack.push(("variables".to_owned(), Value::Map(variables)));
        }
        stack.push(("services".to_owned(), Value::Map(services)));
        let volumes = std::mem::take(&mut self.volumes);
        if !volumes.is_empty() {
            stack.push((
                "volumes".to_owned(),
                Value::Map(volumes.into_iter().collect()),
            ));
        }
        Value::Map(stack)
    }
}

/// A variable that is taken from the environment, as Compose does.
fn variable(name: &str, default: Option<String>) -> Value {
    let source = Value::Map(vec![("env".to_owned(), Value::from(name))]);
    let mut variable = vec![
        ("type".to_owned(), Value::from("string")),
        ("from".to_owned(), source),
    ];
    match default {
        Some(default) if default.is_empty() => {
            variable.push(("required".to_owned(), Value::Boolean(false)));
        }
        Some(default) => variable.push(("default".to_owned(), Value::Text(default))),
        None => {}
    }
    Value::Map(variable)
}

/// What can be a host name, for what is not quite one.
fn host_name(name: &str) -> String {
    let name = name.to_lowercase();
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name: String = name
        .chars()
        .map(|c| if valid(c) { c } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() {
        "stack".to_owned()
    } else {
        name.to_owned()
    }
}
