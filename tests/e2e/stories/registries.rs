//! A registry that asks for a name and a password.

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::{LATER, SOON};
use crate::support::{Grid, Lab, eventually, registry, seen};

/// Its base64, with what stands before it, has a `/` and a `+`: the engine wants other letters for them.
const PASSWORD: &str = "p4ss: wörd ~~~???>>> abc?";

#[test]
fn what_is_given_to_one_node_is_used_by_all_and_by_those_that_come_later() {
    let Some(lab) = Lab::up(3) else { return };
    let grid = Grid::on(lab, 2);
    let account = format!("robot:{PASSWORD}");
    let image = registry::publish_for(&grid.lab, BUSYBOX, Some(&account));
    let create = [
        "service",
        "create",
        "app",
        &image,
        "--cmd",
        "sleep 100000",
        "--instances",
        "2",
    ];
    grid.node(1).kontena(&create);
    grid.node(1)
        .kontena(&["service", "deploy", "app", "--no-wait"]);
    eventually(
        LATER,
        "the registry to refuse whom it does not know",
        || {
            let shown = grid.node(1).kontena(&["service", "show", "app"]);
            seen(shown.contains("no basic auth credentials"), shown)
        },
    );

    let url = "http://127.0.0.1:5000";
    let add = |node: u8, password: &str| {
        let add = [
            "external-registry",
            "add",
            "-u",
            "robot",
            "-p",
            password,
            url,
        ];
        grid.node(node).kontena(&add);
    };
    // The second takes the place of the first.
    add(1, "a wrong one");
    add(2, PASSWORD);
    let listed = grid.node(1).kontena(&["external-registry", "ls"]);
    assert!(
        listed.contains("127.0.0.1:5000") && listed.contains("robot"),
        "{listed}"
    );
    assert!(!listed.contains("p4ss"), "{listed}");
    grid.settled(&[1, 2], &[("app", 2)], LATER);

    grid.node(3).start_daemon();
    grid.join(3);
    eventually(SOON, "the third node to be given the password", || {
        let shown = grid.node(3).kontena_json(&["external-registry", "ls"]);
        let missing = &shown[0]["missing_on"];
        seen(missing.as_array().is_some_and(Vec::is_empty), &shown)
    });
    grid.node(3).kontena(&["service", "scale", "app", "3"]);
    grid.settled(&[1, 2, 3], &[("app", 3)], LATER);

    grid.node(1)
        .kontena(&["external-registry", "rm", "127.0.0.1:5000", "--force"]);
    assert_eq!(grid.node(3).kontena(&["external-registry", "ls", "-q"]), "");
}
