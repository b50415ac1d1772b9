//! `vpn up`: this machine in the grid's network, where no other WireGuard is installed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use data_encoding::BASE64;
use kontena_core::id::{GridName, NodeName, VpnUserName};
use kontena_core::network::plan::{AddressPlan, InvalidRange, Range};
use kontena_overlay::{PrivateKey, PublicKey};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::super::failure::Failure;
use super::super::session::{Environment, Session};
use super::config::{owner, private_key};
use super::{get, named};
use crate::api::types::vpn::{Vpn, VpnEntry, VpnUser};
use crate::laptop::{self, Entrance, Laptop, Tunnel};

/// The asked node may be behind the entry that has just fallen silent.
const ASKED_AGAIN_WITHIN: Duration = Duration::from_secs(3);
/// What the interface is called unless it is told otherwise.
pub(super) const INTERFACE: &str = "kontena-vpn";
/// Between two rounds through all entries.
const PAUSE: Duration = Duration::from_secs(2);

/// Bring this machine into the grid's network, until Ctrl-C
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena vpn up laptop
  sudo --preserve-env=HOME kontena vpn up laptop --node a

It takes root, for a network interface, and no other WireGuard. When an entry falls silent it goes on \
by the next one, under another address. Programs of this machine ask the entry for names meanwhile. \
A host that is a node is in the network already.")]
pub(super) struct Up {
    /// The user
    user: VpnUserName,
    /// The node to enter at first; the others are taken when it is silent
    #[arg(long)]
    node: Option<NodeName>,
    /// The file with the private key, if it was not made by `kontena vpn user add` here
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What the interface is called
    #[arg(long, value_name = "NAME", default_value = INTERFACE)]
    interface: String,
    /// Leave this machine's resolvers as they are
    #[arg(long)]
    no_dns: bool,
}

/// A line of `vpn up --json`: for each entry that lets this machine in.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct UpJson<'a> {
    user: &'a str,
    node: &'a str,
    address: IpAddr,
    /// Where names are asked for.
    dns: IpAddr,
}

pub(super) async fn run(
    session: &Session,
    environment: Environment<'_>,
    grid: &GridName,
    asked: &Up,
) -> Result<(), Failure> {
    let vpn = get(session, grid).await?;
    let users = named(&vpn, &asked.user)?;
    let key = private_key(environment, grid, &asked.user, asked.key_file.as_deref())?;
    owner(&users, &key, &asked.user)?;
    let laptop = Laptop {
        interface: asked.interface.clone(),
        networks: networks(&vpn)?,
        key,
    };
    if !laptop::is_there(&asked.interface) {
        tidy(session, &asked.interface);
    }
    check(&laptop)?;
    let entrances = entrances(&vpn, &laptop.key, asked)?;
    tokio::select! {
        failed = stay(session, grid, asked, &laptop, entrances) => failed,
        ended = ended() => ended,
    }
}

/// Ctrl-C, what a service manager sends, or the terminal that is closed.
async fn ended() -> Result<(), Failure> {
    let failed = |problem| Failure::failed(format!("failed to listen for signals: {problem}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.map_err(failed),
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    }
}

/// An earlier one that was killed left its entry in the resolvers. Where that stays, names are slow, and the tunnel works.
fn tidy(session: &Session, interface: &str) {
    if let Err(problem) = laptop::tidy(interface) {
        let problem = format!("this machine still asks an earlier tunnel for names: {problem:#}");
        session.output.warn(&problem);
    }
}

fn check(laptop: &Laptop) -> Result<(), Failure> {
    match laptop.overlap()? {
        None => Ok(()),
        Some(route) => Err(Failure::failed(format!(
            "this machine's route `{route}` leads into the grid's network already"
        ))
        .hint(
            "a node, and a machine with another WireGuard of this grid, are in it without `vpn up`",
        )),
    }
}

/// Goes from entry to entry. Ends only when there is none for this user any more, or with its future.
async fn stay(
    session: &Session,
    grid: &GridName,
    asked: &Up,
    laptop: &Laptop,
    mut entrances: Vec<Entrance>,
) -> Result<(), Failure> {
    loop {
        for entrance in &entrances {
            let open = Open {
                session,
                tunnel: Some(open(laptop, entrance, asked)?),
            };
            if let Err(silence) = open.tunnel().answers().await {
                session.output.warn(&format!("{silence:#}"));
                continue;
            }
            entered(session, open.tunnel(), entrance, asked)?;
            open.tunnel().falls_silent().await;
            let node = &entrance.node;
            session
                .output
                .warn(&format!("node `{node}` has fallen silent"));
        }
        if let Some(vpn) = asked_again(session, grid).await {
            named(&vpn, &asked.user)?;
            entrances = self::entrances(&vpn, &laptop.key, asked)?;
        }
        sleep(PAUSE).await;
    }
}

fn open(laptop: &Laptop, entrance: &Entrance, asked: &Up) -> Result<Tunnel, Failure> {
    laptop.open(entrance).map_err(|problem| {
        Failure::from(problem).hint(format!(
            "it takes root and /dev/net/tun: `sudo --preserve-env=HOME kontena vpn up {}`",
            asked.user
        ))
    })
}

/// The entry answers: names are asked for there, and it is said.
fn entered(
    session: &Session,
    tunnel: &Tunnel,
    entrance: &Entrance,
    asked: &Up,
) -> Result<(), Failure> {
    if !asked.no_dns
        && let Err(problem) = tunnel.resolve_names()
    {
        let problem = format!("this machine does not resolve the grid's names: {problem:#}");
        session.output.warn(&problem);
    }
    let Entrance {
        node,
        address,
        names,
        ..
    } = entrance;
    let (user, dns) = (asked.user.as_str(), *names);
    let said =
        format!("`{user}` is in, by node `{node}`, as {address}; names: {dns}. Ctrl-C ends it");
    session.output.talk(&said);
    if session.output.is_json() {
        session.output.json_line(&UpJson {
            user,
            node,
            address: *address,
            dns,
        })?;
    }
    Ok(())
}

/// A tunnel that is closed however its user ends: with Ctrl-C its future is dropped.
struct Open<'a> {
    session: &'a Session,
    tunnel: Option<Tunnel>,
}

impl Open<'_> {
    fn tunnel(&self) -> &Tunnel {
        self.tunnel
            .as_ref()
            .expect("it is taken when this is dropped")
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let closed = self.tunnel.take().map(Tunnel::close);
        if let Some(Err(problem)) = closed {
            let problem = format!("this machine still asks the grid for names: {problem:#}");
            self.session.output.warn(&problem);
        }
    }
}

/// The VPN as it is now, if anybody says.
async fn asked_again(session: &Session, grid: &GridName) -> Option<Vpn> {
    let answer = timeout(ASKED_AGAIN_WITHIN, get(session, grid)).await;
    answer.ok()?.ok()
}

/// What is led to the grid: ranges that a grid can have, and not whatever a node says.
fn networks(vpn: &Vpn) -> Result<Vec<Range>, Failure> {
    let failed = |problem: String| Failure::failed(format!("the node's answer: {problem}"));
    let network = |text: &String| {
        let range: Range = text
            .parse()
            .map_err(|problem: InvalidRange| problem.to_string())?;
        let plan = AddressPlan::new(range, None).map_err(|problem| problem.to_string())?;
        Ok(plan.supernet())
    };
    vpn.networks
        .iter()
        .map(network)
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// Where this key comes in: the entry that was asked for, then those that are online, then the others.
fn entrances(vpn: &Vpn, key: &PrivateKey, asked: &Up) -> Result<Vec<Entrance>, Failure> {
    let public = BASE64.encode(&key.public_key().0);
    let user = vpn.users.iter().find(|user| user.public_key == public);
    let user =
        user.ok_or_else(|| Failure::failed(format!("VPN user `{}` was shut out", asked.user)))?;
    let wanted = asked.node.as_ref().map(NodeName::as_str);
    let mut entries: Vec<&VpnEntry> = vpn.entries.iter().collect();
    if let Some(node) = wanted
        && !entries.iter().any(|entry| entry.node == node)
    {
        return Err(
            Failure::failed(format!("node `{node}` lets no VPN users in"))
                .hint(format!("open it with `kontena vpn create --node {node}`")),
        );
    }
    entries.sort_by_key(|entry| (Some(entry.node.as_str()) != wanted, !is_online(entry)));
    let found: Vec<Entrance> = entries
        .into_iter()
        .filter_map(|entry| entrance(entry, user))
        .collect();
    match found.is_empty() {
        false => Ok(found),
        true => Err(Failure::failed(
            "no node lets VPN users in, or has said where and with which key",
        )
        .hint("open one with `kontena vpn create`; `kontena vpn ls` lists them")),
    }
}

fn is_online(entry: &VpnEntry) -> bool {
    matches!(entry.freshness.as_str(), "fresh" | "late")
}

/// `None` for one that has not said everything that it takes.
fn entrance(entry: &VpnEntry, user: &VpnUser) -> Option<Entrance> {
    let key = BASE64.decode(entry.public_key.as_ref()?.as_bytes()).ok()?;
    let behind = user.addresses.iter().find(|one| one.node == entry.node)?;
    Some(Entrance {
        node: entry.node.clone(),
        endpoint: entry.endpoint.as_ref()?.parse().ok()?,
        key: PublicKey(key.try_into().ok()?),
        address: behind.address,
        names: entry.dns?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::vpn::VpnAddress;

    fn entry(node: &str, freshness: &str, number: u8) -> VpnEntry {
        VpnEntry {
            node: node.to_owned(),
            freshness: freshness.to_owned(),
            endpoint: Some(format!("203.0.113.{number}:8470")),
            public_key: Some(BASE64.encode(&[number; 32])),
            dns: Some(IpAddr::from([10, 80, number, 1])),
        }
    }

    fn key() -> PrivateKey {
        PrivateKey::new([7; 32])
    }

    fn vpn(entries: Vec<VpnEntry>) -> Vpn {
        let addresses = entries.iter().zip(1..).map(|(entry, number)| VpnAddress {
            node: entry.node.clone(),
            address: IpAddr::from([10, 80, number, 200]),
        });
        let user = VpnUser {
            name: "laptop".to_owned(),
            public_key: BASE64.encode(&key().public_key().0),
            only: None,
            created_at: None,
            addresses: addresses.collect(),
        };
        Vpn {
            entries,
            users: vec![user],
            networks: vec!["10.80.0.0/12".to_owned()],
            search: Vec::new(),
        }
    }

    fn asked(node: Option<&str>) -> Up {
        Up {
            user: "laptop".parse().unwrap(),
            node: node.map(|node| node.parse().unwrap()),
            key_file: None,
            interface: INTERFACE.to_owned(),
            no_dns: false,
        }
    }

    fn order(vpn: &Vpn, node: Option<&str>) -> Vec<String> {
        let found = entrances(vpn, &key(), &asked(node)).unwrap();
        found.into_iter().map(|entrance| entrance.node).collect()
    }

    #[test]
    fn the_entry_that_was_asked_for_comes_first_and_those_that_are_offline_last() {
        let vpn = vpn(vec![
            entry("a", "absent", 1),
            entry("b", "fresh", 2),
            entry("c", "late", 3),
        ]);
        assert_eq!(order(&vpn, None), ["b", "c", "a"]);
        assert_eq!(order(&vpn, Some("a")), ["a", "b", "c"]);
        let first = entrances(&vpn, &key(), &asked(None)).unwrap().remove(0);
        assert_eq!(first.address, IpAddr::from([10, 80, 2, 200]));
        assert!(entrances(&vpn, &key(), &asked(Some("d"))).is_err());
    }

    #[test]
    fn an_entry_that_has_not_said_enough_is_left_out_and_none_is_an_error() {
        let silent = VpnEntry {
            endpoint: None,
            ..entry("a", "fresh", 1)
        };
        let garbled = VpnEntry {
            public_key: Some("AAAA".to_owned()),
            ..entry("b", "fresh", 2)
        };
        let entries = vec![silent, garbled, entry("c", "fresh", 3)];
        assert_eq!(order(&vpn(entries.clone()), None), ["c"]);
        let none = vpn(entries[..2].to_vec());
        assert!(entrances(&none, &key(), &asked(None)).is_err());
    }

    #[test]
    fn a_node_cannot_lead_everything_to_itself() {
        let mut vpn = vpn(vec![entry("a", "fresh", 1)]);
        assert_eq!(networks(&vpn).unwrap().len(), 1);
        for network in ["0.0.0.0/0", "8.8.8.0/24", "10.80.0.0", "::/0"] {
            vpn.networks = vec![network.to_owned()];
            assert!(networks(&vpn).is_err(), "{network}");
        }
    }

    #[test]
    fn a_key_that_counts_no_more_comes_in_nowhere() {
        let vpn = vpn(vec![entry("a", "fresh", 1)]);
        let other = PrivateKey::new([8; 32]);
        assert!(entrances(&vpn, &other, &asked(None)).is_err());
    }
}
