//! `volumes_from` on real engines: who mounts another's volumes runs beside it, sees its data, and follows it.

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::LATER;
use crate::support::settle::{Running, hosts_of};
use crate::support::{Grid, Node, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const SOURCE: &str = "shop/source";
const READER: &str = "shop/reader";

/// One writes to a volume without a name, as an image's own is; the other mounts what it has.
fn stack() -> String {
    format!(
        "\
stack: demo/shop
services:
  source:
    image: {BUSYBOX}
    command: sh -c 'cat /proc/sys/kernel/random/uuid > /data/id; sleep 100000'
    stop_signal: SIGKILL
    volumes:
      - /data
  reader:
    image: {BUSYBOX}
    command: sleep 100000
    stop_signal: SIGKILL
    volumes_from:
      - source-%s
"
    )
}

fn host_of(running: &Running, service: &str) -> u8 {
    *hosts_of(running, service).first().expect("it runs")
}

fn id_in(node: &Node<'_>, container: &str) -> Result<String, String> {
    node.try_docker(&["exec", container, "cat", "/data/id"])
}

/// Waits until the two run on one host, and the reader sees what the source wrote; gives that, and where.
fn is_beside(grid: &Grid) -> (u8, String) {
    let running = grid.settled(&ALL, &[(SOURCE, 1), (READER, 1)], LATER);
    let host = host_of(&running, SOURCE);
    assert_eq!(host_of(&running, READER), host);
    let node = grid.node(host);
    let id = eventually(LATER, "the reader to see what the source wrote", || {
        let written = id_in(&node, "shop.source-1")?;
        let read = id_in(&node, "shop.reader-1")?;
        match written == read {
            true => Ok(written),
            false => Err(format!("{written} and {read}")),
        }
    });
    (host, id)
}

#[test]
fn who_mounts_anothers_volumes_sees_its_data_and_follows_it() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    let (home, first) = is_beside(&grid);

    // Made anew, the source has another volume: so has the reader.
    let other = ALL.into_iter().find(|node| *node != home).expect("three");
    grid.node(other)
        .kontena(&["service", "deploy", "--force", SOURCE]);
    eventually(LATER, "another volume of the source", || {
        let now = id_in(&grid.node(home), "shop.source-1")?;
        seen(now != first, now)
    });
    let (stays, second) = is_beside(&grid);
    assert!(stays == home && second != first, "{first} and {second}");

    // It goes where the source goes.
    let name = grid.node(home).name();
    grid.node(other)
        .kontena(&["node", "update", "--availability", "drain", &name]);
    eventually(LATER, "the source to leave its host", || {
        let running = grid.running(&ALL)?;
        let hosts = hosts_of(&running, SOURCE);
        seen(!hosts.is_empty() && !hosts.contains(&home), hosts)
    });
    let (moved, _) = is_beside(&grid);
    assert_ne!(moved, home);

    // Whose volumes somebody mounts is not removed.
    grid.node(other)
        .try_kontena(&["service", "rm", "--force", SOURCE])
        .refused(1, &["reader"]);
}
