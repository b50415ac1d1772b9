//! A stack file read whole: what Kontena's API is told, or everything that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::depends::{self, Dependency};
use crate::extends::Extends;
use crate::file::File;
use crate::places::Places;
use crate::problem::{Findings, Report};
use crate::service::{Surroundings, check};
use crate::suggestion::nearest;
use crate::value::Value;
use crate::variables::{Context, Given, Variables, declarations, holds_for_service, resolve};
use crate::world::{Location, World};
use crate::yaml::Node;

/// The version of a stack that gives none.
const DEFAULT_VERSION: &str = "0.0.1";

/// The most services of a stack: all of them are one document that every node keeps.
const MAX_SERVICES: usize = 1_000;

/// What is to be read, and what is known beforehand.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub location: Location,
    /// What it is installed as (`$STACK`); `None` is the last part of the file's own name.
    pub name: Option<&'a str>,
    /// `$GRID`.
    pub grid: &'a str,
    /// `$PLATFORM`.
    pub platform: &'a str,
    /// What the user gave for variables; for those of a dependency `DEPENDENCY.VARIABLE`.
    pub values: &'a BTreeMap<String, Value>,
    /// The answers of last time, named in the same way: the defaults of this time.
    pub previous: &'a BTreeMap<String, Value>,
}

/// A stack that can be installed.
#[derive(Clone, Debug)]
pub struct Stack {
    /// What it is installed as.
    pub name: String,
    /// What Kontena's API is told of it.
    pub payload: Value,
    pub description: Option<String>,
    /// All variables that can be given; those of a dependency as `DEPENDENCY.VARIABLE`.
    pub variables: BTreeSet<String>,
    /// The variables that the vault has to do with: their values are nowhere to be kept.
    pub secret_variables: BTreeSet<String>,
    /// What the user could have given, with what was taken, but secrets; `--values-to` keeps it.
    pub answers: Vec<(String, Value)>,
    /// What its variables put into the vault.
    pub secrets: BTreeMap<String, String>,
    /// What is odd and changes nothing.
    pub warnings: Findings,
    /// The stacks that it brings along, in the order of the file.
    pub children: Vec<Child>,
    /// Where things stand.
    pub(crate) places: Places,
}

/// A stack that another brings along.
#[derive(Clone, Debug)]
pub struct Child {
    /// What the parent calls it.
    pub dependency: String,
    pub outcome: Result<Stack, Findings>,
}

/// Reads a stack file, and those that it extends and depends on.
///
/// # Errors
/// Everything that is wrong, with warnings. What is wrong with a dependency is in its [`Child`].
pub fn read(request: &Request<'_>, world: &mut dyn World) -> Result<Stack, Findings> {
    Reading {
        request,
        prefix: String::new(),
        parent: None,
        world,
    }
    .stack()
}

/// One stack of a tree of stacks.
struct Reading<'a, 'w> {
    request: &'a Request<'a>,
    /// What stands before its variables in the names of the user.
    prefix: String,
    /// `$PARENT_STACK`.
    parent: Option<String>,
    world: &'w mut dyn World,
}

/// The parts of a stack before they are put together.
struct Parts {
    name: String,
    variables: Variables,
    dependencies: Vec<Dependency>,
}

impl Reading<'_, '_> {
    fn stack(mut self) -> Result<Stack, Findings> {
        let mut file = File::open(&self.request.location, self.world)?;
        let whole = self.parts(&mut file).and_then(|parts| {
            let root = file.filled(&parts.variables)?;
            let body = self.body(&mut file, &root, &parts)?;
            Some((parts, body))
        });
        file.report.findings.sort();
        match whole {
            Some((parts, body)) if file.report.is_clean() => {
                Ok(self.put_together(file, parts, body))
            }
            Some(_) | None => Err(file.report.findings),
        }
    }

    /// Everything that the template needs; `None` where not even `variables` can be read.
    fn parts(&mut self, file: &mut File) -> Option<Parts> {
        let own_name = stack_name(&file.raw, &mut file.report);
        let name = self.request.name.map(str::to_owned).or_else(|| {
            let last = own_name.as_deref()?.rsplit('/').next()?;
            Some(last.to_owned())
        });
        let name = name.unwrap_or_default();
        let dependencies = depends::dependencies(file, self.world);
        let variables = self.variables(file, &name, &dependencies)?;
        Some(Parts {
            name,
            variables,
            dependencies,
        })
    }

    fn variables(
        &mut self,
        file: &mut File,
        name: &str,
        dependencies: &[Dependency],
    ) -> Option<Variables> {
        let built_in = self.built_in(name);
        let root = file.without_variables(&built_in)?;
        let mut known = Variables {
            values: built_in,
            ..Variables::default()
        };
        let (direct, _) = depends::names(name, dependencies);
        known.values.extend(direct);
        let declared = declarations(root.get("variables"), &mut file.report);
        let given = self.given(&declared.iter().map(|one| one.name.clone()).collect());
        let context = Context {
            stack: name.to_owned(),
            prefix: self.prefix.clone(),
            folder: file.location.folder().map(Into::into),
        };
        let report = &mut file.report;
        Some(resolve(
            declared, &given, known, &context, self.world, report,
        ))
    }

    fn built_in(&self, name: &str) -> BTreeMap<String, Value> {
        let mut built_in = BTreeMap::from([
            ("STACK".to_owned(), Value::from(name)),
            ("GRID".to_owned(), Value::from(self.request.grid)),
            ("PLATFORM".to_owned(), Value::from(self.request.platform)),
        ]);
        if let Some(parent) = &self.parent {
            built_in.insert("PARENT_STACK".to_owned(), Value::from(parent.as_str()));
        }
        built_in
    }

    /// What the user gave to the variables of this stack.
    fn given(&self, declared: &BTreeSet<String>) -> Given {
        let own = |values: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
            declared
                .iter()
                .filter_map(|name| {
                    let value = values.get(&format!("{}{name}", self.prefix))?;
                    Some((name.clone(), value.clone()))
                })
                .collect()
        };
        Given {
            values: own(self.request.values),
            previous: own(self.request.previous),
        }
    }

    /// What the API is told of services and volumes; `None` with the reasons in the file's report.
    fn body(&mut self, file: &mut File, root: &Rc<Node>, parts: &Parts) -> Option<Body> {
        check_top(root, &parts.dependencies, &mut file.report);
        let services = check_services(root, &mut file.report);
        check_images(&services, &mut file.report);
        check_volumes(root, &mut file.report);
        let mut extends = Extends::new(&parts.variables, self.world);
        let read_all = extends.read_parents(file, root);
        if !file.report.is_clean() || read_all.is_none() {
            return None;
        }
        let mut payloads = Vec::new();
        for (key, node) in services {
            let taken = is_taken(key, node, &parts.variables, &mut file.report);
            let payload = extends.payload(file, root, &key.key());
            payloads.extend(payload.filter(|_| taken));
        }
        Some(Body {
            root: Rc::clone(root),
            services: payloads,
            volumes: volumes(root, &parts.variables, &mut file.report),
            expose: expose(root, &mut file.report),
        })
    }

    fn put_together(mut self, file: File, parts: Parts, body: Body) -> Stack {
        let Parts {
            name,
            variables,
            dependencies,
        } = parts;
        let children = self.children(&name, &dependencies);
        let description = body.root.get("description").filter(|node| !node.is_null());
        let description = description.map(|node| node.key());
        let places = Places {
            source: Rc::clone(&file.report.source),
            root: Rc::clone(&body.root),
        };
        let payload = payload(
            &file,
            &name,
            body,
            &variables,
            &dependencies,
            self.parent.as_deref(),
        );
        let secret = variables.declared.iter().filter(|one| one.is_secret);
        let mut answers: Vec<(String, Value)> = Vec::new();
        for child in &children {
            if let Ok(stack) = &child.outcome {
                answers.extend(stack.answers.iter().cloned());
            }
        }
        let own = variables.declared.iter();
        let own = own.filter(|one| one.is_answer && !one.is_secret && !one.is_skipped);
        answers.extend(own.map(|one| (format!("{}{}", self.prefix, one.name), one.value.clone())));
        let declared = variables.declared.iter();
        let declared = declared.map(|one| format!("{}{}", self.prefix, one.name));
        let below = children
            .iter()
            .filter_map(|child| child.outcome.as_ref().ok());
        let below = below.flat_map(|stack| stack.variables.iter().cloned());
        Stack {
            name,
            payload,
            description,
            variables: declared.chain(below).collect(),
            secret_variables: secret.map(|one| one.name.clone()).collect(),
            answers,
            secrets: variables.secrets,
            warnings: file.report.findings,
            children,
            places,
        }
    }

    fn children(&mut self, name: &str, dependencies: &[Dependency]) -> Vec<Child> {
        let mut children = Vec::new();
        for dependency in dependencies {
            let prefix = format!("{}{}.", self.prefix, dependency.name);
            let mut values = self.request.values.clone();
            for (variable, value) in &dependency.variables {
                let full = format!("{prefix}{variable}");
                values.entry(full).or_insert_with(|| value.clone());
            }
            let installed = format!("{name}-{}", dependency.name);
            let request = Request {
                location: dependency.location.clone(),
                name: Some(&installed),
                values: &values,
                ..*self.request
            };
            let outcome = Reading {
                request: &request,
                prefix,
                parent: Some(name.to_owned()),
                world: self.world,
            }
            .stack();
            children.push(Child {
                dependency: dependency.name.clone(),
                outcome,
            });
        }
        children
    }
}

/// What the API is told of a file's body.
struct Body {
    root: Rc<Node>,
    services: Vec<Value>,
    volumes: Vec<Value>,
    expose: Value,
}

/// The name that the file gives itself.
fn stack_name(raw: &Node, report: &mut Report) -> Option<String> {
    let Some(node) = raw.get("stack") else {
        let hint = match raw.get("services") {
            Some(_) => {
                "add `stack: NAME` at the top; `kontena stack convert` does it for a Docker Compose file"
            }
            None => {
                "a stack file begins with `stack: NAME` and lists its services under `services`"
            }
        };
        report.error_with_hint(raw.at, "the file has no `stack`", hint);
        return None;
    };
    let Some(text) = node.text().filter(|text| !text.is_empty()) else {
        let message = format!("`stack` has to be a name, this is {}", node.what());
        report.error(node.at, message);
        return None;
    };
    let last = text.rsplit('/').next().unwrap_or(text);
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if last.is_empty() || last.starts_with('-') || !last.chars().all(valid) {
        let message = format!("the stack name `{last}` is no host name");
        report.warn_with_hint(
            node.at,
            message,
            "use a-z, 0-9 and `-` alone, and no `-` in front",
        );
    }
    Some(text.to_owned())
}

const TOP: [&str; 13] = [
    "stack",
    "version",
    "description",
    "expose",
    "variables",
    "services",
    "volumes",
    "depends",
    "labels",
    "meta",
    "networks",
    "data",
    "errors",
];

/// The top level, services and volumes excepted.
fn check_top(root: &Node, dependencies: &[Dependency], report: &mut Report) {
    let Some(entries) = root.entries() else {
        let message = "a stack file has to be a mapping, with `stack` and `services`";
        report.error(root.at, message);
        return;
    };
    for (key, _) in entries {
        let name = key.key();
        if name == "networks" {
            report.warn(
                key.at,
                "`networks` means nothing: all services of a grid share one network",
            );
        } else if !TOP.contains(&name.as_str()) {
            let message = format!("`{name}` is not a key of a stack file, and means nothing");
            match nearest(&name, TOP.into_iter()) {
                Some(near) => {
                    report.warn_with_hint(key.at, message, format!("did you mean `{near}`?"));
                }
                None => report.warn(key.at, message),
            }
        }
    }
    let says = |key: &str| root.get(key).is_some_and(|node| !node.is_null());
    if !says("services") && !says("volumes") {
        let hint = "list at least one service under `services`";
        report.error_with_hint(
            root.at,
            "the file has neither `services` nor `volumes`",
            hint,
        );
    }
    check_labels(root, report);
    let services = root.get("services");
    for dependency in dependencies {
        if services.is_some_and(|services| services.get(&dependency.name).is_some()) {
            let message = format!("`{}` is both a service and a dependency", dependency.name);
            report.error(root.at, message);
        }
    }
}

fn check_labels(root: &Node, report: &mut Report) {
    let Some(labels) = root.get("labels").filter(|labels| !labels.is_null()) else {
        return;
    };
    let Some(items) = labels.items() else {
        report.error(
            labels.at,
            format!("`labels` has to be a list, this is {}", labels.what()),
        );
        return;
    };
    for item in items {
        let valid =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        let key = item
            .text()
            .and_then(|text| text.split_once('='))
            .map(|(key, _)| key);
        if !key.is_some_and(|key| !key.is_empty() && key.chars().all(valid)) {
            let message = format!(
                "the label `{}` has to be KEY=VALUE, the key of a-z, 0-9, `.` and `-`",
                item.key()
            );
            report.error(item.at, message);
        }
    }
}

/// Checks all services, and gives them in the order of the file.
pub(crate) fn check_services<'n>(
    root: &'n Node,
    report: &mut Report,
) -> Vec<&'n (Rc<Node>, Rc<Node>)> {
    let Some(services) = root.get("services").filter(|services| !services.is_null()) else {
        return Vec::new();
    };
    let Some(entries) = services.entries() else {
        let message = format!(
            "`services` has to be a mapping, this is {}",
            services.what()
        );
        report.error(services.at, message);
        return Vec::new();
    };
    if entries.len() > MAX_SERVICES {
        let message = format!("{} services, {MAX_SERVICES} are possible", entries.len());
        report.error(services.at, message);
        return Vec::new();
    }
    let volumes = root.get("volumes").and_then(|volumes| volumes.entries());
    let surroundings = Surroundings {
        volumes: volumes.map(|volumes| volumes.iter().map(|(key, _)| key.key()).collect()),
    };
    for (key, node) in entries {
        check(key, node, &surroundings, report);
    }
    entries.iter().collect()
}

/// An image may come from a service that is extended.
fn check_images(services: &[&(Rc<Node>, Rc<Node>)], report: &mut Report) {
    for (key, node) in services {
        let says = |key: &str| node.get(key).is_some_and(|node| !node.is_null());
        if node.entries().is_some() && !says("image") && !says("extends") {
            report.error(
                key.at,
                format!("the service `{}` has no `image`", key.key()),
            );
        }
    }
}

/// Volumes of a stack are those of the grid: it creates none.
fn check_volumes(root: &Node, report: &mut Report) {
    let Some(volumes) = root.get("volumes").filter(|volumes| !volumes.is_null()) else {
        return;
    };
    let Some(entries) = volumes.entries() else {
        report.error(
            volumes.at,
            format!("`volumes` has to be a mapping, this is {}", volumes.what()),
        );
        return;
    };
    for (key, node) in entries {
        check_volume(key, node, report);
    }
}

fn check_volume(key: &Node, node: &Node, report: &mut Report) {
    let name = key.key();
    let hint =
        format!("create it with `kontena volume create`, and write `{name}: {{external: true}}`");
    let Some(entries) = node.entries() else {
        let message = format!(
            "the volume `{name}` has to be a mapping, this is {}",
            node.what()
        );
        report.error_with_hint(key.at, message, hint);
        return;
    };
    for (key, _) in entries {
        let key_name = key.key();
        if !["external", "only_if", "skip_if"].contains(&key_name.as_str()) {
            report.error_with_hint(
                key.at,
                format!("`{key_name}` is not a key of a volume"),
                &hint,
            );
        }
    }
    let external = node.get("external");
    let right = external.is_some_and(|external| match external.scalar() {
        Some(value) => value.is_true(),
        None => external
            .get("name")
            .is_some_and(|name| name.text().is_some()),
    });
    if !right {
        let message = format!("the volume `{name}` has to be `external`: a stack creates none");
        report.error_with_hint(key.at, message, hint);
    }
}

/// Whether the conditions of a service or a volume let it be.
fn is_taken(key: &Node, node: &Node, variables: &Variables, report: &mut Report) -> bool {
    let mut taken = true;
    for (name, when) in [("only_if", true), ("skip_if", false)] {
        let Some(condition) = node.get(name).filter(|condition| !condition.is_null()) else {
            continue;
        };
        match holds_for_service(&condition.to_value(), &variables.values) {
            Ok(holds) => taken &= holds == when,
            Err(problem) => report.error(condition.at, format!("`{}`: {problem}", key.key())),
        }
    }
    taken
}

fn volumes(root: &Node, variables: &Variables, report: &mut Report) -> Vec<Value> {
    let entries = root.get("volumes").and_then(|volumes| volumes.entries());
    let mut volumes = Vec::new();
    for (key, node) in entries.into_iter().flatten() {
        if !is_taken(key, node, variables, report) {
            continue;
        }
        let external = node
            .get("external")
            .and_then(|external| external.get("name"));
        let external = external.map_or_else(|| key.key(), |name| name.key());
        volumes.push(Value::Map(vec![
            ("name".to_owned(), Value::Text(key.key())),
            ("external".to_owned(), Value::Text(external)),
        ]));
    }
    volumes
}

fn expose(root: &Node, report: &mut Report) -> Value {
    let Some(node) = root.get("expose").filter(|node| !node.is_null()) else {
        return Value::Null;
    };
    let name = node.key();
    let services = root.get("services");
    if services.is_none_or(|services| services.get(&name).is_none()) {
        report.warn(
            node.at,
            format!("`expose` names `{name}`, which is no service of the file"),
        );
    }
    Value::Text(name)
}

fn payload(
    file: &File,
    name: &str,
    body: Body,
    variables: &Variables,
    dependencies: &[Dependency],
    parent: Option<&str>,
) -> Value {
    let raw = |key: &str| match file.raw.get(key) {
        Some(node) if !node.is_null() => node.to_value(),
        Some(_) | None => Value::Null,
    };
    let or = |value: Value, otherwise: Value| if value.is_null() { otherwise } else { value };
    let registry = match &file.location {
        Location::File(_) | Location::Text { .. } => "file://".to_owned(),
        Location::Registry(place) | Location::Url(place) => place.clone(),
    };
    let dependencies_value = match dependencies {
        [] => Value::Null,
        dependencies => depends::payload(dependencies),
    };
    let parent = parent.map_or(Value::Null, |parent| {
        Value::Map(vec![("name".to_owned(), Value::from(parent))])
    });
    let fields = [
        ("name", Value::from(name)),
        ("stack", raw("stack")),
        ("version", or(raw("version"), Value::from(DEFAULT_VERSION))),
        ("source", Value::Text(file.report.source.text.clone())),
        ("registry", Value::Text(registry)),
        ("expose", body.expose),
        ("labels", or(raw("labels"), Value::List(Vec::new()))),
        ("metadata", or(raw("meta"), Value::Map(Vec::new()))),
        ("services", Value::List(body.services)),
        ("volumes", Value::List(body.volumes)),
        (
            "variables",
            payload_variables(name, variables, dependencies),
        ),
        ("dependencies", dependencies_value),
        ("parent", parent),
    ];
    Value::Map(fields.map(|(key, value)| (key.to_owned(), value)).into())
}

fn payload_variables(name: &str, variables: &Variables, dependencies: &[Dependency]) -> Value {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for declared in &variables.declared {
        all.insert(declared.name.clone(), declared.value.clone());
    }
    let (_, names) = depends::names(name, dependencies);
    all.extend(names);
    Value::Map(all.into_iter().collect())
}
