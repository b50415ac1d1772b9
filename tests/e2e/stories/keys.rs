//! The key-value store: written on one host, read by containers of others, whatever befalls the hosts.

use serde_json::Value;

use crate::support::grid::{LATER, SOON};
use crate::support::talk::{Asker, app, stack};
use crate::support::{Grid, Node, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];

/// Where a container finds the store of its own node. What is static in the image finds no name by itself.
const STORE: &str = "store=$(busybox nslookup etcd.kontena.local | sed -n 's/^Address: *//p' | tail -n 1); \
                     url=http://$store:2379/v2/keys";

#[test]
fn keys_are_the_same_for_containers_of_all_nodes_and_outlive_cuts_and_restarts() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    grid.settled(&ALL, &app(3), SOON);

    // One host writes, containers of all of them read, each on its own node.
    grid.node(1).kontena(&["etcd", "set", "/app/mode", "schön"]);
    for number in ALL {
        eventually(SOON, "the key to be found by a container", || {
            let read = get(&grid.node(number), "/app/mode")?;
            seen(read["node"]["value"] == "schön", read)
        });
    }

    // A container waits for what a container of another host writes.
    let told = std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| get(&grid.node(2), "/queue?wait=true&recursive=true&waitIndex=1"));
        let appended = post(&grid.node(3), "/queue", "value=job");
        assert_eq!(appended["action"], "create", "{appended}");
        waiting.join().expect("it waits")
    });
    let told = told.expect("it is told");
    assert_eq!(told["node"]["value"], "job", "{told}");

    // Both sides of a cut go on, and have all of it afterwards.
    grid.lab.cut(3);
    grid.offline(1, &["node-3"]);
    grid.node(1).kontena(&["etcd", "set", "/side/large", "1"]);
    grid.node(1)
        .kontena(&["etcd", "rm", "--force", "/app/mode"]);
    let alone = post(&grid.node(3), "/side/small", "value=3");
    assert_eq!(alone["action"], "create", "{alone}");
    let old = get(&grid.node(3), "/app/mode").expect("it has not heard of the removal");
    assert_eq!(old["node"]["value"], "schön");
    grid.lab.heal(3);
    eventually(LATER, "all to have the keys of both sides", || {
        let lists = ALL.map(|number| list(&grid.node(number), "/"));
        let of_both = |list: &Vec<String>| {
            let sides = list.iter().filter(|key| key.starts_with("/side/"));
            sides.count() == 2 && !list.contains(&"/app/mode".to_owned())
        };
        seen(
            lists.iter().all(of_both) && lists.windows(2).all(|two| two[0] == two[1]),
            &lists,
        )
    });

    // What was answered is on the disk.
    let before = list(&grid.node(2), "/");
    grid.node(2).kill_daemon();
    grid.node(2).start_daemon();
    eventually(SOON, "the keys to be there after a restart", || {
        let now = list(&grid.node(2), "/");
        seen(now == before, now)
    });
    eventually(SOON, "a container to find the store again", || {
        get(&grid.node(2), "/side/large")
    });

    // What is to last for a while ends everywhere, and what is removed is gone everywhere.
    grid.node(1)
        .kontena(&["etcd", "set", "--ttl", "3", "/alive", "yes"]);
    grid.node(3)
        .kontena(&["etcd", "rm", "--recursive", "--force", "/side"]);
    eventually(SOON, "the keys to be gone", || {
        let lists = ALL.map(|number| list(&grid.node(number), "/"));
        let is_gone = |list: &Vec<String>| {
            !list
                .iter()
                .any(|key| key.starts_with("/alive") || key.starts_with("/side"))
        };
        seen(lists.iter().all(is_gone), &lists)
    });
    let missing = grid.node(2).try_kontena(&["etcd", "get", "/side/large"]);
    missing.refused(1, &["there is no key `/side/large`"]);

    // Whether nodes keep keys is said, and by the exit code too.
    let health = grid.node(1).kontena_json(&["etcd", "health"]);
    assert_eq!(
        health["nodes"].as_array().map(Vec::len),
        Some(3),
        "{health}"
    );
    grid.node(3).kill_daemon();
    eventually(LATER, "a node that is down to be told", || {
        let ran = grid.node(1).try_kontena(&["etcd", "health"]);
        seen(!ran.status.success() && ran.stdout.contains("node-3"), ran)
    });
    // Beside all that, no host but its containers' network is served.
    let outside = format!("http://{}:2379/version", grid.node(1).address());
    let refused = grid.node(2).run(
        "sh",
        &[
            "-c",
            &format!("timeout 3 busybox wget -qO- {outside} 2>&1 || true"),
        ],
    );
    assert!(!refused.contains("etcdserver"), "{refused}");
}

/// What the box of a node is answered.
fn get(node: &Node<'_>, key: &str) -> Result<Value, String> {
    asked(
        node,
        &format!("timeout 60 busybox wget -qO- \"$url{key}\" 2>&1"),
    )
}

#[track_caller]
fn post(node: &Node<'_>, key: &str, form: &str) -> Value {
    eventually(SOON, "a container to be answered", || {
        asked(
            node,
            &format!("timeout 20 busybox wget -qO- --post-data '{form}' \"$url{key}\" 2>&1"),
        )
    })
}

fn asked(node: &Node<'_>, script: &str) -> Result<Value, String> {
    let text = Asker::Box(node.clone()).run(&format!("{STORE}; {script}"))?;
    serde_json::from_str(&text).map_err(|problem| format!("{problem} in {text}"))
}

/// All keys that a node lists; none while it does not answer.
fn list(node: &Node<'_>, key: &str) -> Vec<String> {
    let answer = node.try_json(&["etcd", "ls", "-r", key]);
    let children = answer.ok().and_then(|answer| answer.as_array().cloned());
    let keys = children.unwrap_or_default().into_iter();
    keys.filter_map(|child| child["key"].as_str().map(str::to_owned))
        .collect()
}
