//! Hooks: when they run, and what follows if they do not.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::reconcile::action::Action;
use crate::reconcile::wiring::Wiring;
use crate::reconcile::{Instances, Wanted};
use crate::stack::{Hook, Service};
use crate::view::Lifecycle;

use super::bench::{Bench, healthy, hold, id, identity, of_service, remembered};
use crate::reconcile::Leaves;
use crate::reconcile::action::ActionId;
use crate::reconcile::action::Success;
use crate::reconcile::rollout::Peer;
use crate::report::InstanceState;

fn hook(name: &str) -> Hook {
    Hook {
        name: name.to_owned(),
        command: format!("/hooks/{name}"),
        instances: BTreeSet::new(),
        oneshot: false,
    }
}

fn hooked() -> Service {
    let mut service = Service::new("web:1");
    service.hooks.pre_start = vec![hook("migrate"), hook("warm")];
    service.hooks.post_start = vec![hook("announce"), hook("register")];
    service.hooks.pre_stop = vec![hook("drain")];
    service
}

fn web(generation: u64) -> Wanted {
    of_service("web-1", generation, 1, hooked())
}

#[test]
fn hooks_run_before_and_after_the_start_and_before_the_stop() {
    let mut bench = Bench::with([web(1)]);
    bench.settle();
    assert_eq!(
        bench.did(),
        "fetch web:1, before migrate, before warm, run web-1 g1, in announce, in register"
    );
    assert_eq!(bench.state("web-1"), "running healthy");
    bench.want([]);
    bench.settle();
    assert_eq!(bench.did(), "in drain, stop web-1 g1, remove web-1 g1");
}

#[test]
fn a_deploy_runs_those_of_the_old_container_and_then_those_of_the_new_one() {
    let mut bench = Bench::with([web(1)]);
    bench.settle();
    bench.did();
    let mut next = web(2);
    let mut service = Service::new("web:2");
    service.hooks.pre_start = vec![hook("other")];
    next.service = service.into();
    bench.want([next]);
    bench.seconds(5);
    assert_eq!(
        bench.did(),
        "fetch web:2, in drain, stop web-1 g1, remove web-1 g1, before other, run web-1 g2"
    );
}

#[test]
fn a_restart_is_a_deploy_and_runs_them() {
    let mut bench = Bench::with([web(1)]);
    bench.settle();
    bench.did();
    bench.want([web(2)]);
    bench.seconds(5);
    let did = bench.did();
    let hooks = [
        "in drain",
        "before migrate",
        "before warm",
        "in announce",
        "in register",
    ];
    assert!(hooks.iter().all(|hook| did.contains(hook)), "{did}");
}

#[test]
fn none_runs_when_a_container_is_only_started_again() {
    let mut bench = Bench::with([web(1)]);
    bench.settle();
    bench.did();
    bench.crash("web-1");
    bench.seconds(5);
    assert_eq!(bench.did(), "start web-1 g1");
    bench.restart_daemon();
    bench.reconcile();
    bench.observe();
    bench.seconds(5);
    assert_eq!(bench.did(), "");
}

#[test]
fn an_instance_is_not_healthy_before_its_hooks_after_the_start_have_run() {
    let mut bench = Bench::with([web(1)]);
    while !bench.did().contains("run") {
        let (number, action) = bench.next_action().unwrap();
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(number, outcome);
    }
    assert_eq!(bench.state("web-1"), "running unknown");
    assert_eq!(bench.problem("web-1"), "its hooks after the start are run");
    bench.settle();
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn one_that_fails_before_the_start_fails_the_instance_and_is_tried_again() {
    let mut bench = Bench::with([web(1)]);
    bench.engine.failing_hooks.insert("warm".to_owned());
    bench.settle();
    assert_eq!(bench.state("web-1"), "failed unknown");
    assert_eq!(
        bench.problem("web-1"),
        "the hook `warm` ended with 1: no disk"
    );
    bench.engine.failing_hooks.clear();
    bench.did();
    bench.seconds(1);
    assert_eq!(
        bench.did(),
        "before warm, run web-1 g1, in announce, in register",
        "the first has done its work for this container"
    );
}

#[test]
fn one_that_fails_after_the_start_ends_the_row_and_is_told_of() {
    let mut bench = Bench::with([web(1)]);
    bench.engine.failing_hooks.insert("announce".to_owned());
    bench.seconds(5);
    assert!(!bench.did().contains("register"));
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(
        bench.problem("web-1"),
        "the hook `announce` ended with 1: no disk"
    );
}

#[test]
fn one_that_fails_before_the_stop_holds_nothing_up() {
    let mut bench = Bench::with([web(1)]);
    bench.settle();
    bench.did();
    bench.engine.failing_hooks.insert("drain".to_owned());
    let mut stopped = web(1);
    stopped.state = Lifecycle::Stopped;
    bench.want([stopped]);
    bench.settle();
    assert_eq!(bench.did(), "in drain, stop web-1 g1");
}

#[test]
fn a_hook_may_be_for_some_instances() {
    let mut service = hooked();
    service.hooks.pre_start[0].instances = [2].into();
    service.hooks.post_start[1].instances = [1, 3].into();
    let both = [
        of_service("web-1", 1, 2, service.clone()),
        of_service("web-2", 1, 2, service),
    ];
    let mut bench = Bench::with(both);
    bench.settle();
    let did = bench.did();
    assert_eq!(did.matches("before migrate").count(), 1, "{did}");
    assert_eq!(did.matches("before warm").count(), 2, "{did}");
    assert_eq!(did.matches("in announce").count(), 2, "{did}");
    assert_eq!(did.matches("in register").count(), 1, "{did}");
}

#[test]
fn what_shall_run_once_runs_once_for_an_instance_wherever_it_runs() {
    let mut service = hooked();
    service.hooks.pre_start[0].oneshot = true;
    service.hooks.post_start[0].oneshot = true;
    let wanted = |generation| of_service("web-1", generation, 1, service.clone());
    let mut bench = Bench::with([wanted(1)]);
    bench.engine.failing_hooks.insert("migrate".to_owned());
    bench.settle();
    bench.engine.failing_hooks.clear();
    bench.seconds(5);
    let did = bench.did();
    assert_eq!(
        did.matches("before migrate").count(),
        2,
        "one that failed is tried again: {did}"
    );
    let ran = bench.hold("web-1").hooks_ran.clone();
    let marks: Vec<&str> = ran.iter().map(String::as_str).collect();
    assert_eq!(marks, ["post_start/announce", "pre_start/migrate"]);

    bench.restart_daemon();
    bench.observe();
    bench.want([wanted(2)]);
    bench.seconds(5);
    let did = bench.did();
    assert!(
        !did.contains("migrate") && !did.contains("announce"),
        "{did}"
    );
    assert!(did.contains("before warm"), "{did}");

    let mut elsewhere = Bench::with([Wanted {
        hooks_ran: ran.clone(),
        ..wanted(2)
    }]);
    elsewhere.settle();
    let did = elsewhere.did();
    assert!(!did.contains("migrate"), "{did}");
    assert_eq!(elsewhere.hold("web-1").hooks_ran, ran);
}

#[test]
fn what_was_remembered_of_hooks_is_said_before_the_engine_is_asked() {
    let mut held = hold(1, InstanceState::Running);
    held.hooks_ran = ["pre_start/migrate".to_owned()].into();
    let before = [(id("web-1"), held.clone())].into();
    let instances = Instances::new(identity(), remembered(before));
    assert_eq!(instances.holds()[&id("web-1")].hooks_ran, held.hooks_ran);
}

#[test]
fn the_container_of_a_hook_has_an_address_and_a_name_of_its_own_and_no_ports() {
    let mut bench = Bench::new();
    let now = bench.now();
    let subnet = "10.80.7.0/24".parse().unwrap();
    bench.instances.wire(Wiring::Grid(subnet), now);
    bench.observe();
    let mut service = hooked();
    service.ports = vec!["80:80".parse().unwrap()];
    bench.want([of_service("web-1", 1, 1, service)]);
    let mut addresses = BTreeSet::new();
    while let Some((number, action)) = bench.next_action() {
        if let Action::Hook { spec, .. } = &action {
            assert_eq!(spec.name, "web-1-hook");
            assert!(spec.ports.is_empty());
            let kind = spec.extra_labels.get("io.kontena.container.type");
            assert_eq!(kind.map(String::as_str), Some("service_hook"));
            addresses.extend(spec.network.address());
        }
        if let Action::Run(spec) = &action {
            assert!(!addresses.contains(&spec.network.address().unwrap()));
        }
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(number, outcome);
    }
    assert!(!addresses.is_empty());
}

/// Seed 6100297.
#[test]
fn a_hook_whose_answers_are_lost_is_run_again_ever_more_seldom() {
    let mut bench = Bench::with([of_service("web-1", 1, 1, hooked())]);
    let mut runs = 0;
    let end = bench.now().monotonic + Duration::from_secs(60);
    while bench.now().monotonic < end {
        let Some((number, action)) = bench.next_action() else {
            bench.skip(Duration::from_millis(250));
            continue;
        };
        let is_after = matches!(&action, Action::Command { .. });
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        runs += u32::from(is_after);
        let answer = if is_after {
            Err(Bench::unreachable())
        } else {
            outcome
        };
        bench.done(number, answer);
        bench.observe();
    }
    assert!(
        (2..8).contains(&runs),
        "it was run {runs} times in a minute"
    );
}

/// Goes on until the hook before a stop is asked for, whose answer is held back.
fn until_it_drains(bench: &mut Bench) -> ActionId {
    for _ in 0..50 {
        while let Some((id, action)) = bench.next_action() {
            if let Action::Command { .. } = action {
                return id;
            }
            let outcome = bench.engine.carry_out(&action, bench.now().wall);
            bench.done(id, outcome);
            bench.observe();
        }
        bench.skip(Duration::from_millis(100));
    }
    panic!("it does not drain");
}

fn draining() -> Service {
    let mut service = Service::new("web:1");
    service.hooks.pre_stop = vec![hook("drain")];
    service
}

#[test]
fn one_that_prepares_its_end_while_others_come_beside_it_does_not_leave_the_names_anew() {
    let mut bench = Bench::new();
    let now = bench.now();
    let subnet = "10.80.7.0/24".parse().unwrap();
    bench.instances.wire(Wiring::Grid(subnet), now);
    bench.observe();
    bench.want([of_service("web-1", 1, 1, draining())]);
    bench.settle();
    bench.want([of_service("web-1", 2, 1, draining())]);
    let drain = until_it_drains(&mut bench);
    let mut scaled = of_service("web-1", 2, 3, draining());
    scaled.peers = vec![Peer::vacant(1), healthy(2, true), healthy(3, true)];
    bench.want([scaled]);
    let now = bench.now();
    bench.instances.heard(&[(id("web-1"), Leaves::Itself)], now);
    bench.pass(Duration::from_millis(1_100));
    bench.did();
    bench.done(drain, Ok(Success::Done));
    bench.settle();
    assert_eq!(bench.did(), "stop web-1 g1, remove web-1 g1, run web-1 g2");
}

#[test]
fn one_that_takes_its_word_back_is_prepared_anew_for_its_end() {
    let second = |generation: u64, first: Peer| {
        let mut web = of_service("web-2", generation, 3, draining());
        web.peers = vec![first, healthy(2, false), healthy(3, false)];
        web
    };
    let mut bench = Bench::with([of_service("web-2", 1, 3, draining())]);
    bench.settle();
    bench.want([second(2, healthy(1, true))]);
    bench.settle();
    let drain = until_it_drains(&mut bench);
    let mut failed = healthy(1, true);
    (failed.healthy, failed.failed) = (false, true);
    bench.want([second(2, failed)]);
    bench.done(drain, Ok(Success::Done));
    bench.seconds(5);
    assert!(!bench.did().contains("stop"), "its deploy has failed");
    bench.want([second(3, healthy(1, true))]);
    bench.seconds(5);
    let did = bench.did();
    assert!(did.contains("in drain, stop web-2 g1"), "{did}");
}
