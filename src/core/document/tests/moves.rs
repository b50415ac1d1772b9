//! Moving a bound instance with its data, as the documents have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::history::command;
use super::*;
use crate::command::{Command, Refusal, edits};
use crate::report::{Report, ReportOrder};
use crate::view::{Freshness, Lifecycle, MoveOrder, MoveState, Pin, Standing, View};
use crate::volume::{Copy, Definition, Scope, VolumeName};

const COPY: &str = "shop.web.data-1";

fn pin(epoch: u64, bound: u8) -> Pin {
    Pin {
        epoch,
        node: node(bound),
        moved: false,
    }
}

fn data() -> VolumeName {
    "data".parse().unwrap()
}

/// A database that is bound to the second of three, and mounts a volume.
fn with_database(replica: &mut Replica, definition: Definition) {
    let volume = Edit::Volume {
        name: data(),
        definition,
    };
    write(replica, &[volume]);
    let mut service = Service::new("db:1");
    service.stateful = true;
    service.volumes = vec!["data:/data".parse().unwrap()];
    let create = Command::CreateService {
        key: web(),
        service: Box::new(service),
        instances: 1,
    };
    command(replica, 1, &create);
    let deploy = Command::DeployService {
        key: web(),
        force: false,
    };
    command(replica, 1, &deploy);
    bind(replica, pin(1, 2));
}

fn bind(replica: &mut Replica, pin: Pin) {
    let pin = Edit::Pin {
        service: web(),
        number: 1,
        pin,
    };
    write(replica, &[pin]);
}

fn view(replica: &mut Replica, away: &[u8]) -> View {
    let mut view = View {
        documents: replica.documents(),
        ..View::default()
    };
    for number in (1..=3).filter(|number| !away.contains(number)) {
        let standing = Standing {
            freshness: Freshness::Fresh,
            since: WallTime(1),
        };
        view.standings.insert(node(number), standing);
    }
    view
}

fn order(view: &View, to: u8) -> Result<Vec<Edit>, Refusal> {
    let asked = Command::MoveInstance {
        instance: "shop/web-1".parse().unwrap(),
        node: node(to),
        megabits: None,
    };
    edits(view, node(1), &asked, WallTime(9))
}

fn refusal(view: &View, to: u8) -> String {
    order(view, to).unwrap_err().to_string()
}

fn ordered(replica: &mut Replica, to: u8) {
    let edits = order(&view(replica, &[]), to).unwrap();
    write(replica, &edits);
}

fn moving(replica: &mut Replica) -> Option<NodeId> {
    let documents = replica.documents();
    documents.services[&web()].moving(1).map(|order| order.to)
}

fn end(state: MoveState, to: u8) -> Edit {
    Edit::Move {
        service: web(),
        number: 1,
        order: MoveOrder {
            from: pin(1, 2),
            to: node(to),
            megabits: None,
            state,
        },
    }
}

fn moved(epoch: u64, bound: u8) -> Pin {
    Pin {
        moved: true,
        ..pin(epoch, bound)
    }
}

/// By the second to the third.
fn handed_over() -> [Edit; 2] {
    let pin = Edit::Pin {
        service: web(),
        number: 1,
        pin: moved(2, 3),
    };
    [pin, end(done(), 3)]
}

fn done() -> MoveState {
    let copy = Copy::Volume {
        volume: data(),
        creation: crate::id::EnvelopeHash([1; 32]),
    };
    MoveState::Done {
        copies: BTreeMap::from([(COPY.to_owned(), copy)]),
    }
}

#[test]
fn an_order_counts_for_the_binding_that_it_leaves_alone() {
    let mut replica = replicas(3).remove(0);
    with_database(&mut replica, Definition::local(Scope::Instance));
    assert_eq!(moving(&mut replica), None);
    ordered(&mut replica, 3);
    assert_eq!(moving(&mut replica), Some(node(3)));
    bind(&mut replica, pin(2, 1));
    assert_eq!(moving(&mut replica), None, "somebody bound it elsewhere");
    bind(&mut replica, pin(1, 2));
    let stop = Command::StopService(web());
    command(&mut replica, 1, &stop);
    assert_eq!(moving(&mut replica), None, "its service is stopped");
    let record = replica.documents().services[&web()].clone();
    assert_eq!(record.state, Lifecycle::Stopped);
}

#[test]
fn what_cannot_be_moved_is_refused_with_the_reason() {
    let mut replica = replicas(3).remove(0);
    with_database(&mut replica, Definition::local(Scope::Instance));
    let all = view(&mut replica, &[]);
    assert_eq!(
        refusal(&all, 2),
        "`shop/web-1` is bound to node `n2` already"
    );
    assert_eq!(
        refusal(&view(&mut replica, &[3]), 3),
        "node `n3` is offline"
    );
    assert_eq!(
        refusal(&view(&mut replica, &[2]), 3),
        "node `n2`, which has the data of `shop/web-1`, is offline"
    );
    assert!(refusal(&all, 9).starts_with("node"));
    let mut full = view(&mut replica, &[]);
    let mut report = Report::empty(node(3), ReportOrder::default());
    let copy = Copy::Volume {
        volume: data(),
        creation: crate::id::EnvelopeHash([1; 32]),
    };
    report.volumes.insert(COPY.to_owned(), copy);
    full.reports.insert(node(3), Arc::new(report));
    assert!(refusal(&full, 3).contains("has a copy `shop.web.data-1` already"));
    ordered(&mut replica, 3);
    let again = view(&mut replica, &[]);
    assert_eq!(order(&again, 3), Ok(Vec::new()), "it is so already");
    assert_eq!(
        refusal(&again, 1),
        "`shop/web-1` is being moved to node `n3`: cancel that first"
    );
    let drain = Command::UpdateNode {
        node: node(3),
        labels: None,
        availability: Some(crate::view::Availability::Drain),
    };
    command(&mut replica, 1, &drain);
    assert!(!view(&mut replica, &[]).takes_moves(&node(3)));
}

#[test]
fn data_that_lies_elsewhere_or_that_others_write_to_is_not_moved() {
    let of_driver = |driver: &str, options: &[(&str, &str)]| {
        let mut replica = replicas(3).remove(0);
        let options = options.iter();
        let definition = Definition {
            scope: Scope::Instance,
            driver: driver.to_owned(),
            options: options
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        with_database(&mut replica, definition);
        let view = view(&mut replica, &[]);
        refusal(&view, 3)
    };
    assert!(of_driver("rexray/ebs", &[]).contains("where its driver `rexray/ebs` keeps it"));
    assert!(of_driver("local", &[("type", "nfs")]).contains("has driver options"));
    let mut replica = replicas(3).remove(0);
    with_database(&mut replica, Definition::local(Scope::Stack));
    assert!(
        order(&view(&mut replica, &[]), 3).is_ok(),
        "nobody else does"
    );
    let key: ServiceKey = "shop/backup".parse().unwrap();
    with_second(&mut replica, &key, true);
    let beside = Edit::Pin {
        service: key,
        number: 1,
        pin: pin(1, 2),
    };
    write(&mut replica, &[beside]);
    let refused = refusal(&view(&mut replica, &[]), 3);
    assert!(
        refused.contains("`shop/backup-1` mounts the same copy of the volume `data`"),
        "{refused}"
    );
}

/// Another service that mounts the same volume.
fn with_second(replica: &mut Replica, key: &ServiceKey, stateful: bool) {
    let mut service = Service::new("backup:1");
    service.stateful = stateful;
    service.volumes = vec!["data:/data".parse().unwrap()];
    let create = Command::CreateService {
        key: key.clone(),
        service: Box::new(service),
        instances: 1,
    };
    command(replica, 1, &create);
}

#[test]
fn a_volume_that_a_service_mounts_that_may_run_anywhere_is_not_moved() {
    for (scope, stack, is_movable) in [
        (Scope::Stack, "shop", false),
        (Scope::Stack, "other", true),
        (Scope::Grid, "other", false),
        (Scope::Instance, "shop", true),
    ] {
        let mut replica = replicas(3).remove(0);
        with_database(&mut replica, Definition::local(scope));
        let key: ServiceKey = format!("{stack}/cache").parse().unwrap();
        with_second(&mut replica, &key, false);
        let asked = order(&view(&mut replica, &[]), 3);
        let said = asked.as_ref().map_err(ToString::to_string);
        assert_eq!(said.is_ok(), is_movable, "{stack} {scope:?}: {said:?}");
        if let Err(said) = said {
            assert!(
                said.contains(&format!("the service `{key}` mounts")),
                "{said}"
            );
        }
    }
}

#[test]
fn what_writes_to_its_host_is_not_moved_and_what_only_reads_there_is() {
    for (mount, is_movable) in [
        ("/srv:/srv", false),
        ("/etc/localtime:/etc/localtime:ro", true),
    ] {
        let mut replica = replicas(3).remove(0);
        with_database(&mut replica, Definition::local(Scope::Instance));
        let mut service = Service::new("db:2");
        service.stateful = true;
        service.volumes = ["data:/data", mount]
            .map(|mount| mount.parse().unwrap())
            .into();
        let update = Command::UpdateService {
            key: web(),
            service: Box::new(service),
            instances: None,
        };
        command(&mut replica, 1, &update);
        let deploy = Command::DeployService {
            key: web(),
            force: false,
        };
        command(&mut replica, 1, &deploy);
        let asked = order(&view(&mut replica, &[]), 3);
        assert_eq!(asked.is_ok(), is_movable, "{mount}: {asked:?}");
    }
}

#[test]
fn a_name_means_the_one_bound_instance_that_has_such_a_copy() {
    let mut replica = replicas(3).remove(0);
    with_database(&mut replica, Definition::local(Scope::Instance));
    let seen = view(&mut replica, &[]);
    let instance = "shop/web-1".parse().unwrap();
    assert_eq!(seen.bound_user(COPY), Ok(instance));
    assert_eq!(seen.bound_user("data"), Ok("shop/web-1".parse().unwrap()));
    assert_eq!(seen.bound_user("other"), Err([].into()));
    let scale = Command::ScaleService {
        key: web(),
        instances: 2,
    };
    command(&mut replica, 1, &scale);
    let second = Edit::Pin {
        service: web(),
        number: 2,
        pin: pin(1, 3),
    };
    write(&mut replica, &[second]);
    let seen = view(&mut replica, &[]);
    let both = [COPY, "shop.web.data-2"].map(str::to_owned);
    assert_eq!(seen.bound_user("data"), Err(both.into()));
}

#[test]
fn what_was_handed_over_counts_though_it_was_taken_back_beside_that() {
    let mut replicas = replicas(3);
    let mut one = replicas.remove(0);
    with_database(&mut one, Definition::local(Scope::Instance));
    ordered(&mut one, 3);
    let mut other = replicas.remove(0);
    sync_loosely(&mut one, &mut other);
    write(&mut one, &handed_over());
    write(&mut other, &[end(MoveState::Cancelled, 3)]);
    sync_loosely(&mut one, &mut other);

    for replica in [&mut one, &mut other] {
        let documents = replica.documents();
        let record = &documents.services[&web()];
        assert_eq!(record.pins[&1], moved(2, 3));
        let (order, copies) = record.came_by(1).unwrap();
        assert_eq!(order.to, node(3));
        assert!(copies.contains_key(COPY));
    }
}

#[test]
fn a_binding_by_force_beside_a_handing_over_to_the_same_node_is_one_without_the_data() {
    let mut replicas = replicas(3);
    let mut one = replicas.remove(0);
    with_database(&mut one, Definition::local(Scope::Instance));
    ordered(&mut one, 3);
    let mut other = replicas.remove(0);
    sync_loosely(&mut one, &mut other);
    write(&mut one, &handed_over());
    // By force.
    bind(&mut other, pin(2, 3));
    sync_loosely(&mut one, &mut other);

    for replica in [&mut one, &mut other] {
        let documents = replica.documents();
        let record = &documents.services[&web()];
        assert_eq!(record.pins[&1], pin(2, 3));
        assert_eq!(record.came_by(1), None, "what was moved from stays");
    }
}

#[test]
fn what_was_moved_is_moved_on_once_it_has_started_there() {
    let mut replica = replicas(3).remove(0);
    with_database(&mut replica, Definition::local(Scope::Instance));
    ordered(&mut replica, 3);
    write(&mut replica, &handed_over());
    let mut seen = view(&mut replica, &[]);
    assert_eq!(
        refusal(&seen, 1),
        "`shop/web-1` was moved to node `n3`, and has not started there yet"
    );
    let mut report = Report::empty(node(3), ReportOrder::default());
    report.arrived.insert("shop/web-1".parse().unwrap(), 2);
    seen.reports.insert(node(3), Arc::new(report));
    assert!(order(&seen, 1).is_ok());
}

#[test]
fn an_order_of_an_earlier_life_of_the_service_is_none() {
    let mut replica = replicas(3).remove(0);
    with_database(&mut replica, Definition::local(Scope::Instance));
    ordered(&mut replica, 3);
    command(&mut replica, 1, &Command::RemoveService(web()));
    let mut service = Service::new("db:1");
    service.stateful = true;
    let create = Command::CreateService {
        key: web(),
        service: Box::new(service),
        instances: 1,
    };
    command(&mut replica, 1, &create);
    bind(&mut replica, pin(1, 2));
    assert_eq!(moving(&mut replica), None);
}
