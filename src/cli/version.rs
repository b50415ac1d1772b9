//! `version`: of this program, and of the node that is asked.

use clap::Args;
use serde_json::json;

use super::failure::Failure;
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

pub(crate) async fn run(session: &Session, asked: Version) -> Result<(), Failure> {
    let node = if asked.cli {
        None
    } else {
        let answer: WireVersion = session.client.get("/").await?;
        Some(answer.version)
    };
    session.print_object(&json!({"cli": VERSION, "node": node}), || match &node {
        Some(node) => format!("cli: {VERSION}\nnode: {node}\n"),
        None => format!("cli: {VERSION}\n"),
    })
}
