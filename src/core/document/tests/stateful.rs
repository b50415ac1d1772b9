//! What cannot be changed of a service that keeps data.

use super::history::{command, try_command};
use super::*;
use crate::command::{Command, Refusal};
use crate::view::Availability;

/// A service with the data directory that it was created with.
fn database(volumes: &[&str], stateful: bool) -> Service {
    let mut service = Service::new("db:1");
    service.stateful = stateful;
    service.volumes = volumes.iter().map(|text| text.parse().unwrap()).collect();
    service
}

fn created(stateful: bool) -> Replica {
    let [mut replica] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let create = Command::CreateService {
        key: web(),
        service: Box::new(database(&["/data"], stateful)),
        instances: 1,
    };
    command(&mut replica, 1, &create);
    replica
}

#[track_caller]
fn update(replica: &mut Replica, service: Service) -> Result<Vec<Edit>, Refusal> {
    let update = Command::UpdateService {
        key: web(),
        service: Box::new(service),
        instances: None,
    };
    try_command(replica, 1, &update)
}

#[test]
fn a_stateful_service_gets_no_new_anonymous_volume() {
    let mut replica = created(true);
    let more = || database(&["/data", "/more"], true);
    assert!(update(&mut replica, more()).is_ok(), "nothing runs yet");
    let deploy = Command::DeployService {
        key: web(),
        force: false,
    };
    command(&mut replica, 1, &deploy);
    let refused = update(&mut replica, more()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "service `shop/web`: a stateful service that exists gets no new anonymous volume (`/more`); \
         mount a directory of the host, or remove the service and create it again"
    );
    for kept in [
        &["/data"][..],
        &["/data", "/srv:/more"],
        &["/srv:/data"],
        &[],
    ] {
        assert!(
            update(&mut replica, database(kept, true)).is_ok(),
            "{kept:?}"
        );
    }
}

#[test]
fn a_volume_that_an_update_dropped_by_mistake_is_taken_up_again() {
    let mut replica = created(true);
    let deploy = Command::DeployService {
        key: web(),
        force: false,
    };
    command(&mut replica, 1, &deploy);
    let dropped = Command::UpdateService {
        key: web(),
        service: Box::new(database(&[], true)),
        instances: None,
    };
    command(&mut replica, 1, &dropped);
    assert!(update(&mut replica, database(&["/data"], true)).is_ok());
}

#[test]
fn an_update_of_a_stateful_service_waits_for_its_deploy() {
    let mut replica = created(true);
    command(
        &mut replica,
        1,
        &Command::DeployService {
            key: web(),
            force: false,
        },
    );
    let mut next = database(&["/data"], true);
    next.image = "db:2".to_owned();
    let edits = update(&mut replica, next.clone()).unwrap();
    assert!(
        !edits.iter().any(|edit| matches!(edit, Edit::Deploy { .. })),
        "{edits:?}"
    );
    let mut stateless = created(false);
    command(
        &mut stateless,
        1,
        &Command::DeployService {
            key: web(),
            force: false,
        },
    );
    next.stateful = false;
    let edits = update(&mut stateless, next).unwrap();
    assert!(
        edits.iter().any(|edit| matches!(edit, Edit::Deploy { .. })),
        "{edits:?}"
    );
}

#[test]
fn a_service_without_data_gets_whatever_volume_it_is_given() {
    let mut replica = created(false);
    assert!(update(&mut replica, database(&["/data", "/more"], false)).is_ok());
}

#[test]
fn whether_a_service_is_stateful_does_not_change() {
    for stateful in [true, false] {
        let mut replica = created(stateful);
        let refused = update(&mut replica, database(&["/data"], !stateful)).unwrap_err();
        assert!(
            refused.to_string().contains("`stateful` cannot be changed"),
            "{refused}"
        );
    }
}

/// Users asked Kontena for it under that name.
#[test]
fn evacuate_means_drain() {
    let parsed: Availability = serde_json::from_str(r#""evacuate""#).unwrap();
    assert_eq!(parsed, Availability::Drain);
    assert_eq!(serde_json::to_string(&parsed).unwrap(), r#""drain""#);
}
