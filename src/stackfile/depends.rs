//! `depends`: the stacks that a stack brings along, and theirs.

use std::collections::BTreeMap;

use crate::file::File;
use crate::problem::{Findings, Report};
use crate::value::Value;
use crate::world::{Location, ReadProblem, World};
use crate::yaml::Node;

/// A stack that another needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dependency {
    /// What the parent calls it.
    pub(crate) name: String,
    pub(crate) location: Location,
    /// What the parent gives to its variables, in the order of the file.
    pub(crate) variables: Vec<(String, Value)>,
    pub(crate) depends: Vec<Self>,
}

/// How deep stacks may depend on each other.
const MAX_DEPTH: usize = 8;

/// The most stacks that one file may bring along, all together.
const MAX_STACKS: usize = 50;

/// All stacks that the file brings along, as a tree; what is wrong in `file` is reported there, and
/// what is wrong in others is among the findings.
pub(crate) fn dependencies(file: &mut File, world: &mut dyn World) -> Vec<Dependency> {
    let mut walk = Walk {
        world,
        path: vec![file.location.clone()],
        stacks: 0,
    };
    let raw = std::rc::Rc::clone(&file.raw);
    let location = file.location.clone();
    walk.below(&raw, &location, &mut file.report)
}

struct Walk<'a> {
    world: &'a mut dyn World,
    /// The files from the first one to this one.
    path: Vec<Location>,
    stacks: usize,
}

impl Walk<'_> {
    fn below(&mut self, raw: &Node, location: &Location, report: &mut Report) -> Vec<Dependency> {
        let Some(depends) = raw.get("depends").filter(|node| !node.is_null()) else {
            return Vec::new();
        };
        let Some(entries) = depends.entries() else {
            let message = format!("`depends` has to be a mapping, this is {}", depends.what());
            report.error(depends.at, message);
            return Vec::new();
        };
        let entries = entries.iter();
        entries
            .filter_map(|(key, node)| self.one(key, node, location, report))
            .collect()
    }

    fn one(
        &mut self,
        key: &Node,
        node: &Node,
        location: &Location,
        report: &mut Report,
    ) -> Option<Dependency> {
        let name = key.key();
        let Some(stack) = node.get("stack").and_then(|stack| stack.text()) else {
            let message = format!("the dependency `{name}` has no `stack`");
            report.error_with_hint(key.at, message, format!("as in `{name}: {{stack: FILE}}`"));
            return None;
        };
        self.stacks += 1;
        if self.stacks > MAX_STACKS || self.path.len() > MAX_DEPTH {
            report.error(key.at, "too many stacks depend on each other");
            return None;
        }
        let target = match find(stack, location, self.world) {
            Ok(target) => target,
            Err(problem) => {
                let message = format!("the dependency `{name}` on `{stack}`: {problem}");
                report.error_or_hint(key.at, message, problem.hint().map(str::to_owned));
                return None;
            }
        };
        if self.path.contains(&target) {
            report.error(
                key.at,
                format!("the dependency `{name}` leads back to a stack that needs it"),
            );
            return None;
        }
        let depends = match self.of(&target) {
            Ok(depends) => depends,
            Err(findings) => {
                report.error(key.at, format!("the dependency `{name}` cannot be read"));
                report.findings.append(findings);
                return None;
            }
        };
        Some(Dependency {
            name,
            variables: variables(node),
            location: target,
            depends,
        })
    }

    /// What a dependency needs in its turn. What else is wrong with it is reported when it is read
    /// itself.
    fn of(&mut self, location: &Location) -> Result<Vec<Dependency>, Findings> {
        let mut file = File::open(location, self.world)?;
        self.path.push(location.clone());
        let raw = std::rc::Rc::clone(&file.raw);
        let depends = self.below(&raw, location, &mut file.report);
        self.path.pop();
        if file.report.is_clean() {
            return Ok(depends);
        }
        Err(file.report.findings)
    }
}

fn variables(node: &Node) -> Vec<(String, Value)> {
    match node.get("variables").map(|node| node.to_value()) {
        Some(Value::Map(entries)) => entries,
        _ => Vec::new(),
    }
}

/// Where a stack is that a file names: a file beside it, or one of a registry.
pub(crate) fn find(
    name: &str,
    from: &Location,
    world: &mut dyn World,
) -> Result<Location, ReadProblem> {
    if name.contains("://") {
        return Ok(Location::Url(name.to_owned()));
    }
    let file = from.folder().map(|folder| Location::file(folder, name));
    if let Some(file) = file {
        match world.read(&file) {
            Ok(_) => return Ok(file),
            Err(ReadProblem::Missing) if Location::is_registry_reference(name) => {}
            Err(problem) => return Err(problem),
        }
    }
    match Location::is_registry_reference(name) {
        true => Ok(Location::Registry(name.to_owned())),
        false => Err(ReadProblem::Missing),
    }
}

/// The names of all dependencies and what they are installed as: a stack `s` with a dependency `d` makes
/// `s-d`. Those of dependencies are there too, by their own names; Kontena calls them `s.d-e`.
pub(crate) fn names(
    stack: &str,
    dependencies: &[Dependency],
) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
    let mut direct = BTreeMap::new();
    let mut all = BTreeMap::new();
    for dependency in dependencies {
        let installed = Value::Text(format!("{stack}-{}", dependency.name));
        direct.insert(dependency.name.clone(), installed.clone());
        all.insert(dependency.name.clone(), installed);
    }
    for dependency in dependencies {
        below(
            &format!("{stack}.{}", dependency.name),
            &dependency.depends,
            &mut all,
        );
    }
    (direct, all)
}

fn below(stack: &str, dependencies: &[Dependency], all: &mut BTreeMap<String, Value>) {
    for dependency in dependencies {
        let installed = Value::Text(format!("{stack}-{}", dependency.name));
        all.insert(dependency.name.clone(), installed);
        below(
            &format!("{stack}.{}", dependency.name),
            &dependency.depends,
            all,
        );
    }
}

/// As the API is told of them.
pub(crate) fn payload(dependencies: &[Dependency]) -> Value {
    let dependencies = dependencies.iter().map(|dependency| {
        let text = |value: String| Value::Text(value);
        let mut fields = vec![
            ("name".to_owned(), text(dependency.name.clone())),
            ("stack".to_owned(), text(dependency.location.to_string())),
            (
                "variables".to_owned(),
                Value::Map(dependency.variables.clone()),
            ),
        ];
        if !dependency.depends.is_empty() {
            fields.push(("depends".to_owned(), payload(&dependency.depends)));
        }
        Value::Map(fields)
    });
    Value::List(dependencies.collect())
}

/// Findings that are an error alone.
pub(crate) fn failed(name: &str, message: &str) -> Findings {
    let mut findings = Findings::default();
    findings.problem(crate::problem::Problem::of_file(name, message));
    findings
}
