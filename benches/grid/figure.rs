//! Samples, what is said of them, and the table.

use std::fmt::Write;

use jiff::Timestamp;

/// Seconds from one moment to another by this machine's one clock, which all hosts share.
pub(crate) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Measured values of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The first so many, and the last.
    pub(crate) fn ends(&self, count: usize) -> (Self, Self) {
        let first = self.0.iter().take(count).copied().collect();
        let last = self.0.iter().rev().take(count).copied().collect();
        (Self(first), Self(last))
    }

    /// The newest; not a number without samples.
    pub(crate) fn last(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest value that so many hundredths of the samples do not exceed; not a number without samples.
    pub(crate) fn percentile(&self, hundredths: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// The one in the middle, or the mean of the two there.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match (sorted.len() / 2, sorted.len() % 2) {
            (_, _) if sorted.is_empty() => f64::NAN,
            (middle, 0) => (sorted[middle - 1] + sorted[middle]) / 2.0,
            (middle, _) => sorted[middle],
        }
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// `0.412 s (0.380-0.530, n=11)`.
    pub(crate) fn text(&self, unit: &str, decimals: usize) -> String {
        format!(
            "**{:.decimals$} {unit}** ({:.decimals$}–{:.decimals$}, n={})",
            self.median(),
            self.least(),
            self.most(),
            self.len()
        )
    }

    pub(crate) fn in_seconds(&self) -> String {
        self.text("s", 3)
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    figure: String,
    aim: String,
}

impl Row {
    /// `aim` is what was hoped for, or empty.
    pub(crate) fn new(what: impl Into<String>, figure: impl Into<String>, aim: &str) -> Self {
        Self {
            what: what.into(),
            figure: figure.into(),
            aim: aim.to_owned(),
        }
    }

    pub(crate) fn line(&self) -> String {
        format!("| {} | {} | {} |", self.what, self.figure, self.aim)
    }
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| what | median (least–most, n) | aim |\n|---|---|---|\n".to_owned();
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row.line());
    }
    text
}
