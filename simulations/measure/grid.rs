//! A grid to measure: formed without the traffic of forming it, and settled.

use std::iter;
use std::time::Duration;

use kontena_core::command::{Accepted, Command};
use kontena_core::id::ServiceKey;
use kontena_core::node::Record;
use kontena_core::stack::Service;

use super::observe::{self, Instances};
use crate::world::World;

/// The image of all services here.
const IMAGE: &str = "web:1";

/// Twice the first minute, in which nobody is judged by its silence.
const SETTLED: Duration = Duration::from_secs(120);

/// How long a deploy may take.
const DEPLOYED: Duration = Duration::from_secs(300);

/// The local value that makes a node a member when it starts.
const MEMBERSHIP: &str = "grid";

/// A grid of `nodes` that has run for two minutes, with nothing deployed.
///
/// The first node admits the others, each alone, so that 1,000 admissions are not told 1,000 times;
/// then all get its documents on their disks and are started together.
pub fn settled(nodes: usize, seed: u64) -> World {
    let mut world = World::new(nodes, seed);
    world.load_image(IMAGE);
    let token = world.init(0);
    for host in 1..nodes {
        world
            .join(host, 0, &token)
            .expect("a fresh host with a good token is admitted");
        world.kill_node(host);
    }
    world.run_for(Duration::from_secs(5)); // what the first node wrote last is on its disk
    share_documents(&mut world);
    for host in 0..nodes {
        world.kill_node(host);
        world.boot(host);
    }
    world.run_for(SETTLED);
    world
}

fn share_documents(world: &mut World) {
    let known = world.hosts[0].disk.load();
    let membership = Record::Local {
        key: MEMBERSHIP.to_owned(),
        value: known.local[MEMBERSHIP].clone(),
    };
    for host in &mut world.hosts[1..] {
        let envelopes = known.envelopes.iter().cloned().map(Record::Envelope);
        let records = iter::once(Record::Forget)
            .chain(envelopes)
            .chain([membership.clone()]);
        host.disk
            .save(records.collect())
            .expect("a fresh disk has room");
    }
}

/// Deploys `instances` of a stateless service and waits until each runs once.
pub fn deploy(world: &mut World, name: &str, instances: usize) {
    run_service(world, name, Service::new(IMAGE), instances);
}

/// As [`deploy`], each with so much memory set aside, in bytes.
pub fn deploy_large(world: &mut World, name: &str, instances: usize, memory: u64) {
    let mut service = Service::new(IMAGE);
    service.resources.memory = Some(memory);
    run_service(world, name, service, instances);
}

/// As [`deploy`], bound to the nodes that hold the data.
pub fn deploy_stateful(world: &mut World, name: &str, instances: usize) {
    let service = Service {
        stateful: true,
        ..Service::new(IMAGE)
    };
    run_service(world, name, service, instances);
}

fn run_service(world: &mut World, name: &str, service: Service, instances: usize) {
    accept(world, 0, create(name, service, instances));
    let (key, force) = (key(name), false);
    accept(world, 0, Command::DeployService { key, force });
    let all_run = |world: &World| {
        let running = Instances::of(world, name);
        running.count() == instances && running.doubled() == 0
    };
    observe::wait(world, DEPLOYED, all_run).expect("a quiet grid runs what is deployed");
    world.run_for(Duration::from_secs(10));
}

/// A service's name to refer to it by.
pub fn key(name: &str) -> ServiceKey {
    name.parse().expect("a service key")
}

/// Writes `count` small changes at a node; each is answered before the next.
pub fn edit(world: &mut World, host: usize, prefix: &str, count: usize) {
    for number in 0..count {
        accept(world, host, creation(&format!("{prefix}-{number}")));
    }
}

/// A change that starts nothing: a service that is not deployed.
pub fn creation(name: &str) -> Command {
    create(name, Service::new(IMAGE), 1)
}

fn create(name: &str, service: Service, instances: usize) -> Command {
    Command::CreateService {
        key: key(name),
        service: Box::new(service),
        instances: u32::try_from(instances).expect("as many as nodes, or a few times more"),
    }
}

fn accept(world: &mut World, host: usize, command: Command) -> Accepted {
    world
        .command(host, command)
        .expect("the commands of a measurement are right")
}
