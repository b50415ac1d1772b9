//! Addresses of containers in the grid's network.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::network::addresses::INSTANCES;
use crate::network::ipam::Subnet;
use crate::reconcile::action::Action;
use crate::reconcile::wiring::Wiring;
use crate::stack::{NetworkMode, Service};

use super::bench::{Bench, of_service, wanted};

fn subnet() -> Subnet {
    "10.80.7.0/24".parse().unwrap()
}

fn wired() -> Bench {
    let mut bench = Bench::new();
    let now = bench.now();
    bench.instances.wire(Wiring::Grid(subnet()), now);
    bench.observe();
    bench
}

fn assigned(bench: &Bench, instance: &str) -> Ipv4Addr {
    bench
        .container(instance)
        .assigned
        .expect("it is in the grid's network")
}

#[test]
fn every_container_of_a_node_has_an_address_of_its_own() {
    let mut bench = wired();
    bench.want((1..=60).map(|number| wanted(&format!("web-{number}"), 1)));
    bench.settle();
    let addresses: BTreeSet<Ipv4Addr> = (1..=60)
        .map(|number| assigned(&bench, &format!("web-{number}")))
        .collect();
    assert_eq!(addresses.len(), 60);
    assert!(addresses.iter().all(|address| subnet().contains(*address)));
}

#[test]
fn an_address_is_kept_over_crashes_deploys_and_restarts_of_the_daemon() {
    let mut bench = wired();
    bench.want([wanted("web-1", 1)]);
    bench.settle();
    let address = assigned(&bench, "web-1");
    bench.crash("web-1");
    bench.seconds(5);
    assert_eq!(assigned(&bench, "web-1"), address);

    bench.restart_daemon();
    let now = bench.now();
    bench.instances.wire(Wiring::Grid(subnet()), now);
    bench.observe();
    bench.want([wanted("web-1", 2)]);
    bench.seconds(30);
    assert_eq!(
        bench.container("web-1").owner.generation,
        2,
        "it was replaced"
    );
    assert_eq!(assigned(&bench, "web-1"), address);
}

#[test]
fn no_container_is_made_before_the_network_is_there_and_none_is_restarted_for_it() {
    let mut bench = Bench::with([wanted("old-1", 1)]);
    bench.settle();
    bench.did();
    let now = bench.now();
    bench.instances.wire(Wiring::Pending, now);
    bench.want([wanted("old-1", 1), wanted("new-1", 1)]);
    bench.seconds(60);
    assert_eq!(bench.did(), "", "{}", bench.state("new-1"));
    let now = bench.now();
    bench.instances.wire(Wiring::Grid(subnet()), now);
    bench.seconds(60);
    assert_eq!(bench.did(), "run new-1 g1");
    assert_eq!(
        bench.container("old-1").assigned,
        None,
        "it runs on as it is"
    );
}

#[test]
fn an_address_that_something_else_has_is_left_to_it() {
    let mut bench = wired();
    bench.want([wanted("web-1", 1)]);
    bench.settle();
    let first = assigned(&bench, "web-1");
    let mut bench = wired();
    bench.engine.taken_addresses.insert(first);
    bench.want([wanted("web-1", 1)]);
    bench.seconds(5);
    assert_ne!(assigned(&bench, "web-1"), first);
}

#[test]
fn a_node_whose_addresses_are_all_taken_refuses_and_takes_the_next_that_is_free() {
    let mut bench = wired();
    let room = u32::try_from(INSTANCES.len()).unwrap();
    let many = |count: u32| (1..=count).map(|number| wanted(&format!("web-{number}"), 1));
    bench.want(many(room + 1));
    bench.seconds(10);
    assert_eq!(bench.running().len(), INSTANCES.len());
    let refusals: Vec<&String> = bench.instances.refusals().values().collect();
    assert_eq!(refusals, ["all 222 addresses of this node are taken"]);

    bench.want(many(room + 1).skip(1));
    bench.seconds(120);
    assert_eq!(
        bench.running().len(),
        INSTANCES.len(),
        "the one that had to wait runs"
    );
}

#[test]
fn a_service_of_the_host_s_network_takes_no_address_and_is_probed_on_the_host_itself() {
    let mut bench = wired();
    let mut service = Service::new("web:1");
    service.network_mode = NetworkMode::Host;
    service.deploy.wait_for_port = Some(80);
    bench.want([of_service("web-1", 1, 1, service)]);
    let mut probed = None;
    while let Some((id, action)) = bench.next_action() {
        if let Action::Probe { address, .. } = action {
            probed = Some(address);
        }
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(id, outcome);
        bench.observe();
    }
    assert_eq!(bench.container("web-1").assigned, None);
    assert_eq!(probed, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(bench.state("web-1"), "running healthy");
}
