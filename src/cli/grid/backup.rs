//! `grid backup`: all that the grid knows, in a file.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use data_encoding::BASE64;
use serde_json::json;

use super::super::failure::Failure;
use super::super::secret;
use super::super::session::Session;
use crate::api::paths;
use crate::api::types::backup::{Backup as WireBackup, BackupRequest};
use crate::backup::{Place, RecoveryCode};

#[derive(Args, Debug)]
pub(super) struct Backup {
    /// Where to; standard output where it is left out
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Seal it for the recovery code in this file: one of an earlier backup
    #[arg(long, value_name = "FILE")]
    recovery_code_file: Option<PathBuf>,
}

pub(super) async fn backup(session: &Session, asked: Backup) -> Result<(), Failure> {
    if asked.file.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::usage("a backup is no text for a terminal")
            .hint("name a file, or write standard output to one"));
    }
    let (code, is_new) = match &asked.recovery_code_file {
        Some(path) => (read_code(path)?, false),
        None => (RecoveryCode::new()?, true),
    };
    let place = place(&asked, is_new)?;
    let grid = session.grid().await?;
    let request = BackupRequest {
        recovery_key: code.key().to_string(),
    };
    let made: WireBackup = session.client.post(&paths::backup(&grid), &request).await?;
    let bytes = BASE64
        .decode(made.file.as_bytes())
        .context("the node sent no backup")?;
    if is_new {
        show(session, &code)?;
    }
    match &place {
        Some(place) => place.keep(&bytes)?,
        None => write_out(&bytes)?,
    }
    tell(session, &asked, &made, bytes.len(), is_new.then_some(&code))
}

/// Before anything is asked of the node.
fn place(asked: &Backup, is_new: bool) -> Result<Option<Place>, Failure> {
    let Some(path) = &asked.file else {
        return Ok(None);
    };
    let place = Place::find(path, !is_new).map_err(|problem| {
        Failure::failed(format!("{problem:#}"))
            .hint("name another file, or give the code of the one that is there with `--recovery-code-file`")
    })?;
    Ok(Some(place))
}

/// It is shown once, and is nowhere else: before the backup is anywhere.
fn show(session: &Session, code: &RecoveryCode) -> Result<(), Failure> {
    let text = format!(
        "recovery code: {code}\nIt opens this backup, and nothing else does: keep it, and elsewhere."
    );
    let shown = session.output.tell(&text);
    shown.context("failed to show the recovery code")?;
    Ok(())
}

pub(super) fn read_code(path: &Path) -> Result<RecoveryCode, Failure> {
    let text = secret::from_file(path, "recovery code")?;
    text.parse()
        .map_err(|problem| Failure::failed(format!("`{}`: {problem}", path.display())))
}

fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.context("failed to write the backup to standard output")?;
    Ok(())
}

fn tell(
    session: &Session,
    asked: &Backup,
    made: &WireBackup,
    bytes: usize,
    code: Option<&RecoveryCode>,
) -> Result<(), Failure> {
    let node = &made.node;
    let to = asked.file.as_ref().map(|path| path.display().to_string());
    let shown = to.as_deref().unwrap_or("standard output");
    let output = &session.output;
    output.talk(&format!(
        "wrote all that node `{node}` knows to {shown} ({bytes} bytes)"
    ));
    output.talk("What is in volumes is not in it.");
    match (&to, output.is_json()) {
        (Some(file), true) => {
            let code = code.map(ToString::to_string);
            output.json(&json!({"file": file, "node": node, "bytes": bytes, "recovery_code": code}))
        }
        (Some(_) | None, _) => Ok(()),
    }
}
