//! What two sides of a split gave one stack differently: who said what, and how it is settled.

use super::history::{command, install, try_command, upgrade};
use super::*;
use crate::command::{Command, Take};
use crate::view::{ConflictSubject, ConflictValue, Lifecycle, StackConflict};

/// Two replicas that both know a stack, before each goes on alone.
fn apart(services: &[(&str, &str)]) -> [Replica; 2] {
    let mut all = replicas(2);
    command(&mut all[0], 1, &install(services));
    let [mut a, mut b] = <[Replica; 2]>::try_from(all).unwrap();
    sync(&mut a, &mut b, 1 << 20);
    [a, b]
}

/// What is in conflict once both know everything.
#[track_caller]
fn meet([a, b]: &mut [Replica; 2]) -> Vec<StackConflict> {
    sync(a, b, 1 << 20);
    assert_eq!(a.documents(), b.documents());
    let conflicts = a.documents().stack_conflicts.clone();
    conflicts.into_values().flatten().collect()
}

/// As `web Definition: 2 a:2 | 1 b:2`, with the numbers of the nodes; what is in force comes first.
#[track_caller]
fn told(sides: &mut [Replica; 2]) -> Vec<String> {
    let author = |id| (1..=2).find(|number| node(*number) == id).unwrap();
    let value = |value: &ConflictValue| match value {
        ConflictValue::File { version, .. } => version.clone(),
        ConflictValue::Kept => "kept".to_owned(),
        ConflictValue::Dropped => "dropped".to_owned(),
        ConflictValue::Definition { service, .. } => service.as_ref().unwrap().image.clone(),
        ConflictValue::Instances(instances) => instances.to_string(),
        ConflictValue::State(state) => format!("{state:?}"),
    };
    let tell = |conflict: &StackConflict| {
        let service = conflict.service.as_ref().map_or("-", |name| name.as_str());
        let sides = conflict.sides.iter();
        let sides: Vec<String> = sides
            .map(|side| format!("{} {}", author(side.author), value(&side.value)))
            .collect();
        format!("{service} {:?}: {}", conflict.subject, sides.join(" | "))
    };
    meet(sides).iter().map(tell).collect()
}

fn resolve(take: Option<(&str, &[&str])>) -> Command {
    Command::ResolveStack {
        name: "shop".parse().unwrap(),
        take: take.map(|(revision, services)| Take {
            revision: revision.parse().unwrap(),
            services: services.iter().map(|name| name.parse().unwrap()).collect(),
        }),
    }
}

/// The hash of the newest revision, before the sides meet.
fn newest(replica: &mut Replica) -> String {
    let documents = replica.documents();
    let history = &documents.histories[&"shop".parse().unwrap()];
    history.current().unwrap().hash.to_string()
}

fn image(replica: &mut Replica, service: &str) -> Option<String> {
    let documents = replica.documents();
    let record = documents
        .services
        .get(&format!("shop/{service}").parse().unwrap())?;
    Some(record.latest.service.as_ref().unwrap().image.clone())
}

#[test]
fn edits_that_do_not_touch_are_no_conflict() {
    let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
    command(&mut sides[0], 1, &upgrade(&[("web", "a:2"), ("db", "b:1")]));
    command(&mut sides[1], 2, &upgrade(&[("web", "a:1"), ("db", "b:2")]));
    assert_eq!(meet(&mut sides), []);
    assert_eq!(image(&mut sides[0], "web").as_deref(), Some("a:2"));
    assert_eq!(image(&mut sides[0], "db").as_deref(), Some("b:2"));
}

#[test]
fn who_wrote_which_definition_is_told_and_an_upgrade_that_saw_both_settles_it() {
    let mut sides = apart(&[("web", "a:1")]);
    command(&mut sides[0], 1, &upgrade(&[("web", "a:2")]));
    command(&mut sides[1], 2, &upgrade(&[("web", "b:2")]));
    let before = told(&mut sides);
    let in_force = image(&mut sides[0], "web").unwrap();
    let expected = match in_force.as_str() {
        "a:2" => "web Definition: 1 a:2 | 2 b:2",
        _ => "web Definition: 2 b:2 | 1 a:2",
    };
    assert_eq!(before, [expected]);
    // To what is in force already.
    command(&mut sides[1], 2, &upgrade(&[("web", &in_force)]));
    assert_eq!(meet(&mut sides), []);
    assert_eq!(image(&mut sides[0], "web"), Some(in_force));
}

#[test]
fn resolve_takes_what_is_in_force_or_the_revision_that_is_named() {
    for taken in [None, Some(0), Some(1)] {
        let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
        command(&mut sides[0], 1, &upgrade(&[("web", "a:2"), ("db", "b:3")]));
        command(&mut sides[1], 2, &upgrade(&[("web", "b:2"), ("db", "b:1")]));
        let revisions = sides.each_mut().map(newest);
        assert_eq!(meet(&mut sides).len(), 1);
        let in_force = image(&mut sides[0], "web");
        let take = taken.map(|side: usize| (revisions[side].as_str(), &[][..]));
        command(&mut sides[0], 1, &resolve(take));
        assert_eq!(meet(&mut sides), []);
        let expected = match taken {
            None => in_force,
            Some(0) => Some("a:2".to_owned()),
            Some(_) => Some("b:2".to_owned()),
        };
        assert_eq!(image(&mut sides[1], "web"), expected);
        assert_eq!(
            image(&mut sides[1], "db").as_deref(),
            Some("b:3"),
            "what only one side touched stays"
        );
        let documents = sides[1].documents();
        assert!(documents.conflicts.is_empty());
        assert_eq!(documents.stacks[&"shop".parse().unwrap()].revision, 3);
    }
}

#[test]
fn resolve_may_take_some_services_alone() {
    let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
    command(&mut sides[0], 1, &upgrade(&[("web", "a:2"), ("db", "a:2")]));
    command(&mut sides[1], 2, &upgrade(&[("web", "b:2"), ("db", "b:2")]));
    let revisions = sides.each_mut().map(newest);
    assert_eq!(meet(&mut sides).len(), 2);
    let in_force = image(&mut sides[0], "web").unwrap();
    let (loser, other) = match in_force.as_str() {
        "a:2" => (1, "b:2"),
        _ => (0, "a:2"),
    };
    let take = resolve(Some((&revisions[loser], &["db"])));
    command(&mut sides[0], 1, &take);
    assert_eq!(meet(&mut sides), []);
    assert_eq!(image(&mut sides[0], "web"), Some(in_force));
    assert_eq!(image(&mut sides[0], "db").as_deref(), Some(other));
}

#[test]
fn instances_and_states_of_two_sides_are_settled_as_they_are() {
    let mut sides = apart(&[("web", "a:1")]);
    let state = |state| Edit::Lifecycle {
        service: web(),
        state,
    };
    write(&mut sides[0], &[scale(5), state(Lifecycle::Stopped)]);
    write(&mut sides[1], &[scale(6), state(Lifecycle::Running)]);
    let subjects: Vec<ConflictSubject> = meet(&mut sides).iter().map(|c| c.subject).collect();
    assert_eq!(
        subjects,
        [ConflictSubject::Instances, ConflictSubject::State]
    );
    let before = the_web(&mut sides[0]);
    command(&mut sides[0], 1, &resolve(None));
    assert_eq!(meet(&mut sides), []);
    let after = the_web(&mut sides[1]);
    assert_eq!(
        (after.instances, after.state),
        (before.instances, before.state)
    );
}

#[test]
fn scaling_to_what_is_in_force_settles_it_too() {
    let mut sides = apart(&[("web", "a:1")]);
    write(&mut sides[0], &[scale(5)]);
    write(&mut sides[1], &[scale(6)]);
    assert_eq!(meet(&mut sides).len(), 1);
    let scale = Command::ScaleService {
        key: web(),
        instances: the_web(&mut sides[0]).instances,
    };
    command(&mut sides[0], 1, &scale);
    assert_eq!(meet(&mut sides), []);
}

#[test]
fn a_service_that_one_side_dropped_and_the_other_changed_stays_until_it_is_settled() {
    for keep in [true, false] {
        let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
        command(&mut sides[0], 1, &upgrade(&[("web", "a:1")]));
        command(&mut sides[1], 2, &upgrade(&[("web", "a:1"), ("db", "b:2")]));
        let dropped = newest(&mut sides[0]);
        assert_eq!(told(&mut sides), ["db Presence: 2 kept | 1 dropped"]);
        let take = (!keep).then_some((dropped.as_str(), &[][..]));
        command(&mut sides[0], 1, &resolve(take));
        assert_eq!(meet(&mut sides), []);
        let documents = sides[1].documents();
        let services = &documents.stacks[&"shop".parse().unwrap()].services;
        assert_eq!(services.contains(&"db".parse().unwrap()), keep);
    }
}

#[test]
fn a_service_that_is_gone_though_the_other_side_changed_it_may_be_brought_back() {
    for bring_back in [true, false] {
        let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
        command(&mut sides[0], 1, &upgrade(&[("web", "a:1")]));
        let name = "shop".parse().unwrap();
        command(&mut sides[0], 1, &Command::DeployStack(name));
        command(&mut sides[1], 2, &upgrade(&[("web", "a:1"), ("db", "b:2")]));
        let changed = newest(&mut sides[1]);
        let told = told(&mut sides);
        assert!(
            told.contains(&"db Presence: 1 dropped | 2 kept".to_owned()),
            "{told:?}"
        );
        assert_eq!(image(&mut sides[0], "db"), None);
        let take = bring_back.then_some((changed.as_str(), &[][..]));
        command(&mut sides[0], 1, &resolve(take));
        assert_eq!(meet(&mut sides), []);
        let expected = bring_back.then_some("b:2");
        assert_eq!(image(&mut sides[1], "db").as_deref(), expected);
        assert!(sides[1].documents().conflicts.is_empty());
    }
}

#[test]
fn a_service_that_is_gone_though_the_other_side_has_it_again_may_be_brought_back() {
    let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
    command(&mut sides[0], 1, &upgrade(&[("web", "a:1")]));
    let [a, b] = &mut sides;
    sync(a, b, 1 << 20);
    let name = "shop".parse().unwrap();
    command(&mut sides[0], 1, &Command::DeployStack(name));
    command(&mut sides[1], 2, &upgrade(&[("web", "a:1"), ("db", "b:1")]));
    let listed = newest(&mut sides[1]);
    assert_eq!(told(&mut sides), ["db Presence: 1 dropped | 2 kept"]);
    assert_eq!(image(&mut sides[0], "db"), None);
    command(&mut sides[0], 1, &resolve(Some((&listed, &[]))));
    assert_eq!(meet(&mut sides), []);
    assert_eq!(image(&mut sides[1], "db").as_deref(), Some("b:1"));
}

#[test]
fn an_upgrade_beside_a_removal_is_no_revision_of_a_stack_that_is_installed_anew() {
    let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
    let name: crate::id::StackName = "shop".parse().unwrap();
    let remove = Command::RemoveStack {
        name: name.clone(),
        with: Vec::new(),
    };
    command(&mut sides[0], 1, &remove);
    command(&mut sides[0], 1, &install(&[("web", "a:3")]));
    command(&mut sides[1], 2, &upgrade(&[("web", "a:2"), ("db", "b:1")]));
    assert_eq!(meet(&mut sides), []);
    assert_eq!(image(&mut sides[1], "web").as_deref(), Some("a:3"));
    assert_eq!(image(&mut sides[1], "db"), None);
    let documents = sides[1].documents();
    assert_eq!(documents.histories[&name].revisions.len(), 1);
}

#[test]
fn a_change_beside_the_upgrade_that_drops_the_service_is_told() {
    let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
    command(&mut sides[0], 1, &upgrade(&[("db", "b:1")]));
    write(&mut sides[1], &[scale(7)]);
    assert_eq!(told(&mut sides), ["web Presence: 1 dropped | 2 kept"]);
    command(&mut sides[1], 2, &resolve(None));
    assert_eq!(meet(&mut sides), []);
}

#[test]
fn two_deploys_are_settled_with_the_definition() {
    let mut sides = apart(&[("web", "a:1")]);
    for (side, image) in [(0, "a:2"), (1, "b:2")] {
        let by = u8::try_from(side).unwrap() + 1;
        command(&mut sides[side], by, &upgrade(&[("web", image)]));
        let name = "shop".parse().unwrap();
        command(&mut sides[side], by, &Command::DeployStack(name));
    }
    assert_eq!(meet(&mut sides).len(), 1, "they are told once");
    assert_eq!(sides[0].documents().conflicts.len(), 2);
    let generation = the_web(&mut sides[0]).deployed.unwrap().generation;
    command(&mut sides[0], 1, &resolve(None));
    assert_eq!(meet(&mut sides), []);
    assert!(sides[0].documents().conflicts.is_empty());
    let deployed = the_web(&mut sides[1]).deployed.unwrap();
    assert_eq!(
        deployed.generation, generation,
        "nothing is restarted for it"
    );
}

#[test]
fn what_cannot_be_resolved_is_refused_with_the_reason() {
    let mut sides = apart(&[("web", "a:1"), ("db", "b:1")]);
    let refused = |replica: &mut Replica, command: &Command| {
        try_command(replica, 1, command).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&mut sides[0], &resolve(None)),
        "stack `shop`: it has no conflict"
    );
    command(&mut sides[0], 1, &upgrade(&[("web", "a:2"), ("db", "b:1")]));
    command(&mut sides[1], 2, &upgrade(&[("web", "b:2"), ("db", "b:1")]));
    assert_eq!(meet(&mut sides).len(), 1);
    assert_eq!(
        refused(&mut sides[0], &resolve(Some(("1", &["db"])))),
        "stack `shop`: service `db` has no conflict"
    );
    assert_eq!(
        refused(&mut sides[0], &resolve(Some(("9", &[])))),
        "stack `shop`: there is no revision `9`"
    );
}
