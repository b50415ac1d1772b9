//! Options that every command takes: which node is asked, and how the answer looks.

use std::path::{Path, PathBuf};

use clap::Args;
use kontena_core::id::GridName;

use super::failure::Failure;
use super::secret;
use crate::api::target::Named;

const HEADING: &str = "Options of every command";

/// The ids of `socket` and `token` are also those of `daemon` and `join`, where they mean something
/// else: these commands read their own and not these.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Globals {
    /// Ask the daemon at this socket [env: KONTENA_SOCKET]
    #[arg(long, global = true, value_name = "PATH", help_heading = HEADING, conflicts_with = "url")]
    pub(crate) socket: Option<String>,

    /// Ask the node at this address, `http://HOST:PORT[,…]` [env: KONTENA_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = HEADING)]
    pub(crate) url: Option<String>,

    /// The token of `--url`, `-` to read it, or `@FILE` [env: KONTENA_TOKEN]
    #[arg(long, global = true, help_heading = HEADING, conflicts_with = "token_file")]
    pub(crate) token: Option<String>,

    /// Read the token from this file
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    pub(crate) token_file: Option<PathBuf>,

    /// Ask the node of this context, see `kontena master` [env: KONTENA_MASTER]
    #[arg(long, global = true, value_name = "NAME", help_heading = HEADING)]
    pub(crate) master: Option<String>,

    /// The grid; another one is an error [env: KONTENA_GRID]
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) grid: Option<GridName>,

    /// Print JSON
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) json: bool,

    /// Tell on standard error what is asked and answered
    #[arg(short = 'D', long, global = true, help_heading = HEADING)]
    pub(crate) debug: bool,
}

impl Globals {
    /// What the options say of the node to ask; reads the token where it is said to be.
    pub(crate) fn named(&self) -> Result<Named, Failure> {
        Ok(Named {
            socket: self.socket.as_ref().map(PathBuf::from),
            url: self.url.clone(),
            token: read_token(self.token.as_deref(), self.token_file.as_deref())?,
            master: self.master.clone(),
        })
    }

    /// For commands that ask no node: an option that would be ignored is a mistake.
    pub(crate) fn refuse_target(&self, command: &str) -> Result<(), Failure> {
        self.refuse_node(command)?;
        refuse(command, &[("--json", self.json)])
    }

    /// The same, for those that print JSON.
    pub(crate) fn refuse_node(&self, command: &str) -> Result<(), Failure> {
        let given = [
            ("--url", self.url.is_some()),
            ("--token", self.token.is_some() || self.token_file.is_some()),
            ("--master", self.master.is_some()),
            ("--grid", self.grid.is_some()),
        ];
        refuse(command, &given)
    }
}

fn refuse(command: &str, given: &[(&str, bool)]) -> Result<(), Failure> {
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => Err(Failure::usage(format!(
            "`kontena {command}` asks no node: `{option}` means nothing to it"
        ))),
        None => Ok(()),
    }
}

/// For the commands of [`Globals::refuse_target`].
pub(super) fn hide_target(command: clap::Command) -> clap::Command {
    const REFUSED: [&str; 6] = ["url", "token", "token_file", "master", "grid", "json"];
    command.mut_args(|option| {
        let is_refused = REFUSED.contains(&option.get_id().as_str());
        if is_refused {
            option.hide(true)
        } else {
            option
        }
    })
}

/// A token from its two options.
pub(crate) fn read_token(
    argument: Option<&str>,
    file: Option<&Path>,
) -> Result<Option<String>, Failure> {
    match (argument, file) {
        (Some(argument), _) => Ok(Some(secret::read(argument)?)),
        (None, Some(file)) => Ok(Some(secret::from_file(file, secret::TOKEN)?)),
        (None, None) => Ok(None),
    }
}
