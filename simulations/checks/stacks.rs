//! Stacks that both sides of a split gave revisions: nothing is lost, and what is in doubt is told.

use std::collections::BTreeSet;

use kontena_core::document::DocumentId;
use kontena_core::id::{ServiceKey, ServiceName, StackName};
use kontena_core::view::{
    ConflictSubject, ConflictValue, Documents, History, StackConflict, StackRecord, StackRevision,
};

use super::changes::Changes;
use super::{Check, Findings, Scene, Topic, name};

pub(super) const CHECKS: &[&Check] = &[&MERGED, &THERE, &CONFLICTS];

static MERGED: Check = Check {
    name: "stacks-merge",
    says: "after faults a stack has what the revisions have that no other one knew, less what one of them dropped and none changed",
    why: "an upgrade that was accepted on one side of a split must not be undone by the other one",
};

static THERE: Check = Check {
    name: "stacks-have-their-services",
    says: "after faults each service of a stack's list is there, or it is told that one side removed it",
    why: "what a deploy on one side of a split removes, the other one may just have changed",
};

static CONFLICTS: Check = Check {
    name: "conflicts-are-told",
    says: "after faults each conflict of a stack has two sides that differ, and what it calls in force is",
    why: "people settle what they are told",
};

#[derive(Debug)]
pub(super) struct Stacks;

impl Topic for Stacks {
    fn rest(&mut self, scene: Scene<'_>, findings: &mut Findings) {
        for (host, machine) in scene.members() {
            let documents = &machine.view.documents;
            for (stack, record) in &documents.stacks {
                let changes = Changes::of(scene, &DocumentId::Stack(stack.clone()));
                let history = documents.histories.get(stack);
                let wrong = history.and_then(|history| wrong(record, history, &changes));
                findings.expect(wrong.is_none(), &MERGED, || {
                    format!("{} shows {stack} with {wrong:?} gone or new", name(host))
                });
                let missing = missing(documents, stack, record);
                findings.expect(missing.is_none(), &THERE, || {
                    format!("{} lists {missing:?} of {stack}, and has none", name(host))
                });
            }
            for (stack, conflicts) in &documents.stack_conflicts {
                let wrong = conflicts.iter().find(|one| !is_true(documents, stack, one));
                findings.expect(wrong.is_none(), &CONFLICTS, || {
                    format!("{} tells of {stack}: {wrong:?}", name(host))
                });
            }
        }
    }
}

/// A service that is missing and should not be, or the other way round.
fn wrong<'h>(
    record: &StackRecord,
    history: &'h History,
    changes: &Changes,
) -> Option<&'h ServiceName> {
    let sides = Sides::of(history, changes);
    let all = history.revisions.iter();
    let all: BTreeSet<&ServiceName> = all.flat_map(|one| &one.record.services).collect();
    let mut all = all.into_iter();
    all.find(|service| sides.have(service) != record.services.contains(service))
}

/// The revisions that no other one knew, and the newest one that all of them knew.
struct Sides<'h> {
    newest: Vec<&'h StackRecord>,
    base: Option<&'h StackRecord>,
}

impl<'h> Sides<'h> {
    fn of(history: &'h History, changes: &Changes) -> Self {
        let knows = |later: &StackRevision, one: &StackRevision| {
            later.hash != one.hash && changes.knows(later.hash, one.hash)
        };
        let all = || history.revisions.iter();
        let newest: Vec<&StackRevision> = all()
            .filter(|one| !all().any(|later| knows(later, one)))
            .collect();
        let mut before = all().rev();
        let base = before.find(|one| newest.iter().all(|side| knows(side, one)));
        Self {
            newest: newest.into_iter().map(|one| &*one.record).collect(),
            base: base.map(|one| &*one.record),
        }
    }

    fn have(&self, service: &ServiceName) -> bool {
        let newest = self.newest.iter().copied();
        let (with, without): (Vec<&StackRecord>, Vec<&StackRecord>) =
            newest.partition(|side| side.services.contains(service));
        if with.is_empty() || without.is_empty() {
            return without.is_empty();
        }
        let was = self.base.and_then(|base| base.definitions.get(service));
        let is_changed = |side: &&StackRecord| side.definitions.get(service) != was;
        was.is_none() || with.iter().any(is_changed)
    }
}

/// A service of the list that is not there, and of which nobody is told that it was removed.
fn missing<'d>(
    documents: &Documents,
    stack: &StackName,
    record: &'d StackRecord,
) -> Option<&'d ServiceName> {
    let conflicts = documents.stack_conflicts.get(stack);
    let is_told = |service: &ServiceName| {
        let mut told = conflicts.into_iter().flatten();
        told.any(|one| {
            one.service.as_ref() == Some(service) && one.subject == ConflictSubject::Presence
        })
    };
    let mut listed = record.services.iter();
    listed.find(|service| {
        let key = ServiceKey::new(stack.clone(), (*service).clone());
        !documents.services.contains_key(&key) && !is_told(service)
    })
}

fn is_true(documents: &Documents, stack: &StackName, conflict: &StackConflict) -> bool {
    let [in_force, others @ ..] = conflict.sides.as_slice() else {
        return false;
    };
    let differ = others.iter().all(|other| other.value != in_force.value);
    let service = conflict.service.as_ref();
    let key = service.map(|service| ServiceKey::new(stack.clone(), service.clone()));
    let record = key.and_then(|key| documents.services.get(&key));
    let is_so = match (&in_force.value, conflict.subject, record) {
        (ConflictValue::Definition { hash, .. }, ConflictSubject::Definition, Some(record)) => {
            record.latest.hash == *hash
        }
        (ConflictValue::Instances(instances), _, Some(record)) => record.instances == *instances,
        (ConflictValue::State(state), _, Some(record)) => record.state == *state,
        _ => true,
    };
    !others.is_empty() && differ && is_so
}
