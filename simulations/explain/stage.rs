//! The grid before the story: every node is a member, and has been for a while.

use std::time::Duration;

use kontena_core::command::{Accepted, Command, Refusal, StackInput};
use kontena_core::id::StackName;
use kontena_core::network::plan::AddressPlan;
use kontena_core::view::Availability;

use super::files::{Files, GRID};
use super::nodes::PlannedNode;
use crate::failure::Failure;
use crate::world::World;

/// Nobody is judged by its silence in the first minute of a grid.
const SETTLED: Duration = Duration::from_secs(120);

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) names: Vec<String>,
    pub(super) stack: StackName,
}

impl Stage {
    /// A grid of these nodes with the stack installed, and not yet deployed.
    pub(super) fn set(files: &Files, seed: u64) -> Result<Self, Failure> {
        let mut world = World::new(files.nodes.len(), seed);
        for (host, node) in world.hosts.iter_mut().zip(&files.nodes) {
            (host.engine.cpus, host.engine.memory) = (node.cpus, node.memory);
        }
        form_grid(&mut world, &files.nodes)?;
        world.run_for(SETTLED);
        for declared in files.stack.services.values() {
            world.load_image(&declared.service.image);
        }
        let stack = files.stack.default_name.clone();
        let install = Command::InstallStack {
            name: stack.clone(),
            stack: input(files),
        };
        give(&mut world, 0, install)?;
        Ok(Self {
            world,
            names: files
                .nodes
                .iter()
                .map(|node| node.name.to_string())
                .collect(),
            stack,
        })
    }
}

fn form_grid(world: &mut World, nodes: &[PlannedNode]) -> Result<(), Failure> {
    let [first, others @ ..] = nodes else {
        return Err(Failure::usage("a grid has at least one node"));
    };
    let init = Command::Init {
        grid: GRID.parse().expect("a label"),
        name: first.name.clone(),
        labels: first.labels.clone(),
        plan: AddressPlan::default(),
        routes: Vec::new(),
        grid_seed: world.chance.bytes(),
        token_seed: world.chance.bytes(),
        admin_token: world.chance.bytes(),
    };
    let token = give(world, 0, init)?.join_token;
    let token = token.expect("`init` answers with a join token");
    for (index, node) in others.iter().enumerate() {
        let join = Command::Join {
            address: World::address(0),
            token: token.clone(),
            name: node.name.clone(),
            labels: node.labels.clone(),
            routes: Vec::new(),
        };
        give(world, index + 1, join)?;
    }
    drain(world, nodes)
}

fn drain(world: &mut World, nodes: &[PlannedNode]) -> Result<(), Failure> {
    for (host, _) in nodes.iter().enumerate().filter(|(_, node)| node.drains) {
        let update = Command::UpdateNode {
            node: world.id(host),
            labels: None,
            availability: Some(Availability::Drain),
        };
        give(world, 0, update)?;
    }
    Ok(())
}

fn input(files: &Files) -> StackInput {
    let stack = &files.stack;
    let services = stack.services.iter();
    StackInput {
        stack: stack.stack.clone(),
        version: stack.version.clone(),
        description: stack.description.clone(),
        expose: stack.expose.clone(),
        services: services
            .map(|(name, declared)| (name.clone(), (declared.service.clone(), declared.instances)))
            .collect(),
        ..StackInput::default()
    }
}

fn give(world: &mut World, host: usize, command: Command) -> Result<Accepted, Failure> {
    world
        .command(host, command)
        .map_err(|refusal| refused(&refusal))
}

pub(super) fn refused(refusal: &Refusal) -> Failure {
    Failure::failed(format!("the grid refuses the stack: {refusal}"))
}
