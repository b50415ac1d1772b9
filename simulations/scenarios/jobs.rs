//! Jobs, through crashes, restored disks, clocks that are set, splits and drains: at most once for each slot, and each slot
//! where nobody disturbs it.

use std::collections::BTreeSet;
use std::time::Duration;

use kontena_core::command::Command;
use kontena_core::id::InstanceId;
use kontena_core::job::{Missed, Run, RunState};
use kontena_core::reconcile::action::Action;
use kontena_core::schedule::Slot;
use kontena_core::stack::{Schedule, Service};
use kontena_core::view::Availability;
use kontena_simulations::chance::Chance;
use kontena_simulations::checks::jobs::{Runs, is_written};
use kontena_simulations::disk::Disk;
use kontena_simulations::fact::Fact;
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, deploy_service, grid, key};

const NAME: &str = "backup";

/// Every twenty seconds.
fn job() -> Service {
    let mut service = Service::new("web:1");
    let cron = "*/20 * * * * *".parse().expect("a schedule");
    service.deploy.schedule = Some(Schedule::new(cron));
    service
}

fn with_job(hosts: usize, seed: u64) -> World {
    let mut world = grid(hosts, seed);
    world.watch();
    deploy_service(&mut world, 0, NAME, job(), 1);
    world
}

fn instance() -> InstanceId {
    InstanceId::new(key(NAME), 1)
}

/// The host that the job is bound to, by the documents of host 0.
fn owner(world: &World) -> usize {
    let record = &world.hosts[0].view.documents.services[&key(NAME)];
    let node = record.pins[&1].node;
    let mut hosts = 0..world.hosts.len();
    hosts
        .find(|host| world.id(*host) == node)
        .expect("it is bound")
}

/// What `reader` knows of the job's runs on `owner`.
fn runs(world: &World, reader: usize, owner: usize) -> Vec<Run> {
    let reports = &world.hosts[reader].view.reports;
    let report = reports.get(&world.id(owner));
    let ledger = report.and_then(|report| report.jobs.get(&instance()));
    ledger.map(|ledger| ledger.runs.clone()).unwrap_or_default()
}

/// What was started, and that nothing was started twice or before it was written down.
#[derive(Default)]
struct Watched {
    runs: Runs,
    slots: BTreeSet<Slot>,
}

impl Watched {
    /// Time goes by, and runs take five seconds.
    fn run(&mut self, world: &mut World, time: Duration) {
        let end = world.now() + time;
        while world.now() < end {
            world.run_for(Duration::from_secs(1));
            for host in 0..world.hosts.len() {
                world.end_runs(host, 5_000);
            }
            self.look(world);
        }
    }

    #[track_caller]
    fn look(&mut self, world: &mut World) {
        for (host, fact) in world.take_facts() {
            if let Some(what) = self.runs.see(world, host, &fact) {
                panic!("{what}");
            }
            if let Fact::Asked(Action::Run(spec)) = &fact
                && let Some(slot) = spec.labels.slot
            {
                let instance = &spec.labels.instance;
                assert!(
                    is_written(world, host, instance, slot),
                    "{slot} is not on the disk"
                );
                self.slots.insert(slot);
            }
        }
    }
}

#[test]
fn a_job_that_nobody_disturbs_runs_each_of_its_slots_and_every_node_knows() {
    for seed in 7000..7003 {
        let mut world = with_job(3, seed);
        let mut watched = Watched::default();
        watched.run(&mut world, MINUTE);
        watched.slots.clear();
        watched.run(&mut world, 5 * MINUTE);
        let slots: Vec<u64> = watched.slots.iter().map(|slot| slot.0).collect();
        assert!((14..=16).contains(&slots.len()), "{}", slots.len());
        let is_next = |pair: &[u64]| pair[1] - pair[0] == 20_000;
        assert!(slots.windows(2).all(is_next), "{slots:?}");
        watched.run(&mut world, SOON);
        let owner = owner(&world);
        for reader in 0..3 {
            let known = runs(&world, reader, owner);
            let ended = |run: &&Run| matches!(run.state, RunState::Ended { exit_code: 0, .. });
            assert!(known.iter().filter(ended).count() >= 10, "{known:?}");
        }
    }
}

#[test]
fn what_its_node_missed_while_it_was_off_is_told_once_and_counted() {
    let mut world = with_job(3, 7010);
    let mut watched = Watched::default();
    watched.run(&mut world, MINUTE);
    let owner = owner(&world);
    world.kill_host(owner);
    watched.run(&mut world, 30 * MINUTE);
    world.boot(owner);
    watched.run(&mut world, 2 * MINUTE);
    let reader = (owner + 1) % 3;
    let known = runs(&world, reader, owner);
    let missed: Vec<u32> = known.iter().filter_map(away).collect();
    assert_eq!(missed.len(), 1, "{known:?}");
    assert!((90..=94).contains(&missed[0]), "{missed:?}");
    assert!(watched.slots.len() >= 5, "it runs again");
}

fn away(run: &Run) -> Option<u32> {
    let RunState::Missed {
        why: Missed::Away,
        count,
        ..
    } = run.state
    else {
        return None;
    };
    Some(count)
}

#[test]
fn a_drained_node_misses_and_runs_again_when_it_is_active() {
    let mut world = with_job(3, 7020);
    let mut watched = Watched::default();
    watched.run(&mut world, MINUTE);
    let owner = owner(&world);
    let availability = |world: &mut World, availability| {
        let node = world.id(owner);
        let update = Command::UpdateNode {
            node,
            labels: None,
            availability: Some(availability),
        };
        accept(world, 0, update);
    };
    availability(&mut world, Availability::Drain);
    watched.run(&mut world, SOON);
    watched.slots.clear();
    watched.run(&mut world, 2 * MINUTE);
    assert_eq!(watched.slots, BTreeSet::new());
    let known = runs(&world, 0, owner);
    let is_drained = |run: &Run| matches!(run.state, RunState::Missed { why: Missed::Drained, count, .. } if count >= 5);
    assert!(known.iter().any(is_drained), "{known:?}");
    availability(&mut world, Availability::Active);
    watched.run(&mut world, MINUTE);
    assert!(watched.slots.len() >= 2, "{:?}", watched.slots);
}

/// Something befalls the job's node, or all.
fn befall(world: &mut World, chance: &mut Chance, old: &mut Vec<Disk>, home: usize) {
    let host = chance.index(world.hosts.len());
    match chance.below(8) {
        0 => world.kill_node(host),
        1 => world.kill_host(host),
        2 if !old.is_empty() => old.push(world.hosts[home].disk.clone()),
        3 => {
            if let Some(copy) = old.last().cloned() {
                world.kill_host(home);
                world.restore_disk(home, copy);
            }
        }
        4 => {
            let millis = i64::try_from(chance.below(1_200_000)).unwrap_or_default();
            // Of a node whose disk and clock are both set back nobody can tell what it ran.
            let host = if old.is_empty() { host } else { (home + 1) % 3 };
            world.hosts[host].clock.jump(600_000 - millis);
        }
        5 => world.hosts[host].engine.trouble.loses_answers = chance.below(500),
        6 => world.hosts[host].engine.hung = chance.happens(500),
        _ => world.lose_containers(host),
    }
    let wait = Duration::from_millis(chance.below(40_000));
    world.run_for(Duration::from_millis(chance.below(3_000)));
    for other in 0..world.hosts.len() {
        if !world.hosts[other].is_up() && chance.happens(700) {
            world.boot(other);
        }
    }
    world.run_for(wait);
}

#[test]
fn whatever_befalls_its_node_no_slot_of_a_job_runs_twice() {
    for seed in 7100..7104 {
        let mut world = with_job(3, seed);
        let mut watched = Watched::default();
        let mut chance = Chance::new(seed, "what befalls a job");
        let mut old = Vec::new();
        watched.run(&mut world, MINUTE);
        let home = owner(&world);
        // In half of the runs disks are set back, in the others clocks.
        if seed % 2 == 0 {
            old.push(world.hosts[home].disk.clone());
        }
        for _ in 0..30 {
            befall(&mut world, &mut chance, &mut old, home);
            watched.run(&mut world, Duration::from_secs(15));
        }
        for host in 0..3 {
            world.hosts[host].engine.hung = false;
            world.hosts[host].engine.trouble.loses_answers = 0;
            if !world.hosts[host].is_up() {
                world.boot(host);
            }
        }
        // A clock that was set back may stand before the last slot for as long as it was set.
        watched.run(&mut world, 45 * MINUTE);
        watched.slots.clear();
        watched.run(&mut world, 2 * MINUTE);
        assert!(
            watched.slots.len() >= 5,
            "seed {seed}: it runs again, {:?}",
            watched.slots
        );
    }
}
