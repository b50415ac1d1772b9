//! `node`: the members of the grid.

mod drain;
pub(super) mod health;
mod labels;
mod render;
mod ssh;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use kontena_core::id::{GridName, NodeName};
use kontena_core::view::Availability;
use serde_json::json;

use self::drain::{Activate, Drain};
use self::labels::Label;
use super::confirm::confirm;
use super::failure::Failure;
use super::session::{Session, about};
use crate::api::paths;
use crate::api::types::membership::Status;
use crate::api::types::node::{Node as WireNode, NodeChange, NodeJson, Nodes};
use crate::api::types::{Changed, Saved};

/// The members of the grid
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena node ls")]
pub(crate) struct Node {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List nodes
    #[command(visible_alias = "list", after_help = "Example:\n  kontena node ls")]
    Ls {
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show a node
    #[command(after_help = "Example:\n  kontena node show a --network")]
    Show {
        /// The node
        node: NodeName,
        /// Show what it has on its host for the grid's network: interfaces, firewall rules, ways to others
        #[arg(long)]
        network: bool,
    },
    /// Change labels and availability of nodes
    #[command(after_help = "Example:\n  kontena node update a b --availability drain")]
    Update(Update),
    /// Empty nodes: what can move runs elsewhere before it stops here; data stays, and its instances stand by
    #[command(
        visible_alias = "evacuate",
        after_help = "Example:\n  kontena node drain c --wait\n\nOne instance after the other goes once another node runs it. Stateful ones stop at once.\nIt is what `evacuate` means too: nothing else can be done with data that lies on one node."
    )]
    Drain(Drain),
    /// Give drained nodes work again; what stood by there runs again
    #[command(after_help = "Example:\n  kontena node activate c")]
    Activate(Activate),
    /// Say that nodes are dead: a small side of a split goes on without them. Ends with their next sign of life
    #[command(
        after_help = "Example:\n  kontena node assume-dead b c\n\nWhere they run on after all, what this side takes over runs on both until they meet. Data is never taken over."
    )]
    AssumeDead {
        /// Nodes
        #[arg(required = true, value_name = "NODE")]
        nodes: Vec<NodeName>,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
    /// Remove nodes for good: their instances move, and they never come back by themselves
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena node rm c\n\nA node that is online leaves by itself with `kontena leave`."
    )]
    Rm {
        /// Nodes
        #[arg(required = true, value_name = "NODE")]
        nodes: Vec<NodeName>,
        /// Do not ask, and remove nodes that are online or hold data
        #[arg(long)]
        force: bool,
    },
    /// Tell whether a node works: exit code 1 where it does not
    #[command(after_help = "Example:\n  kontena node health a")]
    Health {
        /// The node
        node: NodeName,
    },
    /// Open a shell on a node's host, by `ssh`
    #[command(
        after_help = "Example:\n  kontena node ssh a --user root\n  kontena node ssh a -- uptime\n\nIts exit code is that of `ssh`."
    )]
    Ssh(ssh::Ssh),
    /// Labels of a node
    Label(Label),
}

#[derive(Args, Debug)]
struct Update {
    /// Nodes
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<NodeName>,
    /// A label; may be repeated, and replaces all that there were
    #[arg(short, long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Remove all labels
    #[arg(long, conflicts_with = "labels")]
    clear_labels: bool,
    /// Whether the node takes work; a drained one gives up what it runs
    #[arg(long)]
    availability: Option<Wanted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    Active,
    #[value(alias = "evacuate")]
    Drain,
}

impl From<Wanted> for Availability {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Active => Self::Active,
            Wanted::Drain => Self::Drain,
        }
    }
}

pub(crate) async fn run(session: &Session, asked: Node) -> Result<(), Failure> {
    match asked.command {
        Command::Ls { quiet } => list(session, quiet).await,
        Command::Health { node } => health::health(session, &node).await,
        Command::Ssh(asked) => ssh::ssh(session, &asked).await,
        Command::Show {
            node,
            network: true,
        } => show_network(session, &node).await,
        Command::Show {
            node,
            network: false,
        } => show(session, &node).await,
        Command::Update(asked) => update(session, &asked).await,
        Command::Drain(asked) => drain::drain(session, &asked).await,
        Command::Activate(asked) => drain::activate(session, &asked).await,
        Command::AssumeDead { nodes, force } => assume_dead(session, &nodes, force).await,
        Command::Rm { nodes, force } => remove(session, &nodes, force).await,
        Command::Label(asked) => labels::run(session, asked).await,
    }
}

async fn list(session: &Session, quiet: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let Nodes { nodes } = session.client.get(&paths::nodes(&grid)).await?;
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let table = render::table(&nodes, Timestamp::now());
    let json: Vec<NodeJson> = nodes.into_iter().map(NodeJson::from).collect();
    session.print_list(quiet, &json, names.into_iter(), &table)
}

async fn show(session: &Session, name: &NodeName) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let node = get(session, &grid, name).await?;
    let text = render::shown(&node, Timestamp::now());
    session.print_object(&NodeJson::from(node), || text)
}

async fn show_network(session: &Session, name: &NodeName) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let network = super::network::get(session, &grid, name).await?;
    session.print_object(&network, || super::network::shown(&network))
}

async fn get(session: &Session, grid: &GridName, name: &NodeName) -> Result<WireNode, Failure> {
    let found = session.client.get(&paths::node(grid, name)).await;
    Ok(found?)
}

async fn update(session: &Session, asked: &Update) -> Result<(), Failure> {
    let labels = (asked.clear_labels || !asked.labels.is_empty()).then(|| asked.labels.clone());
    let change = NodeChange {
        labels,
        availability: asked.availability.map(Availability::from),
    };
    if change == NodeChange::default() {
        return Err(Failure::usage("there is nothing to change")
            .hint("give `--label`, `--clear-labels` or `--availability`"));
    }
    let grid = session.grid().await?;
    let update_one = async |name: &NodeName| {
        let said = format!("updated node `{name}`");
        put(session, &grid, name, &change, &said).await
    };
    session.change_each(&asked.nodes, update_one).await
}

/// Tells that it was done.
async fn put(
    session: &Session,
    grid: &GridName,
    name: &NodeName,
    change: &NodeChange,
    said: &str,
) -> Result<(Saved, NodeJson), Failure> {
    let answer = session.client.put(&paths::node(grid, name), change).await;
    let changed: Changed<WireNode> = answer.map_err(about(format!("node `{name}`")))?;
    session.tell(said, &changed.saved);
    Ok((changed.saved, NodeJson::from(changed.object)))
}

async fn assume_dead(session: &Session, nodes: &[NodeName], force: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let assume_one = async |name: &NodeName| {
        confirm(&session.output, "assume dead node", name.as_str(), force)?;
        let path = paths::assume_dead(&grid, name);
        let answer = session.client.post(&path, &json!({})).await;
        let saved: Saved = answer.map_err(about(format!("node `{name}`")))?;
        session.tell(&format!("node `{name}` is assumed dead"), &saved);
        Ok((saved, json!({"name": name})))
    };
    session.change_each(nodes, assume_one).await
}

async fn remove(session: &Session, nodes: &[NodeName], force: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let Status { node_id: me, .. } = session.client.get(paths::STATUS).await?;
    let remove_one = async |name: &NodeName| {
        // The asked node refuses to remove itself: nobody needs to confirm that.
        let is_asked = get(session, &grid, name).await?.node_id == me;
        confirm(
            &session.output,
            "remove node",
            name.as_str(),
            force || is_asked,
        )?;
        let mut path = paths::node(&grid, name);
        if force {
            path.push_str("?force=true");
        }
        let answer = session.client.delete(&path).await;
        let saved: Saved = answer.map_err(about(format!("node `{name}`")))?;
        session.tell(&format!("removed node `{name}`"), &saved);
        Ok((saved, json!({"name": name})))
    };
    session.change_each(nodes, remove_one).await
}
