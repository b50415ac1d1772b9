//! `network`: how the nodes reach each other.

mod render;

use clap::{Args, Subcommand};
use kontena_core::id::{GridName, NodeName};
use serde::Serialize;

use super::failure::Failure;
use super::session::Session;
use crate::api::paths;
use crate::api::types::network::{NodeNetwork, Peer};
use crate::api::types::node::{NodeStatus, Nodes};

pub(super) use render::shown;

/// How the nodes reach each other
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena network ls")]
pub(crate) struct Network {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List, for each node, how it reaches each other one
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena network ls --from a\n\n\
        A way is `direct`, `punched` (through a translator of addresses), `relayed` (through another node, \
        still sealed from end to end) or `none`. `kontena node show NODE --network` shows one node's interfaces and rules."
    )]
    Ls {
        /// Only as this node sees it
        #[arg(long, value_name = "NODE")]
        from: Option<NodeName>,
    },
}

/// One direction of a pair in `--json`.
#[derive(Debug, Serialize)]
pub(super) struct PairJson {
    from: String,
    #[serde(flatten)]
    peer: Peer,
}

pub(crate) async fn run(session: &Session, asked: Network) -> Result<(), Failure> {
    let Command::Ls { from } = asked.command;
    let grid = session.grid().await?;
    let mut pairs = Vec::new();
    for node in asked_nodes(session, &grid, from).await? {
        match session
            .client
            .get::<NodeNetwork>(&paths::node_network(&grid, &node))
            .await
        {
            Ok(network) => pairs.extend(pairs_of(node.as_str(), network)),
            Err(problem) => session.output.warn(&format!(
                "node `{node}` does not say how it reaches others: {problem}"
            )),
        }
    }
    let table = render::table(&pairs);
    let names = pairs.iter().map(|pair| pair.peer.node.clone());
    session.print_list(false, &pairs, names.collect::<Vec<_>>().into_iter(), &table)
}

/// A node's network, asked of it through the node at hand.
pub(super) async fn get(
    session: &Session,
    grid: &GridName,
    node: &NodeName,
) -> Result<NodeNetwork, Failure> {
    Ok(session.client.get(&paths::node_network(grid, node)).await?)
}

async fn asked_nodes(
    session: &Session,
    grid: &GridName,
    from: Option<NodeName>,
) -> Result<Vec<NodeName>, Failure> {
    if let Some(from) = from {
        return Ok(vec![from]);
    }
    let Nodes { nodes } = session.client.get(&paths::nodes(grid)).await?;
    let answers = |status| match status {
        NodeStatus::Online | NodeStatus::Drain => true,
        NodeStatus::Created | NodeStatus::Connecting | NodeStatus::Offline => false,
    };
    let online = nodes.into_iter().filter(|node| answers(node.status));
    Ok(online.filter_map(|node| node.name.parse().ok()).collect())
}

fn pairs_of(from: &str, network: NodeNetwork) -> impl Iterator<Item = PairJson> {
    let from = from.to_owned();
    let peers = network.peers.into_iter();
    peers.map(move |peer| PairJson {
        from: from.clone(),
        peer,
    })
}
