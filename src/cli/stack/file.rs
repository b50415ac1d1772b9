//! Reading a stack file: what it means, and every problem in it.

use std::collections::BTreeMap;
use std::path::Path;

use kontena_core::id::StackName;
use kontena_core::manifest::compiled::Compiled;
use kontena_stackfile::{Findings, Problem, Request, Stack, Value, World};

use super::super::failure::Failure;
use super::super::output::Output;
use super::carried::carry;
use super::values::{Values, warn_of_unknown};
use super::world::Machine;
use crate::api::types::service::Service;

/// Which file is read, and as what.
pub(super) struct Reading<'a> {
    pub(super) output: &'a Output,
    pub(super) file: &'a Path,
    /// What it is installed as; `None` is the last part of the file's own name.
    pub(super) name: Option<&'a StackName>,
    pub(super) grid: &'a str,
    pub(super) platform: &'a str,
    pub(super) values: &'a Values,
    /// What counts for variables to which the user gives nothing.
    pub(super) known: BTreeMap<String, Value>,
    /// The answers of last time: the defaults of this time.
    pub(super) previous: BTreeMap<String, Value>,
    /// What the grid runs; `None` where no node is asked.
    pub(super) services: Option<Vec<Service>>,
}

impl Reading<'_> {
    /// What the file means; problems and warnings are told, those of its dependencies too.
    pub(super) fn stack(self) -> Result<Stack, Failure> {
        let output = self.output;
        let given = self.values.given(output)?;
        let mut world = Machine::new(output, self.services)?;
        let location = world.location(self.file);
        if let Err(problem) = world.read(&location) {
            let name = world.shown(&location);
            let failure = Failure::failed(format!("failed to read `{name}`: {problem}"));
            let hint = problem.hint();
            let hint = hint.unwrap_or("name the stack file, or change to its folder");
            return Err(failure.hint(hint));
        }
        let mut all = self.known;
        all.extend(given.clone());
        let request = Request {
            location,
            name: self.name.map(StackName::as_str),
            grid: self.grid,
            platform: self.platform,
            values: &all,
            previous: &self.previous,
        };
        let stack = kontena_stackfile::read(&request, &mut world).map_err(|findings| {
            tell(output, &findings);
            Failure::Reported
        })?;
        tell_warnings(output, &stack.warnings.warnings);
        tell_of_children(output, &stack);
        warn_of_unknown(output, &given, &stack);
        self.values.keep(&stack)?;
        Ok(stack)
    }
}

/// Prints the stack file that another file makes, and tells what was left out.
pub(super) fn convert(
    output: &Output,
    file: &Path,
    name: Option<&StackName>,
) -> Result<(), Failure> {
    let mut world = Machine::new(output, None)?;
    let location = world.location(file);
    let shown = world.shown(&location);
    let text = world
        .read(&location)
        .map_err(|problem| Failure::failed(format!("failed to read `{shown}`: {problem}")))?;
    let folder = location.folder().and_then(Path::file_name);
    let folder = folder.map(|folder| folder.to_string_lossy().into_owned());
    let name = name.map(ToString::to_string).or(folder).unwrap_or_default();
    match kontena_stackfile::convert(&shown, &text, &name) {
        Ok(converted) => {
            tell_warnings(output, &converted.notes.warnings);
            output.data(&converted.text)
        }
        Err(findings) => {
            tell(output, &findings);
            Err(Failure::Reported)
        }
    }
}

/// The stack as this version installs it.
pub(super) fn compile(output: &Output, stack: &Stack) -> Result<Compiled, Failure> {
    match carry(stack) {
        Ok(carried) => {
            tell_warnings(output, &carried.left_out);
            Ok(carried.compiled)
        }
        Err(problems) => {
            for problem in problems {
                output.talk(&problem.display("error").to_string());
            }
            Err(Failure::Reported)
        }
    }
}

/// Tells what an install would refuse, or leave out.
pub(super) fn tell_what_is_not_carried_out(output: &Output, stack: &Stack) {
    match carry(stack) {
        Ok(carried) => tell_warnings(output, &carried.left_out),
        Err(problems) => tell_warnings(output, &problems),
    }
}

fn tell(output: &Output, findings: &Findings) {
    tell_warnings(output, &findings.warnings);
    output.talk(&findings.to_string());
}

fn tell_warnings(output: &Output, warnings: &[Problem]) {
    for warning in warnings {
        output.talk(&warning.display("warning").to_string());
    }
}

/// What is wrong with a dependency does not change what its parent means.
fn tell_of_children(output: &Output, stack: &Stack) {
    for child in &stack.children {
        match &child.outcome {
            Ok(stack) => {
                tell_warnings(output, &stack.warnings.warnings);
                tell_of_children(output, stack);
            }
            Err(findings) => {
                output.warn(&format!(
                    "the dependency `{}` cannot be used",
                    child.dependency
                ));
                tell(output, findings);
            }
        }
    }
}
