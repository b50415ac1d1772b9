//! Health checks: containers that run and do not do their work.

use std::net::IpAddr;
use std::time::Duration;

use kontena_core::command::Command;
use kontena_core::network::zone::zone;
use kontena_core::stack::{HealthCheck, Question, Service};
use kontena_simulations::engine::{Illness, Trouble};
use kontena_simulations::plan::{Ask, Deed, Plan};
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, carry_out, deploy_service, grid, key};

fn checked(image: &str) -> Service {
    let mut service = Service::new(image);
    service.health_check = Some(HealthCheck {
        interval: 5,
        timeout: 2,
        initial_delay: 5,
        ..HealthCheck::new(Question::Tcp { port: 80 })
    });
    service
}

/// A grid of three whose service has this many healthy instances.
fn healthy(instances: u32, seed: u64) -> World {
    let mut world = grid(3, seed);
    deploy_service(&mut world, 0, "web", checked("web:1"), instances);
    world.until(SOON, "all are answered with", |world| {
        answered(world, 1).len() == instances as usize
    });
    world
}

/// What a node answers for the service.
fn answered(world: &World, host: usize) -> Vec<IpAddr> {
    let view = &world.hosts[host].view;
    let grid = view.documents.grid.name.as_ref().expect("a grid");
    let zone = zone(view);
    let records = zone.names.get(format!("web.{grid}.kontena.local").as_str());
    let targets = records.iter().flat_map(|records| records.targets.iter());
    targets.map(|target| target.address).collect()
}

#[test]
fn a_container_that_falls_ill_is_answered_with_no_more_and_restarted() {
    let mut world = healthy(3, 61);
    let starts = world.starts();
    world.sicken(2, true);
    for asked in 0..3 {
        let soon = Duration::from_secs(12);
        world.until(soon, "it left the names", |world| {
            answered(world, asked).len() == 2
        });
    }
    world.until(MINUTE, "it is well again", |world| {
        answered(world, 0).len() == 3
    });
    assert_eq!(world.starts(), starts + 1, "the others were left alone");
}

#[test]
fn a_deploy_whose_check_never_passes_takes_one_instance_down() {
    let mut world = healthy(3, 62);
    for host in &mut world.hosts {
        host.engine.ill_images.insert("web:2".to_owned());
    }
    accept(
        &mut world,
        1,
        Command::UpdateService {
            key: key("web"),
            service: Box::new(checked("web:2")),
            instances: None,
        },
    );
    let deploy = Command::DeployService {
        key: key("web"),
        force: false,
    };
    accept(&mut world, 1, deploy);
    world.run_for(10 * MINUTE);
    let runs_new = |world: &World| {
        let running = world.hosts.iter().flat_map(|host| host.engine.running());
        running.filter(|one| one.image.ends_with("web:2")).count()
    };
    assert!(runs_new(&world) <= 1);
    assert_eq!(answered(&world, 2).len(), 2, "the others answer as before");
}

#[test]
fn checks_that_hang_fail_and_hold_nothing_up() {
    let mut world = healthy(3, 63);
    world.hosts[1].engine.trouble = Trouble {
        sickens: Some(Illness::Hangs),
        ..Trouble::default()
    };
    world.until(SOON, "it left the names", |world| {
        answered(world, 0).len() == 2
    });
    let stop = Command::StopService(key("web"));
    accept(&mut world, 0, stop);
    world.until(SOON, "all are stopped", |world| {
        world.runs_exactly("web", 0)
    });
}

#[test]
fn all_that_fall_ill_at_once_come_back_though_a_deploy_is_under_way() {
    // The kind of service whose health is checked.
    let (service, instances) = (4, 4);
    let mut plan = Plan::new(64, 4, 0)
        .ask(1_000, 0, Ask::Create { service, instances })
        .ask(
            91_000,
            1,
            Ask::Update {
                service,
                version: 2,
            },
        )
        .ask(
            92_000,
            1,
            Ask::Deploy {
                service,
                force: true,
            },
        );
    for host in 0..4 {
        plan = plan.step(90_000, 0, Deed::FallIll { host, all: true });
    }
    plan.ends = 240_000;
    carry_out(&plan);
}
