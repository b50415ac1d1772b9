//! Images that are ready before anybody needs them.

use std::time::Duration;

use kontena_core::stack::Service;
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, deploy, deploy_service, grid};

/// A grid whose images are in a registry, and on no host yet.
fn grid_with_a_registry(hosts: usize, seed: u64) -> World {
    let mut world = World::new(hosts, seed);
    world.publish_image("web:1");
    world.form_grid();
    world.run_for(2 * MINUTE);
    world
}

/// How many hosts have the image.
fn have(world: &World) -> usize {
    let hosts = world.hosts.iter();
    let having = hosts.filter(|host| host.engine.images.contains("web:1"));
    having.count()
}

fn holder(world: &World) -> usize {
    let running = world.running();
    let hosts = running.values().next().expect("it runs");
    hosts[0]
}

#[test]
fn the_registry_is_gone_when_a_node_dies_and_a_standby_starts_without_it() {
    let mut world = grid_with_a_registry(5, 71);
    deploy(&mut world, 0, "web", 1);
    world.until(MINUTE, "two more have the image", |world| have(world) == 3);
    for host in &mut world.hosts {
        host.engine.trouble.no_pulls = true;
    }
    let lost = holder(&world);
    world.run_for(5 * MINUTE);
    assert_eq!(have(&world), 3, "nobody else fetches it");
    world.kill_host(lost);
    let took = world.until(MINUTE, "it runs elsewhere", |world| {
        world.runs_exactly("web", 1) && holder(world) != lost
    });
    assert!(took < Duration::from_secs(25), "{took:?}");
}

#[test]
fn a_service_that_asks_for_no_standby_images_has_none() {
    let mut world = grid_with_a_registry(4, 72);
    let mut service = Service::new("web:1");
    service.deploy.standby_images = 0;
    deploy_service(&mut world, 0, "web", service, 1);
    world.until(SOON, "it runs", |world| world.runs_exactly("web", 1));
    world.run_for(5 * MINUTE);
    assert_eq!(have(&world), 1);
}

#[test]
fn an_image_that_somebody_removed_is_fetched_again() {
    let mut world = grid_with_a_registry(3, 73);
    deploy(&mut world, 0, "web", 1);
    world.until(MINUTE, "all have it", |world| have(world) == 3);
    let standby = (holder(&world) + 1) % 3;
    world.hosts[standby].engine.images.clear();
    world.until(11 * MINUTE, "it is back", |world| have(world) == 3);
}

#[test]
fn what_was_built_on_one_host_is_asked_of_no_registry_by_the_others() {
    let mut world = grid(3, 74);
    for host in &mut world.hosts[1..] {
        host.engine.images.clear();
    }
    world.publish_image("web:2");
    let mut service = Service::new("web:1");
    service.affinity = vec!["node==~n1".parse().expect("an affinity")];
    deploy_service(&mut world, 0, "web", service, 1);
    world.until(SOON, "it runs", |world| world.runs_exactly("web", 1));
    assert_eq!(holder(&world), 0);
    // What the name means elsewhere is another image: it is not taken for this one.
    for host in &mut world.hosts[1..] {
        host.engine
            .tags
            .insert("web:1".to_owned(), "web:2".to_owned());
    }
    world.run_for(5 * MINUTE);
    let images = world.hosts.iter().map(|host| host.engine.images.len());
    assert_eq!(images.collect::<Vec<_>>(), [2, 0, 0]);
}
