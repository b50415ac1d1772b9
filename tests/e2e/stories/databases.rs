//! A database that is written to all the while, from every host: what it has said that it has, it has.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::source::demo::images::{BUSYBOX, REDIS};
use crate::support::grid::{LATER, SOON};
use crate::support::settle::hosts_of;
use crate::support::{Grid, Node, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const WANTED: [(&str, usize); 2] = [("shop/db", 1), ("shop/writer", 3)];
const COPY: &str = "shop.db.data-1";

/// A writer notes each row that the database has answered for, and no other.
const WRITE: &str = "sh -c 'life=$$(date +%s); n=0; while :; do n=$$((n + 1)); row=$$HOSTNAME.$$life.$$n; \
answer=$$( (printf \"RPUSH rows $$row\\r\\n\"; sleep 0.05) | timeout 2 nc db 6379 ); \
case $$answer in :*) echo $$row >> /noted/$$HOSTNAME;; *) sleep 0.1;; esac; done'";

/// The database is on the disk before it answers.
fn stack(noted: &str) -> String {
    format!(
        "\
stack: demo/shop
services:
  db:
    image: {REDIS}
    command: redis-server --protected-mode no --dir /data --appendonly yes --appendfsync always
    stateful: true
    volumes:
      - store:/data
    deploy:
      wait_for_port: 6379
  writer:
    image: {BUSYBOX}
    command: {WRITE}
    stop_signal: SIGKILL
    volumes:
      - {noted}:/noted
    deploy:
      strategy: daemon
volumes:
  store:
    external:
      name: data
"
    )
}

struct Written {
    grid: Grid,
    noted: PathBuf,
}

impl Written {
    fn begin() -> Option<Self> {
        let grid = Grid::up(3)?;
        let noted = grid.lab.directory().join("noted");
        fs::create_dir_all(&noted).expect("a folder can be made");
        grid.node(1)
            .kontena(&["volume", "create", "--scope", "instance", "data"]);
        let file = grid.write("kontena.yml", &stack(&noted.display().to_string()));
        grid.node(1).kontena(&["stack", "install", &file]);
        grid.settled(&ALL, &WANTED, SOON);
        Some(Self { grid, noted })
    }

    fn home(&self) -> u8 {
        let running = self.grid.settled(&ALL, &WANTED, LATER);
        *hosts_of(&running, "shop/db").first().expect("it runs")
    }

    /// The rows that writers were told to be there.
    fn noted(&self) -> BTreeSet<String> {
        let files = fs::read_dir(&self.noted).expect("it is there");
        let texts = files.map(|file| fs::read_to_string(file.expect("a file").path()));
        let texts: Vec<String> = texts.collect::<Result<_, _>>().expect("it can be read");
        let rows = texts.iter().flat_map(|text| text.lines());
        rows.map(str::to_owned).collect()
    }

    /// Waits until so many more rows were answered for.
    fn writes_on(&self, more: usize) {
        let before = self.noted().len();
        eventually(LATER, "rows to be written", || {
            let now = self.noted().len();
            seen(now >= before + more, (before, now))
        });
    }

    /// Every row that was noted before it is asked is there.
    fn has_all(&self, home: u8) {
        let noted = self.noted();
        let rows = rows(&self.grid.node(home));
        let lost: Vec<&String> = noted.difference(&rows).take(10).collect();
        assert!(
            lost.is_empty(),
            "of {} rows noted and {} there: {lost:?}",
            noted.len(),
            rows.len()
        );
    }
}

fn rows(node: &Node<'_>) -> BTreeSet<String> {
    let asked = [
        "exec",
        "shop.db-1",
        "redis-cli",
        "LRANGE",
        "rows",
        "0",
        "-1",
    ];
    let rows = node.docker(&asked);
    rows.lines().map(str::to_owned).collect()
}

#[test]
fn no_row_that_a_database_has_answered_for_is_lost() {
    let Some(written) = Written::begin() else {
        return;
    };
    let grid = &written.grid;
    let home = written.home();
    let name = grid.node(home).name();
    let other = ALL.into_iter().find(|node| *node != home).expect("two");
    written.writes_on(30);
    written.has_all(home);

    // Cut off with its host it goes on for whoever is there, and nobody else starts it.
    grid.lab.cut(home);
    grid.offline(other, &[&name]);
    written.writes_on(10);
    for node in ALL.into_iter().filter(|node| *node != home) {
        let names = grid.node(node).containers();
        assert!(!names.contains(&"shop.db-1".to_owned()), "{names:?}");
    }
    grid.lab.heal(home);
    assert_eq!(written.home(), home);
    written.writes_on(30);
    written.has_all(home);

    // Its host loses power and comes back.
    grid.node(home).kill();
    grid.offline(other, &[&name]);
    grid.node(home).start();
    grid.node(home).start_daemon();
    assert_eq!(written.home(), home);
    written.writes_on(30);
    written.has_all(home);

    // At rest a backup has all of it, and brings it to another grid.
    grid.node(other).kontena(&["service", "stop", "shop/db"]);
    eventually(SOON, "it to stop", || {
        let names = grid.node(home).containers();
        seen(!names.contains(&"shop.db-1".to_owned()), names)
    });
    let noted = written.noted();
    grid.node(other)
        .shell(&format!("kontena volume backup {COPY} > $T/db.tar"));
    let tar = fs::read(grid.node(other).disk().join("db.tar")).expect("it was written");
    drop(written);
    come_back_elsewhere(&tar, &noted);
}

fn come_back_elsewhere(tar: &[u8], noted: &BTreeSet<String>) {
    let Some(written) = Written::begin() else {
        return;
    };
    let grid = &written.grid;
    let home = written.home();
    let node = grid.node(home % 3 + 1);
    node.kontena(&["service", "stop", "shop/db"]);
    eventually(SOON, "it to stop", || {
        let names = grid.node(home).containers();
        seen(!names.contains(&"shop.db-1".to_owned()), names)
    });
    fs::write(node.disk().join("db.tar"), tar).expect("it can be written");
    node.shell(&format!(
        "kontena volume restore --force {COPY} < $T/db.tar"
    ));
    fs::remove_dir_all(&written.noted).expect("what was noted of another database can go");
    fs::create_dir_all(&written.noted).expect("a folder can be made");
    node.kontena(&["service", "start", "shop/db"]);
    assert_eq!(written.home(), home);
    let rows = rows(&grid.node(home));
    assert!(noted.is_subset(&rows), "{} of {}", rows.len(), noted.len());
}
