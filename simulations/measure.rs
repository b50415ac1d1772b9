//! How a grid behaves, measured on the real `Node` in virtual time.
//!
//! Each measurement makes a [`grid`](grid::settled) of its own from a [`Setup`](effort::Setup), and answers
//! with [`Point`]s: equal setups give equal points. How long it looks follows from the size
//! ([`effort::Effort`]) and never from a clock, because a large grid costs more of a real second.
//!
//! Not here: how points are written and drawn (`report`).

pub mod absences;
pub mod answers;
pub mod away;
pub mod changes;
pub mod detection;
pub mod effort;
pub mod grid;
pub mod heal;
pub mod movement;
pub mod observe;
pub mod percentile;
mod spread;
pub mod swim;
pub mod traffic;

use std::time::Duration;

/// One figure: what was measured at one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub nodes: usize,
    /// Which curve it belongs to.
    pub series: &'static str,
    pub value: Value,
    /// Of how many observations.
    pub samples: usize,
    /// How much virtual time was looked at.
    pub span: Duration,
}

/// A figure, in the unit of its chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Seen(f64),
    /// Not reached before the measurement ended.
    MoreThan(f64),
}

impl Value {
    /// Seconds until something happened, which was waited for at most `limit`.
    pub fn within(took: Option<Duration>, limit: Duration) -> Self {
        match took {
            Some(took) if took < limit => Self::Seen(took.as_secs_f64()),
            Some(_) | None => Self::MoreThan(limit.as_secs_f64()),
        }
    }

    pub fn number(self) -> f64 {
        match self {
            Self::Seen(number) | Self::MoreThan(number) => number,
        }
    }
}
