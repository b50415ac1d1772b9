//! `version`: of this program, and of the node that is asked.

use clap::Args;
use serde_json::json;

use super::failure::{Complaint, Failure};
use super::output::Output;
use super::session::Session;
use crate::api::types::membership::Version as WireVersion;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Show the versions of this program and of the node that is asked
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena version")]
pub(crate) struct Version {
    /// Ask no node
    #[arg(long)]
    cli: bool,
}

/// As in Kontena, no node that answers is no failure: this program's version was asked for too, and
/// whoever looks for a mistake needs it most. An option used in the wrong way still is one.
pub(crate) async fn run(
    output: &Output,
    session: impl AsyncFnOnce() -> Result<Session, Failure>,
    asked: Version,
) -> Result<(), Failure> {
    if !output.is_json() {
        output.data(&format!("cli: {VERSION}\n"))?;
    }
    let node = if asked.cli {
        None
    } else {
        match of_node(session).await {
            Ok(version) => Some(version),
            Err(Failure::Failed(complaint)) => {
                output.warn(&unknown(&complaint));
                None
            }
            Err(other) => return Err(other),
        }
    };
    match node {
        _ if output.is_json() => output.json(&json!({"cli": VERSION, "node": node})),
        Some(node) => output.data(&format!("node: {node}\n")),
        None => Ok(()),
    }
}

async fn of_node(
    session: impl AsyncFnOnce() -> Result<Session, Failure>,
) -> Result<String, Failure> {
    let answer: WireVersion = session().await?.client.get("/").await?;
    Ok(answer.version)
}

fn unknown(complaint: &Complaint) -> String {
    format!("the node's version is not known: {}", complaint.message)
}
