//! The instances of a service: one row per holder, and one for each that nobody holds.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use kontena_core::id::{InstanceId, NodeId, NodeName, RevisionHash, ServiceKey};
use kontena_core::network::zone::instance_name;
use kontena_core::placement::{self, ServicePlacement};
use kontena_core::report::{Health, Hold, InstanceState};
use kontena_core::stack::FrozenImage;
use kontena_core::view::ServiceRecord;

use super::Snapshot;
use crate::api::answer::Refused;
use crate::api::types::Time;
use crate::api::types::instance::Instance;
use crate::api::types::service::Counts;

/// A hold and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Holder<'v> {
    pub(super) number: u32,
    pub(super) node: &'v NodeId,
    pub(super) name: &'v NodeName,
    pub(super) hold: &'v Hold,
    /// What it holds is not known any more.
    pub(super) absent: bool,
}

impl Holder<'_> {
    pub(super) fn is_running(&self) -> bool {
        !self.absent && self.hold.state == InstanceState::Running
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.is_running() && self.hold.health == Health::Healthy
    }
}

/// All holds of a service: by number, and among holders of one number the best first.
pub(super) fn holders<'v>(snapshot: &'v Snapshot, key: &ServiceKey) -> Vec<Holder<'v>> {
    let first = InstanceId::new(key.clone(), 0);
    let last = InstanceId::new(key.clone(), u32::MAX);
    let mut holders = Vec::new();
    for (node, member, report) in snapshot.reports() {
        let absent = snapshot.is_absent(node);
        let holds = report.holds.range(&first..=&last);
        holders.extend(holds.map(|(id, hold)| Holder {
            number: id.number,
            node,
            name: &member.name,
            hold,
            absent,
        }));
    }
    holders.sort_by_key(|holder| {
        let best = Reverse((holder.is_healthy(), holder.is_running(), !holder.absent));
        (holder.number, best, holder.hold.epoch, *holder.node)
    });
    holders
}

/// The numbers of the instances that shall run now. A service that this version cannot place keeps
/// what it has.
pub(super) fn wanted(snapshot: &Snapshot, key: &ServiceKey) -> BTreeSet<u32> {
    match snapshot.placement().services.get(key) {
        Some(ServicePlacement::Placed(assignments)) => assignments.keys().copied().collect(),
        Some(ServicePlacement::Idle(_)) | None => BTreeSet::new(),
        Some(ServicePlacement::Frozen(_)) => {
            let holders = holders(snapshot, key);
            holders.iter().map(|holder| holder.number).collect()
        }
    }
}

/// That a service has an instance of this number: one that shall run, or that somebody holds. Of a
/// service that shall not run no number can be judged.
pub(in crate::api) fn check(
    snapshot: &Snapshot,
    key: &ServiceKey,
    number: u32,
) -> Result<(), Refused> {
    let exists = match snapshot.placement().services.get(key) {
        None | Some(ServicePlacement::Idle(_)) => true,
        Some(ServicePlacement::Placed(_) | ServicePlacement::Frozen(_)) => {
            let holders = holders(snapshot, key);
            let is_held = holders.iter().any(|holder| holder.number == number);
            is_held || wanted(snapshot, key).contains(&number)
        }
    };
    exists
        .then_some(())
        .ok_or_else(|| Refused::no_instance(key, number))
}

/// How many instances shall run, run, and are healthy. Each counts once, whoever holds it.
pub(super) fn counts(snapshot: &Snapshot, key: &ServiceKey) -> Counts {
    let wanted = wanted(snapshot, key);
    let holders = holders(snapshot, key);
    let running = holders.iter().filter(|holder| holder.is_running());
    let healthy = holders.iter().filter(|holder| holder.is_healthy());
    Counts {
        desired: saturated(wanted.len()),
        running: distinct(running),
        healthy: distinct(healthy),
    }
}

fn distinct<'h>(holders: impl Iterator<Item = &'h Holder<'h>>) -> u32 {
    let numbers: BTreeSet<u32> = holders.map(|holder| holder.number).collect();
    saturated(numbers.len())
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub(in crate::api) fn instances(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> Vec<Instance> {
    let holders = holders(snapshot, key);
    let held: BTreeSet<u32> = holders.iter().map(|holder| holder.number).collect();
    let wanted = wanted(snapshot, key);
    let mut rows: Vec<Instance> = holders
        .iter()
        .map(|holder| held_row(snapshot, key, record, holder))
        .collect();
    let unheld = wanted.difference(&held);
    rows.extend(unheld.map(|number| pending_row(snapshot, key, *number)));
    // Stable: holders of one number stay best first.
    rows.sort_by_key(|row| row.instance_number);
    rows
}

fn held_row(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
    holder: &Holder<'_>,
) -> Instance {
    let Holder { hold, absent, .. } = *holder;
    let known = |text: String| if absent { "unknown".to_owned() } else { text };
    let id = InstanceId::new(key.clone(), holder.number);
    Instance {
        id: id.container_name(),
        dns: dns(snapshot, &id),
        instance_number: holder.number,
        node: Some(snapshot.node_ref(holder.node, holder.name)),
        deploy_rev: Some(hold.generation),
        rev: revision_number(record, &hold.revision),
        state: known(hold.state.to_string()),
        error: hold.problem.clone(),
        health: known(hold.health.to_string()),
        restarts: hold.restarts,
        exit_code: hold.exit_code,
        updating: hold.updating,
        container_id: hold.container.clone(),
        image_id: hold.image.clone(),
        other_image: runs_another_image(record, hold),
        ip: hold.address.map(|address| address.to_string()),
        since: Time::known(hold.since),
    }
}

/// Where no registry has the image of a deploy, a node that has it not runs what the name means there.
fn runs_another_image(record: &ServiceRecord, hold: &Hold) -> bool {
    let Some(deployed) = &record.deployed else {
        return false;
    };
    match (&deployed.revision.image, &hold.image) {
        (Some(FrozenImage::Id { id }), Some(runs)) => {
            hold.generation == deployed.generation && id != runs
        }
        (Some(FrozenImage::Id { .. } | FrozenImage::Digest { .. }) | None, _) => false,
    }
}

fn dns(snapshot: &Snapshot, id: &InstanceId) -> Option<String> {
    instance_name(&snapshot.grid, id).map(|name| name.to_string())
}

fn pending_row(snapshot: &Snapshot, key: &ServiceKey, number: u32) -> Instance {
    let id = InstanceId::new(key.clone(), number);
    let refusals = snapshot.reports().filter_map(|(_, member, report)| {
        let reason = report.refusals.get(&id)?;
        Some(format!("node `{}` refuses it: {reason}", member.name))
    });
    let refusals: Vec<String> = refusals.collect();
    Instance {
        id: id.container_name(),
        dns: dns(snapshot, &id),
        instance_number: number,
        node: None,
        deploy_rev: None,
        rev: None,
        state: InstanceState::Pending.to_string(),
        error: Some(refusals.join("; "))
            .filter(|text| !text.is_empty())
            .or_else(|| waits(snapshot, &id)),
        health: Health::Unknown.to_string(),
        restarts: 0,
        exit_code: None,
        updating: false,
        container_id: None,
        image_id: None,
        other_image: false,
        ip: None,
        since: None,
    }
}

/// Why placement has nobody run an instance.
pub(super) fn waits(snapshot: &Snapshot, instance: &InstanceId) -> Option<String> {
    let assigned = snapshot.placement().get(instance)?;
    placement::waiting(&snapshot.view, assigned)
}

/// The number that people know a revision by; only the newest and the deployed one are kept.
pub(super) fn revision_number(record: &ServiceRecord, hash: &RevisionHash) -> Option<u64> {
    let deployed = record.deployed.iter().map(|deployed| &deployed.revision);
    let mut known = std::iter::once(&record.latest).chain(deployed);
    known
        .find(|revision| revision.hash == *hash)
        .map(|revision| revision.number)
}
