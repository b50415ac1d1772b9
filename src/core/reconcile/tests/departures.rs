//! Instances that are not to stay here.

use crate::reconcile::Departure;
use crate::stack::Service;

use super::bench::{Bench, of_service, wanted};

const WAITING: Departure = Departure::Handover {
    winner_ready: false,
};
const READY: Departure = Departure::Handover { winner_ready: true };

fn running() -> Bench {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.did();
    bench
}

#[test]
fn the_loser_stays_until_the_winner_is_ready() {
    let mut bench = running();
    bench.leave("web-1", WAITING);
    bench.seconds(600);
    assert_eq!(bench.did(), "");
    assert_eq!(bench.state("web-1"), "running healthy");
    bench.leave("web-1", READY);
    bench.settle();
    assert_eq!(bench.did(), "stop web-1 g1, remove web-1 g1");
    assert_eq!(bench.state("web-1"), "-");
}

#[test]
fn the_loser_is_kept_alive_while_it_waits() {
    let mut bench = running();
    bench.leave("web-1", WAITING);
    bench.crash("web-1");
    bench.settle();
    assert_eq!(bench.did(), "start web-1 g1");
}

#[test]
fn an_instance_that_has_not_started_leaves_at_once() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.leave("web-1", WAITING);
    bench.settle();
    assert_eq!(
        (bench.state("web-1").as_str(), bench.did().as_str()),
        ("-", "")
    );
}

#[test]
fn what_nobody_wants_is_stopped_and_removed() {
    let mut bench = running();
    bench.want([]);
    assert_eq!(bench.state("web-1"), "stopping unknown");
    bench.settle();
    assert_eq!(bench.did(), "stop web-1 g1, remove web-1 g1");
    assert!(bench.engine.containers.is_empty());
    assert_eq!(bench.state("web-1"), "-");
}

#[test]
fn leftovers_of_an_earlier_daemon_are_removed_once_the_documents_are_loaded() {
    let mut bench = running();
    bench.restart_daemon();
    bench.observe();
    bench.seconds(60);
    assert_eq!(bench.did(), "");
    bench.want([]);
    bench.settle();
    assert_eq!(bench.did(), "stop web-1 g1, remove web-1 g1");
}

#[test]
fn what_cannot_be_judged_stays() {
    let mut bench = running();
    bench.leave("web-1", Departure::Unjudged);
    bench.seconds(600);
    assert_eq!(bench.did(), "");
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_drained_stateful_instance_stops_at_once_and_comes_back() {
    let mut service = Service::new("redis:7");
    service.stateful = true;
    let redis = of_service("redis-1", 1, 1, service);
    let mut bench = Bench::with([redis.clone()]);
    bench.settle();
    bench.did();
    bench.leave("redis-1", Departure::Drained);
    bench.settle();
    assert_eq!(bench.did(), "stop redis-1 g1");
    assert_eq!(bench.state("redis-1"), "stopped unknown");
    bench.want([redis]);
    bench.settle();
    assert_eq!(bench.did(), "start redis-1 g1");
    assert_eq!(bench.state("redis-1"), "running healthy");
}

#[test]
fn the_stop_signal_has_the_grace_of_the_service() {
    let mut service = Service::new("web:1");
    service.stop_grace_millis = Some(45_000);
    let mut bench = Bench::with([of_service("web-1", 1, 1, service)]);
    bench.settle();
    bench.want([]);
    let (_, action) = bench.next_action().unwrap();
    assert!(format!("{action:?}").contains("grace: 45s"), "{action:?}");
}
