//! The top level of a stack file.

use std::collections::BTreeMap;

use super::Source;
use super::builtins::Builtins;
use super::problem::{Position, Problem, Report};
use super::reader::{Entry, Reader};
use super::schema::STACK;
use super::service::{self, Draft};
use super::suggestion::host_name_hint;
use super::tree::{Node, Value};
use super::validate::{self, ServicePlaces};
use super::yaml::lines;
use crate::id::{ServiceName, StackName};
use crate::stack::{Declared, Stack, UnknownExposed};

/// The version of a stack that gives none, as in Kontena.
pub(super) const DEFAULT_VERSION: &str = "0.0.1";

/// The most services of a stack: all of them are one document that every node keeps.
const MAX_SERVICES: usize = 1_000;

/// The stack that the tree describes, as far as it can be read; whether it is right, `report` knows.
pub(super) fn read(root: &Node, source: &Source<'_>, report: &mut Report) -> Option<Stack> {
    refuse_liquid(source.text, report);
    if !matches!(root.value, Value::Map(_)) {
        report.error(
            root.at,
            "a stack file has to be a mapping, with `stack` and `services`",
        );
        return None;
    }
    let mut reader = Reader {
        builtins: Builtins {
            stack: source.stack.map(ToString::to_string),
            grid: source.grid,
        },
        report,
    };
    let name = read_name(&mut reader, root);
    if let (Some((_, name)), None) = (&name, source.stack) {
        reader.builtins.stack = Some(name.to_string());
    }
    let top = Top::read(&mut reader, root);
    let installed = source.stack.or(name.as_ref().map(|(_, name)| name));
    let (services, places) = separate(top.services, installed);
    let expose = top
        .expose
        .and_then(|(at, name)| exposed(at, name, &services, reader.report));
    validate::check(&services, &places, installed, source.grid, reader.report);
    let (stack, default_name) = name?;
    Some(Stack {
        stack,
        default_name,
        version: top.version.unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
        description: top.description,
        expose,
        services,
    })
}

fn exposed(
    at: Position,
    name: ServiceName,
    services: &BTreeMap<ServiceName, Declared>,
    report: &mut Report,
) -> Option<ServiceName> {
    if services.contains_key(&name) {
        return Some(name);
    }
    report.error(at, UnknownExposed(name).to_string());
    None
}

/// What the services are, and where they stand.
fn separate(
    drafts: BTreeMap<ServiceName, Draft>,
    installed: Option<&StackName>,
) -> (
    BTreeMap<ServiceName, Declared>,
    BTreeMap<ServiceName, ServicePlaces>,
) {
    let mut services = BTreeMap::new();
    let mut all_places = BTreeMap::new();
    for (name, draft) in drafts {
        let Draft {
            at,
            mut declared,
            places,
        } = draft;
        if let Some(stack) = installed {
            declared.service.localize_links(stack);
        }
        services.insert(name.clone(), declared);
        all_places.insert(name, ServicePlaces { at, places });
    }
    (services, all_places)
}

/// Liquid tags count in comments too, where YAML would lose them.
fn refuse_liquid(text: &str, report: &mut Report) {
    for (index, line) in lines(text).into_iter().enumerate() {
        if let Some(byte) = line.find("{%") {
            let at = Position {
                line: index + 1,
                column: line[..byte].chars().count() + 1,
            };
            let hint = "Kontena reads `{% … %}` in comments as well";
            report.error_with_hint(at, "Liquid templates are not supported yet", hint);
        }
    }
}

/// The name in the file and the one it is installed as by default. It is read before all else,
/// because every other value may refer to it.
fn read_name(reader: &mut Reader<'_>, root: &Node) -> Option<(String, StackName)> {
    let Value::Map(entries) = &root.value else {
        return None;
    };
    let entry = entries.iter().find(|(key, _)| key.text() == Some("stack"));
    let Some((_, value)) = entry else {
        let hint = missing_stack_hint(root);
        reader
            .report
            .error_with_hint(root.at, "the file has no `stack`", hint);
        return None;
    };
    let text = reader.text(value, "`stack`")?;
    match stack_name(&text) {
        Ok(name) => Some((text, name)),
        Err(problem) => {
            let hint = host_name_hint(text.rsplit('/').next().unwrap_or(&text));
            let problem = Problem::new(value.at, problem, hint);
            reader.report.push(problem);
            None
        }
    }
}

/// What `text`, `name` or `user/name`, is installed as.
pub(super) fn stack_name(text: &str) -> Result<StackName, String> {
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

fn missing_stack_hint(root: &Node) -> &'static str {
    let Value::Map(entries) = &root.value else {
        return "";
    };
    if entries
        .iter()
        .any(|(key, _)| key.text() == Some("services"))
    {
        return "add `stack: NAME` at the top; a Docker Compose file needs it too";
    }
    "a stack file begins with `stack: NAME` and lists its services under `services`"
}

/// What is under the top-level keys, but `stack`.
#[derive(Default)]
struct Top {
    version: Option<String>,
    description: Option<String>,
    expose: Option<(Position, ServiceName)>,
    services: BTreeMap<ServiceName, Draft>,
}

impl Top {
    fn read(reader: &mut Reader<'_>, root: &Node) -> Self {
        let mut top = Self::default();
        let mut seen_services = false;
        for entry in reader.section(root, &STACK) {
            match entry.key.as_str() {
                "version" => top.version = optional_text(reader, &entry),
                "description" => top.description = optional_text(reader, &entry),
                "expose" => top.expose = read_exposed(reader, &entry),
                "services" => {
                    seen_services = true;
                    top.services = read_services(reader, &entry);
                }
                "volumes" => refuse_volumes(reader, &entry),
                "networks" => refuse_networks(reader, &entry),
                _ => {} // `stack`, read already
            }
        }
        if !seen_services {
            let hint = "list at least one service under `services`";
            reader
                .report
                .error_with_hint(root.at, "the file has no `services`", hint);
        }
        top
    }
}

fn optional_text(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<String> {
    if entry.value.is_null() {
        return None;
    }
    reader.text(entry.value, &format!("`{}`", entry.key))
}

fn read_exposed(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<(Position, ServiceName)> {
    let text = optional_text(reader, entry)?;
    match text.parse() {
        Ok(name) => Some((entry.value.at, name)),
        Err(problem) => {
            let problem = Problem::new(entry.value.at, problem, host_name_hint(&text));
            reader.report.push(problem);
            None
        }
    }
}

fn read_services(reader: &mut Reader<'_>, services: &Entry<'_>) -> BTreeMap<ServiceName, Draft> {
    let entries = reader.entries(services.value, "`services`");
    if services.value.is_nothing() {
        reader
            .report
            .error(services.at, "a stack needs at least one service");
    }
    if entries.len() > MAX_SERVICES {
        let message = format!("{} services, {MAX_SERVICES} are possible", entries.len());
        reader.report.error(services.at, message);
        return BTreeMap::new();
    }
    let mut drafts = BTreeMap::new();
    for entry in entries {
        let draft = service::read(reader, &entry);
        match entry.key.parse() {
            Ok(name) => drop(drafts.insert(name, draft)),
            Err(problem) => {
                let hint = host_name_hint(&entry.key);
                let problem = Problem::new(entry.at, problem, hint);
                reader.report.push(problem);
            }
        }
    }
    drafts
}

fn refuse_volumes(reader: &mut Reader<'_>, volumes: &Entry<'_>) {
    let hint = "services can use a path `/data` (kept with the instance) or a bind mount";
    if volumes.value.is_nothing() {
        let message = "`volumes` is not supported yet";
        reader.report.error_with_hint(volumes.at, message, hint);
        return;
    }
    for entry in reader.entries(volumes.value, "`volumes`") {
        let message = format!("the named volume `{}` is not supported yet", entry.key);
        reader.report.error_with_hint(entry.at, message, hint);
    }
}

fn refuse_networks(reader: &mut Reader<'_>, networks: &Entry<'_>) {
    let hint = "remove it: all services of a grid share one network";
    if networks.value.is_nothing() {
        let message = "`networks` means nothing here: all services of a grid share one network";
        reader.report.warn(networks.at, message);
    } else {
        let message = "`networks` is not supported";
        reader.report.error_with_hint(networks.at, message, hint);
    }
}
