//! What a stack's file says of itself: a part of each revision.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::history::{command, install, upgrade};
use super::*;
use crate::command::Command;

fn said(metadata: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(metadata).unwrap()
}

/// An install or an upgrade of a file that says this of itself.
fn saying(mut asked: Command, metadata: Value) -> Command {
    let (Command::InstallStack { stack, .. } | Command::UpgradeStack { stack, .. }) = &mut asked
    else {
        unreachable!("nothing else has a file")
    };
    stack.metadata = said(metadata);
    asked
}

fn metadata(replica: &mut Replica) -> Value {
    let documents = replica.documents();
    json!(documents.stacks[&"shop".parse().unwrap()].metadata)
}

#[test]
fn each_revision_says_anew_what_the_stack_is_and_a_rollback_brings_it_back() {
    let mut first = replicas(1).remove(0);
    let asked = install(&[("web", "a:1")]);
    command(&mut first, 1, &saying(asked, json!({"tags": ["store"]})));
    assert_eq!(metadata(&mut first), json!({"tags": ["store"]}));
    command(&mut first, 1, &upgrade(&[("web", "a:2")]));
    assert_eq!(metadata(&mut first), json!({}), "the file says nothing");
    let back = Command::RollbackStack {
        name: "shop".parse().unwrap(),
        to: None,
    };
    command(&mut first, 1, &back);
    assert_eq!(metadata(&mut first), json!({"tags": ["store"]}));
    let histories = &first.documents().histories;
    let revisions = &histories[&"shop".parse().unwrap()].revisions;
    let all: Vec<bool> = revisions
        .iter()
        .map(|revision| revision.record.metadata.is_empty())
        .collect();
    assert_eq!(all, [false, true, false]);
}

#[test]
fn two_sides_of_a_split_come_to_what_the_revision_in_force_says_and_resolve_keeps_it() {
    let mut sides = replicas(2);
    command(&mut sides[0], 1, &install(&[("web", "a:1")]));
    let (one, other) = sides.split_at_mut(1);
    sync(&mut one[0], &mut other[0], 1 << 20);
    for (index, image) in ["a:2", "a:3"].into_iter().enumerate() {
        let asked = saying(upgrade(&[("web", image)]), json!({"of": image}));
        let author = u8::try_from(index + 1).unwrap();
        command(&mut sides[index], author, &asked);
    }
    let (one, other) = sides.split_at_mut(1);
    sync(&mut one[0], &mut other[0], 1 << 20);
    let documents = agree(&mut sides);
    let shop = &documents.stacks[&"shop".parse().unwrap()];
    let history = &documents.histories[&"shop".parse().unwrap()];
    let current = history.current().unwrap();
    assert_eq!(shop.metadata, current.record.metadata);
    assert_eq!(shop.metadata.len(), 1);
    let before = metadata(&mut sides[0]);
    let resolve = Command::ResolveStack {
        name: "shop".parse().unwrap(),
        take: None,
    };
    command(&mut sides[0], 1, &resolve);
    assert_eq!(metadata(&mut sides[0]), before);
}
