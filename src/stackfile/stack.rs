//! A stack file read whole: what Kontena's API is told, or everything that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::depends::{self, Dependency};
use crate::extends::Extends;
use crate::file::File;
use crate::places::Places;
use crate::problem::{Findings, Report};
use crate::top::{check_images, check_services, check_top, check_volumes, stack_name};
use crate::value::Value;
use crate::variables::{Context, Given, Variables, declarations, holds_for_service, resolve};
use crate::world::{Location, World};
use crate::yaml::Node;

/// The version of a stack that gives none.
const DEFAULT_VERSION: &str = "0.0.1";

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
    /// Those of them that are variables of its own, by their own names: what is kept for its next upgrade.
    pub(crate) own_answers: Vec<(String, Value)>,
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
            self.world.registry(),
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
        let own_answers: Vec<(String, Value)> = own
            .map(|one| (one.name.clone(), one.value.clone()))
            .collect();
        let full =
            |(name, value): &(String, Value)| (format!("{}{name}", self.prefix), value.clone());
        answers.extend(own_answers.iter().map(full));
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
            own_answers,
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
    registry: Option<String>,
) -> Value {
    let raw = |key: &str| match file.raw.get(key) {
        Some(node) if !node.is_null() => node.to_value(),
        Some(_) | None => Value::Null,
    };
    let or = |value: Value, otherwise: Value| if value.is_null() { otherwise } else { value };
    let registry = match &file.location {
        Location::Registry(_) => registry.unwrap_or_default(),
        // A text of the web too, in Kontena's words.
        Location::File(_) | Location::Text { .. } | Location::Url(_) => "file://".to_owned(),
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
