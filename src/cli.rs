//! The command line: what a user can say, asked of a node over its API.
//!
//! In: arguments and environment. Out: an exit code: 0 done, 1 failed, 2 used in the wrong way; that of a command in
//! a container is handed on. One
//! file for each group of commands; `output` alone prints, and what is printed is made by pure
//! functions. Not here: any rule of the grid: nodes decide.

mod complete;
mod completion;
mod confirm;
mod container;
mod contexts_file;
mod daemon;
mod demo;
mod deploy;
mod echo;
mod elsewhere;
mod etcd;
mod exec;
mod external_registry;
mod failure;
mod fence;
mod fields;
mod globals;
mod grid;
mod logs;
mod man;
mod master;
mod membership;
mod monitor;
mod moving;
mod network;
mod node;
mod openapi;
mod output;
mod patience;
mod plan;
mod proxy;
mod registry;
mod secret;
mod service;
mod session;
mod stack;
mod systemd;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod version;
mod volume;
mod vpn;
mod whoami;
mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use failure::Failure;
use globals::Globals;
use output::Output;
use session::{Environment, Session};

use crate::daemon::config::DaemonArgs;
use crate::telemetry;

/// Groups, because thirty commands in one column are read by nobody. A test holds it complete.
const HELP: &str = "\
{about}

{usage-heading} kontena [OPTIONS] COMMAND   (more, with examples: kontena COMMAND --help)

A node of the grid:
  daemon      Run this machine's node
  init        Make this node the first of a grid
  join        Make this node a member of a grid
  leave       Leave the grid for good
  token       Join tokens: create, ls, rm
  grid        The grid at hand: show, logs, health, backup, restore, use …
  node        The members of the grid: ls, show, update, drain, ssh, label …
  network     How the nodes reach each other: ls

What runs:
  stack       Services that come together: install, upgrade, deploy, ls, rm …
  service     One image in numbered instances: create, deploy, scale, logs …
  container   Single containers: ls, exec, inspect, logs
  why         Explain where a service runs
  plan        What would happen if: a node drains, dies, joins …
  volume      Where services keep data: create, ls, rm, backup, restore …
  registry    An image registry in the grid: create, rm
  external-registry  Registries that ask for a password: add, ls, rm
  etcd        Keys and values that every node has: get, set, ls, rm, health

The network:
  proxy       Ports of this machine that lead to services
  vpn         People's machines in it: create, user, config, ls, show, rm

This program:
  demo        Show a whole grid on this one machine
  master      Contexts: nodes to ask from another machine
  whoami      Who is asking which node
  version     Versions of this program and of the node that is asked
  completion  A script that completes commands in your shell

{options}";

/// A container platform for a handful of Docker hosts, without a master
#[derive(Parser, Debug)]
#[command(
    name = "kontena",
    bin_name = "kontena",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    help_template = HELP,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    /// Print this program's version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: (),
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run this machine's node, in the foreground
    #[command(after_help = "Example:
  kontena daemon --data-dir /var/lib/kontena --log debug

Each option can also be set in the environment, as KONTENA_DATA_DIR, or in the file, as data_dir. \
Only the file itself is named otherwise, by KONTENA_DAEMON_CONFIG: KONTENA_CONFIG names the file \
of contexts.
It waits for `kontena init` or `kontena join`.")]
    Daemon(DaemonArgs),
    Init(membership::Init),
    Join(membership::Join),
    Leave(membership::Leave),
    Token(token::Token),
    Grid(grid::Grid),
    Node(node::Node),
    Network(network::Network),
    Stack(stack::Stack),
    Service(service::Service),
    Container(container::Container),
    Why(why::Why),
    Plan(plan::Plan),
    Volume(volume::VolumeCommand),
    Registry(registry::RegistryCommand),
    ExternalRegistry(external_registry::ExternalRegistryCommand),
    Etcd(etcd::Etcd),
    Vpn(vpn::Vpn),
    Proxy(proxy::Proxy),
    Master(master::Master),
    Whoami(whoami::Whoami),
    Version(version::Version),
    Completion(completion::Completion),
    #[command(hide = true)]
    Complete(complete::Complete),
    #[command(hide = true)]
    Fence(fence::FenceCommand),
    #[command(hide = true)]
    Openapi(openapi::Openapi),
    #[command(hide = true)]
    Man(man::Man),
    Demo(demo::Demo),
}

/// Carries out one command line; the first argument is the program's name.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let environment = |name: &str| std::env::var(name).ok();
    let width = help_width(output::columns(&environment));
    let cli = match parse(arguments.clone(), width) {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(failure) = elsewhere::explained(&arguments, &error) {
                return exit_code(&Output::new(false, &environment), Err(failure));
            }
            output::usage_text(&error);
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let output = Output::new(cli.globals.json, &environment);
    if cli.globals.debug && !matches!(cli.command, Command::Daemon(_)) {
        telemetry::start(LevelFilter::DEBUG);
    }
    exit_code(&output, carry_out(cli, &environment, output))
}

/// Nobody reads longer lines, nor wants one word a line.
fn help_width(columns: Option<usize>) -> usize {
    columns.map_or(100, |columns| columns.clamp(40, 100))
}

/// Options that a command refuses are not in its help, which is `width` columns wide.
fn parse(arguments: impl IntoIterator<Item = OsString>, width: usize) -> Result<Cli, clap::Error> {
    let mut tree = tree(width);
    let parsed = tree.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&parsed).map_err(|error| error.format(&mut tree))
}

/// The commands as they are parsed, with the options of every command in their places.
fn tree(width: usize) -> clap::Command {
    let mut tree = Cli::command().term_width(width);
    tree.build();
    ["daemon", "demo", "completion", "fence", "openapi", "man"]
        .into_iter()
        .fold(tree, |tree, name| {
            tree.mut_subcommand(name, globals::hide_target)
        })
}

fn exit_code(output: &Output, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::ReportedUsage) => ExitCode::from(2),
        Err(Failure::Ended(code)) => ExitCode::from(code),
        Err(Failure::Failed(complaint)) => {
            output.complain(&complaint);
            ExitCode::FAILURE
        }
        Err(Failure::Usage(complaint)) => {
            output.complain(&complaint);
            ExitCode::from(2)
        }
    }
}

fn carry_out(cli: Cli, environment: Environment<'_>, output: Output) -> Result<(), Failure> {
    let Cli {
        globals, command, ..
    } = cli;
    if let Command::Daemon(asked) = &command {
        globals.refuse_target("daemon")?;
        return daemon::run(&output, environment, asked);
    }
    if let Command::Fence(asked) = &command {
        globals.refuse_target("fence")?;
        return fence::run(asked);
    }
    wait_for(ask(globals, command, environment, output))
}

/// One thread: a command waits for one node.
fn wait_for(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|problem| Failure::failed(format!("failed to start: {problem}")))?
        .block_on(command)
}

async fn ask(
    mut globals: Globals,
    command: Command,
    environment: Environment<'_>,
    output: Output,
) -> Result<(), Failure> {
    let session = async |globals: &Globals| Session::open(globals, environment, output).await;
    match command {
        Command::Join(asked) => {
            // Theirs is the join token: no node is to be sent it as the administrator's.
            (globals.token, globals.token_file) = (None, None);
            membership::join(&session(&globals).await?, asked).await
        }
        Command::Master(asked) => master::run(&output, &globals, environment, asked).await,
        Command::Init(asked) => membership::init(&session(&globals).await?, asked).await,
        Command::Leave(asked) => membership::leave(&session(&globals).await?, asked).await,
        Command::Token(asked) => token::run(&session(&globals).await?, asked).await,
        Command::Grid(asked) if grid::offline(&asked).is_some() => {
            globals.refuse_node("grid restore")?;
            grid::offline(&asked).map_or(Ok(()), |asked| {
                grid::restore::restore(&output, environment, asked)
            })
        }
        Command::Grid(asked) => grid::run(&session(&globals).await?, environment, asked).await,
        Command::Node(asked) => node::run(&session(&globals).await?, asked).await,
        Command::Network(asked) => network::run(&session(&globals).await?, asked).await,
        Command::Stack(asked) if stack::is_offline(&asked) => {
            stack::run_offline(&output, globals.grid.as_ref(), asked)
        }
        Command::Stack(asked) => stack::run(&session(&globals).await?, asked).await,
        Command::Service(asked) => service::run(&session(&globals).await?, asked).await,
        Command::Container(asked) => container::run(&session(&globals).await?, asked).await,
        Command::Why(asked) => why::run(&session(&globals).await?, asked).await,
        Command::Plan(asked) => plan::run(&session(&globals).await?, asked).await,
        Command::Proxy(asked) => proxy::run(&session(&globals).await?, asked).await,
        Command::Registry(asked) => registry::run(&session(&globals).await?, asked).await,
        Command::Volume(asked) => volume::run(&session(&globals).await?, asked).await,
        Command::ExternalRegistry(asked) => {
            external_registry::run(&session(&globals).await?, asked).await
        }
        Command::Etcd(asked) => etcd::run(&session(&globals).await?, asked).await,
        Command::Vpn(asked) => vpn::run(&session(&globals).await?, environment, asked).await,
        Command::Whoami(asked) => whoami::run(&session(&globals).await?, asked).await,
        Command::Version(asked) => {
            version::run(&output, async || session(&globals).await, asked).await
        }
        Command::Demo(asked) => {
            globals.refuse_target("demo")?;
            demo::run(&output, &asked).await
        }
        Command::Completion(asked) => {
            globals.refuse_target("completion")?;
            completion::run(&output, &asked)
        }
        Command::Openapi(_) => {
            globals.refuse_target("openapi")?;
            openapi::run(&output)
        }
        Command::Man(asked) => {
            globals.refuse_target("man")?;
            man::run(&output, &tree(help_width(None)), &asked)
        }
        Command::Complete(asked) => {
            complete::run(
                &output,
                &tree(help_width(None)),
                || session(&globals),
                asked,
            )
            .await
        }
        Command::Daemon(_) => unreachable!("the daemon makes a runtime of its own"),
        Command::Fence(_) => unreachable!("the fence has no runtime"),
    }
}
