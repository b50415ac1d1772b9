//! No power anywhere, and one node that gets it back before the others.

use crate::source::demo::images::{REDIS, WEB};
use crate::support::grid::{LATER, SOON};
use crate::support::settle::hosts_of;
use crate::support::{Grid, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const WANTED: [(&str, usize); 2] = [("app", 5), ("store", 1)];

#[test]
fn one_node_alone_starts_what_it_held_and_data_stays_where_it_is() {
    let Some(grid) = Grid::up(3) else { return };
    let create = [
        "service",
        "create",
        "app",
        WEB,
        "--instances",
        "5",
        "--deploy-wait-for-port",
        "80",
    ];
    grid.node(1).kontena(&create);
    let create = [
        "service",
        "create",
        "store",
        REDIS,
        "--stateful",
        "--volume",
        "/data",
        "--deploy-wait-for-port",
        "6379",
        "--cmd",
        "redis-server --dir /data --appendonly yes --appendfsync always --protected-mode no",
    ];
    grid.node(2).kontena(&create);
    for service in ["app", "store"] {
        grid.node(3).kontena(&["service", "deploy", service]);
    }
    let before = grid.settled(&ALL, &WANTED, SOON);
    let home = *hosts_of(&before, "store").first().expect("the store runs");
    let redis = |command: &[&str]| {
        let exec = [&["exec", &before["store-1"].id, "redis-cli"][..], command].concat();
        grid.node(home).docker(&exec)
    };
    assert_eq!(redis(&["set", "answer", "42"]), "OK");

    // All cables first, so that nobody sees another go.
    ALL.iter().for_each(|node| grid.lab.cut(*node));
    ALL.iter().for_each(|node| grid.node(*node).kill());
    ALL.iter().for_each(|node| grid.lab.heal(*node));

    // The one with the data, so that it is seen that data is enough.
    grid.node(home).start();
    grid.node(home).start_daemon();
    let held: Vec<String> = before
        .iter()
        .filter(|(_, container)| container.host == home)
        .map(|(instance, _)| instance.clone())
        .collect();
    eventually(SOON, "what it held to run again", || {
        let running = grid.running(&[home])?;
        let names: Vec<String> = running.keys().cloned().collect();
        seen(names == held, (names, &held))
    });
    let listed = grid.node(home).kontena(&["service", "ls"]);
    assert!(
        listed.contains("app") && listed.contains("store"),
        "{listed}"
    );
    let changed =
        grid.node(home)
            .try_kontena(&["service", "update", "--env", "ALONE=yes", "store"]);
    assert!(changed.status.success(), "it takes commands: {changed:#?}");

    for node in ALL.into_iter().filter(|node| *node != home) {
        grid.node(node).start();
        grid.node(node).start_daemon();
    }
    grid.all_online(&ALL);
    grid.node(1).kontena(&["service", "deploy", "store"]);
    let after = grid.settled(&ALL, &WANTED, LATER);
    assert_eq!(after["store-1"].host, home, "data does not move");
    let exec = ["exec", &after["store-1"].id, "redis-cli", "get", "answer"];
    eventually(SOON, "the data", || {
        let answer = grid.node(home).try_docker(&exec)?;
        seen(answer == "42", answer)
    });
}
