//! The revisions of a stack: listed, compared, gone back to. *Ours.*

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use kontena_core::command::Command;
use kontena_core::id::StackName;
use kontena_core::manifest::compiled;
use kontena_core::view::{History, RevisionName, StackRevision, View};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::services::refused;
use super::stacks::{input, named, shown};
use super::{
    Answer, List, Shared, change, highest_first, newest_first, saved, snapshot_of, stack_name,
};
use crate::api::answer::Refused;
use crate::api::present::{Snapshot, revision as present};
use crate::api::request::{Body, Parameters, Segments};
use crate::api::types::Changed;
use crate::api::types::definition::StackDefinition;
use crate::api::types::described::Described;
use crate::api::types::form::RevisionText;
use crate::api::types::page::Page;
use crate::api::types::revision::{Plan, Revisions, Rollback};
use crate::api::types::segments::OfStack;
use crate::api::types::stack::Stack;

/// `GET /v1/stacks/{grid}/{stack}/revisions`.
pub(super) async fn list(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<Revisions> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (_, history) = history(&snapshot, &stack)?;
    let revisions = present::revisions(&snapshot, &history);
    page.cut(&uri, revisions, |one| {
        newest_first(one.number, &highest_first(&one.hash))
    })
    .answer(|one| one, |revisions| Revisions { revisions })
}

/// What is compared; what is stored now where one is missing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    /// A revision; what is stored now where it is absent.
    #[schemars(with = "Option<RevisionText>")]
    from: Option<String>,
    /// A revision; what is stored now where it is absent.
    #[schemars(with = "Option<RevisionText>")]
    to: Option<String>,
}

/// `GET /v1/stacks/{grid}/{stack}/diff?from=REVISION&to=REVISION`.
pub(super) async fn compare(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Parameters(between): Parameters<Between>,
) -> Answer<Plan> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (name, history) = history(&snapshot, &stack)?;
    let side = |text: Option<String>| -> Result<_, Refused> {
        let Some(text) = text else {
            return Ok((None, present::stored(&snapshot, &name)));
        };
        let revision = find(&history, &text)?;
        Ok((Some(history.label(revision)), present::recorded(revision)))
    };
    let ((from, before), (to, after)) = (side(between.from)?, side(between.to)?);
    Ok(Json(present::plan((from, &before), (to, &after))))
}

/// `POST /v1/stacks/{grid}/{stack}/plan`: what an upgrade to the compiled stack would do. Writes nothing.
pub(super) async fn plan(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Body(body): Body<Described<Value, StackDefinition>>,
) -> Answer<Plan> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let name = stack_name(&stack)?;
    snapshot.stack(&name)?;
    let compiled =
        compiled::read(&named(body.value, &name)).map_err(|problems| refused(&problems))?;
    let input = input(compiled);
    let (before, after) = (present::stored(&snapshot, &name), present::wanted(&input));
    Ok(Json(present::plan((None, &before), (None, &after))))
}

/// `POST /v1/stacks/{grid}/{stack}/rollback`: a new revision. What runs changes when it is deployed.
pub(super) async fn rollback(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Body(body): Body<Rollback>,
) -> Answer<Changed<Stack>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (name, history) = history(&snapshot, &stack)?;
    let before = snapshot.stack(&name)?.revision;
    let to = match &body.revision {
        // By its hash: a number may be that of two when the command is carried out.
        Some(text) => Some(exactly(find(&history, text)?)),
        None => None,
    };
    let command = Command::RollbackStack {
        name: name.clone(),
        to,
    };
    let is_recorded = |view: &View| {
        let record = view.documents.stacks.get(&name);
        record.is_none_or(|record| record.revision > before)
    };
    let (how, snapshot) = change(&backend, command, is_recorded).await?;
    Ok(saved(shown(&snapshot, &name)?, how))
}

pub(super) fn history(
    snapshot: &Snapshot,
    stack: &str,
) -> Result<(StackName, Arc<History>), Refused> {
    let name = stack_name(stack)?;
    snapshot.stack(&name)?;
    let known = snapshot.view.documents.histories.get(&name);
    let history = known.map(Arc::clone).unwrap_or_default();
    Ok((name, history))
}

pub(super) fn find<'h>(history: &'h History, text: &str) -> Result<&'h StackRevision, Refused> {
    let name: RevisionName = text
        .parse()
        .map_err(|problem| Refused::invalid(format!("{problem}")))?;
    history
        .find(&name)
        .map_err(|problem| Refused::unknown_revision(&problem))
}

pub(super) fn exactly(revision: &StackRevision) -> RevisionName {
    RevisionName::Hash {
        number: None,
        digits: revision.hash.to_string(),
    }
}
