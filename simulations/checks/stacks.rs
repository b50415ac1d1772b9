//! Stacks that both sides of a split gave revisions: nothing is lost, and what is in doubt is told.

use kontena_core::id::{ServiceKey, ServiceName, StackName};
use kontena_core::view::{
    ConflictSubject, ConflictValue, Documents, History, StackConflict, StackRecord,
};

use super::{Check, Findings, Scene, Topic, name};

pub(super) const CHECKS: &[&Check] = &[&MERGED, &CONFLICTS];

static MERGED: Check = Check {
    name: "stacks-merge",
    says: "after faults a stack has every service that some revision has and no later one dropped, and only such that some revision has",
    why: "an upgrade that was accepted on one side of a split must not be undone by the other one",
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
                let history = documents.histories.get(stack);
                let lost = history.and_then(|history| lost(record, history));
                findings.expect(lost.is_none(), &MERGED, || {
                    format!("{} shows {stack} with {lost:?} gone or new", name(host))
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

/// A service that is missing though nobody can have dropped it, or is there though nobody wrote it. Only who
/// knew a revision with the service can have dropped it, and then has a higher number.
fn lost<'h>(record: &'h StackRecord, history: &'h History) -> Option<&'h ServiceName> {
    let revisions = || history.revisions.iter();
    let invented = record.services.iter().find(|service| {
        let has = |one: &StackRecord| one.services.contains(service);
        !revisions().any(|one| has(&one.record))
    });
    let all = revisions().flat_map(|one| &one.record.services);
    let is_safe = |service: &&ServiceName| {
        let (with, without): (Vec<_>, Vec<_>) =
            revisions().partition(|one| one.record.services.contains(service));
        let first = with.iter().map(|one| one.number()).min();
        without.iter().all(|one| Some(one.number()) <= first)
    };
    let missing = all
        .filter(is_safe)
        .find(|service| !record.services.contains(service));
    invented.or(missing)
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
