//! A stack and the stacks that it brings along (`depends`), which are installed as `PARENT-NAME`.

use std::collections::BTreeMap;

use clap::Args;
use kontena_core::id::{GridName, StackName};
use kontena_core::manifest::compiled::Compiled;
use kontena_stackfile::{Stack, Value};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::session::Session;
use super::{file, stack_name};
use crate::api::paths;
use crate::api::types::stack::{Stack as WireStack, Stacks};

/// How deep stacks may bring each other along, as in stack files.
const MAX_DEPTH: usize = 8;

/// What other stacks have to do with this one.
#[derive(Args, Debug)]
pub(super) struct Family {
    /// Take the values of a stack's variables, where nothing else is given; may be given again
    #[arg(long, value_name = "NAME", value_parser = stack_name)]
    values_from_stack: Vec<StackName>,
    /// Leave the stacks alone that it depends on
    #[arg(long)]
    pub(super) skip_dependencies: bool,
}

impl Family {
    /// The values of the named stacks; a later one wins.
    pub(super) fn values(
        &self,
        installed: &[WireStack],
    ) -> Result<BTreeMap<String, Value>, Failure> {
        let mut values = BTreeMap::new();
        for name in &self.values_from_stack {
            if !installed.iter().any(|one| one.name == name.as_str()) {
                return Err(Failure::failed(format!("stack `{name}` does not exist"))
                    .hint("`kontena stack ls` lists what there is"));
            }
            values.extend(answers(installed, name.as_str()));
        }
        Ok(values)
    }
}

pub(super) async fn installed(
    session: &Session,
    grid: &GridName,
) -> Result<Vec<WireStack>, Failure> {
    let Stacks { stacks } = session.client.get(&paths::stacks(grid)).await?;
    Ok(stacks)
}

/// All stacks of a file as they are installed: what a stack needs comes before it, the stack itself last.
pub(super) fn compile(
    output: &Output,
    stack: &Stack,
    family: &Family,
) -> Result<(Vec<Compiled>, Compiled), Failure> {
    let mut below = Vec::new();
    let mut outcome = Ok(());
    if !family.skip_dependencies {
        outcome = compile_below(output, stack, &mut below);
    }
    let own = file::compile(output, stack)?;
    outcome.map(|()| (below, own))
}

fn compile_below(output: &Output, stack: &Stack, all: &mut Vec<Compiled>) -> Result<(), Failure> {
    let mut outcome = Ok(());
    for child in &stack.children {
        // What is wrong with one that cannot be read was told when the file was read.
        let Ok(stack) = &child.outcome else {
            outcome = Err(Failure::Reported);
            continue;
        };
        let below = compile_below(output, stack, all);
        let own = file::compile(output, stack).map(|own| all.push(own));
        outcome = outcome.and(below).and(own);
    }
    outcome
}

/// Before anything is written: a stack that is brought along must not be there.
pub(super) fn check_free(
    installed: &[WireStack],
    own: &StackName,
    below: &[Compiled],
) -> Result<(), Failure> {
    let is_there = |one: &&Compiled| {
        let mut installed = installed.iter();
        installed.any(|other| other.name == one.name.as_str())
    };
    match below.iter().find(is_there) {
        None => Ok(()),
        Some(taken) => Err(Failure::failed(format!(
            "stack `{}`, which `{own}` depends on, exists already",
            taken.name
        ))
        .hint("`--skip-dependencies` leaves it as it is; `--name` installs another one")),
    }
}

/// The stacks that one brought along, and theirs: each before those that it brought along itself.
pub(super) fn below<'s>(installed: &'s [WireStack], name: &str) -> Vec<&'s WireStack> {
    let mut found: Vec<&WireStack> = Vec::new();
    let mut waiting = vec![name];
    while let Some(parent) = waiting.pop() {
        for child in children(installed, parent) {
            // Two sides of a split may have made a ring of them.
            if child.name != name && !found.iter().any(|other| other.name == child.name) {
                found.push(child);
                waiting.push(&child.name);
            }
        }
    }
    found
}

fn children<'s>(installed: &'s [WireStack], parent: &str) -> impl Iterator<Item = &'s WireStack> {
    installed.iter().filter(move |stack| {
        let own = stack.parent.as_ref();
        own.is_some_and(|own| own.name == parent)
    })
}

/// Every stack with how deep it lies below one that nothing brought along, each before its own.
pub(super) fn tree(installed: &[WireStack]) -> Vec<(usize, &WireStack)> {
    let is_there = |name: &str| installed.iter().any(|stack| stack.name == name);
    let roots = installed.iter().filter(|stack| {
        let parent = stack.parent.as_ref();
        parent.is_none_or(|parent| !is_there(&parent.name))
    });
    let mut waiting: Vec<(usize, &WireStack)> = roots.map(|root| (0, root)).collect();
    waiting.reverse();
    let mut found: Vec<(usize, &WireStack)> = Vec::new();
    while let Some((depth, stack)) = waiting.pop() {
        found.push((depth, stack));
        let below = children(installed, &stack.name).collect::<Vec<_>>();
        let below = below.into_iter().rev();
        waiting.extend(below.map(|child| (depth + 1, child)));
    }
    // What a ring keeps from every root is listed all the same.
    for stack in installed {
        if !found.iter().any(|(_, other)| other.name == stack.name) {
            found.push((0, stack));
        }
    }
    found
}

/// What was given to the variables of an installed stack and of those below it, by the names that its file
/// has for them: those of a dependency are `DEPENDENCY.VARIABLE`.
pub(super) fn answers(installed: &[WireStack], name: &str) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    add_answers(installed, name, "", 0, &mut answers);
    answers
}

fn add_answers(
    installed: &[WireStack],
    name: &str,
    prefix: &str,
    depth: usize,
    answers: &mut BTreeMap<String, Value>,
) {
    let own = installed.iter().find(|stack| stack.name == name);
    for (variable, value) in own.into_iter().flat_map(|own| &own.variables) {
        answers.insert(format!("{prefix}{variable}"), Value::from_json(value));
    }
    if depth == MAX_DEPTH {
        return;
    }
    for child in children(installed, name) {
        let dependency = child.name.strip_prefix(name);
        let dependency = dependency.and_then(|rest| rest.strip_prefix('-'));
        if let Some(dependency) = dependency {
            let prefix = format!("{prefix}{dependency}.");
            add_answers(installed, &child.name, &prefix, depth + 1, answers);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::render::example;
    use super::*;
    use crate::api::types::stack::StackReference;

    fn stack(name: &str, parent: Option<&str>, variable: u32) -> WireStack {
        let mut stack = example(Vec::new());
        stack.name = name.to_owned();
        stack.parent = parent.map(|name| StackReference {
            name: name.to_owned(),
        });
        stack.variables = BTreeMap::from([("size".to_owned(), json!(variable))]);
        stack
    }

    fn family() -> Vec<WireStack> {
        vec![
            stack("alone", None, 1),
            stack("left", Some("gone"), 2),
            stack("shop", None, 3),
            stack("shop-db", Some("shop"), 4),
            stack("shop-db-disk", Some("shop-db"), 5),
            stack("shop-web", Some("shop"), 6),
            stack("two", Some("one"), 7),
            stack("one", Some("two"), 8),
        ]
    }

    #[test]
    fn a_stack_stands_before_those_that_it_brought_along() {
        let family = family();
        let told: Vec<(usize, &str)> = tree(&family)
            .into_iter()
            .map(|(depth, stack)| (depth, stack.name.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (0, "alone"),
                (0, "left"),
                (0, "shop"),
                (1, "shop-db"),
                (2, "shop-db-disk"),
                (1, "shop-web"),
                (0, "two"),
                (0, "one"),
            ]
        );
    }

    #[test]
    fn what_lies_below_a_stack_is_found_even_in_a_ring() {
        let family = family();
        let names = |name: &str| -> Vec<&str> {
            let below = below(&family, name).into_iter();
            below.map(|stack| stack.name.as_str()).collect()
        };
        let shop = names("shop");
        let place = |name: &str| shop.iter().position(|other| *other == name).unwrap();
        assert_eq!(shop.len(), 3);
        assert!(place("shop-db") < place("shop-db-disk"));
        assert_eq!(names("alone"), [""; 0]);
        assert_eq!(names("one"), ["two"]);
    }

    #[test]
    fn answers_of_a_family_have_the_names_of_its_file() {
        let answers = answers(&family(), "shop");
        let told: Vec<(&str, String)> = answers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_string()))
            .collect();
        let expected = [
            ("db.disk.size", "5"),
            ("db.size", "4"),
            ("size", "3"),
            ("web.size", "6"),
        ];
        assert_eq!(told, expected.map(|(name, value)| (name, value.to_owned())));
        let ring = super::answers(&family(), "one");
        assert_eq!(ring.keys().collect::<Vec<_>>(), ["size"]);
    }
}
