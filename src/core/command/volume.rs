//! Commands about volumes → edits.

use super::Refusal;
use crate::document::edit::Edit;
use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::stack::Service;
use crate::view::{ServiceRecord, View};
use crate::volume::{Copy, Definition, VolumeName};

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

/// The services whose newest definition, or what runs of them, mounts a volume.
pub fn users<'v>(view: &'v View, name: &'v VolumeName) -> impl Iterator<Item = &'v ServiceKey> {
    let services = view.documents.services.iter();
    services
        .filter(move |(_, record)| record.volumes().any(|used| used == name))
        .map(|(key, _)| key)
}

/// The instance whose data a copy on `node` is now, if it is one's: bound to that node, or held there.
pub fn copy_user(view: &View, node: NodeId, name: &str, copy: &Copy) -> Option<InstanceId> {
    let services = view.documents.services.iter();
    let instances = services.flat_map(|(key, record)| {
        let numbers = 1..=record.instances;
        numbers.map(move |number| (InstanceId::new(key.clone(), number), record))
    });
    let mut here = instances.filter(|(instance, record)| {
        let is_bound = record
            .pins
            .get(&instance.number)
            .is_some_and(|pin| pin.node == node);
        let report = view.reports.get(&node);
        is_bound || report.is_some_and(|report| report.holds.contains_key(instance))
    });
    let (instance, _) = here.find(|(instance, record)| match copy {
        Copy::Own {
            instance: of,
            creation,
        } => instance == of && record.creation == *creation,
        Copy::Volume { volume, .. } => {
            let known = view.documents.volumes.get(volume);
            let is_it =
                |known: &crate::volume::Volume| known.definition.copy_of(volume, instance) == name;
            record.volumes().any(|used| used == volume) && known.is_none_or(|known| is_it(known))
        }
    })?;
    Some(instance)
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
