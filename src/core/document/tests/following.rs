//! Services that mount the volumes of others: which may name which, and what they use.

use std::sync::Arc;

use super::history::{command, install, try_command};
use super::*;
use crate::command::{Command, Refusal, edits};
use crate::id::RevisionHash;
use crate::report::{Health, Hold, InstanceState, Report, ReportOrder};
use crate::stack::VolumesFrom;
use crate::view::{Freshness, Pin, Standing, View};
use crate::volume::{Definition, Scope};

fn service(mounts: &[&str], from: &[&str]) -> Service {
    let mut service = Service::new("a:1");
    service.volumes = mounts.iter().map(|text| text.parse().unwrap()).collect();
    service.volumes_from = from.iter().map(|text| text.parse().unwrap()).collect();
    service
}

fn key(name: &str) -> ServiceKey {
    format!("shop/{name}").parse().unwrap()
}

fn create(name: &str, service: Service) -> Command {
    Command::CreateService {
        key: key(name),
        service: Box::new(service),
        instances: 1,
    }
}

fn update(name: &str, from: &[&str]) -> Command {
    Command::UpdateService {
        key: key(name),
        service: Box::new(service(&[], from)),
        instances: None,
    }
}

fn deploy(name: &str) -> Command {
    let key = key(name);
    Command::DeployService { key, force: false }
}

fn refusal(replica: &mut Replica, asked: &Command) -> String {
    match try_command(replica, 1, asked) {
        Err(Refusal::Invalid(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

/// `log` mounts what `db` has, which is bound to the second node.
fn with_follower() -> Replica {
    let mut replica = replicas(3).remove(0);
    let volume = Edit::Volume {
        name: "data".parse().unwrap(),
        definition: Definition::local(Scope::Instance),
    };
    write(&mut replica, &[volume]);
    let mut database = service(&["data:/data"], &[]);
    database.stateful = true;
    command(&mut replica, 1, &create("db", database));
    command(&mut replica, 1, &create("log", service(&[], &["db-%s"])));
    command(&mut replica, 1, &deploy("db"));
    let pin = Edit::Pin {
        service: key("db"),
        number: 1,
        pin: Pin {
            epoch: 1,
            node: node(2),
            moved: false,
        },
    };
    write(&mut replica, &[pin]);
    replica
}

#[test]
fn whose_volumes_are_mounted_exists_and_mounts_nothing_in_turn() {
    let mut replica = replicas(1).remove(0);
    assert_eq!(
        refusal(&mut replica, &create("log", service(&[], &["db-1"]))),
        "service `shop/log` mounts the volumes of `shop/db`, which does not exist"
    );
    command(&mut replica, 1, &create("db", service(&[], &[])));
    command(&mut replica, 1, &create("log", service(&[], &["db-1"])));
    command(&mut replica, 1, &create("far", service(&[], &["log-1"])));
    let ring = "service `shop/db` cannot mount volumes of services that mount its own";
    for from in ["db-1", "log-1", "far-%s"] {
        assert_eq!(refusal(&mut replica, &update("db", &[from])), ring);
    }
    command(&mut replica, 1, &update("far", &["db-1"]));
}

#[test]
fn a_stack_may_turn_round_who_mounts_whose_volumes() {
    let mut replica = replicas(1).remove(0);
    let with = |follower: &str, from: &str| {
        let Command::InstallStack { name, mut stack } = install(&[("db", "a:1"), ("log", "a:1")])
        else {
            unreachable!("that is what it makes")
        };
        let (service, _) = stack.services.get_mut(&follower.parse().unwrap()).unwrap();
        service.volumes_from = vec![from.parse::<VolumesFrom>().unwrap()];
        (name, stack)
    };
    let (name, stack) = with("log", "db-1");
    command(&mut replica, 1, &Command::InstallStack { name, stack });
    let (name, stack) = with("db", "log-1");
    command(&mut replica, 1, &Command::UpgradeStack { name, stack });
}

#[test]
fn a_service_whose_volumes_another_one_mounts_stays() {
    let mut replica = with_follower();
    let remove = |name| Command::RemoveService(key(name));
    assert_eq!(
        refusal(&mut replica, &remove("db")),
        "service `shop/db` cannot be removed: `shop/log` mounts its volumes"
    );
    command(&mut replica, 1, &remove("log"));
    command(&mut replica, 1, &remove("db"));
}

#[test]
fn a_volume_is_used_by_whoever_mounts_those_of_a_service_that_mounts_it() {
    let mut replica = with_follower();
    command(&mut replica, 1, &create("far", service(&[], &["log-1"])));
    let remove = Command::RemoveVolume("data".parse().unwrap());
    assert_eq!(
        refusal(&mut replica, &remove),
        "volume `data` cannot be removed: it is used by `shop/db`, `shop/far`, `shop/log`"
    );
}

#[test]
fn an_instance_whose_volumes_another_one_mounts_is_moved_once_that_is_stopped() {
    let mut replica = with_follower();
    let seen = |replica: &mut Replica, state: Option<InstanceState>| {
        let mut view = View {
            documents: replica.documents(),
            ..View::default()
        };
        for number in 1..=3 {
            let standing = Standing {
                freshness: Freshness::Fresh,
                since: WallTime(1),
            };
            view.standings.insert(node(number), standing);
        }
        let mut report = Report::empty(node(2), ReportOrder::default());
        if let Some(state) = state {
            let hold = held(state);
            report.holds.insert("shop/log-1".parse().unwrap(), hold);
        }
        view.reports.insert(node(2), Arc::new(report));
        view
    };
    let order = |view: &View| {
        let asked = Command::MoveInstance {
            instance: "shop/db-1".parse().unwrap(),
            node: node(3),
            megabits: None,
        };
        edits(view, node(1), &asked, WallTime(7)).map_err(|refusal| refusal.to_string())
    };
    let refused = "`shop/db-1` cannot be moved: the service `shop/log` mounts its volumes and runs: `kontena service stop shop/log` first, and start it afterwards";
    assert!(
        order(&seen(&mut replica, None)).is_ok(),
        "it was never deployed"
    );
    command(&mut replica, 1, &deploy("log"));
    assert_eq!(order(&seen(&mut replica, None)).unwrap_err(), refused);
    command(&mut replica, 1, &Command::StopService(key("log")));
    let stopping = seen(&mut replica, Some(InstanceState::Stopping));
    assert_eq!(order(&stopping).unwrap_err(), refused, "it runs still");
    let stopped = seen(&mut replica, Some(InstanceState::Stopped));
    assert!(order(&stopped).is_ok());
}

fn held(state: InstanceState) -> Hold {
    Hold {
        epoch: 1,
        revision: RevisionHash([0; 32]),
        generation: 1,
        state,
        health: Health::Unknown,
        updating: false,
        on_trial: false,
        former: false,
        container: None,
        address: None,
        image: None,
        since: WallTime(0),
        age: 0,
        problem: None,
        hooks_ran: Default::default(),
        restarts: 0,
        exit_code: None,
    }
}
