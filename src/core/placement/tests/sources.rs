//! Volumes of others: an instance runs where those are whose volumes it mounts, and follows them.

use std::sync::Arc;

use super::language::{key, node_id, parse};
use crate::placement::{Assignment, Incremental, Placement, explain, one_off, place, waiting};
use crate::placement::{NoBerth, Wish};
use crate::view::View;

fn assignment(placement: &Placement, service: &str, number: u32) -> Assignment {
    let assignments = placement.of_service(&key(service)).unwrap();
    assignments[&number].clone()
}

fn holder(view: &View, service: &str, number: u32) -> Option<&'static str> {
    let names = ["a", "b", "c"];
    let id = assignment(&place(view), service, number).holder?;
    names.into_iter().find(|name| node_id(name) == id)
}

fn why(view: &View, service: &str, number: u32) -> String {
    waiting(view, &assignment(&place(view), service, number)).unwrap_or_default()
}

#[test]
fn a_follower_goes_where_its_source_is_decided_to_be_and_not_where_it_is_held() {
    // `app` comes before `db` by its name, and is decided after it.
    let view = parse(
        "nodes a(drain) b c
         app x1 from=db-1
         db x1 db.1@a node==c",
    );
    assert_eq!(holder(&view, "db", 1), Some("c"));
    assert_eq!(holder(&view, "app", 1), Some("c"));
}

#[test]
fn a_follower_moves_with_its_source_and_keeps_what_it_has_until_it_is_there() {
    let view = parse(
        "nodes a(drain) b
         db x1 db.1@a
         log x1 from=db-%s log.1@a",
    );
    let moved = assignment(&place(&view), "log", 1);
    assert_eq!(moved.holder, Some(node_id("b")));
    assert_eq!(moved.leaving, Some(node_id("a")));
    assert!(!moved.relieved);
}

#[test]
fn a_follower_is_not_kept_where_its_source_is_not() {
    let view = parse(
        "nodes a b
         db x1 db.1@a
         log x1 from=db-1 log.1@b",
    );
    assert_eq!(holder(&view, "log", 1), Some("a"));
    let explained = explain(&view, &key("log"), Some(1)).to_string();
    let words = "moves to a from b (it mounts the volumes of `db-1`, which is on node a)";
    assert!(explained.contains(words), "{explained}");
}

#[test]
fn a_follower_goes_where_its_stateful_source_is_bound_and_waits_with_it() {
    let view = parse(
        "nodes a b c
         db x1 stateful db.1->b
         log x1 from=db-1",
    );
    assert_eq!(holder(&view, "log", 1), Some("b"));
    let view = parse(
        "nodes a b(drain) c
         db x1 stateful db.1->b db.1@b(stopped)
         log x1 from=db-1 log.1@b",
    );
    let kept = assignment(&place(&view), "log", 1);
    assert_eq!((kept.holder, kept.leaving), (None, Some(node_id("b"))));
    assert_eq!(
        why(&view, "log", 1),
        "waits: `db-1`, whose volumes it mounts, runs nowhere"
    );
}

#[test]
fn a_follower_is_taken_over_where_its_source_is() {
    let view = parse(
        "nodes a b c(absent)
         db x1 db.1@c
         log x1 from=db-1 log.1@c",
    );
    let taker = holder(&view, "db", 1);
    assert_ne!(taker, Some("c"));
    assert_eq!(holder(&view, "log", 1), taker);
    let split = parse(
        "nodes a b(absent) c(absent)
         db x1 db.1@c
         log x1 from=db-1 log.1@c",
    );
    assert_eq!(
        holder(&split, "log", 1),
        Some("c"),
        "this side sees too few"
    );
}

#[test]
fn who_has_no_source_is_told_whom_it_misses() {
    for (services, words) in [
        (
            "log x1 from=db-1",
            "waits: there is no service `db`, whose volumes it mounts",
        ),
        (
            "db x2\n log x1 from=db-3",
            "waits: `db` has no instance 3, whose volumes it mounts",
        ),
        (
            "db x1 stopped\n log x1 from=db-1",
            "waits: `db`, whose volumes it mounts, is stopped",
        ),
        (
            "db x1 undeployed\n log x1 from=db-1",
            "waits: `db`, whose volumes it mounts, was never deployed",
        ),
        (
            "db x1 unreadable\n log x1 from=db-1",
            "waits: `db`, whose volumes it mounts, cannot be read by this version of kontena",
        ),
        (
            "db x2 db.1@a db.2@b\n log x1 from=db-1,db-2",
            "waits: `db-1` and `db-2`, whose volumes it mounts, are not on one node",
        ),
        (
            "db x1 from=log-1\n log x1 from=db-1",
            "waits: `db`, whose volumes it mounts, mounts its own in turn",
        ),
    ] {
        let view = parse(&format!("nodes a b\n {services}"));
        assert_eq!(why(&view, "log", 1), words);
        assert_eq!(holder(&view, "log", 1), None);
    }
}

#[test]
fn each_of_a_ring_waits_and_others_are_placed() {
    let view = parse(
        "nodes a b
         app x1 from=log-1
         db x1 from=app-1
         log x1 from=db-1
         web x1",
    );
    for service in ["app", "db", "log"] {
        assert!(
            why(&view, service, 1).contains("mounts its own in turn"),
            "{service}"
        );
    }
    assert!(holder(&view, "web", 1).is_some());
}

#[test]
fn a_daemon_that_follows_one_instance_runs_beside_it_alone() {
    let view = parse(
        "nodes a b c
         db x1 db.1@b
         log x1 daemon from=db-1",
    );
    let placement = place(&view);
    let numbers: Vec<_> = placement.of_service(&key("log")).unwrap().keys().collect();
    assert_eq!(numbers, [&2]);
    let view = parse(
        "nodes a b c
         agent x1 daemon
         log x1 daemon from=agent-%s",
    );
    let placement = place(&view);
    assert_eq!(
        placement.of_service(&key("log")).unwrap().len(),
        3,
        "each beside its own"
    );
    let view = parse(
        "nodes a b
         db x1 stopped
         log x1 daemon from=db-1 log.1@a",
    );
    let kept = assignment(&place(&view), "log", 1);
    assert_eq!((kept.holder, kept.leaving), (None, Some(node_id("a"))));
    assert_eq!(assignment(&place(&view), "log", 2).leaving, None);
}

#[test]
fn a_one_off_of_a_follower_runs_where_the_volumes_are() {
    let view = parse(
        "nodes a b
         db x2 db.1@a db.2@b
         log x2 from=db-%s log.1@a log.2@b",
    );
    let wish = |node, number| Wish {
        number,
        node,
        asked: node_id("a"),
    };
    let berth = one_off(&view, &key("log"), wish(None, Some(2))).unwrap();
    assert_eq!(berth.node, node_id("b"));
    let elsewhere = one_off(&view, &key("log"), wish(Some(node_id("a")), Some(2)));
    let Err(NoBerth::Rejected { reason, .. }) = elsewhere else {
        panic!("{elsewhere:?}");
    };
    assert_eq!(
        reason,
        "it mounts the volumes of `db-2`, which is on node b"
    );
}

#[test]
fn a_follower_follows_by_increments_too() {
    let view = parse(
        "nodes a b
         app x1 from=db-1 app.1@a
         db x1 db.1@a",
    );
    let mut incremental = Incremental::default();
    incremental.update(&Arc::new(view));
    let drained = parse(
        "nodes a(drain) b
         app x1 from=db-1 app.1@a
         db x1 db.1@a",
    );
    incremental.update(&Arc::new(drained.clone()));
    assert_eq!(incremental.placement(), &place(&drained));
    let there = parse(
        "nodes a(drain) b
         app x1 from=db-1 app.1@a
         db x1 db.1@a db.1@b(epoch=2)",
    );
    incremental.update(&Arc::new(there.clone()));
    assert_eq!(incremental.placement(), &place(&there));
}
