//! Disks that fill up, are cloned, or are restored.

use std::time::Duration;

use kontena_core::command::{Command, Refusal};
use kontena_core::report::Disk;
use kontena_core::stack::Service;
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, deploy, grid, key};

#[test]
fn a_node_with_a_full_disk_acknowledges_nothing_and_keeps_its_containers() {
    let mut world = grid(3, 31);
    deploy(&mut world, 0, "web", 3);
    world.hosts[1].disk.full = true;
    let command = Command::ScaleService {
        key: key("web"),
        instances: 5,
    };
    let refused = world.command(1, command.clone());
    assert!(matches!(refused, Err(Refusal::Disk { .. })), "{refused:?}");
    world.run_for(SOON);
    assert!(
        world.runs_exactly("web", 3),
        "nothing half done: {}",
        world.summary()
    );
    assert_eq!(
        world.hosts[1].engine.stops, 0,
        "a short trouble moves nothing"
    );
    world.hosts[1].disk.full = false;
    accept(&mut world, 1, command);
    world.until(SOON, "five run", |world| world.runs_exactly("web", 5));
}

#[test]
fn a_disk_that_stays_full_hands_its_instances_over_without_a_gap_and_is_welcome_again() {
    for seed in 3400..3410 {
        let mut world = grid(3, seed);
        deploy(&mut world, 0, "web", 3);
        assert_eq!(world.hosts[1].engine.running().count(), 1);
        fill(&mut world, 1);
        for _ in 0..1_200 {
            world.run_for(Duration::from_millis(100));
            assert_eq!(world.running().len(), 3, "no gap: {}", world.summary());
        }
        assert!(shows_failed_disk(&world, 1), "{}", world.summary());
        assert!(world.runs_exactly("web", 3), "{}", world.summary());
        assert_eq!(world.hosts[1].engine.running().count(), 0);

        let starts = world.starts();
        world.hosts[1].disk.full = false;
        world.until(SOON, "the others see that its disk works", |world| {
            !shows_failed_disk(world, 1)
        });
        world.run_for(MINUTE);
        assert_eq!(world.starts(), starts, "nothing moves back");
        let scale = Command::ScaleService {
            key: key("web"),
            instances: 6,
        };
        accept(&mut world, 1, scale);
        world.until(SOON, "six run", |world| world.runs_exactly("web", 6));
        assert_ne!(world.hosts[1].engine.running().count(), 0, "it is welcome");
    }
}

#[test]
fn the_only_node_keeps_what_it_runs_though_its_disk_stays_full() {
    let mut world = grid(1, 35);
    deploy(&mut world, 0, "web", 2);
    fill(&mut world, 0);
    world.run_for(3 * MINUTE);
    assert!(shows_failed_disk(&world, 0));
    assert!(world.runs_exactly("web", 2), "{}", world.summary());
    world.hosts[0].disk.full = false;
    world.run_for(MINUTE);
    assert_eq!((world.starts(), world.hosts[0].engine.stops), (2, 0));
}

#[test]
fn a_disk_that_works_again_before_a_successor_does_costs_one_start_at_most() {
    let mut world = grid(3, 36);
    deploy(&mut world, 0, "web", 3);
    let starts = world.starts();
    for other in [0, 2] {
        world.hosts[other].engine.images.clear();
    }
    fill(&mut world, 1);
    world.run_for(2 * MINUTE);
    assert!(shows_failed_disk(&world, 1));
    assert!(
        world.runs_exactly("web", 3),
        "it keeps what nobody can take"
    );
    world.hosts[1].disk.full = false;
    world.until(SOON, "the others see that its disk works", |world| {
        !shows_failed_disk(world, 1)
    });
    world.load_image("web:1");
    world.run_for(5 * MINUTE);
    assert!(world.runs_exactly("web", 3), "{}", world.summary());
    assert!(world.starts() <= starts + 1, "{}", world.summary());
}

/// The disk takes no more, and the node notices with the next thing that it has to write.
fn fill(world: &mut World, host: usize) {
    world.hosts[host].disk.full = true;
    let refused = world.command(host, Command::CreateJoinToken { seed: [7; 32] });
    assert!(matches!(refused, Err(Refusal::Disk { .. })), "{refused:?}");
}

/// Whether every other host, or the only one, is told that this one's disk has failed.
fn shows_failed_disk(world: &World, host: usize) -> bool {
    let id = world.id(host);
    let failed = |asked: &kontena_simulations::host::Host| {
        let report = asked.view.reports.get(&id);
        report.is_some_and(|report| matches!(report.disk, Disk::Failed { .. }))
    };
    world.hosts.iter().all(failed)
}

#[test]
fn an_acknowledged_change_survives_the_loss_of_the_node_that_took_it() {
    let mut world = grid(3, 32);
    let create = Command::CreateService {
        key: key("web"),
        service: Box::new(Service::new("web:1")),
        instances: 2,
    };
    accept(&mut world, 2, create);
    world.kill_host(2);
    world.run_for(MINUTE);
    assert!(
        world.hosts[0]
            .view
            .documents
            .services
            .contains_key(&key("web"))
    );
    assert!(
        world.hosts[1]
            .view
            .documents
            .services
            .contains_key(&key("web"))
    );
}

#[test]
fn every_acknowledged_change_survives_a_power_cut_of_all() {
    let mut world = grid(3, 33);
    for number in 0..20 {
        let create = Command::CreateService {
            key: key(&format!("web-{number}")),
            service: Box::new(Service::new("web:1")),
            instances: 1,
        };
        accept(&mut world, number % 3, create);
    }
    for host in 0..3 {
        world.kill_host(host);
    }
    for host in 0..3 {
        world.boot(host);
    }
    world.run_for(MINUTE);
    for host in &world.hosts {
        assert_eq!(host.view.documents.services.len(), 20);
    }
}
