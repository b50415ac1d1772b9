//! `stack label`: the labels of a stack, one at a time.

use clap::Subcommand;
use kontena_core::id::StackName;
use kontena_core::stack::StackLabel;

use super::super::failure::Failure;
use super::super::session::{Session, about};
use super::super::text::quoted;
use super::{get, stack_name};
use crate::api::paths;
use crate::api::types::Changed;
use crate::api::types::stack::{Relabel, Stack, StackJson};

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// List a stack's labels
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena stack label ls shop"
    )]
    Ls {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
    },
    /// Add labels to a stack
    #[command(after_help = "Example:\n  kontena stack label add shop team=blue")]
    Add {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// Labels, as `team=blue`
        #[arg(required = true, value_name = "LABEL")]
        labels: Vec<StackLabel>,
    },
    /// Remove labels from a stack
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena stack label rm shop team=blue"
    )]
    Rm {
        /// The stack
        #[arg(value_parser = stack_name)]
        name: StackName,
        /// Labels, written in full
        #[arg(required = true, value_name = "LABEL")]
        labels: Vec<StackLabel>,
    },
}

pub(super) async fn run(session: &Session, asked: Command) -> Result<(), Failure> {
    match asked {
        Command::Ls { name } => {
            let labels = get(session, &name).await?.labels;
            session.print_object(&labels, || {
                labels.iter().map(|label| format!("{label}\n")).collect()
            })
        }
        Command::Add { name, labels } => {
            let said = format!("added {} to stack `{name}`", quoted(&labels));
            let change = Relabel {
                add: labels,
                ..Relabel::default()
            };
            relabel(session, &name, &change, &said).await
        }
        Command::Rm { name, labels } => {
            let said = format!("removed {} from stack `{name}`", quoted(&labels));
            let change = Relabel {
                remove: labels,
                ..Relabel::default()
            };
            relabel(session, &name, &change, &said).await
        }
    }
}

async fn relabel(
    session: &Session,
    name: &StackName,
    change: &Relabel,
    said: &str,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = paths::stack(&grid, name);
    let answer = session.client.patch(&path, change).await;
    let changed: Changed<Stack> = answer.map_err(about(format!("stack `{name}`")))?;
    session.tell(said, &changed.saved);
    session.print_changed(&changed.saved, StackJson::from(changed.object))
}
