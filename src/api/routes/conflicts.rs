//! What two sides of a split left in doubt, settled. *Ours.*

use axum::Json;
use axum::extract::State;
use kontena_core::command::{Command, Take, resolve_input};
use kontena_core::id::StackName;
use kontena_core::view::View;

use super::revisions::{exactly, find, history};
use super::stacks::shown;
use super::{Answer, Shared, change, saved, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present::{Snapshot, revision as present};
use crate::api::request::{Body, Segments};
use crate::api::types::Changed;
use crate::api::types::conflict::Resolve;
use crate::api::types::revision::Plan;
use crate::api::types::segments::OfStack;
use crate::api::types::stack::Stack;

/// `POST /v1/stacks/{grid}/{stack}/resolve/plan`: what `resolve` would do. Writes nothing.
pub(super) async fn plan(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Body(body): Body<Resolve>,
) -> Answer<Plan> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (name, take) = taken(&snapshot, &stack, body)?;
    let input = resolve_input(&snapshot.view, &name, take.as_ref()).map_err(Refused::from)?;
    let (before, after) = (present::stored(&snapshot, &name), present::wanted(&input));
    Ok(Json(present::plan((None, &before), (None, &after))))
}

/// `POST /v1/stacks/{grid}/{stack}/resolve`: a new revision. What runs changes when it is deployed.
pub(super) async fn resolve(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Body(body): Body<Resolve>,
) -> Answer<Changed<Stack>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (name, take) = taken(&snapshot, &stack, body)?;
    let before = snapshot.stack(&name)?.revision;
    let command = Command::ResolveStack {
        name: name.clone(),
        take,
    };
    let is_recorded = |view: &View| {
        let record = view.documents.stacks.get(&name);
        record.is_none_or(|record| record.revision > before)
    };
    let (how, snapshot) = change(&backend, command, is_recorded).await?;
    Ok(saved(shown(&snapshot, &name)?, how))
}

/// What is to be taken, by its hash: a number may be that of two when the command is carried out.
fn taken(
    snapshot: &Snapshot,
    stack: &str,
    body: Resolve,
) -> Result<(StackName, Option<Take>), Refused> {
    let (name, history) = history(snapshot, stack)?;
    let Some(take) = body.take else {
        return match body.services.is_empty() {
            true => Ok((name, None)),
            false => Err(Refused::invalid(
                "services: they need a revision to `take` them of".to_owned(),
            )),
        };
    };
    let revision = exactly(find(&history, &take)?);
    let services = body.services;
    Ok((name, Some(Take { revision, services })))
}
