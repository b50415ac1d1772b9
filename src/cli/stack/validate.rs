//! `stack validate`: what a file means, without a node.

use std::collections::BTreeMap;

use kontena_core::id::GridName;
use kontena_stackfile::{Stack, Value, yaml};

use super::super::failure::Failure;
use super::super::output::Output;
use super::file::{Reading, tell_what_is_not_carried_out};
use super::values::Values;
use super::{File, Format, Shape};

/// The grid and the platform that a file is checked against where no node is asked, as in Kontena.
pub(super) const NO_GRID: (&str, &str) = ("validate", "validate-platform");

pub(super) fn validate(
    output: &Output,
    grid: Option<&GridName>,
    file: &File,
    values: &Values,
    shape: Shape,
) -> Result<(), Failure> {
    let (grid, platform) = grid.map_or(NO_GRID, |grid| (grid.as_str(), grid.as_str()));
    let stack = Reading {
        output,
        file: &file.file,
        name: file.name.as_ref(),
        grid,
        platform,
        values,
        known: BTreeMap::new(),
        previous: BTreeMap::new(),
        services: None,
    }
    .stack()?;
    tell_what_is_not_carried_out(output, &stack);
    if shape.dependency_tree {
        return print_tree(output, &stack);
    }
    let mut payload = stack.payload.to_json();
    if output.is_json() || shape.format == Format::ApiJson {
        return output.json(&payload);
    }
    payload["source"].take();
    output.data(&yaml::print(&Value::from_json(&without_nulls(payload))))
}

/// What says nothing is not printed for people.
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields
                .map(|(key, value)| (key, without_nulls(value)))
                .collect()
        }
        Json::Array(items) => items.into_iter().map(without_nulls).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value,
    }
}

fn print_tree(output: &Output, stack: &Stack) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&tree_json(stack));
    }
    let mut text = String::new();
    add_tree(stack, 0, &mut text);
    output.data(&text)
}

fn tree_json(stack: &Stack) -> serde_json::Value {
    let below = dependencies(stack).map(tree_json);
    serde_json::json!({
        "name": stack.name,
        "stack": file_name(stack),
        "dependencies": below.collect::<Vec<_>>(),
    })
}

fn add_tree(stack: &Stack, depth: usize, text: &mut String) {
    let (indent, name) = ("  ".repeat(depth), &stack.name);
    text.push_str(&format!("{indent}{name}: {}\n", file_name(stack)));
    for below in dependencies(stack) {
        add_tree(below, depth + 1, text);
    }
}

/// Those that can be read.
fn dependencies(stack: &Stack) -> impl Iterator<Item = &Stack> {
    let children = stack.children.iter();
    children.filter_map(|child| child.outcome.as_ref().ok())
}

/// The name that the file gives itself.
fn file_name(stack: &Stack) -> String {
    let name = stack.payload.get("stack");
    name.map_or(String::new(), ToString::to_string)
}
