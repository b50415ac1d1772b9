//! Daemons and engines that die at the worst moment, and come back.

use crate::source::demo::images::{BUSYBOX, WEB, WEB_NEXT};
use crate::support::grid::{FAILED, LATER, SOON};
use crate::support::settle::{Container, Running, hosts_of, none_restarted};
use crate::support::{Grid, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];

#[test]
fn a_daemon_killed_in_a_deploy_or_at_rest_costs_no_container() {
    let Some(grid) = Grid::up(3) else { return };
    grid.node(1).kontena(&[
        "service",
        "create",
        "app",
        WEB,
        "--instances",
        "6",
        "--deploy-wait-for-port",
        "80",
    ]);
    let sleeper = [
        "service",
        "create",
        "idle",
        BUSYBOX,
        "--cmd",
        "sleep 100000",
    ];
    grid.node(1).kontena(&sleeper);
    grid.node(1).kontena(&["service", "deploy", "idle"]);

    // Of the node that took the command as soon as it acknowledged, and of one that is at work.
    grid.node(1)
        .kontena(&["service", "deploy", "app", "--no-wait"]);
    grid.node(1).kill_daemon();
    let busy = at_work(&grid, &[2, 3], |_| true);
    grid.node(busy).kill_daemon();
    grid.node(1).start_daemon();
    grid.node(busy).start_daemon();
    let first = grid.settled(&ALL, &[("app", 6), ("idle", 1)], LATER);

    // The same for an update, which replaces containers that run.
    grid.node(3)
        .kontena(&["service", "update", "--image", WEB_NEXT, "app"]);
    let next = grid.node(1).image_id(WEB_NEXT);
    let busy = at_work(&grid, &[1, 2], |one| one.image == next);
    grid.node(busy).kill_daemon();
    grid.node(3).kill_daemon();
    grid.node(3).start_daemon();
    grid.node(busy).start_daemon();
    let updated = grid.settled(&ALL, &[("app", 6), ("idle", 1)], LATER);
    assert_eq!(updated["idle-1"], first["idle-1"], "nobody asked for that");
    runs_image(&updated, "app-", &next);

    for round in 0..10 {
        let node = ALL[round % ALL.len()];
        grid.node(node).kill_daemon();
        grid.node(node).start_daemon();
        grid.all_online(&ALL);
    }
    let rested = grid.settled(&ALL, &[("app", 6), ("idle", 1)], SOON);
    assert_eq!(rested, updated, "no container was restarted");
}

#[test]
fn an_engine_that_dies_takes_nothing_with_it_for_good() {
    let Some(grid) = Grid::up(3) else { return };
    let create = [
        "service",
        "create",
        "app",
        WEB,
        "--instances",
        "3",
        "-p",
        "8080:80",
    ];
    grid.node(1).kontena(&create);
    grid.node(1).kontena(&["service", "deploy", "app"]);
    let wanted = [("app", 3)];
    let before = grid.settled(&ALL, &wanted, SOON);

    grid.node(2).kill_engine();
    eventually(SOON, "the trouble to be shown", || {
        let shown = grid.node(1).kontena(&["node", "show", "node-2"]);
        seen(shown.contains("docker"), shown)
    });
    grid.node(3)
        .kontena(&["service", "update", "--image", WEB_NEXT, "app"]);
    grid.node(2).start_engine();
    let after = grid.settled(&ALL, &wanted, LATER);
    runs_image(&after, "app-", &grid.node(1).image_id(WEB_NEXT));
    assert_eq!(before.len(), after.len());

    // Once more, at rest: what the engine did not run is not touched.
    grid.node(2).kill_engine();
    grid.node(2).start_engine();
    let again = grid.settled(&ALL, &wanted, LATER);
    none_restarted(&after, &again, &[1, 3]);
}

#[test]
fn the_instances_of_an_engine_that_hangs_are_taken_over_and_it_is_welcome_again() {
    let Some(grid) = Grid::up(3) else { return };
    let create = ["service", "create", "app", WEB, "--instances", "3"];
    grid.node(1).kontena(&create);
    grid.node(1).kontena(&["service", "deploy", "app"]);
    let before = grid.settled(&ALL, &[("app", 3)], SOON);
    assert!(hosts_of(&before, "app").contains(&2), "{before:?}");

    grid.node(2).hang_engine();
    eventually(
        SOON,
        "the trouble to be shown, long before it counts as failed",
        || grid.problem_shown(1, "node-2", "docker engine: in trouble since "),
    );
    let without = grid.settled(&[1, 3], &[("app", 3)], FAILED);
    none_restarted(&before, &without, &[1, 3]);

    grid.node(2).resume_engine();
    let after = grid.settled(&ALL, &[("app", 3)], LATER);
    let again = grid.node(1).try_json(&["node", "show", "node-2"]);
    assert_eq!(again.unwrap()["problems"], serde_json::json!([]));
    grid.node(2)
        .kontena(&["service", "scale", "--no-wait", "app", "9"]);
    let scaled = grid.settled(&ALL, &[("app", 9)], LATER);
    none_restarted(&after, &scaled, &ALL);
    assert!(hosts_of(&scaled, "app").contains(&2), "{scaled:?}");
}

#[test]
fn no_acknowledged_change_is_lost_while_daemons_die() {
    let Some(grid) = Grid::up(3) else { return };
    let mut acknowledged = Vec::new();
    for round in 0..18_u8 {
        let asked = ALL[usize::from(round % 3)];
        let name = format!("job{round}");
        let create = [
            "service",
            "create",
            &name,
            BUSYBOX,
            "--cmd",
            "sleep 100000",
            "--stop-signal",
            "SIGKILL",
        ];
        let ran = grid.node(asked).try_kontena(&create);
        assert!(ran.status.success(), "every daemon runs: {ran:#?}");
        acknowledged.push(name);
        if round % 2 == 1 {
            let killed = ALL[usize::from((round / 2) % 3)];
            grid.node(killed).kill_daemon();
            // The others go on meanwhile.
            let other = ALL[usize::from((round / 2 + 1) % 3)];
            let name = format!("other{round}");
            let create = ["service", "create", &name, BUSYBOX, "--cmd", "sleep 100000"];
            grid.node(other).kontena(&create);
            acknowledged.push(name);
            grid.node(killed).start_daemon();
        }
    }
    for name in acknowledged.iter().take(4) {
        grid.node(3)
            .kontena(&["service", "deploy", "--no-wait", name]);
        grid.node(3).kill_daemon();
        grid.node(3).start_daemon();
    }
    let wanted: Vec<(&str, usize)> = acknowledged
        .iter()
        .enumerate()
        .map(|(place, name)| (name.as_str(), usize::from(place < 4)))
        .collect();
    grid.settled(&ALL, &wanted, LATER);
}

/// Waits until one of these nodes has such a container of `app`; which.
fn at_work(grid: &Grid, nodes: &[u8], such: impl Fn(&Container) -> bool) -> u8 {
    eventually(SOON, "a node to be at work", || {
        for node in nodes {
            let containers = grid.node(*node).grid_containers(*node)?;
            let of_app = |(instance, one, _): &(String, Container, String)| {
                instance.starts_with("app-") && such(one)
            };
            if containers.iter().any(of_app) {
                return Ok(*node);
            }
        }
        Err("nobody is".to_owned())
    })
}

#[track_caller]
fn runs_image(running: &Running, prefix: &str, image: &str) {
    for (instance, container) in running {
        if instance.starts_with(prefix) {
            assert_eq!(container.image, image, "{instance}: {container:?}");
        }
    }
}
