//! `registry`: an image registry in the grid, as a stack of its own.

use clap::{Args, Subcommand};
use kontena_core::id::{GridName, NodeName, StackName};
use serde_json::json;

use super::deploy::Wait;
use super::failure::Failure;
use super::session::Session;
use super::stack;
use crate::api::paths;
use crate::api::types::Changed;
use crate::api::types::error::ErrorKind;
use crate::api::types::stack::Stack;

/// What Kontena called it, and so where it is found.
const STACK: &str = "registry";

/// Docker's own: Kontena's image was made of it.
const IMAGE: &str = "registry:2";

/// An image registry in the grid
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena registry create
  docker push registry.GRID.kontena.local/app:1")]
pub(crate) struct RegistryCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run an image registry, which nodes and VPN users reach as `registry.GRID.kontena.local`
    ///
    /// It is the stack `registry`, with one stateful service: its images are kept on one node. Nobody else reaches it, so it has neither
    /// password nor certificate, and each engine that uses it has to be told so:
    /// `"insecure-registries": ["registry.GRID.kontena.local"]` in its daemon.json.
    #[command(after_help = "Example:\n  kontena registry create --node node-1")]
    Create {
        /// The node that keeps the images
        #[arg(long, value_name = "NODE")]
        node: Option<NodeName>,
        /// What it runs: Docker's registry, or one that is configured as it is
        #[arg(long, default_value = IMAGE)]
        image: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Remove the registry; its images stay in a volume of its node
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena registry rm"
    )]
    Rm {
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
}

pub(crate) async fn run(session: &Session, asked: RegistryCommand) -> Result<(), Failure> {
    let name: StackName = STACK
        .parse()
        .map_err(|problem| Failure::failed(format!("{problem}")))?;
    match asked.command {
        Command::Create { node, image, wait } => {
            let grid = session.grid().await?;
            create(session, &grid, &name, body(node.as_ref(), &image), wait).await
        }
        Command::Rm { force } => stack::remove_stack(session, &name, force).await,
    }
}

async fn create(
    session: &Session,
    grid: &GridName,
    name: &StackName,
    body: serde_json::Value,
    wait: Wait,
) -> Result<(), Failure> {
    let answer = session.client.post(&paths::stacks(grid), &body).await;
    let changed: Changed<Stack> = answer.map_err(|problem| {
        let exists = problem.kind == ErrorKind::Exists;
        let failure = Failure::from(problem);
        match exists {
            true => failure
                .hint("`kontena stack show registry` shows it, `kontena registry rm` removes it"),
            false => failure,
        }
    })?;
    stack::deploy_new(session, grid, name, changed, wait).await?;
    session.output.talk(&format!(
        "images go there as `registry.{grid}.kontena.local/NAME:TAG`; engines need it among their `insecure-registries`"
    ));
    Ok(())
}

/// As a stack file would have it.
fn body(node: Option<&NodeName>, image: &str) -> serde_json::Value {
    let affinity: Vec<String> = node.iter().map(|node| format!("node=={node}")).collect();
    json!({
        "name": STACK,
        "stack": "kontena/registry",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "An image registry of the grid",
        "expose": "api",
        "services": [{
            "name": "api",
            "image": image,
            "stateful": true,
            "instances": 1,
            "affinity": affinity,
            "volumes": ["/registry"],
            "env": [
                "REGISTRY_HTTP_ADDR=0.0.0.0:80",
                "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/registry",
                "REGISTRY_STORAGE_DELETE_ENABLED=true",
            ],
            "deploy_opts": {"wait_for_port": 80},
        }],
    })
}

#[cfg(test)]
mod tests {
    use kontena_core::manifest::compiled::read;

    use super::*;

    #[test]
    fn the_registry_is_a_stack_that_keeps_its_images_on_one_node() {
        let node = "node-1".parse().unwrap();
        let compiled = read(&body(Some(&node), IMAGE)).unwrap();
        let service = &compiled.stack.services[&"api".parse().unwrap()].service;
        assert!(service.stateful);
        assert_eq!(service.affinity[0].to_string(), "node==node-1");
        assert_eq!(compiled.stack.expose, "api".parse().ok());
        let anywhere = read(&body(None, IMAGE)).unwrap();
        assert!(
            anywhere.stack.services[&"api".parse().unwrap()]
                .service
                .affinity
                .is_empty()
        );
    }
}
