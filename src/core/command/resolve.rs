//! `stack resolve`: one revision that settles what two sides of a split gave a stack differently.

use std::collections::{BTreeMap, BTreeSet};

use super::{Refusal, StackInput, stack};
use crate::document::edit::Edit;
use crate::id::{ServiceKey, ServiceName, StackName};
use crate::stack::Service;
use crate::time::WallTime;
use crate::view::{
    ConflictSubject, History, RevisionName, StackConflict, StackRecord, StackRevision, View,
};

pub(super) fn resolve(
    view: &View,
    name: &StackName,
    take: Option<&Take>,
    wall: WallTime,
) -> Result<Vec<Edit>, Refusal> {
    let input = resolve_input(view, name, take)?;
    let mut edits = stack::upgrade(view, name, &input, wall)?;
    for service in input.services.keys() {
        edits.extend(state_again(
            view,
            ServiceKey::new(name.clone(), service.clone()),
        ));
    }
    Ok(edits)
}

/// The side of a conflict that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    pub revision: RevisionName,
    /// Of these services alone; of all that is contested where none is named.
    pub services: BTreeSet<ServiceName>,
}

/// What an upgrade would have to be given to settle the conflicts of a stack: what is in force, and of
/// what is contested what `take` says.
///
/// # Errors
/// There is no such stack or no conflict, the revision is not known, a service is not contested, or a
/// definition cannot be read here.
pub fn resolve_input(
    view: &View,
    name: &StackName,
    take: Option<&Take>,
) -> Result<StackInput, Refusal> {
    let record = stack::find(view, name)?;
    let invalid = |problem: String| Refusal::Invalid(format!("stack `{name}`: {problem}"));
    let conflicts = view.documents.stack_conflicts.get(name);
    let conflicts = conflicts.ok_or_else(|| invalid("it has no conflict".to_owned()))?;
    let taken = take
        .map(|take| Taken::find(view, name, take, conflicts))
        .transpose()
        .map_err(invalid)?;
    let wanted = record.services.iter();
    let named = taken.iter().flat_map(|taken| &taken.services);
    let all: BTreeSet<&ServiceName> = wanted.chain(named).collect();
    let mut services = BTreeMap::new();
    for service in all {
        let found = match &taken {
            Some(taken) if taken.services.contains(service) => taken.service(service),
            Some(_) | None => in_force(view, name, service),
        };
        let problem = |problem| invalid(format!("service `{service}`: {problem}"));
        if let Some(found) = found.map_err(problem)? {
            services.insert(service.clone(), found);
        }
    }
    let record = taken.as_ref().and_then(Taken::record).unwrap_or(record);
    Ok(StackInput {
        stack: record.stack.clone(),
        version: record.version.clone(),
        description: record.description.clone(),
        source: record.source.clone(),
        expose: record
            .expose
            .clone()
            .filter(|exposed| services.contains_key(exposed)),
        labels: record.labels.clone(),
        variables: record.variables.clone(),
        metadata: record.metadata.clone(),
        parent: record.parent.clone(),
        services,
    })
}

/// A service as a stack's input has it, if it is there.
type Found = Result<Option<(Service, Option<u32>)>, String>;

fn in_force(view: &View, stack: &StackName, service: &ServiceName) -> Found {
    let key = ServiceKey::new(stack.clone(), service.clone());
    let Some(record) = view.documents.services.get(&key) else {
        return Ok(None);
    };
    let definition = record.latest.service.clone()?;
    Ok(Some(((*definition).clone(), Some(record.instances))))
}

/// The revision that is taken, and what of it.
struct Taken<'v> {
    revision: &'v StackRevision,
    services: BTreeSet<ServiceName>,
    with_file: bool,
}

impl<'v> Taken<'v> {
    fn find(
        view: &'v View,
        name: &StackName,
        take: &Take,
        conflicts: &[StackConflict],
    ) -> Result<Self, String> {
        static NONE: History = History {
            revisions: Vec::new(),
        };
        let history = view.documents.histories.get(name);
        let history = history.map_or(&NONE, |history| history.as_ref());
        let revision = history
            .find(&take.revision)
            .map_err(|problem| problem.to_string())?;
        let contested = conflicts
            .iter()
            .filter_map(|conflict| conflict.service.clone());
        let contested: BTreeSet<ServiceName> = contested.collect();
        if let Some(other) = take.services.difference(&contested).next() {
            return Err(format!("service `{other}` has no conflict"));
        }
        let is_of_file = |conflict: &StackConflict| conflict.subject == ConflictSubject::File;
        Ok(Self {
            revision,
            with_file: take.services.is_empty() && conflicts.iter().any(is_of_file),
            services: match take.services.is_empty() {
                true => contested,
                false => take.services.clone(),
            },
        })
    }

    fn record(&self) -> Option<&StackRecord> {
        self.with_file.then(|| self.revision.record.as_ref())
    }

    fn service(&self, name: &ServiceName) -> Found {
        let Some(definition) = self.revision.definition(name) else {
            return Ok(None);
        };
        let missing = || Err("its definition is missing".to_owned());
        let service = self.revision.services.get(name).cloned();
        let service = service.unwrap_or_else(missing)?;
        Ok(Some(((*service).clone(), definition.instances)))
    }
}

/// No revision says whether a service is stopped: what is in force stays.
fn state_again(view: &View, service: ServiceKey) -> Option<Edit> {
    let documents = &view.documents;
    let record = documents.services.get(&service)?;
    let is_contested = documents.is_contested(&service, ConflictSubject::State);
    is_contested.then_some(Edit::Lifecycle {
        service,
        state: record.state,
    })
}
