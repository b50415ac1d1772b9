//! `external-registry`: where images are pulled from with a name and a password.

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use kontena_core::external_registry::RegistryName;
use kontena_core::id::GridName;
use serde_json::json;

use super::confirm::confirm;
use super::echo::hide;
use super::failure::Failure;
use super::secret;
use super::session::Session;
use super::table::Table;
use super::text::or_dash;
use crate::api::paths;
use crate::api::types::registry::{ExternalRegistries, ExternalRegistry, ExternalRegistryRequest};
use crate::api::types::{Changed, Saved};

/// Registries that ask for a name and a password
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena external-registry add -u me https://quay.io
  kontena service create app quay.io/me/app:1")]
pub(crate) struct ExternalRegistryCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Give every node the credentials of a registry
    #[command(after_help = "Example:
  kontena external-registry add -u me https://quay.io
  kontena external-registry add -u bot --password-stdin https://gcr.io < key

They take the place of others that the registry has. An image comes from the registry that its name \
begins with; one that names none comes from Docker's own, https://index.docker.io/v2/.")]
    Add {
        /// Whom the registry knows
        #[arg(short, long)]
        username: String,
        /// The password; asked for where it is not given. Others can see it in the list of processes
        #[arg(short, long, conflicts_with = "password_stdin")]
        password: Option<String>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// An e-mail address, for registries that want one
        #[arg(short, long)]
        email: Option<String>,
        /// Where it is
        #[arg(value_name = "URL", default_value = "https://index.docker.io/v2/")]
        registry: String,
    },
    /// List registries, without their passwords
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena external-registry ls"
    )]
    Ls {
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Forget a registry's credentials
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena external-registry rm quay.io\n\nImages that were pulled stay on the nodes. Whoever had a node's disk before may know the password: change it at the registry."
    )]
    Rm {
        /// The registry's name
        name: RegistryName,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
}

pub(crate) async fn run(session: &Session, asked: ExternalRegistryCommand) -> Result<(), Failure> {
    let grid = session.grid().await?;
    match asked.command {
        Command::Add {
            username,
            password,
            password_stdin,
            email,
            registry,
        } => {
            let password = read_password(session, password, password_stdin)?;
            let request = ExternalRegistryRequest {
                username,
                password,
                email,
                url: registry,
            };
            add(session, &grid, &request).await
        }
        Command::Ls { quiet } => list(session, &grid, quiet).await,
        Command::Rm { name, force } => remove(session, &grid, &name, force).await,
    }
}

fn read_password(
    session: &Session,
    given: Option<String>,
    from_stdin: bool,
) -> Result<String, Failure> {
    if from_stdin {
        return secret::password(std::io::stdin())
            .map_err(|problem| Failure::failed(format!("{problem:#}")));
    }
    if let Some(password) = given {
        let is_empty = password.is_empty();
        return match is_empty {
            true => Err(Failure::usage("the password is empty")),
            false => Ok(password),
        };
    }
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::usage("there is no password, and no terminal to ask for it on")
                .hint("write it to standard input, with `--password-stdin`"),
        );
    }
    let hidden = hide();
    let answer = session.output.ask_as_it_is("password:");
    drop(hidden);
    // The line break was typed where nobody saw it.
    session.output.talk("");
    let answer = answer
        .map_err(|problem| Failure::failed(format!("failed to read the password: {problem}")))?;
    answer
        .filter(|password| !password.is_empty())
        .ok_or_else(|| Failure::failed("there was no password: nothing was changed"))
}

async fn add(
    session: &Session,
    grid: &GridName,
    request: &ExternalRegistryRequest,
) -> Result<(), Failure> {
    let path = paths::external_registries(grid);
    let made: Changed<ExternalRegistry> = session.client.post(&path, request).await?;
    let said = format!("added the registry `{}`", made.object.name);
    session.print_change(&said, &made.saved, &made.object)
}

async fn list(session: &Session, grid: &GridName, quiet: bool) -> Result<(), Failure> {
    let path = paths::external_registries(grid);
    let answer: ExternalRegistries = session.client.get(&path).await?;
    let all = answer.external_registries;
    let names = all.iter().map(|registry| registry.name.clone());
    session.print_list(quiet, &all, names, &table(&all))
}

fn table(registries: &[ExternalRegistry]) -> Table {
    let mut table = Table::new(&["NAME", "USERNAME", "EMAIL", "MISSING ON"]);
    for registry in registries {
        let missing = registry.missing_on.join(",");
        table.row([
            registry.name.clone().into(),
            registry.username.clone().into(),
            or_dash(registry.email.as_ref()).into(),
            or_dash(Some(&missing).filter(|nodes| !nodes.is_empty())).into(),
        ]);
    }
    table
}

async fn remove(
    session: &Session,
    grid: &GridName,
    name: &RegistryName,
    force: bool,
) -> Result<(), Failure> {
    confirm(&session.output, "remove the registry", name.as_str(), force)?;
    let path = paths::external_registry(grid, name);
    let saved: Saved = session.client.delete(&path).await?;
    let said = format!("removed the registry `{name}`");
    session.print_change(&said, &saved, json!({"name": name}))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::output::Look;
    use super::*;

    #[test]
    fn registries_are_listed_with_the_nodes_that_cannot_use_them_yet() {
        let registry = |name: &str, missing: &[&str]| ExternalRegistry {
            id: format!("demo/{name}"),
            name: name.to_owned(),
            url: format!("https://{name}"),
            username: "me".to_owned(),
            email: None,
            created_at: None,
            missing_on: missing.iter().map(ToString::to_string).collect(),
        };
        let registries = [registry("gcr.io", &["b", "c"]), registry("quay.io", &[])];
        expect![[r#"
            NAME     USERNAME  EMAIL  MISSING ON
            gcr.io   me        -      b,c
            quay.io  me        -      -
        "#]]
        .assert_eq(&table(&registries).render(Look::PLAIN));
    }
}
