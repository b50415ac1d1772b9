//! Health checks: when they are asked, and what follows.

use std::sync::Arc;

use crate::reconcile::action::{Action, CheckTarget, Failure, Success};
use crate::reconcile::{Departure, Wanted};
use crate::stack::{HealthCheck, NetworkMode, Question, Service};
use crate::view::Lifecycle;

use super::bench::{Bench, id, of_service, wanted};

/// Asked every 20 s, after 10 s, for 5 s at most.
fn checked() -> Service {
    let mut service = Service::new("web:1");
    service.health_check = Some(HealthCheck {
        interval: 20,
        timeout: 5,
        ..HealthCheck::new(Question::Tcp { port: 80 })
    });
    service
}

fn web(generation: u64) -> Wanted {
    of_service("web-1", generation, 1, checked())
}

fn refused() -> Failure {
    let problem = "port 80: connection refused".to_owned();
    Failure::NotReady { problem }
}

/// An instance that is well.
fn bench() -> Bench {
    let mut bench = Bench::with([web(1)]);
    bench.settle();
    bench
}

#[test]
fn an_instance_is_healthy_with_its_first_good_probe_and_asked_again_after_its_interval() {
    let mut bench = Bench::with([web(1)]);
    bench.engine.ill = Some(refused());
    bench.settle();
    assert_eq!(bench.state("web-1"), "running unknown");
    assert_eq!(
        bench.problem("web-1"),
        "waits until its health check passes"
    );
    bench.seconds(4);
    assert_eq!(
        bench.did(),
        "fetch web:1, run web-1 g1, check, check, check, check, check",
        "it is asked every second, for a deploy waits"
    );
    bench.engine.ill = None;
    bench.seconds(1);
    assert_eq!(bench.state("web-1"), "running healthy");
    bench.did();
    bench.seconds(19);
    assert_eq!(bench.did(), "");
    bench.seconds(1);
    assert_eq!(bench.did(), "check");
}

#[test]
fn the_first_failure_makes_it_unhealthy_and_the_next_good_probe_healthy_again() {
    let mut bench = bench();
    bench.engine.ill = Some(refused());
    bench.seconds(20);
    assert_eq!(bench.state("web-1"), "running unhealthy");
    assert_eq!(
        bench.problem("web-1"),
        "its health check fails: port 80: connection refused"
    );
    bench.engine.ill = None;
    bench.seconds(5);
    assert_eq!(bench.state("web-1"), "running healthy");
    assert!(!bench.did().contains("stop"));
}

#[test]
fn the_third_failure_in_a_row_restarts_the_same_container() {
    let mut bench = bench();
    let container = bench.container("web-1").id.clone();
    bench.did();
    bench.engine.ill = Some(refused());
    bench.seconds(29);
    assert_eq!(bench.did(), "check, check");
    bench.seconds(1);
    let did = bench.did();
    assert!(
        did.starts_with("check, read web-1 g1, stop web-1 g1, "),
        "{did}"
    );
    assert_eq!(bench.container("web-1").id, container);
    assert_eq!(bench.state("web-1"), "running unknown");
    bench.engine.ill = None;
    bench.seconds(1);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn no_failure_counts_before_the_initial_delay_is_over() {
    let mut service = checked();
    if let Some(check) = &mut service.health_check {
        check.initial_delay = 120;
    }
    let mut bench = Bench::with([of_service("web-1", 1, 1, service)]);
    bench.settle();
    bench.engine.ill = Some(refused());
    bench.seconds(119);
    assert_eq!(bench.state("web-1"), "running unhealthy");
    assert!(!bench.did().contains("stop"));
    bench.seconds(30);
    assert!(bench.did().contains("stop"));
}

#[test]
fn one_that_never_becomes_good_fails_and_is_restarted_ever_more_slowly() {
    let mut bench = Bench::with([web(1)]);
    bench.engine.ill = Some(refused());
    bench.engine.written = vec!["no disk".to_owned()];
    let mut stops = Vec::new();
    for second in 0..400_u64 {
        bench.seconds(1);
        if bench.did().contains("stop") {
            stops.push(second + 1);
        }
        if second == 68 {
            assert_eq!(bench.state("web-1"), "running unknown");
        }
    }
    // Ten seconds and three intervals each, and between them 0, 1, 4, 9 s.
    assert_eq!(stops, [70, 140, 211, 285, 364]);
    assert_eq!(bench.state("web-1"), "failed unhealthy");
    assert_eq!(
        bench.problem("web-1"),
        "its health check fails: port 80: connection refused\nno disk"
    );
    bench.engine.ill = None;
    bench.seconds(30);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_start_has_five_minutes_and_its_initial_delay_at_most() {
    let mut service = checked();
    if let Some(check) = &mut service.health_check {
        check.interval = 3_600;
    }
    let mut bench = Bench::with([of_service("web-1", 1, 1, service)]);
    bench.engine.ill = Some(refused());
    bench.seconds(309);
    assert_eq!(bench.state("web-1"), "running unknown");
    bench.seconds(1);
    assert!(bench.did().contains("stop"));
}

#[test]
fn a_probe_under_way_delays_no_stop_and_its_answer_is_no_longer_heard() {
    let mut bench = bench();
    bench.skip(std::time::Duration::from_secs(20));
    let (check, action) = bench.next_action().unwrap();
    assert!(matches!(action, Action::Check { .. }));
    bench.did();
    let mut stopped = web(1);
    stopped.state = Lifecycle::Stopped;
    bench.want([stopped]);
    bench.settle();
    assert_eq!(bench.did(), "stop web-1 g1");
    bench.want([web(1)]);
    bench.settle();
    assert_eq!(bench.did(), "start web-1 g1");
    bench.done(check, Err(refused()));
    assert_eq!(bench.state("web-1"), "running unknown");
    bench.settle();
    assert_eq!(bench.did(), "check");
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn an_engine_that_does_not_answer_says_nothing_of_a_containers_health() {
    let mut bench = bench();
    bench.engine.ill = Some(Bench::unreachable());
    bench.seconds(300);
    assert_eq!(bench.state("web-1"), "running healthy");
    assert!(!bench.did().contains("stop"));
}

#[test]
fn a_container_of_an_older_deploy_is_asked_as_it_was_made_and_its_health_stands() {
    let mut bench = bench();
    let mut next = of_service("web-1", 2, 2, Service::new("web:2"));
    next.peers[1].healthy = false;
    bench.engine.missing_images.insert("web:2".to_owned());
    bench.want([next]);
    bench.settle();
    assert_eq!(bench.state("web-1"), "running healthy");
    bench.engine.ill = Some(refused());
    bench.seconds(20);
    assert_eq!(bench.state("web-1"), "running unhealthy");
    bench.seconds(10);
    assert!(bench.did().contains("stop web-1 g1"));
}

#[test]
fn an_instance_that_is_to_leave_is_asked_until_its_successor_is_ready() {
    let mut bench = bench();
    let waits = Departure::Handover {
        winner_ready: false,
    };
    bench.leave("web-1", waits);
    bench.engine.ill = Some(refused());
    bench.seconds(20);
    assert_eq!(bench.state("web-1"), "running unhealthy");
}

#[test]
fn a_daemon_that_starts_asks_at_once() {
    let mut bench = bench();
    bench.restart_daemon();
    bench.reconcile();
    bench.did();
    bench.observe();
    assert_eq!(bench.state("web-1"), "running unknown");
    bench.settle();
    assert_eq!(bench.did(), "check");
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_new_container_of_the_same_deploy_has_not_failed_because_the_last_one_had() {
    let mut bench = Bench::with([web(1)]);
    bench.engine.ill = Some(refused());
    bench.seconds(72);
    assert_eq!(bench.state("web-1"), "failed unhealthy");
    bench.engine.containers.clear();
    bench.observe();
    bench.settle();
    assert_eq!(bench.state("web-1"), "running unknown");
}

#[test]
fn a_container_in_the_hosts_network_is_asked_at_the_host() {
    let mut service = checked();
    service.network_mode = NetworkMode::Host;
    let mut bench = Bench::with([of_service("web-1", 1, 1, service)]);
    bench.answer(Ok(Success::Image {
        pinned: "sha256:web:1".to_owned(),
    }));
    let (run, action) = bench.next_action().unwrap();
    let outcome = bench.engine.carry_out(&action, bench.now().wall);
    bench.done(run, outcome);
    let Some((_, Action::Check { target, .. })) = bench.next_action() else {
        panic!("it is not asked");
    };
    let address = [127, 0, 0, 1].into();
    assert_eq!(target, CheckTarget::Tcp { address, port: 80 });
}

#[test]
fn a_check_needs_no_other_container() {
    let mut bench = Bench::with([web(1), wanted("db-1", 1)]);
    bench.settle();
    assert_eq!(bench.state("db-1"), "running healthy");
    let labels = |instance| {
        let wanted = bench
            .goals
            .wanted
            .iter()
            .find(|w| w.instance == id(instance));
        Arc::clone(&wanted.unwrap().service).health_check.is_some()
    };
    assert!(labels("web-1") && !labels("db-1"));
    assert_eq!(bench.container("db-1").care.health_check, None);
}
