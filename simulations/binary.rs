//! The program, as people call it.

#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

use std::process::{Command, Output};

#[test]
fn equal_arguments_give_equal_bytes_in_two_processes() {
    let arguments = ["run", "--nodes", "4", "--days", "0.02", "--seed", "42"];
    let (first, second) = (simulate(&arguments), simulate(&arguments));
    let text = String::from_utf8(first.stdout.clone()).unwrap();
    assert!(text.contains("digest"), "{text}");
    assert_eq!(first.stdout, second.stdout);
    let other = simulate(&["run", "--nodes", "4", "--days", "0.02", "--seed", "43"]);
    assert_ne!(first.stdout, other.stdout, "another seed is another run");
}

#[test]
fn a_trace_is_equal_byte_for_byte_and_has_a_column_for_each_node() {
    let arguments = ["replay", "7", "--days", "0.005", "--nodes", "3", "--trace"];
    let (first, second) = (simulate(&arguments), simulate(&arguments));
    assert_eq!(first.stdout, second.stdout);
    let text = String::from_utf8(first.stdout).unwrap();
    let head = text.lines().next().unwrap();
    assert!(
        ["n1", "n2", "n3"].iter().all(|node| head.contains(node)),
        "{head}"
    );
    assert!(text.contains("begins:") && text.contains("fresh"), "{text}");
}

#[test]
fn jobs_do_not_change_what_a_sweep_prints() {
    let one = simulate(&["sweep", "--runs", "2", "--jobs", "1", "--seed", "5"]);
    let two = simulate(&["sweep", "--runs", "2", "--jobs", "2", "--seed", "5"]);
    assert_eq!(one.stdout, two.stdout);
}

#[test]
fn wrong_usage_is_told_and_ends_with_2() {
    for arguments in [
        &["run", "--nodes", "1"][..],
        &["sweep"],
        &["run", "--days", "-1"],
    ] {
        let output = simulate(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with("error:"), "{told}");
    }
}

fn simulate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kontena-simulations"))
        .args(arguments)
        .output()
        .unwrap()
}
