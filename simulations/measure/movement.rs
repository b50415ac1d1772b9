//! Instances that move when one node dies, when it returns, and when links flap.

use std::time::Duration;

use kontena_core::membership::freshness::Pace;

use super::effort::Setup;
use super::grid::{deploy, deploy_large, settled};
use super::observe::{Instances, wait};
use super::{Point, Value};
use crate::engine::Engine;
use crate::world::World;

/// The longest grace after several silences, and the takeover itself.
const LIMIT: Duration = Duration::from_secs(600);

/// After the last takeover: whatever would move needlessly has begun to.
const AFTERMATH: Duration = Duration::from_secs(60);

/// Instances per node.
const LOAD: usize = 3;

const CUT_OFF: Duration = Duration::from_secs(300);

const FLAPS: usize = 10;
const BETWEEN_FLAPS: Duration = Duration::from_secs(20);

pub fn measure(setup: Setup) -> Vec<Point> {
    let Setup { nodes, seed, .. } = setup;
    let mut world = settled(nodes, seed);
    deploy(&mut world, "web", LOAD * nodes);
    let mut points = vec![flapping(&mut world)];
    points.extend(death(&mut world, LOAD).map(|count| count.point()));
    points.push(minority(setup));
    points.extend(death_when_full(setup));
    points
}

/// A tenth of a node's memory.
const TENTH: u64 = Engine::MEMORY / 10;

/// Nine tenths of all memory are set aside when a node dies, or as much as leaves room for what it ran: below ten nodes less.
fn death_when_full(setup: Setup) -> [Point; 2] {
    let nodes = setup.nodes;
    let mut world = settled(nodes, setup.seed);
    let load = (10 * (nodes - 1) / nodes).min(9);
    deploy_large(&mut world, "web", load * nodes, TENTH);
    let [ideal, moved, _] = death(&mut world, load);
    [
        Count {
            series: "ran on the node that died of a full grid",
            ..ideal
        },
        Count {
            series: "moved in a full grid",
            ..moved
        },
    ]
    .map(|count| count.point())
}

/// Two fifths of the nodes are cut off for five minutes. They take nothing over, and have nothing to
/// start when they are back.
fn minority(setup: Setup) -> Point {
    let mut world = settled(setup.nodes, setup.seed);
    deploy(&mut world, "web", LOAD * setup.nodes);
    let few = (setup.nodes * 2 / 5).max(1);
    let (left, right): (Vec<usize>, Vec<usize>) = (0..setup.nodes).partition(|host| *host < few);
    world.network.split(&left, &right);
    world.run_for(CUT_OFF);
    let before = starts(&world, &left);
    world.network.heal();
    world.run_for(AFTERMATH);
    let started = usize::try_from(starts(&world, &left) - before).expect("a few a node");
    Count {
        nodes: setup.nodes,
        series: "started by a minority that is back",
        count: started,
        samples: few,
        span: AFTERMATH,
    }
    .point()
}

fn starts(world: &World, hosts: &[usize]) -> u64 {
    hosts
        .iter()
        .map(|host| world.hosts[*host].engine.starts)
        .sum()
}

/// One node's links are cut for half of its grace, again and again.
fn flapping(world: &mut World) -> Point {
    let nodes = world.hosts.len();
    let (start, starts) = (world.now(), world.starts());
    let before = Instances::of(world, "web");
    let others: Vec<usize> = (1..nodes).collect();
    for _ in 0..FLAPS {
        world.network.split(&[0], &others);
        world.run_for(Pace::of(nodes).absent / 2);
        world.network.heal();
        world.run_for(BETWEEN_FLAPS);
    }
    let moved = Instances::of(world, "web").moved_since(&before);
    let started = usize::try_from(world.starts() - starts).expect("a few");
    let span = world.now().since(start);
    Count {
        nodes,
        series: "moved by ten short cuts",
        count: moved.max(started),
        samples: FLAPS,
        span,
    }
    .point()
}

/// `load` instances run on each node.
fn death(world: &mut World, load: usize) -> [Count; 3] {
    let nodes = world.hosts.len();
    let victim = nodes / 2;
    let before = Instances::of(world, "web");
    let ideal = before.on(victim);
    let start = world.now();
    world.kill_host(victim);
    wait(world, LIMIT, |world| {
        Instances::of(world, "web") != before && Instances::of(world, "web").count() == load * nodes
    });
    world.run_for(AFTERMATH);
    let after = Instances::of(world, "web");
    world.boot(victim);
    world.run_for(AFTERMATH);
    let returned = Instances::of(world, "web").moved_since(&after);
    let moved = after.moved_since(&before);
    let span = world.now().since(start);
    let count = |series, count| Count {
        nodes,
        series,
        count,
        samples: 1,
        span,
    };
    [
        count("ran on the node that died", ideal),
        count("moved", moved),
        count("moved when it returned", returned),
    ]
}

/// How many instances did something.
struct Count {
    nodes: usize,
    series: &'static str,
    count: usize,
    samples: usize,
    span: Duration,
}

impl Count {
    fn point(self) -> Point {
        Point {
            nodes: self.nodes,
            series: self.series,
            value: Value::Seen(self.count as f64),
            samples: self.samples,
            span: self.span,
        }
    }
}
