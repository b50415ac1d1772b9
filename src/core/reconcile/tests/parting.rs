//! Out of the names before a stop.

use std::time::Duration;

use crate::id::NodeId;
use crate::reconcile::Leaves;
use crate::reconcile::rollout::Peer;
use crate::reconcile::wiring::Wiring;
use crate::reconcile::{Departure, Rival, Wanted};
use crate::report::InstanceState;

use super::bench::{Bench, healthy, hold, id, of_service};
use crate::stack::Service;
use crate::view::Lifecycle;

/// One of two instances; the other one is healthy elsewhere.
fn web(generation: u64) -> Wanted {
    let mut service = Service::new("web:1");
    service.deploy.min_health = 500;
    let mut wanted = of_service("web-1", generation, 2, service);
    wanted.peers = vec![Peer::vacant(1), healthy(2, false)];
    wanted
}

/// An instance in the grid's network, which is answered with.
fn bench() -> Bench {
    let mut bench = Bench::new();
    let now = bench.now();
    let subnet = "10.80.7.0/24".parse().unwrap();
    bench.instances.wire(Wiring::Grid(subnet), now);
    bench.observe();
    bench.want([web(1)]);
    bench.settle();
    assert_eq!(bench.did(), "fetch web:1, run web-1 g1");
    bench
}

fn millis(bench: &mut Bench, millis: u64) {
    bench.pass(Duration::from_millis(millis));
}

fn heard(bench: &mut Bench) {
    let now = bench.now();
    bench.instances.heard(&[(id("web-1"), Leaves::Itself)], now);
}

#[test]
fn what_is_removed_stops_a_second_after_everybody_has_taken_note() {
    let mut bench = bench();
    bench.want([]);
    millis(&mut bench, 300);
    assert_eq!(bench.state("web-1"), "stopping unknown");
    heard(&mut bench);
    millis(&mut bench, 999);
    assert_eq!(bench.did(), "");
    millis(&mut bench, 1);
    assert_eq!(bench.did(), "stop web-1 g1, remove web-1 g1");
}

#[test]
fn nobody_is_waited_for_longer_than_two_seconds() {
    let mut bench = bench();
    bench.leave("web-1", Departure::Handover { winner_ready: true });
    millis(&mut bench, 2_999);
    assert_eq!(bench.did(), "");
    millis(&mut bench, 1);
    assert_eq!(bench.did(), "stop web-1 g1, remove web-1 g1");
}

#[test]
fn the_announcement_of_a_deploy_counts() {
    let mut bench = bench();
    bench.want([web(2)]);
    millis(&mut bench, 100);
    assert!(bench.hold("web-1").updating);
    heard(&mut bench);
    millis(&mut bench, 999);
    assert_eq!(bench.did(), "fetch web:1");
    millis(&mut bench, 1);
    assert_eq!(bench.did(), "stop web-1 g1, remove web-1 g1, run web-1 g2");
}

#[test]
fn who_takes_the_word_back_begins_anew() {
    let mut bench = bench();
    bench.want([web(2)]);
    millis(&mut bench, 100);
    heard(&mut bench);
    let mut late = web(2);
    late.peers[1].healthy = false;
    bench.want([late]);
    millis(&mut bench, 5_000);
    assert!(!bench.hold("web-1").updating);
    bench.want([web(2)]);
    millis(&mut bench, 2_900);
    assert_eq!(bench.did(), "fetch web:1");
    millis(&mut bench, 200);
    assert!(bench.did().starts_with("stop web-1 g1"));
}

#[test]
fn what_is_wanted_again_meanwhile_goes_on() {
    let mut bench = bench();
    bench.want([]);
    millis(&mut bench, 500);
    bench.want([web(1)]);
    bench.seconds(10);
    assert_eq!(bench.did(), "");
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_crash_and_what_has_no_name_wait_for_nothing() {
    let mut bench = bench();
    bench.crash("web-1");
    bench.want([]);
    millis(&mut bench, 10);
    assert_eq!(bench.did(), "remove web-1 g1");

    let mut alone = Bench::with([web(1)]);
    alone.settle();
    alone.did();
    alone.want([]);
    alone.settle();
    assert_eq!(
        alone.did(),
        "stop web-1 g1, remove web-1 g1",
        "not in the grid's network"
    );
}

#[test]
fn the_only_instance_of_a_service_is_replaced_at_once() {
    let mut bench = bench();
    let mut only = web(2);
    only.peers.truncate(1);
    bench.want([only]);
    millis(&mut bench, 10);
    assert_eq!(
        bench.did(),
        "fetch web:1, stop web-1 g1, remove web-1 g1, run web-1 g2"
    );
}

/// Seed 9700204: both sides of a split ran it, and names lead to both.
#[test]
fn the_only_instance_of_a_service_leaves_the_names_where_another_holds_it_too() {
    let mut bench = bench();
    let mut only = web(2);
    only.peers.truncate(1);
    only.rivals.push(Rival {
        node: NodeId([9; 32]),
        hold: hold(1, InstanceState::Running),
        ranks_before_us: false,
    });
    bench.want([only]);
    millis(&mut bench, 10);
    assert_eq!(bench.did(), "fetch web:1");
    assert_eq!(bench.state("web-1"), "stopping unknown");
    heard(&mut bench);
    millis(&mut bench, 1000);
    assert_eq!(bench.did(), "stop web-1 g1, remove web-1 g1, run web-1 g2");
}

#[test]
fn what_was_stopped_and_started_again_waits_as_any_other() {
    let mut bench = bench();
    let mut stopped = web(1);
    stopped.state = Lifecycle::Stopped;
    bench.want([stopped]);
    bench.seconds(10);
    assert_eq!(bench.did(), "stop web-1 g1");
    bench.seconds(300);
    bench.want([web(1)]);
    bench.settle();
    assert_eq!(bench.did(), "start web-1 g1");
    assert_eq!(bench.state("web-1"), "running healthy");
    bench.leave("web-1", Departure::Handover { winner_ready: true });
    millis(&mut bench, 500);
    assert_eq!(bench.did(), "");
}

/// Seed 6000483: what is only kept counts as healthy, and is asked again once it is this node's.
#[test]
fn what_was_healthy_a_moment_ago_waits_though_it_is_not_known_to_be_any_more() {
    let mut bench = bench();
    bench.leave(
        "web-1",
        Departure::Handover {
            winner_ready: false,
        },
    );
    bench.settle();
    assert_eq!(bench.state("web-1"), "running healthy");
    bench.engine.deaf = true;
    let mut again = web(1);
    let mut service = (*again.service).clone();
    service.deploy.wait_for_port = Some(80);
    again.service = std::sync::Arc::new(service);
    bench.want([again]);
    millis(&mut bench, 300);
    assert_eq!(bench.state("web-1"), "running unknown");
    bench.leave("web-1", Departure::Handover { winner_ready: true });
    millis(&mut bench, 500);
    assert!(!bench.did().contains("stop"));
    bench.seconds(3);
    assert!(bench.did().contains("stop web-1 g1"));
}
