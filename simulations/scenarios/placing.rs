//! Where instances run: spread, limits, drained and dying nodes, and what services say of nodes that are away.

use std::num::NonZeroU32;
use std::time::Duration;

use kontena_core::command::{Command, Refusal};
use kontena_core::id::InstanceId;
use kontena_core::placement::{Outcome, Supposition, departures, place, plan};
use kontena_core::stack::{Offline, OnReturn, Service, Spread, Takeover};
use kontena_core::view::{Availability, Freshness};
use kontena_simulations::plan::{Ask, Deed, Plan};
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, carry_out, deploy, deploy_service, grid, key};

fn label(world: &mut World, host: usize, label: &str) {
    let labels = Command::UpdateNode {
        node: world.id(host),
        labels: Some(vec![label.to_owned()]),
        availability: None,
    };
    accept(world, 0, labels);
}

fn drain(world: &mut World, host: usize, by: usize) {
    let drain = Command::UpdateNode {
        node: world.id(host),
        labels: None,
        availability: Some(Availability::Drain),
    };
    accept(world, by, drain);
}

/// `web`, with these words about nodes that are away.
fn offline(offline: Offline) -> Service {
    let mut service = Service::new("web:1");
    service.deploy.offline = offline;
    service
}

/// The hosts that run instance 1 of `web`.
fn hosts_of_web(world: &World) -> Vec<usize> {
    let first = InstanceId::new(key("web"), 1);
    world.running().remove(&first).unwrap_or_default()
}

/// Deploys one instance of `web` and answers where it runs.
fn deploy_one(world: &mut World, service: Service) -> usize {
    deploy_service(world, 0, "web", service, 1);
    world.until(SOON, "it runs", |world| world.runs_exactly("web", 1));
    world.run_for(SOON);
    hosts_of_web(world)[0]
}

/// Another host than `not`.
fn other(not: usize) -> usize {
    usize::from(not == 0)
}

#[test]
fn a_service_is_spread_over_racks_as_evenly_as_can_be() {
    let mut world = grid(4, 61);
    for (host, rack) in ["rack=1", "rack=1", "rack=2", "rack=3"].iter().enumerate() {
        label(&mut world, host, rack);
    }
    let mut service = Service::new("web:1");
    let rack = "label=rack".parse().expect("a label");
    service.deploy.spread = Spread::new(vec![rack]).expect("one label");
    deploy_service(&mut world, 2, "web", service, 3);
    world.until(SOON, "three run", |world| world.runs_exactly("web", 3));
    let runs = |host: usize| world.hosts[host].engine.running().count();
    assert_eq!((runs(0) + runs(1), runs(2), runs(3)), (1, 1, 1));
}

#[test]
fn a_node_has_no_more_than_it_may_and_the_rest_waits_for_room() {
    let mut world = grid(3, 62);
    let mut service = Service::new("web:1");
    service.deploy.max_per_node = NonZeroU32::new(1);
    deploy_service(&mut world, 0, "web", service, 3);
    world.until(SOON, "three run", |world| world.runs_exactly("web", 3));
    world.kill_host(2);
    world.run_for(2 * MINUTE);
    assert_eq!(world.running().len(), 2, "{}", world.summary());
    let most = |world: &World| {
        let counts = world.hosts.iter().map(|host| host.engine.running().count());
        counts.max()
    };
    assert_eq!(most(&world), Some(1));
    world.boot(2);
    world.until(MINUTE, "three run again", |world| {
        world.runs_exactly("web", 3)
    });
    assert_eq!(most(&world), Some(1));
}

#[test]
fn a_new_default_affinity_moves_what_has_none_of_its_own_and_nothing_else() {
    let mut world = grid(3, 63);
    label(&mut world, 1, "compute");
    deploy(&mut world, 0, "web", 3);
    let mut own = Service::new("web:1");
    own.affinity = vec!["node!=n2".parse().expect("an affinity")];
    deploy_service(&mut world, 0, "own", own, 2);
    world.until(SOON, "both run", |world| world.runs_exactly("own", 2));
    let default_affinity = vec!["label==compute".parse().expect("an affinity")];
    accept(&mut world, 2, Command::UpdateGrid { default_affinity });
    let mut fewest = 5;
    let limit = world.now() + MINUTE;
    while world.now() < limit {
        world.step();
        fewest = fewest.min(world.running().len());
    }
    assert_eq!(fewest, 5, "each moves before its old container stops");
    for (instance, hosts) in world.running() {
        let is_right = match instance.service == key("web") {
            true => hosts == [1],
            false => !hosts.contains(&1),
        };
        assert!(is_right, "{instance} {hosts:?}");
    }
}

#[test]
fn a_drained_node_says_what_it_still_has_until_only_its_data_is_left() {
    let mut world = grid(3, 64);
    deploy(&mut world, 0, "web", 3);
    let mut data = Service::new("web:1");
    data.stateful = true;
    deploy_service(&mut world, 0, "db", data, 3);
    world.until(SOON, "data runs", |world| world.runs_exactly("db", 3));
    world.run_for(SOON);
    drain(&mut world, 1, 0);
    let node = world.id(1);
    let left = |world: &World| {
        let view = &world.hosts[2].view;
        departures(view, &place(view), node)
    };
    world.until(SOON, "others know that it drains", |world| {
        left(world).len() == 2
    });
    world.until(MINUTE, "only data is left", |world| {
        let left = left(world);
        left.len() == 1 && left[0].instance.service == key("db")
    });
    assert!(world.runs_exactly("web", 3), "{}", world.summary());
    assert_eq!(world.hosts[1].engine.running().count(), 0);
}

#[test]
fn what_was_planned_is_what_happens() {
    let mut world = grid(4, 65);
    deploy(&mut world, 0, "web", 6);
    let node = world.id(2);
    for (supposition, is_drain) in [
        (Supposition::Drains(node), true),
        (Supposition::Dies(node), false),
    ] {
        let before = world.running();
        let planned = plan(&world.hosts[0].view, &[supposition], 0);
        if is_drain {
            drain(&mut world, 2, 0);
        } else {
            let active = Command::UpdateNode {
                node,
                labels: None,
                availability: Some(Availability::Active),
            };
            accept(&mut world, 0, active);
            world.kill_host(2);
        }
        world.run_for(2 * MINUTE);
        let after = world.running();
        for change in &planned.changes {
            let Outcome::Moves { to } = &change.outcome else {
                panic!("{change:?}");
            };
            let host = (0..4).find(|host| World::name(*host) == *to);
            let runs = after.get(&change.instance);
            assert_eq!(
                runs.map(Vec::as_slice),
                host.as_ref().map(std::slice::from_ref)
            );
        }
        let moved = after
            .iter()
            .filter(|(key, hosts)| before.get(*key) != Some(*hosts));
        assert_eq!(moved.count(), planned.changes.len());
    }
}

#[test]
fn an_instance_that_crashes_again_and_again_is_tried_on_another_node() {
    let mut world = grid(3, 66);
    let first = deploy_one(&mut world, Service::new("web:1"));
    let moved = |world: &World| {
        let hosts = hosts_of_web(world);
        !hosts.is_empty() && !hosts.contains(&first)
    };
    let limit = world.now() + 4 * MINUTE;
    while !moved(&world) {
        assert!(world.now() < limit, "{}", world.summary());
        if hosts_of_web(&world).contains(&first) {
            world.crash_container(first, "web-1");
        }
        world.run_for(Duration::from_secs(2));
    }
    world.run_for(MINUTE);
    assert!(moved(&world), "{}", world.summary());
    assert!(world.runs_exactly("web", 1));
}

#[test]
fn a_service_that_asks_for_it_is_rebalanced_and_never_below_its_number() {
    let mut world = grid(3, 75);
    let mut service = Service::new("web:1");
    service.deploy.rebalance = true;
    drain(&mut world, 1, 0);
    drain(&mut world, 2, 0);
    deploy_service(&mut world, 0, "web", service, 6);
    world.until(SOON, "one node runs all", |world| {
        world.runs_exactly("web", 6)
    });
    world.run_for(SOON);
    for host in [1, 2] {
        let active = Command::UpdateNode {
            node: world.id(host),
            labels: None,
            availability: Some(Availability::Active),
        };
        accept(&mut world, 0, active);
    }
    let (mut fewest, mut most) = (6, 6);
    let limit = world.now() + 3 * MINUTE;
    while world.now() < limit {
        world.step();
        let running = world.running();
        fewest = fewest.min(running.len());
        most = most.max(running.values().map(Vec::len).sum());
    }
    let counts = world.hosts.iter().map(|host| host.engine.running().count());
    assert_eq!(counts.collect::<Vec<_>>(), [2, 2, 2], "{}", world.summary());
    assert_eq!((fewest, most), (6, 7), "one at a time");
    assert_eq!(world.starts(), 6 + 4, "none moves twice");
}

#[test]
fn a_service_that_asks_for_patience_is_taken_over_when_that_has_passed() {
    let mut world = grid(3, 67);
    let patient = offline(Offline {
        replace_after_millis: 180_000,
        ..Offline::default()
    });
    let first = deploy_one(&mut world, patient);
    world.kill_host(first);
    world.run_for(3 * MINUTE);
    assert_eq!(hosts_of_web(&world), [0; 0], "{}", world.summary());
    world.until(MINUTE, "it is taken over", |world| {
        world.runs_exactly("web", 1)
    });
}

#[test]
fn of_two_holders_that_are_away_the_one_that_left_last_is_waited_for() {
    let ask = |on, ask| Deed::Ask { on, ask };
    let create = |service, instances| Ask::Create { service, instances };
    let zone = |node| Ask::Zone { node, zone: 0 };
    let scale = |instances| Ask::Scale {
        service: 2,
        instances,
    };
    let cut = Deed::Cut {
        from: vec![3],
        to: vec![0, 1, 2, 4],
        both: true,
    };
    let plan = Plan::new(7_100_111, 5, 0)
        .step(0, 0, ask(3, create(0, 1)))
        .step(2_000, 0, ask(3, create(1, 3)))
        .step(4_000, 0, ask(3, create(2, 4)))
        .step(12_000, 0, ask(0, zone(0)))
        .step(12_000, 0, ask(1, zone(1)))
        .step(254_893, 604_643, cut)
        .step(306_903, 0, ask(4, zone(4)))
        .step(445_996, 0, ask(1, scale(1)))
        .step(505_945, 0, ask(1, scale(4)))
        .step(586_554, 14_087, Deed::KillHost { host: 1 });
    carry_out(&plan);
}

#[test]
fn a_node_that_is_back_before_that_has_its_instance_again() {
    let mut world = grid(3, 68);
    let patient = offline(Offline {
        replace_after_millis: 180_000,
        ..Offline::default()
    });
    let first = deploy_one(&mut world, patient);
    world.kill_host(first);
    world.run_for(2 * MINUTE);
    world.boot(first);
    world.run_for(4 * MINUTE);
    assert_eq!(hosts_of_web(&world), [first], "{}", world.summary());
}

#[test]
fn what_nobody_takes_over_waits_until_a_person_says_that_its_node_is_dead() {
    let mut world = grid(3, 69);
    let never = offline(Offline {
        takeover: Takeover::Never,
        ..Offline::default()
    });
    let first = deploy_one(&mut world, never);
    let by = other(first);
    let node = world.id(first);
    let said = world.command(by, Command::AssumeDead(node));
    assert!(
        matches!(said, Err(Refusal::Invalid(_))),
        "it is heard of: {said:?}"
    );
    world.kill_host(first);
    world.run_for(10 * MINUTE);
    assert_eq!(hosts_of_web(&world), [0; 0], "{}", world.summary());
    accept(&mut world, by, Command::AssumeDead(node));
    world.until(SOON, "it is taken over", |world| {
        world.runs_exactly("web", 1)
    });
    world.boot(first);
    world.run_for(2 * MINUTE);
    assert!(world.runs_exactly("web", 1), "{}", world.summary());
    let view = &world.hosts[by].view;
    assert_eq!(view.freshness(&node), Freshness::Fresh);
    assert!(!view.absence(&node).assumed_dead, "it has spoken since");
}

#[test]
fn a_small_side_goes_on_once_a_person_says_that_the_others_are_dead() {
    let mut world = grid(3, 70);
    deploy(&mut world, 0, "web", 3);
    world.kill_host(1);
    world.kill_host(2);
    world.run_for(5 * MINUTE);
    assert_eq!(world.running().len(), 1, "it sees one of three");
    for host in [1, 2] {
        let node = world.id(host);
        accept(&mut world, 0, Command::AssumeDead(node));
    }
    world.until(SOON, "one node runs all", |world| {
        world.runs_exactly("web", 3)
    });
}

#[test]
fn who_was_assumed_dead_and_came_back_is_waited_for_again() {
    let mut world = grid(3, 71);
    deploy(&mut world, 0, "web", 3);
    world.kill_host(1);
    world.kill_host(2);
    world.run_for(2 * MINUTE);
    for host in [1, 2] {
        let node = world.id(host);
        accept(&mut world, 0, Command::AssumeDead(node));
    }
    world.boot(1);
    world.boot(2);
    world.run_for(3 * MINUTE);
    assert!(world.runs_exactly("web", 3), "{}", world.summary());
    deploy(&mut world, 0, "new", 3);
    world.kill_host(1);
    world.kill_host(2);
    world.run_for(5 * MINUTE);
    let view = &world.hosts[0].view;
    assert!(view.absences.values().all(|absence| !absence.assumed_dead));
    let new = InstanceId::new(key("new"), 1);
    let of_new = |instance: &&InstanceId| instance.service == new.service;
    assert!(world.running().keys().filter(of_new).count() < 3);
}

#[test]
fn a_service_that_every_side_takes_over_runs_on_both_until_they_meet() {
    let mut world = grid(5, 72);
    let always = offline(Offline {
        takeover: Takeover::Always,
        ..Offline::default()
    });
    let first = deploy_one(&mut world, always);
    let small = other(first);
    let rest: Vec<usize> = (0..5).filter(|host| *host != small).collect();
    world.network.split(&[small], &rest);
    world.until(2 * MINUTE, "both sides run it", |world| {
        hosts_of_web(world).len() == 2
    });
    world.network.heal();
    world.run_for(MINUTE);
    assert_eq!(hosts_of_web(&world), [first], "{}", world.summary());
    assert_eq!(world.starts(), 2, "nothing is restarted");
}

#[test]
fn the_original_keeps_an_instance_by_itself_and_the_replacement_where_the_service_says_so() {
    for (on_return, original_stays) in [
        (OnReturn::KeepOriginal, true),
        (OnReturn::KeepReplacement, false),
        (OnReturn::LongestRunning, true),
    ] {
        let mut world = grid(3, 73);
        let service = offline(Offline {
            on_return,
            ..Offline::default()
        });
        let first = deploy_one(&mut world, service);
        world.run_for(5 * MINUTE);
        let rest: Vec<usize> = (0..3).filter(|host| *host != first).collect();
        world.network.split(&[first], &rest);
        world.until(2 * MINUTE, "both sides run it", |world| {
            hosts_of_web(world).len() == 2
        });
        world.network.heal();
        world.run_for(MINUTE);
        let holders = hosts_of_web(&world);
        assert_eq!(holders == [first], original_stays, "{on_return}");
        assert_eq!(holders.len(), 1, "{on_return}");
        assert_eq!(world.starts(), 2, "nothing is restarted: {on_return}");
    }
}

#[test]
fn the_longer_running_container_stays_though_it_is_the_replacement() {
    let mut world = grid(3, 74);
    let service = offline(Offline {
        on_return: OnReturn::LongestRunning,
        ..Offline::default()
    });
    let first = deploy_one(&mut world, service);
    let rest: Vec<usize> = (0..3).filter(|host| *host != first).collect();
    world.network.split(&[first], &rest);
    world.run_for(5 * MINUTE);
    assert_eq!(hosts_of_web(&world).len(), 2, "{}", world.summary());
    world.crash_container(first, "web-1");
    world.run_for(SOON);
    let replacement = hosts_of_web(&world).into_iter().find(|host| *host != first);
    world.network.heal();
    world.run_for(MINUTE);
    assert_eq!(hosts_of_web(&world).first().copied(), replacement);
    assert_eq!(hosts_of_web(&world).len(), 1);
}
