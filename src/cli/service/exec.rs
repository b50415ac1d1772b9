//! `service exec`: a command in instances of a service.

use clap::Args;
use kontena_core::id::ServiceKey;

use crate::api::paths;
use crate::api::types::instance::{Container, Containers};
use crate::cli::exec::{self, Call, Options};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::text::printable;

#[derive(Args, Debug)]
pub(super) struct Exec {
    #[command(flatten)]
    options: Options,
    /// In this instance, instead of the first that runs
    #[arg(long, value_name = "N", conflicts_with = "all")]
    instance: Option<u32>,
    /// In all instances that run, one after the other
    #[arg(short, long, conflicts_with = "interactive")]
    all: bool,
    /// Go on where the command fails in one of them
    #[arg(long, requires = "all")]
    skip: bool,
    /// Do not say which instance it is run in
    #[arg(long, conflicts_with = "verbose")]
    silent: bool,
    /// Say which instance it is run in, though it is one alone
    #[arg(long)]
    verbose: bool,
    /// A service, as `web` or `shop/web`
    #[arg(value_name = "[STACK/]SERVICE")]
    name: ServiceKey,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(super) async fn exec(session: &Session, asked: &Exec) -> Result<(), Failure> {
    asked.options.check(session, &asked.command, &[])?;
    let grid = session.grid().await?;
    let path = format!("{}/containers", paths::service(&grid, &asked.name));
    let answer: Containers = session.client.get(&path).await?;
    let chosen = chosen(session, asked, answer.containers)?;
    let mut ended = Vec::new();
    let mut outcome = Ok(());
    for container in &chosen {
        announce(session, asked, container);
        let run = in_one(session, asked, container, &mut ended).await;
        match run {
            Ok(0) => {}
            Ok(code) => outcome = exec::exit(code),
            Err(Failure::ReaderGone) => return Err(Failure::ReaderGone),
            Err(failure) if asked.skip => {
                outcome = Err(reported(session, container, failure));
            }
            Err(failure) => outcome = Err(failure),
        }
        if outcome.is_err() && !asked.skip {
            break;
        }
    }
    match (session.output.is_json(), asked.all, ended.as_slice()) {
        (false, ..) => {}
        (true, false, [one]) => session.output.json(one)?,
        (true, ..) => session.output.json(&ended)?,
    }
    outcome
}

/// What is said of a failure after which others follow.
fn reported(session: &Session, container: &Container, failure: Failure) -> Failure {
    if let Failure::Failed(complaint) | Failure::Usage(complaint) = &failure {
        let name = printable(&container.name);
        session
            .output
            .warn(&format!("{name}: {}", complaint.message));
        return Failure::Reported;
    }
    failure
}

async fn in_one(
    session: &Session,
    asked: &Exec,
    container: &Container,
    ended: &mut Vec<exec::Ended>,
) -> Result<i64, Failure> {
    let path = format!("{}/exec", paths::container(&container.id));
    let call = Call {
        path: &path,
        options: &asked.options,
        command: &asked.command,
        environment: &[],
        is_silent: true,
    };
    if !session.output.is_json() {
        return exec::run(session, &call).await;
    }
    let name = format!("{}/{}", container.node.name, container.name);
    let one = exec::kept(session, &call, Some(name)).await?;
    let code = one.exit_code;
    ended.push(one);
    Ok(code)
}

fn announce(session: &Session, asked: &Exec, container: &Container) {
    if (asked.all && !asked.silent) || asked.verbose {
        let (name, node) = (printable(&container.name), printable(&container.node.name));
        session
            .output
            .talk(&format!("running the command in `{name}` on `{node}`"));
    }
}

/// The instances that are meant, by their numbers; others are told of, where all are asked for.
fn chosen(
    session: &Session,
    asked: &Exec,
    containers: Vec<Container>,
) -> Result<Vec<Container>, Failure> {
    let name = &asked.name;
    let (running, others): (Vec<_>, Vec<_>) = containers
        .into_iter()
        .partition(|container| container.status == "running");
    if let Some(number) = asked.instance {
        let is_it = |container: &Container| container.instance_number == number;
        let other = others.into_iter().find(is_it);
        let found = running.into_iter().find(is_it);
        return found.map(|one| vec![one]).ok_or_else(|| match other {
            Some(other) => Failure::failed(format!(
                "instance {number} of service `{name}` does not run: it is {}",
                printable(&other.status)
            )),
            None => Failure::failed(format!(
                "service `{name}` has no container of instance {number}"
            )),
        });
    }
    if running.is_empty() {
        return Err(
            Failure::failed(format!("no instance of service `{name}` runs"))
                .hint(format!("`kontena service show {name}` tells why")),
        );
    }
    if !asked.all {
        return Ok(running.into_iter().take(1).collect());
    }
    for other in others {
        let (other, status) = (printable(&other.name), printable(&other.status));
        session
            .output
            .warn(&format!("`{other}` is {status}: it is left out"));
    }
    Ok(running)
}
