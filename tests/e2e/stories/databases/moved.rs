//! A database goes to other hosts with its data while it is written to, and daemons are killed on the way.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{eventually, seen};

use super::written::{COPY, Database, Written};

/// For a move that is interrupted, and waits a while before it goes on.
const MOVED: Duration = Duration::from_secs(300);
/// So that a copy takes some seconds.
const MEGABITS: &str = "120";
const WEIGHT: usize = 48 << 20;

#[derive(Clone, Copy)]
enum Killed {
    Source,
    Target,
}

/// When after the order, in milliseconds: while it stops, while it is copied, made of what came, and handed over.
const MOMENTS: [(u64, Killed); 5] = [
    (1_000, Killed::Source),
    (3_000, Killed::Target),
    (4_500, Killed::Source),
    (6_000, Killed::Target),
    (8_000, Killed::Source),
];

/// It is there or here after each, with all rows, and never on two hosts.
pub(super) fn no_row_is_lost_by_moves(database: Database) {
    let Some(written) = Written::begin(database, 3) else {
        return;
    };
    let mut home = written.home();
    add_weight(&written, home);
    for (moment, killed) in MOMENTS {
        written.writes_on(20);
        let to = written.others(home)[0];
        let killed = match killed {
            Killed::Source => home,
            Killed::Target => to,
        };
        order(&written, to);
        sleep(Duration::from_millis(moment));
        written.grid.node(killed).kill_daemon();
        written.grid.node(killed).start_daemon();
        arrives(&written, home, to);
        home = to;
        written.writes_on(20);
        written.has_all(home);
    }
}

/// Files that the database knows nothing of, which make its copies take longer. They are no shorter when they are packed.
fn add_weight(written: &Written, home: u8) {
    let asked = ["volume", "inspect", "--format", "{{.Mountpoint}}", COPY];
    let place = written.grid.node(home).docker(&asked);
    let mut state = 1_u64;
    let noise = (0..WEIGHT / 8).flat_map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_le_bytes()
    });
    let noise: Vec<u8> = noise.collect();
    fs::write(format!("{}/weight", place.trim()), noise).expect("the volume is a folder");
}

fn order(written: &Written, to: u8) {
    let node = written.grid.node(to);
    let name = node.name();
    node.kontena(&[
        "volume",
        "move",
        "--detach",
        "--bandwidth",
        MEGABITS,
        COPY,
        &name,
    ]);
}

/// It runs there alone, and what was moved is nowhere else.
fn arrives(written: &Written, home: u8, to: u8) {
    eventually(MOVED, "it to run where it was moved to", || {
        let on: Vec<u8> = written
            .hosts()
            .into_iter()
            .filter(|host| written.runs_on(*host))
            .collect();
        assert!(on.len() <= 1, "it runs on {on:?}");
        // One that is just being removed makes an engine fail to list them.
        let left = written
            .grid
            .node(home)
            .try_docker(&["volume", "ls", "-q"])?;
        let is_left = left.lines().any(|name| name == COPY);
        seen(on == [to] && !is_left, (on, is_left))
    });
}
