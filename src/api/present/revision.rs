//! The history of a stack as wire types.

use std::collections::BTreeMap;

use kontena_core::command::StackInput;
use kontena_core::id::{EnvelopeHash, NodeId, ServiceName, StackName};
use kontena_core::stack::{Fate, KeyDifference, ServiceDifference, Side, difference};
use kontena_core::view::{History, StackRevision};

use super::Snapshot;
use crate::api::types::Time;
use crate::api::types::revision::{KeyPlan, Plan, PlannedChange, Revision, ServicePlan};

type Sides<'a> = BTreeMap<ServiceName, Side<'a>>;

/// The newest first.
pub(in crate::api) fn revisions(snapshot: &Snapshot, history: &History) -> Vec<Revision> {
    let current = history.current().map(|current| current.hash);
    let newest_first = history.revisions.iter().rev();
    newest_first
        .map(|revision| Revision {
            revision: history.label(revision),
            number: revision.number(),
            hash: revision.hash.to_string(),
            stack: revision.record.stack.clone(),
            version: revision.record.version.clone(),
            at: Time::known(revision.record.updated),
            by: node_name(snapshot, &revision.author),
            current: current == Some(revision.hash),
            services: revision
                .record
                .services
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
        .collect()
}

/// How people name the revision that a change recorded, if it recorded one.
pub(super) fn label_of(
    snapshot: &Snapshot,
    stack: &StackName,
    change: &EnvelopeHash,
) -> Option<String> {
    let history = snapshot.view.documents.histories.get(stack)?;
    let mut revisions = history.revisions.iter();
    let revision = revisions.find(|revision| revision.hash == *change)?;
    Some(history.label(revision))
}

pub(super) fn node_name(snapshot: &Snapshot, node: &NodeId) -> String {
    let documents = &snapshot.view.documents;
    let member = documents.roster.get(node).map(|member| &member.name);
    let name = member.or_else(|| documents.former.get(node));
    name.map_or_else(|| node.short(), ToString::to_string)
}

/// What a revision says of its services.
pub(in crate::api) fn recorded(revision: &StackRevision) -> Sides<'_> {
    let services = revision.services.iter();
    services
        .map(|(name, service)| {
            let side = Side {
                service: service.as_deref().map_err(String::as_str),
                instances: revision.definition(name).and_then(|one| one.instances),
            };
            (name.clone(), side)
        })
        .collect()
}

/// What is stored now, deployed or not.
pub(in crate::api) fn stored<'s>(snapshot: &'s Snapshot, stack: &StackName) -> Sides<'s> {
    snapshot
        .services_of(stack)
        .map(|(key, record)| {
            let side = Side {
                service: record.latest.service.as_deref().map_err(String::as_str),
                instances: Some(record.instances),
            };
            (key.service.clone(), side)
        })
        .collect()
}

/// What a file asks for.
pub(in crate::api) fn wanted(input: &StackInput) -> Sides<'_> {
    let services = input.services.iter();
    services
        .map(|(name, (service, instances))| {
            let side = Side {
                service: Ok(service),
                instances: *instances,
            };
            (name.clone(), side)
        })
        .collect()
}

pub(in crate::api) fn plan(
    (from, before): (Option<String>, &Sides<'_>),
    (to, after): (Option<String>, &Sides<'_>),
) -> Plan {
    let services = difference(before, after).into_iter();
    Plan {
        from,
        to,
        services: services.map(service).collect(),
    }
}

fn service(difference: ServiceDifference) -> ServicePlan {
    ServicePlan {
        name: difference.name.to_string(),
        change: match difference.fate {
            Fate::Create => PlannedChange::Create,
            Fate::Scale => PlannedChange::Scale,
            Fate::Replace => PlannedChange::Replace,
            Fate::Remove => PlannedChange::Remove,
        },
        stateful: difference.stateful,
        keys: difference.keys.into_iter().map(key).collect(),
    }
}

fn key(difference: KeyDifference) -> KeyPlan {
    KeyPlan {
        key: difference.key,
        before: difference.before,
        after: difference.after,
    }
}
