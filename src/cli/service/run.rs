//! `service run`: a command in a container of its own, made as an instance of a service is.

use clap::Args;
use kontena_core::id::{NodeName, ServiceKey};

use super::definition::variable;
use crate::api::paths;
use crate::cli::exec::{self, Call, Options};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    options: Options,
    /// Run it on this node, instead of the best
    #[arg(long, value_name = "NODE")]
    node: Option<NodeName>,
    /// Mount what this instance mounts, where it has it
    #[arg(long, value_name = "N")]
    instance: Option<u32>,
    /// Set a variable, in place of what the service says
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<String>,
    /// Do not say where it runs, and how its image is pulled
    #[arg(long)]
    silent: bool,
    /// A service, as `web` or `shop/web`
    #[arg(value_name = "[STACK/]SERVICE")]
    name: ServiceKey,
    /// The command and its arguments; the service's own where there is none
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(super) async fn run(session: &Session, asked: &Run) -> Result<(), Failure> {
    asked.options.check(session, &asked.command, &asked.env)?;
    let grid = session.grid().await?;
    let path = paths::run(&grid, &asked.name, asked.node.as_ref(), asked.instance);
    let call = Call {
        path: &path,
        options: &asked.options,
        command: &asked.command,
        environment: &asked.env,
        is_silent: asked.silent,
    };
    if !session.output.is_json() {
        return exec::exit(exec::run(session, &call).await?);
    }
    let ended = exec::kept(session, &call, None).await?;
    session.output.json(&ended)?;
    exec::exit(ended.exit_code)
}
