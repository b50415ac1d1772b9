//! `container`: single containers of any node.

use std::fmt;
use std::str::FromStr;

use clap::{Args, Subcommand};
use kontena_core::id::NodeName;
use serde::Serialize;
use serde_json::Value;

use super::exec::{self, Call, Options};
use super::failure::Failure;
use super::logs::{self, LogOptions};
use super::session::{Session, about};
use super::table::Table;
use super::text::{age, or_dash, printable};
use crate::api::paths;
use crate::api::types::Time;
use crate::api::types::instance::{Container as Listed, Containers};

/// Single containers, on whichever node they are
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena container ls
  kontena container exec -it alpha/shop.web-1 sh

A container is named `NODE/CONTAINER`.")]
pub(crate) struct Container {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List containers
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena container ls --all"
    )]
    Ls {
        /// Those too that do not run
        #[arg(short, long)]
        all: bool,
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Run a command in a container
    ///
    /// Its exit code is this command's: 126 where there is no such program. With Ctrl-C, or where the connection
    /// breaks, the command is ended too.
    #[command(after_help = "Example:
  kontena container exec alpha/shop.web-1 cat /etc/hosts
  kontena container exec -it alpha/shop.web-1 sh
  kontena container exec -i alpha/shop.db-1 sh -c 'cat > /tmp/dump' < dump

Options stand before the container; what follows it belongs to the command.")]
    Exec {
        #[command(flatten)]
        options: Options,
        /// A container, as `container ls` names it
        #[arg(value_name = "NODE/CONTAINER")]
        name: ContainerName,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<String>,
    },
    /// Print what the engine says of a container, as JSON
    #[command(after_help = "Example:\n  kontena container inspect alpha/shop.web-1")]
    Inspect {
        /// A container, as `container ls` names it
        #[arg(value_name = "NODE/CONTAINER")]
        name: ContainerName,
    },
    /// Print the logs of a container
    #[command(after_help = "Example:\n  kontena container logs -f alpha/shop.web-1")]
    Logs {
        /// A container, as `container ls` names it
        #[arg(value_name = "NODE/CONTAINER")]
        name: ContainerName,
        #[command(flatten)]
        options: LogOptions,
    },
}

/// A container and its node; Kontena's `GRID/NODE/CONTAINER` is taken too.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ContainerName {
    node: NodeName,
    container: String,
}

impl FromStr for ContainerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not of the form NODE/CONTAINER");
        let (node, container) = text.rsplit_once('/').ok_or_else(wrong)?;
        let node = node.rsplit('/').next().unwrap_or(node);
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if container.is_empty() || !container.chars().all(is_fine) {
            return Err(wrong());
        }
        Ok(Self {
            node: node
                .parse()
                .map_err(|problem| format!("node `{node}`: {problem}"))?,
            container: container.to_owned(),
        })
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.container)
    }
}

pub(crate) async fn run(session: &Session, asked: Container) -> Result<(), Failure> {
    match asked.command {
        Command::Ls { all, quiet } => list(session, all, quiet).await,
        Command::Exec {
            options,
            name,
            command,
        } => run_in(session, &options, &name, &command).await,
        Command::Inspect { name } => inspect(session, &name).await,
        Command::Logs { name, options } => {
            let path = format!("{}/logs", path(session, &name).await?);
            logs::print(session, &path, Vec::new(), &options).await
        }
    }
}

async fn path(session: &Session, name: &ContainerName) -> Result<String, Failure> {
    let grid = session.grid().await?;
    Ok(paths::container(&format!("{grid}/{name}")))
}

async fn run_in(
    session: &Session,
    options: &Options,
    name: &ContainerName,
    command: &[String],
) -> Result<(), Failure> {
    options.check(session, command, &[])?;
    let path = format!("{}/exec", path(session, name).await?);
    let call = Call {
        path: &path,
        options,
        command,
        environment: &[],
        is_silent: false,
    };
    if !session.output.is_json() {
        return exec::exit(exec::run(session, &call).await?);
    }
    let ended = exec::kept(session, &call, Some(name.to_string())).await?;
    session.output.json(&ended)?;
    exec::exit(ended.exit_code)
}

async fn inspect(session: &Session, name: &ContainerName) -> Result<(), Failure> {
    let path = format!("{}/inspect", path(session, name).await?);
    let told: Value = session.client.get(&path).await.map_err(about(name))?;
    session.output.json(&told)
}

/// A container in `--json`.
#[derive(Debug, Serialize)]
struct ContainerJson {
    name: String,
    node: String,
    service: String,
    instance: u32,
    container_id: String,
    image: Option<String>,
    status: String,
    health: String,
    ip: Option<String>,
    created_at: Option<Time>,
}

impl From<Listed> for ContainerJson {
    fn from(listed: Listed) -> Self {
        Self {
            name: format!("{}/{}", listed.node.name, listed.name),
            node: listed.node.name,
            service: listed.service_id,
            instance: listed.instance_number,
            container_id: listed.container_id,
            image: listed.image,
            status: listed.status,
            health: listed.health_status.status,
            ip: listed.ip_address,
            created_at: listed.created_at,
        }
    }
}

async fn list(session: &Session, all: bool, quiet: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = paths::containers(&grid, all);
    let answer: Containers = session.client.get(&path).await?;
    let table = table(&answer.containers, jiff::Timestamp::now());
    let json: Vec<ContainerJson> = answer.containers.into_iter().map(Into::into).collect();
    let names = json.iter().map(|container| printable(&container.name));
    session.print_list(quiet, &json, names, &table)
}

fn table(containers: &[Listed], now: jiff::Timestamp) -> Table {
    let mut table = Table::new(&["CONTAINER", "IMAGE", "COMMAND", "CREATED", "STATUS"]);
    for container in containers {
        let command = container.cmd.as_ref().map(|words| words.join(" "));
        let created = container.created_at.map(|since| age(since, now));
        table.row([
            format!("{}/{}", container.node.name, container.name).into(),
            or_dash(container.image.as_ref()).into(),
            or_dash(command.as_ref()).into(),
            or_dash(created.as_ref()).into(),
            status(container).into(),
        ]);
    }
    table
}

fn status(container: &Listed) -> String {
    let code = container.state.exit_code;
    match code.filter(|_| !container.state.running) {
        Some(code) => format!("{} ({code})", container.status),
        None => container.status.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_with_its_node_and_perhaps_its_grid() {
        let name = |text: &str| text.parse::<ContainerName>();
        assert_eq!(
            name("alpha/shop.web-1").unwrap().to_string(),
            "alpha/shop.web-1"
        );
        assert_eq!(name("home/alpha/shop.web-1"), name("alpha/shop.web-1"));
        for wrong in [
            "",
            "web-1",
            "alpha/",
            "/web-1",
            "alpha/web 1",
            "alpha/web?1",
            "alpha/../x y",
        ] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
