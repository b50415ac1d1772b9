//! `node label`: one label at a time, where `node update` replaces all.

use clap::{Args, Subcommand};
use kontena_core::id::{GridName, NodeName};

use super::super::failure::Failure;
use super::super::session::Session;
use super::super::text::quoted;
use super::{get, put};
use crate::api::types::node::NodeChange;

/// Labels of a node
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena node label add a az=eu-1 ssd")]
pub(super) struct Label {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List a node's labels
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena node label ls a"
    )]
    Ls {
        /// The node
        node: NodeName,
    },
    /// Add labels to a node
    #[command(after_help = "Example:\n  kontena node label add a az=eu-1 ssd")]
    Add {
        /// The node
        node: NodeName,
        /// Labels, as `ssd` or `az=eu-1`
        #[arg(required = true, value_name = "LABEL")]
        labels: Vec<String>,
    },
    /// Remove labels from a node
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena node label rm a ssd"
    )]
    Rm {
        /// The node
        node: NodeName,
        /// Labels, written in full
        #[arg(required = true, value_name = "LABEL")]
        labels: Vec<String>,
        /// Labels that the node does not have are no error
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(session: &Session, asked: Label) -> Result<(), Failure> {
    let grid = session.grid().await?;
    match asked.command {
        Command::Ls { node } => list(session, &grid, &node).await,
        Command::Add { node, labels } => {
            let present = get(session, &grid, &node).await?.labels;
            let said = format!("added {} to node `{node}`", quoted(&labels));
            relabel(session, &grid, &node, added(present, labels), &said).await
        }
        Command::Rm {
            node,
            labels,
            force,
        } => {
            let present = get(session, &grid, &node).await?.labels;
            let said = format!("removed {} from node `{node}`", quoted(&labels));
            let left = without(present, &labels, force)?;
            relabel(session, &grid, &node, left, &said).await
        }
    }
}

async fn list(session: &Session, grid: &GridName, name: &NodeName) -> Result<(), Failure> {
    let labels = get(session, grid, name).await?.labels;
    session.print_object(&labels, || {
        labels.iter().map(|label| format!("{label}\n")).collect()
    })
}

async fn relabel(
    session: &Session,
    grid: &GridName,
    name: &NodeName,
    labels: Vec<String>,
    said: &str,
) -> Result<(), Failure> {
    let change = NodeChange {
        labels: Some(labels),
        availability: None,
    };
    let (saved, node) = put(session, grid, name, &change, said).await?;
    session.print_changed(&saved, node)
}

fn added(mut present: Vec<String>, labels: Vec<String>) -> Vec<String> {
    for label in labels {
        if !present.contains(&label) {
            present.push(label);
        }
    }
    present
}

fn without(present: Vec<String>, labels: &[String], force: bool) -> Result<Vec<String>, Failure> {
    let missing: Vec<&String> = labels
        .iter()
        .filter(|label| !present.contains(label))
        .collect();
    if !missing.is_empty() && !force {
        let message = format!("the node has no label {}", quoted(missing));
        return Err(Failure::failed(message).hint("`--force` ignores labels that it does not have"));
    }
    Ok(present
        .into_iter()
        .filter(|label| !labels.contains(label))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn adding_a_label_twice_changes_nothing() {
        assert_eq!(added(labels("a b"), labels("b c")), labels("a b c"));
    }

    #[test]
    fn removing_what_is_not_there_is_an_error_unless_forced() {
        assert!(without(labels("a"), &labels("a b"), false).is_err());
        assert_eq!(
            without(labels("a c"), &labels("a b"), true).unwrap(),
            labels("c")
        );
    }
}
