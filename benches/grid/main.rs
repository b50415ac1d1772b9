//! What kontena costs and how fast it is: three hosts with real Docker engines on this machine, a grid
//! on them, and beside it, on the same engines, Docker alone and Docker Swarm.
//!
//! In: which rows, and how often. Out: one table, in Markdown. Every number in it was measured in this
//! run. Needs root and what `scripts/benchmark` installs. What was seen is in `docs/benchmarks.md`.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "JSON that the benchmark reads is judged by one of its forms"
)]

mod absent_image;
mod answers;
mod changes;
mod failover;
mod field;
mod figure;
mod growth;
mod http;
mod idle;
mod rollout;
mod saturation;
mod start;
mod swarm;
mod volumes;

/// The lab is part of the program (`kontena demo`), whose library exports nothing but `run`.
#[path = "../../src"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the story is told by the command, not by the benchmark, and its tests are run elsewhere"
)]
mod source {
    pub(crate) mod demo;
}

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use self::field::Field;
use self::figure::Row;

/// Measures a grid of three nodes.
#[derive(Debug, Parser)]
#[command(name = "benchmark")]
struct Asked {
    /// Only these rows; all of them otherwise.
    #[arg(value_enum)]
    rows: Vec<Group>,
    /// How often what is measured one by one is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// An hour with saturated CPUs instead of five minutes.
    #[arg(long)]
    long: bool,
    /// How many minutes with saturated CPUs.
    #[arg(long, conflicts_with = "long")]
    minutes: Option<u64>,
    /// Another program than the one built beside this.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_kontena"))]
    kontena: PathBuf,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Asked {
    fn saturated(&self) -> Duration {
        let minutes = self.minutes.unwrap_or(if self.long { 60 } else { 5 });
        Duration::from_secs(60 * minutes)
    }
}

/// Rows that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Command acknowledged until the container runs, beside the engine's own create and start.
    Start,
    /// A change made on one node until all have it.
    Changes,
    /// A link cut, a host killed, until the replacements run.
    Failover,
    /// An instance stopped, a host killed, until no node answers with it.
    Answers,
    /// A host killed, with an image that the survivors must pull.
    AbsentImage,
    /// From 3 to 30 instances, beside Docker Swarm.
    Growth,
    /// A rolling deploy of six instances in either order, beside Docker Swarm.
    Rollout,
    /// A gigabyte in a volume: backed up and restored from another host.
    Volumes,
    /// Docker Swarm's own answer to a killed worker and a killed leader.
    SwarmFailover,
    /// Memory and CPU of a daemon that has nothing to do.
    Idle,
    /// No takeover while the CPUs are saturated.
    Saturation,
}

#[tokio::main]
async fn main() -> Result<()> {
    let asked = Asked::parse();
    let field = Field::prepare(&asked.kontena).await?;
    let measured = tokio::select! {
        measured = measure(&field, &asked) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("the benchmark was interrupted")),
    };
    if measured.is_err() {
        field.say_last_words();
    }
    let removed = field.lab.down().await;
    measured?;
    removed
}

async fn measure(field: &Field, asked: &Asked) -> Result<()> {
    let groups = if asked.rows.is_empty() {
        Group::value_variants()
    } else {
        &asked.rows
    };
    let mut rows: Vec<Row> = Vec::new();
    for group in groups {
        let start = Instant::now();
        let measured = run(field, asked, *group)
            .await
            .with_context(|| format!("failed to measure {group:?}"))?;
        say(&format!(
            "{group:?} took {:.0} s",
            start.elapsed().as_secs_f64()
        ));
        // At once, so that a later failure does not take it away.
        for row in &measured {
            say(&row.line());
        }
        rows.extend(measured);
    }
    let table = figure::table(&rows);
    std::io::stdout()
        .lock()
        .write_all(table.as_bytes())
        .context("failed to print the table")
}

async fn run(field: &Field, asked: &Asked, group: Group) -> Result<Vec<Row>> {
    match group {
        Group::Start => start::measure(field, asked.runs).await,
        Group::Changes => changes::measure(field).await,
        Group::Failover => failover::measure(field, asked.runs).await,
        Group::Answers => answers::measure(field, asked.runs).await,
        Group::AbsentImage => absent_image::measure(field, asked.runs).await,
        Group::Growth => growth::measure(field, asked.runs).await,
        Group::Rollout => rollout::measure(field, asked.runs).await,
        Group::Volumes => volumes::measure(field, asked.runs).await,
        Group::SwarmFailover => swarm::measure(field, asked.runs).await,
        Group::Idle => idle::measure(field).await,
        Group::Saturation => saturation::measure(field, asked.saturated()).await,
    }
}

/// Tells whoever waits how far it is.
fn say(text: &str) {
    // Nobody may be listening, which changes no figure.
    let _ = writeln!(std::io::stderr(), "{text}");
}
