//! `demo`: a whole grid on this one machine.

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use crate::demo::{self, Options};

/// Show a whole grid on this one machine, with real Docker engines, and a stack on it
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena demo --nodes 3

Needs root and Debian's packages; `scripts/demo` installs them.")]
pub(crate) struct Demo {
    /// How many nodes; one of them will be lost
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=16))]
    nodes: u8,
    /// Leave the grid running at the end
    #[arg(long)]
    keep: bool,
    /// Only remove what an earlier demo kept or left behind
    #[arg(long, conflicts_with_all = ["nodes", "keep"])]
    down: bool,
}

pub(crate) async fn run(output: &Output, asked: &Demo) -> Result<(), Failure> {
    let options = Options {
        nodes: asked.nodes,
        keep: asked.keep,
        down: asked.down,
    };
    demo::run(&options, &mut output.writer()).await?;
    Ok(())
}
