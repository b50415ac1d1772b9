//! How long names lead to an instance that is not there any more: on each node, by its own view alone.
//!
//! Counted from the moment at which it is stopped or gone until no answer of a node has its address. What the
//! server adds is the time to build a zone, well below a millisecond (`cargo bench -p kontena-names`), and the
//! second for which clients may keep an answer.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use kontena_core::command::Command;
use kontena_core::network::zone::{service_name, zone};
use kontena_core::view::View;

use super::Point;
use super::effort::Setup;
use super::grid::{deploy, key, settled};
use super::observe::{self, Instances};
use super::spread::{Of, Spread};
use crate::world::World;

const SERVICE: &str = "web";
/// Instances for each node: there are always healthy ones beside the one that ends.
const LOAD: usize = 2;
const LIMIT: Duration = Duration::from_secs(60);
/// Of what is told, and of what has to be noticed.
const FINE: Duration = Duration::from_millis(5);
const COARSE: Duration = Duration::from_millis(50);
/// After each: what moves or starts has done so, and graces are what they were.
const BETWEEN: Duration = Duration::from_secs(90);

pub fn measure(setup: Setup) -> Vec<Point> {
    let mut points = stopped(setup);
    points.extend(crashed(setup));
    points.extend(dead(setup));
    points
}

/// One instance fewer, asked for at a random node.
fn stopped(setup: Setup) -> Vec<Point> {
    let (mut world, count) = grid(setup);
    let mut spread = Spread::new(&world, FINE, LIMIT);
    for _ in 0..setup.effort.crashes {
        let last = u32::try_from(count).expect("a few for each node");
        let ended = addresses(&world, |number| number == last);
        let on = world.chance.index(setup.nodes);
        world.give(on, scale(count - 1));
        watch(&mut spread, &mut world, (0..setup.nodes).collect(), &ended);
        world.run_for(BETWEEN);
        world.give(on, scale(count));
        whole(&mut world, count);
    }
    points(
        &spread,
        &world,
        [
            "stopped, at a node, p50",
            "stopped, at a node, p99",
            "stopped, everywhere, worst",
        ],
    )
}

/// A container that ends by itself and cannot be started again.
fn crashed(setup: Setup) -> Vec<Point> {
    let (mut world, count) = grid(setup);
    let mut spread = Spread::new(&world, FINE, LIMIT);
    for _ in 0..setup.effort.crashes {
        let host = fullest(&world);
        let engine = &mut world.hosts[host].engine;
        engine.trouble.fails_starts = true;
        let first = engine.running().next();
        let first = first.expect("the fullest has some");
        let (name, ended) = (first.name.clone(), first.assigned);
        world.crash_container(host, &name);
        let ended: Vec<Ipv4Addr> = ended.into_iter().collect();
        watch(&mut spread, &mut world, (0..setup.nodes).collect(), &ended);
        world.hosts[host].engine.trouble.fails_starts = false;
        world.run_for(BETWEEN);
        whole(&mut world, count);
    }
    points(
        &spread,
        &world,
        [
            "crashed, at a node, p50",
            "crashed, at a node, p99",
            "crashed, everywhere, worst",
        ],
    )
}

/// A whole host, which nobody is told of.
fn dead(setup: Setup) -> Vec<Point> {
    let (mut world, count) = grid(setup);
    let mut spread = Spread::new(&world, COARSE, LIMIT);
    for _ in 0..setup.effort.crashes {
        let victim = fullest(&world);
        let running = world.hosts[victim].engine.running();
        let ended: Vec<Ipv4Addr> = running.filter_map(|container| container.assigned).collect();
        world.kill_host(victim);
        let others = (0..setup.nodes).filter(|host| *host != victim);
        watch(&mut spread, &mut world, others.collect(), &ended);
        world.run_for(BETWEEN);
        world.boot(victim);
        world.run_for(BETWEEN);
        whole(&mut world, count);
    }
    points(
        &spread,
        &world,
        [
            "dead host, at a node, p50",
            "dead host, at a node, p99",
            "dead host, everywhere, worst",
        ],
    )
}

fn grid(setup: Setup) -> (World, usize) {
    let mut world = settled(setup.nodes, setup.seed);
    let count = LOAD * setup.nodes;
    deploy(&mut world, SERVICE, count);
    (world, count)
}

/// The host that runs the most: after a few ends some run nothing.
fn fullest(world: &World) -> usize {
    let all = 0..world.hosts.len();
    all.max_by_key(|host| world.hosts[*host].engine.running().count())
        .expect("a grid has hosts")
}

fn scale(instances: usize) -> Command {
    Command::ScaleService {
        key: key(SERVICE),
        instances: u32::try_from(instances).expect("a few for each node"),
    }
}

fn whole(world: &mut World, count: usize) {
    let is_whole = |world: &World| Instances::of(world, SERVICE).count() == count;
    observe::wait(world, LIMIT, is_whole).expect("a quiet grid runs what is wanted");
    world.run_for(BETWEEN);
}

fn addresses(world: &World, is_meant: impl Fn(u32) -> bool) -> Vec<Ipv4Addr> {
    let all = world.hosts.iter().flat_map(|host| host.engine.running());
    let meant = all.filter(|container| is_meant(container.owner.instance.number));
    meant.filter_map(|container| container.assigned).collect()
}

/// Runs until each of these nodes answers with none of the addresses.
fn watch(spread: &mut Spread, world: &mut World, hosts: Vec<usize>, ended: &[Ipv4Addr]) {
    assert!(!ended.is_empty(), "somebody has to end");
    spread.watch(world, hosts, |view| !answers_with(view, ended));
}

fn answers_with(view: &View, ended: &[Ipv4Addr]) -> bool {
    let Some(grid) = view.documents.grid.name.as_ref() else {
        return false;
    };
    let zone = zone(view);
    let records = zone.get(&service_name(grid, &key(SERVICE)));
    let mut targets = records
        .into_iter()
        .flat_map(|records| records.targets.iter());
    targets.any(|target| match target.address {
        IpAddr::V4(address) => ended.contains(&address),
        IpAddr::V6(_) => false,
    })
}

fn points(spread: &Spread, world: &World, series: [&'static str; 3]) -> Vec<Point> {
    let [half, most, last] = series;
    vec![
        spread.point(world, half, Of::Each, 500),
        spread.point(world, most, Of::Each, 990),
        spread.point(world, last, Of::Last, 1_000),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The aims are of a grid of ten; each figure is a fact of this version, and no wall clock has a say in it.
    #[test]
    fn who_is_stopped_is_out_of_all_answers_within_a_second_and_a_dead_host_within_eight() {
        let points = measure(Setup::new(5, 3, 25));
        for (of, limit) in [("stopped", 1.0), ("crashed", 1.0), ("dead host", 8.0)] {
            let p99 = format!("{of}, at a node, p99");
            let point = points.iter().find(|point| point.series == p99).unwrap();
            let took = point.value.number();
            assert!(point.samples >= 20 && took > 0.0, "{point:?}");
            assert!(took < limit, "{p99}: {took} s");
        }
    }
}
