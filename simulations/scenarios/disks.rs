//! Disks that fill up, are cloned, or are restored.

use kontena_core::command::{Command, Refusal};
use kontena_core::stack::Service;

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
fn an_acknowledged_change_survives_the_loss_of_the_node_that_took_it() {
    let mut world = grid(3, 32);
    let create = Command::CreateService {
        key: key("web"),
        service: Service::new("web:1"),
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
            service: Service::new("web:1"),
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
