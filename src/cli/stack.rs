//! `stack`: services that come together, from a `kontena.yml`.

mod carried;
mod echo;
mod file;
mod history;
mod plan;
mod render;
mod values;
mod world;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kontena_core::id::{GridName, ServiceName, StackName};
use kontena_core::manifest::compiled::{self, Compiled};
use kontena_core::view::RevisionName;
use kontena_stackfile::{Value, yaml};
use serde_json::json;

use self::file::{Reading, compile, tell_what_is_not_carried_out};
use self::values::Values;
use super::confirm::confirm;
use super::deploy::{self, StackDeployJson, Wait};
use super::failure::Failure;
use super::logs::{self, LogOptions};
use super::output::Output;
use super::session::{Session, about};
use crate::api::paths;
use crate::api::types::deploy::StackDeploy;
use crate::api::types::revision::Rollback;
use crate::api::types::service::Services;
use crate::api::types::stack::{Stack as WireStack, StackJson, Stacks};
use crate::api::types::{Changed, Saved};

/// The grid and the platform that a file is checked against where no node is asked, as in Kontena.
const NO_GRID: (&str, &str) = ("validate", "validate-platform");

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
        /// How it is printed
        #[arg(long, value_enum, default_value_t = Format::Yaml)]
        format: Format,
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
        /// The stack file, or `-` for standard input
        #[arg(default_value = "kontena.yml")]
        file: PathBuf,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        deploy: Deploy,
        #[command(flatten)]
        wait: Wait,
        /// Only show what it would do
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
    /// List the revisions of a stack, the newest first
    #[command(after_help = "Example:\n  kontena stack history shop")]
    History {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
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
        /// Only show what it would do
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        force: bool,
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
    #[command(after_help = "Example:\n  kontena stack show shop")]
    Show {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
    },
    /// Print the file that a stack was installed from
    #[command(after_help = "Example:\n  kontena stack inspect shop > kontena.yml")]
    Inspect {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
    },
    /// Remove stacks, with all their services and containers; volumes stay
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
        /// Do not ask
        #[arg(long)]
        force: bool,
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
    /// The stack file, or `-` for standard input
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
pub(crate) fn is_offline(asked: &Stack) -> bool {
    matches!(
        asked.command,
        Command::Validate { .. } | Command::Convert { .. } | Command::Schema
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
            format,
        } => validate(output, grid, &file, &values, format),
        Command::Convert { file, name } => file::convert(output, &file, name.as_ref()),
        Command::Schema => output.json(&kontena_stackfile::schema()),
        Command::Install { .. }
        | Command::Upgrade { .. }
        | Command::History { .. }
        | Command::Diff { .. }
        | Command::Rollback { .. }
        | Command::Deploy { .. }
        | Command::Stop(_)
        | Command::Restart(_)
        | Command::Ls { .. }
        | Command::Show { .. }
        | Command::Inspect { .. }
        | Command::Rm { .. }
        | Command::Logs { .. } => unreachable!("these ask a node"),
    }
}

fn validate(
    output: &Output,
    grid: Option<&GridName>,
    file: &File,
    values: &Values,
    format: Format,
) -> Result<(), Failure> {
    let (grid, platform) = grid.map_or(NO_GRID, |grid| (grid.as_str(), grid.as_str()));
    let stack = Reading {
        output,
        file: &file.file,
        name: file.name.as_ref(),
        grid,
        platform,
        values,
        services: None,
    }
    .stack()?;
    tell_what_is_not_carried_out(output, &stack);
    let mut payload = stack.payload.to_json();
    if output.is_json() || format == Format::ApiJson {
        return output.json(&payload);
    }
    payload["source"].take();
    output.data(&yaml::print(&Value::from_json(&without_nulls(payload))))
}

/// What says nothing is not printed for people.
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields
                .map(|(key, value)| (key, without_nulls(value)))
                .collect()
        }
        Json::Array(items) => items.into_iter().map(without_nulls).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value,
    }
}

/// What a file means on this grid.
async fn read(
    session: &Session,
    grid: &GridName,
    file: &std::path::Path,
    name: Option<&StackName>,
    values: &Values,
) -> Result<Compiled, Failure> {
    let Services { services } = session.client.get(&paths::services(grid)).await?;
    let stack = Reading {
        output: &session.output,
        file,
        name,
        grid: grid.as_str(),
        platform: grid.as_str(),
        values,
        services: Some(services),
    }
    .stack()?;
    compile(&session.output, &stack)
}

pub(crate) async fn run(session: &Session, asked: Stack) -> Result<(), Failure> {
    match asked.command {
        Command::Validate { .. } | Command::Convert { .. } | Command::Schema => {
            unreachable!("it was carried out without a session")
        }
        Command::Install {
            file,
            values,
            deploy,
            wait,
        } => install(session, &file, &values, deploy, wait).await,
        Command::Upgrade {
            name,
            file,
            values,
            deploy,
            wait,
            dry_run,
            force,
        } => {
            let grid = session.grid().await?;
            let compiled = read(session, &grid, &file, Some(&name), &values).await?;
            let plan = plan::of_file(session, &grid, &compiled).await?;
            if dry_run {
                return plan::print(session, &plan);
            }
            plan::announce(session, &name, &plan, force)?;
            upgrade(session, &grid, &compiled, deploy, wait).await
        }
        Command::History { name } => history::show(session, &name).await,
        Command::Diff {
            name,
            from,
            to,
            values,
        } => diff(session, &name, from, to, &values).await,
        Command::Rollback {
            name,
            revision,
            deploy,
            wait,
            dry_run,
            force,
        } => {
            let grid = session.grid().await?;
            let to = match revision {
                Some(revision) => revision,
                None => {
                    let [_, previous] = history::newest_two(session, &grid, &name).await?;
                    previous.hash
                }
            };
            let plan = plan::between(session, &grid, &name, None, Some(&to)).await?;
            if dry_run {
                return plan::print(session, &plan);
            }
            plan::announce(session, &name, &plan, force)?;
            rollback(session, &grid, &name, to, deploy, wait).await
        }
        Command::Deploy { names, wait } => deploy_all(session, &names, wait).await,
        Command::Stop(names) => order(session, &names, "stop", "stopped").await,
        Command::Restart(names) => order(session, &names, "restart", "restarted").await,
        Command::Ls { quiet } => list(session, quiet).await,
        Command::Show { name } => show(session, &name).await,
        Command::Inspect { name } => inspect(session, &name).await,
        Command::Rm { names, force } => remove(session, &names, force).await,
        Command::Logs {
            name,
            services,
            options,
        } => stack_logs(session, &name, &services, &options).await,
    }
}

async fn install(
    session: &Session,
    file: &File,
    values: &Values,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let compiled = read(session, &grid, &file.file, file.name.as_ref(), values).await?;
    let answer = session
        .client
        .post(&paths::stacks(&grid), &compiled::write(&compiled))
        .await;
    let made: Changed<WireStack> = answer.map_err(|problem| {
        let name = &compiled.name;
        let exists = problem.kind == crate::api::types::error::ErrorKind::Exists;
        let failure = Failure::from(problem);
        if exists {
            failure.hint(format!(
                "`kontena stack upgrade {name}` changes it; `--name` installs another one"
            ))
        } else {
            failure
        }
    })?;
    let name = &compiled.name;
    follow_up(session, &grid, name, "installed", made, deploy, wait).await
}

async fn upgrade(
    session: &Session,
    grid: &GridName,
    compiled: &Compiled,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let path = paths::stack(grid, &compiled.name);
    let changed: Changed<WireStack> = session
        .client
        .put(&path, &compiled::write(compiled))
        .await?;
    let name = &compiled.name;
    follow_up(session, grid, name, "upgraded", changed, deploy, wait).await
}

async fn rollback(
    session: &Session,
    grid: &GridName,
    name: &StackName,
    to: String,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let path = format!("{}/rollback", paths::stack(grid, name));
    let body = Rollback { revision: Some(to) };
    let changed: Changed<WireStack> = session.client.post(&path, &body).await?;
    follow_up(session, grid, name, "rolled back", changed, deploy, wait).await
}

async fn diff(
    session: &Session,
    name: &StackName,
    from: Option<String>,
    to: Option<String>,
    values: &Values,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let plan = match from {
        None => {
            let [newest, previous] = history::newest_two(session, &grid, name).await?;
            plan::between(
                session,
                &grid,
                name,
                Some(&previous.hash),
                Some(&newest.hash),
            )
            .await?
        }
        Some(from) if to.is_some() || revision(&from).is_ok() => {
            plan::between(session, &grid, name, Some(&from), to.as_deref()).await?
        }
        Some(file) => {
            let compiled = read(session, &grid, file.as_ref(), Some(name), values).await?;
            plan::of_file(session, &grid, &compiled).await?
        }
    };
    plan::print(session, &plan)
}

/// After the revision is recorded: deploy, wait, and show what came of it.
async fn follow_up(
    session: &Session,
    grid: &GridName,
    name: &StackName,
    done: &str,
    changed: Changed<WireStack>,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    session.output.talk(&format!("{done} stack `{name}`"));
    session.warn_if_on_one_only(&changed.saved);
    if deploy.no_deploy {
        return session.print_changed(&changed.saved, StackJson::from(changed.object));
    }
    let (saved, _) = self::deploy(session, grid, name, wait).await?;
    if !session.output.is_json() {
        return Ok(());
    }
    let now: WireStack = session.client.get(&paths::stack(grid, name)).await?;
    session.print_changed(&saved, StackJson::from(now))
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
    session.warn_if_on_one_only(&begun.saved);
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
    let table = render::table(&stacks);
    let json: Vec<StackJson> = stacks.into_iter().map(StackJson::from).collect();
    session.print_list(quiet, &json, names.into_iter(), &table)
}

async fn get(session: &Session, name: &StackName) -> Result<WireStack, Failure> {
    let grid = session.grid().await?;
    Ok(session.client.get(&paths::stack(&grid, name)).await?)
}

async fn show(session: &Session, name: &StackName) -> Result<(), Failure> {
    let stack = get(session, name).await?;
    let text = render::shown(&stack);
    session.print_object(&StackJson::from(stack), || text)
}

async fn inspect(session: &Session, name: &StackName) -> Result<(), Failure> {
    let source = get(session, name).await?.source.ok_or_else(|| {
        Failure::failed(format!(
            "stack `{name}` was installed without the text of a file"
        ))
    })?;
    session.print_object(&json!({"name": name, "source": source}), || {
        let end = if source.ends_with('\n') { "" } else { "\n" };
        format!("{source}{end}")
    })
}

async fn remove(session: &Session, names: &Names, force: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let remove_one = async |name: &StackName| {
        let path = paths::stack(&grid, name);
        let answer = session.client.get(&path).await;
        let stack: WireStack = answer.map_err(about(format!("stack `{name}`")))?;
        if !stack.services.is_empty() {
            let said = plan::text(&plan::of_removal(&stack));
            session.output.talk(said.trim_end());
        }
        confirm(&session.output, "remove stack", name.as_str(), force)?;
        let answer = session.client.delete(&path).await;
        let saved: Saved = answer.map_err(about(format!("stack `{name}`")))?;
        session.tell(&format!("removed stack `{name}`"), &saved);
        Ok((saved, json!({"name": name})))
    };
    session.change_each(&names.names, remove_one).await
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
