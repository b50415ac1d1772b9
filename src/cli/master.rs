//! `master`: contexts, that is nodes to ask from afar. Kontena's word; there is no master.

use std::io::{self, IsTerminal};

use clap::{Args, Subcommand};
use futures::future::join_all;
use serde::Serialize;
use serde_json::json;

use super::confirm::confirm;
use super::contexts_file::{self, Contexts};
use super::failure::Failure;
use super::globals::Globals;
use super::output::Output;
use super::session::Environment;
use super::table::Table;
use super::text::or_dash;
use crate::api::client::Client;
use crate::api::paths;
use crate::api::target::Target;
use crate::api::types::membership::Status;

/// Contexts: nodes to ask from another machine
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena master use home --url http://10.0.0.1:8480 --token @token.txt
  kontena node ls

A context may have the addresses of several nodes, with commas between them: the first that answers is asked. \
Contexts are kept in ~/.kontena_client.json, or where KONTENA_CONFIG says.")]
pub(crate) struct Master {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Choose a context; with `--url` and `--token` make or change it first
    #[command(after_help = "Example:
  kontena master use home --url http://10.0.0.1:8480 --token @token.txt
  kontena master use home --url http://10.0.0.1:8480,http://10.0.0.2:8480
  kontena master use --clear")]
    Use {
        /// The context; asked for on a terminal where it is not given
        name: Option<String>,
        /// Choose none: ask the daemon of this machine
        #[arg(long, conflicts_with_all = ["name", "url"])]
        clear: bool,
    },
    /// List contexts
    #[command(visible_alias = "list", after_help = "Example:\n  kontena master ls")]
    Ls {
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show the chosen context
    #[command(after_help = "Example:\n  kontena master current --name")]
    Current {
        /// Print its name only
        #[arg(long, conflicts_with = "address")]
        name: bool,
        /// Print its address only
        #[arg(long)]
        address: bool,
    },
    /// Forget a context; nothing changes on its node
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena master rm home"
    )]
    Rm {
        /// The context; asked for on a terminal where it is not given
        name: Option<String>,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
}

/// A context in `--json`; its token is shown nowhere.
#[derive(Serialize)]
struct ContextJson<'a> {
    name: &'a str,
    url: Option<&'a str>,
    /// Where else the same grid is asked.
    other_urls: &'a [String],
    /// The grid that is meant there.
    grid: Option<&'a str>,
    current: bool,
}

pub(crate) async fn run(
    output: &Output,
    globals: &Globals,
    environment: Environment<'_>,
    asked: Master,
) -> Result<(), Failure> {
    let mut contexts = contexts_file::read(environment)?;
    match asked.command {
        Command::Use { clear: true, .. } => {
            contexts.current_server = None;
            contexts_file::write(&contexts, environment)?;
            output.talk("no context is chosen: the daemon of this machine is asked");
            print_if_json(output, &json!(null))
        }
        Command::Use { name, clear: false } => {
            let name = given_or_asked(output, &contexts, name)?;
            choose(output, globals, &mut contexts, name).await?;
            contexts_file::write(&contexts, environment)
        }
        Command::Ls { quiet } => list(output, &contexts, quiet),
        Command::Current { name, address } => current(output, &contexts, name, address),
        Command::Rm { name, force } => {
            let name = given_or_asked(output, &contexts, name)?;
            if contexts.find(&name).is_none() {
                return Err(unknown(&contexts, &name));
            }
            confirm(output, "forget the context", &name, force)?;
            contexts.remove(&name);
            contexts_file::write(&contexts, environment)?;
            output.talk(&format!("forgot the context `{name}`"));
            print_if_json(output, &json!({"name": name}))
        }
    }
}

fn print_if_json(output: &Output, value: &serde_json::Value) -> Result<(), Failure> {
    if output.is_json() {
        output.json(value)
    } else {
        Ok(())
    }
}

async fn choose(
    output: &Output,
    globals: &Globals,
    contexts: &mut Contexts,
    name: String,
) -> Result<(), Failure> {
    let token = globals.named()?.token;
    match (&globals.url, &token) {
        (Some(urls), token) => {
            let grid = grid_of(output, urls, token.as_ref()).await?;
            contexts.put(&name, urls, token.as_deref());
            contexts.keep_grid(&name, grid.as_deref());
        }
        (None, Some(_)) => {
            return Err(Failure::usage(
                "a token goes with an address: give `--url` too",
            ));
        }
        (None, None) if contexts.find(&name).is_none() => return Err(unknown(contexts, &name)),
        (None, None) => (),
    }
    contexts.current_server = Some(name.clone());
    output.talk(&said(contexts, &name));
    let value = serde_json::to_value(json(contexts, &name))
        .map_err(|problem| Failure::failed(format!("failed to write JSON: {problem}")))?;
    print_if_json(output, &value)
}

fn said(contexts: &Contexts, name: &str) -> String {
    match contexts
        .find(name)
        .and_then(|context| context.grid.as_ref())
    {
        Some(grid) => format!("`{name}` is the context now, and `{grid}` its grid"),
        None => format!("`{name}` is the context now"),
    }
}

/// As in Kontena, somebody at a terminal may choose among those that there are.
fn given_or_asked(
    output: &Output,
    contexts: &Contexts,
    name: Option<String>,
) -> Result<String, Failure> {
    if let Some(name) = name {
        return Ok(name);
    }
    let known = contexts.names();
    let nameless = || Failure::usage(format!("name a context: the known ones are {known}"));
    if contexts.servers.is_empty() || !io::stdin().is_terminal() {
        return Err(nameless());
    }
    let answer = output.ask(&format!("which context? The known ones are {known}:"));
    let answer = answer.map_err(|problem| Failure::failed(format!("failed to ask: {problem}")))?;
    answer.filter(|name| !name.is_empty()).ok_or_else(nameless)
}

/// The grid of the nodes at these addresses. A mistyped address or token is told now, not at the next command.
async fn grid_of(
    output: &Output,
    urls: &str,
    token: Option<&String>,
) -> Result<Option<String>, Failure> {
    let targets = Target::from_urls(urls, token)?;
    let asked = targets.iter().map(async |target| {
        let client = Client::new(target.clone());
        client.get::<Status>(paths::STATUS).await
    });
    let (answers, problems): (Vec<_>, Vec<_>) =
        join_all(asked).await.into_iter().partition(Result::is_ok);
    let mut problems = problems.into_iter().filter_map(Result::err);
    let mut grids = answers.into_iter().flatten().map(|status| status.grid);
    let Some(grid) = grids.next() else {
        let problem = problems.next().map(Failure::from);
        return Err(problem.unwrap_or_else(|| Failure::usage("there is no address")));
    };
    if grids.any(|other| other != grid) {
        return Err(Failure::failed("these nodes do not belong to one grid"));
    }
    for problem in problems {
        output.warn(&problem.message);
    }
    Ok(grid)
}

fn unknown(contexts: &Contexts, name: &str) -> Failure {
    let message = format!(
        "there is no context `{name}`: the known ones are {}",
        contexts.names()
    );
    Failure::failed(message).hint(format!(
        "`kontena master use {name} --url http://HOST:PORT --token TOKEN` makes it"
    ))
}

fn json<'a>(contexts: &'a Contexts, name: &'a str) -> ContextJson<'a> {
    let context = contexts.find(name);
    ContextJson {
        name,
        url: context.and_then(|context| context.url.as_deref()),
        other_urls: context.map_or(&[], |context| &context.other_urls),
        grid: context.and_then(|context| context.grid.as_deref()),
        current: contexts.current_server.as_deref() == Some(name),
    }
}

fn list(output: &Output, contexts: &Contexts, quiet: bool) -> Result<(), Failure> {
    let names = || contexts.servers.iter().map(|context| context.name.as_str());
    if output.is_json() {
        let all: Vec<ContextJson<'_>> = names().map(|name| json(contexts, name)).collect();
        return output.json(&all);
    }
    if quiet {
        return output.data(&names().map(|name| format!("{name}\n")).collect::<String>());
    }
    output.data(&table(contexts).render(output.look()))
}

fn table(contexts: &Contexts) -> Table {
    let mut table = Table::new(&["NAME", "URL"]);
    for context in &contexts.servers {
        let is_current = contexts.current_server.as_ref() == Some(&context.name);
        let mark = if is_current { "* " } else { "  " };
        table.row([
            format!("{mark}{}", context.name).into(),
            or_dash(context.urls().as_ref()).into(),
        ]);
    }
    table
}

fn current(output: &Output, contexts: &Contexts, name: bool, address: bool) -> Result<(), Failure> {
    let chosen = contexts.current_server.as_deref();
    let chosen = chosen.ok_or_else(|| {
        Failure::failed("no context is chosen: the daemon of this machine is asked")
            .hint("`kontena master use NAME` chooses one")
    })?;
    let context = json(contexts, chosen);
    if output.is_json() {
        return output.json(&context);
    }
    let url = or_dash(context.url.as_ref());
    match (name, address) {
        (true, _) => output.data(&format!("{chosen}\n")),
        (false, true) => output.data(&format!("{url}\n")),
        (false, false) => output.data(&format!("{chosen} {url}\n")),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::output::Look;
    use super::*;

    #[test]
    fn the_chosen_context_is_marked() {
        let mut contexts = Contexts::default();
        contexts.put("home", "http://10.0.0.1:8480", Some("secret"));
        contexts.put("work", "http://10.1.0.1:8480,http://10.1.0.2:8480", None);
        contexts.current_server = Some("work".to_owned());
        expect![[r"
            NAME    URL
              home  http://10.0.0.1:8480
            * work  http://10.1.0.1:8480,http://10.1.0.2:8480
        "]]
        .assert_eq(&table(&contexts).render(Look::PLAIN));
    }
}
