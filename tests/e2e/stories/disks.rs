//! Disks that are full, and disks that were copied.

use crate::source::demo::images::{BUSYBOX, WEB};
use crate::support::grid::{FAILED, LATER, SOON};
use crate::support::settle::{hosts_of, none_restarted};
use crate::support::{Grid, Lab, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let Some((grid, data)) = with_a_small_disk() else {
        return;
    };
    let before = grid.settled(&ALL, &[("app", 3)], SOON);

    let filler = fill(&grid, &data);
    let created = refused_until_full(&grid);
    let refused = grid
        .node(3)
        .try_kontena(&["service", "create", "lost", BUSYBOX]);
    refused.refused(1, &["error: ", "could not be saved"]);
    grid.node(1)
        .kontena(&["service", "create", "kept", BUSYBOX]);
    assert_eq!(
        grid.running(&ALL).expect("engines work"),
        before,
        "containers run on"
    );

    grid.node(3).run("rm", &[&filler]);
    let mut wanted = vec![("app", 3), ("kept", 0)];
    wanted.extend(created.iter().map(|name| (name.as_str(), 0)));
    let after = grid.settled(&ALL, &wanted, SOON);
    assert_eq!(after, before);
    eventually(SOON, "commands to be taken again", || {
        let ran = grid
            .node(3)
            .try_kontena(&["service", "create", "again", BUSYBOX]);
        seen(ran.status.success(), ran)
    });
    wanted.push(("again", 0));
    grid.settled(&ALL, &wanted, SOON);
    // What was acknowledged is on that disk too, not only with the others.
    grid.node(3).kill_daemon();
    grid.node(3).start_daemon();
    assert_eq!(grid.settled(&ALL, &wanted, SOON), before);
}

#[test]
fn a_disk_that_stays_full_hands_its_instances_over_and_is_welcome_again() {
    let Some((grid, data)) = with_a_small_disk() else {
        return;
    };
    let before = grid.settled(&ALL, &[("app", 3)], SOON);
    assert!(hosts_of(&before, "app").contains(&3), "{before:?}");

    grid.node(3)
        .kontena(&["service", "create", "load", BUSYBOX]);
    let wanted = [("app", 3), ("load", 0)];
    let filler = fill(&grid, &data);
    // A database has room of its own: this goes on until it has none, not even for a report.
    let mut number = 0;
    eventually(FAILED, "the failure to be shown", || {
        for bytes in [8_000, 8] {
            number += 1;
            let variable = format!("TEXT={number}{}", "x".repeat(bytes));
            let update = ["service", "update", "--env", &variable, "load"];
            grid.node(3).try_kontena(&update);
        }
        grid.problem_shown(1, "node-3", "disk: ")
    });
    let without = grid.settled(&[1, 2], &wanted, LATER);
    none_restarted(&before, &without, &[1, 2]);
    eventually(
        SOON,
        "what was taken over to be gone from the full disk's node",
        || {
            let left = grid.node(3).grid_containers(3)?;
            seen(left.is_empty(), left)
        },
    );

    grid.node(3).run("rm", &[&filler]);
    eventually(SOON, "the disk to be seen to work", || {
        let shown = grid.node(1).try_json(&["node", "show", "node-3"])?;
        seen(shown["problems"] == serde_json::json!([]), shown)
    });
    assert_eq!(grid.settled(&ALL, &wanted, SOON), without, "nothing moves");
    grid.node(3)
        .kontena(&["service", "scale", "--no-wait", "app", "6"]);
    let after = grid.settled(&ALL, &[("app", 6), ("load", 0)], LATER);
    assert!(hosts_of(&after, "app").contains(&3), "{after:?}");
}

#[test]
fn two_nodes_of_one_cloned_disk_are_told() {
    let Some(lab) = Lab::up(4) else { return };
    let data = lab.host(3).kontena_data().display().to_string();
    let grid = Grid::on(lab, 3);
    let create = ["service", "create", "app", WEB, "--instances", "3"];
    grid.node(1).kontena(&create);
    grid.node(1).kontena(&["service", "deploy", "app"]);
    two_of_one_disk_are_told(&grid, &data, &[("app", 3)]);
}

/// A grid of three that runs `app`, and where node 3 keeps its data on a disk of 4 MiB.
fn with_a_small_disk() -> Option<(Grid, String)> {
    let lab = Lab::up(3)?;
    let data = lab.host(3).kontena_data().display().to_string();
    lab.host(3).run("mkdir", &["-p", &data]);
    lab.host(3)
        .run("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs", &data]);
    let grid = Grid::on(lab, 3);
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
    Some((grid, data))
}

/// Takes what is left of node 3's disk; the file that has it.
fn fill(grid: &Grid, data: &str) -> String {
    let filler = format!("{data}/filler");
    let fill = format!("dd if=/dev/zero of={filler} bs=4k 2>/dev/null; true");
    grid.node(3).run("sh", &["-c", &fill]);
    filler
}

/// Creates services of this size until the disk takes no more: a database may have room of its own.
fn refused_until_full(grid: &Grid) -> Vec<String> {
    let mut created = Vec::new();
    let text = "x".repeat(8_000);
    for number in 0..200 {
        let name = format!("fill{number}");
        let variable = format!("TEXT={text}");
        let create = ["service", "create", &name, BUSYBOX, "--env", &variable];
        let ran = grid.node(3).try_kontena(&create);
        if !ran.status.success() {
            ran.refused(1, &["error: ", "could not be saved"]);
            return created;
        }
        created.push(name);
    }
    panic!("the disk never was full")
}

fn two_of_one_disk_are_told(grid: &Grid, data: &str, wanted: &[(&str, usize)]) {
    let before = grid.settled(&ALL, wanted, SOON);
    let copy = grid.node(4).kontena_data();
    grid.node(3).stop_daemon();
    let archive = grid.lab.directory().join("copy.tar").display().to_string();
    grid.node(3).run("tar", &["-C", data, "-cf", &archive, "."]);
    grid.node(4)
        .run("mkdir", &["-p", &copy.display().to_string()]);
    grid.node(4)
        .run("tar", &["-C", &copy.display().to_string(), "-xf", &archive]);
    grid.node(3).start_daemon();
    grid.node(4).start_daemon();

    for twin in [3, 4] {
        eventually(LATER, "both to be told", || {
            let ran = grid
                .node(twin)
                .try_kontena(&["service", "scale", "--no-wait", "app", "9"]);
            let told = ran.status.code() == Some(1)
                && ran.stderr.contains("cloned")
                && ran.stderr.contains("kontena leave");
            seen(told, (twin, ran))
        });
    }
    // The others go on, and no container is touched.
    grid.node(1)
        .kontena(&["service", "create", "meanwhile", BUSYBOX]);
    assert_eq!(grid.running(&[1, 2, 3, 4]).expect("engines work"), before);

    grid.node(4).stop_daemon();
    grid.node(3).stop_daemon();
    grid.node(3).start_daemon();
    let wanted = [wanted, &[("meanwhile", 0)]].concat();
    let after = grid.settled(&ALL, &wanted, LATER);
    none_restarted(&before, &after, &ALL);
    grid.node(3)
        .kontena(&["service", "create", "single", BUSYBOX]);
}
