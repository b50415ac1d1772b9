//! Zero downtime: containers on every host ask a service without pause while it is deployed and nodes are drained.

use crate::support::grid::{LATER, SOON};
use crate::support::load::{Load, SERVER, install};
use crate::support::{Grid, Lab, eventually, long, seen};

const HOSTS: u8 = 3;
const ALL: [u8; 3] = [1, 2, 3];
const NAME: &str = "web.load.e2e.kontena.local";

/// One after the other: each again with the first once all were there.
const SHAPES: [(usize, &str); 4] = [(6, "0.5"), (3, "0.8"), (4, "0.6"), (5, "0.8")];

fn stack(revision: usize, order: &str) -> String {
    let (instances, min_health) = SHAPES[revision % SHAPES.len()];
    format!(
        "\
stack: demo/load
services:
  web:
    image: {SERVER}
    instances: {instances}
    environment: [REVISION={revision}]
    deploy: {{min_health: {min_health}, wait_for_port: 80, order: {order}}}
"
    )
}

fn no_request_fails(order: &str) {
    let Some(lab) = Lab::up(HOSTS) else { return };
    install(&lab);
    let grid = Grid::on(lab, HOSTS);
    let write = |revision| grid.write("load.yml", &stack(revision, order));
    let file = write(0);
    grid.node(1).kontena(&["stack", "install", &file]);
    let instances = |revision: usize| SHAPES[revision % SHAPES.len()].0;
    let settled = |revision| grid.settled(&ALL, &[("load/web", instances(revision))], LATER);
    settled(0);
    let load = Load::begin(&grid, &ALL, NAME);

    let (deploys, drains) = if long() { (100, 20) } else { (10, 2) };
    for revision in 1..=deploys {
        let file = write(revision);
        let asked = ALL[revision % ALL.len()];
        grid.node(asked)
            .kontena(&["stack", "upgrade", "load", &file]);
        load.lost_nothing();
    }
    settled(deploys);
    for drain in 0..drains {
        let drained = ALL[drain % ALL.len()];
        let name = grid.node(drained).name();
        grid.node(1).kontena(&["node", "drain", &name, "--wait"]);
        eventually(SOON, "nothing to be left there", || {
            let left = grid.node(drained).grid_containers(drained)?;
            seen(left.is_empty(), left)
        });
        load.lost_nothing();
        grid.node(2).kontena(&["node", "activate", &name]);
    }
    settled(deploys);
    load.lost_nothing_until_now();
    notices_what_ends_badly(&grid, &load);
}

/// Load that never sees a failure proves nothing.
fn notices_what_ends_badly(grid: &Grid, load: &Load<'_>) {
    let kill = "docker kill $(docker ps -q --filter name=load.web-)";
    let host = ALL.iter().find(|host| {
        let held = grid.node(**host).grid_containers(**host);
        held.is_ok_and(|held| !held.is_empty())
    });
    let host = host.expect("somebody runs it");
    grid.node(*host).run("sh", &["-c", kill]);
    eventually(SOON, "the load to notice it", || {
        let failures = load.failures();
        seen(!failures.is_empty(), failures)
    });
}

#[test]
fn zero_failed_requests_over_deploys_that_stop_first() {
    no_request_fails("stop-first");
}

#[test]
fn zero_failed_requests_over_deploys_that_start_first() {
    no_request_fails("start-first");
}
