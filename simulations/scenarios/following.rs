//! Services that mount the volumes of others: they run where these do, and go where they go.

use std::collections::BTreeSet;
use std::time::Duration;

use kontena_core::command::Command;
use kontena_core::id::InstanceId;
use kontena_core::placement::{place, waiting};
use kontena_core::reconcile::action::{Container, ContainerId};
use kontena_core::stack::Service;
use kontena_core::view::Availability;
use kontena_core::volume::{Definition, Scope};
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, deploy_service, grid, key};

fn instance(name: &str, number: u32) -> InstanceId {
    InstanceId::new(key(name), number)
}

/// Its data is thrown away with its container.
fn source() -> Service {
    let mut service = Service::new("web:1");
    service.volumes = vec!["/data".parse().unwrap()];
    service
}

fn follower(from: &str) -> Service {
    let mut service = Service::new("web:1");
    service.volumes_from = vec![from.parse().unwrap()];
    service
}

/// `log` mounts what `db` has, instance by instance.
fn with_followers(hosts: usize, seed: u64, instances: u32) -> World {
    let mut world = grid(hosts, seed);
    deploy_service(&mut world, 0, "db", source(), instances);
    deploy_service(&mut world, 0, "log", follower("db-%s"), instances);
    until(&mut world, MINUTE, "both run", |world| {
        run_together(world, instances)
    });
    world.run_for(MINUTE);
    world
}

/// The containers of an instance that run, by host.
fn running<'w>(world: &'w World, name: &str, number: u32) -> Vec<(usize, &'w Container)> {
    let instance = instance(name, number);
    let hosts = world.hosts.iter().enumerate();
    let running = hosts.flat_map(|(index, host)| {
        let running = host.engine.running();
        running.map(move |container| (index, container))
    });
    running
        .filter(|(_, container)| container.owner.instance == instance)
        .collect()
}

/// Each source runs once, and its follower beside it with what it has.
fn run_together(world: &World, instances: u32) -> bool {
    (1..=instances).all(|number| {
        let sources = running(world, "db", number);
        let followers = running(world, "log", number);
        let ([(at, source)], [(beside, follower)]) = (sources.as_slice(), followers.as_slice())
        else {
            return false;
        };
        at == beside && follower.mounts.get("/data") == source.mounts.get("/data")
    })
}

/// Until that is so; and no follower is ever started on a host that has no container of its source.
#[track_caller]
fn until(world: &mut World, within: Duration, what: &str, is_so: impl Fn(&World) -> bool) {
    let limit = world.now() + within;
    let mut known = BTreeSet::new();
    while !is_so(world) {
        assert!(world.now() < limit, "{what}: {}", world.summary());
        world.step();
        starts_beside_its_source(world, &mut known);
    }
}

#[track_caller]
fn starts_beside_its_source(world: &World, known: &mut BTreeSet<ContainerId>) {
    for number in 1..=3 {
        for (host, follower) in running(world, "log", number) {
            if known.insert(follower.id.clone()) {
                let containers = world.hosts[host].engine.containers();
                let source = instance("db", number);
                let mut names = containers.map(|container| &container.name);
                let is_there = names.any(|name| *name == source.container_name());
                let mounts = follower.mounts.contains_key("/data");
                assert!(is_there || mounts, "{} is alone on {host}", follower.name);
            }
        }
    }
}

fn place_of(world: &World, name: &str, number: u32) -> Vec<usize> {
    let running = running(world, name, number).into_iter();
    running.map(|(host, _)| host).collect()
}

#[test]
fn a_follower_follows_its_source_and_mounts_what_that_has_anew() {
    let mut world = with_followers(3, 401, 3);
    let home = place_of(&world, "db", 1)[0];
    let drain = Command::UpdateNode {
        node: world.id(home),
        labels: None,
        availability: Some(Availability::Drain),
    };
    accept(&mut world, 0, drain);
    until(&mut world, 2 * MINUTE, "they go together", |world| {
        run_together(world, 3) && place_of(world, "db", 1) != [home]
    });
    let away = place_of(&world, "db", 1)[0];
    world.run_for(SOON);
    world.kill_host(away);
    until(
        &mut world,
        5 * MINUTE,
        "they are taken over together",
        |world| run_together(world, 3) && place_of(world, "db", 1) != [away],
    );
}

#[test]
fn a_source_that_is_made_anew_brings_its_followers_what_it_has_now() {
    let mut world = with_followers(2, 402, 1);
    let before = running(&world, "db", 1)[0].1.mounts["/data"].clone();
    let restart = Command::RestartService(key("db"));
    accept(&mut world, 1, restart);
    until(
        &mut world,
        2 * MINUTE,
        "the follower has the new volume",
        |world| {
            let sources = running(world, "db", 1);
            let is_new = |(_, source): &(usize, &Container)| source.mounts["/data"] != before;
            sources.first().is_some_and(is_new) && run_together(world, 1)
        },
    );
    let follower = running(&world, "log", 1)[0].1.id.clone();
    world.run_for(10 * MINUTE);
    assert_eq!(
        running(&world, "log", 1)[0].1.id,
        follower,
        "it stays as it is"
    );
}

#[test]
fn a_source_with_a_named_volume_is_made_anew_and_its_follower_runs_on() {
    let mut world = grid(2, 403);
    let create = Command::CreateVolume {
        name: "data".parse().unwrap(),
        definition: Definition::local(Scope::Instance),
    };
    accept(&mut world, 0, create);
    world.run_for(SOON);
    let mut database = source();
    database.stateful = true;
    database.volumes = vec!["data:/data".parse().unwrap()];
    deploy_service(&mut world, 0, "db", database, 1);
    deploy_service(&mut world, 0, "log", follower("db-1"), 1);
    until(&mut world, MINUTE, "both run", |world| {
        run_together(world, 1)
    });
    world.run_for(SOON);
    let (source, follower) = (
        running(&world, "db", 1)[0].1.id.clone(),
        running(&world, "log", 1)[0].1.id.clone(),
    );
    accept(&mut world, 0, Command::RestartService(key("db")));
    until(&mut world, MINUTE, "it is made anew", |world| {
        run_together(world, 1) && running(world, "db", 1)[0].1.id != source
    });
    world.run_for(MINUTE);
    assert_eq!(running(&world, "log", 1)[0].1.id, follower);
}

#[test]
fn a_follower_without_its_source_goes_on_and_is_started_by_nobody() {
    let mut world = with_followers(3, 404, 1);
    let follower = running(&world, "log", 1)[0].1.id.clone();
    accept(&mut world, 0, Command::StopService(key("db")));
    world.run_for(2 * MINUTE);
    assert!(running(&world, "db", 1).is_empty());
    assert_eq!(
        running(&world, "log", 1)[0].1.id,
        follower,
        "what runs goes on"
    );
    let host = place_of(&world, "log", 1)[0];
    world.kill_host(host);
    world.run_for(5 * MINUTE);
    assert!(running(&world, "log", 1).is_empty());
    let other = usize::from(host == 0);
    let view = &world.hosts[other].view;
    let placement = place(view);
    let assignment = placement.get(&instance("log", 1)).unwrap();
    let words = "waits: `db`, whose volumes it mounts, is stopped";
    assert_eq!(waiting(view, assignment).as_deref(), Some(words));
    accept(&mut world, other, Command::StartService(key("db")));
    until(&mut world, 5 * MINUTE, "both run again", |world| {
        run_together(world, 1)
    });
}

#[test]
fn both_sides_of_a_split_have_a_follower_beside_their_source_and_one_of_each_is_left() {
    let mut world = with_followers(4, 405, 1);
    let home = place_of(&world, "db", 1)[0];
    let others: Vec<usize> = (0..4).filter(|host| *host != home).collect();
    world.network.split(&[home], &others);
    until(&mut world, 5 * MINUTE, "the other side has both", |world| {
        let has_both = |name| place_of(world, name, 1).iter().any(|host| *host != home);
        has_both("db") && has_both("log")
    });
    world.run_for(MINUTE);
    let of = |name| {
        place_of(&world, name, 1)
            .into_iter()
            .collect::<BTreeSet<_>>()
    };
    assert_eq!((of("db").len(), of("log")), (2, of("db")));
    world.network.heal();
    until(&mut world, 5 * MINUTE, "one of each is left", |world| {
        run_together(world, 1)
    });
    world.run_for(5 * MINUTE);
    assert!(run_together(&world, 1), "{}", world.summary());
}
