//! `stack validate`: what a file means, without a node.

use kontena_core::id::GridName;
use kontena_stackfile::{Value, yaml};

use super::super::failure::Failure;
use super::super::output::Output;
use super::file::{Reading, tell_what_is_not_carried_out};
use super::values::Values;
use super::{File, Format};

/// The grid and the platform that a file is checked against where no node is asked, as in Kontena.
const NO_GRID: (&str, &str) = ("validate", "validate-platform");

pub(super) fn validate(
    output: &Output,
    grid: Option<&GridName>,
    file: &File,
    values: &Values,
    format: Format,
) -> Result<(), Failure> {
    let (grid, platform) = grid.map_or(NO_GRID, |grid| (grid.as_str(), grid.as_str()));
    let stack = Reading {
        output,
        file: &file.file,
        name: file.name.as_ref(),
        grid,
        platform,
        values,
        services: None,
    }
    .stack()?;
    tell_what_is_not_carried_out(output, &stack);
    let mut payload = stack.payload.to_json();
    if output.is_json() || format == Format::ApiJson {
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
