//! A grid that is there already: every host's disk holds the same documents.
//!
//! A thousand joins would take longer than everything that is measured after them.

use kontena_core::document::edit::Edit;
use kontena_core::document::{Replica, SignedEnvelope};
use kontena_core::id::{GridId, NodeId, ServiceKey};
use kontena_core::identity::SecretKey;
use kontena_core::membership::admission::{Admission, Candidate};
use kontena_core::membership::token::Token;
use kontena_core::node::Record;
use kontena_core::stack::Service;
use kontena_simulations::world::World;

/// Members and services that one change writes.
const BATCH: usize = 100;

/// How many services a grid has, and how many instances each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) services: usize,
    pub(crate) instances: u32,
}

/// A grid of so many hosts that have just been switched on.
pub(crate) fn founded(hosts: usize, load: Load) -> World {
    let mut world = World::new(hosts, 7);
    world.load_image("web:1");
    let (grid, envelopes) = documents(&world, load);
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

fn documents(world: &World, load: Load) -> (GridId, Vec<SignedEnvelope>) {
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

    let members = admissions.into_iter().skip(1).map(Edit::Admit);
    let services = (0..load.services).flat_map(|number| service_edits(number, load.instances));
    for edits in batches(members, BATCH).chain(batches(services, 3 * BATCH)) {
        let prepared = replica.prepare(&edits, wall).expect("the edits are valid");
        envelopes.extend(replica.commit(prepared));
    }
    (grid, envelopes)
}

fn batches(edits: impl Iterator<Item = Edit>, size: usize) -> impl Iterator<Item = Vec<Edit>> {
    let all: Vec<Edit> = edits.collect();
    let batches: Vec<Vec<Edit>> = all.chunks(size).map(<[Edit]>::to_vec).collect();
    batches.into_iter()
}

fn admissions(world: &World, token: &Token) -> Vec<Admission> {
    let sponsor = world.id(0);
    (0..world.hosts.len())
        .map(|host| {
            let founding =
                Admission::founding(token.grid(), candidate(world, host), world.clock().wall);
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
    }
}

/// Ten services to a stack.
pub(crate) fn service_key(number: usize) -> ServiceKey {
    let name = format!("stack-{}/service-{}", number / 10, number % 10);
    name.parse().expect("two labels")
}

fn service_edits(number: usize, instances: u32) -> [Edit; 3] {
    let service = service_key(number);
    let encoded = Service::new("web:1").encode();
    let revision = Service::hash_of(&encoded);
    [
        Edit::Revision {
            service: service.clone(),
            encoded,
        },
        Edit::Instances {
            service: service.clone(),
            instances,
        },
        Edit::Deploy { service, revision },
    ]
}
