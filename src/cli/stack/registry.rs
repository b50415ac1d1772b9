//! `stack registry`: stacks of a registry, found, fetched, and given to others.

mod push;
mod render;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use super::super::confirm::confirm;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::text::printable;
use crate::registry::{Included, Reference, Refused, Registry};

pub(super) const EXAMPLE: &str = "Example:
  export KONTENA_STACK_REGISTRY_URL=https://stacks.example.com
  kontena stack registry search redis
  kontena stack install demo/redis:1.0.0";

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Give a registry a stack file as a new version; its own `stack` and `version` say of what
    #[command(after_help = "Example:\n  kontena stack registry push kontena.yml")]
    Push {
        /// The stack file
        #[arg(default_value = "kontena.yml")]
        file: PathBuf,
        /// Only check that it can be pushed
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the stack file of a registry's stack
    #[command(
        after_help = "Example:\n  kontena stack registry pull demo/redis:1.0.0 > kontena.yml"
    )]
    Pull {
        /// USER/STACK or USER/STACK:VERSION
        stack: Reference,
        /// Write it to a file
        #[arg(short = 'F', long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Nothing is kept of what was pulled before: this changes nothing
        #[arg(long, hide = true)]
        no_cache: bool,
    },
    /// Find stacks
    #[command(after_help = "Example:\n  kontena stack registry search --tag database redis")]
    Search {
        /// What to look for; everything where nothing is said
        #[arg(default_value = "")]
        query: String,
        /// Leave out versions such as `1.0.0-rc.1`
        #[arg(long, overrides_with = "pre")]
        no_pre: bool,
        /// Have versions such as `1.0.0-rc.1` too (the default)
        #[arg(long, hide = true)]
        pre: bool,
        /// Leave out stacks that not everybody may see
        #[arg(long, overrides_with = "private")]
        no_private: bool,
        /// Have stacks too that not everybody may see (the default)
        #[arg(long, hide = true)]
        private: bool,
        /// Only stacks with this tag; may be given again
        #[arg(short, long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show a stack and its versions
    #[command(after_help = "Example:\n  kontena stack registry show demo/redis")]
    Show {
        /// USER/STACK
        stack: Reference,
        /// Print the versions only
        #[arg(short = 'v', long)]
        versions: bool,
    },
    /// Remove a version of a stack, or a stack with all its versions
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena stack registry rm demo/redis:1.0.0"
    )]
    Rm {
        /// USER/STACK or USER/STACK:VERSION
        stack: Reference,
        /// Do not ask
        #[arg(short, long)]
        force: bool,
    },
    /// Make a place for a stack that has no version yet
    #[command(after_help = "Example:\n  kontena stack registry create --private demo/redis")]
    Create {
        /// USER/STACK
        stack: Reference,
        /// Not everybody may see it
        #[arg(long)]
        private: bool,
    },
    /// Let only those see a stack who may
    #[command(after_help = "Example:\n  kontena stack registry make-private demo/redis")]
    MakePrivate {
        /// USER/STACK
        stack: Reference,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
    /// Let everybody see a stack
    #[command(after_help = "Example:\n  kontena stack registry make-public demo/redis")]
    MakePublic {
        /// USER/STACK
        stack: Reference,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(output: &Output, asked: Command) -> Result<(), Failure> {
    match asked {
        Command::Push { file, dry_run } => push::push(output, &file, dry_run),
        Command::Pull {
            stack,
            file,
            no_cache: _,
        } => pull(output, &stack, file),
        Command::Search {
            query,
            no_pre,
            pre: _,
            no_private,
            private: _,
            tags,
            quiet,
        } => {
            let with = Included {
                prereleases: !no_pre,
                private: !no_private,
            };
            let found = open(output)?.search(&query, &tags, with)?;
            render::print_found(output, &found, quiet)
        }
        Command::Show { stack, versions } => show(output, &stack, versions),
        Command::Rm { stack, force } => remove(output, &stack, force),
        Command::Create { stack, private } => {
            without_version(&stack)?;
            open(output)?.create(&stack, private)?;
            output.talk(&format!("created `{stack}` in the registry"));
            Ok(())
        }
        Command::MakePrivate { stack, force } => set_private(output, &stack, true, force),
        Command::MakePublic { stack, force } => set_private(output, &stack, false, force),
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The registry that the environment names.
pub(super) fn open(output: &Output) -> Result<Registry, Refused> {
    let registry = Registry::from_environment(&environment)?;
    if registry.tells_its_token() {
        output.warn(&format!(
            "everybody on the way to `{}` learns your token: use `https`",
            registry.url()
        ));
    }
    Ok(registry)
}

/// Its address, if it has a good one.
pub(super) fn url() -> Option<String> {
    let registry = Registry::from_environment(&environment).ok()?;
    Some(registry.url().to_owned())
}

/// A registry is somebody else's: nothing that a terminal would obey.
fn harmless(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

fn pull(output: &Output, stack: &Reference, file: Option<PathBuf>) -> Result<(), Failure> {
    let text = open(output)?.pull(stack)?;
    let Some(file) = file else {
        return match output.is_json() {
            true => output.json(&serde_json::json!({"name": stack.to_string(), "source": text})),
            false if std::io::stdout().is_terminal() => output.data(&harmless(&text)),
            false => output.data(&text),
        };
    };
    let shown = file.display();
    std::fs::write(&file, &text).with_context(|| format!("failed to write `{shown}`"))?;
    output.talk(&format!("wrote {} bytes to `{shown}`", text.len()));
    Ok(())
}

fn show(output: &Output, stack: &Reference, versions_alone: bool) -> Result<(), Failure> {
    without_version(stack)?;
    let registry = open(output)?;
    let versions = registry.versions(stack)?;
    if versions_alone {
        return render::print_versions(output, &versions);
    }
    render::print_shown(output, &registry.show(stack)?, &versions)
}

fn remove(output: &Output, stack: &Reference, force: bool) -> Result<(), Failure> {
    let registry = open(output)?;
    let what = match stack.version {
        Some(_) => "remove from the registry",
        None => "remove from the registry, with all its versions,",
    };
    confirm(output, what, &stack.to_string(), force)?;
    registry.remove(stack)?;
    output.talk(&format!("removed `{stack}` from the registry"));
    Ok(())
}

fn set_private(
    output: &Output,
    stack: &Reference,
    private: bool,
    force: bool,
) -> Result<(), Failure> {
    without_version(stack)?;
    let (what, done) = match private {
        true => ("hide from others", "hidden from others"),
        false => ("show to everybody", "shown to everybody"),
    };
    let registry = open(output)?;
    confirm(output, what, &stack.to_string(), force)?;
    registry.set_private(stack, private)?;
    output.talk(&format!("`{stack}` is {done}"));
    Ok(())
}

fn without_version(stack: &Reference) -> Result<(), Failure> {
    match &stack.version {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!(
            "`{stack}` names one version: this is about all of them"
        ))
        .hint(format!("use `{}/{}`", stack.user, stack.stack))),
    }
}
