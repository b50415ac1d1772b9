//! What would happen, and what a node that drains still has.

use expect_test::{Expect, expect};

use super::language::{node_id, parse};
use crate::placement::{Outcome, Supposition, departures, place, plan};
use crate::view::View;

/// Three nodes with something of each kind.
fn example() -> View {
    parse(
        "nodes a(az=1) b(az=2) c(az=2)
         agent x1 daemon agent.1@a agent.2@b agent.3@c
         api x1 label==az=1 api.1@a
         db x1 stateful db.1@c db.1->c
         new x1 label==ssd
         web x2 web.1@a web.2@c",
    )
}

#[track_caller]
fn check(suppositions: &[Supposition], expected: Expect) {
    let plan = plan(&example(), suppositions, 0);
    let lines = plan.changes.iter().map(|change| {
        let from = change.from.as_ref().map_or("-", |name| name.as_str());
        let outcome = match &change.outcome {
            Outcome::Moves { to } => format!("moves to {to}"),
            Outcome::Starts { to } => format!("starts on {to}"),
            Outcome::Stays { on } => format!("stays on {on}"),
            Outcome::Waits => "waits".to_owned(),
            Outcome::Stops => "stops".to_owned(),
        };
        format!("{} {from} {outcome}: {}\n", change.instance, change.reason)
    });
    let text: String = lines.collect();
    expected.assert_eq(&format!("{text}{} unchanged\n", plan.unchanged));
}

#[test]
fn a_node_that_drains_gives_up_what_can_move() {
    check(
        &[Supposition::Drains(node_id("c"))],
        expect![[r#"
        agent-3 c stops: it goes with its node
        db-1 c waits: waits: stands by on c, which drains
        web-2 c moves to b: moves to b from c (drains: takes no new work)
        5 unchanged
    "#]],
    );
    check(
        &[Supposition::Drains(node_id("a"))],
        expect![[r#"
        agent-1 a stops: it goes with its node
        api-1 a stays on a: waits: no node fits
        web-1 a moves to b: moves to b from a (drains: takes no new work)
        5 unchanged
    "#]],
    );
}

#[test]
fn a_node_that_dies_leaves_its_data_and_its_daemons_down() {
    check(
        &[Supposition::Dies(node_id("c"))],
        expect![[r#"
        agent-3 c waits: belongs to c: one of its daemons, which is away
        db-1 c waits: pinned to c, which is away
        web-2 c moves to b: taken over by b from c, absent since 2026-01-31T12:00:00Z: this side sees 2 of 3 eligible nodes
        5 unchanged
    "#]],
    );
    let two = ["b", "c"].map(|name| Supposition::Dies(node_id(name)));
    check(
        &two,
        expect![[r#"
        agent-2 b waits: belongs to b: one of its daemons, which is away
        agent-3 c waits: belongs to c: one of its daemons, which is away
        db-1 c waits: pinned to c, which is away
        web-2 c waits: waits: c is absent since 2026-01-31T12:00:00Z, and this side sees only 1 of 3 eligible nodes
        4 unchanged
    "#]],
    );
}

#[test]
fn a_node_that_is_removed_takes_its_data_along() {
    check(
        &[Supposition::Removed(node_id("c"))],
        expect![[r#"
        agent-3 c stops: it goes with its node
        db-1 c waits: waits: its data is on c, which was removed: without that data it runs once it is removed and created anew
        web-2 c moves to b: c is no member any more
        5 unchanged
    "#]],
    );
}

#[test]
fn a_label_may_let_something_start_and_drive_something_else_away() {
    let label = |node, label: &str| Supposition::Labelled {
        node: node_id(node),
        label: label.to_owned(),
    };
    check(
        &[label("b", "ssd")],
        expect![[r#"
        new-1 - starts on b: new on b: it never had a holder
        7 unchanged
    "#]],
    );
    check(
        &[label("a", "az=2"), label("c", "az=1")],
        expect![[r#"
        api-1 a moves to c: moves to c from a (needs label==az=1)
        7 unchanged
    "#]],
    );
}

#[test]
fn a_node_that_joins_gets_its_daemon_and_what_waits_for_it() {
    let joins = Supposition::Joins {
        name: "d".parse().unwrap(),
        labels: vec!["ssd".to_owned()],
    };
    check(
        &[joins],
        expect![[r#"
        agent-4 - starts on d: belongs to d: one of its daemons
        new-1 - starts on d: new on d: it never had a holder
        7 unchanged
    "#]],
    );
}

#[test]
fn what_changes_nothing_is_an_empty_plan() {
    check(
        &[],
        expect![[r#"
        8 unchanged
    "#]],
    );
    check(
        &[Supposition::Activated(node_id("b"))],
        expect![[r#"
        8 unchanged
    "#]],
    );
}

#[test]
fn a_plan_is_told_in_json() {
    let plan = plan(&example(), &[Supposition::Drains(node_id("c"))], 0);
    expect![[r#"[{"instance":"db-1","from":"c","outcome":"waits","reason":"waits: stands by on c, which drains"},{"instance":"web-2","from":"c","outcome":"moves","to":"b","reason":"moves to b from c (drains: takes no new work)"}]"#]].assert_eq(&serde_json::to_string(&plan.changes[1..]).unwrap());
}

#[test]
fn why_an_instance_would_be_elsewhere_is_told_with_scores_and_rejections() {
    let drains = [Supposition::Drains(node_id("c"))];
    let told = |most: usize| {
        let explanations = plan(&example(), &drains, most).explanations;
        let texts = explanations.iter().map(ToString::to_string);
        texts.collect::<String>()
    };
    expect![[r#"
        db.1 waits: stands by on c, which drains
          a  az=1         its data is on c
          b  az=2         its data is on c
          c  az=2, drain  drains: takes no new work
        web.2 moves to b from c (drains: takes no new work)
          a  az=1         eligible  misses 0, in zone 1, of service 1, on node 3, score 01ec444f3b7c579e
          b  az=2         chosen    misses 0, in zone 0, of service 0, on node 1, score 34f3ee855d65aa14; standby without image
          c  az=2, drain  drains: takes no new work
    "#]].assert_eq(&told(5));
    assert_eq!(told(0), "");
    assert_eq!(told(1).lines().count(), 4, "one service: {}", told(1));
}

#[test]
fn what_a_drained_node_still_has_moves_stops_stands_by_or_stays() {
    let view = parse(
        "nodes a(drain,ssd) b
         agent x1 daemon agent.1@a agent.2@b
         api x1 label==ssd api.1@a
         db x2 stateful db.1@a(stopped) db.1->a db.2@a db.2->a
         late x1 future late.1@a
         web x2 web.1@a web.2@a web.2@b(epoch=2)",
    );
    let all = departures(&view, &place(&view), node_id("a"));
    let lines: Vec<String> = all
        .iter()
        .map(|one| format!("{} {:?}", one.instance, one.fate))
        .collect();
    expect![[r#"
        agent-1 Stops
        api-1 Stays
        db-1 StandsBy
        db-2 Stops
        late-1 Stays
        web-1 Moves { to: b }
        web-2 Stops"#]]
    .assert_eq(
        &lines
            .join("\n")
            .replace(&format!("{:?}", node_id("b")), "b"),
    );
    let away = parse("nodes a(absent,drain) b\n web x1 web.1@a");
    assert_eq!(departures(&away, &place(&away), node_id("a")), []);
}
