//! How deploys end: one that fails is taken back, one with a canary waits for a person.

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::SOON;
use crate::support::{Grid, Node, eventually, seen};

const ALL: [u8; 2] = [1, 2];

/// Serves a page that says which version it is.
fn serves(version: &str) -> String {
    format!("mkdir -p /www && echo {version} > /www/up && exec busybox httpd -f -p 80 -h /www")
}

/// Ends at once.
const CRASHES: &str = "echo no disk >&2; exit 3";

fn stack(command: &str, deploy: &str) -> String {
    format!(
        "\
stack: demo/roll
services:
  web:
    image: {BUSYBOX}
    instances: 3
    command: sh -c \"{command}\"
    stop_signal: SIGKILL
    deploy: {{wait_for_port: 80, {deploy}}}
"
    )
}

/// Waits until the instances serve exactly these versions.
#[track_caller]
fn serve(grid: &Grid, expected: [&str; 3]) {
    let what = format!("the instances to serve {expected:?}");
    eventually(SOON, &what, || {
        let mut found: Vec<String> = grid.lab.hosts().iter().flat_map(pages).collect();
        found.sort();
        seen(found == expected, found)
    });
}

/// What the instances on a host serve; one that stops meanwhile serves nothing.
fn pages(node: &Node<'_>) -> Vec<String> {
    let script = "for id in $(docker ps -q --filter name=roll.web-); do docker exec $id cat /www/up; done; true";
    let text = node.run("sh", &["-c", script]);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_deploy_that_crashes_is_taken_back_and_a_canary_waits_for_its_promotion() {
    let Some(grid) = Grid::up(2) else { return };
    let write = |name: &str, command: &str, deploy: &str| grid.write(name, &stack(command, deploy));
    let first = write(
        "first.yml",
        &serves("one"),
        "min_health: 0.5, on_failure: rollback",
    );
    grid.node(1).kontena(&["stack", "install", &first]);
    serve(&grid, ["one", "one", "one"]);

    // The command that waits for it says what was wrong, once all are back.
    let bad = write("bad.yml", CRASHES, "min_health: 0.5, on_failure: rollback");
    let upgrade = grid
        .node(2)
        .try_kontena(&["stack", "upgrade", "roll", &bad]);
    upgrade.refused(
        1,
        &[
            "failed",
            "exited with status 3",
            "no disk",
            "went back to what ran before",
        ],
    );
    serve(&grid, ["one", "one", "one"]);
    for node in ALL {
        let listed = grid.node(node).kontena(&["service", "deploys", "roll/web"]);
        let states: Vec<bool> = ["success", "rolled back", "replaced"]
            .map(|state| listed.contains(state))
            .into();
        assert_eq!(states, [true, true, true], "{listed}");
    }

    // The first instance alone, until somebody says that it is well.
    let next = write("next.yml", &serves("two"), "min_health: 0.5, canary: 1");
    let said = grid
        .node(1)
        .try_kontena(&["stack", "upgrade", "roll", &next]);
    let waits = "1 of 3 instances of `roll/web` run the new revision";
    assert!(
        said.status.success() && said.stderr.contains(waits),
        "{said:#?}"
    );
    serve(&grid, ["one", "one", "two"]);
    grid.node(2).kontena(&["service", "promote", "roll/web"]);
    serve(&grid, ["two", "two", "two"]);

    // Or that it is not.
    let third = write("third.yml", &serves("three"), "min_health: 0.5, canary: 1");
    grid.node(2).kontena(&["stack", "upgrade", "roll", &third]);
    serve(&grid, ["three", "two", "two"]);
    grid.node(1).kontena(&["service", "abort", "roll/web"]);
    serve(&grid, ["two", "two", "two"]);
    let over = grid.node(1).try_kontena(&["service", "abort", "roll/web"]);
    over.refused(1, &["nothing to abort"]);
    grid.node(1).kontena(&["stack", "rm", "--force", "roll"]);
    grid.settled(&ALL, &[], SOON);
}

/// Listens, and never has what its health check asks for.
const NEVER_WELL: &str = "echo the configuration is missing >&2; exec busybox httpd -f -p 80 -h /";

const HEALTH_CHECK: &str = "    health_check: {protocol: http, port: 80, uri: /up, interval: 2, timeout: 1, initial_delay: 1}\n";

#[test]
fn a_deploy_that_is_never_well_is_taken_back_and_says_what_the_container_wrote() {
    let Some(grid) = Grid::up(2) else { return };
    let write = |name: &str, command: &str| {
        let text = stack(command, "min_health: 0.5, on_failure: rollback");
        grid.write(name, &(text + HEALTH_CHECK))
    };
    let first = write("first.yml", &serves("one"));
    grid.node(1).kontena(&["stack", "install", &first]);
    serve(&grid, ["one", "one", "one"]);

    let bad = write("bad.yml", NEVER_WELL);
    let upgrade = grid
        .node(2)
        .try_kontena(&["stack", "upgrade", "roll", &bad]);
    upgrade.refused(
        1,
        &[
            "its health check fails",
            "status 404",
            "the configuration is missing",
            "went back to what ran before",
        ],
    );
    serve(&grid, ["one", "one", "one"]);
    let listed = grid.node(1).kontena(&["service", "deploys", "roll/web"]);
    assert!(listed.contains("rolled back"), "{listed}");
}

/// On each host another image takes the name: as a build there would.
fn build_anew(grid: &Grid) {
    let script = format!(
        "id=$(docker create {BUSYBOX} true) && docker commit --change 'LABEL built=anew' $id {TAG} && docker rm $id"
    );
    for node in grid.lab.hosts() {
        node.run("sh", &["-c", &script]);
    }
}

const TAG: &str = "roll:1";

/// Waits until each container of the service runs what the name means on its host.
fn run_what_the_tag_means(grid: &Grid) {
    eventually(SOON, "the containers to run what the tag means", || {
        let script = format!(
            "wanted=$(docker inspect --type image --format '{{{{.Id}}}}' {TAG}); \
             for id in $(docker ps -q --filter name=roll.web-); do \
             test $(docker inspect --format '{{{{.Image}}}}' $id) = $wanted && echo right || echo wrong; done"
        );
        let texts: Vec<String> = grid
            .lab
            .hosts()
            .iter()
            .map(|node| node.run("sh", &["-c", &script]))
            .collect();
        let mut words: Vec<&str> = texts
            .iter()
            .flat_map(|text| text.split_whitespace())
            .collect();
        words.sort_unstable();
        seen(words == ["right"; 3], texts)
    });
}

#[test]
fn a_deploy_that_changes_nothing_brings_a_tag_that_was_moved_and_else_leaves_all_alone() {
    let Some(grid) = Grid::up(2) else { return };
    for node in grid.lab.hosts() {
        node.docker(&["tag", BUSYBOX, TAG]);
    }
    let text = stack(&serves("one"), "min_health: 0.5").replace(BUSYBOX, TAG);
    let file = grid.write("first.yml", &text);
    grid.node(1).kontena(&["stack", "install", &file]);
    serve(&grid, ["one", "one", "one"]);
    let before = containers(&grid);
    grid.node(1).kontena(&["service", "deploy", "roll/web"]);
    grid.node(1).kontena(&["stack", "deploy", "roll"]);
    assert_eq!(containers(&grid), before, "nothing was moved");

    build_anew(&grid);
    grid.node(1).kontena(&["service", "deploy", "roll/web"]);
    run_what_the_tag_means(&grid);
    assert_ne!(containers(&grid), before);
    let listed = grid.node(2).kontena(&["service", "deploys", "roll/web"]);
    assert_eq!(listed.matches("success").count(), 1, "{listed}");
    assert_eq!(listed.matches("replaced").count(), 1, "{listed}");
}

/// The containers of the service on all hosts, `NAME ID`, sorted.
fn containers(grid: &Grid) -> Vec<String> {
    let format = "{{.Names}} {{.ID}}";
    let list = |node: &Node<'_>| {
        let all = ["ps", "-a", "--filter", "name=roll.web-", "--format", format];
        node.run("docker", &all)
    };
    let texts: Vec<String> = grid.lab.hosts().iter().map(list).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_deploy_that_starts_first_leaves_what_ran_alone_until_the_new_ones_serve() {
    let Some(grid) = Grid::up(2) else { return };
    let write = |name: &str, command: &str| {
        grid.write(name, &stack(command, "order: start-first, min_health: 1.0"))
    };
    let first = write("first.yml", &serves("one"));
    grid.node(1).kontena(&["stack", "install", &first]);
    serve(&grid, ["one", "one", "one"]);
    let before = containers(&grid);

    let bad = write("bad.yml", CRASHES);
    let upgrade = grid
        .node(2)
        .try_kontena(&["stack", "upgrade", "roll", &bad]);
    upgrade.refused(1, &["failed", "exited with status 3"]);
    eventually(SOON, "the failed one to go", || {
        let now = containers(&grid);
        seen(now == before, now)
    });

    let next = write("next.yml", &serves("two"));
    grid.node(2).kontena(&["stack", "upgrade", "roll", &next]);
    serve(&grid, ["two", "two", "two"]);
    let names = |all: &[String]| -> Vec<String> {
        let names = all.iter().filter_map(|line| line.split(' ').next());
        names.map(str::to_owned).collect()
    };
    eventually(SOON, "the new ones to have the names", || {
        let now = names(&containers(&grid));
        seen(now == names(&before), now)
    });
    let shown = grid.node(1).kontena(&["service", "show", "roll/web"]);
    assert!(shown.contains("order: start-first"), "{shown}");
}
