//! `grid health`: whether the grid can look after itself, in words and as an exit code.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::paths;
use crate::api::types::node::{Node, NodeJson, NodeStatus, Nodes};
use crate::cli::failure::Failure;
use crate::cli::node::health::{is_healthy, lines};
use crate::cli::session::Session;

/// A grid's health in `--json`.
#[derive(Debug, Serialize)]
struct Health {
    grid: String,
    healthy: bool,
    online: usize,
    nodes: Vec<NodeJson>,
}

/// Exit code 1 where fewer than half of the nodes are online: then what the others ran is not taken over by itself.
pub(super) async fn health(session: &Session) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let all: Nodes = session.client.get(&paths::nodes(&grid)).await?;
    let online = all.nodes.iter().filter(|node| is_online(node)).count();
    let healthy = 2 * online >= all.nodes.len();
    let text = told(grid.as_str(), &all.nodes, online, Timestamp::now());
    let json = Health {
        grid: grid.to_string(),
        healthy,
        online,
        nodes: all.nodes.into_iter().map(Into::into).collect(),
    };
    session.print_object(&json, || text)?;
    if healthy {
        return Ok(());
    }
    Err(Failure::failed("fewer than half of the nodes are online, as seen from the asked one")
        .hint("what the others ran waits for them; `kontena node assume-dead NODE` goes on without one"))
}

fn is_online(node: &Node) -> bool {
    match node.status {
        NodeStatus::Online | NodeStatus::Drain => true,
        NodeStatus::Created | NodeStatus::Connecting | NodeStatus::Offline => false,
    }
}

/// The count, and every node that does not work.
fn told(grid: &str, nodes: &[Node], online: usize, now: Timestamp) -> String {
    let mut text = format!(
        "grid `{grid}`: {online} of {} nodes are online\n",
        nodes.len()
    );
    for node in nodes.iter().filter(|node| !is_healthy(node)) {
        text.push_str(&lines(node, now));
    }
    text
}
