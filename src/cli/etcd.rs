//! `etcd`: the key-value store that every node has, in Kontena's words.

use std::io::Read;

use clap::{Args, Subcommand};
use kontena_core::id::{GridName, NodeName};
use kontena_core::keys::{Key, MAX_VALUE};
use serde::Serialize;
use serde_json::json;

use super::confirm::confirm;
use super::failure::Failure;
use super::node::health::is_healthy;
use super::session::Session;
use super::table::Table;
use crate::api::paths;
use crate::api::types::key::{
    KeyChanged, KeyChild, KeyDirectory, KeyRead, KeyRemoval, KeySetting, KeyStore, KeyValue,
};
use crate::api::types::node::{Node, Nodes};

/// Keys and values that every node has
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena etcd set /app/mode fast
  kontena etcd get /app/mode

Containers find the store at http://etcd.kontena.local:2379/v2/keys, on their own node. Every node answers with what it \
has heard and takes every write; of two writes at the same moment one stays, the same everywhere.")]
pub(crate) struct Etcd {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Print a key's value
    #[command(after_help = "Example:\n  kontena etcd get /app/mode")]
    Get {
        /// The key, as /app/mode
        #[arg(value_name = "KEY")]
        key: Key,
    },
    /// Give a key a value
    #[command(
        after_help = "Example:\n  kontena etcd set /app/mode fast\n  kontena etcd set /app/config - < config.json\n\nA value has at most 64 KiB."
    )]
    Set {
        /// The key, as /app/mode
        #[arg(value_name = "KEY")]
        key: Key,
        /// The value; `-` reads it from standard input
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// Let it end by itself after so many seconds
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
        ttl: Option<u64>,
    },
    /// Make a directory, which is there even while nothing is in it
    #[command(
        visible_alias = "mk",
        after_help = "Example:\n  kontena etcd mkdir /app"
    )]
    Mkdir {
        /// The key, as /app
        #[arg(value_name = "KEY")]
        key: Key,
    },
    /// List what is in a directory
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena etcd ls /app -r"
    )]
    Ls {
        /// The directory
        #[arg(value_name = "KEY", default_value = "/")]
        key: Key,
        /// All that is below, too
        #[arg(short, long)]
        recursive: bool,
    },
    /// Remove a key
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena etcd rm /app --recursive --force"
    )]
    Rm {
        /// The key, as /app/mode
        #[arg(value_name = "KEY")]
        key: Key,
        /// A directory with all that is in it
        #[arg(long)]
        recursive: bool,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
    /// Whether nodes keep keys, and how full the store is
    #[command(after_help = "Example:\n  kontena etcd health")]
    Health {
        /// Only this node
        node: Option<NodeName>,
    },
}

pub(crate) async fn run(session: &Session, asked: Etcd) -> Result<(), Failure> {
    let grid = session.grid().await?;
    match asked.command {
        Command::Get { key } => get(session, &grid, &key).await,
        Command::Set { key, value, ttl } => {
            let value = Some(given(value)?);
            set(session, &grid, &key, &KeySetting { value, ttl }).await
        }
        Command::Mkdir { key } => set(session, &grid, &key, &KeySetting::default()).await,
        Command::Ls { key, recursive } => list(session, &grid, &key, recursive).await,
        Command::Rm {
            key,
            recursive,
            force,
        } => remove(session, &grid, &key, recursive, force).await,
        Command::Health { node } => health(session, &grid, node.as_ref()).await,
    }
}

/// A value as it was given, or the whole of standard input.
fn given(value: String) -> Result<String, Failure> {
    if value != "-" {
        return Ok(value);
    }
    read_value(std::io::stdin())
}

/// All of it: what is longer than a value is refused whole, and not cut in the middle of a letter.
fn read_value(source: impl Read) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    source
        .take(MAX_VALUE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|problem| Failure::failed(format!("failed to read the value: {problem}")))?;
    if bytes.len() > MAX_VALUE {
        return Err(Failure::failed(format!(
            "a value has at most {MAX_VALUE} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|_| Failure::failed("a value has to be UTF-8"))
}

async fn get(session: &Session, grid: &GridName, key: &Key) -> Result<(), Failure> {
    match session.client.get(&paths::key(grid, key)).await? {
        KeyRead::Value(KeyValue { value, ttl }) => {
            let json = json!({"key": key.as_str(), "value": &value, "ttl": ttl});
            session.print_object(&json, || format!("{value}\n"))
        }
        KeyRead::Directory(_) => Err(Failure::failed(format!("`{key}` is a directory"))
            .hint(format!("`kontena etcd ls {key}` shows what is in it"))),
    }
}

async fn set(
    session: &Session,
    grid: &GridName,
    key: &Key,
    setting: &KeySetting,
) -> Result<(), Failure> {
    let path = paths::key(grid, key);
    let changed: KeyChanged = session.client.post(&path, setting).await?;
    said(session, "wrote", &changed)
}

fn said(session: &Session, what: &str, changed: &KeyChanged) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.json(changed);
    }
    session.output.talk(&format!("{what} `{}`", changed.key));
    Ok(())
}

async fn list(
    session: &Session,
    grid: &GridName,
    key: &Key,
    recursive: bool,
) -> Result<(), Failure> {
    let depth = if recursive { "?recursive=true" } else { "" };
    let path = format!("{}{depth}", paths::key(grid, key));
    match session.client.get(&path).await? {
        KeyRead::Directory(KeyDirectory { children }) => {
            session.print_object(&children, || lines(&children))
        }
        KeyRead::Value(_) => Err(Failure::failed(format!("`{key}` is no directory"))
            .hint(format!("`kontena etcd get {key}` prints its value"))),
    }
}

/// Keys alone, a line each, as Kontena prints them.
fn lines(children: &[KeyChild]) -> String {
    children
        .iter()
        .map(|child| format!("{}\n", child.key))
        .collect()
}

async fn remove(
    session: &Session,
    grid: &GridName,
    key: &Key,
    recursive: bool,
    force: bool,
) -> Result<(), Failure> {
    confirm(&session.output, "remove the key", key.as_str(), force)?;
    let path = paths::key(grid, key);
    let removal = KeyRemoval { recursive };
    let changed: KeyChanged = session.client.delete_with(&path, &removal).await?;
    said(session, "removed", &changed)
}

/// The store on the asked node, and who keeps one, in `--json`.
#[derive(Debug, Serialize)]
struct Health {
    store: KeyStore,
    nodes: Vec<NodeHealth>,
}

#[derive(Debug, Serialize)]
struct NodeHealth {
    node: String,
    healthy: bool,
    problems: Vec<String>,
}

/// Exit code 1 where one of them is not well.
async fn health(
    session: &Session,
    grid: &GridName,
    only: Option<&NodeName>,
) -> Result<(), Failure> {
    let nodes: Vec<Node> = match only {
        Some(name) => vec![session.client.get(&paths::node(grid, name)).await?],
        None => {
            let all: Nodes = session.client.get(&paths::nodes(grid)).await?;
            all.nodes
        }
    };
    let health = Health {
        store: session.client.get(&paths::keys(grid)).await?,
        nodes: nodes.iter().map(of_node).collect(),
    };
    session.print_object(&health, || text(&health, session))?;
    match health.nodes.iter().all(|node| node.healthy) {
        true => Ok(()),
        false => Err(Failure::Reported),
    }
}

fn of_node(node: &Node) -> NodeHealth {
    let healthy = is_healthy(node);
    let mut problems = node.problems.clone();
    if !healthy && problems.is_empty() {
        problems.push("it is not online".to_owned());
    }
    NodeHealth {
        node: node.name.clone(),
        healthy,
        problems,
    }
}

fn text(health: &Health, session: &Session) -> String {
    let KeyStore {
        keys,
        max_keys,
        bytes,
        max_bytes,
        ..
    } = &health.store;
    let mut table = Table::new(&["NODE", "HEALTH"]);
    for node in &health.nodes {
        let state = match node.healthy {
            true => "healthy".to_owned(),
            false => node.problems.join("; "),
        };
        table.row([node.node.clone().into(), state.into()]);
    }
    let table = table.render(session.output.look());
    format!("{table}keys: {keys} of {max_keys}, {bytes} of {max_bytes} bytes\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_whole_or_refused_for_what_is_wrong_with_it() {
        let read = |bytes: &[u8]| match read_value(bytes) {
            Ok(text) => text,
            Err(Failure::Failed(complaint)) => complaint.message,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(read("schön\n".as_bytes()), "schön\n");
        assert_eq!(read(b"\xff"), "a value has to be UTF-8");
        // It would be cut in the middle of a letter.
        let long = "ö".repeat(MAX_VALUE / 2 + 1);
        assert_eq!(
            read(long.as_bytes()),
            format!("a value has at most {MAX_VALUE} bytes")
        );
        assert_eq!(read("x".repeat(MAX_VALUE).as_bytes()).len(), MAX_VALUE);
    }

    #[test]
    fn keys_are_listed_a_line_each() {
        let child = |key: &str, value: Option<&str>| KeyChild {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        let children = [child("/app", None), child("/mode", Some("fast"))];
        assert_eq!(lines(&children), "/app\n/mode\n");
        assert_eq!(lines(&[]), "");
    }
}
