//! The life of a stack: installed, upgraded, compared, gone back with, removed; and two revisions of one
//! number from two sides of a cut.

use serde_json::Value;

use crate::source::demo::images::{BUSYBOX, WEB, WEB_NEXT};
use crate::support::grid::{LATER, SOON};
use crate::support::{Grid, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];

#[test]
fn a_stack_goes_forward_and_back_and_two_sides_keep_their_revisions() {
    let Some(grid) = Grid::up(3) else { return };
    let node = |number| grid.node(number);
    let first = grid.write("first.yml", &shop(WEB, false));
    let second = grid.write("second.yml", &shop(WEB_NEXT, true));
    node(2).kontena(&["stack", "install", &first]);
    grid.settled(&ALL, &[("shop/web", 2)], SOON);

    let plan = node(1).kontena(&["stack", "upgrade", "--dry-run", "shop", &second]);
    assert!(plan.contains("create   idle"), "{plan}");
    assert!(plan.contains("replace  web"), "{plan}");
    assert_eq!(
        numbers(&grid.same_answer(&ALL, &["stack", "history", "shop"])),
        ["1"]
    );

    node(3).kontena(&["stack", "upgrade", "shop", &second]);
    grid.settled(&ALL, &[("shop/web", 2), ("shop/idle", 1)], SOON);
    let history = grid.same_answer(&ALL, &["stack", "history", "shop"]);
    assert_eq!(numbers(&history), ["2", "1"]);
    let diff = node(1).kontena(&["stack", "diff", "shop", "1", "2"]);
    assert!(
        diff.contains(&format!("image: {WEB} -> {WEB_NEXT}")),
        "{diff}"
    );
    let same = node(1).kontena(&["stack", "diff", "shop", &second]);
    assert_eq!(same, "no service changes\n");

    node(1).kontena(&["stack", "rollback", "shop"]);
    grid.settled(&ALL, &[("shop/web", 2)], SOON);
    let history = grid.same_answer(&ALL, &["stack", "history", "shop"]);
    assert_eq!(numbers(&history), ["3", "2", "1"]);

    grid.lab.cut(1);
    grid.offline(1, &["node-2", "node-3"]);
    node(1).kontena(&["stack", "upgrade", "--no-deploy", "shop", &second]);
    node(2).kontena(&["stack", "upgrade", "--no-deploy", "shop", &first]);
    grid.lab.heal(1);
    eventually(LATER, "the revisions of both sides", || {
        let history = node(3).kontena_json(&["stack", "history", "shop"]);
        seen(numbers(&history).len() == 5, history)
    });
    let history = grid.same_answer(&ALL, &["stack", "history", "shop"]);
    let of_the_small_side = revision_by(&history, "node-1", 4);
    assert!(of_the_small_side.starts_with("4~"), "{history}");
    assert_ne!(of_the_small_side, revision_by(&history, "node-2", 4));
    let unclear = node(3).try_kontena(&["stack", "rollback", "shop", "4"]);
    unclear.refused(1, &[&of_the_small_side]);

    node(3).kontena(&["stack", "rollback", "shop", &of_the_small_side]);
    grid.settled(&ALL, &[("shop/web", 2), ("shop/idle", 1)], LATER);
    let history = grid.same_answer(&ALL, &["stack", "history", "shop"]);
    assert_eq!(numbers(&history)[0], "5");

    node(2).kontena(&["stack", "rm", "--force", "shop"]);
    grid.settled(&ALL, &[], SOON);
    let gone = node(1).try_kontena(&["stack", "history", "shop"]);
    gone.refused(1, &["`shop` does not exist"]);
}

/// The newest first.
fn numbers(history: &Value) -> Vec<&str> {
    let revisions = history.as_array().expect("a list");
    revisions
        .iter()
        .map(|one| one["revision"].as_str().expect("a name"))
        .collect()
}

fn revision_by(history: &Value, node: &str, number: u64) -> String {
    let revisions = history.as_array().expect("a list");
    let mut found = revisions
        .iter()
        .filter(|one| one["by"] == node && one["number"] == number);
    let one = found.next().unwrap_or_else(|| panic!("{history}"));
    one["revision"].as_str().expect("a name").to_owned()
}

fn shop(image: &str, with_idle: bool) -> String {
    let idle = format!(
        "  idle:
    image: {BUSYBOX}
    command: sleep 100000
    stop_signal: SIGKILL
"
    );
    format!(
        "\
stack: demo/shop
version: 0.1.0
services:
  web:
    image: {image}
    instances: 2
    deploy:
      wait_for_port: 80
{}",
        if with_idle { idle.as_str() } else { "" }
    )
}
