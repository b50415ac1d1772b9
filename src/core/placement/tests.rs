//! Placement, by example: each rule once. The views are written in the language of `language.rs`.

mod kontena;
mod language;
mod one_off;
mod plans;
mod properties;
mod sources;
mod standby;
mod volumes;

use std::fmt::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};

use super::words::reason;
use super::{Placement, Role, ServicePlacement, choose_pins, explain, place, winner};
use crate::id::InstanceId;
use crate::stack::OnReturn;
use crate::view::View;
use language::{key, node_id, parse};

#[test]
fn a_new_instance_goes_to_a_fresh_node_at_once() {
    check(
        "nodes a(late) b c(absent) d(stale)
         web x1",
        expect![[r#"
            web.1  b  new on b: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn a_node_that_most_others_find_no_way_to_is_taken_last_and_keeps_what_it_holds() {
    check(
        "nodes a(misses=c) b(misses=c,az=2) c(az=3,ssd)
         app x2 label==~ssd
         kept x1 kept.1@c
         only x1 label==ssd",
        expect![[r#"
            app.1  b  new on b: it never had a holder (epoch 1)
            app.2  a  new on a: it never had a holder (epoch 1)
            kept.1  c  kept by c (epoch 1)
            only.1  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
    // One of two is not most.
    check(
        "nodes a(misses=c) b c(ssd)
         app x1 label==~ssd",
        expect![[r#"
            app.1  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn an_instance_stays_while_its_node_is_late_or_stale() {
    check(
        "nodes a(late) b(stale) c
         web x2 web.1@a web.2@b",
        expect![[r#"
            web.1  a  kept by a (epoch 1)
            web.2  b  kept by b, which is stale: too early to take it over (epoch 1)
        "#]],
    );
}

#[test]
fn an_instance_of_an_absent_node_is_taken_over() {
    check(
        "nodes a(absent) b c
         web x1 web.1@a(epoch=4)",
        expect![[r#"
            web.1  b  taken over by b from a, absent since 2026-01-31T12:00:00Z: this side sees 2 of 3 eligible nodes (epoch 5)
        "#]],
    );
}

#[test]
fn two_nodes_are_highly_available() {
    check(
        "nodes a(absent) b
         web x1 web.1@a",
        expect![[r#"
            web.1  b  taken over by b from a, absent since 2026-01-31T12:00:00Z: this side sees 1 of 2 eligible nodes (epoch 2)
        "#]],
    );
}

#[test]
fn a_side_that_sees_fewer_than_half_waits() {
    check(
        "nodes a(absent) b(absent) c
         web x2 web.1@a web.2@c",
        expect![[r#"
            web.1  a  waits: a is absent since 2026-01-31T12:00:00Z, and this side sees only 1 of 3 eligible nodes (epoch 1)
            web.2  c  kept by c (epoch 1)
        "#]],
    );
}

#[test]
fn a_stale_node_is_not_seen() {
    check(
        "nodes a(absent) b(stale) c
         web x1 web.1@a",
        expect![[r#"
            web.1  a  waits: a is absent since 2026-01-31T12:00:00Z, and this side sees only 1 of 3 eligible nodes (epoch 1)
        "#]],
    );
}

#[test]
fn only_nodes_eligible_by_the_documents_are_counted() {
    check(
        "nodes a(absent,edge) b(edge) c(absent) d(absent) e(absent)
         web x1 label==edge web.1@a",
        expect![[r#"
            web.1  b  taken over by b from a, absent since 2026-01-31T12:00:00Z: this side sees 1 of 2 eligible nodes (epoch 2)
        "#]],
    );
}

#[test]
fn gone_nodes_are_not_counted() {
    check(
        "nodes a(gone) b(gone) c
         web x1 web.1@a",
        expect![[r#"
            web.1  c  taken over by c from a, gone since 2026-01-31T12:00:00Z: this side sees 1 of 1 eligible nodes (epoch 2)
        "#]],
    );
}

#[test]
fn an_instance_without_a_holder_waits_for_no_half() {
    check(
        "nodes a(absent) b(absent) c
         web x1",
        expect![[r#"
            web.1  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn the_holds_of_a_removed_node_are_forgotten() {
    check(
        "nodes a
         web x1 web.1@removed",
        expect![[r#"
            web.1  a  new on a: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn a_draining_node_keeps_an_instance_until_it_is_replaced() {
    check(
        "nodes a(drain) b
         web x1 web.1@a",
        expect![[r#"
            web.1  b  moves to b from a (drains: takes no new work) | leaving a keeps (epoch 2)
        "#]],
    );
    check(
        "nodes a(drain) b
         web x1 web.1@a web.1@b(epoch=2,pending)",
        expect![[r#"
            web.1  b  kept by b | leaving a keeps (epoch 2)
        "#]],
    );
    check(
        "nodes a(drain) b
         web x1 web.1@a web.1@b(epoch=2)",
        expect![[r#"
            web.1  b  kept by b | leaving a stops (epoch 2)
        "#]],
    );
}

#[test]
fn a_draining_node_keeps_what_fits_nowhere_else() {
    let view = parse(
        "nodes a(drain) b(drain)
         web x1 web.1@a",
    );
    let web = InstanceId::new(key("web"), 1);
    let placement = place(&view);
    assert!(matches!(
        placement.role(&web, &node_id("a")),
        Role::KeepUntilRelieved(_)
    ));
    assert_eq!(placement.role(&web, &node_id("b")), Role::Stop);
}

#[test]
fn an_instance_leaves_a_node_that_cannot_run_it() {
    check(
        "nodes a(engine) b(disk) c(us) d(newcomer) e(unreported) f
         web x4 label!=us web.1@a web.2@b web.3@c web.4@d",
        expect![[r#"
            web.1  f  moves to f from a (its engine fails: it hangs) | leaving a keeps (epoch 2)
            web.2  f  moves to f from b (its disk fails: it hangs) | leaving b keeps (epoch 2)
            web.3  f  moves to f from c (needs label!=us) | leaving c keeps (epoch 2)
            web.4  f  moves to f from d (knows version 0 of the placement rules, the grid uses 1) | leaving d keeps (epoch 2)
        "#]],
    );
}

#[test]
fn a_node_whose_engine_does_not_answer_keeps_what_it_has_and_gets_nothing_new() {
    check(
        "nodes a(troubled) b(starting) c
         web x4 web.1@a web.2@b",
        expect![[r#"
            web.1  a  kept by a (epoch 1)
            web.2  b  kept by b (epoch 1)
            web.3  c  new on c: it never had a holder (epoch 1)
            web.4  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn what_a_node_released_before_it_went_away_is_not_waited_for() {
    check(
        "nodes a(absent,disk) b(absent) c(absent) d
         web x2 web.1@a(epoch=3) web.2@b",
        expect![[r#"
            web.1  d  moves to d from a (its disk fails: it hangs) (epoch 4)
            web.2  b  waits: b is absent since 2026-01-31T12:00:00Z, and this side sees only 1 of 4 eligible nodes (epoch 1)
        "#]],
    );
}

#[test]
fn a_node_that_refuses_is_passed_over_for_that_instance() {
    check(
        "nodes a b
         web x2 web.1!a web.1!b web.2!a",
        expect![[r#"
            web.1  -  waits: no node fits (epoch 1)
            web.2  b  new on b: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn a_node_that_refuses_one_instance_is_taken_last_for_the_others() {
    check(
        "nodes a b(az=2) c(az=2)
         web x3 web.1!a web.1@b web.2@c
         zoo x1 node!=b node!=c",
        expect![[r#"
            web.1  b  kept by b (epoch 1)
            web.2  c  kept by c (epoch 1)
            web.3  c  new on c: it never had a holder (epoch 1)
            zoo.1  a  new on a: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn two_holders_are_settled_by_health_then_epoch_then_score() {
    check(
        "nodes a b
         api x1 api.1@a(unhealthy) api.1@b(epoch=2)
         app x1 app.1@a(epoch=3) app.1@b(epoch=2)
         cat x1 cat.1@a(old) cat.1@b(epoch=2,pending)
         dog x1 dog.1@a dog.1@b
         eel x1 eel.1@a eel.1@b",
        expect![[r#"
            api.1  b  kept by b | rival a stops (epoch 2)
            app.1  b  kept by b | rival a stops (epoch 2)
            cat.1  a  kept by a | rival b keeps (epoch 1)
            dog.1  b  kept by b | rival a stops (epoch 1)
            eel.1  b  kept by b | rival a stops (epoch 1)
        "#]],
    );
}

#[test]
fn a_service_may_ask_for_patience_before_it_is_taken_over() {
    check(
        "nodes a(absent,away=60) b(gone) c
         app x2 after=60 app.1@a app.2@b
         web x1 after=61 web.1@a",
        expect![[r#"
            app.1  c  taken over by c from a, absent since 2026-01-31T12:00:00Z: this side sees 1 of 2 eligible nodes (epoch 2)
            app.2  c  taken over by c from b, gone since 2026-01-31T12:00:00Z: this side sees 1 of 2 eligible nodes (epoch 2)
            web.1  a  waits: a is absent since 2026-01-31T12:00:00Z, and is replaced once it is absent for 61 s (epoch 1)
        "#]],
    );
}

#[test]
fn of_two_holders_that_are_away_the_one_that_is_to_be_waited_for_is() {
    check(
        "nodes a(absent,away=60) b(absent) c(dead) d e
         app x1 takeover=never app.1@a(pending) app.1@c
         web x1 after=60 web.1@a web.1@b(epoch=2,pending)",
        expect![[r#"
            app.1  a  waits: a is absent since 2026-01-31T12:00:00Z, and nobody takes it over unless that node is removed or assumed dead (epoch 1)
            web.1  b  waits: b is absent since 2026-01-31T12:00:00Z, and is replaced once it is absent for 60 s (epoch 2)
        "#]],
    );
}

#[test]
fn a_service_may_be_taken_over_by_every_side_or_by_nobody() {
    check(
        "nodes a(absent) b(absent) c(gone) d
         app x1 takeover=always app.1@a
         new x1 takeover=never
         old x1 takeover=never after=9 old.1@c
         web x1 takeover=half web.1@a",
        expect![[r#"
            app.1  d  taken over by d from a, absent since 2026-01-31T12:00:00Z: this side sees 1 of 3 eligible nodes (epoch 2)
            new.1  d  new on d: it never had a holder (epoch 1)
            old.1  c  waits: c is gone since 2026-01-31T12:00:00Z, and nobody takes it over unless that node is removed or assumed dead (epoch 1)
            web.1  a  waits: a is absent since 2026-01-31T12:00:00Z, and this side sees only 1 of 3 eligible nodes (epoch 1)
        "#]],
    );
}

#[test]
fn a_node_that_a_person_says_is_dead_is_not_waited_for() {
    check(
        "nodes a(dead) b(absent) c
         app x1 takeover=never app.1@a
         web x2 after=600 web.1@a web.2@b",
        expect![[r#"
            app.1  c  taken over by c from a, gone since 2026-01-31T12:00:00Z: this side sees 1 of 2 eligible nodes (epoch 2)
            web.1  c  taken over by c from a, gone since 2026-01-31T12:00:00Z: this side sees 1 of 2 eligible nodes (epoch 2)
            web.2  b  waits: b is absent since 2026-01-31T12:00:00Z, and is replaced once it is absent for 600 s (epoch 1)
        "#]],
    );
    // Others that are away are counted as before.
    check(
        "nodes a(dead) b(absent) c(absent) d
         app x1 takeover=never app.1@a
         web x1 takeover=always web.1@a",
        expect![[r#"
            app.1  a  waits: a is gone since 2026-01-31T12:00:00Z, and this side sees only 1 of 3 eligible nodes (epoch 1)
            web.1  d  taken over by d from a, gone since 2026-01-31T12:00:00Z: this side sees 1 of 3 eligible nodes (epoch 2)
        "#]],
    );
}

#[test]
fn what_a_node_released_is_taken_over_whatever_the_service_says() {
    check(
        "nodes a(absent,disk) b
         web x1 takeover=never after=60 web.1@a",
        expect![[r#"
            web.1  b  moves to b from a (its disk fails: it hangs) (epoch 2)
        "#]],
    );
}

#[test]
fn a_service_may_say_who_keeps_it_when_a_node_is_back() {
    check(
        "nodes a b
         api x1 return=keep_original api.1@a api.1@b(epoch=2)
         app x1 return=keep_replacement app.1@a app.1@b(epoch=2)
         bad x1 return=keep_replacement bad.1@a bad.1@b(epoch=2,unhealthy)
         old x1 return=longest_running old.1@a(age=3) old.1@b(epoch=2,age=4)
         sam x1 return=longest_running sam.1@a(age=4) sam.1@b(epoch=2,age=4)",
        expect![[r#"
            api.1  a  kept by a | rival b stops (epoch 1)
            app.1  b  kept by b | rival a stops (epoch 2)
            bad.1  a  kept by a | rival b stops (epoch 1)
            old.1  b  kept by b | rival a stops (epoch 2)
            sam.1  a  kept by a | rival b stops (epoch 1)
        "#]],
    );
}

#[test]
fn a_holder_that_replaces_its_container_keeps_its_rank() {
    check(
        "nodes a(stale) b
         api x1 api.1@a(stopped) api.1@b(epoch=2,pending,updating)
         app x1 app.1@a(epoch=2) app.1@b(pending,updating)",
        expect![[r#"
            api.1  b  kept by b | rival a keeps (epoch 2)
            app.1  b  kept by b | rival a keeps (epoch 1)
        "#]],
    );
}

#[test]
fn a_hold_by_an_ineligible_node_counts_for_nothing() {
    check(
        "nodes a(drain) b
         web x1 web.1@a web.1@b(epoch=9,pending)",
        expect![[r#"
            web.1  b  kept by b | leaving a keeps (epoch 9)
        "#]],
    );
}

#[test]
fn of_several_holders_that_may_not_keep_it_one_does_where_nobody_is_to_have_it() {
    check(
        "nodes a(drain) b(drain) c(drain)
         app x1 app.1@a(epoch=2) app.1@b app.1@c(epoch=3,old)
         web x1 web.1@a(pending) web.1@b(epoch=2,old)
         zoo x1 zoo.1@a(pending) zoo.1@b(pending)",
        expect![[r#"
            app.1  -  waits: no node fits | last b keeps | rival a | rival c stops (epoch 4)
            web.1  -  waits: no node fits | last b keeps | rival a stops (epoch 3)
            zoo.1  -  waits: no node fits | leaving a | rival b keeps (epoch 2)
        "#]],
    );
}

#[test]
fn losers_are_not_relieved_by_a_winner_that_is_stale() {
    check(
        "nodes a(stale) b
         web x1 web.1@a web.1@b(epoch=2)",
        expect![[r#"
            web.1  a  kept by a, which is stale: too early to take it over | rival b keeps (epoch 1)
        "#]],
    );
}

#[test]
fn the_winner_of_public_function_and_placement_is_the_same() {
    let view = parse(
        "nodes a b c
         web x1 web.1@a web.1@b web.1@c",
    );
    let web = InstanceId::new(key("web"), 1);
    let wanted = view.documents.services[&web.service].latest.hash;
    let holders = view
        .reports
        .iter()
        .map(|(node, report)| (node, &report.holds[&web]));
    let placed = place(&view);
    assert_eq!(
        winner(&web, wanted, OnReturn::KeepOriginal, holders),
        placed.get(&web).unwrap().holder
    );
    assert_eq!(placed.get(&web).unwrap().rivals.len(), 2);
}

#[test]
fn ha_spreads_over_zones_then_nodes_then_prefers_the_emptiest() {
    check(
        "nodes a(az=1) b(az=1) c(az=2)
         app x1 app.1@a
         web x4",
        expect![[r#"
            app.1  a  kept by a (epoch 1)
            web.1  b  new on b: it never had a holder (epoch 1)
            web.2  c  new on c: it never had a holder (epoch 1)
            web.3  a  new on a: it never had a holder (epoch 1)
            web.4  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn a_service_can_be_spread_over_any_labels_the_widest_first() {
    check(
        "nodes a(room=1,rack=1) b(room=1,rack=2) c(room=2,rack=1) d(room=2,rack=1)
         rack x3 spread=rack
         room x4 spread=room,rack",
        expect![[r#"
            rack.1  d  new on d: it never had a holder (epoch 1)
            rack.2  b  new on b: it never had a holder (epoch 1)
            rack.3  c  new on c: it never had a holder (epoch 1)
            room.1  a  new on a: it never had a holder (epoch 1)
            room.2  d  new on d: it never had a holder (epoch 1)
            room.3  b  new on b: it never had a holder (epoch 1)
            room.4  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
    // Racks of two rooms may have the same names, and nodes without the label are one part of the grid.
    check(
        "nodes a(rack=1) b c
         web x2 spread=rack",
        expect![[r#"
            web.1  b  new on b: it never had a holder (epoch 1)
            web.2  a  new on a: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn a_node_has_no_more_instances_than_it_may() {
    check(
        "nodes a b
         app x3 most=1
         kept x3 most=2 kept.1@a kept.2@a kept.3@a
         web x4 most=1 random web.1@b(pending) web.1@a web.2@a",
        expect![[r#"
            app.1  b  new on b: it never had a holder (epoch 1)
            app.2  a  new on a: it never had a holder (epoch 1)
            app.3  -  waits: no node fits (epoch 1)
            kept.1  a  kept by a (epoch 1)
            kept.2  a  kept by a (epoch 1)
            kept.3  b  moves to b from a (has 2 of the service, and no node may have more) | leaving a keeps (epoch 2)
            web.1  a  kept by a | rival b stops (epoch 1)
            web.2  b  moves to b from a (has 1 of the service, and no node may have more) | leaving a keeps (epoch 2)
            web.3  -  waits: no node fits (epoch 1)
            web.4  -  waits: no node fits (epoch 1)
        "#]],
    );
}

#[test]
fn new_instances_spread_around_those_that_stay() {
    check(
        "nodes a b c
         web x3 web.3@b web.2@b",
        expect![[r#"
            web.1  a  new on a: it never had a holder (epoch 1)
            web.2  b  kept by b (epoch 1)
            web.3  b  kept by b (epoch 1)
        "#]],
    );
}

#[test]
fn random_looks_at_scores_alone() {
    check(
        "nodes a(az=1) b(az=1) c(az=2)
         web x5 random",
        expect![[r#"
            web.1  b  new on b: it never had a holder (epoch 1)
            web.2  c  new on c: it never had a holder (epoch 1)
            web.3  a  new on a: it never had a holder (epoch 1)
            web.4  a  new on a: it never had a holder (epoch 1)
            web.5  a  new on a: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn scaling_down_leaves_the_lowest_numbers() {
    let view = parse(
        "nodes a b
         web x1 web.1@a web.2@b",
    );
    let placement = place(&view);
    let second = InstanceId::new(key("web"), 2);
    assert_eq!(placement.role(&second, &node_id("b")), Role::Stop);
    assert_eq!(placement.of_node(node_id("a")).count(), 1);
}

#[test]
fn instances_that_publish_a_port_are_one_per_node() {
    check(
        "nodes a b
         web x3 port=80",
        expect![[r#"
            web.1  b  new on b: it never had a holder (epoch 1)
            web.2  a  new on a: it never had a holder (epoch 1)
            web.3  -  waits: no node fits (epoch 1)
        "#]],
    );
}

#[test]
fn a_node_with_fewer_cores_than_asked_for_runs_no_instance() {
    check(
        "nodes a(cores=1) b(cores=2) c
         db x1 cpus=1.5 db.1@a
         web x3 daemon cpus=2",
        expect![[r#"
            db.1  c  moves to c from a (needs 1.5 cores, and has 1) | leaving a keeps (epoch 2)
            web.2  b  belongs to b: one of its daemons (epoch 1)
            web.3  c  belongs to c: one of its daemons (epoch 1)
            web.100002  b  belongs to b: one of its daemons (epoch 1)
            web.100003  c  belongs to c: one of its daemons (epoch 1)
            web.200002  b  belongs to b: one of its daemons (epoch 1)
            web.200003  c  belongs to c: one of its daemons (epoch 1)
        "#]],
    );
}

#[test]
fn memory_is_set_aside_by_what_is_held_and_by_what_was_given_before() {
    check(
        "nodes a(bytes=100) b(bytes=100) c(bytes=50)
         app x1 memory=60 app.1@a
         db x2 memory=50
         web x3 memory=40",
        expect![[r#"
            app.1  a  kept by a (epoch 1)
            db.1  c  new on c: it never had a holder (epoch 1)
            db.2  b  new on b: it never had a holder (epoch 1)
            web.1  b  new on b: it never had a holder (epoch 1)
            web.2  a  new on a: it never had a holder (epoch 1)
            web.3  -  waits: no node fits (epoch 1)
        "#]],
    );
}

#[test]
fn who_holds_an_instance_keeps_it_however_full_the_node_is() {
    check(
        "nodes a(bytes=100) b(bytes=100)
         app x1 memory=90 app.1@a
         old x1 memory=90 old.1@a
         pin x1 stateful memory=90 pin.1->a
         set x1 daemon memory=90 set.1@a",
        expect![[r#"
            app.1  a  kept by a (epoch 1)
            old.1  a  kept by a (epoch 1)
            pin.1  a  pinned to a (epoch 1)
            set.1  a  belongs to a: one of its daemons (epoch 1)
            set.2  b  belongs to b: one of its daemons (epoch 1)
        "#]],
    );
}

#[test]
fn memory_that_an_absent_node_had_set_aside_is_taken_elsewhere() {
    check(
        "nodes a(absent,bytes=100) b(bytes=100) c(bytes=100)
         app x2 memory=80 app.1@a app.2@b
         bin x1 memory=30",
        expect![[r#"
            app.1  c  taken over by c from a, absent since 2026-01-31T12:00:00Z: this side sees 2 of 3 eligible nodes (epoch 2)
            app.2  b  kept by b (epoch 1)
            bin.1  -  waits: no node fits (epoch 1)
        "#]],
    );
}

#[test]
fn a_port_that_another_service_holds_is_taken() {
    check(
        "nodes a b
         app x1 port=80
         web x1 port=80 web.1@a",
        expect![[r#"
            app.1  b  new on b: it never had a holder (epoch 1)
            web.1  a  kept by a (epoch 1)
        "#]],
    );
}

#[test]
fn of_two_holders_of_a_port_the_running_one_stays() {
    check(
        "nodes a b
         app x1 port=80 app.1@a(pending)
         web x1 port=80 web.1@a",
        expect![[r#"
            app.1  b  moves to b from a (port 80 is taken by web.1) | leaving a keeps (epoch 2)
            web.1  a  kept by a (epoch 1)
        "#]],
    );
}

#[test]
fn a_bound_instance_has_its_port_before_it_runs() {
    check(
        "nodes a b
         app x2 port=80
         db x1 stateful port=80 db.1->a",
        expect![[r#"
            app.1  b  new on b: it never had a holder (epoch 1)
            app.2  -  waits: no node fits (epoch 1)
            db.1  a  pinned to a (epoch 1)
        "#]],
    );
}

#[test]
fn a_daemon_has_its_instances_on_every_node_that_suits() {
    check(
        "nodes a b(drain) c(absent) d(us)
         agent x2 daemon label!=us",
        expect![[r#"
            agent.1  a  belongs to a: one of its daemons (epoch 1)
            agent.3  c  belongs to c: one of its daemons (epoch 1)
            agent.100001  a  belongs to a: one of its daemons (epoch 1)
            agent.100003  c  belongs to c: one of its daemons (epoch 1)
        "#]],
    );
}

#[test]
fn two_nodes_of_one_number_have_daemons_of_their_own() {
    check(
        "nodes a(number=1) b(number=1) c(number=2)
         agent x1 daemon agent.1@a agent.1@b",
        expect![[r#"
            agent.1  a  belongs to a: one of its daemons (epoch 1)
            agent.2  c  belongs to c: one of its daemons (epoch 1)
            agent.3  b  belongs to b: one of its daemons (epoch 1)
        "#]],
    );
}

#[test]
fn a_stateful_instance_stays_on_its_node_whatever_happens() {
    check(
        "nodes a(absent) b c(engine) d(us)
         db x3 stateful label!=us db.1->a db.2->c db.3->d",
        expect![[r#"
            db.1  a  pinned to a (epoch 1)
            db.2  c  pinned to c (epoch 1)
            db.3  d  pinned to d (epoch 1)
        "#]],
    );
}

#[test]
fn a_stateful_instance_stands_by_while_its_node_drains() {
    let view = parse(
        "nodes a(drain) b
         db x1 stateful db.1->a db.1@a",
    );
    check_view(
        &view,
        expect![[r#"
        db.1  -  waits: stands by on a, which drains (epoch 1)
    "#]],
    );
    let first = InstanceId::new(key("db"), 1);
    assert_eq!(place(&view).role(&first, &node_id("a")), Role::Stop);
}

#[test]
fn a_stateful_instance_that_is_not_bound_waits_or_stays() {
    check(
        "nodes a b(absent)
         db x3 stateful db.1@a db.2@b",
        expect![[r#"
            db.1  -  waits: not bound to a node yet | last a keeps (epoch 1)
            db.2  b  waits: its data is on b, which is absent since 2026-01-31T12:00:00Z (epoch 1)
            db.3  -  waits: not bound to a node yet (epoch 1)
        "#]],
    );
}

#[test]
fn data_on_a_removed_node_is_reported_as_lost() {
    check(
        "nodes a
         db x1 stateful db.1->gone",
        expect![[r#"
            db.1  -  waits: its data is on 676f6e65, which was removed: without that data it runs once it is removed and created anew (epoch 1)
        "#]],
    );
}

#[test]
fn what_is_held_of_an_earlier_service_of_the_name_is_no_data_of_this_one() {
    let mut view = parse(
        "nodes a b
         db x1 stateful db.1@a
         web x1 web.1@a",
    );
    for record in Arc::make_mut(&mut view.documents).services.values_mut() {
        record.born = 2;
    }
    check_view(
        &view,
        expect![[r#"
            db.1  -  waits: not bound to a node yet (epoch 1)
            web.1  a  kept by a (epoch 1)
        "#]],
    );
}

#[test]
fn a_stateful_instance_never_runs_twice() {
    check(
        "nodes a b c(absent)
         db x3 stateful db.1->a db.1@b  db.2->a db.2@a db.2@b  db.3->a db.3@c",
        expect![[r#"
            db.1  -  waits: pinned to a, but b still runs it and stops first (epoch 1)
            db.2  a  pinned to a | rival b stops (epoch 1)
            db.3  a  pinned to a (epoch 1)
        "#]],
    );
}

#[test]
fn pins_are_chosen_among_fresh_nodes_and_spread() {
    let view = parse(
        "nodes a b(absent) c d
         app x1 app.1@d
         db x1 stateful db.1->a",
    );
    let db = key("db");
    let service = view.documents.services[&db].latest.service.clone().unwrap();
    let pins = choose_pins(&view, &db, &service, None, 1..=3);
    assert_eq!(
        pins.into_iter().collect::<Vec<_>>(),
        [(2, node_id("c")), (3, node_id("d"))]
    );
}

#[test]
fn pins_follow_what_runs_already_and_stay_away_where_none_fits() {
    let view = parse(
        "nodes a b
         db x1 stateful port=80 db.1@b",
    );
    let db = key("db");
    let service = view.documents.services[&db].latest.service.clone().unwrap();
    let pins = choose_pins(&view, &db, &service, None, [3, 1, 2, 2]);
    assert_eq!(
        pins.into_iter().collect::<Vec<_>>(),
        [(1, node_id("b")), (3, node_id("a"))]
    );
}

#[test]
fn what_cannot_be_read_is_frozen() {
    for text in [
        "nodes a b
         web x1 unreadable web.1@a web.2@b",
        "nodes a b
         web x1 future web.1@a web.2@b",
        "nodes a b
         web x1 web.1@a web.2@b
         version 2",
    ] {
        let placement = place(&parse(text));
        assert!(matches!(
            placement.services[&key("web")],
            ServicePlacement::Frozen(_)
        ));
        for (number, node) in [(1, "a"), (2, "b")] {
            let instance = InstanceId::new(key("web"), number);
            assert_eq!(placement.role(&instance, &node_id(node)), Role::Keep);
        }
    }
}

#[test]
fn what_is_stopped_or_was_never_deployed_does_not_run() {
    let placement = place(&parse(
        "nodes a
         app x1 undeployed app.1@a
         web x1 stopped web.1@a",
    ));
    for service in ["app", "web", "unknown"] {
        let instance = InstanceId::new(key(service), 1);
        assert_eq!(placement.role(&instance, &node_id("a")), Role::Stop);
    }
}

#[test]
fn hard_affinities_are_anded_and_soft_ones_only_prefer() {
    check(
        "nodes a(az=1,ssd) b(az=2,ssd) c(az=2)
         api x1 label==ssd label!=az=1
         app x1 label==az=2 label==~ssd
         cat x1 label==az=1 label!=~ssd node==~nowhere
         dog x1 label==az
         eel x1 node==~a label==az=2",
        expect![[r#"
            api.1  b  new on b: it never had a holder (epoch 1)
            app.1  b  new on b: it never had a holder (epoch 1)
            cat.1  a  new on a: it never had a holder (epoch 1)
            dog.1  -  waits: no node fits (epoch 1)
            eel.1  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn the_first_soft_affinity_weighs_most() {
    check(
        "nodes a(one) b(two,three)
         web x1 label==~one label==~two label==~three",
        expect![[r#"
            web.1  a  new on a: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn an_affinity_can_name_the_instance_number() {
    check(
        "nodes n-1 n-2 n-3
         app x2 node==n-%s
         web x2 node==/^n-[%s]$/",
        expect![[r#"
            app.1  n-1  new on n-1: it never had a holder (epoch 1)
            app.2  n-2  new on n-2: it never had a holder (epoch 1)
            web.1  n-1  new on n-1: it never had a holder (epoch 1)
            web.2  n-2  new on n-2: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn a_pattern_is_not_anchored_and_one_that_breaks_is_never_satisfied() {
    check(
        "nodes db-1 web-1
         api x1 node==/b-/
         app x1 node!=/^(db|mail)-/
         cat x1 node!=/\\%s/",
        expect![[r#"
            api.1  db-1  new on db-1: it never had a holder (epoch 1)
            app.1  web-1  new on web-1: it never had a holder (epoch 1)
            cat.1  -  waits: no node fits (epoch 1)
        "#]],
    );
}

#[test]
fn a_service_affinity_means_the_own_stack_unless_it_names_another() {
    check(
        "nodes a b c
         mail/db x1 mail/db.1@b
         shop/api x1 service==db
         shop/app x1 service==mail/db
         shop/db x1 shop/db.1@a
         shop/web x1 service!=/b$/ service!=/^mail.db$/ service!=/mail\\/db/",
        expect![[r#"
            mail/db.1  b  kept by b (epoch 1)
            shop/api.1  a  new on a: it never had a holder (epoch 1)
            shop/app.1  b  new on b: it never had a holder (epoch 1)
            shop/db.1  a  kept by a (epoch 1)
            shop/web.1  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn an_affinity_to_itself_looks_at_the_other_instances() {
    check(
        "nodes a b
         web x3 service!=web",
        expect![[r#"
            web.1  b  new on b: it never had a holder (epoch 1)
            web.2  a  new on a: it never had a holder (epoch 1)
            web.3  -  waits: no node fits (epoch 1)
        "#]],
    );
}

#[test]
fn a_container_affinity_compares_container_names() {
    check(
        "nodes a b
         shop/db x1 shop/db.1@b
         shop/web x1 container==shop.db-1
         solo x1 container!=shop.db-1",
        expect![[r#"
            solo.1  a  new on a: it never had a holder (epoch 1)
            shop/db.1  b  kept by b (epoch 1)
            shop/web.1  b  new on b: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn two_services_that_shun_each_other_do_not_both_move() {
    check(
        "nodes a b c
         app x1 service!=web app.1@a
         web x1 service!=app web.1@a",
        expect![[r#"
            app.1  c  moves to c from a (needs service!=web) | leaving a keeps (epoch 2)
            web.1  a  kept by a (epoch 1)
        "#]],
    );
}

#[test]
fn a_holder_says_what_is_wrong_with_its_instance() {
    let mut view = parse(
        "nodes a b
         web x1 web.1@a(pending)",
    );
    let report = Arc::make_mut(view.reports.get_mut(&node_id("a")).unwrap());
    let hold = report.holds.values_mut().next().unwrap();
    hold.problem = Some("no such image".to_owned());
    let web = explain(&view, &key("web"), None);
    expect![[r#"
        web.1 kept by a
          a    chosen    misses 0, in zone 0, of service 0, on node 1, score d2d5e84ffc46f7e2
             says: no such image
          b    eligible  misses 0, in zone 0, of service 0, on node 0, score fc4dc75046f3391d
    "#]]
    .assert_eq(&web.to_string());
    let rows = &web.instances[0].nodes;
    assert_eq!(rows[0].problem.as_deref(), Some("no such image"));
    assert_eq!(rows[1].problem, None);
}

#[test]
fn why_says_what_was_weighed() {
    let view = parse(
        "nodes a(us) b(us,drain) c(absent)
         web x2 label==eu
         app x1",
    );
    let web = explain(&view, &key("web"), Some(2)).to_string();
    expect![[r#"
        web.2 waits: no node fits
          a  us         needs label==eu
          b  us, drain  drains: takes no new work
          c  absent     needs label==eu
    "#]]
    .assert_eq(&web);
    let app = explain(&view, &key("app"), None);
    expect![[r#"
        app.1 new on a: it never had a holder
          a  us         chosen    misses 0, in zone 0, of service 0, on node 0, score 0f733c0d5e0ecb49
          b  us, drain  drains: takes no new work
          c  absent     is absent: gets no new work
    "#]].assert_eq(&app.to_string());
    expect![[r#"
        [
          {
            "node": "a",
            "facts": [
              "us"
            ],
            "verdict": "chosen",
            "misses": 0,
            "in_zone": 0,
            "of_service": 0,
            "on_node": 0,
            "score": "0f733c0d5e0ecb49"
          },
          {
            "node": "b",
            "facts": [
              "us",
              "drain"
            ],
            "verdict": "rejected",
            "reason": "drains: takes no new work"
          },
          {
            "node": "c",
            "facts": [
              "absent"
            ],
            "verdict": "rejected",
            "reason": "is absent: gets no new work"
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&app.instances[0].nodes).unwrap());
}

#[test]
fn why_shows_what_a_service_is_spread_over_and_whose_node_is_full() {
    let view = parse(
        "nodes a(rack=1) b(rack=2) c
         web x2 spread=rack,az most=1 web.1@a",
    );
    let web = explain(&view, &key("web"), Some(2));
    expect![[r#"
        web.2 new on c: it never had a holder
          a  rack=1  has 1 of the service, and no node may have more
          b  rack=2  eligible  misses 0, in rack=2 0, in az=default 0, of service 0, on node 0, score 34f3ee855d65aa14
          c          chosen    misses 0, in rack=default 0, in az=default 0, of service 0, on node 0, score a52aabca1e1cb632
    "#]].assert_eq(&web.to_string());
    expect![[r#"{"node":"b","facts":["rack=2"],"verdict":"eligible","misses":0,"in_zone":0,"domains":[{"label":"rack=2","instances":0},{"label":"az=default","instances":0}],"of_service":0,"on_node":0,"score":"34f3ee855d65aa14"}"#]].assert_eq(&serde_json::to_string(&web.instances[0].nodes[1]).unwrap());
}

#[test]
fn a_service_that_asks_for_it_is_rebalanced_one_instance_at_a_time() {
    // The highest number, from where the most are; and it goes on while the new one is not right.
    check(
        "nodes a b c
         web x4 rebalance web.1@a web.2@a web.3@a web.4@b",
        expect![[r#"
            web.1  a  kept by a (epoch 1)
            web.2  a  kept by a (epoch 1)
            web.3  c  moves to c from a: more of the service are there | leaving a keeps (epoch 2)
            web.4  b  kept by b (epoch 1)
        "#]],
    );
    check(
        "nodes a b c
         web x4 rebalance web.1@a web.2@a web.3@a web.3@c(epoch=2,pending) web.4@b",
        expect![[r#"
            web.1  a  kept by a (epoch 1)
            web.2  a  kept by a (epoch 1)
            web.3  c  moves to c from a: more of the service are there | leaving a keeps (epoch 2)
            web.4  b  kept by b (epoch 1)
        "#]],
    );
    check(
        "nodes a b c
         web x4 rebalance web.1@a web.2@a web.3@a web.3@c(epoch=2) web.4@b",
        expect![[r#"
            web.1  a  kept by a (epoch 1)
            web.2  a  kept by a (epoch 1)
            web.3  c  moves to c from a: more of the service are there | leaving a stops (epoch 2)
            web.4  b  kept by b (epoch 1)
        "#]],
    );
    // Zones come first, and a difference of one is none.
    check(
        "nodes a(az=1) b(az=1) c(az=2)
         app x2 rebalance app.1@a app.2@b
         web x3 rebalance web.1@a web.2@b web.3@c",
        expect![[r#"
            app.1  a  kept by a (epoch 1)
            app.2  c  moves to c from b: more of the service are there | leaving b keeps (epoch 2)
            web.1  a  kept by a (epoch 1)
            web.2  b  kept by b (epoch 1)
            web.3  c  kept by c (epoch 1)
        "#]],
    );
}

#[test]
fn nothing_is_rebalanced_unless_everything_is_well() {
    for (nodes, service) in [
        ("a b(late)", "rebalance web.1@a web.2@a"),
        ("a b c(absent)", "rebalance web.1@a web.2@a"),
        ("a b", "rebalance web.1@a web.2@a(unhealthy)"),
        ("a b", "rebalance web.1@a web.2@a(old)"),
        ("a b", "rebalance web.1@a(updating) web.2@a"),
        ("a b", "web.1@a web.2@a"),
        ("a b", "rebalance service!=~db web.1@a web.2@a"),
        ("a b(drain)", "rebalance web.1@a web.2@a"),
    ] {
        let view = parse(&format!("nodes {nodes}\n web x2 {service}"));
        let placement = place(&view);
        for number in [1, 2] {
            let web = InstanceId::new(key("web"), number);
            let holder = placement.get(&web).unwrap().holder;
            assert_eq!(holder, Some(node_id("a")), "{nodes} {service}");
        }
    }
}

#[test]
fn why_answers_for_what_is_not_placed() {
    let view = parse(
        "nodes a b
         app x1 undeployed
         cat x1 stopped
         db x1 stateful db.1->a
         dog x1 future
         web x1 web.1@a",
    );
    let mut text = String::new();
    for (service, number) in [
        ("app", 1),
        ("cat", 1),
        ("db", 1),
        ("dog", 1),
        ("owl", 1),
        ("web", 2),
    ] {
        write!(text, "{}", explain(&view, &key(service), Some(number))).unwrap();
    }
    expect![[r#"
        app: was never deployed
        cat: is stopped
        db.1 pinned to a
          a    chosen    misses 0, in zone 0, of service 0, on node 1, score 24b75524cd9117cf
          b    its data is on a
        dog: keeps what it runs: its definition has fields of a newer version of Kontena
        owl: no such service
        web: instance 2 is not wanted
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_huge_number_of_instances_is_bounded() {
    let placement = place(&parse(
        "nodes a(drain)
         agent x4294967295 daemon
         web x4294967295",
    ));
    let web = placement.of_service(&key("web")).unwrap();
    assert_eq!(web.len(), super::MAX_INSTANCES as usize);
}

#[track_caller]
fn check(view: &str, expected: Expect) {
    check_view(&parse(view), expected);
}

#[track_caller]
fn check_view(view: &View, expected: Expect) {
    expected.assert_eq(&show(view, &place(view)));
}

/// One line per instance: its holder, the reason, and who is to give it up.
fn show(view: &View, placement: &Placement) -> String {
    let name = |id| view.documents.roster[id].name.to_string();
    let mut text = String::new();
    for (key, number, assignment) in placement.assignments() {
        let holder = assignment.holder.as_ref().map_or("-".to_owned(), name);
        let reason = reason(view, assignment);
        write!(text, "{key}.{number}  {holder}  {reason}").unwrap();
        match &assignment.leaving {
            Some(last) if assignment.holder.is_none() && assignment.relieved => {
                write!(text, " | last {} keeps", name(last)).unwrap();
            }
            Some(leaving) => write!(text, " | leaving {}", name(leaving)).unwrap(),
            None => {}
        }
        for rival in &assignment.rivals {
            write!(text, " | rival {}", name(rival)).unwrap();
        }
        let is_last_of_all = assignment.holder.is_none() && assignment.rivals.is_empty();
        let others = assignment.leaving.is_some() && !(is_last_of_all && assignment.relieved);
        if others || !assignment.rivals.is_empty() {
            let stop = if assignment.relieved {
                "stops"
            } else {
                "keeps"
            };
            write!(text, " {stop}").unwrap();
        }
        writeln!(text, " (epoch {})", assignment.epoch).unwrap();
    }
    text
}
