//! Cables that are cut and mended, and what both sides did meanwhile.

use crate::source::demo::images::{BUSYBOX, WEB, WEB_NEXT};
use crate::support::grid::{LATER, SOON};
use crate::support::settle::none_restarted;
use crate::support::{Grid, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];

#[test]
fn edits_on_both_sides_of_a_cut_survive_its_heal() {
    let Some(grid) = Grid::up(3) else { return };
    let node = |number| grid.node(number);
    let create = [
        "service",
        "create",
        "app",
        WEB,
        "--instances",
        "2",
        "--deploy-wait-for-port",
        "80",
    ];
    node(1).kontena(&create);
    node(1).kontena(&["service", "deploy", "app"]);
    node(1).kontena(&[
        "service",
        "create",
        "duel",
        BUSYBOX,
        "--cmd",
        "sleep 100000",
    ]);
    grid.settled(&ALL, &[("app", 2), ("duel", 0)], SOON);

    grid.lab.cut(1);
    grid.offline(1, &["node-2", "node-3"]);
    let scaled = node(1).try_kontena(&["service", "scale", "--no-wait", "app", "4"]);
    assert!(scaled.status.success(), "{scaled:#?}");
    assert!(
        scaled.stderr.contains("saved on this node only"),
        "{scaled:#?}"
    );
    let updated = node(2).try_kontena(&["service", "update", "--image", WEB_NEXT, "app"]);
    assert!(updated.status.success(), "{updated:#?}");
    assert!(
        !updated.stderr.contains("this node only"),
        "node-3 has it too: {updated:#?}"
    );
    node(1).kontena(&["node", "update", "node-1", "--label", "side=small"]);
    node(3).kontena(&["node", "update", "node-3", "--label", "side=large"]);
    node(1).kontena(&["service", "create", "left", BUSYBOX]);
    node(2).kontena(&["service", "create", "right", BUSYBOX]);
    node(1).kontena(&["service", "update", "--env", "SIDE=small", "duel"]);
    node(2).kontena(&["service", "update", "--env", "SIDE=large", "duel"]);

    grid.lab.heal(1);
    let wanted = [("app", 4), ("duel", 0), ("left", 0), ("right", 0)];
    let running = grid.settled(&ALL, &wanted, LATER);
    let next = node(1).image_id(WEB_NEXT);
    for (instance, container) in &running {
        assert_eq!(container.image, next, "{instance}: {container:?}");
    }
    let nodes = grid.same_answer(&ALL, &["node", "ls"]);
    assert_eq!(nodes[0]["labels"][0], "side=small");
    assert_eq!(nodes[2]["labels"][0], "side=large");
    let shown = grid.same_answer(&ALL, &["grid", "show"]);
    let conflicts = shown["conflicts"].as_array().expect("a list");
    assert!(
        !conflicts.is_empty(),
        "both sides changed one definition: {shown}"
    );

    // Whoever writes it anew has settled it.
    node(3).kontena(&["service", "update", "--env", "SIDE=none", "duel"]);
    eventually(SOON, "the conflict to be settled", || {
        let shown = node(1).try_json(&["grid", "show"])?;
        seen(
            shown["conflicts"].as_array().is_some_and(Vec::is_empty),
            shown,
        )
    });
    let after = grid.settled(&ALL, &wanted, SOON);
    none_restarted(&running, &after, &ALL);
}

#[test]
fn of_two_nodes_either_goes_on_alone() {
    let Some(grid) = Grid::up(2) else { return };
    let both = [1, 2];
    let wanted = [("app", 2), ("idle", 2)];
    let create = [
        "service",
        "create",
        "app",
        WEB,
        "--instances",
        "2",
        "--deploy-wait-for-port",
        "80",
    ];
    grid.node(2).kontena(&create);
    let create = [
        "service",
        "create",
        "idle",
        BUSYBOX,
        "--instances",
        "2",
        "--cmd",
        "sleep 100000",
        "--stop-signal",
        "SIGKILL",
    ];
    grid.node(1).kontena(&create);
    for service in ["app", "idle"] {
        grid.node(1).kontena(&["service", "deploy", service]);
    }
    let before = grid.settled(&both, &wanted, SOON);

    // Each believes that it is the survivor: everything runs twice, and once again after the heal.
    grid.lab.cut(2);
    for side in both {
        let alone = grid.settled(&[side], &wanted, LATER);
        none_restarted(&before, &alone, &[side]);
    }
    grid.lab.heal(2);
    let healed = grid.settled(&both, &wanted, LATER);

    grid.lab.cut(2);
    grid.node(2).kill();
    let alone = grid.settled(&[1], &wanted, LATER);
    none_restarted(&healed, &alone, &[1]);
    grid.node(2).start();
    grid.node(2).start_daemon();
    grid.lab.heal(2);
    let returned = grid.settled(&both, &wanted, LATER);
    none_restarted(&alone, &returned, &[1]);
}
