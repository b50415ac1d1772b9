//! A stack as JSON, in the field names of Kontena's API: what `stack validate` prints, what the
//! command line posts, and what any node's API reads.
//!
//! `null` and a missing field mean the same everywhere. A field that Kontena has and this version
//! does not carry out is refused unless it is empty; so is an unknown one. Not here: answers of
//! the API that tell what runs.

mod change;
mod field;
mod health_check;
mod hooks;
mod job;
mod lease;
mod logging;
mod placing;
mod privileges;
mod resources;
mod rollout;
mod service;
mod volumes;
mod written;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub use change::ServiceChange;
pub use field::{FieldProblem, FieldProblemKind};
pub use job::JobChange;
pub use lease::LeaseChange;
pub use logging::LoggingChange;
pub use placing::PlacingChange;
pub use privileges::PrivilegesChange;
pub use resources::ResourcesChange;
pub use rollout::RolloutChange;

use crate::id::{ServiceName, StackName};
use crate::stack::{Declared, Stack, StackLabel, UnknownExposed, stack_faults};
use field::{Field, Fields};

/// A stack on its way to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// What it is installed as.
    pub name: StackName,
    pub stack: Stack,
    /// The text of the file, for `stack inspect`.
    pub source: Option<String>,
    /// For people.
    pub labels: Vec<StackLabel>,
    /// What its variables were given: the defaults of the next upgrade.
    pub variables: BTreeMap<String, Value>,
    /// What its file says of itself under `meta`.
    pub metadata: BTreeMap<String, Value>,
    /// The stack that brought it along.
    pub parent: Option<StackName>,
}

/// The most variables that a stack keeps: more than any file asks for, and every node has them.
const MAX_VARIABLES: usize = 1_000;

/// As JSON: every node keeps it with each revision.
const MAX_METADATA_BYTES: usize = 16 << 10;
/// So deep may it be nested: whoever prints it goes down as far.
const MAX_METADATA_DEPTH: usize = 32;

/// The version of a stack that gives none, as in Kontena.
const DEFAULT_VERSION: &str = "0.0.1";

const STACK: Fields = Fields {
    known: &[&[
        "name",
        "stack",
        "version",
        "description",
        "source",
        "registry",
        "expose",
        "services",
        "labels",
        "variables",
        "metadata",
        // Nothing follows from it: each dependency is installed as a stack that names its parent.
        "dependencies",
        "parent",
        "volumes",
    ]],
    not_yet: &[],
};

const PARENT: Fields = Fields {
    known: &[&["id", "name"]],
    not_yet: &[],
};

/// The body of `POST /v1/grids/{grid}/stacks`.
pub fn write(compiled: &Compiled) -> Value {
    let Compiled {
        name,
        stack,
        source,
        labels,
        variables,
        metadata,
        parent,
    } = compiled;
    let services = stack.services.iter().map(|(name, declared)| {
        let change = ServiceChange::from_declared(declared);
        written::write(Some(name), &change)
    });
    json!({
        "name": name,
        "stack": stack.stack,
        "version": stack.version,
        "description": stack.description,
        "source": source,
        "expose": stack.expose,
        "services": services.collect::<Vec<Value>>(),
        "labels": labels,
        "variables": variables,
        "metadata": metadata,
        "parent": parent.as_ref().map(|name| json!({"name": name})),
    })
}

/// Reads what [`write`] wrote, or Kontena's own client.
///
/// # Errors
/// Every problem, each with the path of its field.
pub fn read(value: &Value) -> Result<Compiled, Vec<FieldProblem>> {
    let mut problems = Vec::new();
    let compiled = read_stack(&Field::root(value), &mut problems);
    match compiled {
        Some(compiled) if problems.is_empty() => Ok(compiled),
        Some(_) | None => Err(problems),
    }
}

fn read_stack(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Compiled> {
    body.check_fields(&STACK, problems)?;
    let stack = body.required("stack", problems).and_then(|field| {
        let default_name = field.parsed(stack_name, problems)?;
        Some((field.text(problems)?, default_name))
    });
    let text = |key: &str, problems: &mut Vec<FieldProblem>| {
        body.get(key).and_then(|field| field.text(problems))
    };
    let description = text("description", problems);
    let source = text("source", problems);
    let labels = read_labels(body, problems);
    let variables = read_variables(body, problems);
    let metadata = read_metadata(body, problems);
    let parent = read_parent(body, problems);
    let version = body.get("version").and_then(|field| field.word(problems));
    let name = body
        .get("name")
        .map(|field| field.parsed(installed_name, problems));
    let expose = body.get("expose");
    let exposed = expose.as_ref().and_then(|field| {
        let parse = |text: &str| {
            text.parse::<ServiceName>()
                .map_err(|problem| problem.to_string())
        };
        field.parsed(parse, problems)
    });
    let services = read_services(body, problems);
    let (stack, default_name) = stack?;
    let name = name.unwrap_or_else(|| Some(default_name.clone()))?;
    let mut services = services?;
    let volumes = volumes::read(body, problems);
    for declared in services.values_mut() {
        declared.service.localize_links(&name);
        volumes::rename(&mut declared.service, &volumes);
    }
    check_links(&services, problems);
    if let (Some(field), Some(name)) = (&expose, &exposed)
        && !services.contains_key(name)
        && !is_named(body, name)
    {
        problems.push(field.problem(UnknownExposed(name.clone()).to_string()));
    }
    Some(Compiled {
        name,
        stack: Stack {
            stack,
            default_name,
            version: version.unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
            description,
            expose: exposed,
            services,
        },
        source,
        labels,
        variables,
        metadata,
        parent,
    })
}

fn read_labels(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Vec<StackLabel> {
    let items = body.get("labels").and_then(|list| list.items(problems));
    let items = items.into_iter().flatten();
    items
        .filter_map(|item| item.parsed(str::parse::<StackLabel>, problems))
        .collect()
}

fn read_variables(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> BTreeMap<String, Value> {
    let Some((variables, entries)) = object(body, "variables", problems) else {
        return BTreeMap::new();
    };
    if entries.len() > MAX_VARIABLES {
        let message = format!("has {} fields, {MAX_VARIABLES} are possible", entries.len());
        problems.push(variables.problem(message));
        return BTreeMap::new();
    }
    kept(entries)
}

fn read_metadata(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> BTreeMap<String, Value> {
    let Some((metadata, entries)) = object(body, "metadata", problems) else {
        return BTreeMap::new();
    };
    let size = serde_json::to_vec(entries).map_or(usize::MAX, |text| text.len());
    let depth = entries.values().map(depth).max().unwrap_or_default();
    if size > MAX_METADATA_BYTES {
        let most = MAX_METADATA_BYTES >> 10;
        problems.push(metadata.problem(format!("is larger than {most} KiB as JSON")));
        return BTreeMap::new();
    }
    if depth > MAX_METADATA_DEPTH {
        let message = format!("is nested deeper than {MAX_METADATA_DEPTH} levels");
        problems.push(metadata.problem(message));
        return BTreeMap::new();
    }
    kept(entries)
}

fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    deepest.unwrap_or_default() + 1
}

/// A field that is an object, if it is there.
fn object<'v>(
    body: &Field<'v>,
    key: &str,
    problems: &mut Vec<FieldProblem>,
) -> Option<(Field<'v>, &'v Map<String, Value>)> {
    let field = body.get(key)?;
    let entries = field.object(problems)?;
    Some((field, entries))
}

fn kept(entries: &Map<String, Value>) -> BTreeMap<String, Value> {
    let entries = entries.iter();
    entries
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn read_parent(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<StackName> {
    let parent = body.get("parent")?;
    parent.check_fields(&PARENT, problems)?;
    let name = parent.required("name", problems)?;
    name.parsed(installed_name, problems)
}

/// Whether a service has the name, and may be one that could not be read.
fn is_named(body: &Field<'_>, name: &ServiceName) -> bool {
    let mut told_elsewhere = Vec::new();
    let list = body.get("services");
    let items = list.and_then(|list| list.items(&mut told_elsewhere));
    items.into_iter().flatten().any(|item| {
        let own = item
            .get("name")
            .and_then(|own| own.text(&mut told_elsewhere));
        own.is_some_and(|own| own == name.as_str())
    })
}

/// What `text`, `name` or `user/name`, is installed as.
fn stack_name(text: &str) -> Result<StackName, String> {
    let last = match text.split_once('/') {
        Some((user, last)) if is_user(user) => last,
        Some((user, _)) => return Err(format!("`{user}` in `{text}` is not a user name")),
        None => text,
    };
    let name: StackName = last
        .parse()
        .map_err(|problem: crate::id::InvalidId| problem.to_string())?;
    if name.is_null() {
        return Err("`null` is reserved for services without a stack".to_owned());
    }
    Ok(name)
}

/// As the users and organizations of Kontena's registry.
fn is_user(user: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !user.is_empty() && user.len() <= 64 && user.bytes().all(valid)
}

/// A stack's own name, without a user.
fn installed_name(text: &str) -> Result<StackName, String> {
    if text.contains('/') {
        return Err(format!("`{text}` has to be a name without `/`"));
    }
    stack_name(text)
}

fn read_services(
    body: &Field<'_>,
    problems: &mut Vec<FieldProblem>,
) -> Option<BTreeMap<ServiceName, Declared>> {
    let list = body.required("services", problems)?;
    let items = list.items(problems)?;
    if items.is_empty() {
        problems.push(list.problem("a stack needs at least one service"));
    }
    let mut services = BTreeMap::new();
    for item in items {
        let Some((name, declared)) = read_declared(&item, problems) else {
            continue;
        };
        if services.insert(name.clone(), declared).is_some() {
            problems.push(item.problem(format!("service `{name}` is given twice")));
        }
    }
    Some(services)
}

fn read_declared(
    item: &Field<'_>,
    problems: &mut Vec<FieldProblem>,
) -> Option<(ServiceName, Declared)> {
    let change = service::read(item, problems)?;
    item.required("name", problems);
    item.required("image", problems);
    change.image.as_ref()?;
    match change.create() {
        Ok(service) => Some((
            change.name?,
            Declared {
                service,
                instances: change.instances,
            },
        )),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| problem.under(item)));
            None
        }
    }
}

/// Only where all services could be read: a link to one that could not is not wrong.
fn check_links(services: &BTreeMap<ServiceName, Declared>, problems: &mut Vec<FieldProblem>) {
    if !problems.is_empty() {
        return;
    }
    let faults = stack_faults(services).into_iter();
    problems.extend(faults.map(|fault| {
        let need = fault.need;
        let path = format!("services.{}.{}[{}]", fault.service, need.list, need.index);
        FieldProblem::new(path, fault.cause)
    }));
}

/// What a change speaks of takes the place of what there was.
fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests;
