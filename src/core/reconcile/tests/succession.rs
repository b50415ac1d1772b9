//! Start before stop.

use std::collections::BTreeSet;

use crate::reconcile::action::{Action, ContainerId, ContainerState, Failure};
use crate::reconcile::rollout::Hindrance;
use crate::reconcile::wiring::Wiring;
use crate::reconcile::{Awaited, Departure, Leaves, Tie, Wanted};
use crate::stack::{Hook, NetworkMode, Order, Port, Protocol, Service, Volume, VolumeSource};

use super::bench::{Bench, healthy, id, of_service};

fn web(image: &str) -> Service {
    let mut web = Service::new(image);
    web.deploy.order = Order::StartFirst;
    web
}

/// The only instance of the service, deployed as `generation`.
fn only(generation: u64, service: Service) -> Wanted {
    let mut web = of_service("web-1", generation, 1, service);
    web.peers = vec![healthy(1, false)];
    web
}

/// Its first deploy runs.
fn running() -> Bench {
    begun(web("web:1"))
}

fn begun(service: Service) -> Bench {
    let mut bench = Bench::new();
    let now = bench.now();
    let subnet = "10.80.7.0/24".parse().unwrap();
    bench.instances.wire(Wiring::Grid(subnet), now);
    bench.observe();
    bench.want([only(1, service)]);
    bench.settle();
    bench.did();
    bench
}

#[test]
fn no_successor_is_begun_before_what_the_service_links_to_is_there() {
    let mut bench = running();
    let update = Wanted {
        awaited: Some(Awaited {
            service: "db".parse().unwrap(),
            tie: Tie::Link,
            is_held: false,
            is_first: false,
        }),
        ..only(2, web("web:2"))
    };
    bench.want([update]);
    bench.seconds(60);
    assert_eq!(bench.did(), "fetch web:2");
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.problem("web-1"), "waits for `db`, which it links to");
    bench.want([only(2, web("web:2"))]);
    bench.seconds(10);
    assert_eq!(
        bench.did(),
        "run web-1-next g2, stop web-1 g1, remove web-1 g1, rename web-1-next g2 to web-1"
    );
}

fn waits_for_port(image: &str) -> Service {
    let mut web = web(image);
    web.deploy.wait_for_port = Some(80);
    web
}

#[test]
fn the_new_container_is_started_before_the_old_one_stops_and_gets_its_name() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    bench.seconds(10);
    assert_eq!(
        bench.did(),
        "fetch web:2, run web-1-next g2, stop web-1 g1, remove web-1 g1, rename web-1-next g2 to web-1"
    );
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.hold("web-1").generation, 2);
    assert!(!bench.hold("web-1").former);
}

#[test]
fn the_old_container_is_the_instance_until_the_new_one_is_healthy() {
    let mut bench = running();
    let old = bench.hold("web-1").container.clone();
    bench.engine.deaf = true;
    bench.want([only(2, waits_for_port("web:2"))]);
    bench.seconds(60);
    assert_eq!(bench.hold("web-1").container, old);
    assert_eq!(bench.state("web-1"), "running healthy");
    assert!(!bench.hold("web-1").updating);
    assert_eq!(
        bench.problem("web-1"),
        "its new container is started beside it: waits until port 80 accepts connections"
    );
    bench.engine.deaf = false;
    bench.seconds(10);
    assert_eq!(bench.engine.containers.len(), 1);
    assert_eq!(bench.hold("web-1").generation, 2);
}

#[test]
fn names_leave_the_former_before_it_is_stopped() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    bench.pass(std::time::Duration::from_millis(500));
    assert_eq!(bench.did(), "fetch web:2, run web-1-next g2");
    assert_eq!(bench.hold("web-1").generation, 2);
    assert!(bench.hold("web-1").former);
    let now = bench.now();
    bench.instances.heard(&[(id("web-1"), Leaves::Itself)], now);
    bench.pass(std::time::Duration::from_millis(1200));
    assert_eq!(
        bench.did(),
        "",
        "who hears of the instance hears not of what it was"
    );
    let now = bench.now();
    bench.instances.heard(&[(id("web-1"), Leaves::Former)], now);
    bench.pass(std::time::Duration::from_secs(1));
    assert!(bench.did().starts_with("stop web-1 g1"));
}

#[test]
fn its_hooks_before_the_stop_are_run_in_the_former() {
    let mut first = web("web:1");
    first.hooks.pre_stop = vec![Hook {
        name: "drain".to_owned(),
        command: "true".to_owned(),
        instances: BTreeSet::new(),
        oneshot: false,
    }];
    let mut bench = begun(first);
    bench.want([only(2, web("web:2"))]);
    bench.seconds(10);
    assert_eq!(
        bench.did(),
        "fetch web:2, run web-1-next g2, in drain, stop web-1 g1, remove web-1 g1, rename web-1-next g2 to web-1"
    );
}

#[test]
fn a_successor_that_crashes_costs_nothing_and_fails_its_deploy() {
    let mut bench = running();
    let old = bench.hold("web-1").container.clone();
    bench.engine.deaf = true;
    bench.want([only(2, waits_for_port("web:2"))]);
    for _ in 0..3 {
        bench.seconds(9);
        let now = bench.now().wall;
        let new = bench.engine.containers.values();
        let new = new.filter(|each| each.owner.generation == 2);
        let new = new.map(|each| each.id.clone()).next().unwrap();
        bench.engine.exit(&new, 3, now);
        bench.observe();
    }
    assert_eq!(bench.hold("web-1").container, old);
    assert_eq!(bench.state("web-1"), "running healthy");
    let failed = &bench.instances.failures()[&id("web-1")];
    assert_eq!(failed.generation, 2);
    assert!(
        bench
            .problem("web-1")
            .starts_with("its new container failed: the container exited with status 3")
    );
    bench.did();
    let mut halted = only(2, waits_for_port("web:2"));
    halted.halted = Some(Hindrance::Halted { number: 1 });
    bench.want([halted]);
    bench.seconds(60);
    assert_eq!(bench.hold("web-1").container, old);
    assert_eq!(bench.engine.containers.len(), 1, "the failed one is gone");
    assert!(bench.instances.failures().is_empty());
}

#[test]
fn one_that_ends_as_soon_as_it_is_the_instance_is_none_any_more() {
    let mut bench = running();
    let old = bench.hold("web-1").container.clone();
    bench.want([only(2, web("web:2"))]);
    for _ in 0..2 {
        bench.pass(std::time::Duration::from_millis(300));
        let now = bench.now().wall;
        let new = bench.hold("web-1").container.clone().unwrap();
        assert_ne!(Some(&new), old.as_ref());
        bench.engine.exit(&ContainerId(new), 3, now);
        bench.observe();
        assert_eq!(bench.hold("web-1").container, old);
        assert_eq!(bench.state("web-1"), "running healthy");
    }
    bench.settle();
    assert_eq!(bench.hold("web-1").container, old, "it crashed twice");
    assert_eq!(bench.instances.failures()[&id("web-1")].generation, 2);
    bench.seconds(60);
    assert_eq!(bench.hold("web-1").generation, 2, "it runs now");
    assert_eq!(bench.engine.containers.len(), 1);
}

#[test]
fn a_newer_deploy_takes_the_place_of_the_one_that_is_tried() {
    let mut bench = running();
    bench.engine.deaf = true;
    bench.want([only(2, waits_for_port("web:2"))]);
    bench.seconds(20);
    bench.did();
    bench.want([only(3, web("web:3"))]);
    bench.seconds(20);
    let did = bench.did();
    assert!(
        did.starts_with("stop web-1-next g2") && did.contains("remove web-1-next g2"),
        "{did}"
    );
    assert_eq!(bench.hold("web-1").generation, 3);
    assert_eq!(bench.container("web-1").name, "web-1");
}

#[test]
fn what_was_being_made_for_an_older_deploy_goes_before_the_next_is_made() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    while let Some((id, action)) = bench.next_action() {
        let makes = matches!(action, Action::Run(_));
        if makes {
            bench.want([only(3, web("web:2"))]);
        }
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(id, outcome);
        bench.observe();
        if makes {
            break;
        }
    }
    bench.did();
    bench.seconds(10);
    assert_eq!(
        bench.did(),
        "fetch web:2, stop web-1-next g2, remove web-1-next g2, run web-1-next g3, stop web-1 g1, remove web-1 g1, rename web-1-next g3 to web-1"
    );
}

#[test]
fn a_deploy_that_comes_while_the_former_goes_waits_for_that() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    bench.pass(std::time::Duration::from_millis(500));
    bench.want([only(3, web("web:3"))]);
    bench.seconds(20);
    assert_eq!(
        bench.did(),
        "fetch web:2, run web-1-next g2, fetch web:3, stop web-1 g1, remove web-1 g1, run web-1-next-2 g3, \
         stop web-1-next g2, remove web-1-next g2, rename web-1-next-2 g3 to web-1"
    );
}

#[test]
fn after_a_restart_of_the_daemon_the_old_one_is_the_instance_still() {
    let mut bench = running();
    let old = bench.hold("web-1").container.clone();
    bench.engine.deaf = true;
    let wanted = only(2, waits_for_port("web:2"));
    bench.want([wanted.clone()]);
    bench.seconds(20);
    bench.did();
    bench.restart_daemon();
    bench.observe();
    assert_eq!(bench.hold("web-1").container, old);
    bench.want([wanted]);
    bench.seconds(20);
    assert_eq!(bench.hold("web-1").container, old);
    assert_eq!(bench.engine.containers.len(), 2, "{}", bench.did());
    bench.engine.deaf = false;
    bench.seconds(20);
    assert_eq!(bench.hold("web-1").generation, 2);
    assert_eq!(bench.engine.containers.len(), 1);
}

#[test]
fn a_restart_of_the_daemon_after_the_change_does_not_change_it_back() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    bench.pass(std::time::Duration::from_millis(500));
    let new = bench.hold("web-1").container.clone();
    bench.restart_daemon();
    bench.observe();
    assert_eq!(bench.hold("web-1").container, new);
    bench.want([only(2, web("web:2"))]);
    bench.seconds(10);
    assert_eq!(bench.hold("web-1").container, new);
    assert_eq!(bench.container("web-1").name, "web-1");
}

#[test]
fn one_that_leaves_takes_its_successor_along() {
    let mut bench = running();
    bench.engine.deaf = true;
    bench.want([only(2, waits_for_port("web:2"))]);
    bench.seconds(20);
    bench.leave(
        "web-1",
        Departure::Handover {
            winner_ready: false,
        },
    );
    bench.seconds(20);
    assert_eq!(bench.engine.containers.len(), 1);
    assert_eq!(bench.hold("web-1").generation, 1);
    bench.leave("web-1", Departure::Handover { winner_ready: true });
    bench.seconds(20);
    assert!(bench.engine.containers.is_empty());
}

#[test]
fn an_instance_that_goes_for_good_while_the_former_does_takes_both() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    bench.pass(std::time::Duration::from_millis(500));
    bench.leave("web-1", Departure::Unwanted);
    bench.seconds(20);
    assert!(bench.engine.containers.is_empty());
}

#[test]
fn what_is_lost_while_its_successor_is_tried_is_succeeded_at_once() {
    let mut bench = running();
    bench.engine.deaf = true;
    bench.want([only(2, waits_for_port("web:2"))]);
    bench.seconds(20);
    let old = bench.container("web-1").id.clone();
    bench.engine.containers.remove(&old);
    bench.observe();
    bench.seconds(5);
    assert_eq!(bench.hold("web-1").generation, 2);
    assert_eq!(bench.container("web-1").name, "web-1");
}

#[test]
fn an_old_one_that_crashes_meanwhile_is_started_again() {
    let mut bench = running();
    bench.engine.deaf = true;
    bench.want([only(2, waits_for_port("web:2"))]);
    bench.seconds(20);
    bench.did();
    bench.crash("web-1");
    bench.seconds(20);
    assert!(bench.did().contains("start web-1 g1"));
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn lower_numbers_go_first_and_a_floor_of_all_holds_nobody_up() {
    let mut second = of_service("web-2", 1, 3, web("web:1"));
    let mut bench = Bench::with([second.clone()]);
    bench.settle();
    let mut service = web("web:2");
    service.deploy.min_health = 1000;
    second = of_service("web-2", 2, 3, service);
    second.peers = vec![healthy(1, false), healthy(2, false), healthy(3, false)];
    bench.want([second.clone()]);
    bench.seconds(10);
    assert_eq!(bench.problem("web-2"), "waits for its turn in the deploy");
    second.peers[0] = healthy(1, true);
    bench.want([second]);
    bench.seconds(10);
    assert_eq!(bench.hold("web-2").generation, 2);
}

#[test]
fn what_two_cannot_share_is_replaced_stop_first() {
    let with = |change: fn(&mut Service)| {
        let mut service = web("web:2");
        change(&mut service);
        service.starts_first()
    };
    let volume = |source, flags: Option<&str>| Volume {
        path: "/data".to_owned(),
        source,
        flags: flags.map(str::to_owned),
    };
    assert!(web("web:2").starts_first());
    assert!(!with(|web| web.deploy.order = Order::StopFirst));
    assert!(!with(|web| web.stateful = true));
    assert!(!with(|web| web.network_mode = NetworkMode::Host));
    assert!(!with(|web| web.ports.push(Port {
        ip: [0, 0, 0, 0].into(),
        node_port: 80,
        container_port: 80,
        protocol: Protocol::Tcp,
    })));
    for (source, flags, is_shared) in [
        (VolumeSource::Anonymous, None, false),
        (VolumeSource::Bind("/etc/web".to_owned()), Some("ro"), false),
        (VolumeSource::Bind("/srv".to_owned()), None, true),
        (VolumeSource::Named("data".parse().unwrap()), None, true),
    ] {
        let mut service = web("web:2");
        service.volumes = vec![volume(source.clone(), flags)];
        assert_eq!(service.starts_first(), !is_shared, "{source:?}");
    }
}

#[test]
fn a_name_that_somebody_else_has_keeps_nothing_from_running() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    while bench.container("web-1").owner.generation == 1 || bench.engine.containers.len() > 1 {
        let Some((id, action)) = bench.next_action() else {
            bench.skip(std::time::Duration::from_millis(500));
            continue;
        };
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(id, outcome);
        bench.observe();
    }
    let name = "web-1".to_owned();
    bench.did();
    bench.answer(Err(Failure::Occupied { name }));
    assert_eq!(bench.did(), "rename web-1-next g2 to web-1");
    assert_eq!(bench.state("web-1"), "running healthy");
    assert!(matches!(
        bench.container("web-1").state,
        ContainerState::Running { .. }
    ));
    bench.seconds(60);
    assert_eq!(bench.container("web-1").name, "web-1");
}

#[test]
fn a_former_that_the_engine_does_not_end_is_told_of() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    bench.pass(std::time::Duration::from_millis(500));
    bench.skip(std::time::Duration::from_secs(4));
    let problem = "device busy".to_owned();
    bench.answer(Err(Failure::Refused { problem }));
    assert!(bench.did().contains("stop web-1 g1"));
    assert_eq!(
        bench.problem("web-1"),
        "its earlier container does not go: device busy"
    );
    bench.seconds(60);
    assert_eq!(bench.hold("web-1").problem, None);
}

#[test]
fn one_that_is_being_made_when_the_old_one_is_lost_runs_its_hooks_all_the_same() {
    let mut bench = running();
    let mut service = web("web:2");
    service.hooks.post_start = vec![Hook {
        name: "announce".to_owned(),
        command: "true".to_owned(),
        instances: BTreeSet::new(),
        oneshot: false,
    }];
    bench.want([only(2, service)]);
    bench.answer(Ok(crate::reconcile::action::Success::Image {
        pinned: "sha256:web:2".to_owned(),
    }));
    let (number, action) = bench.next_action().expect("it is made");
    let old = bench.container("web-1").id.clone();
    bench.engine.containers.remove(&old);
    bench.observe();
    let outcome = bench.engine.carry_out(&action, bench.now().wall);
    bench.done(number, outcome);
    bench.observe();
    bench.settle();
    let did = bench.did();
    assert!(did.contains("in announce"), "{did}");
}

/// Seed 8000289: what the engine had listed before its answer came was believed for two seconds.
#[test]
fn a_container_is_named_once() {
    let mut bench = running();
    bench.want([only(2, web("web:2"))]);
    for _ in 0..2 {
        let (number, action) = bench.next_action().expect("it is fetched and made");
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.observe();
        bench.done(number, outcome);
        bench.observe();
    }
    let now = bench.now();
    bench.instances.heard(&[(id("web-1"), Leaves::Former)], now);
    bench.seconds(2);
    bench.seconds(10);
    let names = bench.log.iter().filter(|line| line.starts_with("rename"));
    assert_eq!(names.count(), 1, "{:?}", bench.log);
}
