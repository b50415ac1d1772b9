//! How containers are looked after: health checks, hooks, and the way out of the names before a stop.

use std::time::Duration;

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::SOON;
use crate::support::{Grid, Node, eventually, seen};

const NAME: &str = "web.care.e2e.kontena.local";

/// A page that is there until somebody takes it away, and again after a restart.
const SERVES: &str = "mkdir -p /www && echo well > /www/up && exec busybox httpd -f -p 80 -h /www";
/// Listens, and has no such page.
const NEVER_WELL: &str =
    "mkdir -p /www && echo the disk is missing >&2; exec busybox httpd -f -p 80 -h /www";

/// `data` is where hooks write down that they ran.
fn stack(command: &str, data: &str) -> String {
    format!(
        "\
stack: demo/care
services:
  web:
    image: {BUSYBOX}
    instances: 2
    command: sh -c \"{command}\"
    stop_signal: SIGKILL
    volumes: ['{data}:/data']
    deploy:
      min_health: 0.5
    health_check:
      protocol: http
      port: 80
      uri: /up
      interval: 2
      timeout: 1
      initial_delay: 1
    hooks:
      pre_start:
        - {{name: migrate, cmd: 'echo migrate-$$KONTENA_SERVICE_INSTANCE_NUMBER >> /data/hooks', oneshot: true}}
        - {{name: warm, cmd: 'echo warm-$$KONTENA_SERVICE_INSTANCE_NUMBER >> /data/hooks', instances: 1}}
      post_start:
        - {{name: announce, cmd: 'echo announce-$$KONTENA_SERVICE_INSTANCE_NUMBER >> /data/hooks'}}
      pre_stop:
        - {{name: drain, cmd: 'echo drain-$$KONTENA_SERVICE_INSTANCE_NUMBER >> /data/hooks'}}
"
    )
}

#[test]
fn containers_are_checked_and_hooks_run_and_a_deploy_that_is_never_well_halts() {
    let Some(grid) = Grid::up(2) else { return };
    let data = grid.lab.directory().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let write = |name: &str, command: &str| {
        let text = stack(command, &data.display().to_string());
        grid.write(name, &text)
    };
    let hooks = || {
        let text = std::fs::read_to_string(data.join("hooks")).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let well = write("well.yml", SERVES);
    grid.node(1).kontena(&["stack", "install", &well]);
    let running = grid.settled(&[1, 2], &[("care/web", 2)], SOON);
    answers(&grid, 2);
    let first = [
        "announce-1",
        "announce-2",
        "migrate-1",
        "migrate-2",
        "warm-1",
    ];
    assert_eq!(hooks(), first);

    // The page is gone: out of the names, and started again, which brings it back.
    let ill = &running["care/web-1"];
    let host = grid.node(ill.host);
    host.docker(&["exec", &ill.id, "rm", "/www/up"]);
    answers(&grid, 1);
    answers(&grid, 2);
    let state = |format: &str| host.docker(&["inspect", "--format", format, &ill.id]);
    assert_ne!(
        state("{{.State.StartedAt}}"),
        ill.started,
        "it was restarted"
    );
    assert_eq!(
        hooks(),
        first,
        "no hook runs when a container is started again"
    );

    // A deploy that is never well takes one down, says why, and leaves the other.
    let bad = write("bad.yml", NEVER_WELL);
    let upgrade = grid
        .node(2)
        .try_kontena(&["stack", "upgrade", "care", &bad]);
    upgrade.refused(1, &["status 404"]);
    answers(&grid, 1);
    let told = "what is wrong, and what the container said";
    eventually(Duration::from_secs(20), told, || {
        let shown = grid.node(1).kontena(&["service", "show", "care/web"]);
        let words = [
            "protocol: http",
            "type: pre_stop",
            "status 404",
            "- the disk is missing",
        ];
        seen(words.iter().all(|words| shown.contains(words)), shown)
    });
    let drained = hooks()
        .iter()
        .filter(|line| line.starts_with("drain"))
        .count();
    assert_eq!(drained, 1, "the hooks before the stop ran once");

    // The way back.
    grid.node(1).kontena(&["stack", "rollback", "care"]);
    grid.settled(&[1, 2], &[("care/web", 2)], SOON);
    answers(&grid, 2);
    let once = hooks()
        .iter()
        .filter(|line| line.starts_with("migrate"))
        .count();
    assert_eq!(once, 2, "once for each instance, whatever came since");
    grid.node(1).kontena(&["stack", "rm", "--force", "care"]);
    grid.settled(&[1, 2], &[], SOON);
    for node in grid.lab.hosts() {
        let left = node.docker(&["ps", "-aq"]);
        assert_eq!(left, "", "{}", node.name());
    }
}

/// Waits until every host answers with so many instances.
#[track_caller]
fn answers(grid: &Grid, instances: usize) {
    for node in grid.lab.hosts() {
        let what = format!("{} to answer with {instances} instances", node.name());
        eventually(Duration::from_secs(40), &what, || {
            let found = addresses(&node);
            seen(found.len() == instances, found)
        });
    }
}

fn addresses(node: &Node<'_>) -> Vec<String> {
    let script = format!("getent ahostsv4 {NAME} | cut -d' ' -f1 | sort -u");
    let found = node.run("sh", &["-c", &script]);
    found.lines().map(str::to_owned).collect()
}
