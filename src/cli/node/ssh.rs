//! `node ssh`: a shell on a node's host, by this machine's own `ssh`.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use clap::Args;
use kontena_core::id::NodeName;

use crate::api::paths;
use crate::api::types::node::{Node, Nodes};
use crate::cli::exec;
use crate::cli::failure::Failure;
use crate::cli::node::health::is_healthy;
use crate::cli::session::Session;

/// Kontena's own default: the user of CoreOS.
const USER: &str = "core";

#[derive(Args, Debug)]
pub(super) struct Ssh {
    /// The node
    #[arg(required_unless_present = "any")]
    node: Option<NodeName>,
    /// Any node that is online
    #[arg(short, long, conflicts_with = "node")]
    any: bool,
    /// The user there
    #[arg(short, long, value_name = "USER", default_value = USER)]
    user: String,
    /// The private key
    #[arg(short = 'i', long = "identity-file", value_name = "FILE")]
    identity: Option<String>,
    /// To its address in its private network
    #[arg(long, conflicts_with = "internal_ip")]
    private_ip: bool,
    /// To its address in the grid's network
    #[arg(long)]
    internal_ip: bool,
    /// A command to run there, and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(super) async fn ssh(session: &Session, asked: &Ssh) -> Result<(), Failure> {
    let node = chosen(session, asked).await?;
    let address = address(&node, asked).ok_or_else(|| {
        Failure::failed(format!("no such address is known of node `{}`", node.name)).hint(format!(
            "`kontena node show {}` lists its addresses",
            node.name
        ))
    })?;
    let mut program = Command::new("ssh");
    program.arg(format!("{}@{address}", asked.user));
    if let Some(identity) = &asked.identity {
        program.args(["-i", identity]);
    }
    let ended = program.args(&asked.command).status();
    let ended = ended.map_err(|problem| {
        Failure::failed(format!("failed to run `ssh`: {problem}"))
            .hint("install it: `apt-get install openssh-client`")
    })?;
    let by_signal = ended.signal().map(|signal| 128 + signal);
    exec::exit(ended.code().or(by_signal).unwrap_or(1).into())
}

async fn chosen(session: &Session, asked: &Ssh) -> Result<Node, Failure> {
    let grid = session.grid().await?;
    if let Some(name) = &asked.node {
        return Ok(session.client.get(&paths::node(&grid, name)).await?);
    }
    let all: Nodes = session.client.get(&paths::nodes(&grid)).await?;
    let healthy = all.nodes.into_iter().find(is_healthy);
    healthy.ok_or_else(|| Failure::failed("no node is online"))
}

fn address(node: &Node, asked: &Ssh) -> Option<String> {
    match (asked.private_ip, asked.internal_ip) {
        (true, _) => node.private_ip.clone(),
        (false, true) => node.overlay_ip.clone(),
        (false, false) => node.public_ip.clone().or_else(|| node.private_ip.clone()),
    }
}
