//! What every database goes through.

use std::collections::BTreeSet;
use std::fs;

use crate::support::disk::Disk;
use crate::support::grid::SOON;
use crate::support::{Grid, Lab, eventually, seen};

use super::written::{ASIDE, COPY, DB, Database, Written};

/// Cut off with its host, then without power, then by a backup of it at rest on another grid.
pub(super) fn no_row_is_lost(database: Database) {
    let Some(written) = Written::begin(database, 3) else {
        return;
    };
    let home = written.home();
    written.writes_on(30);
    written.has_all(home);
    cut_off(&written, home);
    without_power(&written, home);
    let (tar, noted) = at_rest(&written, home);
    drop(written);
    comes_back_elsewhere(database, &tar, &noted);
}

/// With its host it goes on for whoever is there, and nobody else starts it.
fn cut_off(written: &Written, home: u8) {
    let grid = &written.grid;
    let others = written.others(home);
    grid.lab.cut(home);
    grid.offline(others[0], &[&grid.node(home).name()]);
    written.writes_on(10);
    for other in &others {
        written.runs_not_on(*other).expect("nobody else starts it");
    }
    grid.lab.heal(home);
    assert_eq!(written.home(), home);
    written.writes_on(30);
    written.has_all(home);
}

fn without_power(written: &Written, home: u8) {
    let grid = &written.grid;
    grid.node(home).kill();
    grid.offline(written.others(home)[0], &[&grid.node(home).name()]);
    written.comes_back(home);
    written.has_all(home);
}

/// A backup of the database when it is stopped, and the rows that were noted until then.
fn at_rest(written: &Written, home: u8) -> (Vec<u8>, BTreeSet<String>) {
    let other = written.others(home)[0];
    written.stop(&written.grid.node(other), home);
    let noted = written.noted();
    (backup(written, other, COPY), noted)
}

fn backup(written: &Written, asked: u8, copy: &str) -> Vec<u8> {
    let node = written.grid.node(asked);
    node.shell(&format!("kontena volume backup {copy} > $T/db.tar"));
    fs::read(node.disk().join("db.tar")).expect("it was written")
}

/// A backup by the hooks of a database that is written to all the while.
pub(super) fn a_backup_by_hooks_has_every_row(database: Database) {
    let Some(written) = Written::begin(database, 2) else {
        return;
    };
    let home = written.home();
    written.writes_on(30);
    let noted = written.noted();
    let tar = backup(&written, written.others(home)[0], ASIDE);
    let since = written.noted().len();
    assert!(since > noted.len(), "it was written to meanwhile: {since}");
    written.writes_on(10);
    written.has_all(home);
    let left = ["exec", "shop.db-1", "ls", "-A", "/aside"];
    eventually(SOON, "what was put aside to be removed", || {
        let left = written.grid.node(home).try_docker(&left)?;
        seen(left.is_empty(), left)
    });
    drop(written);
    comes_back_elsewhere(database, &tar, &noted);
}

/// What a backup has is what the database of another grid has then, and goes on from.
fn comes_back_elsewhere(database: Database, tar: &[u8], noted: &BTreeSet<String>) {
    let Some(written) = Written::begin(database, 2) else {
        return;
    };
    let home = written.home();
    let node = written.grid.node(written.others(home)[0]);
    written.stop(&node, home);
    fs::write(node.disk().join("db.tar"), tar).expect("it can be written");
    node.shell(&format!(
        "kontena volume restore --force {COPY} < $T/db.tar"
    ));
    written.forget();
    node.kontena(&["service", "start", DB]);
    assert_eq!(written.home(), home);
    written.writes_on(10);
    written.has(home, noted);
    written.has_all(home);
}

/// With the power go the processes, and what the disk was not told to keep.
pub(super) fn no_row_is_lost_with_what_a_disk_forgets(database: Database) {
    let Some((written, disk)) = on_a_disk_that_forgets(database) else {
        return;
    };
    for _ in 0..2 {
        written.writes_on(100);
        without_power_and_disk(&written, &disk);
        written.has_all(1);
    }
}

/// That the same is seen to lose rows of a database that answers before they are on the disk.
pub(super) fn lost_rows_are_seen(database: Database) {
    let Some((written, disk)) = on_a_disk_that_forgets(database) else {
        return;
    };
    // It may have just written everything.
    let is_lost = (0..3).any(|_| {
        written.writes_on(30);
        without_power_and_disk(&written, &disk);
        !written.lost(1, &written.noted()).is_empty()
    });
    assert!(is_lost, "rows that nobody had written were there");
}

fn on_a_disk_that_forgets(database: Database) -> Option<(Written, Disk)> {
    let lab = Lab::up(1)?;
    let disk = Disk::below_volumes(&lab.host(1));
    Some((Written::on(database, Grid::on(lab, 1), 1), disk))
}

fn without_power_and_disk(written: &Written, disk: &Disk) {
    disk.kill(&written.grid.node(1));
    written.comes_back(1);
}
