//! `service env`: single environment variables.

use clap::{Args, Subcommand};
use kontena_core::id::ServiceKey;
use kontena_core::stack::Service as CoreService;
use serde_json::json;

use super::updated;
use crate::api::client::ApiError;
use crate::api::paths::{self, encoded};
use crate::api::types::Changed;
use crate::api::types::service::{Service as WireService, ServiceJson};
use crate::cli::failure::Failure;
use crate::cli::session::{Session, about};
use crate::cli::text::printable;

/// Environment variables of a service
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kontena service env ls shop/web")]
pub(super) struct Environment {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List the variables
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena service env ls shop/web"
    )]
    Ls {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
    },
    /// Set a variable, new or not
    #[command(after_help = "Example:\n  kontena service env add shop/web LEVEL=debug")]
    Add {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// The variable and its value
        #[arg(value_name = "NAME=VALUE", value_parser = variable)]
        variable: String,
    },
    /// Remove variables
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena service env rm shop/web LEVEL"
    )]
    Rm {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// Variables
        #[arg(required = true, value_name = "NAME")]
        variables: Vec<String>,
    },
}

fn variable(text: &str) -> Result<String, String> {
    match CoreService::variable_name(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(problem) => Err(problem.to_string()),
    }
}

pub(super) async fn run(session: &Session, asked: Environment) -> Result<(), Failure> {
    match asked.command {
        Command::Ls { name } => list(session, &name).await,
        Command::Add { name, variable } => {
            let path = path(session, &name).await?;
            let body = json!({"env": variable});
            let answer = session.client.post(&path, &body).await;
            tell(session, &name, answer)
        }
        Command::Rm { name, variables } => {
            let path = path(session, &name).await?;
            let gone = async |variable: &String| {
                let answer: Result<Changed<WireService>, ApiError> = session
                    .client
                    .delete(&format!("{path}/{}", encoded(variable)))
                    .await;
                let changed = answer.map_err(about(format!("service `{name}`")))?;
                session.tell(&updated(&name, &changed.object), &changed.saved);
                Ok((changed.saved, ServiceJson::from(changed.object)))
            };
            session.change_each(&variables, gone).await
        }
    }
}

async fn path(session: &Session, name: &ServiceKey) -> Result<String, Failure> {
    let grid = session.grid().await?;
    Ok(format!("{}/envs", paths::service(&grid, name)))
}

fn tell(
    session: &Session,
    name: &ServiceKey,
    answer: Result<Changed<WireService>, ApiError>,
) -> Result<(), Failure> {
    let changed = answer.map_err(about(format!("service `{name}`")))?;
    let said = updated(name, &changed.object);
    session.print_change(&said, &changed.saved, ServiceJson::from(changed.object))
}

async fn list(session: &Session, name: &ServiceKey) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let service: WireService = session.client.get(&paths::service(&grid, name)).await?;
    let variables = service.definition.env;
    if session.output.is_json() {
        return session.output.json(&variables);
    }
    let lines = variables.iter().map(|variable| printable(variable) + "\n");
    session.output.data(&lines.collect::<String>())
}
