//! Commands about volumes → edits.

use super::Refusal;
use crate::document::edit::Edit;
use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::stack::{Service, Strategy};
use crate::view::{ServiceRecord, View};
use crate::volume::{Copy, Definition, Scope, VolumeName};

/// Volumes of one grid: every node has all of them.
const MAX_VOLUMES: usize = 1_000;

pub(super) fn create(
    view: &View,
    name: &VolumeName,
    definition: &Definition,
) -> Result<Vec<Edit>, Refusal> {
    let known = &view.documents.volumes;
    if let Some(volume) = known.get(name) {
        return Err(match volume.removed {
            false => Refusal::Exists {
                what: "volume",
                name: name.to_string(),
            },
            true => Refusal::Invalid(format!(
                "volume `{name}` was removed, and stays as long as a service uses it"
            )),
        });
    }
    if known.len() >= MAX_VOLUMES {
        let problem = format!("a grid has at most {MAX_VOLUMES} volumes: remove one");
        return Err(Refusal::Invalid(problem));
    }
    definition.check().map_err(Refusal::Invalid)?;
    if name.as_str().len() < 2 {
        let problem = format!("`{name}` is too short for a volume: Docker asks for two characters");
        return Err(Refusal::Invalid(problem));
    }
    Ok(vec![Edit::Volume {
        name: name.clone(),
        definition: definition.clone(),
    }])
}

/// Refused while a service uses it (Kontena 7.4), whether that is deployed or not.
pub(super) fn remove(view: &View, name: &VolumeName) -> Result<Vec<Edit>, Refusal> {
    if !view.documents.volumes.contains_key(name) {
        return Err(Refusal::NotFound {
            what: "volume",
            name: name.to_string(),
        });
    }
    let users: Vec<String> = users(view, name).map(|key| format!("`{key}`")).collect();
    if !users.is_empty() {
        let users = users.join(", ");
        let problem = format!("volume `{name}` cannot be removed: it is used by {users}");
        return Err(Refusal::Invalid(problem));
    }
    Ok(vec![Edit::RemoveVolume(name.clone())])
}

/// The services whose newest definition, or what runs of them, mounts a volume, and those that mount the volumes of these.
pub fn users<'v>(
    view: &'v View,
    name: &VolumeName,
) -> impl Iterator<Item = &'v ServiceKey> + use<'v> {
    view.documents.users_of(name).into_iter()
}

/// The instance whose data a copy on `node` is, or may become again: one that is not bound to another node, nor held there
/// alone, nor scaled away.
pub fn copy_user(view: &View, node: NodeId, name: &str, copy: &Copy) -> Option<InstanceId> {
    let services = &view.documents.services;
    match copy {
        Copy::Own { instance, creation } => {
            let record = services.get(&instance.service)?;
            let is_its = record.creation == *creation && may_run(view, node, instance, record);
            is_its.then(|| instance.clone())
        }
        Copy::Volume { volume, .. } => services.iter().find_map(|(key, record)| {
            let numbers = numbers_of(view, volume, name, key, record);
            let mut instances = numbers.into_iter().map(|n| InstanceId::new(key.clone(), n));
            instances.find(|instance| may_run(view, node, instance, record))
        }),
    }
}

/// The instances of a service that mount the copy of this name, if it is there.
fn numbers_of(
    view: &View,
    volume: &VolumeName,
    name: &str,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> Vec<u32> {
    if record.volumes().all(|used| used != volume) {
        return Vec::new();
    }
    let known = view.documents.volumes.get(volume);
    let scope = known.map(|known| known.definition.scope);
    let of_one = name.rsplit_once('-').and_then(|(_, n)| n.parse().ok());
    let copy_of = |number: u32| {
        let instance = InstanceId::new(key.clone(), number);
        known.map(|known| known.definition.copy_of(volume, &instance))
    };
    let is_it = |number: &u32| copy_of(*number).is_none_or(|copy| copy == name);
    match scope {
        // All that is known of it is that somebody mounts it.
        None | Some(Scope::Grid | Scope::Stack) => {
            let numbers = (1..=record.instances).chain(record.pins.keys().copied());
            numbers.filter(is_it).collect()
        }
        Some(Scope::Instance) => of_one.filter(is_it).into_iter().collect(),
    }
}

fn may_run(view: &View, node: NodeId, instance: &InstanceId, record: &ServiceRecord) -> bool {
    let holds = |node: &NodeId| {
        let report = view.reports.get(node);
        report.is_some_and(|report| report.holds.contains_key(instance))
    };
    if holds(&node) {
        return true;
    }
    let definition = record.latest.service.as_deref();
    let is_daemon = definition.is_ok_and(|service| service.deploy.strategy == Strategy::Daemon);
    let is_scaled_away = !is_daemon && instance.number > record.instances;
    let is_bound_elsewhere = record
        .pins
        .get(&instance.number)
        .is_some_and(|pin| pin.node != node);
    let is_elsewhere = view.reports.keys().any(holds);
    !(is_scaled_away || is_bound_elsewhere || is_elsewhere)
}

/// Every volume that a service mounts exists, or is what it has already: then it may be that nobody has heard of it yet.
pub(super) fn check(
    view: &View,
    key: &ServiceKey,
    service: &Service,
    record: Option<&ServiceRecord>,
) -> Result<(), Refusal> {
    let known = &view.documents.volumes;
    let has = |name: &VolumeName| record.is_some_and(|r| r.volumes().any(|used| used == name));
    for volume in service.named_volumes().filter(|name| !has(name)) {
        match known.get(volume) {
            None => {
                return Err(Refusal::NoVolume {
                    service: key.clone(),
                    volume: volume.clone(),
                });
            }
            Some(known) if known.removed => {
                return Err(Refusal::Invalid(format!(
                    "service `{key}` mounts the volume `{volume}`, which was removed"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
