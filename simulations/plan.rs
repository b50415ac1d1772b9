//! What is going to befall a grid: a list of deeds, each with its time, fixed before the run begins.
//!
//! Because a run follows from its plan and its seed alone, a failing one can be run again with fewer
//! deeds ([`crate::shrink`]), and what is left is a story that can be told: a plan is printed as the
//! Rust that makes it.

mod ask;
mod deed;
mod draw;
mod keys;

use std::fmt;
use std::time::Duration;

pub use ask::{
    Ask, COMMON_SERVICES, LEASED, SERVICES, Shape, VERSIONS, key, rebuilt, stack_images,
};
pub use deed::{Deed, Touched};
pub use draw::draw;
pub use keys::{KEYS, LASTING, key_write};

/// A whole run: who is there, and what befalls them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    /// Hosts that form the grid.
    pub nodes: usize,
    /// Further hosts, which may join later.
    pub spare: usize,
    /// When faults end, in milliseconds after the grid was formed.
    pub ends: u64,
    pub steps: Vec<Step>,
}

/// One deed and its time, in milliseconds after the grid was formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub at: u64,
    /// How long it lasts; 0 where it happens at one moment.
    pub lasts: u64,
    pub deed: Deed,
}

impl Plan {
    pub fn new(seed: u64, nodes: usize, spare: usize) -> Self {
        Self {
            seed,
            nodes,
            spare,
            ends: 0,
            steps: Vec::new(),
        }
    }

    /// Adds a deed. Faults end when the last one is over.
    #[must_use]
    pub fn step(mut self, at: u64, lasts: u64, deed: Deed) -> Self {
        self.ends = self.ends.max(at + lasts);
        self.steps.push(Step { at, lasts, deed });
        self
    }

    /// Adds what somebody asks the node of a host for.
    #[must_use]
    pub fn ask(self, at: u64, on: usize, ask: Ask) -> Self {
        self.step(at, 0, Deed::Ask { on, ask })
    }

    pub fn hosts(&self) -> usize {
        self.nodes + self.spare
    }

    pub fn lasts(&self) -> Duration {
        Duration::from_millis(self.ends)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, nodes, spare) = (self.seed, self.nodes, self.spare);
        write!(f, "Plan::new({seed}, {nodes}, {spare})")?;
        for Step { at, lasts, deed } in &self.steps {
            write!(f, "\n    .step({at}, {lasts}, {deed:?})")?;
        }
        Ok(())
    }
}
