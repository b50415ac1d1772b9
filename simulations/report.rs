//! `report`: how a grid behaves against its size, as CSV and as SVG plots.
//!
//! Everything written depends on the arguments alone; how long it took goes to standard error.

mod csv;
mod figure;
mod plot;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::measure::Point;
use crate::measure::effort::Setup;
pub use figure::{Figure, Measurement};

/// The points of each figure.
type Points = BTreeMap<Figure, Vec<Point>>;

/// The largest grid: what the pace of gossip was made for.
const MAX_NODES: u64 = 1_000;

/// Measure a grid against its size: CSV, SVG plots and a table
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Where to write the files; it is made if need be
    #[arg(long)]
    pub out: PathBuf,
    /// Numbers of nodes, separated by commas; the largest takes most of the time
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [3, 10, 30],
        value_parser = clap::value_parser!(u64).range(2..=MAX_NODES)
    )]
    pub sizes: Vec<u64>,
    /// Measure only these, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Measurement>,
    /// Percent of the usual spans and repetitions, which follow from the size
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub effort: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Measures, writes the files of each figure as soon as a size is done, and prints a table on `out`.
///
/// # Errors
/// A file that cannot be written.
pub fn run(
    arguments: &Arguments,
    out: &mut impl Write,
    talk: &mut impl Write,
) -> Result<(), Failure> {
    fs::create_dir_all(&arguments.out).map_err(|problem| failed(&arguments.out, &problem))?;
    let mut points = Points::new();
    for nodes in sizes(arguments) {
        let setup = Setup::new(nodes, arguments.seed, arguments.effort);
        for measurement in measurements(arguments) {
            let started = std::time::Instant::now();
            add(&mut points, measurement.measure(setup));
            let took = started.elapsed().as_secs_f64();
            let line = format!("{nodes} nodes, {measurement}: {took:.1} s of real time\n");
            write_to(talk, &line)?;
            write_files(&arguments.out, &points)?;
        }
    }
    write_to(out, &table::table(&points))
}

fn sizes(arguments: &Arguments) -> Vec<usize> {
    let sizes = arguments
        .sizes
        .iter()
        .map(|size| usize::try_from(*size).expect("at most 1,000"));
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn measurements(arguments: &Arguments) -> Vec<Measurement> {
    let wanted = |one: &Measurement| arguments.only.is_empty() || arguments.only.contains(one);
    Measurement::ALL.into_iter().filter(wanted).collect()
}

fn add(points: &mut Points, new: Vec<(Figure, Vec<Point>)>) {
    for (figure, new) in new {
        points.entry(figure).or_default().extend(new);
    }
}

fn write_files(folder: &Path, points: &Points) -> Result<(), Failure> {
    for (figure, points) in points {
        let plot = plot::svg(*figure, points)?;
        for (ending, text) in [("csv", csv::text(*figure, points)), ("svg", plot)] {
            let path = folder.join(format!("{}.{ending}", figure.file()));
            fs::write(&path, text).map_err(|problem| failed(&path, &problem))?;
        }
    }
    Ok(())
}

fn failed(path: &Path, problem: &std::io::Error) -> Failure {
    Failure::failed(format!("failed to write `{}`: {problem}", path.display()))
}

fn write_to(stream: &mut impl Write, text: &str) -> Result<(), Failure> {
    stream
        .write_all(text.as_bytes())
        .map_err(|problem| Failure::failed(format!("failed to write the report: {problem}")))
}
