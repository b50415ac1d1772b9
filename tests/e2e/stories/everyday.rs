//! A stack, asked for at one node and seen at all; a node that is lost, and one that returns.

use std::time::Duration;

use crate::source::demo::images::{BUSYBOX, REDIS, WEB};
use crate::support::grid::{LATER, SOON};
use crate::support::settle::{Running, hosts_of, none_restarted};
use crate::support::{Grid, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const SHOP: [(&str, usize); 4] = [
    ("shop/api", 4),
    ("shop/greeter", 3),
    ("shop/redis", 1),
    ("shop/web", 2),
];

#[test]
fn a_lost_node_is_replaced_and_welcome_when_it_returns() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("kontena.yml", &shop());
    grid.node(2).kontena(&["stack", "install", &file]);
    let running = grid.settled(&ALL, &SHOP, SOON);
    every_node_says_the_same(&grid);
    logs_are_read_through_every_node(&grid, &running);
    commands_keep_their_contract(&grid);
    pages_answer(&grid, &running);

    // Cut off first: a killed host that closes its connections tells the others by that.
    let lost = *hosts_of(&running, "shop/web").first().expect("web runs");
    let left = others(lost);
    grid.lab.cut(lost);
    grid.node(lost).kill();
    let replaced = grid.settled(&left, &SHOP, LATER);
    none_restarted(&running, &replaced, &left);
    pages_answer(&grid, &replaced);
    grid.node(lost).start();
    grid.node(lost).start_daemon();
    grid.lab.heal(lost);
    let returned = grid.settled(&ALL, &SHOP, LATER);
    none_restarted(&replaced, &returned, &left);
    every_node_says_the_same(&grid);

    // The power alone, of the node that the stack was installed through or another that runs redis.
    let lost = *hosts_of(&returned, "shop/redis")
        .first()
        .expect("redis runs");
    let left = others(lost);
    grid.node(lost).kill();
    let replaced = grid.settled(&left, &SHOP, LATER);
    none_restarted(&returned, &replaced, &left);
    grid.node(lost).start();
    grid.node(lost).start_daemon();
    let returned = grid.settled(&ALL, &SHOP, LATER);
    none_restarted(&replaced, &returned, &left);
    pages_answer(&grid, &returned);
}

fn others(lost: u8) -> Vec<u8> {
    ALL.into_iter().filter(|node| *node != lost).collect()
}

fn every_node_says_the_same(grid: &Grid) {
    for question in [
        &["grid", "show"][..],
        &["grid", "ls"],
        &["node", "ls"],
        &["service", "ls"],
        &["stack", "ls"],
        &["stack", "show", "shop"],
        &["service", "show", "shop/web"],
        &["why", "shop/web"],
        &["why", "shop/api", "--instance", "3"],
        &["token", "ls"],
    ] {
        grid.same_answer(&ALL, question);
    }
    for node in ALL {
        let text = grid.node(node).kontena(&["service", "ls"]);
        assert!(text.contains("shop/web") && text.contains("2"), "{text}");
    }
}

fn logs_are_read_through_every_node(grid: &Grid, running: &Running) {
    let home = hosts_of(running, "shop/redis");
    assert_eq!(home.len(), 1, "somebody else must ask for its logs");
    for node in ALL {
        let logs = || {
            let logs = grid.node(node).kontena(&["service", "logs", "shop/redis"]);
            seen(logs.contains("Ready to accept connections"), logs)
        };
        eventually(SOON, "redis' logs", logs);
        let logs = || {
            let logs = grid.node(node).kontena(&["stack", "logs", "shop"]);
            let greeted =
                (1..=3).all(|number| logs.contains(&format!("greeter-{number} says hello")));
            seen(greeted && logs.contains("shop.redis-1"), logs)
        };
        eventually(SOON, "everybody's logs", logs);
        let one = [
            "service",
            "logs",
            "shop/greeter",
            "--instance",
            "2",
            "--tail",
            "1",
        ];
        let one = grid.node(node).kontena(&one);
        assert!(
            one.contains("greeter-2 says hello") && one.lines().count() == 1,
            "{one}"
        );
    }
}

fn commands_keep_their_contract(grid: &Grid) {
    let node = grid.node(3);
    let before = grid.same_answer(&ALL, &["service", "ls"]);
    let ask = |arguments: &[&str]| node.try_kontena(arguments);
    ask(&["service", "show", "shop/nothing"]).refused(1, &["error: ", "`shop/nothing`"]);
    ask(&["node", "show", "nobody"]).refused(1, &["error: ", "`nobody`"]);
    ask(&["stack", "show", "nothing"]).refused(1, &["error: ", "`nothing`"]);
    ask(&["why", "shop/nothing"]).refused(1, &["error: "]);
    for usage in [
        &["service", "scale", "shop/web", "many"][..],
        &["service", "create", "lonely"],
        &["nonsense"],
        &["stack", "ls", "--nonsense"],
        &["node", "update", "node-1", "--availability", "perhaps"],
    ] {
        ask(usage).refused(2, &["error: "]);
    }
    for dangerous in [
        &["service", "rm", "shop/web"][..],
        &["stack", "rm", "shop"],
        &["node", "rm", "node-1"],
        &["leave"],
    ] {
        ask(dangerous).refused(1, &["no terminal", "--force"]);
    }
    ask(&["service", "create", "shop", "--instances", "0x2", WEB]).refused(2, &["error: "]);
    let file = grid.write(
        "wrong.yml",
        "stack: demo/wrong\nservices:\n  a:\n    imagine: b\n",
    );
    ask(&["stack", "install", &file]).refused(1, &["wrong.yml:4:5", "imagine"]);
    ask(&["--grid", "another", "service", "ls"]).refused(1, &["`another`"]);
    assert_eq!(
        grid.same_answer(&ALL, &["service", "ls"]),
        before,
        "nothing changed"
    );

    let ran = ask(&["service", "ls", "--json"]);
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:#?}");
    let version = ask(&["version"]);
    assert_eq!(version.status.code(), Some(0));
    let nobody = ["--socket", "/run/nobody.sock", "node", "ls"];
    ask(&nobody).refused(1, &["error: ", "/run/nobody.sock"]);
}

fn pages_answer(grid: &Grid, running: &Running) {
    for host in hosts_of(running, "shop/web") {
        let page = || {
            let page = grid.lab.get(host, 8080)?;
            seen(page.contains(&format!("on node-{host}")), page)
        };
        eventually(Duration::from_secs(20), "the web page", page);
    }
}

fn shop() -> String {
    format!(
        "\
stack: demo/shop
version: 0.1.0
services:
  web:
    image: {WEB}
    instances: 2
    ports:
      - 8080:80
    links:
      - api
    deploy:
      strategy: ha
      wait_for_port: 80
  api:
    image: {WEB}
    instances: 4
    links:
      - redis
    deploy:
      wait_for_port: 80
  redis:
    image: {REDIS}
    deploy:
      wait_for_port: 6379
  greeter:
    image: {BUSYBOX}
    instances: 3
    command: sh -c \"echo `hostname` says hello; exec sleep 100000\"
    stop_signal: SIGKILL
"
    )
}
