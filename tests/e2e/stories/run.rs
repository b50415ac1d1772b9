//! One-off commands of services, from any node on any node: what comes back, and what is left behind.

use std::time::Duration;

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::SOON;
use crate::support::{Grid, Node, eventually, seen};

/// A container that nobody waits for goes with the next look at the engine, or sooner.
const GOES: Duration = Duration::from_secs(60);
/// Nobody else sleeps as long.
const SLEEP: &str = "sleep 471148";

/// `app` may run on the second host alone; `web` has a name.
fn stack(second: &str) -> String {
    format!(
        "\
stack: demo/shop
services:
  app:
    image: {BUSYBOX}
    command: sleep 1000000
    stop_signal: SIGKILL
    affinity: [node=={second}]
    environment: [MODE=live]
    ports: ['8099:80']
  web:
    image: {BUSYBOX}
    command: sh -c 'echo hello > index.html; exec httpd -f -p 80'
    stop_signal: SIGKILL
"
    )
}

/// The containers of a host that are no instances.
fn one_offs(node: &Node<'_>) -> String {
    let label = "label=io.kontena.one_off";
    node.docker(&["ps", "--all", "--format", "{{.Names}}", "--filter", label])
}

#[track_caller]
fn none_is_left(node: &Node<'_>) {
    let gone = || seen(one_offs(node).trim().is_empty(), one_offs(node));
    eventually(GOES, "no one-off container is left", gone);
}

#[test]
fn a_command_runs_in_a_container_of_its_own_wherever_it_can_and_nothing_is_left_of_it() {
    let Some(grid) = Grid::up(2) else { return };
    let (node, far) = (grid.node(1), grid.node(2));
    let file = grid.write("shop.yml", &stack(&far.name()));
    node.kontena(&["stack", "install", &file]);
    grid.settled(&[1, 2], &[("shop/app", 1), ("shop/web", 1)], SOON);
    let run = |arguments: &[&str]| node.try_kontena(&[&["service", "run"], arguments].concat());

    // What it writes, and where to; its exit code, and what it is made of.
    let script = "echo grüße $MODE $NEW; echo oh >&2; exit 7";
    let both = run(&[
        "--silent", "-e", "NEW=1", "shop/app", "--", "sh", "-c", script,
    ]);
    assert_eq!(both.stdout, "grüße live 1\n", "{both:?}");
    assert_eq!(
        (both.stderr.as_str(), both.status.code()),
        ("oh\n", Some(7))
    );
    let told = run(&["-e", "MODE=test", "shop/app", "sh", "-c", "echo $MODE"]);
    assert_eq!(told.stdout, "test\n", "{told:?}");
    let place = format!("on `{}`", far.name());
    assert!(
        told.stderr.contains("running in `shop.app-run-"),
        "{told:?}"
    );
    assert!(told.stderr.contains(&place), "{told:?}");
    for (command, code) in [
        (&["true"][..], 0),
        (&["no-such-program"], 127),
        (&["/etc/passwd"], 126),
        // Nobody inside kills the first process of a container.
        (&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
    ] {
        let ran = run(&[&["shop/app"], command].concat());
        assert_eq!(ran.status.code(), Some(code), "{command:?}: {ran:?}");
    }
    none_is_left(&far);

    // It reaches the other services by their names.
    let page = run(&["shop/app", "wget", "-q", "-O", "-", "http://web/"]);
    assert_eq!(page.stdout, "hello\n", "{page:?}");

    // As one document.
    let said = node.kontena(&["--json", "service", "run", "shop/app", "echo", "a"]);
    let json: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(json["stdout"], "a\n", "{json}");
    let begin = format!("{}/shop.app-run-", far.name());
    let container = json["container"].as_str().unwrap_or_default();
    assert!(container.starts_with(&begin), "{json}");

    // Where it cannot run.
    let elsewhere = run(&["--node", &node.name(), "shop/app", "true"]);
    elsewhere.refused(1, &["cannot run it", "needs node=="]);
    run(&["shop/none", "true"]).refused(1, &["shop/none", "does not exist"]);
    run(&["--node", "omega", "shop/app", "true"]).refused(1, &["omega"]);

    // Bytes of all kinds, both ways at once.
    node.shell(
        "head -c 20M /dev/urandom > $T/sent && \
         kontena service run -i shop/app cat < $T/sent > $T/got && cmp $T/sent $T/got && rm $T/sent $T/got",
    );
    none_is_left(&far);

    // While it runs it is a container as others are, and no instance.
    let begin =
        format!("kontena service run shop/app {SLEEP} > /dev/null 2>&1 & echo $! > $T/asker");
    node.shell(&begin);
    let name = eventually(SOON, "it is listed", || {
        let names = node.kontena(&["container", "ls", "--quiet"]);
        let found = names.lines().find(|name| name.contains("app-run-"));
        found.map(str::to_owned).ok_or(names)
    });
    let said = node.kontena(&["container", "exec", &name, "sh", "-c", "echo $MODE"]);
    assert_eq!(said, "live\n");
    let told = node.kontena_json(&["container", "inspect", &name]);
    assert_eq!(told["State"]["Running"], true);
    node.kontena(&["container", "logs", &name]);
    let own = node.kontena_json(&["service", "containers", "shop/app"]);
    assert_eq!(own.as_array().map(Vec::len), Some(1), "{own}");

    // Whoever asked is killed.
    node.shell("kill -KILL $(cat $T/asker)");
    none_is_left(&far);

    // The node's daemon is killed: its next life removes what is left.
    node.shell(&begin);
    let runs = || seen(!one_offs(&far).trim().is_empty(), one_offs(&far));
    eventually(SOON, "it runs", runs);
    far.kill_daemon();
    assert!(!one_offs(&far).trim().is_empty());
    far.start_daemon();
    none_is_left(&far);
    grid.all_online(&[1, 2]);

    // A daemon that stops ends it, and whoever asked is told.
    node.shell(&format!(
        "(kontena service run shop/app {SLEEP} > /dev/null 2> $T/said; echo $? > $T/code) > /dev/null 2>&1 &"
    ));
    eventually(SOON, "it runs", runs);
    far.stop_daemon();
    let told = || {
        let code = node.shell("cat $T/code 2>/dev/null; cat $T/said");
        seen(code.starts_with("1\n"), code)
    };
    eventually(GOES, "whoever asked is told", told);
    far.start_daemon();
    none_is_left(&far);
}
