//! A singleton under a lease: one at a time, taken over by a majority of its witnesses, and stopped where there is none.

use std::time::Duration;

use kontena_core::command::Command;
use kontena_core::id::InstanceId;
use kontena_core::stack::{Service, Witnesses};
use kontena_core::view::Availability;
use kontena_simulations::chance::Chance;
use kontena_simulations::checks::leases::Leases;
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, deploy_service, grid, key};

const NAME: &str = "leader";

fn leased() -> Service {
    let mut service = Service::new("web:1");
    let names = ["n1", "n2", "n3"].map(|name| name.parse().unwrap());
    service.deploy.lease = Some(Witnesses::new(names.to_vec()).unwrap());
    service
}

/// Time goes by, and two at once are found.
#[derive(Default)]
struct Watched(Leases);

impl Watched {
    fn run(&mut self, world: &mut World, time: Duration) {
        let end = world.now() + time;
        while world.now() < end {
            world.run_for(Duration::from_millis(500));
            self.look(world);
        }
    }

    fn look(&mut self, world: &mut World) {
        for (host, fact) in world.take_facts() {
            if let Some(what) = self.0.see(world, host, &fact) {
                panic!("{what}");
            }
        }
        assert!(holders(world).len() <= 1, "{:?} run it", holders(world));
    }

    /// Waits until it runs on one of these.
    #[track_caller]
    fn until_on(&mut self, world: &mut World, within: Duration, hosts: &[usize]) -> usize {
        let end = world.now() + within;
        loop {
            if let [host] = holders(world)[..]
                && hosts.contains(&host)
            {
                return host;
            }
            assert!(world.now() < end, "it runs on {:?}", holders(world));
            self.run(world, Duration::from_millis(500));
        }
    }
}

fn instance() -> InstanceId {
    InstanceId::new(key(NAME), 1)
}

fn holders(world: &World) -> Vec<usize> {
    let running = world.running();
    running.get(&instance()).cloned().unwrap_or_default()
}

fn with_leader(hosts: usize, seed: u64) -> (World, Watched, usize) {
    let mut world = grid(hosts, seed);
    world.watch();
    let mut watched = Watched::default();
    deploy_service(&mut world, 0, NAME, leased(), 1);
    let all: Vec<usize> = (0..hosts).collect();
    let home = watched.until_on(&mut world, MINUTE, &all);
    watched.run(&mut world, SOON);
    (world, watched, home)
}

fn others(world: &World, host: usize) -> Vec<usize> {
    (0..world.hosts.len())
        .filter(|other| *other != host)
        .collect()
}

#[test]
fn a_holder_that_is_cut_off_stops_and_another_goes_on() {
    let (mut world, mut watched, home) = with_leader(5, 701);
    let rest = others(&world, home);
    world.network.split(&[home], &rest);
    watched.until_on(&mut world, 2 * MINUTE, &rest);
    watched.run(&mut world, 2 * MINUTE);
    world.network.heal();
    watched.run(&mut world, 3 * MINUTE);
    assert_eq!(holders(&world).len(), 1);
}

#[test]
fn a_daemon_that_is_killed_leaves_nothing_behind_that_runs_when_the_lease_is_over() {
    let (mut world, mut watched, home) = with_leader(4, 702);
    world.kill_node(home);
    // The host refuses connections, which lengthens the grace: nobody begins before, and the fence ends what is left.
    watched.run(&mut world, Duration::from_secs(25));
    assert!(holders(&world).is_empty());
    let rest = others(&world, home);
    watched.until_on(&mut world, 3 * MINUTE, &rest);
}

#[test]
fn a_daemon_that_begins_anew_in_time_goes_on_and_its_container_runs_through() {
    let (mut world, mut watched, home) = with_leader(4, 703);
    let starts = world.hosts[home].engine.starts;
    for _ in 0..5 {
        world.kill_node(home);
        watched.run(&mut world, Duration::from_secs(5));
        world.boot(home);
        watched.run(&mut world, MINUTE);
        assert_eq!(holders(&world), [home]);
    }
    assert_eq!(world.hosts[home].engine.starts, starts);
}

#[test]
fn a_daemon_that_stands_still_is_fenced_and_takes_nothing_back_when_it_goes_on() {
    let (mut world, mut watched, home) = with_leader(4, 704);
    world.stall(home, MINUTE);
    watched.run(&mut world, Duration::from_secs(19));
    assert!(holders(&world).is_empty());
    watched.run(&mut world, Duration::from_secs(40));
    assert_ne!(holders(&world), [home]);
    watched.run(&mut world, 3 * MINUTE);
    assert_eq!(holders(&world).len(), 1);
}

#[test]
fn without_a_majority_of_witnesses_it_runs_nowhere_and_says_so_and_comes_back_with_one() {
    let (mut world, mut watched, _) = with_leader(5, 705);
    for witness in [0, 1] {
        world.kill_host(witness);
    }
    watched.run(&mut world, 2 * MINUTE);
    assert!(holders(&world).is_empty());
    let reports = world.hosts[4].view.reports.values();
    let mut holds = reports.filter_map(|report| report.holds.get(&instance()));
    let says = |words: &str| words.contains("waits for its lease");
    assert!(holds.any(|hold| hold.problem.as_deref().is_some_and(says)));
    world.boot(0);
    watched.until_on(&mut world, 5 * MINUTE, &[0, 2, 3, 4]);
}

#[test]
fn a_drain_hands_it_over_at_once() {
    let (mut world, mut watched, home) = with_leader(4, 706);
    let drain = Command::UpdateNode {
        node: world.id(home),
        labels: None,
        availability: Some(Availability::Drain),
    };
    accept(&mut world, home, drain);
    let rest = others(&world, home);
    watched.until_on(&mut world, Duration::from_secs(15), &rest);
}

#[test]
fn what_takes_long_to_stop_is_waited_for_and_then_it_runs_elsewhere_at_once() {
    let (mut world, mut watched, home) = with_slow_leader(708);
    let drain = Command::UpdateNode {
        node: world.id(home),
        labels: None,
        availability: Some(Availability::Drain),
    };
    accept(&mut world, home, drain);
    watched.run(&mut world, 4 * MINUTE);
    assert_eq!(holders(&world), [home]);
    let rest = others(&world, home);
    watched.until_on(&mut world, 90 * Duration::from_secs(1), &rest);
}

#[test]
fn a_service_that_is_created_anew_waits_for_what_stops_of_the_former_one() {
    let (mut world, mut watched, home) = with_slow_leader(709);
    accept(&mut world, 0, Command::RemoveService(key(NAME)));
    watched.run(&mut world, SOON);
    let mut anew = leased();
    let elsewhere = format!("node!={}", World::name(home));
    anew.affinity = vec![elsewhere.parse().unwrap()];
    deploy_service(&mut world, 0, NAME, anew, 1);
    watched.run(&mut world, 4 * MINUTE);
    assert_eq!(holders(&world), [home]);
    let rest = others(&world, home);
    watched.until_on(&mut world, 2 * MINUTE, &rest);
}

#[test]
fn an_engine_that_hangs_has_its_container_fenced_and_another_node_goes_on() {
    let (mut world, mut watched, home) = with_leader(4, 710);
    world.hosts[home].engine.hung = true;
    let rest = others(&world, home);
    watched.until_on(&mut world, 6 * MINUTE, &rest);
    world.hosts[home].engine.hung = false;
    watched.run(&mut world, 3 * MINUTE);
    assert_eq!(holders(&world).len(), 1);
}

#[test]
fn what_nobody_else_may_run_stays_where_it_is() {
    let mut world = grid(4, 711);
    world.watch();
    let mut watched = Watched::default();
    let mut service = leased();
    service.affinity = vec!["node==n4".parse().unwrap()];
    deploy_service(&mut world, 0, NAME, service, 1);
    watched.until_on(&mut world, MINUTE, &[3]);
    watched.run(&mut world, SOON);
    let drain = Command::UpdateNode {
        node: world.id(3),
        labels: None,
        availability: Some(Availability::Drain),
    };
    accept(&mut world, 0, drain);
    watched.run(&mut world, 3 * MINUTE);
    assert_eq!(holders(&world), [3]);
}

/// It takes five minutes to stop.
fn with_slow_leader(seed: u64) -> (World, Watched, usize) {
    let mut world = grid(4, seed);
    world.watch();
    let mut watched = Watched::default();
    let mut service = leased();
    service.stop_grace_millis = Some(300_000);
    deploy_service(&mut world, 0, NAME, service, 1);
    let home = watched.until_on(&mut world, MINUTE, &[0, 1, 2, 3]);
    watched.run(&mut world, SOON);
    world.hosts[home].engine.trouble.ignores_stop = true;
    (world, watched, home)
}

#[test]
fn witnesses_that_begin_anew_one_by_one_cost_nothing() {
    let (mut world, mut watched, home) = with_leader(5, 707);
    let starts = world.hosts[home].engine.starts;
    for witness in 0..3 {
        world.kill_node(witness);
        watched.run(&mut world, Duration::from_secs(3));
        world.boot(witness);
        watched.run(&mut world, 30 * Duration::from_secs(1));
    }
    assert_eq!(holders(&world), [home]);
    assert_eq!(world.hosts[home].engine.starts, starts);
}

#[test]
fn whatever_happens_to_three_witnesses_and_two_others_there_are_never_two() {
    for seed in 0..12 {
        let (mut world, mut watched, _) = with_leader(5, 720 + seed);
        let mut chance = Chance::new(seed, "leases");
        for _ in 0..25 {
            befall(&mut world, &mut chance);
            let wait = chance.between(Duration::from_secs(1), Duration::from_secs(40));
            watched.run(&mut world, wait);
        }
        world.network.heal();
        for host in 0..5 {
            if !world.hosts[host].is_up() {
                world.boot(host);
            }
        }
        watched.until_on(&mut world, 10 * MINUTE, &[0, 1, 2, 3, 4]);
        watched.run(&mut world, 5 * MINUTE);
        assert_eq!(holders(&world).len(), 1, "seed {seed}");
    }
}

fn befall(world: &mut World, chance: &mut Chance) {
    let host = chance.index(5);
    let rest = others(world, host);
    match chance.index(7) {
        0 => world.network.split(&[host], &rest),
        1 => world.network.split(&[host, (host + 1) % 5], &rest[1..3]),
        2 => world.network.heal(),
        3 if world.hosts[host].is_up() => world.kill_node(host),
        4 if world.hosts[host].is_up() => world.kill_host(host),
        5 => world.stall(host, Duration::from_secs(chance.range(5, 60))),
        _ if !world.hosts[host].is_up() => world.boot(host),
        _ => {}
    }
}
