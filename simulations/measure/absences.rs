//! False alarms: nodes that live and are taken for stale or absent, under three conditions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::effort::Effort;
use super::grid::settled;
use super::observe::{Alarms, SAMPLE};
use super::{Point, Value};
use crate::world::World;

/// What makes the life of a failure detector hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A tenth of all messages is lost.
    Loss,
    /// One node is cut off from four fifths of the others, both ways.
    Deaf,
    /// A tenth of the nodes stands still for 3 s out of 15, each in its own rhythm.
    Stalling,
}

const STALL: Duration = Duration::from_secs(3);
const STALL_EVERY: Duration = Duration::from_secs(15);

impl Condition {
    pub const ALL: [Self; 3] = [Self::Loss, Self::Deaf, Self::Stalling];

    /// The names of the curves: stale, absent.
    fn series(self) -> [&'static str; 2] {
        match self {
            Self::Loss => ["stale, 10 % loss", "absent, 10 % loss"],
            Self::Deaf => ["stale, cut from 80 %", "absent, cut from 80 %"],
            Self::Stalling => ["stale, tenth stalls 3 s", "absent, tenth stalls 3 s"],
        }
    }
}

/// Alarms of one node about another, in all of the time that was looked at.
pub fn measure(nodes: usize, seed: u64) -> Vec<Point> {
    let conditions = Condition::ALL.into_iter();
    conditions
        .flat_map(|condition| under(condition, nodes, seed))
        .collect()
}

fn under(condition: Condition, nodes: usize, seed: u64) -> Vec<Point> {
    let mut world = settled(nodes, seed);
    match condition {
        Condition::Loss => world.network.loss = 100,
        Condition::Deaf => {
            let cut: Vec<usize> = (1..nodes).take((nodes - 1) * 4 / 5).collect();
            world.network.split(&[0], &cut);
        }
        Condition::Stalling => {}
    }
    let span = Effort::of(nodes).watch;
    let alarms = watch(&mut world, condition, span);
    let point = |series, count: usize| Point {
        nodes,
        series,
        value: Value::Seen(count as f64),
        samples: nodes * nodes.saturating_sub(1),
        span,
    };
    let [stale, absent] = condition.series();
    vec![point(stale, alarms.stale), point(absent, alarms.absent)]
}

fn watch(world: &mut World, condition: Condition, span: Duration) -> Alarms {
    let start = world.now();
    let mut alarms = Alarms::new(world);
    let mut stalls = match condition {
        Condition::Stalling => rhythms(world),
        Condition::Loss | Condition::Deaf => BTreeMap::new(),
    };
    while world.now().since(start) < span {
        world.run_for(SAMPLE);
        for (host, next) in &mut stalls {
            if *next <= world.now() {
                world.stall(*host, STALL);
                *next = *next + STALL_EVERY;
            }
        }
        alarms.look(world);
    }
    alarms
}

/// When each of the nodes that stall does so first.
fn rhythms(world: &mut World) -> BTreeMap<usize, kontena_core::time::Instant> {
    let count = world.hosts.len().div_ceil(10);
    let hosts = (0..count).map(|host| {
        let pause = world.chance.between(Duration::ZERO, STALL_EVERY);
        (host, world.now() + pause)
    });
    hosts.collect()
}
