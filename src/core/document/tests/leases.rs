//! Who grants a singleton its lease: fixed when it is created, equal everywhere.

use std::collections::BTreeSet;

use super::history::{command, try_command};
use super::*;
use crate::command::{Command, Refusal, StackInput};
use crate::id::NodeName;
use crate::stack::Witnesses;

fn singleton(image: &str, witnesses: &[u8]) -> Service {
    let names = witnesses.iter().map(|number| name(*number));
    let mut service = Service::new(image);
    service.deploy.lease = Some(Witnesses::new(names.collect()).unwrap());
    service
}

fn name(number: u8) -> NodeName {
    format!("n{number}").parse().unwrap()
}

fn create(service: Service, instances: u32) -> Command {
    Command::CreateService {
        key: web(),
        service: Box::new(service),
        instances,
    }
}

fn update(service: Service) -> Command {
    Command::UpdateService {
        key: web(),
        service: Box::new(service),
        instances: None,
    }
}

fn nodes(numbers: &[u8]) -> BTreeSet<NodeId> {
    numbers.iter().map(|number| node(*number)).collect()
}

/// The first two of a grid of `count`.
fn two_of(count: u8) -> (Replica, Replica) {
    let mut all = replicas(count).into_iter();
    (all.next().unwrap(), all.next().unwrap())
}

fn refusal(replica: &mut Replica, command: &Command) -> String {
    try_command(replica, 1, command).unwrap_err().to_string()
}

#[test]
fn a_witness_that_is_no_node_of_the_grid_is_refused() {
    let (mut a, _) = two_of(3);
    let refused = try_command(&mut a, 1, &create(singleton("a:1", &[1, 2, 9]), 1));
    let expected = Refusal::NoWitness {
        service: web(),
        node: name(9),
    };
    assert_eq!(refused, Err(expected));
}

#[test]
fn witnesses_are_the_nodes_that_had_the_names_when_it_was_created() {
    let (mut a, mut b) = two_of(5);
    command(&mut a, 1, &create(singleton("a:1", &[3, 1, 2]), 1));
    let renamed = [(1, "other"), (4, "n1")].map(|(node, name)| Edit::NodeName {
        node: self::node(node),
        name: name.parse().unwrap(),
    });
    write(&mut a, &renamed);
    command(&mut a, 1, &update(singleton("a:2", &[3, 1, 2])));
    sync(&mut a, &mut b, 1 << 20);
    let web = the_web(&mut b);
    assert_eq!(web.witnesses, nodes(&[1, 2, 3]));
    assert_eq!(web.latest.number, 2);
}

#[test]
fn a_stack_freezes_the_witnesses_of_its_services_and_of_those_that_come_later() {
    let (mut a, _) = two_of(3);
    let input = |names: &[&str]| StackInput {
        stack: "shop".to_owned(),
        version: "1".to_owned(),
        services: names
            .iter()
            .map(|name| {
                let declared = (singleton("a:1", &[1, 2, 3]), None);
                (name.parse().unwrap(), declared)
            })
            .collect(),
        ..StackInput::default()
    };
    let name = "shop".parse().unwrap();
    let stack = input(&["web"]);
    command(&mut a, 1, &Command::InstallStack { name, stack });
    let name = "shop".parse().unwrap();
    let stack = input(&["web", "clock"]);
    command(&mut a, 1, &Command::UpgradeStack { name, stack });
    let documents = a.documents();
    for service in ["shop/web", "shop/clock"] {
        let record = &documents.services[&service.parse().unwrap()];
        assert_eq!(record.witnesses, nodes(&[1, 2, 3]), "{service}");
    }
}

#[test]
fn a_lease_is_neither_given_nor_taken_nor_granted_by_others_later() {
    let (mut a, _) = two_of(4);
    let cannot = "service `shop/web`: `singleton` and `witnesses` cannot be changed; remove the service and create it again";
    command(&mut a, 1, &create(singleton("a:1", &[1, 2, 3]), 1));
    for other in [Service::new("a:1"), singleton("a:1", &[1, 2, 4])] {
        assert_eq!(refusal(&mut a, &update(other)), cannot);
    }
    assert!(try_command(&mut a, 1, &update(singleton("a:2", &[1, 2, 3]))).is_ok());
    command(&mut a, 1, &Command::RemoveService(web()));
    command(&mut a, 1, &create(Service::new("a:1"), 1));
    assert_eq!(
        refusal(&mut a, &update(singleton("a:1", &[1, 2, 3]))),
        cannot
    );
}

#[test]
fn a_service_with_a_lease_has_one_instance_at_most() {
    let (mut a, _) = two_of(3);
    let alone =
        "service `shop/web` is a singleton with a lease: it has one instance at most, and not 2";
    let service = || singleton("a:1", &[1, 2, 3]);
    assert_eq!(refusal(&mut a, &create(service(), 2)), alone);
    command(&mut a, 1, &create(service(), 1));
    let scale = |instances| Command::ScaleService {
        key: web(),
        instances,
    };
    assert_eq!(refusal(&mut a, &scale(2)), alone);
    assert!(try_command(&mut a, 1, &scale(0)).is_ok());
    let doubled = Command::UpdateService {
        key: web(),
        service: Box::new(service()),
        instances: Some(2),
    };
    assert_eq!(refusal(&mut a, &doubled), alone);
}

#[test]
fn one_that_is_made_anew_has_its_own_witnesses() {
    let (mut a, mut b) = two_of(5);
    command(&mut a, 1, &create(singleton("a:1", &[1, 2, 3]), 1));
    command(&mut a, 1, &Command::RemoveService(web()));
    command(&mut a, 1, &create(singleton("a:1", &[3, 4, 5]), 1));
    sync(&mut a, &mut b, 1 << 20);
    assert_eq!(the_web(&mut b).witnesses, nodes(&[3, 4, 5]));
    command(&mut b, 2, &Command::RemoveService(web()));
    command(&mut b, 2, &create(Service::new("a:1"), 1));
    assert_eq!(the_web(&mut b).witnesses, nodes(&[]));
}

#[test]
fn two_sides_that_create_it_at_once_agree_on_its_witnesses_and_the_others_are_listed() {
    let (mut a, mut b) = two_of(5);
    command(&mut a, 1, &create(singleton("a:1", &[1, 2, 3]), 1));
    command(&mut b, 2, &create(singleton("a:1", &[3, 4, 5]), 1));
    let both = [nodes(&[1, 2, 3]), nodes(&[3, 4, 5])];
    sync(&mut a, &mut b, 1 << 20);
    assert_eq!(a.documents(), b.documents());
    let kept = the_web(&mut a).witnesses;
    assert_eq!(Some(&kept), both.iter().min());
    let documents = a.documents();
    let mut conflicts = documents.conflicts.iter();
    let told = conflicts.find(|conflict| conflict.register == "service/web/witnesses");
    assert_eq!(told.map(|conflict| conflict.others.len()), Some(1));
}

#[test]
fn a_witness_is_removed_only_by_force() {
    let (mut a, _) = two_of(4);
    command(&mut a, 1, &create(singleton("a:1", &[1, 2, 3]), 1));
    let remove = |node, force| Command::RemoveNode { node, force };
    let refused = try_command(&mut a, 1, &remove(node(3), false)).unwrap_err();
    let problem = "node `n3` is a witness of the lease of `shop/web`".to_owned();
    assert_eq!(refused, Refusal::NeedsForce { problem });
    assert!(try_command(&mut a, 1, &remove(node(3), true)).is_ok());
    assert!(try_command(&mut a, 1, &remove(node(4), false)).is_ok());
}
