//! One node is cut off for long, works on, takes commands, and returns.

use std::time::Duration;

use super::effort::Setup;
use super::grid::{deploy, deploy_stateful, edit, settled};
use super::observe::{Instances, SAMPLE, all_know, all_online, equal_documents, wait};
use super::{Point, Value};
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(300);

/// Changes on the side of the many, and on the node that is away.
const CHANGES: (usize, usize) = (20, 5);

/// How often what runs is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(600);

/// What was seen of the stateful instances, which must never run in another place.
struct Pinned {
    elsewhere: usize,
    restarted: u64,
}

pub fn measure(setup: Setup) -> Returned {
    let Setup { nodes, seed, .. } = setup;
    let mut world = settled(nodes, seed);
    deploy(&mut world, "web", nodes);
    deploy_stateful(&mut world, "db", nodes.min(10));
    let before = Instances::of(&world, "db");
    let away = before.host_of(1).expect("it was deployed");
    let home = (away + 1) % nodes;
    cut_off(&mut world, away);
    edit(&mut world, home, "home", CHANGES.0);
    edit(&mut world, away, "away", CHANGES.1);
    let starts = world.hosts[away].engine.starts;
    let elsewhere = live_apart(&mut world, &before, setup.effort.away);
    world.network.heal();
    let merged = merge(&mut world);
    let pinned = Pinned {
        elsewhere: elsewhere.max(Instances::of(&world, "db").moved_since(&before)),
        restarted: world.hosts[away].engine.starts - starts,
    };
    points(setup, merged, &pinned)
}

fn cut_off(world: &mut World, away: usize) {
    let others: Vec<usize> = (0..world.hosts.len())
        .filter(|host| *host != away)
        .collect();
    world.network.split(&[away], &others);
}

/// The most stateful instances that were seen elsewhere than before, at once.
fn live_apart(world: &mut World, before: &Instances, span: Duration) -> usize {
    let start = world.now();
    let mut worst = 0;
    while world.now().since(start) < span {
        let left = span.saturating_sub(world.now().since(start));
        world.run_for(LOOK.min(left));
        worst = worst.max(Instances::of(world, "db").moved_since(before));
    }
    worst
}

/// How long until everybody knows everybody and everything, and nothing runs twice.
fn merge(world: &mut World) -> Option<Duration> {
    let services = 2 + CHANGES.0 + CHANGES.1;
    let nodes = world.hosts.len();
    let took = wait(world, LIMIT, |world| {
        let web = Instances::of(world, "web");
        all_online(world) && all_know(world, services) && web.count() == nodes && web.doubled() == 0
    });
    world.run_for(SAMPLE);
    took.filter(|_| equal_documents(world))
}

/// The points of two charts: seconds and instances.
#[derive(Clone, Debug)]
pub struct Returned {
    pub merged: Vec<Point>,
    pub moved: Vec<Point>,
}

fn points(setup: Setup, merged: Option<Duration>, pinned: &Pinned) -> Returned {
    let nodes = setup.nodes;
    let point = |series, value| Point {
        nodes,
        series,
        value,
        samples: 1,
        span: setup.effort.away,
    };
    let moved = Value::Seen(pinned.elsewhere as f64);
    let started = Value::Seen(pinned.restarted as f64);
    Returned {
        merged: vec![point("all merged", Value::within(merged, LIMIT))],
        moved: vec![
            point("stateful instances moved", moved),
            point("containers started on the one that returned", started),
        ],
    }
}
