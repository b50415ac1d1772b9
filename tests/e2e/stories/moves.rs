//! An instance moves to another host with its data: it is here or there, never on both, and no line that it wrote is lost.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::LATER;
use crate::support::settle::hosts_of;
use crate::support::{Grid, Node, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const DB: &str = "shop/db";
const COPY: &str = "shop.db.data-1";
/// For a move that is interrupted, and waits a while before it goes on.
const MOVED: Duration = Duration::from_secs(300);
/// So that a copy takes some seconds.
const MEGABITS: &str = "120";
/// So that there is time to do something in the midst of it.
const FEW_MEGABITS: &str = "40";
/// What has come is durable in steps of so many bytes.
const STEP: u64 = 16 << 20;
/// Whose its volume is, and how.
const WHOSE: &str = "999:998 1750";

/// It writes a line after the other, each another one, and goes on behind the last; beside them lie 48 MiB of noise. What is
/// noted elsewhere of what was written is for `databases/moved.rs`: who writes to its host is not moved.
fn stack() -> String {
    let program = "test -e /data/noise || { dd if=/dev/urandom of=/data/noise bs=1M count=48; \
         chown 999:998 /data; chmod 1750 /data; }; sync; \
         while true; do cat /proc/sys/kernel/random/uuid >> /data/rows; sync; sleep 0.2; done";
    format!(
        "\
stack: demo/shop
services:
  db:
    image: {BUSYBOX}
    command: sh -c '{program}'
    stop_signal: SIGKILL
    stateful: true
    volumes:
      - store:/data
      - /own
volumes:
  store:
    external:
      name: data
"
    )
}

/// The hosts on which it runs, as their engines say. One without power runs nothing.
fn runs_on(grid: &Grid) -> Vec<u8> {
    let runs = |node: &Node<'_>| {
        let names = node.containers();
        names.iter().any(|name| name == "shop.db-1")
    };
    ALL.into_iter()
        .filter(|number| grid.node(*number).is_up() && runs(&grid.node(*number)))
        .collect()
}

/// Docker volumes of the grid on a host.
fn copies(node: &Node<'_>) -> Vec<String> {
    let label = "label=io.kontena.volume.copy";
    let listed = node.docker(&["volume", "ls", "-q", "--filter", label]);
    listed.lines().map(str::to_owned).collect()
}

fn rows(node: &Node<'_>) -> Result<String, String> {
    node.try_docker(&["exec", "shop.db-1", "cat", "/data/rows"])
}

/// Folders of moves on a host's disk.
fn folders(node: &Node<'_>) -> Vec<PathBuf> {
    let folder = node.kontena_data().join("moves");
    let Ok(found) = fs::read_dir(folder) else {
        return Vec::new();
    };
    found.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// What is left of a move on a host's disk, beside the copies.
fn spooled(node: &Node<'_>) -> String {
    let names = folders(node).into_iter();
    names.map(|path| format!("{}\n", path.display())).collect()
}

/// As much as has come of all copies.
fn has_come(node: &Node<'_>) -> u64 {
    let files = folders(node)
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let files = files.flatten().filter_map(Result::ok);
    let tars = files.filter(|file| file.path().extension().is_some_and(|end| end == "tar"));
    tars.filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum()
}

/// Whether a host has noted that all has come.
fn is_whole(node: &Node<'_>) -> bool {
    let notes = folders(node)
        .into_iter()
        .map(|folder| folder.join("note.json"));
    let mut notes = notes.filter_map(|note| fs::read_to_string(note).ok());
    notes.any(|note| note.contains("\"whole\""))
}

/// Whether a host has something of a move that is not being removed.
fn has_note(node: &Node<'_>) -> bool {
    let mut folders = folders(node).into_iter();
    folders.any(|folder| folder.join("note.json").exists())
}

struct Story<'a> {
    grid: &'a Grid,
    /// All lines that were seen.
    seen: String,
    home: u8,
}

impl Story<'_> {
    /// Every line that was ever seen is there, in its order, and it goes on; its volume is whose it was.
    fn read(&mut self) {
        let node = self.grid.node(self.home);
        let before = self.seen.clone();
        let now = eventually(LATER, "its lines", || {
            let now = rows(&node)?;
            match now.starts_with(before.trim_end()) && now.len() > before.len() {
                true => Ok(now),
                false => Err(format!("{} bytes after {}", now.len(), before.len())),
            }
        });
        let whose = node.docker(&["exec", "shop.db-1", "stat", "-c", "%u:%g %a", "/data"]);
        assert_eq!(whose.trim(), WHOSE);
        self.seen = now;
    }

    fn name(&self, number: u8) -> String {
        self.grid.node(number).name()
    }

    fn order(&self, asked: u8, to: u8) {
        self.order_slowly(asked, to, MEGABITS);
    }

    fn order_slowly(&self, asked: u8, to: u8, megabits: &str) {
        let name = self.name(to);
        let words = [
            "volume",
            "move",
            "--detach",
            "--bandwidth",
            megabits,
            COPY,
            &name,
        ];
        self.grid.node(asked).kontena(&words);
    }

    /// Watches until it runs there alone, and never on two hosts.
    fn arrives(&mut self, to: u8) {
        let end = Instant::now() + MOVED;
        loop {
            let on = runs_on(self.grid);
            assert!(on.len() <= 1, "it runs on {on:?}");
            let is_there = on == [to] && copies(&self.grid.node(to)).len() == 2;
            if is_there && copies(&self.grid.node(self.home)).is_empty() {
                break;
            }
            assert!(Instant::now() < end, "it runs on {on:?} yet");
            sleep(Duration::from_millis(300));
        }
        self.home = to;
        self.read();
        let left = spooled(&self.grid.node(to));
        assert_eq!(left.trim(), "", "nothing is left of the move");
    }

    fn elsewhere(&self) -> (u8, u8) {
        let mut others = ALL.into_iter().filter(|number| *number != self.home);
        let (to, third) = (others.next(), others.next());
        (to.expect("three"), third.expect("three"))
    }
}

fn begin(grid: &Grid) -> Story<'_> {
    grid.node(1)
        .kontena(&["volume", "create", "--scope", "instance", "data"]);
    let file = grid.write("kontena.yml", &stack());
    grid.node(2).kontena(&["stack", "install", &file]);
    let running = grid.settled(&ALL, &[(DB, 1)], LATER);
    let home = *hosts_of(&running, DB).first().expect("it runs");
    let mut story = Story {
        grid,
        seen: String::new(),
        home,
    };
    story.read();
    story
}

#[test]
fn an_instance_moves_with_its_data_and_comes_back() {
    let Some(grid) = Grid::up(3) else { return };
    let mut story = begin(&grid);
    let home = story.home;
    let (to, third) = story.elsewhere();
    let name = story.name(to);
    let said = grid
        .node(third)
        .kontena_json(&["volume", "move", "data", &name]);
    assert_eq!(said["state"], "done", "{said}");
    story.arrives(to);
    let refused = grid
        .node(third)
        .try_kontena(&["volume", "move", "data", &name]);
    refused.refused(1, &["is bound to node"]);
    let refused = grid
        .node(third)
        .try_kontena(&["volume", "move", "--cancel", "data"]);
    refused.refused(1, &["is not being moved"]);

    // One that is taken back on the way leaves nothing.
    story.order(third, home);
    sleep(Duration::from_secs(2));
    grid.node(third)
        .kontena(&["volume", "move", "--cancel", COPY]);
    eventually(
        LATER,
        "it to run where it was, and nothing to be left",
        || {
            let on = runs_on(&grid);
            let left = spooled(&grid.node(home));
            let copies = copies(&grid.node(home));
            let is_so = on == [to] && left.trim().is_empty() && copies.is_empty();
            seen(is_so, (on, left, copies))
        },
    );
    story.read();

    // Something of that name is in the way: it says so, and ends.
    grid.node(home).docker(&["volume", "create", COPY]);
    let name = story.name(home);
    let refused = grid
        .node(third)
        .try_kontena(&["volume", "move", COPY, &name]);
    refused.refused(
        1,
        &[
            "was given up",
            "has a Docker volume `shop.db.data-1` already",
        ],
    );
    assert_eq!(runs_on(&grid), [to]);
    grid.node(home).docker(&["volume", "rm", COPY]);
    story.order(third, home);
    story.arrives(home);
}

#[test]
fn whichever_daemon_is_killed_at_whatever_moment_no_line_is_lost() {
    let Some(grid) = Grid::up(3) else { return };
    let mut story = begin(&grid);
    for (moment, kills_source) in [
        (1_000, true),
        (3_000, false),
        (4_500, true),
        (6_000, false),
        (8_000, true),
    ] {
        let (to, third) = story.elsewhere();
        let killed = if kills_source { story.home } else { to };
        story.order(third, to);
        sleep(Duration::from_millis(moment));
        grid.node(killed).kill_daemon();
        sleep(Duration::from_secs(3));
        assert!(runs_on(&grid).len() <= 1);
        grid.node(killed).start_daemon();
        story.arrives(to);
    }
}

#[test]
fn a_connection_that_breaks_costs_a_step_of_it_and_no_more() {
    let Some(grid) = Grid::up(3) else { return };
    let mut story = begin(&grid);
    let (to, third) = story.elsewhere();
    story.order_slowly(third, to, FEW_MEGABITS);
    eventually(MOVED, "a part to come", || {
        let come = has_come(&grid.node(to));
        seen(come > STEP + STEP / 4, come)
    });
    grid.lab.cut(to);
    // Longer than either end waits for the other.
    sleep(Duration::from_secs(45));
    assert!(runs_on(&grid).len() <= 1);
    let come = has_come(&grid.node(to));
    assert!(come < 3 * STEP, "all of it has come: {come}");
    grid.lab.heal(to);
    let end = Instant::now() + MOVED;
    loop {
        let come = has_come(&grid.node(to));
        // What is whole is removed from there before long, file by file: looked at after the files.
        if is_whole(&grid.node(to)) || !has_note(&grid.node(to)) {
            break;
        }
        assert!(come >= STEP, "it is sent anew: {come}");
        assert!(Instant::now() < end, "{come} bytes have come yet");
        sleep(Duration::from_millis(50));
    }
    story.arrives(to);
}

#[test]
fn a_host_that_loses_power_when_all_is_there_has_all_of_it() {
    let Some(grid) = Grid::up(3) else { return };
    let mut story = begin(&grid);
    let (to, third) = story.elsewhere();
    story.order(third, to);
    eventually(MOVED, "all to come", || {
        let node = grid.node(to);
        let is_there = is_whole(&node) || node.containers().contains(&"shop.db-1".to_owned());
        seen(is_there, has_come(&node))
    });
    grid.node(to).kill();
    sleep(Duration::from_secs(5));
    assert!(runs_on(&grid).len() <= 1);
    grid.node(to).start();
    grid.node(to).start_daemon();
    story.arrives(to);
}
