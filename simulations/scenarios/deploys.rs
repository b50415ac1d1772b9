//! Commands and what becomes of them when nothing fails.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use kontena_core::command::{Command, StackInput};
use kontena_core::id::StackName;
use kontena_core::reconcile::action::ContainerId;
use kontena_core::stack::{OnFailure, Order, Service, Strategy};
use kontena_core::time::Instant;
use kontena_core::view::Deployed;
use kontena_simulations::plan::{Ask, Deed, Plan};
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, carry_out, deploy, deploy_service, grid, key};

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

/// `web:2`, whose image is broken, on top of five healthy instances.
fn broken_update(world: &mut World, on_failure: OnFailure) {
    for host in &mut world.hosts {
        host.engine.broken_images.insert("web:2".to_owned());
    }
    let mut service = Service::new("web:2");
    service.deploy.on_failure = on_failure;
    let update = Command::UpdateService {
        key: key("web"),
        service: Box::new(service),
        instances: None,
    };
    accept(world, 1, update);
}

fn deployed(world: &World) -> &Deployed {
    let record = &world.hosts[0].view.documents.services[&key("web")];
    record.deployed.as_ref().expect("it is deployed")
}

#[test]
fn a_deploy_that_failed_stays_halted_though_its_image_works_again() {
    let mut world = grid(3, 16);
    deploy(&mut world, 0, "web", 5);
    broken_update(&mut world, OnFailure::Halt);
    world.until(2 * SOON, "it is halted", |world| {
        deployed(world).halt.is_some()
    });
    for host in &mut world.hosts {
        host.engine.broken_images.clear();
    }
    world.run_for(20 * SOON);
    assert_eq!(count(&world, "sha256:web:1"), 4, "{}", world.summary());
    assert_eq!(world.running().len(), 5, "the failed one recovered");
}

#[test]
fn a_deploy_that_failed_is_taken_back_where_the_service_wants_that() {
    let mut world = grid(3, 17);
    deploy(&mut world, 0, "web", 5);
    let before = deployed(&world).generation;
    broken_update(&mut world, OnFailure::Rollback);
    world.until(4 * SOON, "all are back", |world| {
        deployed(world).takes_back.is_some() && all_run(world, "sha256:web:1", 5)
    });
    world.run_for(2 * SOON);
    assert!(all_run(&world, "sha256:web:1", 5), "{}", world.summary());
    assert!(deployed(&world).generation > before + 1);
    assert_eq!(deployed(&world).halt, None);
}

fn start_first(version: u32) -> Command {
    let mut service = Service::new(format!("web:{version}"));
    service.deploy.order = Order::StartFirst;
    Command::UpdateService {
        key: key("web"),
        service: Box::new(service),
        instances: None,
    }
}

#[test]
fn a_deploy_that_starts_first_takes_nobody_down() {
    let mut world = grid(3, 19);
    deploy(&mut world, 0, "web", 5);
    accept(&mut world, 1, start_first(2));
    let mut fewest = 5;
    while !all_run(&world, "sha256:web:2", 5) {
        world.run_for(Duration::from_millis(50));
        fewest = fewest.min(world.running().len());
        assert!(
            world.now() < Instant::ZERO + 60 * SOON,
            "{}",
            world.summary()
        );
    }
    assert_eq!(fewest, 5, "instances that run somewhere");
    world.run_for(2 * SOON);
    assert_eq!(ids(&world).len(), 5, "{}", world.summary());
}

/// Seed 7200011: what has no check is healthy as soon as it runs, and the old one waited to be stopped when the new one
/// had ended.
#[test]
fn a_deploy_that_starts_first_and_ends_at_once_leaves_the_old_ones_as_they_are() {
    let mut world = grid(3, 20);
    deploy(&mut world, 0, "web", 5);
    let old = ids(&world);
    for host in &mut world.hosts {
        host.engine.broken_images.insert("web:2".to_owned());
    }
    accept(&mut world, 1, start_first(2));
    world.until(2 * SOON, "it is halted", |world| {
        deployed(world).halt.is_some()
    });
    world.run_for(10 * SOON);
    assert_eq!(ids(&world), old, "{}", world.summary());
}

fn ids(world: &World) -> BTreeSet<ContainerId> {
    let engines = world.hosts.iter().map(|host| &host.engine);
    let containers = engines.flat_map(|engine| engine.containers());
    containers.map(|container| container.id.clone()).collect()
}

#[test]
fn a_canary_is_looked_at_before_the_others_follow() {
    let mut world = grid(3, 18);
    deploy(&mut world, 0, "web", 5);
    let update = |version: u32| {
        let mut service = Service::new(format!("web:{version}"));
        service.deploy.canary = NonZeroU32::new(2);
        Command::UpdateService {
            key: key("web"),
            service: Box::new(service),
            instances: None,
        }
    };
    let of = |world: &World, version: u32| count(world, &format!("sha256:web:{version}"));
    accept(&mut world, 1, update(2));
    world.run_for(4 * SOON);
    assert_eq!((of(&world, 1), of(&world, 2)), (3, 2));
    accept(&mut world, 2, Command::PromoteDeploy(key("web")));
    world.until(4 * SOON, "all follow", |world| {
        all_run(world, "sha256:web:2", 5)
    });

    accept(&mut world, 1, update(1));
    world.run_for(4 * SOON);
    assert_eq!((of(&world, 2), of(&world, 1)), (3, 2));
    let abort = Command::AbortDeploy {
        key: key("web"),
        rollback: None,
    };
    accept(&mut world, 0, abort);
    world.until(4 * SOON, "all are back", |world| {
        all_run(world, "sha256:web:2", 5)
    });
}

#[test]
fn an_instance_that_fails_long_after_its_deploy_halts_nothing() {
    let mut world = grid(3, 19);
    deploy(&mut world, 0, "web", 3);
    let update = Command::UpdateService {
        key: key("web"),
        service: Box::new(Service::new("web:2")),
        instances: None,
    };
    accept(&mut world, 1, update);
    world.until(4 * SOON, "it is done", |world| {
        all_run(world, "sha256:web:2", 3)
    });
    world.run_for(SOON);
    for host in &mut world.hosts {
        host.engine.broken_images.insert("web:2".to_owned());
    }
    let scale = Command::ScaleService {
        key: key("web"),
        instances: 4,
    };
    accept(&mut world, 1, scale);
    world.run_for(6 * SOON);
    assert_eq!(deployed(&world).halt, None);
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

/// How many containers run of an image.
fn count(world: &World, image: &str) -> usize {
    let hosts = world.hosts.iter();
    let running = hosts.flat_map(|host| host.engine.running());
    running.filter(|container| container.image == image).count()
}

fn all_run(world: &World, image: &str, instances: usize) -> bool {
    count(world, image) == instances && world.running().values().all(|hosts| hosts.len() == 1)
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

#[test]
fn all_instances_of_a_deploy_run_one_image_though_its_tag_is_moved_meanwhile() {
    let mut world = grid(3, 22);
    world.publish_image("web:1");
    world.publish_image("web:2");
    deploy(&mut world, 0, "web", 1);
    for host in &mut world.hosts {
        let tags = &mut host.engine.tags;
        tags.insert("web:1".to_owned(), "web:2".to_owned());
    }
    let scale = Command::ScaleService {
        key: key("web"),
        instances: 3,
    };
    accept(&mut world, 1, scale);
    world.until(SOON, "three run what one ran", |world| {
        all_run(world, "sha256:web:1", 3)
    });
    accept(&mut world, 1, Command::RestartService(key("web")));
    world.run_for(6 * SOON);
    assert!(all_run(&world, "sha256:web:1", 3), "{}", world.summary());
    let force = Command::DeployService {
        key: key("web"),
        force: true,
    };
    accept(&mut world, 2, force);
    world.until(6 * SOON, "all run what the tag means now", |world| {
        all_run(world, "sha256:web:2", 3)
    });
}

#[test]
fn a_node_that_has_not_what_was_built_elsewhere_runs_what_the_name_means_there() {
    let mut world = grid(3, 23);
    for host in &mut world.hosts[1..] {
        host.engine.images.remove("web:1");
        let tags = &mut host.engine.tags;
        tags.insert("web:1".to_owned(), "web:2".to_owned());
    }
    deploy(&mut world, 0, "web", 3);
    assert_eq!(count(&world, "sha256:web:1"), 1, "{}", world.summary());
    assert_eq!(count(&world, "sha256:web:2"), 2, "{}", world.summary());
}

/// A stack of `web`, which links to `db`, of these images.
fn shop(web: &str, db: &str) -> StackInput {
    let mut linking = Service::new(web);
    linking.links = vec!["db".parse().expect("a link")];
    let services = [("web", linking, 2), ("db", Service::new(db), 1)];
    let services = services.into_iter().map(|(name, service, instances)| {
        let name = name.parse().expect("a name");
        (name, (service, Some(instances)))
    });
    StackInput {
        stack: "me/shop".to_owned(),
        version: "1".to_owned(),
        services: services.collect(),
        ..StackInput::default()
    }
}

#[test]
fn a_stack_starts_and_is_updated_in_the_order_of_its_links() {
    let mut world = grid(3, 24);
    for image in ["db:1", "db:2"] {
        world.publish_image(image);
    }
    for host in &mut world.hosts {
        host.engine.trouble.pull = Some(MINUTE);
    }
    let name: StackName = "shop".parse().expect("a name");
    let install = Command::InstallStack {
        name: name.clone(),
        stack: shop("web:1", "db:1"),
    };
    accept(&mut world, 0, install);
    accept(&mut world, 1, Command::DeployStack(name.clone()));
    world.run_for(2 * SOON);
    assert_eq!(world.starts(), 0, "db is pulled: {}", world.summary());
    world.until(2 * MINUTE, "db runs, and then web", |world| {
        world.runs_exactly("shop/db", 1) && world.runs_exactly("shop/web", 2)
    });
    let upgrade = Command::UpgradeStack {
        name: name.clone(),
        stack: shop("web:2", "db:2"),
    };
    accept(&mut world, 2, upgrade);
    accept(&mut world, 0, Command::DeployStack(name));
    world.run_for(2 * SOON);
    assert_eq!(count(&world, "sha256:web:1"), 2, "{}", world.summary());
    world.until(3 * MINUTE, "db is updated, and then web", |world| {
        count(world, "sha256:db:2") == 1 && count(world, "sha256:web:2") == 2
    });
}

#[test]
fn who_links_to_a_service_that_never_comes_up_starts_after_ten_minutes() {
    let mut world = grid(2, 25);
    let name: StackName = "shop".parse().expect("a name");
    let install = Command::InstallStack {
        name: name.clone(),
        stack: shop("web:1", "nowhere:1"),
    };
    accept(&mut world, 0, install);
    accept(&mut world, 0, Command::DeployStack(name));
    world.run_for(9 * MINUTE);
    assert_eq!(world.starts(), 0, "{}", world.summary());
    world.until(2 * MINUTE, "web runs", |world| {
        world.runs_exactly("shop/web", 2)
    });
}
