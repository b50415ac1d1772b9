//! Labels of a stack: added and removed by hand, beside a revision and after it.

use std::collections::BTreeMap;

use super::history::{command, install, try_command, upgrade};
use super::*;
use crate::command::{Command, Refusal};
use crate::stack::StackLabel;

fn label(label: &str) -> StackLabel {
    label.parse().unwrap()
}

/// `+a=1` adds a label, `-a=1` removes it.
fn relabel(changes: &[&str]) -> Command {
    let changes = changes.iter().map(|change| {
        let (present, text) = change.split_at(1);
        (label(text), present == "+")
    });
    Command::LabelStack {
        name: "shop".parse().unwrap(),
        labels: changes.collect::<BTreeMap<_, _>>(),
    }
}

fn installed(labels: &[&str]) -> Command {
    let Command::InstallStack { name, mut stack } = install(&[("web", "a:1")]) else {
        unreachable!("that is what it makes")
    };
    stack.labels = labels.iter().map(|text| label(text)).collect();
    Command::InstallStack { name, stack }
}

fn labels(replica: &mut Replica) -> Vec<String> {
    let documents = replica.documents();
    let stack = &documents.stacks[&"shop".parse().unwrap()];
    stack.labels.iter().map(ToString::to_string).collect()
}

/// Everybody knows everything.
#[track_caller]
fn meet(sides: &mut [Replica]) -> Arc<Documents> {
    for _ in 0..2 {
        for other in 1..sides.len() {
            let (first, rest) = sides.split_at_mut(1);
            sync(&mut first[0], &mut rest[other - 1], 1 << 20);
        }
    }
    agree(sides)
}

#[test]
fn labels_change_without_a_revision_and_count_until_the_next_one() {
    let mut first = replicas(1).remove(0);
    command(&mut first, 1, &installed(&["team=a", "tier=1"]));
    command(&mut first, 1, &relabel(&["+path=a/b", "-tier=1"]));
    assert_eq!(labels(&mut first), ["team=a", "path=a/b"]);
    let stack = first.documents().stacks[&"shop".parse().unwrap()].clone();
    assert_eq!(stack.revision, 1);
    let again = try_command(&mut first, 1, &relabel(&["+path=a/b"]));
    assert_eq!(again, Ok(Vec::new()), "it is so already");
    command(&mut first, 1, &upgrade(&[("web", "a:1")]));
    assert_eq!(labels(&mut first), [""; 0], "the file has none");
    command(&mut first, 1, &relabel(&["+tier=1"]));
    assert_eq!(labels(&mut first), ["tier=1"]);
}

#[test]
fn a_label_that_is_not_there_and_one_too_many_are_refused() {
    let mut first = replicas(1).remove(0);
    command(&mut first, 1, &installed(&["team=a"]));
    let missing = try_command(&mut first, 1, &relabel(&["+tier=1", "-team=b"]));
    assert!(matches!(
        missing,
        Err(Refusal::NotFound { what: "label", .. })
    ));
    let all: Vec<String> = (0..64).map(|number| format!("+n={number}")).collect();
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    let many = try_command(&mut first, 1, &relabel(&all));
    assert!(matches!(many, Err(Refusal::Invalid(_))), "{many:?}");
    all.push("-team=a");
    command(&mut first, 1, &relabel(&all));
    assert_eq!(labels(&mut first).len(), 64);
}

#[test]
fn labels_of_two_sides_stand_beside_each_other_and_beside_an_upgrade() {
    let mut sides = replicas(3);
    command(&mut sides[0], 1, &installed(&["team=a"]));
    meet(&mut sides);
    command(&mut sides[0], 1, &relabel(&["+tier=1"]));
    command(&mut sides[1], 2, &relabel(&["+zone=x", "-team=a"]));
    command(&mut sides[2], 3, &upgrade(&[("web", "a:2")]));
    let documents = meet(&mut sides);
    assert_eq!(labels(&mut sides[0]), ["tier=1", "zone=x"]);
    assert!(documents.conflicts.is_empty(), "{:?}", documents.conflicts);
    assert!(documents.stack_conflicts.is_empty());
}

#[test]
fn a_removed_stack_takes_its_labels_with_it() {
    let mut first = replicas(1).remove(0);
    command(&mut first, 1, &installed(&[]));
    command(&mut first, 1, &relabel(&["+tier=1"]));
    let remove = Command::RemoveStack {
        name: "shop".parse().unwrap(),
        with: Vec::new(),
    };
    command(&mut first, 1, &remove);
    command(&mut first, 1, &installed(&[]));
    assert_eq!(labels(&mut first), [""; 0]);
}
