//! Commands and what becomes of them when nothing fails.

use kontena_core::command::Command;
use kontena_core::stack::{Service, Strategy};
use kontena_simulations::plan::{Ask, Deed, Plan};

use crate::support::{SOON, accept, carry_out, deploy, deploy_service, grid, key};

#[test]
fn a_service_runs_with_exactly_its_instances_spread_over_the_nodes() {
    let mut world = grid(3, 1);
    deploy(&mut world, 0, "web", 3);
    assert!(
        world
            .hosts
            .iter()
            .all(|host| host.engine.running().count() == 1),
        "{}",
        world.summary()
    );
}

#[test]
fn every_node_shows_the_same_documents_after_a_command_on_any() {
    let mut world = grid(3, 2);
    for host in 0..3 {
        deploy(&mut world, host, &format!("web-{host}"), 2);
    }
    let first = &world.hosts[0].view.documents;
    assert!(world.hosts.iter().all(|host| host.view.documents == *first));
}

#[test]
fn a_change_is_acknowledged_when_it_is_on_two_disks() {
    let mut world = grid(3, 3);
    let accepted = accept(
        &mut world,
        1,
        Command::CreateService {
            key: key("web"),
            service: Box::new(Service::new("web:1")),
            instances: 1,
        },
    );
    assert_eq!(accepted.saved_on.len(), 2);
    assert_eq!(
        accepted.saved_on[0].as_str(),
        "n2",
        "the asked node comes first"
    );
}

#[test]
fn scaling_restarts_nothing() {
    let mut world = grid(3, 4);
    deploy(&mut world, 0, "web", 3);
    accept(
        &mut world,
        1,
        Command::ScaleService {
            key: key("web"),
            instances: 9,
        },
    );
    world.until(SOON, "nine run", |world| world.runs_exactly("web", 9));
    world.run_for(SOON);
    assert_eq!(world.starts(), 9);
    accept(
        &mut world,
        2,
        Command::ScaleService {
            key: key("web"),
            instances: 2,
        },
    );
    world.until(SOON, "two run", |world| world.runs_exactly("web", 2));
    world.run_for(SOON);
    assert_eq!(world.starts(), 9);
}

#[test]
fn a_rolling_update_replaces_every_instance_and_keeps_the_floor() {
    let mut world = grid(3, 5);
    deploy(&mut world, 0, "web", 5);
    let update = Command::UpdateService {
        key: key("web"),
        service: Box::new(Service::new("web:2")),
        instances: None,
    };
    accept(&mut world, 1, update);
    let mut fewest = 5;
    let limit = world.now() + 12 * SOON;
    while world.now() < limit && !all_run(&world, "sha256:web:2", 5) {
        world.step();
        fewest = fewest.min(world.running().len());
    }
    assert!(all_run(&world, "sha256:web:2", 5), "{}", world.summary());
    assert!(fewest >= 4, "the floor of 5 at 0.8 is 4, and {fewest} ran");
}

#[test]
fn a_broken_update_stops_after_the_first_instance() {
    let mut world = grid(3, 6);
    deploy(&mut world, 0, "web", 5);
    for host in &mut world.hosts {
        host.engine.broken_images.insert("web:2".to_owned());
    }
    let update = Command::UpdateService {
        key: key("web"),
        service: Box::new(Service::new("web:2")),
        instances: None,
    };
    accept(&mut world, 1, update);
    world.run_for(12 * SOON);
    assert!(world.running().len() >= 4, "{}", world.summary());
}

#[test]
fn a_daemon_service_runs_on_every_node_and_on_one_that_joins() {
    let mut world = grid(3, 7);
    let mut service = Service::new("web:1");
    service.deploy.strategy = Strategy::Daemon;
    deploy_service(&mut world, 0, "agent", service, 1);
    world.until(SOON, "one on each", |world| {
        world
            .hosts
            .iter()
            .all(|host| host.engine.running().count() == 1)
    });
}

#[test]
fn stop_start_and_remove_do_what_they_say() {
    let mut world = grid(3, 8);
    deploy(&mut world, 0, "web", 3);
    accept(&mut world, 1, Command::StopService(key("web")));
    world.until(SOON, "none runs", |world| world.running().is_empty());
    world.run_for(SOON);
    assert!(world.running().is_empty());
    accept(&mut world, 2, Command::StartService(key("web")));
    world.until(SOON, "three run", |world| world.runs_exactly("web", 3));
    accept(&mut world, 0, Command::RemoveService(key("web")));
    world.until(2 * SOON, "no container is left", |world| {
        world
            .hosts
            .iter()
            .all(|host| host.engine.containers().count() == 0)
    });
}

#[test]
fn draining_a_node_moves_what_can_move_and_keeps_it_running_meanwhile() {
    let mut world = grid(3, 9);
    deploy(&mut world, 0, "web", 3);
    let drained = world.id(1);
    let drain = Command::UpdateNode {
        node: drained,
        labels: None,
        availability: Some(kontena_core::view::Availability::Drain),
    };
    accept(&mut world, 0, drain);
    let mut fewest = 3;
    let limit = world.now() + 2 * SOON;
    while world.now() < limit {
        world.step();
        fewest = fewest.min(world.running().len());
    }
    assert!(world.runs_exactly("web", 3), "{}", world.summary());
    assert_eq!(world.hosts[1].engine.running().count(), 0);
    assert_eq!(fewest, 3, "replacements start before the drained one stops");
}

fn all_run(world: &kontena_simulations::world::World, image: &str, instances: usize) -> bool {
    let new = world
        .hosts
        .iter()
        .flat_map(|host| host.engine.running())
        .filter(|c| c.image == image)
        .count();
    new == instances && world.running().values().all(|hosts| hosts.len() == 1)
}

#[test]
fn a_restart_replaces_a_container_once_though_one_who_is_off_held_the_instance_earlier() {
    let service = 0;
    let plan = Plan::new(20000, 3, 0)
        .step(
            568_598,
            0,
            Deed::Ask {
                on: 1,
                ask: Ask::Create {
                    service,
                    instances: 2,
                },
            },
        )
        .step(
            1_321_164,
            0,
            Deed::Ask {
                on: 2,
                ask: Ask::Stop { service },
            },
        )
        .step(1_433_119, 347_240, Deed::DamageDisk { host: 1 })
        .step(
            1_630_933,
            0,
            Deed::Ask {
                on: 2,
                ask: Ask::Deploy {
                    service,
                    force: true,
                },
            },
        )
        .step(1_672_986, 3855, Deed::KillNode { host: 2 })
        .step(
            1_703_175,
            0,
            Deed::Ask {
                on: 0,
                ask: Ask::Restart { service },
            },
        );
    carry_out(&plan);
}
