//! False alarms: nodes that live and are taken for stale or absent, under three conditions.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::time::Instant;

use super::effort::Setup;
use super::grid::settled;
use super::observe::{Alarms, SAMPLE};
use super::{Point, Value};
use crate::chance::Chance;
use crate::network::Network;
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

/// When the nodes that stall do so next.
pub(super) struct Rhythms(BTreeMap<usize, Instant>);

impl Rhythms {
    /// Those whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        for (host, next) in &mut self.0 {
            if *next <= now {
                *next = *next + Condition::STALL_EVERY;
                due.push(*host);
            }
        }
        due
    }
}

impl Condition {
    pub const ALL: [Self; 3] = [Self::Loss, Self::Deaf, Self::Stalling];
    pub(super) const STALL: Duration = Duration::from_secs(3);
    const STALL_EVERY: Duration = Duration::from_secs(15);

    /// The names of the curves: stale, absent.
    fn series(self) -> [&'static str; 2] {
        match self {
            Self::Loss => ["stale, 10 % loss", "absent, 10 % loss"],
            Self::Deaf => ["stale, cut from 80 %", "absent, cut from 80 %"],
            Self::Stalling => ["stale, tenth stalls 3 s", "absent, tenth stalls 3 s"],
        }
    }

    pub(super) fn impose(self, network: &mut Network, nodes: usize) {
        match self {
            Self::Loss => network.loss = 100,
            Self::Deaf => {
                let cut: Vec<usize> = (1..nodes).take((nodes - 1) * 4 / 5).collect();
                network.split(&[0], &cut);
            }
            Self::Stalling => {}
        }
    }

    pub(super) fn rhythms(self, nodes: usize, now: Instant, chance: &mut Chance) -> Rhythms {
        let stalling = match self {
            Self::Stalling => nodes.div_ceil(10),
            Self::Loss | Self::Deaf => 0,
        };
        let first = (0..stalling).map(|host| {
            let pause = chance.between(Duration::ZERO, Self::STALL_EVERY);
            (host, now + pause)
        });
        Rhythms(first.collect())
    }
}

/// Alarms of one node about another, in all of the time that was looked at.
pub fn measure(setup: Setup) -> Vec<Point> {
    let conditions = Condition::ALL.into_iter();
    conditions
        .flat_map(|condition| under(condition, setup))
        .collect()
}

fn under(condition: Condition, setup: Setup) -> Vec<Point> {
    let Setup { nodes, seed, .. } = setup;
    let mut world = settled(nodes, seed);
    condition.impose(&mut world.network, nodes);
    let span = setup.effort.watch;
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
    let mut rhythms = condition.rhythms(world.hosts.len(), start, &mut world.chance);
    while world.now().since(start) < span {
        world.run_for(SAMPLE);
        for host in rhythms.due(world.now()) {
            world.stall(host, Condition::STALL);
        }
        alarms.look(world);
    }
    alarms
}
