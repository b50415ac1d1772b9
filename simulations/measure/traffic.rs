//! Bytes that nodes send: at rest, and in the storm after a heal.

use std::time::Duration;

use kontena_core::time::Instant;

use super::effort::Setup;
use super::grid::{deploy, settled};
use super::{Point, Value};
use crate::meter::Meter;
use crate::world::World;

/// Thirty rounds of the slowest pace at rest that is measured.
const REST: Duration = Duration::from_secs(60);

/// How long the storm after a heal is looked at.
const STORM: Duration = Duration::from_secs(30);

const SECOND: Duration = Duration::from_secs(1);

/// At rest, with as many instances as nodes: bytes per node per second.
pub fn measure(setup: Setup) -> Vec<Point> {
    let Setup { nodes, seed, .. } = setup;
    let mut world = settled(nodes, seed);
    deploy(&mut world, "web", nodes);
    world.run_for(REST);
    world.meter = Some(Meter::new(nodes));
    world.run_for(REST);
    let sent = bytes(&world);
    let point = |series, bytes: u64| Point {
        nodes,
        series,
        value: Value::Seen(bytes as f64 / REST.as_secs_f64()),
        samples: nodes,
        span: REST,
    };
    let all: u64 = sent.iter().sum();
    vec![
        point("at rest, average node", all / nodes as u64),
        point(
            "at rest, busiest node",
            sent.iter().max().copied().unwrap_or(0),
        ),
    ]
}

fn bytes(world: &World) -> Vec<u64> {
    world
        .meter
        .as_ref()
        .map_or_else(Vec::new, |meter| meter.bytes().to_vec())
}

/// Looks at the traffic after something has happened; the world's meter runs.
#[derive(Debug)]
pub(super) struct Storm {
    start: Instant,
    second: Instant,
    before: u64,
    /// The most that all nodes sent within one second.
    peak: u64,
    sent: Option<u64>,
}

impl Storm {
    pub(super) fn new(world: &World) -> Self {
        Self {
            start: world.now(),
            second: world.now(),
            before: total(world),
            peak: 0,
            sent: None,
        }
    }

    pub(super) fn is_over(&self, world: &World) -> bool {
        world.now().since(self.start) >= STORM
    }

    pub(super) fn look(&mut self, world: &World) {
        if self.sent.is_some() || world.now().since(self.second) < SECOND {
            return;
        }
        let now = total(world);
        self.peak = self.peak.max(now - self.before);
        (self.before, self.second) = (now, world.now());
        if self.is_over(world) {
            self.sent = Some(now);
        }
    }

    pub(super) fn points(&self, world: &World) -> Vec<Point> {
        let nodes = world.hosts.len();
        let point = |series, bytes: f64| Point {
            nodes,
            series,
            value: Value::Seen(bytes / nodes as f64),
            samples: nodes,
            span: STORM,
        };
        let sent = self.sent.unwrap_or_else(|| total(world)) as f64;
        vec![
            point("30 s after a heal, average", sent / STORM.as_secs_f64()),
            point("worst second after a heal", self.peak as f64),
        ]
    }
}

fn total(world: &World) -> u64 {
    bytes(world).iter().sum()
}
