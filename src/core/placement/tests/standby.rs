//! Standby images, by example: who comes next, and who comes first because of it.

use expect_test::expect;

use super::check;
use super::language::{key, parse};
use crate::placement::{explain, standbys};
use crate::view::View;

/// The names of the nodes that stand by for a service, best first.
fn who(view: &View, service: &str) -> String {
    let nodes = standbys(view, &key(service));
    let names = nodes
        .iter()
        .map(|node| view.documents.roster[node].name.to_string());
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn of_nodes_that_are_equal_otherwise_the_one_that_has_the_image_comes_first() {
    check(
        "nodes a b c d
         web x1",
        expect![[r#"
            web.1  b  new on b: it never had a holder (epoch 1)
        "#]],
    );
    check(
        "nodes a b c(image=web) d(image=app)
         web x1",
        expect![[r#"
            web.1  c  new on c: it never had a holder (epoch 1)
        "#]],
    );
    // A node with less to do comes before it, and `random` asks nobody what they have.
    check(
        "nodes a(image=web) b
         app x1 app.1@a
         web x1",
        expect![[r#"
            app.1  a  kept by a (epoch 1)
            web.1  b  new on b: it never had a holder (epoch 1)
        "#]],
    );
    check(
        "nodes a b c(image=web) d(image=app)
         web x1 random",
        expect![[r#"
            web.1  b  new on b: it never had a holder (epoch 1)
        "#]],
    );
}

#[test]
fn the_next_two_nodes_that_hold_none_stand_by() {
    let view = parse(
        "nodes a b c d
         web x1 web.1@b
         one x1 standbys=1 one.1@a
         none x1 standbys=0 none.1@a",
    );
    assert_eq!(who(&view, "web"), "d c");
    assert_eq!(who(&view, "one"), "d");
    assert_eq!(who(&view, "none"), "");
}

#[test]
fn whoever_has_the_image_goes_on_to_stand_by_and_the_first_of_them_takes_over() {
    let web = "web x1 web.1@b";
    assert_eq!(who(&parse(&format!("nodes a b c d\n{web}")), "web"), "d a");
    let view = parse(&format!("nodes a b c(image=web) d\n{web}"));
    assert_eq!(who(&view, "web"), "c d");
    check(
        &format!("nodes a b(absent) c(image=web) d\n{web}"),
        expect![[r#"
            web.1  c  taken over by c from b, absent since 2026-01-31T12:00:00Z: this side sees 3 of 4 eligible nodes (epoch 2)
        "#]],
    );
}

#[test]
fn nobody_stands_by_who_may_not_run_it_or_says_that_it_will_not() {
    let view = parse(
        "nodes a(drain) b(late) c(engine) d(no-standby) e(az=2) f(no-standby=metered) g(az=2) h
         web x1 label==az=2 web.1@e
         app x1 app.1@e",
    );
    assert_eq!(who(&view, "web"), "g");
    assert_eq!(who(&view, "app"), "h g");
}

#[test]
fn nobody_stands_by_for_what_could_not_come_or_is_not_settled() {
    let view = parse(
        "nodes a b c d
         all x1 daemon
         data x1 stateful data.1@a data.1->a
         any x1 random any.1@a
         rest x1 stopped
         new x1 undeployed
         odd x1 unreadable
         no x0
         half x2 half.1@a
         late x2 late.1@a late.2@b(pending)
         old x1 old.1@a(old)",
    );
    for service in [
        "all", "data", "any", "rest", "new", "odd", "no", "half", "late", "old",
    ] {
        assert_eq!(who(&view, service), "", "{service}");
    }
    // What an absent node had is not waited for.
    let view = parse(
        "nodes a b c(absent) d(absent) e(absent)
         web x2 web.1@a web.2@c",
    );
    assert_eq!(who(&view, "web"), "b");
}

#[test]
fn why_says_who_stands_by_and_who_lacks_the_image() {
    let view = parse(
        "nodes a b(image=web) c(lacks=web) d
         web x1 web.1@a
         app x1 app.1@b app.2@d",
    );
    let web = explain(&view, &key("web"), None);
    expect![[r#"
        web.1 kept by a
          a    chosen    misses 0, in zone 0, of service 0, on node 1, score d2d5e84ffc46f7e2
          b    eligible  misses 0, in zone 0, of service 0, on node 1, has the image, score fc4dc75046f3391d; standby
          c    eligible  misses 0, in zone 0, of service 0, on node 0, score 75940f4cd2f3503a; standby without image: no registry has it
          d    eligible  misses 0, in zone 0, of service 0, on node 1, score 275f576fec443f56
    "#]]
    .assert_eq(&web.to_string());
    expect![[r#"
        [
          {
            "node": "b",
            "facts": [],
            "verdict": "eligible",
            "misses": 0,
            "in_zone": 0,
            "of_service": 0,
            "on_node": 1,
            "has_image": true,
            "score": "fc4dc75046f3391d",
            "standby": {
              "has_image": true
            }
          },
          {
            "node": "c",
            "facts": [],
            "verdict": "eligible",
            "misses": 0,
            "in_zone": 0,
            "of_service": 0,
            "on_node": 0,
            "score": "75940f4cd2f3503a",
            "standby": {
              "has_image": false,
              "problem": "no registry has it"
            }
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&web.instances[0].nodes[1..3]).unwrap());
}
