//! `volume`: where services keep data under a name.

mod contents;
mod copies;

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use kontena_core::id::{GridName, NodeName};
use kontena_core::volume::{Definition, VolumeName};
use serde_json::json;

use super::confirm::confirm;
use super::failure::Failure;
use super::fields::Fields;
use super::moving;
use super::session::{Session, about};
use super::table::Table;
use super::text::or_dash;
use crate::api::paths;
use crate::api::types::moving::Move;
use crate::api::types::volume::{Volume, VolumeRequest, Volumes};
use crate::api::types::{Changed, Saved};

/// Volumes: where services keep data under a name
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena volume create --scope instance --driver local data
  kontena service create --stateful --volume data:/data db redis:7")]
pub(crate) struct VolumeCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Create a volume
    #[command(after_help = "Example:
  kontena volume create --scope instance --driver local data
  kontena volume create --scope grid --driver local --driver-opt type=nfs --driver-opt o=addr=10.0.0.5 shared

Each node makes its own copy of it where an instance first needs it: `STACK.SERVICE.NAME-N` for each instance, \
`STACK.NAME` for a stack, `NAME` for the grid. Nothing is copied between nodes but by the driver.")]
    Create {
        /// What services mount it as
        name: VolumeName,
        /// A volume driver that Docker has on the nodes
        #[arg(long, default_value = Definition::LOCAL)]
        driver: String,
        /// Who shares one copy on a node
        #[arg(long, value_enum)]
        scope: Scope,
        /// An option of the driver; may be repeated
        #[arg(long, value_name = "NAME=VALUE")]
        driver_opt: Vec<String>,
    },
    /// Show a volume, its copies and the services that mount it
    #[command(after_help = "Example:\n  kontena volume show data")]
    Show {
        /// The volume
        volume: VolumeName,
    },
    /// List volumes
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena volume ls\n  kontena volume ls -l"
    )]
    Ls {
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
        /// Also the nodes that have a copy, and the services
        #[arg(short, long)]
        long: bool,
        /// What there is of volumes on the nodes instead, and of instances' own data
        #[arg(long, conflicts_with = "long")]
        copies: bool,
    },
    /// Write what is in a volume to standard output, as a tar
    #[command(after_help = "Example:
  kontena volume backup shop.db.data-1 > db.tar
  kontena volume backup --node web1 data > data.tar

A volume has a copy on each node where it is used: `kontena volume ls --copies` lists them. Nothing may write to it \
meanwhile: stop its service, or give it `hooks: {pre_backup: …, post_backup: …}`, which are run in its containers before \
and after. The exit code says whether the tar is whole.")]
    Backup(contents::Backup),
    /// Replace what is in a volume by a tar from standard input
    #[command(after_help = "Example:
  kontena volume restore --force shop.db.data-1 < db.tar

No container that mounts it may run: `kontena service stop` before it, and `service start` after it. The tar is written \
beside it first and takes its place in one step: one that breaks off, or does not fit onto the disk, changes nothing. On \
another grid deploy the service first, so that there is a copy, and stop it.")]
    Restore(contents::Restore),
    /// Remove one copy from a node, where it is nobody's data any more
    #[command(after_help = "Example:
  kontena volume discard --node web1 shop.db.data-1

`kontena volume ls --copies` lists what there is. An instance that was moved away by `service force-move`, scaled away or \
removed with its service leaves its data where it was: this removes it. Refused where the data is that of an instance \
which is bound to the node or runs there.")]
    Discard {
        /// The copy, as `volume ls --copies` has it
        #[arg(value_name = "COPY")]
        volume: String,
        /// The node that has it
        #[arg(long)]
        node: NodeName,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
    /// Move an instance of a stateful service to another node, with its data
    ///
    /// The instance stops, all data that it has is copied over the grid, and it starts there. VOLUME is a copy as `volume show`
    /// names it, or a volume of which one instance has a copy. Whatever ends on the way, it is on the one node or on
    /// the other, with its data, and never on both.
    #[command(
        after_help = "Example:\n  kontena volume move shop.db.data-1 node2\n  kontena volume move --bandwidth 200 data node2\n  kontena volume move --cancel data"
    )]
    Move {
        /// A copy of a volume, or a volume
        volume: String,
        /// The node that it goes to
        #[arg(required_unless_present = "cancel")]
        node: Option<NodeName>,
        /// At most so much of the network, in megabits a second
        #[arg(long, value_name = "MEGABITS", conflicts_with = "cancel")]
        bandwidth: Option<u32>,
        /// Do not wait until it runs there
        #[arg(long, conflicts_with = "cancel")]
        detach: bool,
        /// Take a move back: the instance stays where it is
        #[arg(long, conflicts_with = "node")]
        cancel: bool,
    },
    /// Remove volumes, with all their copies
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena volume rm data\n\nRefused while a service mounts it. All nodes remove their copies and what is in them; one that is away does so once it is back."
    )]
    Rm {
        /// The volumes
        #[arg(required = true)]
        volumes: Vec<VolumeName>,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
}

/// Who shares one copy on a node.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    /// Nobody: each instance has its own
    Instance,
    /// The services of a stack
    Stack,
    /// All services
    Grid,
}

pub(crate) async fn run(session: &Session, asked: VolumeCommand) -> Result<(), Failure> {
    let grid = session.grid().await?;
    match asked.command {
        Command::Create {
            name,
            driver,
            scope,
            driver_opt,
        } => {
            let scope = match scope {
                Scope::Instance => "instance",
                Scope::Stack => "stack",
                Scope::Grid => "grid",
            };
            let request = VolumeRequest {
                name: name.to_string(),
                scope: scope.to_owned(),
                driver,
                driver_opts: Some(options(&driver_opt)?),
            };
            create(session, &grid, &request).await
        }
        Command::Show { volume } => show(session, &grid, &volume).await,
        Command::Ls {
            quiet,
            copies: true,
            ..
        } => copies::list(session, &grid, quiet).await,
        Command::Ls { quiet, long, .. } => list(session, &grid, quiet, long).await,
        Command::Discard {
            volume,
            node,
            force,
        } => copies::discard(session, &grid, &volume, &node, force).await,
        Command::Backup(asked) => contents::backup(session, asked).await,
        Command::Restore(asked) => contents::restore(session, asked).await,
        Command::Move {
            volume,
            node,
            bandwidth,
            detach,
            cancel,
        } => match node.filter(|_| !cancel) {
            Some(node) => moving::order(session, &grid, &volume, &node, bandwidth, detach).await,
            None => moving::cancel(session, &grid, &volume).await,
        },
        Command::Rm { volumes, force } => remove(session, &grid, &volumes, force).await,
    }
}

fn options(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut options = BTreeMap::new();
    for option in given {
        let Some((name, value)) = option.split_once('=').filter(|(name, _)| !name.is_empty())
        else {
            return Err(Failure::usage(format!(
                "`{option}` is not an option of a driver: NAME=VALUE is expected"
            )));
        };
        if options.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::usage(format!(
                "the option `{name}` of the driver is given twice"
            )));
        }
    }
    Ok(options)
}

async fn create(
    session: &Session,
    grid: &GridName,
    request: &VolumeRequest,
) -> Result<(), Failure> {
    let made: Changed<Volume> = session.client.post(&paths::volumes(grid), request).await?;
    let said = format!("created volume `{}`", made.object.name);
    session.print_change(&said, &made.saved, &made.object)
}

async fn show(session: &Session, grid: &GridName, name: &VolumeName) -> Result<(), Failure> {
    let volume: Volume = session.client.get(&paths::volume(grid, name)).await?;
    session.print_object(&volume, || shown(&volume))
}

fn shown(volume: &Volume) -> String {
    let mut fields = Fields::new();
    fields.section(&volume.id, |fields| {
        fields
            .field("created", or_dash(volume.created_at.as_ref()))
            .field("scope", &volume.scope)
            .field("driver", &volume.driver);
        if volume.removed {
            fields.field(
                "state",
                "removed: goes with the last service that mounts it",
            );
        }
        fields.section("driver_opts", |fields| {
            for (name, value) in &volume.driver_opts {
                fields.field(name, value);
            }
        });
        fields.section("instances", |fields| {
            for copy in &volume.instances {
                fields.field(&copy.name, format!("on {}", copy.node));
            }
        });
        if !volume.moves.is_empty() {
            fields.section("moves", |fields| {
                for one in &volume.moves {
                    fields.field(&one.instance, moved(one));
                }
            });
        }
        fields.list("services", volume.services.iter().map(|one| &one.id));
    });
    fields.finish()
}

fn moved(one: &Move) -> String {
    let problem = one.problem.as_ref();
    let problem = problem.map_or_else(String::new, |problem| format!(": {problem}"));
    match one.state.as_str() {
        "given_up" => format!("not moved to {}, given up{problem}", one.to),
        _ => format!("moves from {} to {}{problem}", one.from, one.to),
    }
}

async fn list(session: &Session, grid: &GridName, quiet: bool, long: bool) -> Result<(), Failure> {
    let answer: Volumes = session.client.get(&paths::volumes(grid)).await?;
    let names = answer.volumes.iter().map(|volume| volume.name.clone());
    let table = table(&answer.volumes, long);
    session.print_list(quiet, &answer.volumes, names, &table)
}

fn table(volumes: &[Volume], long: bool) -> Table {
    const COLUMNS: [&str; 6] = ["NAME", "SCOPE", "DRIVER", "CREATED AT", "NODES", "SERVICES"];
    let shown = if long { &COLUMNS[..] } else { &COLUMNS[..4] };
    let mut table = Table::new(shown);
    for volume in volumes {
        let nodes = nodes(volume);
        let services = volume.services.iter();
        let services = services.map(|service| below(&service.id));
        let services = services.collect::<Vec<_>>().join(",");
        let cells = [
            volume.name.clone(),
            volume.scope.clone(),
            volume.driver.clone(),
            or_dash(volume.created_at.as_ref()),
            or_dash(Some(&nodes).filter(|nodes| !nodes.is_empty())),
            or_dash(Some(&services).filter(|services| !services.is_empty())),
        ];
        table.row(cells.into_iter().take(shown.len()).map(Into::into));
    }
    table
}

fn nodes(volume: &Volume) -> String {
    let mut nodes: Vec<&str> = volume
        .instances
        .iter()
        .map(|copy| copy.node.as_str())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes.join(",")
}

/// `STACK/SERVICE` of `GRID/STACK/SERVICE`.
fn below(id: &str) -> &str {
    let name = id.split_once('/').map_or(id, |(_, rest)| rest);
    name.strip_prefix("null/").unwrap_or(name)
}

async fn remove(
    session: &Session,
    grid: &GridName,
    names: &[VolumeName],
    force: bool,
) -> Result<(), Failure> {
    let remove_one = async |name: &VolumeName| {
        let what = "remove, with all that is in it, volume";
        confirm(&session.output, what, name.as_str(), force)?;
        let answer = session.client.delete(&paths::volume(grid, name)).await;
        let saved: Saved = answer.map_err(about(format!("volume `{name}`")))?;
        session.tell(&format!("removed volume `{name}`"), &saved);
        Ok((saved, json!({"name": name})))
    };
    session.change_each(names, remove_one).await
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::output::Look;
    use super::*;
    use crate::api::types::volume::{VolumeInstance, VolumeService};

    fn volume() -> Volume {
        let copy = |number: u32, node: &str| VolumeInstance {
            name: format!("shop.db.data-{number}"),
            node: node.to_owned(),
        };
        Volume {
            id: "demo/data".to_owned(),
            name: "data".to_owned(),
            scope: "instance".to_owned(),
            driver: "local".to_owned(),
            driver_opts: BTreeMap::from([("type".to_owned(), "nfs".to_owned())]),
            created_at: None,
            instances: vec![copy(1, "beta"), copy(2, "alpha")],
            services: vec![VolumeService {
                id: "demo/shop/db".to_owned(),
            }],
            moves: Vec::new(),
            removed: false,
        }
    }

    #[test]
    fn a_volume_shows_what_moves_and_what_was_given_up() {
        let one = |number: u32, state: &str, problem: &str| Move {
            instance: format!("shop/db-{number}"),
            from: "alpha".to_owned(),
            to: "beta".to_owned(),
            state: state.to_owned(),
            running: false,
            problem: Some(problem.to_owned()),
        };
        let volume = Volume {
            moves: vec![
                one(1, "moving", "it moves to node beta: 40 %"),
                one(2, "given_up", "after 5 attempts: no space left on device"),
            ],
            ..volume()
        };
        let shown = shown(&volume);
        let moves = shown.lines().skip_while(|line| !line.contains("moves:"));
        let moves: Vec<&str> = moves.skip(1).take(2).map(str::trim).collect();
        assert_eq!(
            moves,
            [
                "shop/db-1: moves from alpha to beta: it moves to node beta: 40 %",
                "shop/db-2: not moved to beta, given up: after 5 attempts: no space left on device",
            ]
        );
    }

    #[test]
    fn a_volume_shows_its_copies_and_who_mounts_it() {
        expect![[r#"
            demo/data:
              created: -
              scope: instance
              driver: local
              driver_opts:
                type: nfs
              instances:
                shop.db.data-1: on beta
                shop.db.data-2: on alpha
              services:
                - demo/shop/db
        "#]]
        .assert_eq(&shown(&volume()));
    }

    #[test]
    fn volumes_are_listed_with_where_they_are_and_who_mounts_them() {
        expect![[r#"
            NAME  SCOPE     DRIVER  CREATED AT
            data  instance  local   -
        "#]]
        .assert_eq(&table(&[volume()], false).render(Look::PLAIN));
        expect![[r#"
            NAME  SCOPE     DRIVER  CREATED AT  NODES       SERVICES
            data  instance  local   -           alpha,beta  shop/db
        "#]]
        .assert_eq(&table(&[volume()], true).render(Look::PLAIN));
    }

    #[test]
    fn an_option_of_a_driver_has_a_name_and_is_given_once() {
        let given = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            options(&texts).is_ok()
        };
        assert!(given(&["o=addr=10.0.0.5,rw", "type="]));
        assert!(!given(&["type"]) && !given(&["=x"]) && !given(&["a=1", "a=2"]));
    }
}
