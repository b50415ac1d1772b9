//! How long until a crash is known: the power of one node after another is cut.

use std::time::Duration;

use kontena_core::view::Freshness;

use super::Point;
use super::effort::Setup;
use super::grid::settled;
use super::observe::{SAMPLE, all_online, wait};
use super::spread::{Of, Spread};
use crate::world::World;

/// Longer than every limit of the table in `docs/design/membership.md`, twice.
const LIMIT: Duration = Duration::from_secs(120);

/// Until each node that lives takes the dead one for stale.
pub fn measure(setup: Setup) -> Vec<Point> {
    let Setup { nodes, seed, .. } = setup;
    let mut world = settled(nodes, seed);
    let mut spread = Spread::new(&world, SAMPLE, LIMIT);
    for _ in 0..setup.effort.crashes {
        let victim = world.chance.index(nodes);
        crash(&mut world, victim, &mut spread);
        world.boot(victim);
        wait(&mut world, LIMIT, all_online);
        world.run_for(Duration::from_secs(30));
    }
    vec![
        spread.point(&world, "known to a node, p50", Of::Each, 500),
        spread.point(&world, "known to a node, p99", Of::Each, 990),
        spread.point(&world, "known to all, p50", Of::Last, 500),
        spread.point(&world, "known to all, worst", Of::Last, 1_000),
    ]
}

fn crash(world: &mut World, victim: usize, spread: &mut Spread) {
    let pause = Duration::from_micros(world.chance.below(4_000_000));
    world.run_for(pause); // at any moment between two bumps
    world.kill_host(victim);
    let id = world.id(victim);
    let others = (0..world.hosts.len()).filter(|host| *host != victim);
    let others = others.collect();
    spread.watch(world, others, |view| {
        view.freshness(&id) >= Freshness::Stale
    });
}
