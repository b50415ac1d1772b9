//! Volumes, written and removed on two sides of a split.

use super::history::{command, try_command};
use super::*;
use crate::command::{Command, Refusal};
use crate::volume::{Definition, Scope, VolumeName};

fn data() -> VolumeName {
    "data".parse().unwrap()
}

fn create(scope: Scope) -> Command {
    Command::CreateVolume {
        name: data(),
        definition: Definition::local(scope),
    }
}

fn remove() -> Command {
    Command::RemoveVolume(data())
}

/// A service that mounts it.
fn mounts(mount: &str) -> Command {
    let mut service = Service::new("db:1");
    service.volumes = vec![mount.parse().unwrap()];
    Command::CreateService {
        key: web(),
        service: Box::new(service),
        instances: 1,
    }
}

fn two() -> (Replica, Replica) {
    let mut both = replicas(2).into_iter();
    (both.next().unwrap(), both.next().unwrap())
}

#[track_caller]
fn meet(a: &mut Replica, b: &mut Replica) -> Arc<Documents> {
    sync(a, b, 1 << 20);
    assert_eq!(a.documents(), b.documents());
    a.documents()
}

fn refusal(replica: &mut Replica, command: &Command) -> String {
    try_command(replica, 1, command).unwrap_err().to_string()
}

#[test]
fn a_volume_is_created_once_and_another_one_of_the_name_is_another_one() {
    let (mut a, mut b) = two();
    command(&mut a, 1, &create(Scope::Instance));
    let first = meet(&mut a, &mut b).volumes[&data()].creation;
    assert_eq!(
        refusal(&mut b, &create(Scope::Grid)),
        "volume `data` exists already"
    );
    command(&mut b, 2, &remove());
    let documents = meet(&mut a, &mut b);
    assert!(documents.volumes.is_empty());
    assert!(documents.removed_volumes[&data()].contains(&first));
    assert_eq!(refusal(&mut a, &remove()), "volume `data` does not exist");
    command(&mut a, 1, &create(Scope::Grid));
    let documents = meet(&mut a, &mut b);
    let second = &documents.volumes[&data()];
    assert_eq!(second.definition.scope, Scope::Grid);
    assert!(second.creation != first && !second.removed);
    assert!(!documents.removed_volumes[&data()].contains(&second.creation));
}

#[test]
fn a_volume_is_there_before_a_service_mounts_it_and_as_long_as_one_does() {
    let (mut a, _) = two();
    assert_eq!(
        refusal(&mut a, &mounts("data:/data")),
        "service `shop/web` mounts the volume `data`, which does not exist"
    );
    command(&mut a, 1, &create(Scope::Instance));
    command(&mut a, 1, &mounts("data:/data"));
    assert_eq!(
        refusal(&mut a, &remove()),
        "volume `data` cannot be removed: it is used by `shop/web`"
    );
    command(&mut a, 1, &Command::RemoveService(web()));
    command(&mut a, 1, &remove());
    assert!(a.documents().volumes.is_empty());
}

#[test]
fn what_one_side_removed_while_the_other_gave_it_to_a_service_stays_until_no_service_has_it() {
    let (mut a, mut b) = two();
    command(&mut a, 1, &create(Scope::Instance));
    meet(&mut a, &mut b);
    command(&mut a, 1, &remove());
    command(&mut b, 2, &mounts("data:/data"));
    let documents = meet(&mut a, &mut b);
    assert!(documents.volumes[&data()].removed);
    assert_eq!(
        refusal(&mut a, &create(Scope::Grid)),
        "volume `data` was removed, and stays as long as a service uses it"
    );
    // The service itself may be changed; another one does not get it any more.
    let mut service = Service::new("db:2");
    service.volumes = vec!["data:/data".parse().unwrap()];
    let update = Command::UpdateService {
        key: web(),
        service: Box::new(service.clone()),
        instances: None,
    };
    command(&mut a, 1, &update);
    let another = Command::CreateService {
        key: "shop/other".parse().unwrap(),
        service: Box::new(service),
        instances: 1,
    };
    assert_eq!(
        refusal(&mut a, &another),
        "service `shop/other` mounts the volume `data`, which was removed"
    );
    command(&mut a, 1, &Command::RemoveService(web()));
    assert!(meet(&mut a, &mut b).volumes.is_empty());
}

#[test]
fn of_one_name_that_both_sides_created_one_counts_and_both_go_with_it() {
    let (mut a, mut b) = two();
    command(&mut a, 1, &create(Scope::Instance));
    command(&mut b, 2, &create(Scope::Grid));
    let before = [&mut a, &mut b].map(|side| side.documents().volumes[&data()].creation);
    let documents = meet(&mut a, &mut b);
    assert_eq!(documents.conflicts.len(), 1, "{:?}", documents.conflicts);
    assert!(before.contains(&documents.volumes[&data()].creation));
    command(&mut a, 1, &remove());
    let documents = meet(&mut a, &mut b);
    assert!(documents.volumes.is_empty());
    assert_eq!(documents.removed_volumes[&data()], before.into());
}

#[test]
fn who_removed_one_did_not_mean_the_one_that_the_other_side_created() {
    let (mut a, mut b) = two();
    command(&mut a, 1, &create(Scope::Instance));
    meet(&mut a, &mut b);
    command(&mut a, 1, &remove());
    command(&mut b, 2, &remove());
    command(&mut b, 2, &create(Scope::Stack));
    let documents = meet(&mut a, &mut b);
    assert_eq!(documents.volumes[&data()].definition.scope, Scope::Stack);
    assert!(!documents.volumes[&data()].removed);
}

#[test]
fn what_no_command_writes_is_no_volume() {
    let (mut a, mut b) = two();
    let definition = Definition {
        driver: "../evil\n".to_owned(),
        ..Definition::local(Scope::Grid)
    };
    let name = data();
    write(&mut a, &[Edit::Volume { name, definition }]);
    assert!(meet(&mut a, &mut b).volumes.is_empty());
    let short = Command::CreateVolume {
        name: "d".parse().unwrap(),
        definition: Definition::local(Scope::Grid),
    };
    let refused = try_command(&mut a, 1, &short).unwrap_err();
    assert!(matches!(refused, Refusal::Invalid(_)), "{refused}");
}
