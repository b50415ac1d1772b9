//! `stack registry push`: a stack file that others can use.

use std::path::Path;

use kontena_stackfile::yaml::{Document, Node};
use kontena_stackfile::{Location, ReadProblem, World};

use super::super::super::failure::Failure;
use super::super::super::output::Output;
use super::super::world::Machine;
use super::open;
use crate::registry::Reference;

pub(super) fn push(output: &Output, file: &Path, dry_run: bool) -> Result<(), Failure> {
    let mut world = Machine::new(output, None)?;
    let location = world.location(file);
    let shown = world.shown(&location);
    if matches!(location, Location::Registry(_) | Location::Url(_)) {
        return Err(Failure::failed(format!("there is no file `{shown}`"))
            .hint("only files of this machine are pushed"));
    }
    let text = world
        .read(&location)
        .map_err(|problem| Failure::failed(format!("failed to read `{shown}`: {problem}")))?;
    let name = check(&shown, &text, &location, &mut world).map_err(|problems| {
        output.talk(&problems);
        Failure::Reported
    })?;
    if dry_run {
        output.talk(&format!("`{name}` can be pushed"));
        return Ok(());
    }
    let registry = open(output)?;
    registry.push(&text)?;
    output.talk(&format!("pushed `{name}` to `{}`", registry.url()));
    Ok(())
}

/// What is pushed; or everything that keeps others from using it.
fn check(
    shown: &str,
    text: &str,
    location: &Location,
    world: &mut dyn World,
) -> Result<Reference, String> {
    let mut document = Document::read(shown, text).map_err(|found| found.to_string())?;
    let root = document.root();
    let name = name(&root);
    if let Err(problem) = &name {
        document.refuse(&root, problem, Some("as in `stack: USER/STACK`".to_owned()));
    }
    for node in parts_elsewhere(&root) {
        let Some(place) = node.text() else { continue };
        if !is_found_by_others(place, location, world) {
            let problem = format!("`{place}` is a file of this machine, which others do not have");
            let hint = "push that one first, and name it as `USER/STACK`".to_owned();
            document.refuse(node, problem, Some(hint));
        }
    }
    let findings = document.findings();
    match name {
        Ok(name) if findings.problems.is_empty() => Ok(name),
        Ok(_) | Err(_) => Err(findings.to_string()),
    }
}

/// As the file says it.
fn name(root: &Node) -> Result<Reference, String> {
    let stack = root
        .get("stack")
        .map(|stack| stack.key())
        .unwrap_or_default();
    let version = root.get("version").filter(|version| !version.is_null());
    let version = version
        .map(|version| version.key())
        .ok_or("it has no `version`")?;
    let name = format!("{stack}:{version}");
    name.parse::<Reference>()
        .map_err(|problem| problem.to_string())
}

/// The stacks that it depends on, and the files that its services extend.
fn parts_elsewhere(root: &Node) -> Vec<&Node> {
    let below = |key: &str| root.get(key).and_then(|node| node.entries());
    let (depends, services) = (below("depends"), below("services"));
    let depends = depends.into_iter().flatten();
    let depends = depends.filter_map(|(_, one)| one.get("stack"));
    let extends = services.into_iter().flatten().filter_map(|(_, one)| {
        let extends = one.get("extends")?;
        extends.get("file").or_else(|| extends.get("stack"))
    });
    depends.chain(extends).map(|node| &**node).collect()
}

fn is_found_by_others(place: &str, location: &Location, world: &mut dyn World) -> bool {
    if place.contains("://") {
        return true;
    }
    let file = location
        .folder()
        .map(|folder| Location::file(folder, place));
    let is_file = file.is_some_and(|file| world.read(&file) != Err(ReadProblem::Missing));
    !is_file && Location::is_registry_reference(place)
}
