//! `openapi`: the document of the API, for programs that are made of it. It asks no node.

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use crate::api::openapi;

/// Print the document of this version's API (OpenAPI 3.1), as a node serves it at /v1/openapi.json
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena openapi > openapi.json")]
pub(crate) struct Openapi {}

pub(crate) fn run(output: &Output) -> Result<(), Failure> {
    let text = openapi::readable().map_err(Failure::failed)?;
    output.data(&format!("{text}\n"))
}
