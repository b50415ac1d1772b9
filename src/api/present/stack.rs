//! A stack as a wire type.

use kontena_core::id::StackName;
use kontena_core::view::StackRecord;

use super::{Snapshot, service};
use crate::api::types::Time;
use crate::api::types::service::{Service, ServiceState};
use crate::api::types::stack::{Stack, StackReference, StackState};

/// All but the hidden stack of services without one.
pub(in crate::api) fn installed(
    snapshot: &Snapshot,
) -> impl Iterator<Item = (&StackName, &StackRecord)> {
    let stacks = snapshot.view.documents.stacks.iter();
    stacks.filter(|(name, _)| !name.is_null())
}

pub(in crate::api) fn stack(snapshot: &Snapshot, name: &StackName, record: &StackRecord) -> Stack {
    let services: Vec<Service> = snapshot
        .services_of(name)
        .map(|(key, service)| service::listed(snapshot, key, service))
        .collect();
    Stack {
        id: format!("{}/{name}", snapshot.grid),
        name: name.to_string(),
        stack: record.stack.clone(),
        version: record.version.clone(),
        revision: record.revision,
        state: state(&services),
        created_at: Time::known(record.created),
        updated_at: Time::known(record.updated),
        description: record.description.clone(),
        source: record.source.clone(),
        services,
        expose: record.expose.as_ref().map(ToString::to_string),
        labels: record.labels.iter().map(ToString::to_string).collect(),
        variables: record.variables.clone(),
        metadata: record.metadata.clone(),
        parent: record.parent.as_ref().map(named),
        children: children(snapshot, name).map(named).collect(),
        conflicts: super::conflict::conflicts(snapshot, name),
    }
}

fn named(name: &StackName) -> StackReference {
    StackReference {
        name: name.to_string(),
    }
}

/// The stacks that it brought along.
fn children<'s>(
    snapshot: &'s Snapshot,
    parent: &'s StackName,
) -> impl Iterator<Item = &'s StackName> {
    let stacks = snapshot.view.documents.stacks.iter();
    let is_child = |record: &StackRecord| record.parent.as_ref() == Some(parent);
    stacks.filter_map(move |(name, record)| is_child(record).then_some(name))
}

fn state(services: &[Service]) -> StackState {
    let all = |state: ServiceState| services.iter().all(|service| service.state == state);
    if all(ServiceState::Initialized) {
        StackState::Initialized
    } else if services
        .iter()
        .any(|service| service.state == ServiceState::Deploying)
    {
        StackState::Deploying
    } else if all(ServiceState::Running) {
        StackState::Running
    } else if all(ServiceState::Stopped) {
        StackState::Stopped
    } else {
        StackState::PartiallyRunning
    }
}
