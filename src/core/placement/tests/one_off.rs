//! One-off containers: the service's filters without what an instance alone can have, and its data.

use std::sync::Arc;

use super::language::{key, node_id, parse};
use super::volumes::{has_copy, mounting};
use crate::placement::{NoBerth, Wish, one_off};
use crate::view::View;
use crate::volume::{Definition, Scope};

/// Asked of `a`.
fn asked(view: &View, number: Option<u32>, node: Option<&str>) -> Result<String, NoBerth> {
    let wish = Wish {
        number,
        node: node.map(node_id),
        asked: node_id("a"),
    };
    let berth = one_off(view, &key("web"), wish)?;
    let name = &view.documents.roster[&berth.node].name;
    Ok(format!("{name} as {}", berth.number))
}

fn chosen(words: &str) -> String {
    match asked(&parse(words), None, None) {
        Ok(chosen) => chosen,
        Err(problem) => problem.to_string(),
    }
}

fn has_made(view: &mut View, node: &str) {
    let report = Arc::make_mut(view.reports.get_mut(&node_id(node)).unwrap());
    report.made.insert("web-1".parse().unwrap());
}

#[test]
fn the_node_that_is_asked_comes_first_and_then_one_that_has_the_image() {
    assert_eq!(chosen("nodes a b c\n web x1 web.1@b"), "a as 1");
    let busy = "nodes a(drain) b c\n other x2 other.1@c other.2@c\n web x1 web.1@c";
    assert_eq!(chosen(busy), "c as 1");
}

#[test]
fn what_keeps_an_instance_away_keeps_it_away_but_for_what_an_instance_alone_can_have() {
    assert_eq!(chosen("nodes a b(ssd)\n web x1 label==ssd"), "b as 1");
    assert_eq!(chosen("nodes a(stale) b\n web x1"), "b as 1");
    assert_eq!(chosen("nodes a(engine) b\n web x1"), "b as 1");
    assert_eq!(
        chosen("nodes a(machine=x86_64) b(machine=aarch64)\n web x1 for=arm64"),
        "b as 1"
    );
    assert_eq!(
        chosen("nodes a(cores=1) b(cores=4)\n web x1 cpus=2"),
        "b as 1"
    );
    // Ports, room for instances, and refusals are theirs.
    let full = "nodes a\n other x1 port=80 other.1@a\n web x1 port=80 most=1 web.1!a";
    assert_eq!(chosen(full), "a as 1");
    assert_eq!(chosen("nodes a\n web x2 stopped"), "a as 1");
}

#[test]
fn why_it_can_run_nowhere_is_said_of_each_node() {
    let told = chosen("nodes a(drain) b\n web x1 label==ssd");
    assert_eq!(
        told,
        "no node can run it: a drains: takes no new work; b needs label==ssd"
    );
    assert_eq!(
        chosen("nodes a\n web x1 undeployed"),
        "service `web` was never deployed"
    );
    let unreadable = chosen("nodes a\n web x1 future");
    assert!(unreadable.contains("newer version"), "{unreadable}");
}

#[test]
fn a_node_that_is_named_runs_it_or_says_why_not() {
    let view = parse("nodes a b(drain)\n web x1");
    assert_eq!(asked(&view, None, Some("a")).unwrap(), "a as 1");
    let refused = asked(&view, None, Some("b")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "node `b` cannot run it: drains: takes no new work"
    );
}

#[test]
fn it_mounts_the_data_of_a_stateful_instance_where_that_is_and_not_before_there_is_any() {
    let mut view = parse("nodes a b\n web x2 stateful web.1->b web.1@b");
    assert!(matches!(asked(&view, None, None), Err(NoBerth::NoData(_))));
    has_made(&mut view, "b");
    assert_eq!(asked(&view, None, None).unwrap(), "b as 1");
    assert_eq!(asked(&view, Some(1), Some("b")).unwrap(), "b as 1");
    let elsewhere = asked(&view, Some(1), Some("a")).unwrap_err();
    assert_eq!(
        elsewhere.to_string(),
        "the data of `web-1` is on node `b`, and nowhere else"
    );
    assert!(matches!(
        asked(&view, Some(2), None),
        Err(NoBerth::NoData(_))
    ));
    for number in [0, 3] {
        let missing = asked(&view, Some(number), None);
        assert!(
            matches!(missing, Err(NoBerth::NoInstance { .. })),
            "{number}"
        );
    }
}

#[test]
fn volumes_of_an_instance_are_mounted_where_their_copy_is() {
    let words = "nodes a b c\n web x2 web.2@c";
    let mut view = mounting(words, Definition::local(Scope::Instance));
    assert_eq!(asked(&view, None, None).unwrap(), "a as 1");
    has_copy(&mut view, "b", "web.data-1");
    assert_eq!(asked(&view, None, None).unwrap(), "b as 1");
    assert_eq!(asked(&view, Some(2), None).unwrap(), "c as 2");
    assert!(asked(&view, Some(1), None).is_err(), "nobody holds it");
    // What all share says nothing.
    let mut view = mounting(words, Definition::local(Scope::Grid));
    has_copy(&mut view, "b", "web.data-1");
    assert_eq!(asked(&view, Some(2), None).unwrap(), "a as 2");
}

#[test]
fn of_a_daemon_each_node_has_instances_of_its_own() {
    let view = parse("nodes a(drain) b c\n web x1 daemon");
    assert_eq!(asked(&view, None, Some("c")).unwrap(), "c as 3");
    assert_eq!(asked(&view, Some(2), None).unwrap(), "b as 2");
    let missing = asked(&view, Some(9), None);
    assert!(matches!(missing, Err(NoBerth::NoInstance { .. })));
}
