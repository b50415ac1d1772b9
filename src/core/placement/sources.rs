//! Sources: the instances whose volumes an instance mounts, and so the node where alone it may run.
//!
//! In: a service that mounts volumes of others, and what was decided of these. They are placed before it
//! ([`sources_first`]), so that it follows where they go, and not where they are held.
//!
//! Not here: which services may name each other (`stack`, `command`). What two sides of a split wrote may be a ring all the
//! same: then nothing of it is placed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::stack::{Service, VolumesFrom};
use crate::view::ServiceRecord;

use super::survey::{Survey, deployed};
use super::wanted::Wanted;
use super::{Assignment, Idle, ServicePlacement};

/// What was decided of a service whose volumes others mount.
#[derive(Clone, Debug)]
pub(super) enum Whereabouts {
    /// By instance number, the node that is to run it.
    Placed(BTreeMap<u32, Option<NodeId>>),
    Idle(Idle),
    Frozen,
}

impl Whereabouts {
    pub(super) fn of(placed: &ServicePlacement) -> Self {
        let node = |(number, it): (&u32, &Assignment)| (*number, it.holder);
        match placed {
            ServicePlacement::Placed(assignments) => {
                Self::Placed(assignments.iter().map(node).collect())
            }
            ServicePlacement::Idle(idle) => Self::Idle(*idle),
            ServicePlacement::Frozen(_) => Self::Frozen,
        }
    }
}

/// Why nobody can say on which node an instance finds the volumes that it mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sourceless {
    NoService(ServiceKey),
    NoInstance(InstanceId),
    Idle(ServiceKey, Idle),
    /// This version of Kontena cannot place it.
    Frozen(ServiceKey),
    /// Nobody is to run it now.
    Nowhere(InstanceId),
    /// Two of them are on two nodes.
    Apart(InstanceId, InstanceId),
    /// It mounts its own volumes, by way of others.
    Ring(ServiceKey),
}

impl fmt::Display for Sourceless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mounted = "whose volumes it mounts";
        match self {
            Self::NoService(key) => write!(f, "there is no service `{key}`, {mounted}"),
            Self::NoInstance(id) => write!(
                f,
                "`{}` has no instance {}, {mounted}",
                id.service, id.number
            ),
            Self::Idle(key, idle) => write!(f, "`{key}`, {mounted}, {idle}"),
            Self::Frozen(key) => write!(
                f,
                "`{key}`, {mounted}, cannot be read by this version of kontena"
            ),
            Self::Nowhere(id) => write!(f, "`{id}`, {mounted}, runs nowhere"),
            Self::Apart(one, other) => {
                write!(f, "`{one}` and `{other}`, {mounted}, are not on one node")
            }
            Self::Ring(key) => write!(f, "`{key}`, {mounted}, mounts its own in turn"),
        }
    }
}

/// The node of an instance's sources; `None` for one that mounts nobody's volumes.
pub(super) fn home(
    survey: &Survey<'_>,
    wanted: &Wanted<'_>,
    number: u32,
) -> Option<Result<(InstanceId, NodeId), Sourceless>> {
    let follower = || InstanceId::new(wanted.key.clone(), number);
    let from = wanted.service.volumes_from.iter();
    let sources = from.map(|from| {
        let source = from.source_of(&follower());
        let node = node_of(survey, wanted.key, &source)?;
        Ok((source, node))
    });
    let one_home = |first: Result<(InstanceId, NodeId), Sourceless>, next| {
        let ((first, node), (next, other)) = (first?, next?);
        match node == other {
            true => Ok((first, node)),
            false => Err(Sourceless::Apart(first, next)),
        }
    };
    sources.reduce(one_home)
}

fn node_of(
    survey: &Survey<'_>,
    follower: &ServiceKey,
    source: &InstanceId,
) -> Result<NodeId, Sourceless> {
    let key = &source.service;
    let services = &survey.view.documents.services;
    if !services.contains_key(key) {
        return Err(Sourceless::NoService(key.clone()));
    }
    let in_ring = || Sourceless::Ring(key.clone());
    if follows(services, key, follower) {
        return Err(in_ring());
    }
    match survey.whereabouts(key).ok_or_else(in_ring)? {
        Whereabouts::Idle(idle) => Err(Sourceless::Idle(key.clone(), *idle)),
        Whereabouts::Frozen => Err(Sourceless::Frozen(key.clone())),
        Whereabouts::Placed(nodes) => match nodes.get(&source.number) {
            None => Err(Sourceless::NoInstance(source.clone())),
            Some(None) => Err(Sourceless::Nowhere(source.clone())),
            Some(Some(node)) => Ok(*node),
        },
    }
}

/// Whether a service mounts volumes of another one, by way of others or not.
fn follows(
    services: &BTreeMap<ServiceKey, ServiceRecord>,
    key: &ServiceKey,
    other: &ServiceKey,
) -> bool {
    let mut found = BTreeSet::new();
    let mut next = vec![key.clone()];
    while let Some(key) = next.pop() {
        if key == *other {
            return true;
        }
        let sources = services.get(&key).map(|record| of_record(&key, record));
        next.extend(
            sources
                .into_iter()
                .flatten()
                .filter(|source| found.insert(source.clone())),
        );
    }
    false
}

/// The services whose volumes instances of what is deployed mount.
pub(super) fn of_record(key: &ServiceKey, record: &ServiceRecord) -> Vec<ServiceKey> {
    deployed(record)
        .map(|service| of_service(key, service))
        .unwrap_or_default()
}

fn of_service(key: &ServiceKey, service: &Service) -> Vec<ServiceKey> {
    let from = service.volumes_from.iter();
    from.map(|from: &VolumesFrom| from.service_in(&key.stack))
        .collect()
}

/// Services in the order of their keys, but those whose volumes another one mounts before that one.
pub(super) fn sources_first<'v, T>(
    services: impl Iterator<Item = (&'v ServiceKey, &'v ServiceRecord, T)>,
) -> Vec<(&'v ServiceKey, &'v ServiceRecord, T)> {
    let services: Vec<_> = services.collect();
    let follows = |(_, record, _): &(_, &ServiceRecord, T)| {
        deployed(record).is_some_and(|service| !service.volumes_from.is_empty())
    };
    if !services.iter().any(follows) {
        return services;
    }
    let keys: Vec<&ServiceKey> = services.iter().map(|(key, ..)| *key).collect();
    let mut waiting: BTreeMap<_, _> = services.into_iter().map(|it| (it.0, it)).collect();
    let mut ordered = Vec::new();
    let mut entered = BTreeSet::new();
    let keys = keys.into_iter().rev();
    let mut next: Vec<Visit> = keys.cloned().map(Visit::Enter).collect();
    while let Some(visit) = next.pop() {
        match visit {
            // What was entered before is on its way, or in a ring, which has an end so.
            Visit::Enter(key) if entered.insert(key.clone()) => {
                let sources = waiting
                    .get(&key)
                    .map(|(key, record, _)| of_record(key, record));
                next.push(Visit::Leave(key));
                next.extend(sources.into_iter().flatten().rev().map(Visit::Enter));
            }
            Visit::Enter(_) => {}
            Visit::Leave(key) => ordered.extend(waiting.remove(&key)),
        }
    }
    ordered
}

/// A step of a walk through services and their sources: no recursion, for anybody may have written a long chain.
enum Visit {
    Enter(ServiceKey),
    Leave(ServiceKey),
}
