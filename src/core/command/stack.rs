//! Commands about a whole stack → edits.
//!
//! An install or upgrade stores; `deploy` makes it run (Kontena 3.7). Services that a revision no
//! longer has stay until the stack is deployed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Refusal, StackInput, service, sources};
use crate::document::edit::Edit;
use crate::id::{ServiceKey, ServiceName, StackName};
use crate::stack::{StackLabel, UnknownExposed};
use crate::time::WallTime;
use crate::view::{
    ConflictSubject, Definition, History, Lifecycle, RevisionName, StackRecord, View,
};

pub(super) fn install(
    view: &View,
    name: &StackName,
    input: &StackInput,
    wall: WallTime,
) -> Result<Vec<Edit>, Refusal> {
    if name.is_null() {
        return Err(Refusal::Invalid(
            "`null` is the stack of services without one".to_owned(),
        ));
    }
    if view.documents.stacks.contains_key(name) {
        return Err(Refusal::Exists {
            what: "stack",
            name: name.to_string(),
        });
    }
    let mut edits = vec![Edit::Stack {
        stack: name.clone(),
        record: record(input, 1, wall, wall),
    }];
    edits.extend(define(view, name, input)?);
    Ok(edits)
}

pub(super) fn upgrade(
    view: &View,
    name: &StackName,
    input: &StackInput,
    wall: WallTime,
) -> Result<Vec<Edit>, Refusal> {
    let current = find(view, name)?;
    let record = record(
        input,
        next_number(view, name, current),
        current.created,
        wall,
    );
    let mut edits = vec![Edit::Stack {
        stack: name.clone(),
        record,
    }];
    edits.extend(define(view, name, input)?);
    edits.extend(remove_again(view, name, input));
    Ok(edits)
}

/// What one side of a split removed while the other changed it is gone for good once somebody who saw
/// both does not bring it back.
fn remove_again(view: &View, name: &StackName, input: &StackInput) -> Vec<Edit> {
    let conflicts = view.documents.stack_conflicts.get(name);
    let contested = conflicts
        .into_iter()
        .flatten()
        .filter(|conflict| conflict.subject == ConflictSubject::Presence)
        .filter_map(|conflict| conflict.service.clone())
        .filter(|service| !input.services.contains_key(service));
    contested
        .map(|service| ServiceKey::new(name.clone(), service))
        .filter(|key| !view.documents.services.contains_key(key))
        .map(Edit::RemoveService)
        .collect()
}

/// Above every number of the history: where two sides of a split met, the revision in force may have a
/// lower one than what the other side wrote.
fn next_number(view: &View, name: &StackName, current: &StackRecord) -> u64 {
    let known = view.documents.histories.get(name);
    let above_all = known.map_or(0, |history| history.next_number());
    above_all.max(current.revision.saturating_add(1))
}

/// A new revision with the content of an old one; of the one before the newest where none is named.
pub(super) fn rollback(
    view: &View,
    name: &StackName,
    to: Option<&RevisionName>,
    wall: WallTime,
) -> Result<Vec<Edit>, Refusal> {
    find(view, name)?;
    let none = History::default();
    let history = view.documents.histories.get(name);
    let input = rollback_input(name, history.map_or(&none, |known| known), to)?;
    upgrade(view, name, &input, wall)
}

/// What an upgrade would have to be given to come to an old revision.
///
/// # Errors
/// There is no such revision, or it cannot be read here.
pub fn rollback_input(
    name: &StackName,
    history: &History,
    to: Option<&RevisionName>,
) -> Result<StackInput, Refusal> {
    let invalid = |problem: String| Refusal::Invalid(format!("stack `{name}`: {problem}"));
    let revision = match to {
        Some(to) => history
            .find(to)
            .map_err(|problem| invalid(problem.to_string()))?,
        None => history
            .previous()
            .ok_or_else(|| invalid("it has no revision before this one".to_owned()))?,
    };
    let label = history.label(revision);
    let mut services = BTreeMap::new();
    for (service, definition) in &revision.record.definitions {
        let found = revision.services.get(service).cloned();
        let missing = || Err("its definition is missing".to_owned());
        let read = found.unwrap_or_else(missing).map_err(|problem| {
            invalid(format!(
                "service `{service}` of revision {label}: {problem}"
            ))
        })?;
        services.insert(service.clone(), ((*read).clone(), definition.instances));
    }
    let record = revision.record.as_ref();
    Ok(StackInput {
        stack: record.stack.clone(),
        version: record.version.clone(),
        description: record.description.clone(),
        source: record.source.clone(),
        expose: record.expose.clone(),
        labels: record.labels.clone(),
        variables: record.variables.clone(),
        metadata: record.metadata.clone(),
        parent: record.parent.clone(),
        services,
    })
}

/// Removes what the stack's revision no longer has, and deploys the rest.
pub(super) fn deploy(view: &View, name: &StackName) -> Result<Vec<Edit>, Refusal> {
    let wanted = &find(view, name)?.services;
    let (staying, going): (Vec<_>, Vec<_>) = services(view, name)
        .into_iter()
        .partition(|key| wanted.contains(&key.service));
    let mut edits = Vec::new();
    for key in &going {
        edits.extend(service::remove(view, key, &going)?);
    }
    for key in &staying {
        edits.extend(service::deploy(view, key, false)?);
    }
    Ok(edits)
}

pub(super) fn stop(view: &View, name: &StackName) -> Result<Vec<Edit>, Refusal> {
    find(view, name)?;
    each(view, name, |key| {
        service::set_state(view, key, Lifecycle::Stopped)
    })
}

pub(super) fn restart(view: &View, name: &StackName) -> Result<Vec<Edit>, Refusal> {
    find(view, name)?;
    each(view, name, |key| service::restart(view, key))
}

/// Removes stacks and all their services; refused while a service of another stack links to one.
pub(super) fn remove(
    view: &View,
    name: &StackName,
    with: &[StackName],
) -> Result<Vec<Edit>, Refusal> {
    find(view, name)?;
    let is_there = |name: &&StackName| view.documents.stacks.contains_key(*name);
    let names: BTreeSet<&StackName> = with.iter().filter(is_there).chain([name]).collect();
    let going: Vec<ServiceKey> = names.iter().flat_map(|name| services(view, name)).collect();
    let mut edits = Vec::new();
    for key in &going {
        edits.extend(service::remove(view, key, &going)?);
    }
    edits.extend(names.into_iter().cloned().map(Edit::RemoveStack));
    Ok(edits)
}

/// Changes labels, and nothing that runs: no revision is recorded.
pub(super) fn label(
    view: &View,
    name: &StackName,
    labels: &BTreeMap<StackLabel, bool>,
) -> Result<Vec<Edit>, Refusal> {
    let has = &find(view, name)?.labels;
    let is_there = |label: &StackLabel| has.contains(label);
    let missing = labels
        .iter()
        .find(|(label, present)| !**present && !is_there(label));
    if let Some((label, _)) = missing {
        return Err(Refusal::NotFound {
            what: "label",
            name: label.to_string(),
        });
    }
    let changed: Vec<(&StackLabel, &bool)> = labels
        .iter()
        .filter(|(label, present)| **present != is_there(label))
        .collect();
    let added = changed.iter().filter(|(_, present)| **present).count();
    let removed = changed.len() - added;
    check_label_count(has.len().saturating_sub(removed) + added)?;
    let edits = changed
        .into_iter()
        .map(|(label, present)| Edit::StackLabel {
            stack: name.clone(),
            label: label.clone(),
            present: *present,
        });
    Ok(edits.collect())
}

fn check_label_count(count: usize) -> Result<(), Refusal> {
    match count > StackLabel::MAX_OF_A_STACK {
        true => Err(Refusal::Invalid(format!(
            "a stack has at most {} labels",
            StackLabel::MAX_OF_A_STACK
        ))),
        false => Ok(()),
    }
}

fn each(
    view: &View,
    name: &StackName,
    edit: impl Fn(&ServiceKey) -> Result<Vec<Edit>, Refusal>,
) -> Result<Vec<Edit>, Refusal> {
    let mut edits = Vec::new();
    for key in services(view, name) {
        edits.extend(edit(&key)?);
    }
    Ok(edits)
}

/// Stores the definitions of all services of the file.
fn define(view: &View, name: &StackName, input: &StackInput) -> Result<Vec<Edit>, Refusal> {
    if input.services.is_empty() {
        return Err(Refusal::Invalid(format!("stack `{name}` has no services")));
    }
    check_exposed(input)?;
    check_label_count(input.labels.len())?;
    let keys: Vec<ServiceKey> = input
        .services
        .keys()
        .map(|s| ServiceKey::new(name.clone(), s.clone()))
        .collect();
    let coming = |key: &ServiceKey| {
        let service = input.services.get(&key.service);
        service
            .filter(|_| key.stack == *name)
            .map(|(service, _)| service)
    };
    let mut edits = Vec::new();
    for (key, (definition, instances)) in keys.iter().zip(input.services.values()) {
        service::check_links(view, key, definition, &keys)?;
        sources::check(view, key, definition, &coming)?;
        edits.extend(match view.documents.services.get(key) {
            Some(record) => service::redefine(view, key, record, definition, *instances)?,
            None => service::define(view, key, definition, instances.unwrap_or(1))?,
        });
    }
    Ok(edits)
}

fn check_exposed(input: &StackInput) -> Result<(), Refusal> {
    match &input.expose {
        Some(service) if !input.services.contains_key(service) => {
            let problem = UnknownExposed(service.clone());
            Err(Refusal::Invalid(problem.to_string()))
        }
        Some(_) | None => Ok(()),
    }
}

fn record(input: &StackInput, revision: u64, created: WallTime, updated: WallTime) -> StackRecord {
    StackRecord {
        stack: input.stack.clone(),
        version: input.version.clone(),
        description: input.description.clone(),
        source: input.source.clone(),
        expose: input.expose.clone(),
        labels: input.labels.clone(),
        variables: input.variables.clone(),
        metadata: input.metadata.clone(),
        parent: input.parent.clone(),
        revision,
        services: input.services.keys().cloned().collect(),
        definitions: definitions(input),
        created,
        updated,
        unknown: Default::default(),
    }
}

fn definitions(input: &StackInput) -> BTreeMap<ServiceName, Definition> {
    let services = input.services.iter();
    services
        .map(|(name, (service, instances))| {
            let definition = Definition {
                hash: service.hash(),
                instances: *instances,
            };
            (name.clone(), definition)
        })
        .collect()
}

pub(super) fn find<'a>(view: &'a View, name: &StackName) -> Result<&'a StackRecord, Refusal> {
    let missing = || Refusal::NotFound {
        what: "stack",
        name: name.to_string(),
    };
    view.documents.stacks.get(name).ok_or_else(missing)
}

/// All services of the stack, those that its revision dropped included.
pub(super) fn services(view: &View, name: &StackName) -> Vec<ServiceKey> {
    view.documents
        .services
        .keys()
        .filter(|key| key.stack == *name)
        .cloned()
        .collect()
}
