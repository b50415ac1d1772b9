//! `service monitor` and `stack monitor`, as somebody sees them who looks for a while.
#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

#[path = "listings/answers.rs"]
#[allow(dead_code, reason = "it is shared with the listings")]
mod answers;
#[path = "listings/server.rs"]
mod server;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use self::answers::Answers;

const ONCE: &str = "\
SERVICE   INSTANCES  HEALTHY  STRATEGY  STATE
shop/web  3 / 3      2        ha        running

INSTANCE    NODE   STATE    HEALTH     SINCE  PROBLEM
shop/web-1  alpha  running  healthy    5 min  -
shop/web-2  beta   running  unhealthy  5 min  -
shop/web-3  -      pending  unknown    5 min  no node fits

";

fn monitor(line: &str, output: Stdio) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kontena"))
        .args(line.split(' '))
        .args(["--interval", "1"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("KONTENA_URL", server::up(Answers::read("full")))
        .stdin(Stdio::null())
        .stdout(output)
        .spawn()
        .unwrap()
}

/// The first bytes of what it prints; then nobody reads any more, which is no failure.
fn begin(line: &str, length: usize) -> String {
    let mut child = monitor(line, Stdio::piped());
    let mut bytes = vec![0; length];
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut bytes).unwrap();
    drop(output);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    String::from_utf8(bytes).unwrap()
}

#[test]
fn each_look_is_printed_below_the_last_one_where_there_is_no_terminal() {
    let twice = format!("{ONCE}{ONCE}");
    assert_eq!(begin("service monitor shop/web", twice.len()), twice);
    // Of a stack all services are shown, or those that are named.
    assert_eq!(begin("stack monitor shop web", ONCE.len()), ONCE);
    let all = begin("stack monitor shop", 400);
    assert!(all.contains("shop/db   0 / 1"), "{all}");
    assert!(all.contains("shop/db-1   beta   creating"), "{all}");
}

#[test]
fn with_json_each_look_is_a_line() {
    let mut child = monitor("stack monitor shop --json", Stdio::piped());
    let output = BufReader::new(child.stdout.take().unwrap());
    for line in output.lines().take(2) {
        let look: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(look["name"], "shop");
        assert_eq!(look["services"][0]["instances"][1]["health"], "unhealthy");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn on_a_terminal_each_look_takes_the_place_of_the_last_one() {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let mut options = OpenOptions::new();
    let line = options.read(true).write(true).open(name.to_str().unwrap());
    let mut child = monitor("service monitor shop/web", line.unwrap().into());
    let mut screen = BufReader::new(File::from(master));
    for _ in 0..2 {
        let mut look = Vec::new();
        screen.read_until(b'J', &mut look).unwrap();
        let look = String::from_utf8(look).unwrap();
        assert!(look.starts_with("\x1b[HSERVICE "), "{look:?}");
        assert!(look.ends_with("\x1b[J"), "{look:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_service_that_the_stack_has_not_is_told_at_once() {
    let line = "stack monitor shop queue";
    let child = Command::new(env!("CARGO_BIN_EXE_kontena"))
        .args(line.split(' '))
        .env("KONTENA_URL", server::up(Answers::read("full")))
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(1));
    let said = String::from_utf8(child.stderr).unwrap();
    let expected = "error: stack `shop` has no service `queue`: it has `web`, `db`\n";
    assert_eq!(said, expected);
}
