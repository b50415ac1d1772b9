//! `stack rm`: stacks go, and those that they brought along with them.

use kontena_core::id::{GridName, StackName};
use serde_json::json;

use super::super::confirm::confirm;
use super::super::failure::Failure;
use super::super::session::{Session, about};
use super::{family, plan};
use crate::api::paths;
use crate::api::types::Saved;
use crate::api::types::stack::Stack;

pub(super) async fn remove(
    session: &Session,
    names: &[StackName],
    keep_dependencies: bool,
    force: bool,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let remove_one = async |name: &StackName| {
        let answer = session.client.get(&paths::stack(&grid, name)).await;
        let stack: Stack = answer.map_err(about(format!("stack `{name}`")))?;
        let installed = match keep_dependencies {
            true => Vec::new(),
            false => family::installed(session, &grid).await?,
        };
        let below = family::below(&installed, name.as_str());
        announce(session, &stack, &below);
        confirm(&session.output, "remove stack", name.as_str(), force)?;
        let saved = remove_stack(session, &grid, name.as_str()).await?;
        // A stack goes before what it links to.
        for stack in &below {
            remove_stack(session, &grid, &stack.name).await?;
        }
        let below: Vec<&str> = below.iter().map(|stack| stack.name.as_str()).collect();
        Ok((saved, json!({"name": name, "dependencies": below})))
    };
    session.change_each(names, remove_one).await
}

/// Says what goes and what stays.
fn announce(session: &Session, stack: &Stack, below: &[&Stack]) {
    if !stack.services.is_empty() {
        let said = plan::text(&plan::of_removal(stack));
        session.output.talk(said.trim_end());
    }
    for stack in below {
        let said = plan::text(&plan::of_removal(stack));
        let name = &stack.name;
        session.output.talk(&format!(
            "stack `{name}`, which it brought along, goes too:"
        ));
        session.output.talk(said.trim_end());
    }
}

pub(super) async fn remove_stack(
    session: &Session,
    grid: &GridName,
    name: &str,
) -> Result<Saved, Failure> {
    let parsed: Result<StackName, _> = name.parse();
    let parsed = parsed.map_err(|problem| Failure::failed(format!("stack `{name}`: {problem}")))?;
    let answer = session.client.delete(&paths::stack(grid, &parsed)).await;
    let saved: Saved = answer.map_err(about(format!("stack `{name}`")))?;
    session.tell(&format!("removed stack `{name}`"), &saved);
    Ok(saved)
}
