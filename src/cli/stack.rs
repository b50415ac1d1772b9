//! `stack`: services that come together, from a `kontena.yml`.

mod build;
mod carried;
mod family;
mod file;
mod history;
mod labels;
mod monitor;
mod plan;
mod registry;
mod remove;
mod render;
mod resolve;
mod revise;
mod validate;
mod values;
mod world;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use kontena_core::id::{GridName, ServiceName, StackName};
use kontena_core::view::RevisionName;
use serde_json::json;

use self::family::Family;
use self::values::Values;
use super::deploy::{self, StackDeployJson, Wait};
use super::failure::Failure;
use super::logs::{self, LogOptions};
use super::monitor::Interval;
use super::output::Output;
use super::session::{Session, about};
use crate::api::paths;
use crate::api::types::deploy::StackDeploy;
use crate::api::types::stack::{Stack as WireStack, StackJson, Stacks};
use crate::api::types::{Changed, Saved};

/// Stacks: services that come together, from a `kontena.yml`
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena stack install
  kontena stack show shop")]
pub(crate) struct Stack {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Check a stack file and print what it means; asks no node
    #[command(after_help = "Example:\n  kontena stack validate kontena.yml")]
    Validate {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        shape: Shape,
    },
    /// Make a stack file of a Docker Compose file, or of an old `kontena.yml` without stacks
    ///
    /// The stack file is printed; what has no counterpart is told on standard error.
    #[command(after_help = "Example:\n  kontena stack convert docker-compose.yml > kontena.yml")]
    Convert {
        /// The file, or `-` for standard input
        #[arg(default_value = "docker-compose.yml")]
        file: PathBuf,
        /// The stack's name [default: the file's own, or that of its folder]
        #[arg(short, long, value_parser = stack_name)]
        name: Option<StackName>,
    },
    /// Build the images of services that have `build`, and push them; asks no node
    #[command(after_help = "Example:\n  kontena stack build --no-push web")]
    Build(build::Build),
    /// Stacks of a registry: find them, fetch them, and give others yours; asks no node
    #[command(visible_alias = "reg", after_help = registry::EXAMPLE)]
    Registry {
        #[command(subcommand)]
        command: registry::Command,
    },
    /// Print a JSON schema of stack files, for editors
    #[command(after_help = "Example:\n  kontena stack schema > kontena.schema.json")]
    Schema,
    /// Install a stack from a file, deploy it and wait until it is healthy
    #[command(after_help = "Example:\n  kontena stack install --name shop-test kontena.yml")]
    Install {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        family: Family,
        #[command(flatten)]
        deploy: Deploy,
        #[command(flatten)]
        wait: Wait,
    },
    /// Give an installed stack a new revision from a file, and deploy it
    #[command(after_help = "Example:\n  kontena stack upgrade shop kontena.yml")]
    Upgrade {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// The stack file, `-` for standard input, a URL, or USER/STACK[:VERSION] of a registry
        #[arg(default_value = "kontena.yml")]
        file: PathBuf,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        family: Family,
        /// Take the values of the last time, and ask only for what had none
        #[arg(long)]
        reuse_values: bool,
        #[command(flatten)]
        deploy: Deploy,
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        consent: Consent,
    },
    /// List the revisions of a stack, the newest first
    #[command(after_help = "Example:\n  kontena stack history shop")]
    History {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// Print revisions only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show what lies between two revisions of a stack, or between it and a file
    ///
    /// Without a revision: between the one before the newest and the newest. With one: between it and what is
    /// stored now. With a file: what an upgrade to it would do.
    #[command(
        after_help = "Example:\n  kontena stack diff shop 3\n  kontena stack diff shop kontena.yml"
    )]
    Diff {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// A revision (`7`, `7~ab12`, or the beginning of its hash), or a stack file
        #[arg(value_name = "REVISION|FILE")]
        from: Option<String>,
        /// A second revision
        #[arg(value_name = "REVISION", value_parser = revision)]
        to: Option<String>,
        #[command(flatten)]
        values: Values,
    },
    /// Give a stack a new revision with the content of an old one, and deploy it
    ///
    /// Data does not come back: a stateful service that was removed meanwhile begins with new volumes.
    #[command(after_help = "Example:\n  kontena stack rollback shop 3")]
    Rollback {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// `7`, `7~ab12`, or the beginning of its hash [default: the one before the newest]
        #[arg(value_parser = revision)]
        revision: Option<String>,
        #[command(flatten)]
        deploy: Deploy,
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        consent: Consent,
    },
    /// Settle what two sides of a split gave a stack differently, and deploy it
    ///
    /// `stack show` lists what that is. What is in force stays, unless a revision is taken; what only one side
    /// touched stays in any case. It is a new revision.
    #[command(
        after_help = "Example:\n  kontena stack resolve shop\n  kontena stack resolve shop --take 7~ab12 --service web"
    )]
    Resolve {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        #[command(flatten)]
        take: resolve::Take,
        #[command(flatten)]
        deploy: Deploy,
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        consent: Consent,
    },
    /// Run the newest revision of stacks
    #[command(
        visible_alias = "start",
        after_help = "Example:\n  kontena stack deploy shop"
    )]
    Deploy {
        #[command(flatten)]
        names: Names,
        #[command(flatten)]
        wait: Wait,
    },
    /// Stop all services of stacks
    #[command(after_help = "Example:\n  kontena stack stop shop")]
    Stop(Names),
    /// Restart all containers of stacks
    #[command(after_help = "Example:\n  kontena stack restart shop")]
    Restart(Names),
    /// List stacks
    #[command(visible_alias = "list", after_help = "Example:\n  kontena stack ls")]
    Ls {
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show a stack and its services
    #[command(
        after_help = "Example:\n  kontena stack show shop\n  kontena stack show shop --values-to values.yml"
    )]
    Show {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// Print only the values of its variables, as a file for `--values-from`
        #[arg(long)]
        values: bool,
        /// Write the values of its variables to a file for `--values-from`; they are printed with `--values` alone
        #[arg(long, value_name = "FILE")]
        values_to: Option<PathBuf>,
    },
    /// Print the file that a stack was installed from
    #[command(after_help = "Example:\n  kontena stack inspect shop > kontena.yml")]
    Inspect {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
    },
    /// Remove stacks, with all their services and containers, and the stacks that they brought along; volumes stay
    ///
    /// The volumes of stateful services stay on their nodes, and no new service gets them. On a node,
    /// `docker volume ls --filter name=STACK.` finds them, and `docker volume rm` removes them.
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena stack rm shop"
    )]
    Rm {
        #[command(flatten)]
        names: Names,
        /// Keep the stacks that they brought along
        #[arg(long)]
        keep_dependencies: bool,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
    /// List and change the labels of a stack
    ///
    /// They are for people: nothing follows from them. The next upgrade or rollback says anew what there is.
    #[command(after_help = "Example:\n  kontena stack label add shop team=blue")]
    Label {
        #[command(subcommand)]
        command: labels::Command,
    },
    /// Show where the services of a stack run, again and again
    ///
    /// On a terminal each look takes the place of the one before; `--json` prints a line each time.
    #[command(after_help = "Example:\n  kontena stack monitor shop web")]
    Monitor {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// Services of the stack; all where none is named
        #[arg(value_name = "SERVICE")]
        services: Vec<ServiceName>,
        #[command(flatten)]
        interval: Interval,
    },
    /// Print the logs of a stack, or of some of its services
    #[command(after_help = "Example:\n  kontena stack logs -f shop web")]
    Logs {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// Services of the stack; all where none is named
        #[arg(value_name = "SERVICE")]
        services: Vec<ServiceName>,
        #[command(flatten)]
        options: LogOptions,
    },
}

#[derive(Args, Debug)]
struct File {
    /// The stack file, `-` for standard input, a URL, or USER/STACK[:VERSION] of a registry
    #[arg(default_value = "kontena.yml")]
    file: PathBuf,
    /// What it is installed as [default: the last part of the file's own name]
    #[arg(short, long, value_parser = stack_name)]
    name: Option<StackName>,
}

#[derive(Args, Clone, Copy, Debug)]
struct Deploy {
    /// Only record it: nothing that runs changes
    #[arg(long, overrides_with = "deploy")]
    no_deploy: bool,
    /// Deploy it (the default)
    #[arg(long, hide = true)]
    deploy: bool,
}

/// What is printed of a file.
#[derive(Args, Clone, Copy, Debug)]
struct Shape {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    /// Print which stacks it brings along instead
    #[arg(long)]
    dependency_tree: bool,
}

/// What is done about a plan before it is carried out.
#[derive(Args, Clone, Copy, Debug)]
struct Consent {
    /// Only show what it would do
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
struct Names {
    /// Stacks
    #[arg(required = true, value_name = "NAME", value_parser = stack_name)]
    names: Vec<StackName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    /// What `install` sends
    ApiJson,
}

/// The hidden stack of services without one is not for stack commands.
fn stack_name(text: &str) -> Result<StackName, String> {
    let name: StackName = text
        .parse()
        .map_err(|problem: kontena_core::id::InvalidId| problem.to_string())?;
    if name.is_null() {
        return Err(
            "`null` means no stack; services without one are seen with `kontena service`"
                .to_owned(),
        );
    }
    Ok(name)
}

/// A name that may lead to a revision.
fn revision(text: &str) -> Result<String, String> {
    let parsed: Result<RevisionName, _> = text.parse();
    parsed
        .map(|_| text.to_owned())
        .map_err(|problem| problem.to_string())
}

/// Whether the command asks no node: then it is carried out by [`run_offline`].
/// Removes a stack that another command is about.
pub(crate) async fn remove_stack(
    session: &Session,
    name: &StackName,
    force: bool,
) -> Result<(), Failure> {
    remove::remove(session, std::slice::from_ref(name), false, force).await
}

/// Deploys a stack that another command has made.
pub(crate) async fn deploy_new(
    session: &Session,
    grid: &GridName,
    name: &StackName,
    made: Changed<WireStack>,
    wait: Wait,
) -> Result<(), Failure> {
    let recorded = revise::Recorded::alone("created", made);
    let deploy = Deploy {
        no_deploy: false,
        deploy: true,
    };
    revise::follow_up(session, grid, name, recorded, deploy, wait).await
}

pub(crate) fn is_offline(asked: &Stack) -> bool {
    matches!(
        asked.command,
        Command::Validate { .. }
            | Command::Convert { .. }
            | Command::Build(_)
            | Command::Registry { .. }
            | Command::Schema
    )
}

/// A command that asks no node.
pub(crate) fn run_offline(
    output: &Output,
    grid: Option<&GridName>,
    asked: Stack,
) -> Result<(), Failure> {
    match asked.command {
        Command::Validate {
            file,
            values,
            shape,
        } => validate::validate(output, grid, &file, &values, shape),
        Command::Convert { file, name } => file::convert(output, &file, name.as_ref()),
        Command::Build(asked) => build::build(output, grid, &asked),
        Command::Registry { command } => registry::run(output, command),
        Command::Schema => output.json(&kontena_stackfile::schema()),
        Command::Install { .. }
        | Command::Upgrade { .. }
        | Command::History { .. }
        | Command::Diff { .. }
        | Command::Rollback { .. }
        | Command::Resolve { .. }
        | Command::Deploy { .. }
        | Command::Stop(_)
        | Command::Restart(_)
        | Command::Ls { .. }
        | Command::Show { .. }
        | Command::Monitor { .. }
        | Command::Inspect { .. }
        | Command::Rm { .. }
        | Command::Label { .. }
        | Command::Logs { .. } => unreachable!("these ask a node"),
    }
}

pub(crate) async fn run(session: &Session, asked: Stack) -> Result<(), Failure> {
    match asked.command {
        Command::Validate { .. }
        | Command::Convert { .. }
        | Command::Build(_)
        | Command::Registry { .. }
        | Command::Schema => {
            unreachable!("it was carried out without a session")
        }
        Command::Install {
            file,
            values,
            family,
            deploy,
            wait,
        } => revise::install(session, &file, &values, &family, deploy, wait).await,
        Command::Upgrade {
            name,
            file,
            values,
            family,
            reuse_values,
            deploy,
            wait,
            consent,
        } => {
            let given = revise::Upgrade {
                values: &values,
                family: &family,
                reuse_values,
                consent,
            };
            revise::upgrade(session, &name, &file, given, deploy, wait).await
        }
        Command::History { name, quiet } => history::show(session, &name, quiet).await,
        Command::Diff {
            name,
            from,
            to,
            values,
        } => revise::diff(session, &name, from, to, &values).await,
        Command::Rollback {
            name,
            revision,
            deploy,
            wait,
            consent,
        } => revise::rollback(session, &name, revision, consent, deploy, wait).await,
        Command::Resolve {
            name,
            take,
            deploy,
            wait,
            consent,
        } => resolve::resolve(session, &name, take, consent, deploy, wait).await,
        Command::Deploy { names, wait } => deploy_all(session, &names, wait).await,
        Command::Stop(names) => order(session, &names, "stop", "stopped").await,
        Command::Restart(names) => order(session, &names, "restart", "restarted").await,
        Command::Ls { quiet } => list(session, quiet).await,
        Command::Show {
            name,
            values,
            values_to,
        } => show(session, &name, values, values_to.as_deref()).await,
        Command::Inspect { name } => inspect(session, &name).await,
        Command::Rm {
            names,
            keep_dependencies,
            force,
        } => remove::remove(session, &names.names, keep_dependencies, force).await,
        Command::Label { command } => labels::run(session, command).await,
        Command::Monitor {
            name,
            services,
            interval,
        } => monitor::monitor(session, &name, &services, interval).await,
        Command::Logs {
            name,
            services,
            options,
        } => stack_logs(session, &name, &services, &options).await,
    }
}

async fn deploy(
    session: &Session,
    grid: &GridName,
    name: &StackName,
    wait: Wait,
) -> Result<(Saved, StackDeploy), Failure> {
    let path = paths::stack(grid, name);
    let begun: Changed<StackDeploy> = session
        .client
        .post(&format!("{path}/deploy"), &json!({}))
        .await?;
    session.warn_of(&begun.saved);
    let what = format!("stack `{name}`");
    let deploy = deploy::finish(session, &what, &path, begun.object, wait).await?;
    session
        .output
        .talk(&format!("{} stack `{name}`", wait.done()));
    Ok((begun.saved, deploy))
}

async fn deploy_all(session: &Session, names: &Names, wait: Wait) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let deploy_one = async |name: &StackName| {
        let (saved, deploy) = deploy(session, &grid, name, wait).await?;
        Ok((saved, StackDeployJson::from(deploy)))
    };
    session.change_each(&names.names, deploy_one).await
}

async fn order(session: &Session, names: &Names, what: &str, done: &str) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let order_one = async |name: &StackName| {
        let path = format!("{}/{what}", paths::stack(&grid, name));
        let answer = session.client.post(&path, &json!({})).await;
        let changed: Changed<WireStack> = answer.map_err(about(format!("stack `{name}`")))?;
        session.tell(&format!("{done} stack `{name}`"), &changed.saved);
        Ok((changed.saved, StackJson::from(changed.object)))
    };
    session.change_each(&names.names, order_one).await
}

async fn list(session: &Session, quiet: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let Stacks { stacks } = session.client.get(&paths::stacks(&grid)).await?;
    let names: Vec<String> = stacks.iter().map(|stack| stack.name.clone()).collect();
    let table = render::table(&family::tree(&stacks));
    let json: Vec<StackJson> = stacks.into_iter().map(StackJson::from).collect();
    session.print_list(quiet, &json, names.into_iter(), &table)
}

async fn get(session: &Session, name: &StackName) -> Result<WireStack, Failure> {
    let grid = session.grid().await?;
    Ok(session.client.get(&paths::stack(&grid, name)).await?)
}

async fn show(
    session: &Session,
    name: &StackName,
    values: bool,
    values_to: Option<&Path>,
) -> Result<(), Failure> {
    let stack = get(session, name).await?;
    if let Some(path) = values_to {
        values::write(path, &render::values(&stack))?;
        let said = format!("wrote the values of stack `{name}` to `{}`", path.display());
        session.output.talk(&said);
        if !values {
            return Ok(());
        }
    }
    if values {
        let text = render::values(&stack);
        return session.print_object(&stack.variables, || text);
    }
    let text = render::shown(&stack);
    session.print_object(&StackJson::from(stack), || text)
}

async fn inspect(session: &Session, name: &StackName) -> Result<(), Failure> {
    let stack = get(session, name).await?;
    let source = stack.source.ok_or_else(|| {
        Failure::failed(format!(
            "stack `{name}` was installed without the text of a file"
        ))
    })?;
    let json = json!({"name": name, "source": source, "metadata": stack.metadata});
    session.print_object(&json, || {
        let end = if source.ends_with('\n') { "" } else { "\n" };
        format!("{source}{end}")
    })
}

async fn stack_logs(
    session: &Session,
    name: &StackName,
    services: &[ServiceName],
    options: &LogOptions,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = format!("{}/container_logs", paths::stack(&grid, name));
    let names: Vec<String> = services
        .iter()
        .map(|service| format!("{name}/{service}"))
        .collect();
    let mut query = Vec::new();
    if !names.is_empty() {
        query.push(("services", names.join(",")));
    }
    logs::print(session, &path, query, options).await
}
