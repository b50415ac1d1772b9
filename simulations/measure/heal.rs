//! A split into halves for five minutes, and what follows when it heals: how long until everybody
//! knows everybody, until the documents are equal, and until nothing runs twice.

use std::time::Duration;

use super::effort::Setup;
use super::grid::{deploy, edit, settled};
use super::observe::{Instances, SAMPLE, all_know, all_online, equal_documents};
use super::traffic;
use super::{Point, Value};
use crate::meter::Meter;
use crate::world::World;

const SPLIT: Duration = Duration::from_secs(300);
const LIMIT: Duration = Duration::from_secs(300);

/// What is wrong later than this after it was right would be another story.
const QUIET: Duration = Duration::from_secs(20);

/// Changes on each side.
const CHANGES: usize = 20;

/// What is looked at after the heal.
#[derive(Debug, Default)]
struct Seen {
    membership: Option<Duration>,
    documents: Option<Duration>,
    /// When an instance was last seen to run twice, or nowhere.
    wrong: Duration,
    /// Containers too many, times how long each ran.
    doubled: Duration,
    /// Containers too many at the heal.
    at_first: usize,
}

impl Seen {
    fn is_complete(&self, passed: Duration) -> bool {
        let is_single = passed.saturating_sub(self.wrong) > QUIET;
        self.membership.is_some() && self.documents.is_some() && is_single
    }

    /// From when on each instance ran once.
    fn single(&self) -> Option<Duration> {
        (self.wrong < LIMIT - QUIET).then(|| self.wrong + SAMPLE)
    }
}

/// The points of three charts: convergence, duplicates, and bytes in the storm.
#[derive(Clone, Debug)]
pub struct Healed {
    pub convergence: Vec<Point>,
    pub duplicates: Vec<Point>,
    pub storm: Vec<Point>,
}

/// With as many instances of one service as nodes.
pub fn measure(setup: Setup) -> Healed {
    let Setup { nodes, seed, .. } = setup;
    let mut world = settled(nodes, seed);
    deploy(&mut world, "web", nodes);
    split(&mut world);
    world.network.heal();
    world.meter = Some(Meter::new(nodes));
    let healed = world.now();
    let (seen, storm) = converge(&mut world);
    assert!(
        seen.documents.is_none() || equal_documents(&world),
        "{}",
        world.summary()
    );
    let span = world.now().since(healed);
    let point = |series, value, samples| Point {
        nodes,
        series,
        value,
        samples,
        span,
    };
    Healed {
        convergence: vec![
            point("membership", Value::within(seen.membership, LIMIT), 1),
            point(
                "documents",
                Value::within(seen.documents, LIMIT),
                2 * CHANGES,
            ),
            point(
                "nothing runs twice",
                Value::within(seen.single(), LIMIT),
                seen.at_first,
            ),
        ],
        duplicates: vec![
            point(
                "until the last is gone",
                Value::within(seen.single(), LIMIT),
                seen.at_first,
            ),
            point("each, on average", average(&seen), seen.at_first),
        ],
        storm,
    }
}

fn average(seen: &Seen) -> Value {
    let each = seen.doubled.as_secs_f64() / seen.at_first.max(1) as f64;
    match seen.single() {
        Some(_) => Value::Seen(each),
        None => Value::MoreThan(each),
    }
}

fn split(world: &mut World) {
    let half = world.hosts.len() / 2;
    let (left, right): (Vec<usize>, Vec<usize>) =
        (0..world.hosts.len()).partition(|host| *host < half);
    world.network.split(&left, &right);
    let start = world.now();
    edit(world, 0, "left", CHANGES);
    edit(world, half, "right", CHANGES);
    let passed = world.now().since(start);
    world.run_for(SPLIT.saturating_sub(passed));
}

fn converge(world: &mut World) -> (Seen, Vec<Point>) {
    let start = world.now();
    let services = 1 + 2 * CHANGES;
    let mut seen = Seen {
        at_first: Instances::of(world, "web").doubled(),
        ..Seen::default()
    };
    let mut storm = traffic::Storm::new(world);
    loop {
        let passed = world.now().since(start);
        if passed >= LIMIT || seen.is_complete(passed) && storm.is_over(world) {
            break;
        }
        let instances = Instances::of(world, "web");
        note(&mut seen.membership, passed, || all_online(world));
        note(&mut seen.documents, passed, || all_know(world, services));
        if instances.doubled() > 0 || instances.count() < world.hosts.len() {
            seen.wrong = passed;
        }
        let doubled = u32::try_from(instances.doubled()).expect("fewer than instances");
        seen.doubled += SAMPLE * doubled;
        world.run_for(SAMPLE);
        storm.look(world);
    }
    (seen, storm.points(world))
}

fn note(first: &mut Option<Duration>, passed: Duration, holds: impl FnOnce() -> bool) {
    if first.is_none() && holds() {
        *first = Some(passed);
    }
}
