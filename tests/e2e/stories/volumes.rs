//! Data in volumes: it stays where it is, outlives everything but an order, and is bound before it is there.

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::{LATER, SOON};
use crate::support::settle::{Running, hosts_of};
use crate::support::{Grid, Node, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const DB: &str = "shop/db";
/// What Kontena called the copy of the first instance.
const COPY: &str = "shop.db.data-1";

fn stack(command: &str) -> String {
    format!(
        "\
stack: demo/shop
services:
  db:
    image: {BUSYBOX}
    command: {command}
    stop_signal: SIGKILL
    stateful: true
    volumes:
      - store:/data
volumes:
  store:
    external:
      name: data
"
    )
}

fn home(running: &Running) -> u8 {
    *hosts_of(running, DB).first().expect("it runs")
}

/// The Docker volumes of a host that are the grid's.
fn copies(node: &Node<'_>) -> Vec<String> {
    let listed = node.docker(&[
        "volume",
        "ls",
        "--filter",
        "label=io.kontena.volume.copy",
        "--format",
        "{{.Name}}",
    ]);
    listed.lines().map(str::to_owned).collect()
}

/// Whether no host but this one has a container of the grid.
fn runs_nowhere(grid: &Grid, holder: u8) -> bool {
    let mut others = ALL.into_iter().filter(|node| *node != holder);
    others.all(|node| grid.node(node).containers().is_empty())
}

fn read(node: &Node<'_>) -> Result<String, String> {
    node.try_docker(&["exec", "shop.db-1", "cat", "/data/rows"])
}

#[test]
fn data_stays_where_it_is_and_goes_only_by_order() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("kontena.yml", &stack("sleep 100000"));
    let early = grid.node(1).try_kontena(&["stack", "install", &file]);
    early.refused(
        1,
        &["`data`, which does not exist", "kontena volume create"],
    );
    grid.node(1)
        .kontena(&["volume", "create", "--scope", "instance", "data"]);
    grid.node(2).kontena(&["stack", "install", &file]);
    let running = grid.settled(&ALL, &[(DB, 1)], SOON);
    let holder = home(&running);
    let other = ALL.into_iter().find(|node| *node != holder).expect("two");
    grid.node(holder)
        .docker(&["exec", "shop.db-1", "sh", "-c", "echo first > /data/rows"]);
    assert_eq!(copies(&grid.node(holder)), [COPY]);

    // Every node says where it is, and who has it cannot lose it.
    let name = grid.node(holder).name();
    eventually(SOON, "the copy to be told everywhere", || {
        ALL.iter().try_for_each(|asked| {
            let shown = grid.node(*asked).try_json(&["volume", "show", "data"])?;
            let copy = &shown["instances"][0];
            seen(copy["name"] == COPY && copy["node"] == name.as_str(), shown)
        })
    });
    let refused = grid
        .node(other)
        .try_kontena(&["volume", "rm", "--force", "data"]);
    refused.refused(1, &["it is used by `shop/db`"]);

    // An update replaces the container, and not what is in its volume.
    let file = grid.write("kontena.yml", &stack("sleep 200000"));
    grid.node(other)
        .kontena(&["stack", "upgrade", "shop", &file]);
    let running = grid.settled(&ALL, &[(DB, 1)], SOON);
    assert_eq!(home(&running), holder);
    assert_eq!(read(&grid.node(holder)).as_deref(), Ok("first"));

    // Its host goes: nobody else starts it, and it is back with its data.
    grid.node(holder).kill();
    grid.offline(other, &[&name]);
    eventually(LATER, "the others to say why they wait", || {
        let why = grid.node(other).kontena(&["why", DB]);
        seen(why.contains(&format!("pinned to {name}")), why)
    });
    assert!(runs_nowhere(&grid, holder), "nobody else starts it");
    grid.node(holder).start();
    grid.node(holder).start_daemon();
    let running = grid.settled(&ALL, &[(DB, 1)], LATER);
    assert_eq!(home(&running), holder);
    assert_eq!(read(&grid.node(holder)).as_deref(), Ok("first"));

    // The stack goes and comes again: its data is where it was, and so is it.
    grid.node(other)
        .kontena(&["stack", "rm", "--force", "shop"]);
    grid.settled(&ALL, &[], SOON);
    assert_eq!(copies(&grid.node(holder)), [COPY]);
    grid.node(other).kontena(&["stack", "install", &file]);
    let running = grid.settled(&ALL, &[(DB, 1)], SOON);
    assert_eq!(home(&running), holder, "where its data is");
    assert_eq!(read(&grid.node(holder)).as_deref(), Ok("first"));

    // It is removed while its node is away, which does so once it is back.
    grid.node(other)
        .kontena(&["stack", "rm", "--force", "shop"]);
    grid.settled(&ALL, &[], SOON);
    grid.node(holder).kill_daemon();
    grid.node(other)
        .kontena(&["volume", "rm", "--force", "data"]);
    let listed = grid.node(other).kontena_json(&["volume", "ls"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(0), "{listed}");
    assert_eq!(copies(&grid.node(holder)), [COPY]);
    grid.node(holder).start_daemon();
    eventually(SOON, "the copy to be removed", || {
        let left = copies(&grid.node(holder));
        seen(left.is_empty(), left)
    });
}

#[test]
fn a_node_that_cannot_make_what_is_bound_to_it_gives_it_to_the_next_one() {
    let Some(grid) = Grid::up(3) else { return };
    // Something else has the port on two hosts, which nobody knows before the container is started.
    let listen = "busybox nc -l -p 8099 > /dev/null 2>&1 < /dev/null & echo $!";
    let listeners = [1, 2].map(|number| grid.node(number).run("sh", &["-c", listen]));
    grid.node(1)
        .kontena(&["volume", "create", "--scope", "instance", "data"]);
    let service = [
        "service",
        "create",
        "--stateful",
        "--volume",
        "data:/data",
        "--ports",
        "8099:80",
        "--cmd",
        "sleep 100000",
        "db",
        BUSYBOX,
    ];
    grid.node(3).kontena(&service);
    // The deploy itself may end with what the first of them said.
    grid.node(3).try_kontena(&["service", "deploy", "db"]);
    let running = grid.settled(&ALL, &[("db", 1)], LATER);
    assert_eq!(hosts_of(&running, "db").first(), Some(&3));
    let why = grid.node(1).kontena(&["why", "db"]);
    assert!(why.contains("pinned to node-3"), "{why}");

    // From now on it is there, whatever becomes of the node.
    grid.node(3).kill();
    grid.offline(1, &["node-3"]);
    assert!(runs_nowhere(&grid, 3), "nobody else starts it");
    grid.node(3).start();
    grid.node(3).start_daemon();
    let running = grid.settled(&ALL, &[("db", 1)], LATER);
    assert_eq!(hosts_of(&running, "db").first(), Some(&3));

    // Until a person gives up its data: while the node is cut off there are two of it, and then one.
    grid.node(1).run("kill", &[listeners[0].trim()]);
    grid.lab.cut(3);
    grid.offline(1, &["node-3"]);
    let force = ["service", "force-move", "--node", "node-1", "db"];
    let refused = grid.node(2).try_kontena(&force);
    refused.refused(1, &["is on node `node-3` and stays there", "--data-loss"]);
    let force = [&force[..], &["--data-loss"]].concat();
    grid.node(2).kontena(&force);
    eventually(SOON, "it to run on both sides", || {
        let both = [1, 3].map(|number| grid.node(number).containers());
        seen(both.iter().all(|names| names == &["db-1"]), &both)
    });
    grid.lab.heal(3);
    let running = grid.settled(&ALL, &[("db", 1)], LATER);
    assert_eq!(hosts_of(&running, "db").first(), Some(&1));
    for number in [1, 3] {
        assert_eq!(
            copies(&grid.node(number)),
            ["db.data-1"],
            "kept for a person"
        );
    }

    // Who decides that the old one goes.
    let discard = |from: &str| {
        let asked = ["volume", "discard", "--force", "--node", from, "db.data-1"];
        grid.node(2).try_kontena(&asked)
    };
    discard("node-1").refused(1, &["it is the data of `db-1`"]);
    eventually(SOON, "the old copy to be removed", || {
        let ran = discard("node-3");
        seen(ran.status.success(), &ran)
    });
    assert_eq!(copies(&grid.node(3)), [""; 0]);
    assert_eq!(copies(&grid.node(1)), ["db.data-1"]);
}
