//! What comes in the way of a rollout: a node that is away for a while, an engine that hangs.

use std::thread::scope;
use std::time::{Duration, Instant};

use crate::source::demo::images::{WEB, WEB_NEXT};
use crate::support::grid::{FAILED, LATER, SOON};
use crate::support::load::{Load, SERVER, install};
use crate::support::settle::{Running, none_restarted};
use crate::support::{Grid, Lab, eventually, long, seen};

const ALL: [u8; 3] = [1, 2, 3];
const OTHERS: [u8; 2] = [1, 3];
const NAME: &str = "web.roll.e2e.kontena.local";
const WANTED: [(&str, usize); 1] = [("roll/web", 6)];
/// An engine that hangs is left alone for a minute. What is done about it then is under way after that.
const HANGS: Duration = Duration::from_secs(80);
const HANGS_LONG: Duration = Duration::from_secs(600);
/// Shorter than any silence that is acted upon.
const MOMENT: Duration = Duration::from_secs(2);

/// Two on each node, of which half may be down.
fn stack(image: &str, revision: u32) -> String {
    format!(
        "\
stack: demo/roll
services:
  web:
    image: {image}
    instances: 6
    environment: [REVISION={revision}]
    deploy: {{min_health: 0.5, wait_for_port: 80}}
"
    )
}

#[test]
fn a_node_that_is_away_during_a_rollout_comes_back_to_the_wanted_revision() {
    let Some(grid) = Grid::up(3) else { return };
    let files = [WEB, WEB_NEXT].map(|image| grid.write(image, &stack(image, 1)));
    let [first, next] = [WEB, WEB_NEXT].map(|image| grid.node(1).image_id(image));
    grid.node(1).kontena(&["stack", "install", &files[0]]);
    let before = grid.settled(&ALL, &WANTED, SOON);
    all_run(&before, &first);

    // Away until the others have taken over what it had.
    begin_upgrade(&grid, &files[1], &next);
    grid.lab.cut(3);
    let without = grid.settled(&[1, 2], &WANTED, LATER);
    all_run(&without, &next);
    deploy_is(&grid, &[1, 2], "success");
    grid.lab.heal(3);
    let healed = grid.settled(&ALL, &WANTED, LATER);
    all_run(&healed, &next);
    deploy_is(&grid, &ALL, "success");

    // Away for a moment, and nobody else does its work.
    begin_upgrade(&grid, &files[0], &first);
    grid.lab.cut(2);
    std::thread::sleep(MOMENT);
    grid.lab.heal(2);
    let back = grid.settled(&ALL, &WANTED, LATER);
    all_run(&back, &first);
    deploy_is(&grid, &ALL, "success");
}

/// Orders it, and waits until an engine runs the first of the new containers.
#[track_caller]
fn begin_upgrade(grid: &Grid, file: &str, image: &str) {
    grid.node(1)
        .kontena(&["stack", "upgrade", "--no-wait", "roll", file]);
    eventually(SOON, "the rollout to begin", || {
        let running = containers(grid, &ALL)?;
        let new = running.iter().filter(|(_, found)| found == image).count();
        seen(new > 0, running)
    });
}

/// Every instance of these engines, and its image.
fn containers(grid: &Grid, nodes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut all = Vec::new();
    for node in nodes {
        let held = grid.node(*node).grid_containers(*node)?.into_iter();
        all.extend(held.map(|(instance, container, _)| (instance, container.image)));
    }
    Ok(all)
}

#[track_caller]
fn all_run(running: &Running, image: &str) {
    for (instance, container) in running {
        assert_eq!(container.image, image, "{instance}: {container:?}");
    }
}

/// Waits until these nodes say so of the newest deploy.
#[track_caller]
fn deploy_is(grid: &Grid, nodes: &[u8], state: &str) {
    eventually(SOON, &format!("the deploy to be told `{state}`"), || {
        nodes.iter().try_for_each(|node| {
            let list = ["service", "deploys", "roll/web"];
            let deploys = grid.node(*node).try_json(&list)?;
            seen(deploys[0]["state"] == state, deploys)
        })
    });
}

#[test]
fn an_engine_that_hangs_in_a_rollout_is_told_and_nobody_is_without() {
    let Some(lab) = Lab::up(3) else { return };
    install(&lab);
    let grid = Grid::on(lab, 3);
    let file = grid.write("first.yml", &stack(SERVER, 1));
    grid.node(1).kontena(&["stack", "install", &file]);
    let before = grid.settled(&ALL, &WANTED, SOON);
    // Docker's own resolver stands between a container and ours, and hangs with its engine.
    let load = Load::begin(&grid, &OTHERS, NAME);
    let hung: Vec<String> = before
        .values()
        .filter(|container| container.host == 2)
        .map(|container| address(&grid, &container.id))
        .collect();
    assert_eq!(hung.len(), 2, "{before:?}");

    grid.node(2).hang_engine();
    let begun = Instant::now();
    eventually(SOON, "the trouble to be shown", || {
        grid.problem_shown(1, "node-2", "docker engine: in trouble since ")
    });
    let file = grid.write("second.yml", &stack(SERVER, 2));
    let upgraded = scope(|threads| {
        let upgrade = || {
            let upgrade = ["stack", "upgrade", "roll", &file];
            grid.node(1).try_kontena(&upgrade)
        };
        let upgrade = threads.spawn(upgrade);
        others_go_on(&grid, &before);
        upgrade.join().unwrap()
    });
    let tells = |words: &str| upgraded.stderr.contains(words);
    assert!(upgraded.status.success(), "{upgraded:#?}");
    assert!(tells("on `node-2`: docker engine: "), "{upgraded:#?}");
    let without = grid.settled(&OTHERS, &WANTED, FAILED);
    names_lead_to_none_of(&grid, &hung);

    let hangs = if long() { HANGS_LONG } else { HANGS };
    while begun.elapsed() < hangs {
        load.lost_nothing();
        std::thread::sleep(MOMENT);
    }
    let at_last = grid.settled(&OTHERS, &WANTED, SOON);
    none_restarted(&without, &at_last, &OTHERS);
    grid.node(2).resume_engine();
    let after = grid.settled(&ALL, &WANTED, LATER);
    none_restarted(&at_last, &after, &OTHERS);
    load.lost_nothing_until_now();
}

/// The instances of the two whose engines work are replaced, long before the third's are given up.
#[track_caller]
fn others_go_on(grid: &Grid, before: &Running) {
    eventually(SOON, "the others to go on", || {
        let running = grid.running(&OTHERS)?;
        let old = before.iter().filter(|(instance, old)| {
            running.get(*instance).is_none_or(|new| new.id == old.id) && old.host != 2
        });
        let left = old.count();
        seen(left == 0, (left, running))
    });
}

/// In the grid's network.
fn address(grid: &Grid, container: &str) -> String {
    let format = "{{.NetworkSettings.Networks.kontena.IPAddress}}";
    grid.node(2)
        .docker(&["inspect", "--format", format, container])
}

#[track_caller]
fn names_lead_to_none_of(grid: &Grid, addresses: &[String]) {
    for node in ALL {
        eventually(SOON, "names to lead elsewhere", || {
            let script = format!("getent ahostsv4 {NAME} | cut -d' ' -f1 | sort -u");
            let found = grid.node(node).run("sh", &["-c", &script]);
            let mut lines = found.lines();
            let leads = lines.any(|line| addresses.iter().any(|address| address == line));
            seen(!leads && found.lines().count() == 6, found)
        });
    }
}
