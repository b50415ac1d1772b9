//! `master`: contexts, that is nodes to ask from afar. Kontena's word; there is no master.

use clap::{Args, Subcommand};
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

Contexts are kept in ~/.kontena_client.json, or where KONTENA_CONFIG says.")]
pub(crate) struct Master {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Choose a context; with `--url` and `--token` make or change it first
    #[command(
        after_help = "Example:\n  kontena master use home --url http://10.0.0.1:8480 --token @token.txt\n  kontena master use --clear"
    )]
    Use {
        /// The context
        #[arg(required_unless_present = "clear")]
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
        /// The context
        name: String,
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
        Command::Use { name, .. } => {
            choose(output, globals, &mut contexts, name).await?;
            contexts_file::write(&contexts, environment)
        }
        Command::Ls { quiet } => list(output, &contexts, quiet),
        Command::Current { name, address } => current(output, &contexts, name, address),
        Command::Rm { name, force } => {
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
    name: Option<String>,
) -> Result<(), Failure> {
    let Some(name) = name else {
        contexts.current_server = None;
        output.talk("no context is chosen: the daemon of this machine is asked");
        return print_if_json(output, &json!(null));
    };
    let token = globals.named()?.token;
    match (&globals.url, &token) {
        (Some(url), token) => {
            check(url, token.as_deref()).await?;
            contexts.put(&name, url, token.as_deref());
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
    output.talk(&format!("`{name}` is the context now"));
    let value = serde_json::to_value(json(contexts, &name))
        .map_err(|problem| Failure::failed(format!("failed to write JSON: {problem}")))?;
    print_if_json(output, &value)
}

/// A mistyped address or token is told now, not at the next command.
async fn check(url: &str, token: Option<&str>) -> Result<(), Failure> {
    let target = Target::from_url(url, token.map(str::to_owned))?;
    let _: Status = Client::new(target).get(paths::STATUS).await?;
    Ok(())
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
    ContextJson {
        name,
        url: contexts
            .find(name)
            .and_then(|context| context.url.as_deref()),
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
            or_dash(context.url.as_ref()).into(),
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
        contexts.put("work", "http://10.1.0.1:8480", None);
        contexts.current_server = Some("work".to_owned());
        expect![[r"
            NAME    URL
              home  http://10.0.0.1:8480
            * work  http://10.1.0.1:8480
        "]]
        .assert_eq(&table(&contexts).render(Look::PLAIN));
    }
}
