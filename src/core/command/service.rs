//! Commands about one service → edits.

use std::collections::BTreeMap;

use super::{Refusal, lease, sources, volume};
use crate::document::edit::Edit;
use crate::id::{NodeId, RevisionHash, ServiceKey};
use crate::placement;
use crate::stack::{FrozenImage, Link, Service, VolumeSource};
use crate::view::{ConflictSubject, Lifecycle, Pin, ServiceRecord, View};

/// The most instances a service may have: a typing error should not become a storm.
pub const MAX_INSTANCES: u32 = 10_000;

/// `service create`: the definition is stored; it runs when it is deployed.
pub(super) fn create(
    view: &View,
    key: &ServiceKey,
    service: &Service,
    instances: u32,
) -> Result<Vec<Edit>, Refusal> {
    if view.documents.services.contains_key(key) {
        return Err(Refusal::Exists {
            what: "service",
            name: key.to_string(),
        });
    }
    check_links(view, key, service, &[])?;
    sources::check(view, key, service, &|_| None)?;
    define(view, key, service, instances)
}

/// The first definition of a service.
pub(super) fn define(
    view: &View,
    key: &ServiceKey,
    service: &Service,
    instances: u32,
) -> Result<Vec<Edit>, Refusal> {
    check_instances(instances)?;
    lease::check_alone(key, service, instances)?;
    volume::check(view, key, service, None)?;
    let mut edits = vec![
        Edit::Revision {
            service: key.clone(),
            encoded: service.encode(),
        },
        Edit::Instances {
            service: key.clone(),
            instances,
        },
    ];
    edits.extend(lease::witnesses(view, key, service)?);
    Ok(edits)
}

/// `service update`: a stateless service that runs is deployed at once, a stateful one waits for
/// `service deploy` (Kontena 3.7 and 4.4).
pub(super) fn update(
    view: &View,
    key: &ServiceKey,
    service: &Service,
    instances: Option<u32>,
) -> Result<Vec<Edit>, Refusal> {
    let record = find(view, key)?;
    check_links(view, key, service, &[])?;
    sources::check(view, key, service, &|_| None)?;
    let mut edits = redefine(view, key, record, service, instances)?;
    let revision = service.hash();
    if record.deployed.is_some() && !service.stateful && deployed_revision(record) != Some(revision)
    {
        edits.push(Edit::Deploy {
            service: key.clone(),
            revision,
            image: None,
        });
    }
    if record.deployed.is_some() {
        // A service that becomes a job gets a node as well.
        let instances = instances.unwrap_or(record.instances);
        edits.extend(bind_to(view, key, service, instances));
    }
    Ok(edits)
}

/// A new definition of a service that exists. Whether it is stateful cannot change, because its data
/// lies where it ran (Kontena 3.3), nor can its lease, nor does it get a new anonymous volume (Kontena 4.4): under that path it may have data
/// in its container, which the volume would cover.
pub(super) fn redefine(
    view: &View,
    key: &ServiceKey,
    record: &ServiceRecord,
    service: &Service,
    instances: Option<u32>,
) -> Result<Vec<Edit>, Refusal> {
    if let Ok(current) = &record.latest.service
        && current.stateful != service.stateful
    {
        let text = format!(
            "service `{key}`: `stateful` cannot be changed; remove the service and create it again"
        );
        return Err(Refusal::Invalid(text));
    }
    lease::check_unchanged(key, record, service)?;
    if let Some(path) = new_anonymous_volume(record, service) {
        return Err(Refusal::Invalid(format!(
            "service `{key}`: a stateful service that exists gets no new anonymous volume (`{path}`); mount a directory of the host, or remove the service and create it again"
        )));
    }
    volume::check(view, key, service, Some(record))?;
    let mut edits = Vec::new();
    let encoded = service.encode();
    let is_in_doubt = is_contested(view, key, ConflictSubject::Definition)
        || is_contested(view, key, ConflictSubject::Deploy);
    if is_in_doubt || record.latest.hash != Service::hash_of(&encoded) {
        edits.push(Edit::Revision {
            service: key.clone(),
            encoded,
        });
    }
    let is_in_doubt = is_contested(view, key, ConflictSubject::Instances);
    if let Some(instances) = instances {
        lease::check_alone(key, service, instances)?;
    }
    if let Some(instances) = instances.filter(|wanted| is_in_doubt || *wanted != record.instances) {
        check_instances(instances)?;
        edits.push(Edit::Instances {
            service: key.clone(),
            instances,
        });
    }
    Ok(edits)
}

/// The path of an anonymous volume that what runs of a stateful service has not.
fn new_anonymous_volume<'a>(record: &ServiceRecord, wanted: &'a Service) -> Option<&'a str> {
    let runs = record.deployed.as_ref()?.revision.service.as_ref().ok()?;
    let is_new = |path: &str| !runs.volumes.iter().any(|volume| volume.path == path);
    let mut volumes = wanted.volumes.iter();
    let anonymous =
        volumes.find(|volume| volume.source == VolumeSource::Anonymous && is_new(&volume.path));
    anonymous
        .filter(|_| wanted.stateful)
        .map(|volume| volume.path.as_str())
}

/// `service deploy`: what is stored becomes what runs. Without a change it does nothing, unless forced or the
/// last one was halted.
pub(super) fn deploy(view: &View, key: &ServiceKey, force: bool) -> Result<Vec<Edit>, Refusal> {
    let record = find(view, key)?;
    let service = readable(key, record)?;
    let mut edits = Vec::new();
    if force || is_halted(record) || deployed_revision(record) != Some(record.latest.hash) {
        edits.push(Edit::Deploy {
            service: key.clone(),
            revision: record.latest.hash,
            image: None,
        });
    }
    if record.state == Lifecycle::Stopped {
        edits.push(Edit::Lifecycle {
            service: key.clone(),
            state: Lifecycle::Running,
        });
    }
    edits.extend(bind_to(view, key, service, record.instances));
    Ok(edits)
}

pub(super) fn scale(view: &View, key: &ServiceKey, instances: u32) -> Result<Vec<Edit>, Refusal> {
    check_instances(instances)?;
    let record = find(view, key)?;
    let service = readable(key, record)?;
    lease::check_alone(key, service, instances)?;
    let mut edits = Vec::new();
    if record.instances != instances || is_contested(view, key, ConflictSubject::Instances) {
        edits.push(Edit::Instances {
            service: key.clone(),
            instances,
        });
    }
    if record.deployed.is_none() {
        edits.push(Edit::Deploy {
            service: key.clone(),
            revision: record.latest.hash,
            image: None,
        });
    }
    edits.extend(bind_to(view, key, service, instances));
    Ok(edits)
}

pub(super) fn set_state(
    view: &View,
    key: &ServiceKey,
    state: Lifecycle,
) -> Result<Vec<Edit>, Refusal> {
    let record = find(view, key)?;
    if state == Lifecycle::Running && record.deployed.is_none() {
        return deploy(view, key, false);
    }
    if record.state == state && !is_contested(view, key, ConflictSubject::State) {
        return Ok(Vec::new());
    }
    Ok(vec![Edit::Lifecycle {
        service: key.clone(),
        state,
    }])
}

/// `service restart`: the same revision under a new generation, so that every container is replaced in
/// turn and the floor of healthy instances holds, of the image that runs. (Kontena restarted them all at once.)
pub(super) fn restart(view: &View, key: &ServiceKey) -> Result<Vec<Edit>, Refusal> {
    let record = find(view, key)?;
    let Some(deployed) = &record.deployed else {
        return Err(Refusal::Invalid(format!(
            "service `{key}` was never deployed"
        )));
    };
    if record.state == Lifecycle::Stopped {
        return Err(Refusal::Invalid(format!("service `{key}` is stopped")));
    }
    Ok(vec![Edit::Deploy {
        service: key.clone(),
        revision: deployed.revision.hash,
        image: deployed.revision.image.clone(),
    }])
}

/// `service rm`: refused while another service links to it (Kontena 1.7), or mounts its volumes. `going` are removed with it.
pub(super) fn remove(
    view: &View,
    key: &ServiceKey,
    going: &[ServiceKey],
) -> Result<Vec<Edit>, Refusal> {
    find(view, key)?;
    let linker = view
        .documents
        .services
        .iter()
        .filter(|(other, _)| *other != key && !going.contains(other))
        .find(|(other, record)| links_to(other, record, key));
    if let Some((linker, _)) = linker {
        return Err(Refusal::Invalid(format!(
            "service `{key}` cannot be removed: `{linker}` links to it"
        )));
    }
    let follower = view
        .documents
        .services
        .iter()
        .filter(|(other, _)| *other != key && !going.contains(other))
        .find(|(other, record)| sources::mounts_those_of(other, record, key));
    if let Some((follower, _)) = follower {
        return Err(Refusal::Invalid(format!(
            "service `{key}` cannot be removed: `{follower}` mounts its volumes"
        )));
    }
    Ok(vec![Edit::RemoveService(key.clone())])
}

/// Binds the instances up to `instances` of a stateful service that are not bound yet.
pub(super) fn bind_to(
    view: &View,
    key: &ServiceKey,
    service: &Service,
    instances: u32,
) -> Vec<Edit> {
    let record = view.documents.services.get(key);
    let deployed = record.and_then(|record| record.deployed.as_ref());
    let of_it = deployed.filter(|deployed| {
        let runs = deployed.revision.service.as_ref();
        runs.is_ok_and(|runs| runs.image == service.image)
    });
    let image = of_it.and_then(|deployed| deployed.revision.image.as_ref());
    let is_bound = |number: &u32| record.is_some_and(|record| record.pins.contains_key(number));
    let unbound = (1..=instances).filter(|number| !is_bound(number));
    bind(view, key, service, image, unbound)
}

/// Binds instances of a stateful service to the nodes that suit them best. `daemon` pins are derived from the node (rules
/// of the mesh 2).
pub(super) fn bind(
    view: &View,
    key: &ServiceKey,
    service: &Service,
    image: Option<&FrozenImage>,
    unbound: impl IntoIterator<Item = u32>,
) -> Vec<Edit> {
    let chosen: BTreeMap<u32, NodeId> = placement::choose_pins(view, key, service, image, unbound);
    chosen
        .into_iter()
        .map(|(number, node)| Edit::Pin {
            service: key.clone(),
            number,
            pin: Pin {
                epoch: 1,
                node,
                moved: false,
            },
        })
        .collect()
}

pub(super) fn find<'a>(view: &'a View, key: &ServiceKey) -> Result<&'a ServiceRecord, Refusal> {
    let missing = || Refusal::NotFound {
        what: "service",
        name: key.to_string(),
    };
    view.documents.services.get(key).ok_or_else(missing)
}

/// What two sides left in doubt is settled by whoever says it anew, so that it is written even as it is.
fn is_contested(view: &View, key: &ServiceKey, subject: ConflictSubject) -> bool {
    view.documents.is_contested(key, subject)
}

fn readable<'a>(key: &ServiceKey, record: &'a ServiceRecord) -> Result<&'a Service, Refusal> {
    match &record.latest.service {
        Ok(service) => Ok(service),
        Err(problem) => Err(Refusal::Invalid(format!(
            "service `{key}` was defined by a newer version of kontena: {problem}"
        ))),
    }
}

fn is_halted(record: &ServiceRecord) -> bool {
    let deployed = record.deployed.as_ref();
    deployed.is_some_and(|deployed| deployed.halt.is_some())
}

fn deployed_revision(record: &ServiceRecord) -> Option<RevisionHash> {
    record
        .deployed
        .as_ref()
        .map(|deployed| deployed.revision.hash)
}

fn check_instances(instances: u32) -> Result<(), Refusal> {
    if instances <= MAX_INSTANCES {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "{instances} instances are more than {MAX_INSTANCES}"
    )))
}

/// Every linked service exists, or comes with the same command.
pub(super) fn check_links(
    view: &View,
    key: &ServiceKey,
    service: &Service,
    coming: &[ServiceKey],
) -> Result<(), Refusal> {
    let exists = |target: &ServiceKey| {
        coming.contains(target) || view.documents.services.contains_key(target)
    };
    match service
        .links
        .iter()
        .map(|link| target(key, link))
        .find(|linked| !exists(linked))
    {
        None => Ok(()),
        Some(missing) => Err(Refusal::Invalid(format!(
            "service `{key}` links to `{missing}`, which does not exist"
        ))),
    }
}

fn links_to(from: &ServiceKey, record: &ServiceRecord, to: &ServiceKey) -> bool {
    let Ok(service) = &record.latest.service else {
        return false;
    };
    service.links.iter().any(|link| target(from, link) == *to)
}

fn target(from: &ServiceKey, link: &Link) -> ServiceKey {
    let stack = link.stack.clone().unwrap_or_else(|| from.stack.clone());
    ServiceKey::new(stack, link.service.clone())
}
