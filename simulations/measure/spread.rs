//! How news spreads: when each node knows it, and when the last one does.

use std::time::Duration;

use kontena_core::time::Instant;
use kontena_core::view::View;

use super::percentile::percentile;
use super::{Point, Value};
use crate::world::World;

/// Observations of several pieces of news.
pub(super) struct Spread {
    begun: Instant,
    /// How exact times are.
    sample: Duration,
    /// Nobody is waited for longer.
    limit: Duration,
    /// By piece of news: how long each node took.
    times: Vec<Vec<Duration>>,
}

/// Whose time a point is about.
#[derive(Clone, Copy)]
pub(super) enum Of {
    /// All nodes and pieces of news together.
    Each,
    /// Of each piece of news, the node that knew it last.
    Last,
}

impl Spread {
    pub(super) fn new(world: &World, sample: Duration, limit: Duration) -> Self {
        Self {
            begun: world.now(),
            sample,
            limit,
            times: Vec::new(),
        }
    }

    /// Something has just happened: runs until each of `hosts` `knows`.
    pub(super) fn watch(
        &mut self,
        world: &mut World,
        mut hosts: Vec<usize>,
        knows: impl Fn(&View) -> bool,
    ) {
        let start = world.now();
        let mut times = Vec::new();
        while !hosts.is_empty() && world.now().since(start) < self.limit {
            world.run_for(self.sample);
            let before = hosts.len();
            hosts.retain(|host| !knows(&world.hosts[*host].view));
            let took = world.now().since(start);
            times.extend(std::iter::repeat_n(took, before - hosts.len()));
        }
        times.extend(std::iter::repeat_n(self.limit, hosts.len()));
        self.times.push(times);
    }

    pub(super) fn point(
        &self,
        world: &World,
        series: &'static str,
        of: Of,
        thousandths: usize,
    ) -> Point {
        let times: Vec<Duration> = match of {
            Of::Each => self.times.iter().flatten().copied().collect(),
            Of::Last => self
                .times
                .iter()
                .filter_map(|times| times.iter().max().copied())
                .collect(),
        };
        Point {
            nodes: world.hosts.len(),
            series,
            value: Value::within(percentile(&times, thousandths), self.limit),
            samples: times.len(),
            span: world.now().since(self.begun),
        }
    }
}
