//! Commands in containers, from any node to any node: what comes back, and what is left behind.

use std::time::Duration;

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::SOON;
use crate::support::{Grid, Lab, Node, eventually, long, seen};

/// Nobody else sleeps as long.
const SLEEP: &str = "sleep 471147";
/// A link that is cut is noticed after that, and the command is ended two seconds later.
const NOTICED: Duration = Duration::from_secs(60);

fn stack() -> String {
    format!(
        "\
stack: demo/box
services:
  web:
    image: {BUSYBOX}
    instances: 2
    command: sh -c 'echo hello from $$KONTENA_SERVICE_INSTANCE_NUMBER; exec sleep 1000000'
    stop_signal: SIGKILL
"
    )
}

/// A grid of two hosts, with an instance on each; the number of the one on the second.
fn grid() -> Option<(Grid, String)> {
    let grid = Grid::up(2)?;
    let file = grid.write("box.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    let running = grid.settled(&[1, 2], &[("box/web", 2)], SOON);
    let far = running.iter().find(|(_, instance)| instance.host == 2);
    let (name, _) = far.expect("they are spread over the hosts");
    let number = name.rsplit('-').next().expect("an instance has a number");
    let number = number.to_owned();
    Some((grid, number))
}

/// How many of them sleep on a host, by the kernel's own list: no shell that names them, and no program that asks.
fn sleepers(node: &Node<'_>) -> usize {
    let script = "for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $p 2>/dev/null; echo; done";
    let list = node.shell(script);
    list.lines().filter(|line| line.trim() == SLEEP).count()
}

#[test]
fn commands_run_in_containers_of_any_node_and_nothing_is_left_of_them() {
    let Some((grid, far)) = grid() else { return };
    let node = grid.node(1);
    let exec = |command: &[&str]| {
        let asked = ["service", "exec", "--instance", &far, "box/web"];
        node.try_kontena(&[&asked, command].concat())
    };

    // What it writes, and where to; its exit code.
    let both = exec(&["sh", "-c", "echo grüße; echo oh >&2; exit 7"]);
    assert_eq!(
        (both.stdout.as_str(), both.stderr.as_str()),
        ("grüße\n", "oh\n")
    );
    assert_eq!(both.status.code(), Some(7));
    for (command, code) in [
        (&["true"][..], 0),
        (&["no-such-program"], 126),
        (&["sh", "-c", "no-such-program"], 127),
        (&["sh", "-c", "kill -9 $$"], 137),
    ] {
        let ran = exec(command);
        assert_eq!(ran.status.code(), Some(code), "{command:?}: {ran:?}");
    }
    let missing = node.try_kontena(&["service", "exec", "--instance", "9", "box/web", "true"]);
    missing.refused(1, &["no container of instance 9"]);

    // In all of them, as JSON.
    let words = [
        "service",
        "exec",
        "--all",
        "--shell",
        "box/web",
        "echo",
        "$KONTENA_SERVICE_INSTANCE_NUMBER",
    ];
    let mut arguments = vec!["--json"];
    arguments.extend(words);
    let all: serde_json::Value = serde_json::from_str(&node.kontena(&arguments)).unwrap();
    let said: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["stdout"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["1\n", "2\n"]);

    // Single containers, by their names.
    let names = node.kontena(&["container", "ls", "--quiet"]);
    let name = names
        .lines()
        .find(|name| name.ends_with(&format!("web-{far}")));
    let name = name.expect("the far one is listed");
    let told: serde_json::Value =
        serde_json::from_str(&node.kontena(&["container", "inspect", name])).unwrap();
    assert_eq!(told["State"]["Running"], true);
    let logs = node.kontena(&["container", "logs", name]);
    assert!(logs.contains(&format!("hello from {far}")), "{logs}");
    let said = node.kontena(&["container", "exec", name, "hostname"]);
    assert!(!said.is_empty());

    // What each of them uses, wherever it is.
    let used = node.kontena_json(&["service", "stats", "box/web"]);
    let used = used.as_array().expect("a list").iter();
    let counted = used.map(|one| (&one["container_id"], one["cpu"]["usage"].is_number()));
    let expected = ["box.web-1", "box.web-2"].map(serde_json::Value::from);
    let expected = expected.iter().map(|name| (name, true));
    assert!(
        counted.eq(expected),
        "{}",
        node.kontena(&["service", "stats", "box/web"])
    );

    // Bytes of all kinds, both ways at once.
    let megabytes = if long() { 100 } else { 20 };
    let script = format!(
        "head -c {megabytes}M /dev/urandom > $T/sent && \
         kontena service exec -i --instance {far} box/web cat < $T/sent > $T/got && cmp $T/sent $T/got && rm $T/sent $T/got"
    );
    node.shell(&script);

    // A program that ends before it has read all is heard to its last word.
    let script = format!(
        "for i in 1 2 3 4 5; do head -c 3M /dev/zero | kontena service exec -i --instance {far} box/web sh -c 'head -c 70000; exit 3' | wc -c; done"
    );
    let said = node.shell(&script);
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["70000"; 5]);

    // Many at once.
    let script = format!(
        "for i in $(seq 50); do kontena service exec --instance {far} box/web sh -c \"sleep 1; echo $i\" > $T/of-$i 2>&1 & done; \
         wait; sort -n $T/of-* | tr '\\n' ' '; rm $T/of-*"
    );
    let said = node.shell(&script);
    let expected: Vec<String> = (1..=50).map(|i| i.to_string()).collect();
    assert_eq!(said.trim(), expected.join(" "));

    // Whoever asked is killed: the command and what it began are ended.
    let begin = format!(
        "kontena service exec --instance {far} box/web sh -c '{SLEEP} & {SLEEP}' > /dev/null 2>&1 & echo $! > $T/asker"
    );
    node.shell(&begin);
    let running = || seen(sleepers(&grid.node(2)) == 2, sleepers(&grid.node(2)));
    eventually(SOON, "both sleep in the container", running);
    node.shell("kill -KILL $(cat $T/asker)");
    let gone = || seen(sleepers(&grid.node(2)) == 0, sleepers(&grid.node(2)));
    eventually(SOON, "nothing of the command is left", gone);

    // The link breaks: both ends notice.
    let begin = format!(
        "(kontena service exec --instance {far} box/web {SLEEP} > /dev/null 2> $T/said; echo $? > $T/code) > /dev/null 2>&1 &"
    );
    node.shell(&begin);
    let running = || seen(sleepers(&grid.node(2)) == 1, sleepers(&grid.node(2)));
    eventually(SOON, "it sleeps in the container", running);
    grid.lab.cut(2);
    eventually(
        NOTICED,
        "nothing of the command is left behind the cut",
        gone,
    );
    let ended = || node.shell("cat $T/code 2>/dev/null; cat $T/said");
    let told = || seen(ended().starts_with("1\n"), ended());
    eventually(NOTICED, "whoever asked is told", told);
    assert!(ended().contains("broke off"), "{}", ended());
    grid.lab.heal(2);
    grid.all_online(&[1, 2]);
}

#[test]
fn a_command_may_have_a_terminal_which_is_as_large_as_that_of_whoever_asks() {
    let Some((grid, far)) = grid() else { return };
    let node = grid.node(1);
    let inside = "tty >/dev/null && echo a terminal; until stty size 2>/dev/null | grep 33.101; do sleep 0.1; done; until [ -e /go ]; do sleep 0.1; done; stty size";
    let outside = format!(
        "tty > $T/line; stty rows 33 cols 101; kontena service exec -it --instance {far} box/web sh -c '{inside}'; echo ended $?; echo raw lines: $(stty -a | tr ';' '\\n' | grep -c -- -icanon)"
    );
    std::fs::write(node.disk().join("outside"), outside).unwrap();
    let script = format!(
        "script -qec 'sh {}' /dev/null > $T/shown 2>&1 < /dev/null & true",
        node.disk().join("outside").display()
    );
    node.shell(&script);
    let shown = || node.shell("tr -d '\\r' < $T/shown");
    // Older engines learn the size only once it runs.
    let begun = || seen(shown().contains("a terminal\n33 101"), shown());
    eventually(SOON, "the command has a terminal of this size", begun);

    node.shell("stty -F $(cat $T/line) rows 20 cols 77");
    // The size travels on its own; the command looks once it is told to.
    let resized = || {
        let size = node.kontena(&[
            "service",
            "exec",
            "--instance",
            &far,
            "box/web",
            "sh",
            "-c",
            "for p in /dev/pts/[0-9]*; do stty -F $p size; done",
        ]);
        seen(size.contains("20 77"), size)
    };
    eventually(
        SOON,
        "the terminal in the container has the new size",
        resized,
    );
    node.kontena(&[
        "service",
        "exec",
        "--instance",
        &far,
        "box/web",
        "touch",
        "/go",
    ]);
    let ended = || seen(shown().contains("ended 0"), shown());
    eventually(SOON, "the command has ended", ended);
    assert!(shown().contains("20 77"), "{}", shown());
    // The terminal is as it was: it reads lines again.
    let put_back = || seen(shown().contains("raw lines: 0"), shown());
    eventually(SOON, "the terminal is put back", put_back);

    // Without one it is refused, before anything runs.
    let none = node.try_kontena(&["service", "exec", "-t", "box/web", "true"]);
    none.refused(2, &["needs a terminal"]);
}

/// Somebody at a terminal of this host who has begun a command line there.
struct Typist<'a> {
    node: Node<'a>,
    name: &'static str,
}

impl<'a> Typist<'a> {
    /// The shell goes on where Ctrl-C ends what it runs, and tells how that ended. What is begun in the background is
    /// deaf to that key unless it is told otherwise.
    fn begins(node: Node<'a>, name: &'static str, line: &str) -> Self {
        let script = format!("trap : INT; {line}; echo ended $?");
        std::fs::write(node.disk().join(name), script).unwrap();
        let file = node.disk().join(name);
        let begin = format!(
            "mkfifo $T/{name}.keys; sleep 1000 > $T/{name}.keys 2> /dev/null & \
             script -qec 'env --default-signal=INT sh {}' /dev/null < $T/{name}.keys > $T/{name}.shown 2>&1 & true",
            file.display()
        );
        node.shell(&begin);
        Self { node, name }
    }

    /// Each part is a write of its own.
    fn types(&self, parts: &[&str]) {
        let name = self.name;
        let parts = parts.iter().map(|part| format!("printf '{part}'; "));
        let parts: String = parts.collect();
        self.node.shell(&format!("({parts}) > $T/{name}.keys"));
    }

    #[track_caller]
    fn sees(&self, text: &str) {
        let file = self.node.disk().join(format!("{}.shown", self.name));
        let shown = || String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let what = format!("`{text}` on the terminal");
        eventually(SOON, &what, || seen(shown().contains(text), shown()));
    }
}

#[test]
fn ctrl_c_ends_a_command_or_reaches_it_and_a_terminal_speaks_every_language() {
    let Some((grid, far)) = grid() else { return };
    let exec = format!("kontena service exec --instance {far}");

    // Without a terminal in the container, the command line itself is ended, and the command with it.
    let plain = Typist::begins(grid.node(1), "plain", &format!("{exec} box/web {SLEEP}"));
    let running = || seen(sleepers(&grid.node(2)) == 1, sleepers(&grid.node(2)));
    eventually(SOON, "it sleeps in the container", running);
    plain.types(&["\\003"]);
    plain.sees("ended 130");
    let gone = || seen(sleepers(&grid.node(2)) == 0, sleepers(&grid.node(2)));
    eventually(SOON, "nothing of the command is left", gone);

    // With one, the key goes there, and the command does with it what it likes.
    let caught = "trap \"echo caught; exit 9\" INT; echo ready; while :; do sleep 0.1; done";
    let line = format!("{exec} -it box/web sh -c '{caught}'");
    let keys = Typist::begins(grid.node(1), "keys", &line);
    keys.sees("ready");
    keys.types(&["\\003"]);
    keys.sees("caught");
    keys.sees("ended 9");

    // Characters of several bytes arrive whole, though they are typed in pieces.
    let heard = "echo ready; read -r line; echo \"heard: $line\"; printf %s \"$line\" | wc -c";
    let line = format!("{exec} -it box/web sh -c '{heard}'");
    let words = Typist::begins(grid.node(1), "words", &line);
    words.sees("ready");
    words.types(&[
        "gr\\303",
        "\\274\\303\\237e \\346\\235",
        "\\261\\344\\272\\254\\r",
    ]);
    words.sees("heard: grüße 東京");
    words.sees("14\r\n");
    words.sees("ended 0");
}

/// Three hosts: the second alone has the instance, and the first answers the API over TCP. How the third asks it.
fn with_a_node_in_between() -> Option<(Grid, String)> {
    let lab = Lab::up(3)?;
    let (token, asked) = {
        let (middle, address) = (lab.host(1), lab.host(1).address());
        let settings = format!(
            "mkdir -p /etc/kontena && echo 'api_listen = \"{address}:8480\"' > /etc/kontena/kontena.toml"
        );
        middle.run("sh", &["-c", &settings]);
        middle.start_daemon();
        let begun = middle.kontena_json(&["init", "--grid", "e2e"]);
        let word = |name: &str| begun[name].as_str().expect("`init` prints it").to_owned();
        let asked = format!(
            "kontena --url http://{address}:8480 --token {}",
            word("admin_token")
        );
        (word("join_token"), asked)
    };
    let grid = Grid { lab, token };
    for number in [2, 3] {
        grid.node(number).start_daemon();
        grid.join(number);
    }
    grid.all_online(&[1, 2, 3]);
    let only = format!(
        "    affinity: [node=={}]\n    instances: 1\n",
        grid.node(2).name()
    );
    let file = grid.write("box.yml", &stack().replace("    instances: 2\n", &only));
    grid.node(1).kontena(&["stack", "install", &file]);
    grid.settled(&[1, 2, 3], &[("box/web", 1)], SOON);
    Some((grid, asked))
}

#[test]
fn where_the_node_in_between_is_lost_both_ends_notice_and_the_command_ends() {
    let Some((grid, asked)) = with_a_node_in_between() else {
        return;
    };
    let asker = grid.node(3);

    // What goes through it comes back as it was.
    let script = format!(
        "head -c 5M /dev/urandom > $T/sent && {asked} service exec -i box/web cat < $T/sent > $T/got && \
         sha256sum < $T/sent > $T/sum && sha256sum < $T/got | cmp - $T/sum"
    );
    asker.shell(&script);

    let begin = format!(
        "rm -f $T/code; ({asked} service exec box/web {SLEEP} > /dev/null 2> $T/said; echo $? > $T/code) > /dev/null 2>&1 &"
    );
    let running = || seen(sleepers(&grid.node(2)) == 1, sleepers(&grid.node(2)));
    let gone = || seen(sleepers(&grid.node(2)) == 0, sleepers(&grid.node(2)));
    let said = || asker.shell("cat $T/code 2>/dev/null; cat $T/said");
    let told = || {
        let said = said();
        seen(said.starts_with("1\n") && said.contains("broke off"), said)
    };

    asker.shell(&begin);
    eventually(SOON, "it sleeps in the container", running);
    grid.lab.cut(1);
    eventually(NOTICED, "nothing of the command is left", gone);
    eventually(NOTICED, "whoever asked is told", told);
    grid.lab.heal(1);
    grid.all_online(&[1, 2, 3]);

    asker.shell(&begin);
    eventually(SOON, "it sleeps in the container again", running);
    grid.node(1).kill_daemon();
    eventually(NOTICED, "nothing of the command is left", gone);
    eventually(NOTICED, "whoever asked is told", told);
}
