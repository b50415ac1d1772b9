//! `grid restore`: an empty data directory becomes that of a node that made a backup.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::super::echo::hide;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::session::Environment;
use super::backup::read_code;
use crate::backup::{self, Label, RecoveryCode};
use crate::daemon::config::{self, DaemonArgs};

#[derive(Args, Debug)]
pub(in crate::cli) struct Restore {
    /// A file that `kontena grid backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The recovery code; asked for where it is left out
    #[arg(long, value_name = "FILE")]
    recovery_code_file: Option<PathBuf>,
    /// The data directory of this host's daemon, which must not run
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
}

pub(in crate::cli) fn restore(
    output: &Output,
    environment: Environment<'_>,
    asked: &Restore,
) -> Result<(), Failure> {
    let directory = directory(environment, asked)?;
    let file = read(&asked.file)?;
    let name = asked.file.display();
    let label = backup::label(&file).with_context(|| format!("`{name}`"))?;
    let code = match &asked.recovery_code_file {
        Some(path) => read_code(path)?,
        None => ask(output)?,
    };
    let (label, contents) =
        backup::open(&file, &code).with_context(|| format!("`{name}` of grid `{}`", label.grid))?;
    let changes = contents.changes();
    backup::bring_back(&directory, contents)?;
    tell(output, &label, &directory, changes)
}

/// As the daemon finds it without a `--config`.
fn directory(environment: Environment<'_>, asked: &Restore) -> Result<PathBuf, Failure> {
    let flags = DaemonArgs {
        data_dir: asked.data_dir.clone(),
        ..DaemonArgs::default()
    };
    let file = config::read_file(&flags, environment).map_err(Failure::usage)?;
    let config = config::load(&flags, environment, file.as_ref()).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::usage(problems.join("; "))
    })?;
    Ok(config.data_dir)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("failed to open `{name}`"))?;
    let mut bytes = Vec::new();
    file.take(backup::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("failed to read `{name}`"))?;
    if bytes.len() > backup::MAX_BYTES {
        return Err(Failure::failed(format!(
            "`{name}` is too large for a backup of a grid"
        )));
    }
    Ok(bytes)
}

fn ask(output: &Output) -> Result<RecoveryCode, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::usage("there is no recovery code, and no terminal to ask for it on")
                .hint("name a file that has it, with `--recovery-code-file`"),
        );
    }
    let hidden = hide();
    let answer = output.ask_as_it_is("recovery code:");
    drop(hidden);
    output.talk("");
    let answer = answer.context("failed to read the recovery code")?;
    let text = answer.unwrap_or_default();
    text.parse()
        .map_err(|problem| Failure::failed(format!("{problem}")))
}

fn tell(output: &Output, label: &Label, directory: &Path, changes: usize) -> Result<(), Failure> {
    let Label { grid, node, .. } = label;
    let shown = directory.display();
    output.talk(&format!(
        "grid `{grid}` is in `{shown}` ({changes} changes): this host is its node `{node}` once the daemon runs.\n\
         Let `{node}` run nowhere else. Then `kontena node rm --force NAME` for each node that is lost, and\n\
         `kontena token create` and `kontena join` for those that come in their place.\n\
         What is bound to `{node}` starts as soon as the daemon runs, with what is in this host's Docker volumes: bring their data\n\
         back first. What is bound to other nodes waits: `kontena service force-move` lets it run without its data."
    ));
    match output.is_json() {
        true => output.json(&json!({"grid": grid, "node": node, "changes": changes})),
        false => Ok(()),
    }
}
