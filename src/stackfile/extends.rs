//! `extends`: services that take over others, of the same file or of another.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::depends::{failed, find};
use crate::file::File;
use crate::problem::Findings;
use crate::service::{Options, environment, extend, payload};
use crate::top::check_services;
use crate::value::Value;
use crate::variables::Variables;
use crate::world::{Location, World};
use crate::yaml::Node;

/// The most files that one stack may extend.
const MAX_FILES: usize = 50;

/// How long a chain of services that extend each other may be.
const MAX_CHAIN: usize = 20;

/// The files that services of a stack extend, each read once.
pub(crate) struct Extends<'a> {
    variables: &'a Variables,
    world: &'a mut dyn World,
    parents: BTreeMap<Location, Parent>,
}

/// Another file, as it counts.
#[derive(Clone)]
struct Parent {
    root: Rc<Node>,
    location: Location,
}

/// What a service extends: a service, and where else it is if it is in another file.
struct Target {
    service: String,
    place: Option<String>,
    at: usize,
}

fn target(node: &Node) -> Option<Target> {
    let extends = node.get("extends").filter(|extends| !extends.is_null())?;
    let part = |key: &str| {
        extends
            .get(key)
            .and_then(|part| part.text())
            .map(str::to_owned)
    };
    match extends.text() {
        Some(service) => Some(Target {
            service: service.to_owned(),
            place: None,
            at: extends.at,
        }),
        None => Some(Target {
            service: part("service")?,
            place: part("file").or_else(|| part("stack")),
            at: extends.at,
        }),
    }
}

impl<'a> Extends<'a> {
    pub(crate) fn new(variables: &'a Variables, world: &'a mut dyn World) -> Self {
        Self {
            variables,
            world,
            parents: BTreeMap::new(),
        }
    }

    /// Reads all files that services of `file` extend, those of left out services too; `None` if one
    /// cannot be used, which is among what was found in `file`.
    pub(crate) fn read_parents(&mut self, file: &mut File, root: &Node) -> Option<()> {
        let mut findings = Findings::default();
        let location = file.location.clone();
        self.read_below(&location, root, &mut findings);
        let clean = findings.problems.is_empty();
        file.report.findings.append(findings);
        clean.then_some(())
    }

    fn read_below(&mut self, from: &Location, root: &Node, findings: &mut Findings) {
        let services = root.get("services").and_then(|services| services.entries());
        for (key, node) in services.into_iter().flatten() {
            let Some(place) = target(node).and_then(|target| target.place) else {
                continue;
            };
            let found = find(&place, from, self.world);
            match found {
                Ok(location) if self.parents.contains_key(&location) => {}
                Ok(location) => self.read_parent(location, findings),
                Err(problem) => {
                    let name = self.world.shown(from);
                    let message = format!(
                        "the service `{}` extends one of `{place}`: {problem}",
                        key.key()
                    );
                    findings.append(failed(&name, &message));
                }
            }
        }
    }

    fn read_parent(&mut self, location: Location, findings: &mut Findings) {
        if self.parents.len() == MAX_FILES {
            let name = self.world.shown(&location);
            findings.append(failed(&name, "services extend those of too many files"));
            return;
        }
        let mut file = match File::open(&location, self.world) {
            Ok(file) => file,
            Err(found) => {
                findings.append(found);
                return;
            }
        };
        let root = file.filled(self.variables);
        if let Some(root) = &root {
            check_services(root, &mut file.report);
        }
        findings.append(file.report.findings);
        if let Some(root) = root {
            let parent = Parent {
                root: Rc::clone(&root),
                location: location.clone(),
            };
            self.parents.insert(location.clone(), parent);
            self.read_below(&location, &root, findings);
        }
    }

    /// What the API is told of a service of `file`; what is wrong is reported there.
    pub(crate) fn payload(
        &mut self,
        file: &mut File,
        root: &Rc<Node>,
        service: &str,
    ) -> Option<Value> {
        let own = Parent {
            root: Rc::clone(root),
            location: file.location.clone(),
        };
        let at = root
            .get("services")
            .and_then(|services| services.entry(service));
        let at = at.map_or(root.at, |(key, _)| key.at);
        match self.of_service(&own, service, 0) {
            Ok(payload) if payload.get("image").is_some_and(|image| !image.is_null()) => {
                Some(payload)
            }
            Ok(_) => {
                let message = format!("the service `{service}` has no `image`");
                file.report.error(at, message);
                None
            }
            Err((place, message)) => {
                file.report.error(place.unwrap_or(at), message);
                None
            }
        }
    }

    /// A problem's place is known where it is in the first file.
    fn of_service(
        &mut self,
        file: &Parent,
        service: &str,
        chain: usize,
    ) -> Result<Value, (Option<usize>, String)> {
        let services = file.root.get("services");
        let node = services.and_then(|services| services.get(service)).cloned();
        let node = node.ok_or_else(|| {
            let name = self.world.shown(&file.location);
            (
                None,
                format!("the service that it extends, `{service}`, is not in `{name}`"),
            )
        })?;
        let nowhere = |message: String| (None, message);
        let mut options = self.options(file, &node).map_err(nowhere)?;
        if let Some(target) = target(&node) {
            let place = (chain == 0).then_some(target.at);
            if chain == MAX_CHAIN {
                let message = format!("the service `{service}` extends itself, or too many others");
                return Err((place, message));
            }
            let parent_file = match &target.place {
                None => file.clone(),
                Some(name) => self
                    .parent(name, &file.location)
                    .map_err(|message| (place, message))?,
            };
            let parent = self.of_service(&parent_file, &target.service, chain + 1);
            let parent = parent.map_err(|(_, message)| (place, message))?;
            options = extend(options, parent);
        }
        payload(service, &options).map_err(nowhere)
    }

    fn parent(&mut self, name: &str, from: &Location) -> Result<Parent, String> {
        let location =
            find(name, from, self.world).map_err(|problem| format!("`{name}`: {problem}"))?;
        let parent = self.parents.get(&location).cloned();
        parent.ok_or_else(|| format!("`{name}` could not be read"))
    }

    /// What the file says of a service, with the files that it names.
    fn options(&mut self, file: &Parent, node: &Node) -> Result<Options, String> {
        let mut options = Options::from_value(node.to_value());
        let folder = file.location.folder().map(ToOwned::to_owned);
        let names: Vec<String> = match options.take("env_file") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::List(names)) => names.iter().map(ToString::to_string).collect(),
            Some(name) => vec![name.to_string()],
        };
        let mut texts = Vec::new();
        for name in names {
            let folder = folder.as_deref();
            let folder =
                folder.ok_or_else(|| format!("a stack from elsewhere cannot read `{name}`"))?;
            let text = self.world.read(&Location::file(folder, &name));
            texts.push(
                text.map_err(|problem| {
                    format!("failed to read the `env_file` `{name}`: {problem}")
                })?,
            );
        }
        let own = options.take("environment");
        if let Some(all) = environment(own.as_ref(), &texts) {
            let all = all.into_iter().map(Value::Text).collect();
            options.set("environment", Value::List(all));
        }
        options.settle_build(folder.as_deref());
        Ok(options)
    }
}
