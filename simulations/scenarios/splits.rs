//! Splits of the network and what both sides do meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::command::{Command, StackInput};
use kontena_core::id::{NodeId, StackName};
use kontena_core::identity::SecretKey;
use kontena_core::network::ipam::{Subnet, allocate};
use kontena_core::network::plan::AddressPlan;
use kontena_core::stack::Service;
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, deploy, grid, key};

#[test]
fn edits_on_both_sides_of_a_split_survive_it() {
    let mut world = grid(3, 21);
    deploy(&mut world, 0, "web", 2);
    world.network.split(&[0], &[1, 2]);
    world.run_for(SOON);
    accept(
        &mut world,
        0,
        Command::ScaleService {
            key: key("web"),
            instances: 4,
        },
    );
    let update = Command::UpdateService {
        key: key("web"),
        service: Box::new(Service::new("web:2")),
        instances: None,
    };
    accept(&mut world, 1, update);
    world.run_for(MINUTE);
    world.network.heal();
    world.until(MINUTE, "four of the new revision run", |world| {
        let new = world
            .hosts
            .iter()
            .flat_map(|host| host.engine.running())
            .filter(|c| c.image == "sha256:web:2");
        new.count() == 4 && world.runs_exactly("web", 4)
    });
    let first = &world.hosts[0].view.documents;
    assert!(world.hosts.iter().all(|host| host.view.documents == *first));
}

#[test]
fn upgrades_on_both_sides_of_a_split_are_told_and_one_revision_settles_them() {
    let mut world = grid(3, 25);
    let name: StackName = "shop".parse().expect("a stack name");
    accept(
        &mut world,
        0,
        install(&name, &[("web", "a:1"), ("db", "b:1")]),
    );
    world.run_for(SOON);
    world.network.split(&[0], &[1, 2]);
    world.run_for(SOON);
    let ours = &[("web", "a:2"), ("db", "b:1"), ("cache", "c:1")];
    accept(&mut world, 0, upgrade(&name, ours));
    accept(
        &mut world,
        2,
        upgrade(&name, &[("web", "a:3"), ("files", "f:1")]),
    );
    world.run_for(MINUTE);
    world.network.heal();
    world.until(MINUTE, "all show the same", |world| {
        let first = &world.hosts[0].view.documents;
        let are_equal = world.hosts.iter().all(|host| host.view.documents == *first);
        are_equal && first.histories[&name].revisions.len() == 3
    });
    let documents = world.hosts[1].view.documents.clone();
    let services = documents.stacks[&name].services.iter();
    let services: Vec<&str> = services.map(|service| service.as_str()).collect();
    assert_eq!(services, ["cache", "files", "web"]);
    let [conflict] = documents.stack_conflicts[&name].as_slice() else {
        panic!("{:?}", documents.stack_conflicts);
    };
    let authors: BTreeSet<NodeId> = conflict.sides.iter().map(|side| side.author).collect();
    assert_eq!(authors, BTreeSet::from([world.id(0), world.id(2)]));

    let resolve = Command::ResolveStack {
        name: name.clone(),
        take: None,
    };
    accept(&mut world, 1, resolve);
    world.until(SOON, "nobody shows a conflict", |world| {
        let mut hosts = world.hosts.iter();
        hosts.all(|host| host.view.documents.stack_conflicts.is_empty())
    });
}

fn install(name: &StackName, services: &[(&str, &str)]) -> Command {
    Command::InstallStack {
        name: name.clone(),
        stack: input(services),
    }
}

fn upgrade(name: &StackName, services: &[(&str, &str)]) -> Command {
    Command::UpgradeStack {
        name: name.clone(),
        stack: input(services),
    }
}

fn input(services: &[(&str, &str)]) -> StackInput {
    let services = services.iter();
    StackInput {
        stack: "shop".to_owned(),
        version: "1".to_owned(),
        services: services
            .map(|(name, image)| {
                let name = name.parse().expect("a service name");
                (name, (Service::new(*image), Some(1)))
            })
            .collect(),
        ..StackInput::default()
    }
}

#[test]
fn duplicates_of_a_split_are_gone_soon_after_it_heals() {
    let mut world = grid(4, 22);
    deploy(&mut world, 0, "web", 4);
    world.network.split(&[0, 1], &[2, 3]);
    world.run_for(2 * MINUTE);
    world.network.heal();
    let took = world.until(MINUTE, "each runs once", |world| {
        world.runs_exactly("web", 4)
    });
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_small_side_keeps_what_it_has_and_takes_nothing_over() {
    let mut world = grid(5, 23);
    deploy(&mut world, 0, "web", 5);
    world.network.split(&[0], &[1, 2, 3, 4]);
    world.run_for(2 * MINUTE);
    assert_eq!(
        world.hosts[0].engine.running().count(),
        1,
        "{}",
        world.summary()
    );
    let rest: usize = (1..5)
        .map(|host| world.hosts[host].engine.running().count())
        .sum();
    assert_eq!(rest, 5, "the large side runs all of them");
    world.network.heal();
    world.until(MINUTE, "each runs once", |world| {
        world.runs_exactly("web", 5)
    });
}

#[test]
fn a_minority_that_is_back_takes_nothing_over_while_it_hears_one_after_the_other() {
    let mut world = grid(10, 27);
    deploy(&mut world, 0, "web", 30);
    let (few, many): (Vec<usize>, Vec<usize>) = (0..10).partition(|host| *host < 4);
    world.network.split(&few, &many);
    world.run_for(5 * MINUTE);
    let starts = |world: &World| -> u64 {
        few.iter()
            .map(|host| world.hosts[*host].engine.starts)
            .sum()
    };
    let before = starts(&world);
    world.network.heal();
    world.run_for(MINUTE);
    assert_eq!(starts(&world), before, "{}", world.summary());
    assert!(world.runs_exactly("web", 30), "{}", world.summary());
}

#[test]
fn a_one_way_link_moves_nothing() {
    let mut world = grid(5, 24);
    deploy(&mut world, 0, "web", 5);
    let starts = world.starts();
    world.network.cut_one_way(0, 1);
    world.network.cut_one_way(3, 0);
    world.run_for(10 * MINUTE);
    assert_eq!(world.starts(), starts, "{}", world.summary());
}

#[test]
fn a_link_shorter_cut_than_the_grace_moves_nothing() {
    let mut world = grid(5, 25);
    deploy(&mut world, 0, "web", 5);
    let starts = world.starts();
    for _ in 0..30 {
        world.network.split(&[4], &[0, 1, 2, 3]);
        world.run_for(Duration::from_secs(5));
        world.network.heal();
        world.run_for(Duration::from_secs(20));
    }
    assert_eq!(world.starts(), starts, "{}", world.summary());
}

#[test]
fn heavy_loss_and_doubled_messages_move_nothing() {
    let mut world = grid(5, 26);
    deploy(&mut world, 0, "web", 5);
    let starts = world.starts();
    world.network.loss = 100;
    world.network.doubled = 100;
    world.run_for(60 * MINUTE);
    assert_eq!(world.starts(), starts, "{}", world.summary());
}

#[test]
fn two_sponsors_of_a_split_give_one_subnet_and_one_of_the_two_nodes_moves() {
    let mut world = World::new(4, 28);
    let token = world.init(0);
    world.join(1, 0, &token).unwrap();
    let taken: BTreeSet<Subnet> = subnets(&world, 0).into_values().collect();
    let (first, second) = two_that_choose_alike(&taken);
    for (host, key) in [(2, first), (3, second)] {
        world.replace_host(host);
        world.hosts[host].key = key;
        world.boot(host);
    }
    for host in &mut world.hosts {
        host.engine.images.insert("web:1".to_owned());
    }
    world.network.split(&[0, 2], &[1, 3]);
    world.run_for(SOON);
    world.join(2, 0, &token).unwrap();
    world.join(3, 1, &token).unwrap();
    world.run_for(MINUTE);
    for (host, service) in [(0, "web"), (1, "api")] {
        create(&mut world, host, service, 4);
    }
    world.run_for(2 * MINUTE);
    assert!(
        world
            .hosts
            .iter()
            .all(|host| host.engine.running().count() > 0),
        "{}",
        world.summary()
    );
    let (one, other) = (world.id(2), world.id(3));
    assert_eq!(subnets(&world, 0)[&one], subnets(&world, 1)[&other]);

    world.network.heal();
    world.until(MINUTE, "all see one grid", |world| {
        world.hosts.iter().all(|host| {
            host.view.documents.roster.len() == 4
                && host.view.documents == world.hosts[0].view.documents
        })
    });
    let settled = subnets(&world, 0);
    let distinct: BTreeSet<Subnet> = settled.values().copied().collect();
    assert_eq!(distinct.len(), 4, "{settled:?}");
    world.run_for(MINUTE);
    for host in &world.hosts {
        let own = settled[&host.id()];
        let strays = host.engine.running().filter(|container| {
            !container
                .assigned
                .is_some_and(|address| own.contains(address))
        });
        assert_eq!(strays.count(), 0, "{}", world.summary());
        let wanted = host.network.as_ref().expect("it takes part");
        assert_eq!(wanted.subnet, Some(own));
        let peers = wanted.peers.iter().map(|(node, peer)| (*node, peer.subnet));
        assert!(
            peers
                .into_iter()
                .all(|(node, subnet)| subnet == Some(settled[&node]))
        );
    }
}

/// Creates and deploys, without waiting for anything.
fn create(world: &mut World, host: usize, service: &str, instances: u32) {
    let command = Command::CreateService {
        key: key(service),
        service: Box::new(Service::new("web:1")),
        instances,
    };
    accept(world, host, command);
    accept(
        world,
        host,
        Command::DeployService {
            key: key(service),
            force: false,
        },
    );
}

fn subnets(world: &World, viewer: usize) -> BTreeMap<NodeId, Subnet> {
    let roster = &world.hosts[viewer].view.documents.roster;
    let subnets = roster
        .iter()
        .map(|(node, member)| (*node, member.subnet.unwrap()));
    subnets.collect()
}

/// Keys of two nodes that get the same subnet where these are taken.
fn two_that_choose_alike(taken: &BTreeSet<Subnet>) -> (SecretKey, SecretKey) {
    let mut chosen = BTreeMap::new();
    for number in 0..=u16::MAX {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let key = SecretKey::from_seed(seed);
        let subnet = allocate(AddressPlan::default(), key.node_id(), taken).unwrap();
        if let Some(other) = chosen.insert(subnet, key.clone()) {
            return (other, key);
        }
    }
    unreachable!("there are fewer subnets than keys")
}
