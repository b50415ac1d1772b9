//! Placement, as one node's goals: what falls to it, and what it has that falls to others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::placement::{Assignment, Idle, Placement, Reason, Role, ServicePlacement, Wait};
use crate::reconcile::rollout::Peer;
use crate::reconcile::{Departure, Goals, Leaving, Rival, Wanted};
use crate::report::{Health, Hold, InstanceState};
use crate::stack::{Service, Strategy};
use crate::time::Instant;
use crate::view::{Deployed, Lifecycle, ServiceRecord, View};

/// What `me` is to do. `held` is what it has now, by its own containers.
pub(super) fn goals(
    view: &View,
    placement: &Placement,
    me: NodeId,
    held: &BTreeMap<InstanceId, Hold>,
    hold_takeovers_until: Option<Instant>,
) -> Goals {
    let mut goals = Goals {
        wanted: Vec::new(),
        leaving: Vec::new(),
        hold_takeovers_until,
    };
    let epochs = epochs(view);
    for (key, placed) in &placement.services {
        let ServicePlacement::Placed(assignments) = placed else {
            continue;
        };
        let mine = assignments
            .iter()
            .filter(|(_, assignment)| assignment.holder == Some(me));
        let mut peers = None;
        for (number, assignment) in mine {
            let peers = peers
                .get_or_insert_with(|| peers_of(view, key, assignments))
                .clone();
            let instance = InstanceId::new(key.clone(), *number);
            let epoch_seen = epochs.get(&instance).copied().unwrap_or(0);
            goals
                .wanted
                .extend(wanted(view, instance, assignment, epoch_seen, peers));
        }
    }
    for instance in held.keys() {
        leave(view, placement, me, instance, &mut goals);
    }
    goals
}

/// The highest epoch of each instance in any report.
fn epochs(view: &View) -> BTreeMap<InstanceId, u64> {
    let mut epochs: BTreeMap<InstanceId, u64> = BTreeMap::new();
    for (instance, hold) in view.reports.values().flat_map(|report| &report.holds) {
        let epoch = epochs.entry(instance.clone()).or_default();
        *epoch = hold.epoch.max(*epoch);
    }
    epochs
}

fn wanted(
    view: &View,
    instance: InstanceId,
    assignment: &Assignment,
    epoch_seen: u64,
    peers: Vec<Peer>,
) -> Option<Wanted> {
    let record = view.documents.services.get(&instance.service)?;
    let (deployed, service) = deployed(record)?;
    Some(Wanted {
        rivals: rivals(view, &instance, assignment),
        instance,
        revision: deployed.revision.hash,
        revision_number: deployed.revision.number,
        generation: deployed.generation,
        state: record.state,
        fixed: service.stateful || service.deploy.strategy == Strategy::Daemon,
        takeover: matches!(assignment.reason, Reason::TakenOver { .. }),
        epoch_seen,
        peers,
        service,
    })
}

fn deployed(record: &ServiceRecord) -> Option<(&Deployed, Arc<Service>)> {
    let deployed = record.deployed.as_ref()?;
    Some((deployed, deployed.revision.service.as_ref().ok()?.clone()))
}

fn rivals(view: &View, instance: &InstanceId, assignment: &Assignment) -> Vec<Rival> {
    let others = assignment.rivals.iter().chain(&assignment.leaving);
    others
        .filter_map(|node| {
            let hold = view.reports.get(node)?.holds.get(instance)?.clone();
            Some(Rival {
                node: *node,
                hold,
                ranks_before_us: false,
            })
        })
        .collect()
}

/// One row for each number of the service, by the report of its rightful holder.
fn peers_of(view: &View, key: &ServiceKey, assignments: &BTreeMap<u32, Assignment>) -> Vec<Peer> {
    let Some((deployed, _)) = view.documents.services.get(key).and_then(deployed) else {
        return Vec::new();
    };
    assignments
        .iter()
        .map(|(number, assignment)| {
            let instance = InstanceId::new(key.clone(), *number);
            let holder = assignment
                .holder
                .filter(|node| holds(view, node, &instance))
                .or(assignment.leaving);
            let hold = holder.and_then(|node| view.reports.get(&node)?.holds.get(&instance));
            peer(
                *number,
                holder.map(|node| view.freshness(&node)),
                hold,
                deployed,
            )
        })
        .collect()
}

fn holds(view: &View, node: &NodeId, instance: &InstanceId) -> bool {
    view.reports
        .get(node)
        .is_some_and(|report| report.holds.contains_key(instance))
}

fn peer(
    number: u32,
    holder: Option<crate::view::Freshness>,
    hold: Option<&Hold>,
    deployed: &Deployed,
) -> Peer {
    let Some(hold) = hold else {
        return Peer {
            number,
            holder: None,
            healthy: false,
            current: false,
            failed: false,
            updating: false,
        };
    };
    let newer = hold.generation > deployed.generation;
    let same = hold.generation == deployed.generation && hold.revision == deployed.revision.hash;
    Peer {
        number,
        holder,
        healthy: hold.state == InstanceState::Running && hold.health == Health::Healthy,
        current: newer || same,
        failed: hold.state == InstanceState::Failed || hold.health == Health::Unhealthy,
        updating: hold.updating,
    }
}

/// What becomes of an instance that this node has and that does not fall to it.
fn leave(view: &View, placement: &Placement, me: NodeId, instance: &InstanceId, goals: &mut Goals) {
    let departure = match placement.role(instance, &me) {
        Role::Run(_) => return,
        Role::Keep => Departure::Unjudged,
        Role::KeepUntilRelieved(_) => Departure::Handover {
            winner_ready: false,
        },
        Role::Stop => match stopping(view, placement, me, instance) {
            Stopping::Kept(wanted) => {
                goals.wanted.push(*wanted);
                return;
            }
            Stopping::For(departure) => departure,
        },
    };
    goals.leaving.push(Leaving {
        instance: instance.clone(),
        departure,
    });
}

enum Stopping {
    /// The service is stopped: its container is stopped and kept.
    Kept(Box<Wanted>),
    For(Departure),
}

fn stopping(view: &View, placement: &Placement, me: NodeId, instance: &InstanceId) -> Stopping {
    if let Some(ServicePlacement::Idle(Idle::Stopped)) = placement.services.get(&instance.service)
        && let Some(wanted) = stopped(view, instance)
    {
        return Stopping::Kept(Box::new(wanted));
    }
    let drained = placement
        .get(instance)
        .is_some_and(|assignment| assignment.reason == Reason::Waits(Wait::PinDrains { node: me }));
    Stopping::For(if drained {
        Departure::Drained
    } else {
        Departure::Unwanted
    })
}

/// An instance of a stopped service, where it is still one of its numbers.
fn stopped(view: &View, instance: &InstanceId) -> Option<Wanted> {
    let record = view.documents.services.get(&instance.service)?;
    let (deployed, service) = deployed(record)?;
    let daemon = service.deploy.strategy == Strategy::Daemon;
    if instance.number > record.instances && !daemon {
        return None;
    }
    Some(Wanted {
        instance: instance.clone(),
        revision: deployed.revision.hash,
        revision_number: deployed.revision.number,
        generation: deployed.generation,
        state: Lifecycle::Stopped,
        fixed: service.stateful || daemon,
        takeover: false,
        epoch_seen: 0,
        rivals: Vec::new(),
        peers: Vec::new(),
        service,
    })
}
