//! `replay`: a run again, and what is the least of it that still fails.

use std::time::Duration;

use anyhow::Context;
use kontena_simulations::plan::{Plan, draw};
use kontena_simulations::run::run as carry_out;
use kontena_simulations::shrink::shrink;

use super::single::{days_of, summary};
use super::{print, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    seed: u64,
    /// Print every change of state
    #[arg(long)]
    trace: bool,
    /// Of a failing run, print it as it is
    #[arg(long)]
    whole: bool,
    /// As given to `run`; without it, the plan is one of `sweep`
    #[arg(long)]
    nodes: Option<u16>,
    /// As given to `run`
    #[arg(long, value_parser = days_of)]
    days: Option<f64>,
    /// Runs that may be spent on making a failing one smaller
    #[arg(long, default_value_t = 250)]
    tries: usize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let plan = plan(arguments);
    let outcome = carry_out(&plan, arguments.trace);
    for line in &outcome.trace {
        print(line)?;
    }
    print(&summary(&outcome))?;
    let Some(finding) = outcome.finding else {
        return Ok(true);
    };
    if arguments.whole {
        print(&format!("\n{plan}"))?;
    } else {
        print_smallest(&plan, finding.check.name, arguments.tries)?;
    }
    Ok(false)
}

fn plan(arguments: &Arguments) -> Plan {
    let lasts = arguments
        .days
        .map(|days| Duration::from_secs_f64(days * 86_400.0));
    let lasts = lasts.unwrap_or(super::sweep::LASTS);
    draw(arguments.seed, arguments.nodes.map(usize::from), lasts)
}

fn print_smallest(plan: &Plan, check: &str, tries: usize) -> anyhow::Result<()> {
    say(&format!(
        "looking for the least that fails, in at most {tries} runs"
    ));
    let smallest = shrink(plan, check, tries);
    let outcome = carry_out(&smallest, true);
    let finding = outcome
        .finding
        .context("the smallest run failed a moment ago")?;
    print(&format!("\nthe least that fails:\n{smallest}\n"))?;
    for line in &outcome.trace {
        print(line)?;
    }
    print(&format!("\n{finding}"))
}
