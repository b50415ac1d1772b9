//! What the stories share: a grid, a service, a command.

use std::time::Duration;

use kontena_core::command::{Accepted, Command};
use kontena_core::id::ServiceKey;
use kontena_core::stack::Service;
use kontena_simulations::plan::Plan;
use kontena_simulations::run::run;
use kontena_simulations::world::World;

pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A grid of `hosts` nodes that has run for two minutes, with images `web:1` and `web:2` everywhere.
pub(crate) fn grid(hosts: usize, seed: u64) -> World {
    let mut world = World::new(hosts, seed);
    world.load_image("web:1");
    world.load_image("web:2");
    world.form_grid();
    world.run_for(2 * MINUTE);
    world
}

pub(crate) fn key(name: &str) -> ServiceKey {
    name.parse().expect("a service key")
}

/// Creates and deploys `name` with these many instances of `web:1`, and waits until they run.
#[track_caller]
pub(crate) fn deploy(world: &mut World, host: usize, name: &str, instances: u32) {
    deploy_service(world, host, name, Service::new("web:1"), instances);
    world.until(SOON, "the service runs", |world| {
        world.runs_exactly(name, instances as usize)
    });
    world.run_for(SOON);
}

#[track_caller]
pub(crate) fn deploy_service(
    world: &mut World,
    host: usize,
    name: &str,
    service: Service,
    instances: u32,
) {
    accept(
        world,
        host,
        Command::CreateService {
            key: key(name),
            service: Box::new(service),
            instances,
        },
    );
    accept(
        world,
        host,
        Command::DeployService {
            key: key(name),
            force: false,
        },
    );
}

#[track_caller]
pub(crate) fn accept(world: &mut World, host: usize, command: Command) -> Accepted {
    world
        .command(host, command)
        .expect("the command is accepted")
}

/// Carries a plan out; every check must hold.
#[track_caller]
pub(crate) fn carry_out(plan: &Plan) {
    let outcome = run(plan, false);
    assert!(outcome.finding.is_none(), "{}", outcome.finding.unwrap());
}
