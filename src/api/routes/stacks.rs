//! Stacks, but for deploying them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use kontena_core::command::{Command, StackInput};
use kontena_core::id::{RevisionHash, ServiceKey, StackName};
use kontena_core::manifest::compiled::{self, Compiled};
use kontena_core::stack::StackLabel;
use kontena_core::view::View;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::services::refused;
use super::{Answer, List, Shared, change, saved, snapshot_of, stack_name};
use crate::api::answer::Refused;
use crate::api::backend::Backend;
use crate::api::openapi::outputs::Created;
use crate::api::present::{Snapshot, stack as present};
use crate::api::request::{Body, NoBody, Parameters, Segments};
use crate::api::types::definition::StackDefinition;
use crate::api::types::described::Described;
use crate::api::types::page::Page;
use crate::api::types::segments::{OfGrid, OfStack};
use crate::api::types::stack::{Relabel, Stack, Stacks};
use crate::api::types::{Changed, Saved};

pub(super) async fn list(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<Stacks> {
    let snapshot = snapshot_of(&backend, &grid)?;
    page.cut(&uri, present::installed(&snapshot), |(name, _)| {
        name.to_string()
    })
    .answer(
        |(name, record)| present::stack(&snapshot, name, record),
        |stacks| Stacks { stacks },
    )
}

pub(super) async fn show(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
) -> Answer<Stack> {
    let snapshot = snapshot_of(&backend, &grid)?;
    shown(&snapshot, &stack_name(&stack)?).map(Json)
}

pub(super) fn shown(snapshot: &Snapshot, name: &StackName) -> Result<Stack, Refused> {
    let record = snapshot.stack(name)?;
    Ok(present::stack(snapshot, name, record))
}

/// `POST /v1/grids/{grid}/stacks`: the compiled stack. Nothing runs until it is deployed.
pub(super) async fn install(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Body(body): Body<Described<Value, StackDefinition>>,
) -> Result<Created<Changed<Stack>>, Refused> {
    snapshot_of(&backend, &grid)?;
    let compiled = compiled::read(&body.value).map_err(|problems| refused(&problems))?;
    let name = compiled.name.clone();
    let command = Command::InstallStack {
        name: name.clone(),
        stack: input(compiled),
    };
    let exists = |view: &View| view.documents.stacks.contains_key(&name);
    let (how, snapshot) = change(&backend, command, exists).await?;
    let created = shown(&snapshot, &name).map_err(|_| Refused::unseen())?;
    Ok(Created(saved(created, how)))
}

/// `PUT /v1/stacks/{grid}/{stack}`: a new revision. What runs changes when it is deployed.
pub(super) async fn upgrade(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Body(body): Body<Described<Value, StackDefinition>>,
) -> Answer<Changed<Stack>> {
    let name = stack_name(&stack)?;
    let snapshot = snapshot_of(&backend, &grid)?;
    let before = snapshot.stack(&name)?.revision;
    let compiled =
        compiled::read(&named(body.value, &name)).map_err(|problems| refused(&problems))?;
    if compiled.name != name {
        let problem = format!("name: `{}` differs from `{name}`", compiled.name);
        return Err(Refused::invalid(problem));
    }
    let stack = input(compiled);
    let wanted = Wanted::of(&name, &stack);
    let is_upgraded = |view: &View| {
        let record = view.documents.stacks.get(&name);
        record.is_none_or(|record| record.revision > before) || wanted.is_so(view, &name)
    };
    let command = Command::UpgradeStack {
        name: name.clone(),
        stack,
    };
    let (how, snapshot) = change(&backend, command, is_upgraded).await?;
    Ok(saved(shown(&snapshot, &name)?, how))
}

/// What a stack is to be, hashed once: the node's next view waits while one is looked at.
struct Wanted {
    stack: String,
    version: String,
    source: Option<String>,
    services: Vec<(ServiceKey, RevisionHash)>,
}

impl Wanted {
    fn of(name: &StackName, input: &StackInput) -> Self {
        let services = input.services.iter().map(|(service, (definition, _))| {
            let key = ServiceKey::new(name.clone(), service.clone());
            (key, definition.hash())
        });
        Self {
            stack: input.stack.clone(),
            version: input.version.clone(),
            source: input.source.clone(),
            services: services.collect(),
        }
    }

    /// Whether the stack is exactly this already, so that there is nothing to upgrade.
    fn is_so(&self, view: &View, name: &StackName) -> bool {
        let record = view.documents.stacks.get(name);
        let is_same_file = record.is_some_and(|record| {
            let is = (&record.stack, &record.version, &record.source);
            is == (&self.stack, &self.version, &self.source)
        });
        is_same_file
            && self.services.iter().all(|(key, hash)| {
                let record = view.documents.services.get(key);
                record.is_some_and(|record| record.latest.hash == *hash)
            })
    }
}

/// A body without a name means the stack in the path.
pub(super) fn named(mut body: Value, name: &StackName) -> Value {
    if let Value::Object(fields) = &mut body {
        let given = fields.entry("name").or_insert(Value::Null);
        if given.is_null() {
            *given = Value::from(name.as_str());
        }
    }
    body
}

pub(super) fn input(compiled: Compiled) -> StackInput {
    let Compiled {
        stack,
        source,
        labels,
        variables,
        metadata,
        parent,
        name: _,
    } = compiled;
    let services = stack.services.into_iter();
    StackInput {
        stack: stack.stack,
        version: stack.version,
        description: stack.description,
        source,
        expose: stack.expose,
        labels,
        variables,
        metadata,
        parent,
        services: services
            .map(|(name, declared)| (name, (declared.service, declared.instances)))
            .collect(),
    }
}

/// `PATCH /v1/stacks/{grid}/{stack}`: its labels. Nothing that runs changes.
pub(super) async fn label(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Body(wanted): Body<Relabel>,
) -> Answer<Changed<Stack>> {
    let name = stack_name(&stack)?;
    let snapshot = snapshot_of(&backend, &grid)?;
    let labels = relabelled(&snapshot.stack(&name)?.labels, wanted);
    let is_labelled = |view: &View| {
        let record = view.documents.stacks.get(&name);
        let has = |label| record.is_some_and(|record| record.labels.contains(label));
        record.is_none() || labels.iter().all(|(label, present)| has(label) == *present)
    };
    let command = Command::LabelStack {
        name: name.clone(),
        labels: labels.clone(),
    };
    let (how, snapshot) = change(&backend, command, is_labelled).await?;
    Ok(saved(shown(&snapshot, &name)?, how))
}

/// Which labels shall be there, and which not; a label that is added and removed is added.
fn relabelled(present: &[StackLabel], wanted: Relabel) -> BTreeMap<StackLabel, bool> {
    let mut labels = BTreeMap::new();
    if let Some(all) = wanted.labels {
        labels.extend(present.iter().map(|label| (label.clone(), false)));
        labels.extend(all.into_iter().map(|label| (label, true)));
    }
    labels.extend(wanted.remove.into_iter().map(|label| (label, false)));
    labels.extend(wanted.add.into_iter().map(|label| (label, true)));
    labels
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    /// *Ours*: names of stacks that go with it, all or none, with commas.
    #[serde(default)]
    with: String,
}

/// `DELETE /v1/stacks/{grid}/{stack}?with=a,b`.
pub(super) async fn remove(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Parameters(removal): Parameters<Removal>,
    _: NoBody,
) -> Answer<Saved> {
    let name = existing(&backend, &grid, &stack)?;
    let with = removal.with.split(',').filter(|name| !name.is_empty());
    let with: Vec<StackName> = with.map(stack_name).collect::<Result<_, _>>()?;
    let all: Vec<StackName> = with.iter().chain([&name]).cloned().collect();
    let gone = |view: &View| {
        let mut all = all.iter();
        !all.any(|name| view.documents.stacks.contains_key(name))
    };
    let command = Command::RemoveStack { name, with };
    let (how, _) = change(&backend, command, gone).await?;
    Ok(Json(how))
}

pub(super) async fn stop(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    _: NoBody,
) -> Answer<Changed<Stack>> {
    let name = existing(&backend, &grid, &stack)?;
    let (how, snapshot) = change(&backend, Command::StopStack(name.clone()), |_| true).await?;
    Ok(saved(shown(&snapshot, &name)?, how))
}

pub(super) async fn restart(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    _: NoBody,
) -> Answer<Changed<Stack>> {
    let name = existing(&backend, &grid, &stack)?;
    let (how, snapshot) = change(&backend, Command::RestartStack(name.clone()), |_| true).await?;
    Ok(saved(shown(&snapshot, &name)?, how))
}

fn existing(backend: &Backend, grid: &str, stack: &str) -> Result<StackName, Refused> {
    let name = stack_name(stack)?;
    snapshot_of(backend, grid)?.stack(&name)?;
    Ok(name)
}
