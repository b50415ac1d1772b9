//! Jobs: run at their slots and at no other time, each slot once, and whatever became of it is told by every node.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::{LATER, SOON};
use crate::support::{Grid, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const JOB: &str = "shop/backup";

/// A job that writes down its slot, and then does this.
fn stack(grid: &Grid, then: &str, more: &str) -> String {
    let out = grid.lab.directory().join("out");
    format!(
        "\
stack: demo/shop
services:
  backup:
    image: {BUSYBOX}
    command: sh -c \"echo $$KONTENA_JOB_SLOT >> /out/slots; {then}\"
    stop_grace_period: 1s
    volumes:
      - {}:/out
    deploy:
      schedule: \"*/10 * * * * *\"
      time_zone: Europe/Helsinki
{more}",
        out.display()
    )
}

/// The slots that runs wrote down.
fn written(grid: &Grid) -> Vec<String> {
    let file = grid.lab.directory().join("out/slots");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn no_slot_twice(grid: &Grid) {
    let slots = written(grid);
    let distinct: BTreeSet<&String> = slots.iter().collect();
    assert_eq!(distinct.len(), slots.len(), "{slots:?}");
}

fn runs(grid: &Grid, asked: u8) -> Result<Vec<Value>, String> {
    let answer = grid.node(asked).try_json(&["service", "runs", JOB])?;
    Ok(answer.as_array().cloned().unwrap_or_default())
}

/// The newest run of this state, as every node tells it.
fn told_by_all(grid: &Grid, state: &str, within: Duration) -> Value {
    eventually(
        within,
        &format!("a run that is {state}, on every node"),
        || {
            let mut found = Value::Null;
            for asked in ALL {
                let runs = runs(grid, asked)?;
                let run = runs.iter().find(|run| run["state"] == state);
                found = run.cloned().ok_or_else(|| format!("{runs:?}"))?;
            }
            Ok(found)
        },
    )
}

fn after(seconds: u64) -> impl Fn() -> Result<(), String> {
    let end = SystemTime::now() + Duration::from_secs(seconds);
    move || seen(SystemTime::now() >= end, "not yet")
}

#[test]
fn a_job_runs_once_for_each_slot_and_what_became_of_it_is_told_by_every_node() {
    let Some(grid) = Grid::up(3) else { return };
    std::fs::create_dir(grid.lab.directory().join("out")).expect("the lab has a directory");
    let file = grid.write("kontena.yml", &stack(&grid, "exit 3", ""));
    grid.node(1).kontena(&["stack", "install", &file]);

    let failed = told_by_all(&grid, "failed", LATER);
    assert_eq!(failed["exit_code"], 3, "{failed}");
    assert!(
        failed["duration"].is_u64() && failed["slot"].is_string(),
        "{failed}"
    );
    let home = failed["node"]
        .as_str()
        .expect("it ran somewhere")
        .to_owned();
    let owner = ALL.into_iter().find(|node| grid.node(*node).name() == home);
    let owner = owner.expect("one of them");
    let other = ALL.into_iter().find(|node| *node != owner).expect("two");
    let listed = grid.node(other).kontena(&["service", "ls"]);
    assert!(listed.contains("scheduled"), "{listed}");
    let shown = grid.node(other).kontena(&["service", "show", JOB]);
    assert!(
        shown.contains("Europe/Helsinki") && shown.contains("next run"),
        "{shown}"
    );

    // Its daemon is killed around its slots: none is run again.
    for _ in 0..3 {
        let before = written(&grid).len();
        eventually(LATER, "the next run", || {
            seen(written(&grid).len() > before, written(&grid))
        });
        grid.node(owner).kill_daemon();
        grid.node(owner).start_daemon();
    }
    no_slot_twice(&grid);

    // What passes while it is away is missed, and said.
    grid.node(owner).kill_daemon();
    let before = written(&grid).len();
    let passed = after(25);
    eventually(SOON, "two slots to pass", passed);
    assert_eq!(written(&grid).len(), before, "nobody else runs it");
    grid.node(owner).start_daemon();
    let missed = told_by_all(&grid, "missed", LATER);
    assert!(missed["missed"].as_u64() >= Some(2), "{missed}");
    assert_eq!(missed["reason"], "the node was away", "{missed}");

    // One that hangs is ended, and counts as nothing else.
    let text = stack(&grid, "sleep 1000", "      time_limit: 3s\n");
    let file = grid.write("kontena.yml", &text);
    grid.node(other)
        .kontena(&["stack", "upgrade", "shop", &file]);
    let late = told_by_all(&grid, "timed_out", LATER);
    assert_eq!(late["node"], home.as_str(), "{late}");
    assert!(late["duration"].as_u64() >= Some(3_000), "{late}");

    // Stopped, it runs no more.
    grid.node(other).kontena(&["service", "stop", JOB]);
    eventually(LATER, "nothing to run", || {
        let runs = runs(&grid, other)?;
        seen(runs.iter().all(|run| run["state"] != "running"), runs)
    });
    let before = written(&grid).len();
    eventually(SOON, "two slots to pass", after(21));
    assert!(written(&grid).len() <= before + 1, "{:?}", written(&grid));
    no_slot_twice(&grid);
}

#[test]
fn what_is_no_schedule_is_refused_where_it_stands() {
    let Some(grid) = Grid::up(1) else { return };
    let text = stack(&grid, "true", "").replace("*/10 * * * * *", "0 0 30 2 *");
    let file = grid.write("kontena.yml", &text);
    let refused = grid.node(1).try_kontena(&["stack", "install", &file]);
    refused.refused(1, &["it never runs", "kontena.yml:10:"]);
}
