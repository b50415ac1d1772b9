//! Data that is bound to a node before it is there, and goes by order alone.

use kontena_core::command::Command;
use kontena_core::id::InstanceId;
use kontena_core::stack::Service;
use kontena_core::volume::{Definition, Scope};
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, deploy_service, grid, key};

const COPY: &str = "db.data-1";

/// A grid with a volume, which a stateful service mounts.
fn with_database(hosts: usize, seed: u64) -> World {
    let mut world = grid(hosts, seed);
    create_volume(&mut world);
    world.run_for(SOON);
    deploy_service(&mut world, 0, "db", database(), 1);
    world
}

fn create_volume(world: &mut World) {
    let create = Command::CreateVolume {
        name: "data".parse().unwrap(),
        definition: Definition::local(Scope::Instance),
    };
    accept(world, 0, create);
}

fn database() -> Service {
    let mut service = Service::new("web:1");
    service.stateful = true;
    service.volumes = vec!["data:/data".parse().unwrap()];
    service
}

fn instance() -> InstanceId {
    InstanceId::new(key("db"), 1)
}

fn holders(world: &World) -> Vec<usize> {
    let running = world.running();
    running.get(&instance()).cloned().unwrap_or_default()
}

fn copies(world: &World) -> Vec<usize> {
    let hosts = world.hosts.iter().enumerate();
    let having = hosts.filter(|(_, host)| host.engine.volumes().contains_key(COPY));
    having.map(|(index, _)| index).collect()
}

/// Whom the documents of a host bind it to.
fn bound(world: &World, host: usize) -> usize {
    let record = &world.hosts[host].view.documents.services[&key("db")];
    let node = record.pins[&1].node;
    let mut hosts = 0..world.hosts.len();
    hosts.find(|host| world.id(*host) == node).unwrap()
}

#[test]
fn what_a_full_disk_refuses_runs_on_the_next_node_and_stays_there() {
    let mut world = grid(4, 81);
    create_volume(&mut world);
    world.run_for(SOON);
    // Whoever comes first has no room, and neither has who comes second.
    deploy_service(&mut world, 0, "db", database(), 1);
    let first = bound(&world, 0);
    let mut full = vec![first];
    world.hosts[first].engine.trouble.no_room = true;
    world.until(5 * MINUTE, "it is bound to another", |world| {
        bound(world, 0) != first
    });
    let second = bound(&world, 0);
    full.push(second);
    world.hosts[second].engine.trouble.no_room = true;
    world.until(10 * MINUTE, "it runs", |world| {
        world.runs_exactly("db", 1) && copies(world).len() == 1
    });
    let home = holders(&world)[0];
    assert_eq!(copies(&world), [home]);
    for host in full {
        world.hosts[host].engine.trouble.no_room = false;
    }
    world.run_for(30 * MINUTE);
    assert_eq!((holders(&world), copies(&world)), (vec![home], vec![home]));
}

#[test]
fn where_nobody_has_room_it_waits_and_runs_as_soon_as_somebody_has() {
    let mut world = grid(3, 82);
    create_volume(&mut world);
    world.run_for(SOON);
    for host in &mut world.hosts {
        host.engine.trouble.no_room = true;
    }
    deploy_service(&mut world, 0, "db", database(), 1);
    world.run_for(30 * MINUTE);
    assert!(holders(&world).is_empty() && copies(&world).is_empty());
    // Each has its turn at once, and from then on more and more seldom.
    let epoch = world.hosts[0].view.documents.services[&key("db")].pins[&1].epoch;
    assert!(epoch <= 5, "{epoch}");
    world.hosts[1].engine.trouble.no_room = false;
    world.until(180 * MINUTE, "it runs", |world| holders(world) == [1]);
}

#[test]
fn what_is_forced_elsewhere_while_its_node_is_cut_off_stops_there_on_contact_and_keeps_its_data() {
    let mut world = with_database(3, 83);
    world.until(MINUTE, "it runs", |world| world.runs_exactly("db", 1));
    world.run_for(MINUTE);
    let old = holders(&world)[0];
    let others: Vec<usize> = (0..3).filter(|host| *host != old).collect();
    world.network.split(&others, &[old]);
    world.run_for(5 * MINUTE);
    assert_eq!(holders(&world), [old], "nobody starts it by himself");
    let force = Command::ForceMove {
        instance: instance(),
        node: world.id(others[1]),
        data_loss: true,
    };
    accept(&mut world, others[0], force);
    world.until(MINUTE, "it runs on both sides", |world| {
        holders(world).len() == 2
    });
    world.network.heal();
    world.until(MINUTE, "one is left", |world| holders(world) == [others[1]]);
    world.run_for(10 * MINUTE);
    assert_eq!(holders(&world), [others[1]]);
    let mut both = vec![old, others[1]];
    both.sort_unstable();
    assert_eq!(
        copies(&world),
        both,
        "its data is kept for a person to decide"
    );
}

#[test]
fn a_volume_goes_from_a_node_that_was_away_when_it_was_removed() {
    let mut world = with_database(3, 84);
    world.until(MINUTE, "it runs", |world| world.runs_exactly("db", 1));
    let home = holders(&world)[0];
    let other = (home + 1) % 3;
    accept(&mut world, other, Command::RemoveService(key("db")));
    world.until(MINUTE, "it is gone", |world| holders(world).is_empty());
    world.run_for(10 * MINUTE);
    assert_eq!(copies(&world), [home], "no time that passes removes it");
    world.kill_node(home);
    accept(
        &mut world,
        other,
        Command::RemoveVolume("data".parse().unwrap()),
    );
    world.run_for(MINUTE);
    assert_eq!(copies(&world), [home]);
    world.boot(home);
    world.until(2 * MINUTE, "it is removed", |world| {
        copies(world).is_empty()
    });
}
