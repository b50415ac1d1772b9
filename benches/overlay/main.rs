//! The overlay beside other ways through the same link, in one run: throughput of one TCP stream,
//! CPU seconds for each Gbit, latency at rest.
//!
//! ```text
//! cargo bench -p kontena-overlay -- [--runs N] [--seconds N] [--only NAME]…
//! ```
//!
//! Takes root, `iperf3`, `ping`, `ethtool`, `ip`. Beside the bare link it measures whichever of
//! `wireguard-go` (with `wg`), `boringtun-cli` and `gotatun-cli` are in the `PATH`. Runs of
//! different ways are interleaved, so that a busy machine is unjust to all alike.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a benchmark is a program whose output is its text"
)]

mod link;
mod measure;
mod node;
mod ways;

use std::collections::BTreeMap;
use std::process::ExitCode;

use link::{Link, Offload};
use measure::{Figures, median};
use ways::Way;

struct Options {
    runs: usize,
    seconds: u32,
    only: Vec<String>,
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "node") {
        return node::run(&arguments[1..]);
    }
    arguments.retain(|argument| argument != "--bench");
    if !rustix::process::geteuid().is_root() {
        eprintln!(
            "skipped: the benchmark of the overlay makes network namespaces, which takes root"
        );
        return ExitCode::SUCCESS;
    }
    run(&options(&arguments));
    ExitCode::SUCCESS
}

fn options(arguments: &[String]) -> Options {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str| value(name).and_then(|value| value.parse().ok());
    let only = arguments.windows(2).filter(|pair| pair[0] == "--only");
    Options {
        runs: number("--runs").unwrap_or(3),
        seconds: number("--seconds").unwrap_or(5) as u32,
        only: only.map(|pair| pair[1].clone()).collect(),
    }
}

fn run(options: &Options) {
    let ways: Vec<Way> = Way::all()
        .into_iter()
        .filter(|way| way.is_installed())
        .filter(|way| options.only.is_empty() || options.only.contains(&way.name().to_owned()))
        .collect();
    for offload in [Offload::On, Offload::Off] {
        let mut results: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
        for _ in 0..options.runs {
            for way in &ways {
                let link = Link::new(offload);
                let figures = measure::measure(&link, *way, options.seconds);
                results.entry(way.name()).or_default().push(figures);
            }
        }
        report(offload, &ways, &results);
    }
}

fn report(offload: Offload, ways: &[Way], results: &BTreeMap<&'static str, Vec<Figures>>) {
    println!("\nsegmentation offload of the link: {offload:?}; medians of each way's runs");
    println!(
        "{:<16} {:>8} {:>7} {:>12} {:>12} {:>9} {:>9} {:>9}",
        "way", "Gbit/s", "of raw", "CPU-s/Gbit", "all CPU-s/Gb", "retrans", "RTT µs", "min..max"
    );
    let middle = |name: &str, of: fn(&Figures) -> f64| {
        results
            .get(name)
            .map(|runs| median(runs.iter().map(of).collect()))
    };
    let raw = middle("raw", |figures| figures.gbits);
    for way in ways {
        let name = way.name();
        let value = |of| middle(name, of).unwrap_or(f64::NAN);
        let gbits = value(|figures| figures.gbits);
        let all: Vec<f64> = results[name].iter().map(|figures| figures.gbits).collect();
        println!(
            "{name:<16} {gbits:>8.2} {:>6.0}% {:>12.3} {:>12.3} {:>9.0} {:>9.0} {:>4.2}..{:.2}",
            raw.map_or(f64::NAN, |raw| gbits / raw * 100.0),
            value(|figures| figures.tunnel_cpu),
            value(|figures| figures.machine_cpu),
            value(|figures| figures.retransmits),
            value(|figures| figures.rtt_us),
            all.iter().copied().fold(f64::INFINITY, f64::min),
            all.iter().copied().fold(0.0, f64::max),
        );
    }
}
