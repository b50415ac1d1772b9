//! What a service with a lease asks of commands: who grants it is fixed when it is created, and it is one alone.

use std::collections::BTreeSet;

use super::Refusal;
use crate::document::edit::Edit;
use crate::id::{NodeId, NodeName, ServiceKey};
use crate::stack::Service;
use crate::view::{ServiceRecord, View};

/// Whom the names of its witnesses mean now; nothing where it has no lease.
pub(super) fn witnesses(
    view: &View,
    key: &ServiceKey,
    service: &Service,
) -> Result<Option<Edit>, Refusal> {
    let Some(named) = &service.deploy.lease else {
        return Ok(None);
    };
    let known = named.names().iter().map(|name| {
        let missing = || Refusal::NoWitness {
            service: key.clone(),
            node: name.clone(),
        };
        member(view, name).ok_or_else(missing)
    });
    Ok(Some(Edit::Witnesses {
        service: key.clone(),
        witnesses: known.collect::<Result<BTreeSet<NodeId>, Refusal>>()?,
    }))
}

fn member(view: &View, name: &NodeName) -> Option<NodeId> {
    let mut roster = view.documents.roster.iter();
    let found = roster.find(|(_, member)| member.name == *name);
    found.map(|(node, _)| *node)
}

/// Two instances would need two leases.
pub(super) fn check_alone(
    key: &ServiceKey,
    service: &Service,
    instances: u32,
) -> Result<(), Refusal> {
    if !service.is_leased() || instances <= 1 {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "service `{key}` is a singleton with a lease: it has one instance at most, and not {instances}"
    )))
}

/// Other witnesses could grant a second lease while the first one still holds.
pub(super) fn check_unchanged(
    key: &ServiceKey,
    record: &ServiceRecord,
    service: &Service,
) -> Result<(), Refusal> {
    let is_changed = match &record.latest.service {
        Ok(current) => current.deploy.lease != service.deploy.lease,
        Err(_) => service.is_leased() == record.witnesses.is_empty(),
    };
    match is_changed {
        false => Ok(()),
        true => Err(Refusal::Invalid(format!(
            "service `{key}`: `singleton` and `witnesses` cannot be changed; remove the service and create it again"
        ))),
    }
}
