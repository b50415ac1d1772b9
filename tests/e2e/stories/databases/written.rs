//! A grid with one database and a writer on each host, and the rows that there have to be.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::support::grid::{LATER, SOON};
use crate::support::settle::hosts_of;
use crate::support::{Grid, Lab, Node, eventually, say, seen};

pub(super) const DB: &str = "shop/db";
/// What the database has, and what it puts aside for a backup.
pub(super) const COPY: &str = "shop.db.data-1";
pub(super) const ASIDE: &str = "shop.db.aside-1";
const CONTAINER: &str = "shop.db-1";

/// What one database has of its own.
#[derive(Clone, Copy)]
pub(super) struct Database {
    pub(super) image: &'static str,
    /// Gives the image to the engines, where they have not got it like all others.
    pub(super) bring: fn(&Lab),
    /// It keeps its data in `/data`, and has what it answers for on the disk.
    pub(super) command: &'static str,
    pub(super) stop_signal: &'static str,
    pub(super) port: u16,
    /// How it puts a whole copy aside, in `/aside`, while it is written to.
    pub(super) aside: Option<Aside>,
    pub(super) writer: Writer,
    /// A command in its container that prints each row on a line of its own.
    pub(super) rows: &'static [&'static str],
}

/// Shell commands in its container.
#[derive(Clone, Copy)]
pub(super) struct Aside {
    pub(super) put: &'static str,
    pub(super) remove: &'static str,
}

/// Shell commands in a container beside it, where the database is called `db`.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    pub(super) image: &'static str,
    /// Succeeds once rows have a place.
    pub(super) begin: &'static str,
    /// Succeeds where the database has answered that it has `$row`, and only there.
    pub(super) write: &'static str,
}

impl Database {
    fn stack(&self, script: &str, noted: &str) -> String {
        let Self {
            image,
            command,
            stop_signal,
            port,
            ..
        } = self;
        let writer = self.writer.image;
        let (mount, hooks, volume) = self.aside.map(|aside| aside.lines()).unwrap_or_default();
        format!(
            "\
stack: demo/shop
services:
  db:
    image: {image}
    command: {command}
    stop_signal: {stop_signal}
    stateful: true
    volumes:
      - store:/data
{mount}{hooks}    deploy:
      wait_for_port: {port}
  writer:
    image: {writer}
    command: sh /write
    stop_signal: SIGKILL
    volumes:
      - {script}:/write
      - {noted}:/noted
    deploy:
      strategy: daemon
volumes:
  store:
    external:
      name: data
{volume}"
        )
    }
}

impl Aside {
    /// Lines of the service's volumes, of its hooks, and of the stack's volumes.
    fn lines(self) -> (String, String, String) {
        let Self { put, remove } = self;
        let hooks = format!(
            "    hooks:
      pre_backup: [{{name: put-aside, cmd: '{put}'}}]
      post_backup: [{{name: remove, cmd: '{remove}'}}]
"
        );
        let mount = "      - aside:/aside\n".to_owned();
        let volume = "  aside:\n    external: true\n".to_owned();
        (mount, hooks, volume)
    }
}

impl Writer {
    /// Notes each row that the database has answered for, and no other. No two writers, and no two lives of one, write
    /// the same.
    fn script(&self) -> String {
        let Self { begin, write, .. } = self;
        format!(
            "\
life=$(date +%s)
n=0
until {begin}; do sleep 0.1; done
while :; do
  n=$((n + 1))
  row=$HOSTNAME.$life.$n
  if {write}; then echo $row >>/noted/$HOSTNAME; else sleep 0.1; fi
done
"
        )
    }
}

/// A grid on whose hosts it is written.
pub(super) struct Written {
    pub(super) grid: Grid,
    database: Database,
    hosts: u8,
    noted: PathBuf,
}

impl Written {
    /// On a new grid of so many hosts. `None`, with a message, for anybody but root.
    pub(super) fn begin(database: Database, hosts: u8) -> Option<Self> {
        Some(Self::on(database, Grid::up(hosts)?, hosts))
    }

    pub(super) fn on(database: Database, grid: Grid, hosts: u8) -> Self {
        (database.bring)(&grid.lab);
        let noted = grid.lab.directory().join("noted");
        fs::create_dir_all(&noted).expect("a folder can be made");
        for volume in ["data", "aside"] {
            grid.node(1)
                .kontena(&["volume", "create", "--scope", "instance", volume]);
        }
        let script = grid.write("write", &database.writer.script());
        let stack = database.stack(&script, &noted.display().to_string());
        let file = grid.write("kontena.yml", &stack);
        grid.node(1).kontena(&["stack", "install", &file]);
        let this = Self {
            grid,
            database,
            hosts,
            noted,
        };
        this.home();
        this
    }

    pub(super) fn hosts(&self) -> Vec<u8> {
        (1..=self.hosts).collect()
    }

    /// The hosts but the database's.
    pub(super) fn others(&self, home: u8) -> Vec<u8> {
        let hosts = self.hosts().into_iter();
        hosts.filter(|host| *host != home).collect()
    }

    /// The host that has the database, once everything runs as it should.
    #[track_caller]
    pub(super) fn home(&self) -> u8 {
        let wanted = [(DB, 1), ("shop/writer", usize::from(self.hosts))];
        let running = self.grid.settled(&self.hosts(), &wanted, LATER);
        *hosts_of(&running, DB).first().expect("it runs")
    }

    /// The rows that writers were told to be there.
    pub(super) fn noted(&self) -> BTreeSet<String> {
        let files = fs::read_dir(&self.noted).expect("it is there");
        let texts = files.map(|file| fs::read_to_string(file.expect("a file").path()));
        let texts: Vec<String> = texts.collect::<Result<_, _>>().expect("it can be read");
        let rows = texts.iter().flat_map(|text| text.lines());
        rows.map(str::to_owned).collect()
    }

    /// What was noted is of another database than the one that is there now.
    pub(super) fn forget(&self) {
        for file in fs::read_dir(&self.noted).expect("it is there") {
            fs::remove_file(file.expect("a file").path()).expect("it can go");
        }
    }

    /// Waits until so many more rows were answered for.
    #[track_caller]
    pub(super) fn writes_on(&self, more: usize) {
        let before = self.noted().len();
        eventually(LATER, "rows to be written", || {
            let now = self.noted().len();
            seen(now >= before + more, (before, now))
        });
    }

    /// The rows that there are.
    #[track_caller]
    pub(super) fn rows(&self, home: u8) -> BTreeSet<String> {
        let asked = [&["exec", CONTAINER][..], self.database.rows].concat();
        let rows = self.grid.node(home).docker(&asked);
        rows.lines().map(str::to_owned).collect()
    }

    /// Those of `noted` that are not there.
    #[track_caller]
    pub(super) fn lost(&self, home: u8, noted: &BTreeSet<String>) -> Vec<String> {
        let rows = self.rows(home);
        let lost: Vec<String> = noted.difference(&rows).cloned().collect();
        let counts = (noted.len(), rows.len(), lost.len());
        say(&format!("rows noted, there, and lost: {counts:?}"));
        lost
    }

    /// Every row that was noted before it is asked is there.
    #[track_caller]
    pub(super) fn has_all(&self, home: u8) {
        self.has(home, &self.noted());
    }

    #[track_caller]
    pub(super) fn has(&self, home: u8, noted: &BTreeSet<String>) {
        let lost = self.lost(home, noted);
        let some = &lost[..lost.len().min(10)];
        assert!(
            lost.is_empty(),
            "{} of {}: {some:?}",
            lost.len(),
            noted.len()
        );
    }

    /// What is powered on again has its database again, which is written to.
    #[track_caller]
    pub(super) fn comes_back(&self, home: u8) {
        self.grid.node(home).start();
        self.grid.node(home).start_daemon();
        assert_eq!(self.home(), home);
        self.writes_on(30);
    }

    /// Stops the database; its writers ask on.
    #[track_caller]
    pub(super) fn stop(&self, asked: &Node<'_>, home: u8) {
        asked.kontena(&["service", "stop", DB]);
        eventually(SOON, "it to stop", || self.runs_not_on(home));
    }

    pub(super) fn runs_not_on(&self, host: u8) -> Result<(), String> {
        let names = self.grid.node(host).containers();
        seen(!names.contains(&CONTAINER.to_owned()), names)
    }

    #[track_caller]
    pub(super) fn runs_on(&self, host: u8) -> bool {
        self.runs_not_on(host).is_err()
    }
}
