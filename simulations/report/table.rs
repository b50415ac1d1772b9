//! All figures as one table: a line a curve, a column a size.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Points;
use crate::measure::{Point, Value};

pub(super) fn table(points: &Points) -> String {
    let sizes: BTreeSet<usize> = points.values().flatten().map(|point| point.nodes).collect();
    let mut text = String::new();
    for (figure, points) in points {
        let title = format!("{}, in {}", figure.title(), figure.unit());
        line(&mut text, &title, sizes.iter().map(usize::to_string));
        for series in series(points) {
            let cells = sizes.iter().map(|nodes| cell(points, series, *nodes));
            line(&mut text, &format!("  {series}"), cells);
        }
    }
    text
}

/// The curves in the order in which they came.
pub(super) fn series(points: &[Point]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for point in points {
        if !names.contains(&point.series) {
            names.push(point.series);
        }
    }
    names
}

fn cell(points: &[Point], series: &str, nodes: usize) -> String {
    let found = points
        .iter()
        .find(|point| point.series == series && point.nodes == nodes);
    match found.map(|point| point.value) {
        Some(Value::Seen(number)) => rounded(number),
        Some(Value::MoreThan(number)) => format!(">{}", rounded(number)),
        None => "-".to_owned(),
    }
}

fn rounded(number: f64) -> String {
    match number {
        small if small.fract() != 0.0 && small < 100.0 => format!("{small:.2}"),
        other => format!("{other:.0}"),
    }
}

fn line(text: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    write!(text, "{first:<72}").expect("memory can be written");
    for cell in cells {
        write!(text, " {cell:>9}").expect("memory can be written");
    }
    text.push('\n');
}
