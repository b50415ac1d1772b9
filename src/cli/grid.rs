//! `grid`: the grid of the asked node. There is one: a node belongs to one grid.

mod backup;
mod chosen;
mod environment;
mod health;
pub(super) mod restore;
mod trusted_subnet;

use clap::{Args, Subcommand};
use kontena_core::id::{GridName, NodeName, ServiceKey};
use kontena_core::stack::Affinity;

use self::trusted_subnet::TrustedSubnet;
use super::failure::Failure;
use super::fields::Fields;
use super::logs::{self, LogOptions};
use super::session::{Environment, Session, about};
use super::table::Table;
use super::text::or_dash;
use crate::api::paths;
use crate::api::types::Changed;
use crate::api::types::grid::{Grid as WireGrid, GridChange, GridJson};

/// The grid that the asked node belongs to
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena grid show")]
pub(crate) struct Grid {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List grids: the one of the asked node, or none
    #[command(visible_alias = "list", after_help = "Example:\n  kontena grid ls")]
    Ls {
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show the grid: its key, its size, and what two sides of a split wrote differently
    #[command(after_help = "Example:\n  kontena grid show")]
    Show {
        /// Another name than that of the grid at hand is an error
        name: Option<GridName>,
    },
    /// Show the grid at hand
    #[command(after_help = "Example:\n  kontena grid current --name")]
    Current {
        /// Print its name only
        #[arg(long)]
        name: bool,
    },
    /// Change what services ask for that have no affinity of their own
    #[command(
        after_help = "Example:\n  kontena grid update production --default-affinity label==compute"
    )]
    Update(Update),
    TrustedSubnet(TrustedSubnet),
    /// Print the logs of all containers
    #[command(
        after_help = "Example:\n  kontena grid logs -f --node a --service shop/web\n\nEach option may be repeated; a line has to fit all kinds that are given."
    )]
    Logs(Logs),
    /// Tell whether the grid can look after itself: exit code 1 where fewer than half of its nodes are online
    #[command(after_help = "Example:\n  kontena grid health")]
    Health {
        /// Another name than that of the grid at hand is an error
        name: Option<GridName>,
    },
    /// Print what another program needs to ask the same node, as variables of a shell
    #[command(
        after_help = "Example:\n  kontena grid env --export > grid.env\n\nA shell takes it with `. ./grid.env`. It holds the token, where there is one."
    )]
    Env {
        /// Another name than that of the grid at hand is an error
        name: Option<GridName>,
        /// Put `export` before each
        #[arg(short, long)]
        export: bool,
    },
    /// Write all that the grid knows to a file, sealed for a recovery code
    ///
    /// Services, stacks and their histories, users of the VPN, credentials, keys of the key-value store, and the identity of the asked
    /// node: everything but what is in volumes. One node's backup is enough.
    #[command(
        after_help = "Example:\n  kontena grid backup grid.backup\n  kontena grid backup --recovery-code-file code > grid.backup"
    )]
    Backup(backup::Backup),
    /// Bring a grid back on an empty host, from a backup
    ///
    /// For when every node is lost. The host becomes the node that made the backup: let that one run nowhere else. Asks no
    /// daemon: it must not run, and its data directory must hold no grid.
    #[command(
        after_help = "Example:\n  kontena grid restore grid.backup\n  kontena grid restore --recovery-code-file code --data-dir /srv/kontena grid.backup"
    )]
    Restore(restore::Restore),
    /// Choose the grid that is meant: kept with the context, where the node is asked by one
    #[command(
        after_help = "Example:\n  kontena grid use production\n\nA node belongs to one grid. Where a context leads to a node of another one, each command says so."
    )]
    Use {
        /// The grid that is meant: that of the asked node
        name: GridName,
        /// Say nothing
        #[arg(long)]
        silent: bool,
    },
}

#[derive(Args, Debug)]
struct Logs {
    /// Only of this node
    #[arg(long = "node", value_name = "NODE")]
    nodes: Vec<NodeName>,
    /// Only of this service
    #[arg(long = "service", value_name = "[STACK/]SERVICE")]
    services: Vec<ServiceKey>,
    /// Only of this container
    #[arg(short, long = "container", value_name = "CONTAINER")]
    containers: Vec<String>,
    #[command(flatten)]
    options: LogOptions,
}

#[derive(Args, Debug)]
struct Update {
    /// Another name than that of the grid at hand is an error
    name: Option<GridName>,
    /// Where services run that have no affinity of their own, as `label==compute`; may be repeated, and replaces all
    #[arg(long = "default-affinity", value_name = "AFFINITY")]
    default_affinity: Vec<Affinity>,
    /// Anywhere
    #[arg(long, conflicts_with = "default_affinity")]
    no_default_affinity: bool,
}

/// What asks no node.
pub(crate) fn offline(asked: &Grid) -> Option<&restore::Restore> {
    if let Command::Restore(restore) = &asked.command {
        Some(restore)
    } else {
        None
    }
}

pub(crate) async fn run(
    session: &Session,
    environment: Environment<'_>,
    asked: Grid,
) -> Result<(), Failure> {
    match asked.command {
        Command::Ls { quiet } => list(session, quiet).await,
        Command::Show { name } => show(session, name).await,
        Command::Current { name: true } => {
            let name = session.grid().await?;
            session.output.data(&format!("{name}\n"))
        }
        Command::Current { name: false } => show(session, None).await,
        Command::Update(asked) => update(session, &asked).await,
        Command::TrustedSubnet(asked) => trusted_subnet::run(session, asked.command).await,
        Command::Logs(asked) => print_logs(session, &asked).await,
        Command::Backup(asked) => backup::backup(session, asked).await,
        // Asks no node: whoever read the command line has done it.
        Command::Restore(_) => Ok(()),
        Command::Health { name } => {
            at_hand(session, name.as_ref()).await?;
            health::health(session).await
        }
        Command::Env { name, export } => {
            let grid = at_hand(session, name.as_ref()).await?;
            environment::print(session, &grid, export)
        }
        Command::Use { name, silent } => chosen::choose(session, environment, &name, silent).await,
    }
}

/// The grid at hand, which has to be the one that is named.
async fn at_hand(session: &Session, name: Option<&GridName>) -> Result<GridName, Failure> {
    let at_hand = session.grid().await?;
    if let Some(name) = name {
        check(&at_hand, name)?;
    }
    Ok(at_hand)
}

async fn print_logs(session: &Session, asked: &Logs) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = format!("{}/container_logs", paths::grid(&grid));
    let nodes = listed(&asked.nodes);
    let services = listed(&asked.services);
    let containers = listed(&asked.containers);
    let query = [
        ("nodes", nodes),
        ("services", services),
        ("containers", containers),
    ];
    let query = query.into_iter().filter(|(_, names)| !names.is_empty());
    logs::print(session, &path, query.collect(), &asked.options).await
}

fn listed(names: &[impl ToString]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(",")
}

async fn list(session: &Session, quiet: bool) -> Result<(), Failure> {
    let answer = session.grids().await?;
    let names: Vec<String> = answer.grids.iter().map(|grid| grid.name.clone()).collect();
    let table = table(&answer.grids);
    let json: Vec<GridJson> = answer.grids.into_iter().map(GridJson::from).collect();
    session.print_list(quiet, &json, names.into_iter(), &table)
}

fn table(grids: &[WireGrid]) -> Table {
    let mut table = Table::new(&["NAME", "NODES", "SERVICES", "CONTAINERS"]);
    for grid in grids {
        table.row([
            grid.name.as_str().into(),
            grid.node_count.to_string().into(),
            grid.service_count.to_string().into(),
            grid.container_count.to_string().into(),
        ]);
    }
    table
}

async fn show(session: &Session, name: Option<GridName>) -> Result<(), Failure> {
    let at_hand = at_hand(session, name.as_ref()).await?;
    let grid: WireGrid = session.client.get(&paths::grid(&at_hand)).await?;
    let text = shown(&grid);
    session.print_object(&GridJson::from(grid), || text)
}

async fn update(session: &Session, asked: &Update) -> Result<(), Failure> {
    if asked.default_affinity.is_empty() && !asked.no_default_affinity {
        return Err(Failure::usage("there is nothing to change")
            .hint("give `--default-affinity` or `--no-default-affinity`"));
    }
    let at_hand = at_hand(session, asked.name.as_ref()).await?;
    let change = GridChange {
        default_affinity: Some(asked.default_affinity.clone()),
    };
    let answer = session.client.put(&paths::grid(&at_hand), &change).await;
    let changed: Changed<WireGrid> = answer.map_err(about(format!("grid `{at_hand}`")))?;
    session.tell(&format!("updated grid `{at_hand}`"), &changed.saved);
    session.print_changed(&changed.saved, GridJson::from(changed.object))
}

fn shown(grid: &WireGrid) -> String {
    let mut fields = Fields::new();
    fields.section(&grid.name, |fields| {
        fields
            .field("id", &grid.key)
            .field("created", or_dash(grid.created_at.as_ref()))
            .field("nodes", grid.node_count)
            .field("services", grid.service_count)
            .field("containers", grid.container_count)
            .field("placement version", grid.placement_version)
            .field("supernet", or_dash(grid.supernet.as_ref()))
            .field("subnet", or_dash(grid.subnet.as_ref()))
            .list("default affinity", &grid.default_affinity);
        if grid.conflicts.is_empty() {
            return;
        }
        fields.section("conflicts", |fields| {
            for conflict in &grid.conflicts {
                let place = format!("{} {}", conflict.document, conflict.register);
                fields.section(&place, |fields| {
                    fields
                        .field("applied", &conflict.applied)
                        .list("others", &conflict.others);
                });
            }
        });
    });
    fields.finish()
}

fn check(at_hand: &GridName, name: &GridName) -> Result<(), Failure> {
    if at_hand == name {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the asked node belongs to grid `{at_hand}`, not `{name}`"
    ))
    .hint("ask a node of that grid: `--url`, `--socket` or `kontena master use`"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::output::Look;
    use super::*;
    use crate::api::types::grid::{Conflict, GridStats};

    fn example() -> WireGrid {
        WireGrid {
            id: "demo".to_owned(),
            name: "demo".to_owned(),
            token: None,
            initial_size: 1,
            default_affinity: Vec::new(),
            trusted_subnets: Vec::new(),
            subnet: Some("10.81.0.0/16".to_owned()),
            supernet: Some("10.80.0.0/12".to_owned()),
            stats: GridStats::default(),
            logs: None,
            node_count: 3,
            service_count: 2,
            container_count: 5,
            user_count: 0,
            key: "77".repeat(32),
            created_at: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            placement_version: 1,
            conflicts: vec![Conflict {
                document: "stack/shop".to_owned(),
                register: "web.instances".to_owned(),
                applied: "3".to_owned(),
                others: vec!["5".to_owned()],
            }],
        }
    }

    #[test]
    fn a_grid_is_shown_with_what_is_in_conflict() {
        expect![[r#"
            demo:
              id: 7777777777777777777777777777777777777777777777777777777777777777
              created: 2026-01-31T12:00:00.000Z
              nodes: 3
              services: 2
              containers: 5
              placement version: 1
              supernet: 10.80.0.0/12
              subnet: 10.81.0.0/16
              default affinity: -
              conflicts:
                stack/shop web.instances:
                  applied: 3
                  others:
                    - 5
        "#]]
        .assert_eq(&shown(&example()));
    }

    #[test]
    fn the_grid_is_listed_with_its_counts() {
        expect![[r"
            NAME  NODES  SERVICES  CONTAINERS
            demo  3      2         5
        "]]
        .assert_eq(&table(&[example()]).render(Look::PLAIN));
    }
}
