//! Stacks that go together.

use super::history::{command, install, try_command};
use super::*;
use crate::command::{Command, Refusal};
use crate::id::StackName;
use crate::stack::Link;

fn name(name: &str) -> StackName {
    name.parse().unwrap()
}

/// A stack with one service `web`, which links to that of another stack.
fn linked(own: &str, to: Option<&str>) -> Command {
    let Command::InstallStack { mut stack, .. } = install(&[("web", "a:1")]) else {
        unreachable!("that is what it makes")
    };
    for (service, _) in stack.services.values_mut() {
        service.links.extend(to.map(link));
    }
    Command::InstallStack {
        name: name(own),
        stack,
    }
}

fn link(to: &str) -> Link {
    Link {
        stack: Some(name(to)),
        service: "web".parse().unwrap(),
        alias: "db".to_owned(),
    }
}

fn remove(own: &str, with: &[&str]) -> Command {
    Command::RemoveStack {
        name: name(own),
        with: with.iter().map(|other| name(other)).collect(),
    }
}

fn left(replica: &mut Replica) -> Vec<String> {
    let documents = replica.documents();
    documents.stacks.keys().map(ToString::to_string).collect()
}

fn family() -> Replica {
    let mut first = replicas(1).remove(0);
    command(&mut first, 1, &linked("shop-db", None));
    command(&mut first, 1, &linked("shop", Some("shop-db")));
    first
}

#[test]
fn a_family_goes_with_one_change_of_each_and_all_at_once() {
    let mut first = family();
    command(&mut first, 1, &remove("shop", &["shop-db", "shop-old"]));
    assert_eq!(left(&mut first), [""; 0]);
    assert!(first.documents().services.is_empty());
}

#[test]
fn a_family_that_another_stack_needs_stays_whole() {
    let mut first = family();
    command(&mut first, 1, &linked("other", Some("shop-db")));
    let refused = try_command(&mut first, 1, &remove("shop", &["shop-db"]));
    let Err(Refusal::Invalid(problem)) = refused else {
        panic!("{refused:?}");
    };
    assert!(problem.contains("`other/web` links to it"), "{problem}");
    let alone = try_command(&mut first, 1, &remove("shop-db", &[]));
    assert!(alone.is_err(), "what links to it stays");
    assert_eq!(left(&mut first), ["other", "shop", "shop-db"]);
}
