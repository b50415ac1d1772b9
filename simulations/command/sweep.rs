//! `sweep`: many runs, each drawn from another seed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kontena_simulations::checks::Finding;
use kontena_simulations::plan::draw;
use kontena_simulations::run::{Figures, run as carry_out};

use super::single::days_of;
use super::{PROGRAM, days, print, say};

/// How long faults last in each run: long enough for every grace, short enough for many runs.
pub(crate) const LASTS: Duration = Duration::from_secs(40 * 60);

/// Progress is said so often.
const SAID_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Arguments {
    /// Begin no run after so many minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// So many runs
    #[arg(long)]
    runs: Option<u64>,
    /// Runs at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// The seed of the first run; the others count up from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Nodes of each grid; without it, some few that the seed says
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..=1000))]
    nodes: Option<u16>,
    /// Simulated days of faults in each run, such as 0.5; without it, 40 minutes
    #[arg(long, value_parser = days_of)]
    days: Option<f64>,
}

impl Arguments {
    /// What `replay` has to be told beside the seed.
    fn form(&self) -> String {
        let nodes = self.nodes.map(|nodes| format!(" --nodes {nodes}"));
        let days = self.days.map(|days| format!(" --days {days}"));
        [nodes, days].into_iter().flatten().collect()
    }
}

/// What all runs together came to.
#[derive(Debug, Default)]
struct Sum {
    runs: u64,
    simulated: Duration,
    events: u64,
    slowest: Option<Duration>,
    failed: BTreeMap<u64, Finding>,
}

impl Sum {
    fn add(&mut self, seed: u64, figures: &Figures, finding: Option<Finding>) {
        self.runs += 1;
        self.simulated += figures.simulated;
        self.events += figures.events;
        self.slowest = self.slowest.max(figures.settled);
        if let Some(finding) = finding {
            self.failed.insert(seed, finding);
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let sweep = Sweep {
        next: AtomicU64::new(arguments.seed),
        nodes: arguments.nodes.map(usize::from),
        lasts: arguments
            .days
            .map_or(LASTS, |days| Duration::from_secs_f64(days * 86_400.0)),
        end: arguments
            .runs
            .map(|runs| arguments.seed.saturating_add(runs)),
        begun: Instant::now(),
        limit: arguments
            .minutes
            .map(|minutes| Duration::from_secs(60 * minutes)),
        sum: Mutex::default(),
        said: Mutex::new(Instant::now()),
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| sweep.work());
        }
    });
    let sum = sweep.sum.into_inner().unwrap_or_default();
    report(&sum, &arguments.form(), sweep.begun)
}

struct Sweep {
    next: AtomicU64,
    nodes: Option<usize>,
    lasts: Duration,
    end: Option<u64>,
    begun: Instant,
    limit: Option<Duration>,
    sum: Mutex<Sum>,
    said: Mutex<Instant>,
}

impl Sweep {
    fn work(&self) {
        while let Some(seed) = self.take() {
            let outcome = carry_out(&draw(seed, self.nodes, self.lasts), false);
            if let Some(finding) = &outcome.finding {
                say(&format!("seed {seed}: {}", finding.check.name));
            }
            if let Ok(mut sum) = self.sum.lock() {
                sum.add(seed, &outcome.figures, outcome.finding);
                self.progress(&sum);
            }
        }
    }

    fn take(&self) -> Option<u64> {
        let is_over = self
            .limit
            .is_some_and(|limit| self.begun.elapsed() >= limit);
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        (!is_over && self.end.is_none_or(|end| seed < end)).then_some(seed)
    }

    fn progress(&self, sum: &Sum) {
        if let Ok(mut said) = self.said.lock()
            && said.elapsed() >= SAID_EVERY
        {
            *said = Instant::now();
            let failed = sum.failed.len();
            say(&format!("{} runs, {failed} failed", sum.runs));
        }
    }
}

fn report(sum: &Sum, form: &str, begun: Instant) -> anyhow::Result<bool> {
    for (seed, finding) in &sum.failed {
        print(&format!(
            "seed {seed}: {finding}\n  replay: {PROGRAM} replay {seed}{form}\n"
        ))?;
    }
    let mut by_check: BTreeMap<&str, u64> = BTreeMap::new();
    for finding in sum.failed.values() {
        *by_check.entry(finding.check.name).or_default() += 1;
    }
    for (check, count) in &by_check {
        print(&format!("{count:>6} {check}"))?;
    }
    let (runs, failed) = (sum.runs, sum.failed.len());
    let slowest = sum.slowest.unwrap_or_default().as_secs();
    print(&format!(
        "{runs} runs, {failed} failed; {} of clusters, {} events; settled within {slowest} s",
        days(sum.simulated),
        sum.events
    ))?;
    let took = begun.elapsed().as_secs_f64();
    let speed = sum.simulated.as_secs_f64() / took.max(0.001);
    say(&format!("{took:.0} s: {speed:.0} times real time"));
    Ok(failed == 0)
}
