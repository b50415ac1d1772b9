//! How long until a change is seen by all.

use std::time::Duration;

use super::Point;
use super::effort::Setup;
use super::grid::{creation, key, settled};
use super::spread::{Of, Spread};
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(60);

/// Finer than elsewhere: a change spreads within tens of milliseconds.
const SAMPLE: Duration = Duration::from_millis(2);

/// How long a node waits at most for a second disk before it answers, and a little more.
const ANSWERED: Duration = Duration::from_secs(3);

/// From the command at a random node until its change is in the view of each.
pub fn measure(setup: Setup) -> Vec<Point> {
    let Setup { nodes, seed, .. } = setup;
    let mut world = settled(nodes, seed);
    let mut spread = Spread::new(&world, SAMPLE, LIMIT);
    for number in 0..setup.effort.changes {
        change(&mut world, &format!("change-{number}"), &mut spread);
        world.run_for(Duration::from_secs(5));
    }
    vec![
        spread.point(&world, "seen by a node, p50", Of::Each, 500),
        spread.point(&world, "seen by a node, p99", Of::Each, 990),
        spread.point(&world, "seen by all, worst", Of::Last, 1_000),
    ]
}

fn change(world: &mut World, name: &str, spread: &mut Spread) {
    let nodes = world.hosts.len();
    let author = world.chance.index(nodes);
    let command = world.give(author, creation(name));
    let key = key(name);
    spread.watch(world, (0..nodes).collect(), |view| {
        view.documents.services.contains_key(&key)
    });
    world.run_for(ANSWERED);
    let reply = world.reply(command).expect("a command is answered in time");
    reply.expect("a service with a new name is created");
}
