//! The revisions of a stack: one side, two sides, removals.

use super::*;
use crate::command::{Command, Refusal, StackInput, edits};
use crate::document::materialise::merged_services;
use crate::id::{RevisionHash, ServiceName};
use crate::view::{Definition, History, StackRecord, StackRevision, View};

/// Gives the command and saves what it writes.
#[track_caller]
pub(super) fn command(replica: &mut Replica, by: u8, command: &Command) {
    let edits = try_command(replica, by, command).unwrap();
    write(replica, &edits);
}

pub(super) fn try_command(
    replica: &mut Replica,
    by: u8,
    command: &Command,
) -> Result<Vec<Edit>, Refusal> {
    let view = View {
        documents: replica.documents(),
        ..View::default()
    };
    edits(&view, node(by), command, WallTime(7))
}

fn input(services: &[(&str, &str)]) -> StackInput {
    let services = services.iter();
    StackInput {
        stack: "me/shop".to_owned(),
        version: "1".to_owned(),
        services: services
            .map(|(name, image)| (name.parse().unwrap(), (Service::new(*image), Some(1))))
            .collect(),
        ..StackInput::default()
    }
}

pub(super) fn install(services: &[(&str, &str)]) -> Command {
    Command::InstallStack {
        name: "shop".parse().unwrap(),
        stack: input(services),
    }
}

pub(super) fn upgrade(services: &[(&str, &str)]) -> Command {
    Command::UpgradeStack {
        name: "shop".parse().unwrap(),
        stack: input(services),
    }
}

fn rollback(to: Option<&str>) -> Command {
    Command::RollbackStack {
        name: "shop".parse().unwrap(),
        to: to.map(|name| name.parse().unwrap()),
    }
}

fn history(replica: &mut Replica) -> History {
    let documents = replica.documents();
    (*documents.histories[&"shop".parse().unwrap()]).clone()
}

/// What each revision is called and runs, the oldest first.
fn told(replica: &mut Replica) -> Vec<String> {
    let history = history(replica);
    let tell = |one: &StackRevision| {
        let services = one.services.iter();
        let services: Vec<String> = services
            .map(|(name, service)| format!("{name}={}", service.as_ref().unwrap().image))
            .collect();
        format!("{} {}", one.number(), services.join(" "))
    };
    history.revisions.iter().map(tell).collect()
}

#[test]
fn an_upgrade_records_a_revision_and_a_rollback_another() {
    let mut first = replicas(1).remove(0);
    command(&mut first, 1, &install(&[("web", "a:1"), ("db", "b:1")]));
    command(&mut first, 1, &upgrade(&[("web", "a:2")]));
    command(&mut first, 1, &rollback(None));
    assert_eq!(
        told(&mut first),
        ["1 db=b:1 web=a:1", "2 web=a:2", "3 db=b:1 web=a:1"]
    );
    let documents = first.documents();
    let stack = &documents.stacks[&"shop".parse().unwrap()];
    assert_eq!(stack.revision, 3);
    assert_eq!(stack.services.len(), 2);
    assert_eq!(the_web(&mut first).latest.hash, Service::new("a:1").hash());
    assert!(
        history(&mut first)
            .revisions
            .iter()
            .all(|one| one.author == node(1))
    );
}

#[test]
fn a_rollback_to_what_is_not_there_is_refused_with_the_reason() {
    let mut first = replicas(1).remove(0);
    assert!(try_command(&mut first, 1, &rollback(None)).is_err());
    command(&mut first, 1, &install(&[("web", "a:1")]));
    let refused = |replica: &mut Replica, to| {
        try_command(replica, 1, &rollback(to))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(&mut first, None),
        "stack `shop`: it has no revision before this one"
    );
    assert_eq!(
        refused(&mut first, Some("9")),
        "stack `shop`: there is no revision `9`"
    );
}

#[test]
fn two_sides_of_a_split_give_one_number_and_the_next_is_above_all() {
    let mut all = replicas(2);
    command(&mut all[0], 1, &install(&[("web", "a:1")]));
    let (a, b) = all.split_at_mut(1);
    sync(&mut a[0], &mut b[0], 1 << 20);
    command(&mut a[0], 1, &upgrade(&[("web", "a:2")]));
    command(&mut a[0], 1, &upgrade(&[("web", "a:3")]));
    command(&mut b[0], 2, &upgrade(&[("web", "b:2")]));
    // The revision in force is that of the side that went on for longer, though it has the lower number.
    for _ in 0..3 {
        write(&mut b[0], &[scale(4)]);
    }
    command(&mut b[0], 2, &rollback(Some("2")));
    sync(&mut a[0], &mut b[0], 1 << 20);
    assert_eq!(history(&mut a[0]), history(&mut b[0]));
    let history = history(&mut a[0]);
    let labels: Vec<String> = history
        .revisions
        .iter()
        .map(|one| history.label(one))
        .collect();
    assert_eq!(labels.len(), 5);
    assert_eq!(labels[0], "1");
    assert!(labels[1].starts_with("2~") && labels[2].starts_with("2~"));
    assert_ne!(labels[1], labels[2]);
    let found = history.find(&labels[1].parse().unwrap()).unwrap();
    assert_eq!(found.hash, history.revisions[1].hash);

    command(&mut a[0], 1, &rollback(Some("1")));
    assert_eq!(self::history(&mut a[0]).current().unwrap().number(), 4);
}

#[test]
fn a_stack_that_was_removed_and_comes_again_begins_a_new_history() {
    let mut first = replicas(1).remove(0);
    command(&mut first, 1, &install(&[("web", "a:1")]));
    command(
        &mut first,
        1,
        &Command::RemoveStack {
            name: "shop".parse().unwrap(),
            with: Vec::new(),
        },
    );
    assert!(first.documents().histories.is_empty());
    command(&mut first, 1, &install(&[("web", "a:2")]));
    assert_eq!(told(&mut first), ["1 web=a:2"]);
}

#[test]
fn what_a_removed_node_recorded_beside_its_removal_is_no_revision() {
    let mut all = replicas(2);
    command(&mut all[0], 1, &install(&[("web", "a:1")]));
    let (a, b) = all.split_at_mut(1);
    sync(&mut a[0], &mut b[0], 1 << 20);
    command(&mut b[0], 2, &upgrade(&[("web", "evil:1")]));
    write(&mut a[0], &[Edit::RemoveNode(node(2))]);
    give(&b[0], &mut a[0]);
    assert_eq!(told(&mut a[0]), ["1 web=a:1"]);
}

#[test]
fn a_history_keeps_the_newest_and_an_old_number_is_told_as_unknown() {
    let mut first = replicas(1).remove(0);
    command(&mut first, 1, &install(&[("web", "a:0")]));
    for number in 1..=History::MAX {
        command(&mut first, 1, &upgrade(&[("web", &format!("a:{number}"))]));
    }
    let history = history(&mut first);
    assert_eq!(history.revisions.len(), History::MAX);
    assert_eq!(history.revisions[0].number(), 2);
    assert!(try_command(&mut first, 1, &rollback(Some("1"))).is_err());
}

/// Two replicas that know a stack of `web` and `db`.
fn two_with_shop() -> (Replica, Replica) {
    let mut all = replicas(2).into_iter();
    let (mut a, mut b) = (all.next().unwrap(), all.next().unwrap());
    command(&mut a, 1, &install(&[("web", "a:1"), ("db", "b:1")]));
    sync(&mut a, &mut b, 1 << 20);
    (a, b)
}

/// What the stack consists of once both sides have upgraded it and met.
#[track_caller]
fn together(left: &[(&str, &str)], right: &[(&str, &str)]) -> Vec<String> {
    let (mut a, mut b) = two_with_shop();
    command(&mut a, 1, &upgrade(left));
    command(&mut b, 2, &upgrade(right));
    sync(&mut a, &mut b, 1 << 20);
    assert_eq!(a.documents(), b.documents());
    command(&mut b, 2, &Command::DeployStack("shop".parse().unwrap()));
    let documents = b.documents();
    let services = documents.services.iter();
    services
        .map(|(key, record)| {
            let latest = record.latest.service.as_ref().unwrap();
            format!("{}={}", key.service, latest.image)
        })
        .collect()
}

#[test]
fn what_either_side_adds_drops_or_changes_stands_where_the_other_did_not_touch_it() {
    let (web, db) = (("web", "a:1"), ("db", "b:1"));
    for (left, right, expected) in [
        (
            vec![web, db, ("cache", "c:1")],
            vec![("web", "a:2"), db],
            vec!["cache=c:1", "db=b:1", "web=a:2"],
        ),
        (vec![web], vec![("web", "a:2"), db], vec!["web=a:2"]),
        (
            vec![web],
            vec![web, ("db", "b:2")],
            vec!["db=b:2", "web=a:1"],
        ),
        (vec![web], vec![db, ("cache", "c:1")], vec!["cache=c:1"]),
    ] {
        assert_eq!(together(&left, &right), expected);
        assert_eq!(together(&right, &left), expected);
    }
}

#[test]
fn whoever_upgrades_after_both_sides_met_has_the_last_word() {
    let (mut a, mut b) = two_with_shop();
    command(&mut a, 1, &upgrade(&[("web", "a:1"), ("cache", "c:1")]));
    command(&mut b, 2, &upgrade(&[("web", "a:2"), ("db", "b:1")]));
    sync(&mut a, &mut b, 1 << 20);
    command(&mut a, 1, &upgrade(&[("db", "b:3")]));
    let documents = a.documents();
    let services = &documents.stacks[&"shop".parse().unwrap()].services;
    assert_eq!(services, &["db".parse().unwrap()]);
}

/// A side is a set of services, each unchanged or changed.
fn side(bits: [u8; 4]) -> StackRecord {
    let mut record: StackRecord =
        serde_json::from_str(r#"{"stack":"shop","version":"1","revision":1}"#).unwrap();
    for (name, state) in ["a", "b", "c", "d"].into_iter().zip(bits) {
        if state > 0 {
            let name: ServiceName = name.parse().unwrap();
            record.services.push(name.clone());
            let hash = RevisionHash([state; 32]);
            let instances = None;
            record
                .definitions
                .insert(name, Definition { hash, instances });
        }
    }
    record
}

proptest::proptest! {
    #[test]
    fn services_merge_alike_on_all_sides_and_a_side_that_did_nothing_decides_nothing(
        base in proptest::array::uniform4(0_u8..3),
        left in proptest::array::uniform4(0_u8..3),
        right in proptest::array::uniform4(0_u8..3),
    ) {
        let (base, left, right) = (side(base), side(left), side(right));
        let merged = merged_services(Some(&base), &[&left, &right]);
        proptest::prop_assert_eq!(&merged, &merged_services(Some(&base), &[&right, &left]));
        proptest::prop_assert_eq!(merged_services(Some(&base), &[&left, &base]), left.services.clone());
        proptest::prop_assert_eq!(merged_services(Some(&base), &[&left, &left]), left.services);
    }
}
