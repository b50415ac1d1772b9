//! `run`: one run of a grid of a given size.

use std::time::{Duration, Instant};

use kontena_simulations::plan::draw;
use kontena_simulations::run::{Outcome, run as carry_out};

use super::{PROGRAM, days, print, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Nodes that form the grid
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=1000))]
    nodes: u16,
    /// Simulated days of faults, such as 0.5
    #[arg(long, default_value_t = 1.0, value_parser = super::single::days_of)]
    days: f64,
    /// What all chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn days_of(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(days) if days > 0.0 && days <= 3650.0 => Ok(days),
        Ok(_) | Err(_) => Err("a number of days above 0 and up to 3650 is expected".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let lasts = Duration::from_secs_f64(arguments.days * 86_400.0);
    let plan = draw(arguments.seed, Some(usize::from(arguments.nodes)), lasts);
    let begun = Instant::now();
    let outcome = carry_out(&plan, false);
    let took = begun.elapsed().as_secs_f64();
    print(&summary(&outcome))?;
    let speed = outcome.figures.simulated.as_secs_f64() / took.max(0.001);
    say(&format!("{took:.1} s: {speed:.0} times real time"));
    if outcome.finding.is_some() {
        let Arguments { nodes, days, seed } = arguments;
        print(&format!(
            "\nreplay: {PROGRAM} replay {seed} --nodes {nodes} --days {days}"
        ))?;
    }
    Ok(outcome.finding.is_none())
}

pub(crate) fn summary(outcome: &Outcome) -> String {
    let figures = &outcome.figures;
    let settled = match figures.settled {
        Some(took) => format!("{} s after faults ended", took.as_secs()),
        None => "not seen".to_owned(),
    };
    let result = match &outcome.finding {
        None => "every check held".to_owned(),
        Some(finding) => finding.to_string(),
    };
    let rows = [
        ("hosts", figures.hosts.to_string()),
        ("simulated", days(figures.simulated)),
        ("faults and commands", figures.deeds.to_string()),
        ("events", figures.events.to_string()),
        ("messages", figures.messages.to_string()),
        ("container starts", figures.starts.to_string()),
        ("changes written", figures.changes.to_string()),
        ("settled", settled),
        ("digest", format!("{:016x}", outcome.digest)),
        ("result", result),
    ];
    let lines = rows.map(|(name, value)| format!("{name:<20} {value}"));
    lines.join("\n")
}
