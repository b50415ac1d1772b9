//! What people do to nodes: they look ahead, empty one, give it work again, and give others up.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::source::demo::images::{REDIS, WEB};
use crate::support::grid::{LATER, SOON};
use crate::support::settle::{Running, hosts_of, none_restarted};
use crate::support::{Grid, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const WANTED: [(&str, usize); 2] = [("shop/store", 1), ("shop/web", 6)];
const WEB_ONLY: [(&str, usize); 1] = [("shop/web", 3)];

/// Below a stack's services.
fn store() -> String {
    format!(
        "  store:
    image: {REDIS}
    stateful: true
    command: redis-server --dir /data --appendonly yes --appendfsync always --protected-mode no
    volumes: [/data]
    deploy: {{wait_for_port: 6379}}
"
    )
}

fn stack(instances: usize) -> String {
    format!(
        "\
stack: demo/shop
services:
  web:
    image: {WEB}
    instances: {instances}
    deploy: {{min_health: 0.5, wait_for_port: 80}}
"
    )
}

#[test]
fn a_drain_does_what_the_plan_said_and_data_stands_by() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("shop.yml", &(stack(6) + &store()));
    grid.node(1).kontena(&["stack", "install", &file]);
    let before = grid.settled(&ALL, &WANTED, SOON);
    let home = *hosts_of(&before, "shop/store")
        .first()
        .expect("the store runs");
    let name = grid.node(home).name();
    let redis = |id: &str, command: &[&str]| {
        let exec = [&["exec", id, "redis-cli"][..], command].concat();
        grid.node(home).try_docker(&exec)
    };
    let set = redis(&before["shop/store-1"].id, &["set", "answer", "42"]);
    assert_eq!(set.as_deref(), Ok("OK"));

    let asked = ALL.into_iter().find(|node| *node != home).expect("three");
    let plan = grid.node(asked).kontena_json(&["plan", "--drain", &name]);
    assert_eq!(
        grid.settled(&ALL, &WANTED, SOON),
        before,
        "a plan does nothing"
    );
    let drained = grid
        .node(asked)
        .try_kontena(&["node", "drain", &name, "--wait"]);
    assert!(drained.status.success(), "{drained:#?}");
    assert!(drained.stderr.contains("`shop/store-1`"), "{drained:#?}");

    let others: Vec<u8> = ALL.into_iter().filter(|node| *node != home).collect();
    eventually(SOON, "only the data to stand by", || {
        let left = grid.node(home).grid_containers(home)?;
        let stands_by = |(instance, _, state): &(String, _, String)| {
            instance == "shop/store-1" && state == "exited"
        };
        seen(left.len() == 1 && left.iter().all(stands_by), left)
    });
    let moved = grid.running(&others).expect("engines work");
    none_restarted(&before, &moved, &others);
    assert_eq!(movements(&grid, &before, &moved), moves(&plan), "{plan}");
    let why = grid.node(asked).kontena(&["why", "shop/store"]);
    assert!(
        why.contains(&format!("stands by on {name}, which drains")),
        "{why}"
    );

    grid.node(asked).kontena(&["node", "activate", &name]);
    let after = grid.settled(&ALL, &WANTED, LATER);
    none_restarted(&moved, &after, &others);
    assert_eq!(after["shop/store-1"].host, home, "data does not move");
    eventually(SOON, "the data", || {
        let answer = redis(&after["shop/store-1"].id, &["get", "answer"])?;
        seen(answer == "42", answer)
    });
}

/// Which node each instance came to that ran elsewhere before.
fn movements(grid: &Grid, before: &Running, after: &Running) -> BTreeMap<String, String> {
    let moved = after
        .iter()
        .filter(|(instance, now)| before[*instance].host != now.host);
    moved
        .map(|(instance, now)| (instance.clone(), grid.node(now.host).name()))
        .collect()
}

/// The same by a plan.
fn moves(plan: &Value) -> BTreeMap<String, String> {
    let changes = plan["changes"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    changes
        .filter(|change| change["outcome"] == "moves")
        .map(|change| (text(&change["instance"]), text(&change["to"])))
        .collect()
}

#[test]
fn the_last_of_three_goes_on_once_a_person_says_that_the_others_are_dead() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("shop.yml", &stack(3));
    grid.node(1).kontena(&["stack", "install", &file]);
    let before = grid.settled(&ALL, &WEB_ONLY, SOON);
    let assume = ["node", "assume-dead", "--force", "node-2", "node-3"];
    let alive = grid.node(1).try_kontena(&assume);
    alive.refused(1, &["node-2"]);
    let plan = grid
        .node(1)
        .kontena_json(&["plan", "--kill", "node-2", "--kill", "node-3"]);
    let changes = plan["changes"].as_array().expect("a list");
    assert!(
        changes.len() == 2 && changes.iter().all(|change| change["outcome"] == "waits"),
        "{plan}"
    );

    grid.lab.cut(2);
    grid.lab.cut(3);
    grid.offline(1, &["node-2", "node-3"]);
    is_too_small(&grid);
    let alone = grid.running(&[1]).expect("the engine works");
    assert_eq!(alone.len(), 1, "it waits: {alone:?}");

    grid.node(1).kontena(&assume);
    let taken = grid.settled(&[1], &WEB_ONLY, LATER);
    none_restarted(&before, &taken, &[1]);

    // They were alive after all: what ran on goes on, and what was taken over goes back.
    grid.lab.heal(2);
    grid.lab.heal(3);
    grid.all_online(&ALL);
    let after = grid.settled(&ALL, &WEB_ONLY, LATER);
    none_restarted(&before, &after, &ALL);

    // A sign of life ends it for good: they are waited for as before.
    grid.lab.cut(2);
    grid.lab.cut(3);
    grid.offline(1, &["node-2", "node-3"]);
    is_too_small(&grid);
}

/// What the first node says once the others are absent, and not only silent.
#[track_caller]
fn is_too_small(grid: &Grid) {
    eventually(SOON, "the first to wait for the others", || {
        let why = grid.node(1).kontena(&["why", "shop/web"]);
        seen(why.contains("this side sees only 1 of 3"), why)
    });
}
