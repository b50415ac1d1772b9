//! `node health`: whether a node works, in words and as an exit code.

use jiff::Timestamp;
use kontena_core::id::NodeName;
use serde::Serialize;

use super::render::status;
use crate::api::paths;
use crate::api::types::node::{Node, NodeJson, NodeStatus};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::text::printable;

/// A node's health in `--json`.
#[derive(Debug, Serialize)]
struct Health {
    healthy: bool,
    #[serde(flatten)]
    node: NodeJson,
}

/// Online, and its engine and disk work.
pub(in crate::cli) fn is_healthy(node: &Node) -> bool {
    let is_online = match node.status {
        NodeStatus::Online | NodeStatus::Drain => true,
        NodeStatus::Created | NodeStatus::Connecting | NodeStatus::Offline => false,
    };
    is_online && node.problems.is_empty()
}

/// One line for its state, and one for each problem.
pub(in crate::cli) fn lines(node: &Node, now: Timestamp) -> String {
    let mut text = format!(
        "node `{}` is {}\n",
        printable(&node.name),
        status(node, now)
    );
    for problem in &node.problems {
        text.push_str(&format!("  {}\n", printable(problem)));
    }
    text
}

/// Exit code 1 where it does not work.
pub(super) async fn health(session: &Session, name: &NodeName) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let node: Node = session.client.get(&paths::node(&grid, name)).await?;
    let healthy = is_healthy(&node);
    let text = lines(&node, Timestamp::now());
    let json = Health {
        healthy,
        node: node.into(),
    };
    session.print_object(&json, || text)?;
    match healthy {
        true => Ok(()),
        false => Err(Failure::Reported),
    }
}
