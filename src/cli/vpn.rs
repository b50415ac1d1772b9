//! `vpn`: people's machines in the grid's network.

mod config;
mod down;
mod keys;
mod render;
mod up;
mod users;

use std::net::IpAddr;

use clap::{Args, Subcommand};
use kontena_core::id::{GridName, NodeName, VpnUserName};
use serde::Serialize;
use serde_json::json;

use self::config::Config;
use self::down::Down;
use self::up::Up;
use self::users::User;
use super::confirm::confirm;
use super::failure::Failure;
use super::session::{Environment, Session};
use crate::api::paths;
use crate::api::types::node::{Node, NodeStatus, Nodes};
use crate::api::types::vpn::{Vpn as WireVpn, VpnEntry, VpnEntryRequest, VpnUser};
use crate::api::types::{Changed, Saved};

/// The VPN: people's machines in the grid's network
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena vpn create
  kontena vpn user add laptop
  kontena vpn config laptop > laptop.conf
  wg-quick up ./laptop.conf")]
pub(crate) struct Vpn {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Let users in at a node
    #[command(after_help = "Example:
  kontena vpn create --node a --ip 203.0.113.7

Without --node it is the first online node with a public address. A firewall before it has to let \
UDP through to the port that is printed. Several nodes may let users in.")]
    Create {
        /// The node
        #[arg(long)]
        node: Option<NodeName>,
        /// Where users find it, if not where other nodes do
        #[arg(long, value_name = "ADDRESS")]
        ip: Option<IpAddr>,
    },
    /// List the nodes that let users in, and the users
    #[command(visible_alias = "list", after_help = "Example:\n  kontena vpn ls")]
    Ls {
        /// Print names of users only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show a user
    #[command(after_help = "Example:\n  kontena vpn show laptop")]
    Show {
        /// The user
        user: VpnUserName,
    },
    /// Let users in no more: at a node, or anywhere
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena vpn rm --node a\n\nUsers stay known. To shut one out, use `kontena vpn user rm`."
    )]
    Rm {
        /// The node; without it, all
        #[arg(long)]
        node: Option<NodeName>,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
    User(User),
    Config(Config),
    Up(Up),
    Down(Down),
}

pub(crate) async fn run(
    session: &Session,
    environment: Environment<'_>,
    asked: Vpn,
) -> Result<(), Failure> {
    let grid = || session.grid();
    match asked.command {
        Command::Create { node, ip } => create(session, &grid().await?, node, ip).await,
        Command::Ls { quiet } => list(session, &grid().await?, quiet).await,
        Command::Show { user } => show(session, &grid().await?, &user).await,
        Command::Rm { node, force } => close(session, &grid().await?, node, force).await,
        Command::User(asked) => users::run(session, environment, &grid().await?, asked).await,
        Command::Config(asked) => config::run(session, environment, &grid().await?, &asked).await,
        Command::Up(asked) => up::run(session, environment, &grid().await?, &asked).await,
        // It is needed where nobody may be reached.
        Command::Down(asked) => down::run(&session.output, &asked),
    }
}

async fn get(session: &Session, grid: &GridName) -> Result<WireVpn, Failure> {
    Ok(session.client.get(&paths::vpn(grid)).await?)
}

async fn create(
    session: &Session,
    grid: &GridName,
    node: Option<NodeName>,
    ip: Option<IpAddr>,
) -> Result<(), Failure> {
    let node = match node {
        Some(node) => node,
        None => first_public(session, grid).await?,
    };
    let path = paths::vpn_entry(grid, &node);
    let request = VpnEntryRequest { address: ip };
    let made: Changed<VpnEntry> = session.client.put(&path, &request).await?;
    session.tell(&render::opened(&made.object), &made.saved);
    session.print_changed(&made.saved, &made.object)
}

async fn first_public(session: &Session, grid: &GridName) -> Result<NodeName, Failure> {
    let Nodes { nodes } = session.client.get(&paths::nodes(grid)).await?;
    let found = nodes.iter().find(|node| is_online(node) && is_public(node));
    let Some(node) = found else {
        return Err(
            Failure::failed("no online node is known to have a public address")
                .hint("choose one with `--node NODE`, and where users find it with `--ip ADDRESS`"),
        );
    };
    let name = node.name.parse();
    name.map_err(|problem| Failure::failed(format!("the node's answer: {problem}")))
}

fn is_online(node: &Node) -> bool {
    match node.status {
        NodeStatus::Online | NodeStatus::Drain => true,
        NodeStatus::Created | NodeStatus::Connecting | NodeStatus::Offline => false,
    }
}

/// Its public IP falls back to a private one.
fn is_public(node: &Node) -> bool {
    node.public_ip.is_some() && node.public_ip != node.private_ip
}

async fn list(session: &Session, grid: &GridName, quiet: bool) -> Result<(), Failure> {
    let vpn = get(session, grid).await?;
    if session.output.is_json() {
        return session.output.json(&vpn);
    }
    if quiet {
        let names: String = vpn
            .users
            .iter()
            .map(|user| user.name.clone() + "\n")
            .collect();
        return session.output.data(&names);
    }
    session
        .output
        .data(&render::listed(&vpn, session.output.look()))
}

async fn show(session: &Session, grid: &GridName, name: &VpnUserName) -> Result<(), Failure> {
    let vpn = get(session, grid).await?;
    let users = named(&vpn, name)?;
    if session.output.is_json() {
        return session.output.json(&Shown::of(&users));
    }
    session.output.data(&render::shown(&users))
}

/// The `--json` of a name: an object, or all of those that have it after a split.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    One(&'a VpnUser),
    Several(&'a [&'a VpnUser]),
}

impl<'a> Shown<'a> {
    fn of(users: &'a [&'a VpnUser]) -> Self {
        match users {
            [one] => Self::One(one),
            several => Self::Several(several),
        }
    }
}

/// The users of a name, at least one: several where two sides of a split gave it to two keys.
fn named<'a>(vpn: &'a WireVpn, name: &VpnUserName) -> Result<Vec<&'a VpnUser>, Failure> {
    let users = vpn.users.iter();
    let named: Vec<&VpnUser> = users.filter(|user| user.name == name.as_str()).collect();
    if named.is_empty() {
        return Err(Failure::failed(format!("VPN user `{name}` does not exist"))
            .hint("`kontena vpn ls` lists them"));
    }
    Ok(named)
}

async fn close(
    session: &Session,
    grid: &GridName,
    node: Option<NodeName>,
    force: bool,
) -> Result<(), Failure> {
    let nodes = match node {
        Some(node) => vec![node],
        None => entries(&get(session, grid).await?)?,
    };
    for node in &nodes {
        confirm(&session.output, "close the VPN at", node.as_str(), force)?;
    }
    let close_one = async |node: &NodeName| {
        let saved: Saved = session.client.delete(&paths::vpn_entry(grid, node)).await?;
        session.tell(&format!("node `{node}` lets nobody in any more"), &saved);
        Ok((saved, json!({"node": node})))
    };
    session.change_each(&nodes, close_one).await
}

fn entries(vpn: &WireVpn) -> Result<Vec<NodeName>, Failure> {
    let parsed = vpn.entries.iter().map(|entry| entry.node.parse());
    let nodes: Result<Vec<NodeName>, _> = parsed.collect();
    let nodes =
        nodes.map_err(|problem| Failure::failed(format!("the node's answer: {problem}")))?;
    if nodes.is_empty() {
        return Err(Failure::failed("no node lets VPN users in"));
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_of_a_name_is_shown() {
        let user = |key: &str| VpnUser {
            name: "laptop".to_owned(),
            public_key: key.to_owned(),
            only: None,
            created_at: None,
            addresses: Vec::new(),
        };
        let (one, other) = (user("one"), user("other"));
        let json = |users: &[&VpnUser]| serde_json::to_value(Shown::of(users)).unwrap();
        assert_eq!(json(&[&one])["public_key"], "one");
        assert_eq!(json(&[&one, &other])[1]["public_key"], "other");
    }
}
