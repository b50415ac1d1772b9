//! Who is let in, who is thrown out, and who goes.

use crate::source::demo::images::{BUSYBOX, WEB};
use crate::support::grid::{LATER, SOON};
use crate::support::settle::none_restarted;
use crate::support::{Grid, Lab, Node, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const APP: [(&str, usize); 1] = [("app", 3)];

#[test]
fn nobody_joins_with_a_wrong_token_and_nobody_joins_twice() {
    let Some(lab) = Lab::bare(2) else { return };
    let grid = Grid::on(lab, 1);
    let (first, second) = (grid.node(1), grid.node(2));
    second.start_daemon();
    let nodes = grid.same_answer(&[1], &["node", "ls"]);
    let address = first.address();
    let join = |token: &str| second.try_kontena(&["join", &address, "--token", token]);

    second
        .try_kontena(&["node", "ls"])
        .refused(1, &["grid", "kontena join"]);
    join("gibberish").refused(1, &["not a join token"]);
    join(&mistyped(&grid.token)).refused(1, &["error: ", "token"]);

    // A token of a grid that has nothing to do with this one.
    let foreign = second.init("foreign", &[]);
    second.kontena(&["leave", "--force"]);
    join(&foreign).refused(1, &["error: ", "grid"]);

    let created = first.kontena_json(&["token", "create"]);
    let revoked = created["join_token"].as_str().expect("a token").to_owned();
    let tokens = first.kontena_json(&["token", "ls"]);
    let ids: Vec<&str> = tokens
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    assert_eq!(ids.len(), 2, "{tokens}");
    for id in ids {
        first.kontena(&["token", "rm", "--force", id]);
    }
    join(&revoked).refused(1, &["revoked"]);
    join(&grid.token).refused(1, &["revoked"]);
    let unreachable = ["join", "10.77.0.99", "--token", &revoked];
    second
        .try_kontena(&unreachable)
        .refused(1, &["error: ", "10.77.0.99"]);

    let valid = first.kontena_json(&["token", "create"])["join_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let taken = ["join", &address, "--token", &valid, "--name", "node-1"];
    second
        .try_kontena(&taken)
        .refused(1, &["`node-1` is taken", "hint: "]);
    assert_eq!(
        grid.same_answer(&[1], &["node", "ls"]),
        nodes,
        "nothing changed"
    );

    let file = grid.write("token", &format!("{valid}\n"));
    second.kontena(&["join", &address, "--token", &format!("@{file}")]);
    grid.all_online(&[1, 2]);
    join(&valid).refused(1, &["already belongs to grid `e2e`"]);
    second
        .try_kontena(&["init"])
        .refused(1, &["already belongs to grid `e2e`"]);
    first
        .try_kontena(&["init", "--grid", "other"])
        .refused(1, &["`e2e`"]);
    grid.all_online(&[1, 2]);
}

#[test]
fn a_removed_node_has_no_effect_and_a_leaving_one_leaves_nothing() {
    let Some(grid) = Grid::up(3) else { return };
    let create = [
        "service",
        "create",
        "app",
        WEB,
        "--instances",
        "3",
        "--stop-signal",
        "SIGKILL",
    ];
    grid.node(1).kontena(&create);
    grid.node(1).kontena(&["service", "deploy", "app"]);
    let before = grid.settled(&ALL, &APP, SOON);

    grid.node(1)
        .try_kontena(&["node", "rm", "--force", "node-1"])
        .refused(1, &["kontena leave"]);
    grid.lab.cut(3);
    grid.offline(1, &["node-3"]);
    let identity = id_of(&grid.node(1), "node-3");
    grid.node(1).kontena(&["node", "rm", "--force", "node-3"]);
    let left = grid.settled(&[1, 2], &APP, LATER);
    none_restarted(&before, &left, &[1, 2]);
    assert_eq!(running_on(&grid, 3), 1, "it was not told yet");

    // It does not know, and writes something; nothing of that may count.
    grid.node(3)
        .kontena(&["service", "scale", "--no-wait", "app", "7"]);
    grid.lab.heal(3);
    learns_that_it_was_removed(&grid);
    let after = grid.settled(&[1, 2], &APP, SOON);
    assert_eq!(after, left, "its changes are not taken");

    grid.node(3).kill_daemon();
    grid.node(3).start_daemon();
    learns_that_it_was_removed(&grid);
    assert_eq!(grid.settled(&[1, 2], &APP, SOON), left);

    grid.node(3).kontena(&["leave", "--force"]);
    grid.join(3);
    grid.all_online(&ALL);
    assert_ne!(
        id_of(&grid.node(1), "node-3"),
        identity,
        "a removed id never comes back"
    );
    let joined = grid.settled(&ALL, &APP, SOON);
    assert_eq!(joined, left, "nothing moves because somebody came");

    // Leaving while the node is at work: what it runs moves first to the others.
    let identity = id_of(&grid.node(1), "node-2");
    grid.node(2).kontena(&["leave", "--force"]);
    assert_eq!(running_on(&grid, 2), 0, "it leaves nothing behind");
    let without = grid.settled(&[1, 3], &APP, LATER);
    none_restarted(&joined, &without, &[1, 3]);
    grid.node(2)
        .try_kontena(&["service", "ls"])
        .refused(1, &["grid"]);
    grid.join(2);
    assert_ne!(id_of(&grid.node(1), "node-2"), identity);
    grid.node(2)
        .kontena(&["service", "create", "new", BUSYBOX, "--cmd", "sleep 100000"]);
    grid.settled(&ALL, &[("app", 3), ("new", 0)], SOON);
}

fn learns_that_it_was_removed(grid: &Grid) {
    eventually(LATER, "node-3 to learn that it was removed", || {
        let ran = grid
            .node(3)
            .try_kontena(&["service", "scale", "--no-wait", "app", "9"]);
        let told = ran.status.code() == Some(1) && ran.stderr.contains("removed from its grid");
        let left = grid.node(3).grid_containers(3)?;
        seen(told && left.is_empty(), (ran, left))
    });
}

fn running_on(grid: &Grid, host: u8) -> usize {
    let containers = grid
        .node(host)
        .grid_containers(host)
        .expect("the engine works");
    containers.len()
}

fn id_of(asked: &Node<'_>, node: &str) -> String {
    let shown = asked.kontena_json(&["node", "show", node]);
    shown["id"].as_str().expect("an id").to_owned()
}

/// Another letter in the middle of the secret.
fn mistyped(token: &str) -> String {
    let place = token.len() - 20;
    let other = if &token[place..=place] == "3" {
        "4"
    } else {
        "3"
    };
    format!("{}{other}{}", &token[..place], &token[place + 1..])
}
