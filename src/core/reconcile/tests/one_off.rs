//! One-off containers: made as an instance is, but for what makes it one.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::expect;

use super::asked::{A, B, member, record};
use super::bench::{id, identity, of_service};
use super::volumes::volume;
use crate::id::NodeId;
use crate::reconcile::action::{Attachment, Care};
use crate::reconcile::one_off::{NotMade, OneOff, one_off, prepare};
use crate::stack::Service;
use crate::view::{Documents, MoveOrder, MoveState, Pin, View};
use crate::volume::Scope;

fn web() -> Service {
    let mut service = Service::new("web:1");
    service.entrypoint = Some("/start".to_owned());
    service.command = Some(vec!["serve".to_owned()]);
    service.environment = vec!["MODE=live".to_owned(), "LOG=info".to_owned()];
    service.ports = vec!["80:80".parse().unwrap()];
    service.volumes = vec!["data:/data".parse().unwrap(), "/tmp/x".parse().unwrap()];
    service.privileges.user = Some("app".to_owned());
    service
}

#[test]
fn a_one_off_container_is_made_as_the_instance_is_in_whose_place_it_stands() {
    let mut wanted = of_service("shop/web-2", 40, 2, web());
    let data = volume(Scope::Instance, 5);
    wanted.volumes = BTreeMap::from([("data".parse().unwrap(), data)]);
    let network = Attachment::Free("10.80.7.0/24".parse().unwrap());
    let asked = OneOff {
        suffix: "abcdefgh".to_owned(),
        command: vec!["migrate".to_owned()],
        environment: vec!["LOG=debug=1".to_owned(), "NEW=".to_owned()],
    };
    let spec = one_off(&wanted, &identity(), network, "sha256:a", &asked);
    assert_eq!(spec.name, "shop.web-run-abcdefgh");
    assert_eq!(spec.hostname, "abcdefgh");
    assert_eq!(spec.image, "sha256:a");
    assert_eq!(spec.entrypoint.as_deref(), Some("/start"));
    assert_eq!(spec.command.as_deref(), Some(&["migrate".to_owned()][..]));
    assert_eq!(spec.privileges.user.as_deref(), Some("app"));
    assert_eq!((spec.ports.len(), spec.care.clone()), (0, Care::default()));
    assert_eq!(spec.extra_labels["io.kontena.container.type"], "one_off");
    let mounted = spec.mounts.iter().map(|mount| {
        let name = mount.docker_volume.as_ref().map(|mounted| &mounted.name);
        format!("{} {name:?}", mount.volume.path)
    });
    let lines: Vec<String> = spec.environment.iter().cloned().chain(mounted).collect();
    expect![[r#"
        MODE=live
        KONTENA_SERVICE_ID=demo/shop/web
        KONTENA_SERVICE_NAME=web
        KONTENA_GRID_NAME=demo
        KONTENA_PLATFORM_NAME=demo
        KONTENA_STACK_NAME=shop
        KONTENA_NODE_NAME=n1
        KONTENA_SERVICE_INSTANCE_NUMBER=2
        LOG=debug=1
        NEW=
        /data Some("shop.web.data-2")
        /tmp/x None"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn without_a_command_it_runs_that_of_its_service() {
    let wanted = of_service("web-1", 40, 2, Service::new("web:1"));
    let asked = OneOff {
        suffix: "x".to_owned(),
        ..OneOff::default()
    };
    let plain = one_off(&wanted, &identity(), Attachment::Plain, "i", &asked);
    assert_eq!((plain.name.as_str(), plain.command), ("web-run-x", None));
    let mut service = web();
    service.volumes.clear();
    let wanted = of_service("web-1", 40, 2, service);
    let spec = one_off(&wanted, &identity(), Attachment::Plain, "i", &asked);
    assert_eq!(spec.command, Some(vec!["serve".to_owned()]));
}

#[test]
fn its_host_name_is_its_own_and_fits_where_that_of_an_instance_does() {
    let stack = "a".repeat(40);
    let instance = format!("{stack}/web-1");
    let wanted = of_service(&instance, 40, 2, Service::new("web:1"));
    let asked = OneOff {
        suffix: "abcdefgh".to_owned(),
        ..OneOff::default()
    };
    let spec = one_off(&wanted, &identity(), Attachment::Plain, "i", &asked);
    assert_eq!(spec.hostname, "abcd");
    assert_eq!(spec.hostname.len() + 1 + spec.domainname.len(), 64);
}

#[test]
fn what_its_node_does_not_know_is_said() {
    let view = View::default();
    let me = NodeId([1; 32]);
    let nowhere = prepare(&view, me, &"web-1".parse().unwrap());
    assert_eq!(nowhere.unwrap_err(), NotMade::NoGrid);
}

/// `db-1`, bound to node `b` and ordered from there to node `a`.
fn moving() -> View {
    let mut service = Service::new("db:1");
    service.stateful = true;
    let mut record = record(service, 1);
    let from = Pin {
        epoch: 3,
        node: B,
        moved: false,
    };
    record.pins.insert(1, from);
    let order = MoveOrder {
        from,
        to: A,
        megabits: None,
        state: MoveState::Ordered,
    };
    record.moves.insert(1, order);
    let mut documents = Documents {
        roster: BTreeMap::from([(A, member("a", 1)), (B, member("b", 2))]),
        services: BTreeMap::from([("db".parse().unwrap(), record)]),
        ..Documents::default()
    };
    documents.grid.id = Some(identity().grid);
    documents.grid.name = Some("demo".parse().unwrap());
    View {
        documents: Arc::new(documents),
        ..View::default()
    }
}

fn refusal(view: &View, me: NodeId) -> Option<String> {
    let refused = prepare(view, me, &id("db-1")).err();
    refused.map(|refused| refused.to_string())
}

#[test]
fn nothing_is_run_beside_data_that_goes_or_has_gone() {
    let mut view = moving();
    assert_eq!(
        refusal(&view, B).as_deref(),
        Some("`db-1` is being moved to node `a` with its data")
    );
    let bound_elsewhere = Some("`db-1` is bound to another node");
    assert_eq!(refusal(&view, A).as_deref(), bound_elsewhere);
    let documents = Arc::make_mut(&mut view.documents);
    let record = documents.services.get_mut(&"db".parse().unwrap()).unwrap();
    let target = record.moves[&1].target();
    record.pins.insert(1, target);
    assert_eq!(refusal(&view, A), None);
    assert_eq!(refusal(&view, B).as_deref(), bound_elsewhere);
}
