//! What is in a volume, out to a tar and back: whole or not at all, here and on another grid.

use std::fs;

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::{LATER, SOON};
use crate::support::settle::hosts_of;
use crate::support::{Grid, Node, eventually, seen};

const BOTH: [u8; 2] = [1, 2];
const DB: &str = "shop/db";
const COPY: &str = "shop.db.data-1";

/// It counts, and each number is on the disk before the next one.
const COUNT: &str = "sh -c 'while :; do n=$$(wc -l < /data/rows || echo 0); echo $$((n + 1)) >> /data/rows; sync; sleep 0.1; done'";

/// With hooks around a backup, or without.
fn stack(hooks: &str) -> String {
    format!(
        "\
stack: demo/shop
services:
  db:
    image: {BUSYBOX}
    command: {COUNT}
    stop_signal: SIGKILL
    stateful: true
    volumes:
      - store:/data
{hooks}volumes:
  store:
    external:
      name: data
"
    )
}

const HOOKS: &str = "    hooks:
      pre_backup: [{name: freeze, cmd: 'date > /data/frozen'}]
      post_backup: [{name: thaw, cmd: 'mv /data/frozen /data/thawed'}]
";

/// A grid of two hosts on which it counts; the host that has it, and the other one.
fn counting(hooks: &str) -> Option<(Grid, u8, u8)> {
    let grid = Grid::up(2)?;
    grid.node(1)
        .kontena(&["volume", "create", "--scope", "instance", "data"]);
    let file = grid.write("kontena.yml", &stack(hooks));
    grid.node(1).kontena(&["stack", "install", &file]);
    let running = grid.settled(&BOTH, &[(DB, 1)], SOON);
    let holder = *hosts_of(&running, DB).first().expect("it runs");
    let other = 3 - holder;
    let told = grid.node(holder).name();
    eventually(SOON, "the copy to be known on the other host", || {
        let copies = grid.node(other).try_json(&["volume", "ls", "--copies"])?;
        let copy = &copies[0];
        seen(
            copy["name"] == COPY && copy["node"] == told.as_str(),
            copies,
        )
    });
    Some((grid, holder, other))
}

/// What the script wrote, and `exit N` after it.
fn ran(node: &Node<'_>, script: &str) -> String {
    node.shell(&format!("({script}) 2>&1; echo exit $?"))
}

fn rows(text: &str) -> Vec<u64> {
    text.lines()
        .map(|row| row.parse().expect("a number"))
        .collect()
}

/// As the host has them.
fn rows_of(node: &Node<'_>) -> Vec<u64> {
    rows(&node.run("cat", &[&format!("{}/rows", place(node))]))
}

/// Where the host has the copy.
fn place(node: &Node<'_>) -> String {
    let place = node.docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", COPY]);
    place.trim().to_owned()
}

fn stopped(grid: &Grid, node: u8) {
    grid.node(node).kontena(&["service", "stop", DB]);
    for holder in BOTH {
        eventually(SOON, "it to stop", || {
            let containers = grid.node(holder).containers();
            seen(containers.is_empty(), containers)
        });
    }
}

fn started(grid: &Grid, node: u8) {
    grid.node(node).kontena(&["service", "start", DB]);
    grid.settled(&BOTH, &[(DB, 1)], SOON);
}

/// Everything on an engine that was made for a moment.
fn left_over(node: &Node<'_>) -> Vec<String> {
    let label = "label=io.kontena.passing.grid";
    let asked = [
        &["ps", "--all", "--quiet", "--filter", label][..],
        &["volume", "ls", "--quiet", "--filter", label],
        &["images", "--quiet", "--filter", label],
    ];
    let listed = asked.map(|asked| node.docker(asked));
    let lines = listed.iter().flat_map(|list| list.lines());
    lines.map(str::to_owned).collect()
}

fn nothing_is_left(node: &Node<'_>) {
    eventually(SOON, "nothing to be left over", || {
        let left = left_over(node);
        seen(left.is_empty(), left)
    });
}

#[test]
fn what_is_in_a_volume_comes_back_whole_here_and_on_another_grid() {
    let Some((grid, holder, other)) = counting("") else {
        return;
    };
    let node = grid.node(other);

    // Nobody takes a backup of what is being written without being told so.
    let refused = ran(&node, &format!("kontena volume backup {COPY} > $T/db.tar"));
    assert!(
        refused.contains("`shop.db-1` runs") && refused.ends_with("exit 1\n"),
        "{refused}"
    );
    let live = ran(
        &node,
        &format!("kontena volume backup --live {COPY} | tar -t"),
    );
    assert!(
        live.contains("./rows") && live.ends_with("exit 0\n"),
        "{live}"
    );

    // At rest it is what is there, from the other host.
    stopped(&grid, other);
    let at_rest = rows_of(&grid.node(holder));
    let place = place(&grid.node(holder));
    let owner = |node: &Node<'_>| node.run("stat", &["-c", "%u %g %a", &place]);
    grid.node(holder)
        .shell(&format!("chown 999:998 {place}; chmod 1750 {place}"));
    node.shell("kontena volume backup data > $T/db.tar");
    let taken = rows(&node.shell("tar -xOf $T/db.tar ./rows"));
    assert_eq!(taken, at_rest);
    nothing_is_left(&grid.node(holder));

    what_is_read_is_of_one_moment(&grid, holder, other);

    // It goes on, and the way back is by order alone.
    started(&grid, other);
    let counted = || {
        let rows = rows_of(&grid.node(holder));
        seen(rows.len() > at_rest.len() + 5, rows.len())
    };
    eventually(SOON, "it to count on", counted);
    let restore = format!("kontena volume restore --force {COPY}");
    for (input, words) in [
        (format!("{restore} < $T/db.tar"), "`shop.db-1` runs"),
        (
            format!("kontena volume restore {COPY} < $T/db.tar"),
            "--force",
        ),
    ] {
        let refused = ran(&node, &input);
        assert!(
            refused.contains(words) && refused.ends_with("exit 1\n"),
            "{refused}"
        );
    }
    stopped(&grid, other);
    let later = rows_of(&grid.node(holder));
    assert!(later.starts_with(&at_rest), "{later:?}");

    // What is not whole changes nothing.
    for (input, words) in [
        (format!("head -c 1024 $T/db.tar | {restore}"), "breaks off"),
        (format!("head -c 700 $T/db.tar | {restore}"), "breaks off"),
        (format!("gzip -c $T/db.tar | {restore}"), "compressed"),
        (
            format!("head -c 4096 /dev/urandom | tr '\\0' x | {restore}"),
            "no tar",
        ),
    ] {
        let refused = ran(&node, &input);
        assert!(
            refused.contains(words) && refused.ends_with("exit 1\n"),
            "{input}: {refused}"
        );
        assert_eq!(rows_of(&grid.node(holder)), later, "{input}");
    }
    nothing_is_left(&grid.node(holder));

    // Nor what breaks off with the node itself.
    let begin = format!(
        "((head -c 2048 $T/db.tar; sleep 300) | {restore} > $T/broken 2>&1) > /dev/null 2>&1 < /dev/null &"
    );
    node.shell(&begin);
    eventually(SOON, "it to be written", || {
        let left = left_over(&grid.node(holder));
        seen(left.len() == 3, left)
    });
    grid.node(holder).kill_daemon();
    eventually(LATER, "whoever asked to hear of it", || {
        let heard = node.shell("cat $T/broken");
        seen(heard.contains("error:"), heard)
    });
    grid.node(holder).start_daemon();
    nothing_is_left(&grid.node(holder));
    assert_eq!(rows_of(&grid.node(holder)), later);

    // One that was packed by hand brings its owner along.
    grid.all_online(&BOTH);
    let packed = "mkdir $T/by-hand; echo 1 > $T/by-hand/rows; \
                  tar --format=posix --owner=1234 --group=1235 -C $T/by-hand -c .";
    let said = ran(&node, &format!("({packed}) | {restore}"));
    assert!(said.ends_with("exit 0\n"), "{said}");
    assert_eq!(rows_of(&grid.node(holder)), [1]);
    assert!(owner(&grid.node(holder)).starts_with("1234 1235"), "{said}");

    // Then what was there before is there again, with whose it was, and it counts on from there.
    let said = ran(&node, &format!("{restore} < $T/db.tar"));
    assert!(
        said.contains("replaced what is in") && said.ends_with("exit 0\n"),
        "{said}"
    );
    assert_eq!(rows_of(&grid.node(holder)), at_rest);
    assert_eq!(owner(&grid.node(holder)).trim(), "999 998 1750");
    nothing_is_left(&grid.node(holder));
    started(&grid, other);
    let counted = || {
        let rows = rows_of(&grid.node(holder));
        seen(
            rows.len() > at_rest.len() && rows.starts_with(&at_rest),
            rows.len(),
        )
    };
    eventually(SOON, "it to count on from there", counted);

    let tar = fs::read(node.disk().join("db.tar")).expect("it was written");
    drop(grid);
    comes_back_on_another_grid(&tar, &at_rest);
}

/// Who reads slowly gives others time to write.
fn what_is_read_is_of_one_moment(grid: &Grid, holder: u8, other: u8) {
    let much = format!("{}/much", place(&grid.node(holder)));
    grid.node(holder)
        .shell(&format!("dd if=/dev/urandom of={much} bs=1M count=64"));
    let node = grid.node(other);
    node.shell(
        "(((kontena volume backup data 2> $T/said; echo exit $? >> $T/said) | (sleep 15; cat > /dev/null)) \
         > /dev/null 2>&1 < /dev/null) &",
    );
    eventually(SOON, "it to be read", || {
        let left = left_over(&grid.node(holder));
        seen(left.len() == 2, left)
    });
    let refused = ran(
        &node,
        &format!("kontena volume restore --force {COPY} < $T/db.tar"),
    );
    assert!(
        refused.contains("being read") && refused.ends_with("exit 1\n"),
        "{refused}"
    );
    started(grid, other);
    stopped(grid, other);
    eventually(LATER, "it to say that it is of several moments", || {
        let said = node.shell("cat $T/said");
        seen(
            said.contains("meanwhile") && said.ends_with("exit 1\n"),
            said,
        )
    });
    grid.node(holder).run("rm", &[&much]);
}

fn comes_back_on_another_grid(tar: &[u8], rows: &[u64]) {
    let Some((grid, holder, other)) = counting("") else {
        return;
    };
    let node = grid.node(other);
    stopped(&grid, other);
    fs::write(node.disk().join("db.tar"), tar).expect("it can be written");
    node.shell(&format!(
        "kontena volume restore --force {COPY} < $T/db.tar"
    ));
    assert_eq!(rows_of(&grid.node(holder)), rows);
    started(&grid, other);
}

#[test]
fn hooks_make_a_backup_of_what_runs_and_are_undone_whatever_becomes_of_it() {
    let Some((grid, holder, other)) = counting(HOOKS) else {
        return;
    };
    let node = grid.node(other);
    let files = "kontena volume backup data > $T/db.tar && tar -tf $T/db.tar";
    let said = ran(&node, files);
    assert!(
        said.contains("./frozen") && said.ends_with("exit 0\n"),
        "{said}"
    );
    let thawed = || {
        grid.node(holder)
            .try_docker(&["exec", "shop.db-1", "ls", "/data"])
    };
    let files = thawed().expect("it runs");
    assert!(
        files.contains("thawed") && !files.contains("frozen"),
        "{files}"
    );

    // Who asked is gone in the middle.
    grid.node(holder).docker(&[
        "exec",
        "shop.db-1",
        "sh",
        "-c",
        "rm /data/thawed; dd if=/dev/urandom of=/data/much bs=1M count=64",
    ]);
    node.shell("kontena volume backup data 2> /dev/null | head -c 4096 > /dev/null");
    eventually(SOON, "it to be thawed", || {
        let files = thawed()?;
        seen(files.contains("thawed") && !files.contains("frozen"), files)
    });
    nothing_is_left(&grid.node(holder));

    // One that fails says so, and what was begun is undone.
    grid.node(holder).docker(&[
        "exec",
        "shop.db-1",
        "sh",
        "-c",
        "rm /data/thawed; mkdir /data/frozen",
    ]);
    let said = ran(&node, "kontena volume backup data > $T/db.tar");
    assert!(
        said.contains("`freeze`") && said.ends_with("exit 1\n"),
        "{said}"
    );
    let files = thawed().expect("it runs");
    assert!(
        files.contains("thawed") && !files.contains("frozen"),
        "{files}"
    );
}
