//! A database and a box on every node, and what they and others hear of each other.

use std::time::Duration;

use super::{Grid, Node, eventually, seen};
use crate::source::demo::images::{BUSYBOX, REDIS};

/// What [`stack`] makes of so many nodes.
pub(crate) fn app(nodes: usize) -> [(&'static str, usize); 2] {
    [("net/box", nodes), ("net/redis", nodes)]
}

/// More than the largest batch that the data plane carries in one piece.
const BIG: usize = 60_000;

pub(crate) fn stack() -> String {
    format!(
        "\
stack: demo/net
expose: redis
services:
  redis:
    image: {REDIS}
    deploy:
      strategy: daemon
      wait_for_port: 6379
  box:
    image: {BUSYBOX}
    command: sleep 100000
    stop_signal: SIGKILL
    deploy:
      strategy: daemon
"
    )
}

/// Who asks.
pub(crate) enum Asker<'a> {
    /// The box of a node.
    Box(Node<'a>),
    /// A host itself.
    Host(Node<'a>),
}

impl Asker<'_> {
    /// What a script prints there, busybox's programs at hand.
    pub(crate) fn run(&self, script: &str) -> Result<String, String> {
        match self {
            Self::Host(node) => Ok(node.run("sh", &["-c", &format!("{script} || true")])),
            Self::Box(node) => {
                let name = try_container(node, "net.box-")?;
                node.try_docker(&["exec", &name, "sh", "-c", script])
            }
        }
    }

    /// What the database at this address, or of this name, answers.
    pub(crate) fn ask(&self, database: &str, command: &str) -> Result<String, String> {
        self.run(&format!(
            "(printf '{command}\\r\\n'; sleep 0.3) | timeout 5 busybox nc -w 2 {database} 6379"
        ))
    }

    /// That much goes there and comes back.
    pub(crate) fn carries_much(&self, database: &str) -> Result<(), String> {
        let counted = self.run(&format!(
            "(printf 'SET big '; head -c {BIG} /dev/zero | tr '\\000' x; printf '\\r\\nSTRLEN big\\r\\nGET big\\r\\n'; sleep 1) \
             | timeout 10 busybox nc {database} 6379 | wc -c"
        ))?;
        let bytes: usize = counted.trim().parse().unwrap_or(0);
        seen(bytes > BIG, (bytes, "bytes came back of", BIG))
    }
}

/// From the box of every one of these nodes to every other's database: the source that is seen is the box's
/// own, and large amounts pass.
#[track_caller]
pub(crate) fn everybody_reaches_everybody(grid: &Grid, nodes: &[u8], within: Duration) {
    for from in nodes {
        for to in nodes.iter().filter(|to| *to != from) {
            eventually(within, &format!("node-{from} to reach node-{to}"), || {
                reaches(grid, *from, *to)
            });
            let database = address(&grid.node(*to), "redis");
            let carried = Asker::Box(grid.node(*from)).carries_much(&database);
            assert!(carried.is_ok(), "node-{from} to node-{to}: {carried:?}");
        }
    }
}

/// Whether the box of one node reaches the database of another, and is seen there as what it is.
pub(crate) fn reaches(grid: &Grid, from: u8, to: u8) -> Result<(), String> {
    let database = try_address(&grid.node(to), "redis")?;
    let answer = Asker::Box(grid.node(from)).ask(&database, "CLIENT LIST")?;
    let own = try_address(&grid.node(from), "box")?;
    seen(answer.contains(&format!(" addr={own}:")), (own, answer))
}

/// The address in the grid's network of a service's container on this host.
#[track_caller]
pub(crate) fn address(node: &Node<'_>, service: &str) -> String {
    match try_address(node, service) {
        Ok(address) => address,
        Err(problem) => panic!("{service} on {}: {problem}", node.name()),
    }
}

pub(crate) fn try_address(node: &Node<'_>, service: &str) -> Result<String, String> {
    try_address_of(node, &format!("net.{service}-"))
}

/// The same of the container whose name begins so.
pub(crate) fn try_address_of(node: &Node<'_>, begin: &str) -> Result<String, String> {
    let name = try_container(node, begin)?;
    let format = "{{with index .NetworkSettings.Networks \"kontena\"}}{{.IPAddress}}{{end}}";
    let address = node.try_docker(&["inspect", "--format", format, &name])?;
    let address = address.trim().to_owned();
    match address.is_empty() {
        true => Err(format!("{name} has none")),
        false => Ok(address),
    }
}

/// The container on this host whose name begins so.
fn try_container(node: &Node<'_>, begin: &str) -> Result<String, String> {
    let names = node.try_docker(&["ps", "--format", "{{.Names}}"])?;
    let name = names.lines().find(|name| name.starts_with(begin));
    name.map(str::to_owned)
        .ok_or_else(|| format!("{begin} in {names:?}"))
}
