//! All hosts are wiped, and the grid comes back from one file.

use std::collections::BTreeSet;

use crate::support::grid::{LATER, SOON};
use crate::support::settle::hosts_of;
use crate::support::talk::{app, stack};
use crate::support::{Grid, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];

#[test]
fn a_grid_whose_hosts_are_all_wiped_comes_back_from_a_backup_of_one_node() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    grid.settled(&ALL, &app(3), SOON);
    grid.node(2).kontena(&["etcd", "set", "/app/mode", "night"]);
    grid.node(3).kontena(&["vpn", "create", "--node", "node-3"]);
    grid.node(1)
        .kontena(&["volume", "create", "--scope", "grid", "data"]);
    eventually(SOON, "node 2 to know all of it", || {
        let key = grid.node(2).try_json(&["etcd", "get", "/app/mode"])?;
        let volume = grid.node(2).try_json(&["volume", "show", "data"])?;
        seen(
            key["value"] == "night" && volume["name"] == "data",
            (key, volume),
        )
    });

    // One node's is enough. The code is told once; a second backup may be sealed for it.
    let backup = grid.write("grid.backup", "");
    let told = grid.node(2).kontena_json(&["grid", "backup", &backup]);
    let code = told["recovery_code"].as_str().expect("a new code");
    let codes = grid.write("code", code);
    let again = grid.write("again.backup", "");
    let told =
        grid.node(2)
            .kontena_json(&["grid", "backup", "--recovery-code-file", &codes, &again]);
    assert!(told["recovery_code"].is_null(), "{told}");
    let bytes = std::fs::read(&backup).expect("it was written");

    for number in ALL {
        wipe(&grid, number);
    }

    // What is not right is refused, and nothing is left behind.
    let folder = grid.node(1).kontena_data().display().to_string();
    let wrong = [
        ("cut", bytes[..bytes.len() - 1].to_vec()),
        (
            "altered",
            [&bytes[..bytes.len() - 1], &[!bytes[bytes.len() - 1]]].concat(),
        ),
        ("foreign", b"stack: demo\n".to_vec()),
    ];
    for (name, bytes) in wrong {
        let path = grid.write(name, "");
        std::fs::write(&path, bytes).expect("it can be written");
        restore(&grid, &path, &codes, &folder).refused(1, &[name]);
    }
    let other = grid.write("other", "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-GGGG-HHHH");
    restore(&grid, &backup, &other, &folder).refused(1, &["recovery code"]);

    // It comes back on another host than it was made on, and only into an empty directory.
    let restored = restore(&grid, &backup, &codes, &folder);
    assert!(restored.status.success(), "{restored:#?}");
    restore(&grid, &backup, &codes, &folder).refused(1, &["holds a node of a grid"]);
    grid.node(1).start_daemon();
    eventually(LATER, "the host to be node 2", || {
        let nodes = grid.node(1).try_json(&["node", "ls"])?;
        let rows = nodes.as_array().cloned().unwrap_or_default();
        let status = |name: &str| {
            let row = rows.iter().find(|row| row["name"] == name);
            row.and_then(|row| row["status"].as_str().map(str::to_owned))
        };
        let is_so = status("node-2").as_deref() == Some("online")
            && status("node-1").as_deref() == Some("offline")
            && status("node-3").as_deref() == Some("offline");
        seen(is_so, nodes)
    });
    let key = grid.node(1).kontena_json(&["etcd", "get", "/app/mode"]);
    assert_eq!(key["value"], "night");
    let volume = grid.node(1).kontena_json(&["volume", "show", "data"]);
    assert_eq!(volume["scope"], "grid");
    let history = grid.node(1).kontena_json(&["stack", "history", "net"]);
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history}");

    for lost in ["node-1", "node-3"] {
        grid.node(1).kontena(&["node", "rm", "--force", lost]);
    }
    let token = grid.node(1).kontena_json(&["token", "create"]);
    let token = token["join_token"].as_str().expect("a token");
    let address = grid.node(1).address();
    for number in [2, 3] {
        grid.node(number).start_daemon();
        let name = format!("new-{number}");
        grid.node(number)
            .kontena(&["join", &address, "--token", token, "--name", &name]);
    }
    // Host 1 is node 2 now, so that it is counted by hosts.
    eventually(LATER, "every host to run one of each", || {
        for (name, _) in app(3) {
            let service = grid.node(3).try_json(&["service", "show", name])?;
            seen(service["counts"]["healthy"] == 3, service)?;
        }
        let running = grid.running(&ALL)?;
        let one_each = app(3)
            .iter()
            .all(|(name, _)| hosts_of(&running, name) == BTreeSet::from(ALL));
        seen(one_each && running.len() == 6, &running)
    });
    let mode = grid.node(3).kontena_json(&["etcd", "get", "/app/mode"]);
    assert_eq!(mode["value"], "night");
}

/// Containers, volumes and the data directory are gone, as on a new machine.
fn wipe(grid: &Grid, number: u8) {
    let node = grid.node(number);
    node.kill_daemon();
    for name in node.containers() {
        node.docker(&["rm", "--force", "--volumes", &name]);
    }
    std::fs::remove_dir_all(node.kontena_data()).expect("it was a node's");
}

fn restore(grid: &Grid, file: &str, code: &str, folder: &str) -> crate::support::Ran {
    grid.node(1).try_kontena(&[
        "grid",
        "restore",
        file,
        "--recovery-code-file",
        code,
        "--data-dir",
        folder,
    ])
}
