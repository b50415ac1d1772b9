//! A singleton under a lease: whoever had it never writes after the next one has begun, nor when its lease is over.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::LATER;
use crate::support::{Grid, Node, eventually, seen};

const ALL: [u8; 4] = [1, 2, 3, 4];
const LEADER: &str = "shop/leader";
/// A holder is absent first, then its lease is over at the witnesses, then another one asks, starts and writes.
const TAKEN_OVER: Duration = Duration::from_secs(150);
/// What a holder may count on after it asked last, in seconds ([leases](docs/design/leases.md)).
const USABLE: f64 = 19.0;

/// It writes to something outside that both would reach: every line has its token, its host, and how long the kernel is up.
/// It ignores the polite signal.
fn stack(grid: &Grid) -> String {
    let names: Vec<String> = (1..=3).map(|number| grid.node(number).name()).collect();
    let program = "trap \"\" TERM; while true; do read up rest < /proc/uptime; \
         echo \"$$KONTENA_FENCE $$KONTENA_NODE_NAME $$up\" >> /out/lines; sleep 0.05; done";
    format!(
        "\
stack: demo/shop
services:
  leader:
    image: {BUSYBOX}
    command: sh -c '{program}'
    volumes:
      - {}:/out
    deploy:
      singleton: lease
      witnesses: [{}]
",
        out(grid).display(),
        names.join(", ")
    )
}

fn out(grid: &Grid) -> PathBuf {
    grid.lab.directory().join("out")
}

/// One line that the program wrote.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    token: u64,
    host: String,
    at: f64,
}

fn lines(grid: &Grid) -> Vec<Line> {
    let text = fs::read_to_string(out(grid).join("lines")).unwrap_or_default();
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole.map(read).collect()
}

fn read(line: &str) -> Line {
    let mut parts = line.split_whitespace();
    let mut next = || {
        parts
            .next()
            .unwrap_or_else(|| panic!("`{line}` is no line"))
    };
    let token = next().parse().expect("a token is a number");
    let host = next().to_owned();
    let at = next().parse().expect("a time is a number");
    Line { token, host, at }
}

/// No line of an earlier holder stands behind one of a later holder, and no two hosts have one token.
fn are_in_order(grid: &Grid) {
    let lines = lines(grid);
    for pair in lines.windows(2) {
        let [before, after] = pair else { continue };
        assert!(before.token <= after.token, "{after:?} after {before:?}");
        let is_handed_over = before.host != after.host;
        assert!(!is_handed_over || before.token < after.token, "{pair:?}");
    }
}

fn uptime() -> f64 {
    let text = fs::read_to_string("/proc/uptime").expect("Linux has it");
    let first = text.split_whitespace().next().expect("two numbers");
    first.parse().expect("a number")
}

struct Story<'a> {
    grid: &'a Grid,
    home: u8,
}

impl Story<'_> {
    fn number_of(&self, name: &str) -> u8 {
        let mut all = ALL.into_iter();
        all.find(|number| self.grid.node(*number).name() == name)
            .unwrap_or_else(|| panic!("{name} is a host"))
    }

    /// Waits until another host than before writes.
    fn is_taken_over(&mut self) {
        let before = self.grid.node(self.home).name();
        let count = lines(self.grid).len();
        let next = eventually(TAKEN_OVER, "another host to write", || {
            let lines = lines(self.grid);
            let new = lines[count..].iter().find(|line| line.host != before);
            new.map(|line| line.host.clone())
                .ok_or_else(|| format!("{:?}", lines.last()))
        });
        self.home = self.number_of(&next);
        are_in_order(self.grid);
    }

    fn goes_on(&self) {
        let host = self.grid.node(self.home).name();
        let count = lines(self.grid).len();
        eventually(LATER, "it to go on", || {
            let lines = lines(self.grid);
            let goes_on = lines.len() > count + 20;
            seen(
                goes_on && lines.iter().skip(count).all(|line| line.host == host),
                lines.last(),
            )
        });
        are_in_order(self.grid);
    }

    /// The last line that a host wrote.
    fn last_of(&self, number: u8) -> f64 {
        let name = self.grid.node(number).name();
        let lines = lines(self.grid);
        let its = lines.iter().rev().find(|line| line.host == name);
        its.map_or(0.0, |line| line.at)
    }

    /// From when it asked last it had so long: what asked before, and wrote since, broke its word.
    fn wrote_nothing_late(&self, number: u8, asked: f64) {
        let last = self.last_of(number);
        assert!(
            last <= asked + USABLE,
            "{last} is after {asked} and {USABLE} s"
        );
    }

    fn node(&self, number: u8) -> Node<'_> {
        self.grid.node(number)
    }
}

fn begin(grid: &Grid) -> Story<'_> {
    fs::create_dir(out(grid)).expect("the lab has a directory");
    let file = grid.write("kontena.yml", &stack(grid));
    grid.node(2).kontena(&["stack", "install", &file]);
    let first = eventually(LATER, "its first line", || {
        lines(grid)
            .first()
            .cloned()
            .ok_or_else(|| "none".to_owned())
    });
    let mut story = Story { grid, home: 1 };
    story.home = story.number_of(&first.host);
    story.goes_on();
    story
}

#[test]
fn a_paused_or_killed_or_cut_off_holder_never_writes_after_its_lease_is_over() {
    let Some(grid) = Grid::up(4) else { return };
    let mut story = begin(&grid);

    // Its daemon stands still: the fence ends what it runs, and another goes on.
    let paused = story.home;
    story.node(paused).pause_daemon();
    let asked = uptime();
    story.is_taken_over();
    story.wrote_nothing_late(paused, asked);
    story.node(paused).resume_daemon();
    grid.all_online(&ALL);
    story.goes_on();
    assert!(story.node(paused).containers().is_empty());

    // Its link is cut: the daemon itself stops it in time.
    let cut = story.home;
    grid.lab.cut(cut);
    let asked = uptime();
    story.is_taken_over();
    story.wrote_nothing_late(cut, asked);
    grid.lab.heal(cut);
    grid.all_online(&ALL);
    story.goes_on();

    // Its daemon is killed and comes back in time: the same container runs on.
    let killed = story.home;
    let before = story.node(killed).docker(&["ps", "-q", "--no-trunc"]);
    story.node(killed).kill_daemon();
    sleep(Duration::from_secs(4));
    story.node(killed).start_daemon();
    grid.all_online(&ALL);
    story.goes_on();
    assert_eq!(
        story.node(killed).docker(&["ps", "-q", "--no-trunc"]),
        before
    );

    // It is killed, and does not come back.
    story.node(killed).kill_daemon();
    let asked = uptime();
    story.is_taken_over();
    story.wrote_nothing_late(killed, asked);
    assert!(story.node(killed).containers().is_empty());
    story.node(killed).start_daemon();
    grid.all_online(&ALL);
    story.goes_on();

    // A drain hands it over without waiting for the end of anything.
    let drained = story.home;
    let name = story.node(drained).name();
    let begun = Instant::now();
    let asked = story.node(1);
    asked.kontena(&["node", "update", "--availability", "drain", &name]);
    story.is_taken_over();
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    story.goes_on();
}

#[test]
fn without_a_majority_of_witnesses_it_is_stopped_and_every_command_says_why() {
    let Some(grid) = Grid::up(4) else { return };
    let story = begin(&grid);
    let witnesses: Vec<u8> = (1..=3).filter(|number| *number != story.home).collect();
    let two = &witnesses[..2];
    two.iter().for_each(|number| grid.node(*number).kill());
    let asked = uptime();
    let alive: Vec<u8> = ALL
        .into_iter()
        .filter(|number| !two.contains(number))
        .collect();
    eventually(TAKEN_OVER, "it to stop everywhere", || {
        let running: Vec<String> = alive
            .iter()
            .flat_map(|n| grid.node(*n).containers())
            .collect();
        seen(running.is_empty(), running)
    });
    story.wrote_nothing_late(story.home, asked);
    eventually(LATER, "the reason", || {
        let shown = grid
            .node(alive[0])
            .try_kontena(&["service", "show", LEADER]);
        let said = format!("{shown:?}");
        seen(said.contains("waits for its lease"), said)
    });
    let count = lines(&grid).len();
    grid.node(two[0]).start();
    grid.node(two[0]).start_daemon();
    let line = eventually(TAKEN_OVER, "it to come back", || {
        lines(&grid)
            .get(count)
            .cloned()
            .ok_or_else(|| "no line".to_owned())
    });
    assert!(ALL.contains(&story.number_of(&line.host)));
    are_in_order(&grid);
}
