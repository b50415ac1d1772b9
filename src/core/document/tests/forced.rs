//! Binding a stateful instance to another node, on a person's word.

use super::history::command;
use super::*;
use crate::command::{Command, Refusal, copy_user, edits};
use crate::id::EnvelopeHash;
use crate::report::{Health, Hold, InstanceState, Report, ReportOrder};
use crate::stack::{Volume, VolumeSource};
use crate::view::{Freshness, Standing, View};
use crate::volume::{Copy, Definition, Scope, VolumeName};

/// A grid of three with a database that is bound to one of them; all but `away` are heard of.
fn view(away: &[u8]) -> View {
    let mut replica = replicas(3).remove(0);
    let mut service = Service::new("db:1");
    service.stateful = true;
    let create = Command::CreateService {
        key: web(),
        service: Box::new(service),
        instances: 1,
    };
    command(&mut replica, 1, &create);
    let pin = Edit::Pin {
        service: web(),
        number: 1,
        pin: crate::view::Pin {
            epoch: 1,
            node: node(2),
            moved: false,
        },
    };
    write(&mut replica, &[pin]);
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

fn forced(view: &View, instance: &str, to: u8, data_loss: bool) -> Result<Vec<Edit>, Refusal> {
    let asked = Command::ForceMove {
        instance: instance.parse().unwrap(),
        node: node(to),
        data_loss,
    };
    edits(view, node(1), &asked, WallTime(9))
}

#[test]
fn an_instance_is_bound_elsewhere_only_where_it_is_said_that_its_data_is_not_there() {
    let view = view(&[2]);
    let refused = forced(&view, "shop/web-1", 3, false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the data of `shop/web-1` is on node `n2` and stays there: on `n3` it starts without it"
    );
    assert!(matches!(refused, Refusal::LosesData { .. }));
    let made = forced(&view, "shop/web-1", 3, true).unwrap();
    let [Edit::Pin { number: 1, pin, .. }] = made.as_slice() else {
        panic!("one binding: {made:?}");
    };
    assert_eq!((pin.epoch, pin.node), (2, node(3)));
}

#[test]
fn what_has_no_binding_or_is_there_already_is_not_moved() {
    let view = view(&[3]);
    for (instance, to, words) in [
        ("shop/web-2", 1, "`shop/web-2` is bound to no node"),
        ("shop/other-1", 1, "service `shop/other` does not exist"),
        (
            "shop/web-1",
            2,
            "`shop/web-1` is bound to node `n2` already",
        ),
        ("shop/web-1", 3, "node `n3` is offline"),
        ("shop/web-1", 9, "node"),
    ] {
        let refused = forced(&view, instance, to, true).unwrap_err();
        assert!(refused.to_string().starts_with(words), "{refused}");
    }
}

#[test]
fn a_copy_is_an_instances_data_on_the_node_that_it_is_bound_to_or_held_by_and_nowhere_else() {
    let mut view = view(&[]);
    let creation = view.documents.services[&web()].creation;
    let own = |instance: &str, creation| Copy::Own {
        instance: instance.parse().unwrap(),
        creation,
    };
    let user = |view: &View, number: u8, copy: &Copy| {
        copy_user(view, node(number), "any", copy).map(|instance| instance.to_string())
    };
    let data = own("shop/web-1", creation);
    assert_eq!(user(&view, 2, &data).as_deref(), Some("shop/web-1"));
    assert_eq!(user(&view, 3, &data), None, "it is bound elsewhere");
    assert_eq!(user(&view, 2, &own("shop/web-2", creation)), None);
    let earlier = own("shop/web-1", EnvelopeHash([9; 32]));
    assert_eq!(user(&view, 2, &earlier), None, "of another life");

    let mut report = Report::empty(node(3), ReportOrder::default());
    let hold = Hold {
        epoch: 1,
        revision: view.documents.services[&web()].latest.hash,
        generation: 1,
        state: InstanceState::Running,
        health: Health::Healthy,
        updating: false,
        on_trial: false,
        former: false,
        container: None,
        address: None,
        image: None,
        since: WallTime(1),
        age: 0,
        problem: None,
        hooks_ran: std::collections::BTreeSet::new(),
        restarts: 0,
        exit_code: None,
    };
    report.holds.insert("shop/web-1".parse().unwrap(), hold);
    view.reports.insert(node(3), Arc::new(report));
    assert_eq!(user(&view, 3, &data).as_deref(), Some("shop/web-1"));
}

#[test]
fn a_copy_of_a_volume_is_whoevers_may_come_to_use_it() {
    let mut replica = replicas(3).remove(0);
    let volume: VolumeName = "data".parse().unwrap();
    let create = Command::CreateVolume {
        name: volume.clone(),
        definition: Definition::local(Scope::Instance),
    };
    command(&mut replica, 1, &create);
    let mut service = Service::new("web:1");
    service.volumes = vec![Volume {
        path: "/data".to_owned(),
        source: VolumeSource::Named(volume.clone()),
        flags: None,
    }];
    let create = Command::CreateService {
        key: web(),
        service: Box::new(service),
        instances: 2,
    };
    command(&mut replica, 1, &create);
    let view = View {
        documents: replica.documents(),
        ..View::default()
    };
    let copy = Copy::Volume {
        volume,
        creation: EnvelopeHash([7; 32]),
    };
    let user = |name: &str| {
        let user = copy_user(&view, node(1), name, &copy);
        user.map(|instance| instance.to_string())
    };
    // It runs nowhere now: it would find its data here.
    assert_eq!(user("shop.web.data-2").as_deref(), Some("shop/web-2"));
    assert_eq!(user("shop.web.data-3"), None, "scaled away");
    assert_eq!(user("shop.other.data-1"), None, "of a service that is gone");
}
