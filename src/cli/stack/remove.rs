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
        let installed = family::installed(session, &grid).await?;
        let own = installed.iter().find(|stack| stack.name == name.as_str());
        let mut below = family::below(&installed, name.as_str());
        if keep_dependencies {
            below.clear();
        }
        let going = own.into_iter().chain(below.iter().copied());
        let going: Vec<&str> = going.map(|stack| stack.name.as_str()).collect();
        if going.is_empty() {
            return Err(Failure::failed(format!("stack `{name}` does not exist"))
                .hint("`kontena stack ls` lists what there is"));
        }
        announce(session, name, own, &below);
        confirm(&session.output, "remove stack", name.as_str(), force)?;
        let saved = remove_together(session, &grid, &going).await?;
        let below: Vec<&str> = below.iter().map(|stack| stack.name.as_str()).collect();
        Ok((saved, json!({"name": name, "dependencies": below})))
    };
    session.change_each(names, remove_one).await
}

/// Says what goes and what stays.
fn announce(session: &Session, name: &StackName, own: Option<&Stack>, below: &[&Stack]) {
    match own {
        Some(stack) if stack.services.is_empty() => {}
        Some(stack) => {
            let said = plan::text(&plan::of_removal(stack));
            session.output.talk(said.trim_end());
        }
        // Another side of a split removed it while this one brought more along.
        None => session.output.warn(&format!(
            "stack `{name}` is gone already: what it brought along is still there"
        )),
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

/// Removes stacks, all of them or none: there is at least one.
pub(super) async fn remove_together(
    session: &Session,
    grid: &GridName,
    names: &[&str],
) -> Result<Saved, Failure> {
    let [first, with @ ..] = names else {
        return Err(Failure::failed("no stack is named"));
    };
    let parsed: Result<StackName, _> = first.parse();
    let parsed =
        parsed.map_err(|problem| Failure::failed(format!("stack `{first}`: {problem}")))?;
    let path = format!("{}?with={}", paths::stack(grid, &parsed), with.join(","));
    let answer = session.client.delete(&path).await;
    let saved: Saved = answer.map_err(about(format!("stack `{first}`")))?;
    for name in names {
        session.output.talk(&format!("removed stack `{name}`"));
    }
    session.warn_of(&saved);
    Ok(saved)
}
