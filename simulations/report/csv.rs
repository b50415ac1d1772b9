//! A figure as numbers, one point a line.

use std::fmt::Write;

use super::figure::Figure;
use crate::measure::{Point, Value};

/// `reached` is `no` where a measurement ended before: the value is then the limit.
pub(super) fn text(figure: Figure, points: &[Point]) -> String {
    let mut text = format!(
        "nodes,series,\"{}\",reached,samples,span in seconds\n",
        figure.unit()
    );
    for point in points {
        let Point {
            nodes,
            series,
            value,
            samples,
            span,
        } = point;
        let reached = match value {
            Value::Seen(_) => "yes",
            Value::MoreThan(_) => "no",
        };
        let number = value.number();
        let span = span.as_secs();
        writeln!(
            text,
            "{nodes},\"{series}\",{number:.3},{reached},{samples},{span}"
        )
        .expect("memory can be written");
    }
    text
}
