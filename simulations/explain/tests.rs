//! Stories as people read them, and what is said when a file or a name is wrong.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};

use super::files::Files;
use super::play::play;
use super::stage::Stage;
use crate::failure::Failure;

const SHOP: &str = "
stack: shop
services:
  web:
    image: acme/web:1
    instances: 3
  db:
    image: acme/db:1
    stateful: true
  agent:
    image: acme/agent:1
    deploy: { strategy: daemon }
";

#[test]
fn what_a_node_has_counts() {
    check(
        "stack: a/shop\nservices:\n  db: { image: db, mem_limit: 12g, instances: 2 }\n  web: { image: web, cpus: 3.0 }\n",
        "nodes: { n1: , n2: { memory: 16g }, n3: { cpus: 4 } }",
        "n2",
        expect![[r#"
            stack shop on 3 nodes; a node is absent after 7 s of silence
              n1
              n2    dies
              n3

            placed
              shop/db.1   n2    new on n2: it never had a holder
              shop/db.2   down  waits: no node fits
                n1  has 8192 MiB of memory, none of it taken, 12288 MiB are needed
                n2  has 16384 MiB of memory, 12288 MiB of it taken, 12288 MiB are needed
                n3  has 8192 MiB of memory, none of it taken, 12288 MiB are needed
              shop/web.1  n3    new on n3: it never had a holder

            without n2
              shop/db.1  n2 -> down  waits: no node fits
                n1  has 8192 MiB of memory, none of it taken, 12288 MiB are needed
                n2  is absent: gets no new work
                n3  has 8192 MiB of memory, none of it taken, 12288 MiB are needed
              settled after 0.0 s
              1 instance untouched
              moved needlessly: nothing

            with n2 back
              shop/db.1  n2  runs again after 8.3 s
              moved by the return: nothing
        "#]],
    );
}

#[test]
fn two_of_five_nodes_die_and_return() {
    check(
        SHOP,
        "nodes: { n1: , n2: , n3: { zone: b }, n4: { zone: b }, n5: }",
        "n3,n4",
        expect![[r#"
            stack shop on 5 nodes; a node is absent after 7 s of silence
              n1
              n2
              n3  az=b  dies
              n4  az=b  dies
              n5

            placed
              shop/agent.1  n1  belongs to n1: one of its daemons
              shop/agent.2  n2  belongs to n2: one of its daemons
              shop/agent.3  n3  belongs to n3: one of its daemons
              shop/agent.4  n4  belongs to n4: one of its daemons
              shop/agent.5  n5  belongs to n5: one of its daemons
              shop/db.1     n3  pinned to n3
              shop/web.1    n4  new on n4: it never had a holder
              shop/web.2    n5  new on n5: it never had a holder
              shop/web.3    n1  new on n1: it never had a holder

            without n3, n4
              shop/agent.3  n3 -> down  belongs to n3: one of its daemons
              shop/agent.4  n4 -> down  belongs to n4: one of its daemons
              shop/db.1     n3 -> down  pinned to n3
              shop/web.1    n4 -> n2    after 14.1 s: taken over by n2 from n4, absent since 2026-01-01T00:03:08Z: this side sees 3 of 5 eligible nodes
              settled after 14.1 s
              5 instances untouched
              moved needlessly: nothing

            with n3, n4 back
              shop/agent.3  n3  runs again after 8.2 s
              shop/agent.4  n4  runs again after 8.2 s
              shop/db.1     n3  runs again after 8.3 s
              moved by the return: nothing
        "#]],
    );
}

#[test]
fn a_takeover_is_told_in_the_words_of_the_node_that_decided_it() {
    let stack = "stack: shop\nservices: { web: { image: a, instances: 4 } }";
    check(
        stack,
        "nodes: { n1: , n2: , n3: , n4: }",
        "n4",
        expect![[r#"
            stack shop on 4 nodes; a node is absent after 7 s of silence
              n1
              n2
              n3
              n4    dies

            placed
              shop/web.1  n4  new on n4: it never had a holder
              shop/web.2  n3  new on n3: it never had a holder
              shop/web.3  n1  new on n1: it never had a holder
              shop/web.4  n2  new on n2: it never had a holder

            without n4
              shop/web.1  n4 -> n3  after 6.9 s: taken over by n3 from n4, absent since 2026-01-01T00:03:08Z: this side sees 3 of 4 eligible nodes
              settled after 6.9 s
              3 instances untouched
              moved needlessly: nothing

            with n4 back
              moved by the return: nothing
        "#]],
    );
}

#[test]
fn what_no_node_fits_is_explained() {
    let stack = "
stack: shop
services:
  web:
    image: acme/web:1
    instances: 2
    affinity: [label==ssd]
";
    check(
        stack,
        "nodes: { n1: { labels: [ssd], availability: drain }, n2: }",
        "",
        expect![[r#"
            stack shop on 2 nodes; a node is absent after 7 s of silence
              n1  ssd, drain
              n2

            placed
              shop/web.1  down  waits: no node fits
                n1  drains: takes no new work
                n2  needs label==ssd
              shop/web.2  down  waits: no node fits
                n1  drains: takes no new work
                n2  needs label==ssd
        "#]],
    );
}

#[test]
fn what_cannot_be_taken_over_says_why_each_node_does_not_fit() {
    let stack = "
stack: shop
services:
  web:
    image: acme/web:1
    instances: 3
    ports: ['80:80']
";
    check(
        stack,
        "nodes: { n1: , n2: , n3: }",
        "n3",
        expect![[r#"
            stack shop on 3 nodes; a node is absent after 7 s of silence
              n1
              n2
              n3    dies

            placed
              shop/web.1  n3  new on n3: it never had a holder
              shop/web.2  n1  new on n1: it never had a holder
              shop/web.3  n2  new on n2: it never had a holder

            without n3
              shop/web.1  n3 -> down  waits: no node fits
                n1  port 80 is taken by shop/web.2
                n2  port 80 is taken by shop/web.3
                n3  is absent: gets no new work
              settled after 0.0 s
              2 instances untouched
              moved needlessly: nothing

            with n3 back
              shop/web.1  n3  runs again after 8.3 s
              moved by the return: nothing
        "#]],
    );
}

#[test]
fn a_small_side_takes_nothing_over() {
    check(
        SHOP,
        "nodes: { n1: , n2: , n3: }",
        "n2,n3",
        expect![[r#"
            stack shop on 3 nodes; a node is absent after 7 s of silence
              n1
              n2    dies
              n3    dies

            placed
              shop/agent.1  n1  belongs to n1: one of its daemons
              shop/agent.2  n2  belongs to n2: one of its daemons
              shop/agent.3  n3  belongs to n3: one of its daemons
              shop/db.1     n3  pinned to n3
              shop/web.1    n1  new on n1: it never had a holder
              shop/web.2    n2  new on n2: it never had a holder
              shop/web.3    n3  new on n3: it never had a holder

            without n2, n3
              shop/agent.2  n2 -> down  belongs to n2: one of its daemons
              shop/agent.3  n3 -> down  belongs to n3: one of its daemons
              shop/db.1     n3 -> down  pinned to n3
              shop/web.2    n2 -> down  waits: n2 is absent since 2026-01-01T00:03:08Z, and this side sees only 1 of 3 eligible nodes
              shop/web.3    n3 -> down  waits: n3 is absent since 2026-01-01T00:03:08Z, and this side sees only 1 of 3 eligible nodes
              settled after 0.0 s
              2 instances untouched
              moved needlessly: nothing

            with n2, n3 back
              shop/agent.2  n2  runs again after 8.2 s
              shop/agent.3  n3  runs again after 8.3 s
              shop/db.1     n3  runs again after 8.2 s
              shop/web.2    n2  runs again after 8.2 s
              shop/web.3    n3  runs again after 8.2 s
              moved by the return: nothing
        "#]],
    );
}

#[test]
fn a_node_that_is_not_in_the_file_cannot_die() {
    let files = files(SHOP, "nodes: { n1: , n2: }").unwrap();
    refused(
        files.hosts(&names("n3")),
        expect![[r#"
        error: no node `n3` in `nodes.yml`
        hint: its nodes are n1, n2"#]],
    );
    refused(
        files.hosts(&names("n1,n2")),
        expect![[r#"
        error: no node is left to take anything over
        hint: let at least one node live"#]],
    );
}

#[test]
fn mistakes_in_either_file_are_named_with_their_place() {
    refused(
        files(
            "stack: shop\nservices: { web: { imge: a } }",
            "nodes: { n1: }",
        ),
        expect![[r#"
            error: the service `web` has no `image`
              --> kontena.yml:2:13
            2 | services: { web: { imge: a } }
              |             ^
            error: `imge` is not a key of a service
              --> kontena.yml:2:20
            2 | services: { web: { imge: a } }
              |                    ^
            hint: did you mean `image`?"#]],
    );
    refused(
        files(SHOP, "nodes: { n1: { zones: a } }"),
        expect![[r#"
            error: `zones` is not a key of a node
              --> nodes.yml:1:16
            1 | nodes: { n1: { zones: a } }
              |                ^
            hint: did you mean `zone`?"#]],
    );
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let tell = || {
        let files = files(SHOP, "nodes: { n1: , n2: , n3: }").unwrap();
        let story = play(Stage::set(&files, 7).unwrap(), &BTreeSet::from([1])).unwrap();
        serde_json::to_string(&story).unwrap()
    };
    assert_eq!(tell(), tell());
}

#[track_caller]
fn check(stack: &str, nodes: &str, killed: &str, expected: Expect) {
    let files = files(stack, nodes).unwrap();
    let killed = files.hosts(&names(killed)).unwrap();
    let story = play(Stage::set(&files, 1).unwrap(), &killed).unwrap();
    expected.assert_eq(&story.to_string());
}

#[track_caller]
fn refused<T>(result: Result<T, Failure>, expected: Expect) {
    let failure = result.err().unwrap();
    expected.assert_eq(&failure.to_string());
}

fn files(stack: &str, nodes: &str) -> Result<Files, Failure> {
    Files::parse("kontena.yml", stack, "nodes.yml", nodes)
}

fn names(list: &str) -> Vec<kontena_core::id::NodeName> {
    let names = list.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.parse().unwrap()).collect()
}
