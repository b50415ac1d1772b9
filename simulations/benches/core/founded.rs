//! A grid that is there already: every host's disk holds the same documents.
//!
//! A thousand joins would take longer than everything that is measured after them.

use kontena_core::command::{Command, StackInput};
use kontena_core::document::edit::Edit;
use kontena_core::document::{Replica, SignedEnvelope};
use kontena_core::id::{GridId, NodeId, ServiceKey};
use kontena_core::identity::SecretKey;
use kontena_core::membership::admission::{Admission, Candidate};
use kontena_core::membership::token::Token;
use kontena_core::network::plan::AddressPlan;
use kontena_core::node::Record;
use kontena_core::stack::Service;
use kontena_simulations::world::World;

/// Members that one change admits.
const BATCH: usize = 100;

/// A grid of so many hosts that have just been switched on.
pub(crate) fn founded(hosts: usize) -> World {
    let mut world = World::new(hosts, 7);
    world.load_image("web:1");
    let (grid, envelopes) = documents(&world);
    for host in 0..hosts {
        let mut records: Vec<Record> = envelopes.iter().cloned().map(Record::Envelope).collect();
        records.push(Record::Local {
            key: "grid".to_owned(),
            value: grid.0.to_vec(),
        });
        world.kill_node(host);
        world.hosts[host]
            .disk
            .save(records)
            .expect("the disk is not full");
        world.boot(host);
    }
    world
}

fn documents(world: &World) -> (GridId, Vec<SignedEnvelope>) {
    let key = SecretKey::from_seed([9; 32]);
    let grid = GridId(key.public());
    let token = Token::new(grid, [8; 32]);
    let mut replica = Replica::new(world.hosts[0].key.clone(), 1);
    let wall = world.clock().wall;

    let admissions = admissions(world, &token);
    let mut genesis = vec![
        Edit::GridName("demo".parse().expect("a label")),
        Edit::PlacementVersion(1),
        Edit::JoinToken(token.id()),
    ];
    genesis.push(Edit::Admit(admissions[0].clone()));
    let prepared = replica
        .prepare_genesis(&key, &genesis, wall)
        .expect("a replica without a grid founds one");
    let mut envelopes = replica.commit(prepared);

    let members: Vec<Edit> = admissions.into_iter().skip(1).map(Edit::Admit).collect();
    for edits in members.chunks(BATCH) {
        let prepared = replica.prepare(edits, wall).expect("the edits are valid");
        envelopes.extend(replica.commit(prepared));
    }
    (grid, envelopes)
}

fn admissions(world: &World, token: &Token) -> Vec<Admission> {
    let sponsor = world.id(0);
    (0..world.hosts.len())
        .map(|host| {
            let (grid, plan) = (token.grid(), AddressPlan::default());
            let wall = world.clock().wall;
            let founding = Admission::founding(grid, plan, candidate(world, host), wall);
            let subnet = format!("10.{}.{}.0/24", 80 + host / 256, host % 256);
            match host {
                0 => founding,
                _ => admitted(founding, world.id(host), sponsor, subnet, token),
            }
        })
        .collect()
}

fn admitted(
    founding: Admission,
    node: NodeId,
    sponsor: NodeId,
    subnet: String,
    token: &Token,
) -> Admission {
    Admission {
        sponsor,
        subnet,
        token: Some(token.id()),
        proof: Some(token.prove(node)),
        ..founding
    }
}

fn candidate(world: &World, host: usize) -> Candidate {
    Candidate {
        node: world.id(host),
        name: format!("n{}", host + 1).parse().expect("a label"),
        labels: vec![format!("az={}", host % 3)],
        addresses: vec![World::address(host)],
        routes: Vec::new(),
    }
}

/// Ten services to a stack.
pub(crate) fn service_key(number: usize) -> ServiceKey {
    let name = format!("stack-{}/service-{}", number / 10, number % 10);
    name.parse().expect("two labels")
}

/// Installs and deploys so many stacks of ten services each.
pub(crate) fn deploy(world: &mut World, stacks: usize, instances: u32) {
    for number in 0..stacks {
        let name = service_key(10 * number).stack;
        let services = (0..10).map(|service| {
            let key = service_key(10 * number + service);
            (key.service, (Service::new("web:1"), Some(instances)))
        });
        let stack = StackInput {
            stack: name.to_string(),
            version: "1".to_owned(),
            services: services.collect(),
            ..StackInput::default()
        };
        let install = Command::InstallStack {
            name: name.clone(),
            stack,
        };
        for command in [install, Command::DeployStack(name)] {
            world.command(0, command).expect("the command is accepted");
        }
    }
}
