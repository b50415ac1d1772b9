//! Whose volumes a service mounts, where it is created or changed: each service exists, and none mounts its own volumes,
//! by way of others or not.

use std::collections::BTreeSet;

use super::Refusal;
use crate::id::ServiceKey;
use crate::stack::Service;
use crate::view::{ServiceRecord, View};

/// What comes with the same command, and is looked at in place of what the view has.
pub(super) type Coming<'a> = dyn Fn(&ServiceKey) -> Option<&'a Service> + 'a;

/// Every service whose volumes are mounted exists, or comes with the same command, and mounts none of this one's.
pub(super) fn check<'a>(
    view: &'a View,
    key: &ServiceKey,
    service: &Service,
    coming: &Coming<'a>,
) -> Result<(), Refusal> {
    let services = &view.documents.services;
    let exists = |key: &ServiceKey| coming(key).is_some() || services.contains_key(key);
    let sources = sources(key, service);
    if let Some(missing) = sources.iter().find(|source| !exists(source)) {
        return Err(Refusal::Invalid(format!(
            "service `{key}` mounts the volumes of `{missing}`, which does not exist"
        )));
    }
    let newest = |key: &ServiceKey| {
        let known = || services.get(key)?.latest.service.as_deref().ok();
        coming(key).or_else(known)
    };
    let mut found = BTreeSet::new();
    let mut next = sources;
    while let Some(source) = next.pop() {
        if source == *key {
            return Err(Refusal::Invalid(format!(
                "service `{key}` cannot mount volumes of services that mount its own"
            )));
        }
        if found.insert(source.clone()) {
            next.extend(
                newest(&source)
                    .into_iter()
                    .flat_map(|service| self::sources(&source, service)),
            );
        }
    }
    Ok(())
}

fn sources(key: &ServiceKey, service: &Service) -> Vec<ServiceKey> {
    let from = service.volumes_from.iter();
    from.map(|from| from.service_in(&key.stack)).collect()
}

/// Whether the newest definition of a service mounts the volumes of another one.
pub(super) fn mounts_those_of(from: &ServiceKey, record: &ServiceRecord, of: &ServiceKey) -> bool {
    let service = record.latest.service.as_deref();
    service.is_ok_and(|service| sources(from, service).contains(of))
}
