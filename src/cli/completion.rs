//! `completion`: scripts for the shell.

use clap::Args;
use clap_complete::Shell;

use super::failure::Failure;
use super::output::Output;

/// Print a script that completes commands in your shell
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena completion bash > /etc/bash_completion.d/kontena")]
pub(crate) struct Completion {
    /// Whose script
    shell: Shell,
}

pub(crate) fn run(
    output: &Output,
    mut tree: clap::Command,
    asked: &Completion,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut tree, "kontena", &mut script);
    output.data(&String::from_utf8_lossy(&script))
}
