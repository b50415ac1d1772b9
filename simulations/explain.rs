//! `explain`: what would my stack do on these nodes, and what if some of them die?
//!
//! The answer is not computed beside the rules: a whole grid of the real `Node` is played in virtual
//! time, the nodes lose their power, and come back. So the seconds are what detection, grace and
//! takeover take, with an engine that has every image and starts a container within half a second.

mod files;
mod nodes;
mod play;
mod stage;
mod story;
#[cfg(test)]
mod tests;
mod text;
mod witness;

use std::io::Write;
use std::path::PathBuf;

use kontena_core::id::NodeName;

use crate::failure::Failure;
use files::Files;
use stage::Stage;

/// What would a stack do on some nodes, and what if some of them die
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The stack file
    pub stack: PathBuf,
    /// The nodes, as `nodes: { n1: , n2: { zone: eu, labels: [ssd], availability: drain } }`
    #[arg(long)]
    pub nodes: PathBuf,
    /// Nodes that lose their power at one moment, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub kill: Vec<NodeName>,
    /// Of the chances that delays follow from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Plays the story and tells it on `out`; warnings about the files go to `talk`.
///
/// # Errors
/// Problems of the files, a node to kill that is not in them, or a stack that a node refuses.
pub fn run(
    arguments: &Arguments,
    out: &mut impl Write,
    talk: &mut impl Write,
) -> Result<(), Failure> {
    let told = tell(arguments, talk)?;
    write(out, &told, "standard output")
}

fn tell(arguments: &Arguments, talk: &mut impl Write) -> Result<String, Failure> {
    let files = Files::read(&arguments.stack, &arguments.nodes)?;
    for warning in &files.warnings {
        write(talk, warning, "standard error")?;
    }
    let killed = files.hosts(&arguments.kill)?;
    let stage = Stage::set(&files, arguments.seed)?;
    let story = play::play(stage, &killed)?;
    if !arguments.json {
        return Ok(story.to_string());
    }
    let json =
        serde_json::to_string_pretty(&story).expect("a story is made of text, numbers and lists");
    Ok(json + "\n")
}

fn write(to: &mut impl Write, text: &str, name: &str) -> Result<(), Failure> {
    to.write_all(text.as_bytes())
        .map_err(|problem| Failure::failed(format!("failed to write to {name}: {problem}")))
}
