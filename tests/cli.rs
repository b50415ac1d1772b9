//! The program as a shell sees it: exit codes, and which stream says what. No daemon runs.
#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

use std::process::{Command, Output, Stdio};

#[test]
fn used_in_the_wrong_way_it_ends_with_2_and_says_so_on_standard_error() {
    for line in [
        "",
        "servce ls",
        "service show Web",
        "service create --privileged web nginx",
        "service update web",
        "node update a",
        "join 10.0.0.1",
        "daemon --json",
        "daemon --log loud --listen nowhere",
        "node ls --url https://10.0.0.1",
        "stack show null",
    ] {
        let ran = kontena(line);
        assert_eq!(ran.status.code(), Some(2), "`{line}`: {ran:?}");
        assert!(ran.stdout.is_empty(), "`{line}`: {ran:?}");
        assert!(!ran.stderr.is_empty(), "`{line}`");
    }
}

#[test]
fn help_is_data() {
    for line in [
        "--help",
        "--version",
        "service create --help",
        "version --cli",
    ] {
        let ran = kontena(line);
        assert_eq!(ran.status.code(), Some(0), "`{line}`: {ran:?}");
        assert!(!ran.stdout.is_empty(), "`{line}`");
        assert!(ran.stderr.is_empty(), "`{line}`: {ran:?}");
    }
}

#[test]
fn without_a_daemon_it_ends_with_1_and_a_hint() {
    let ran = kontena("node ls");
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stdout.is_empty());
    let said = String::from_utf8(ran.stderr).unwrap();
    let expected = "error: failed to connect to `/nonexistent/kontena.sock`";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains("\nhint: is the daemon running?"), "{said}");
}

#[test]
fn a_stack_file_is_checked_without_a_daemon_and_every_problem_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kontena.yml");
    let text = "stack: a/b\nservices:\n  web:\n    imag: x\n    instances: many\n";
    std::fs::write(&file, text).unwrap();
    let ran = kontena(&format!("stack validate {}", file.display()));
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("kontena.yml:4:5"), "{said}");
    assert!(said.contains("kontena.yml:5:16"), "{said}");
}

#[test]
fn a_reader_that_wants_no_more_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = program("completion bash").stdout(writer).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn kontena(line: &str) -> Output {
    program(line).output().unwrap()
}

fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontena"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("KONTENA_SOCKET", "/nonexistent/kontena.sock")
        .stdin(Stdio::null());
    command
}
