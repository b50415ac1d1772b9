//! What became of a deploy, read from the holds. Nothing is recorded: the deploy of record has a
//! generation, which is its id, and every hold says which generation it came with.

use kontena_core::id::{ServiceKey, StackName};
use kontena_core::report::{Health, Hold, InstanceState};
use kontena_core::view::{Deployed, Lifecycle, ServiceRecord};

use super::Snapshot;
use super::instances::{Holder, holders, wanted};
use crate::api::types::Time;
use crate::api::types::deploy::{DeployState, InstanceDeploy, ServiceDeploy, StackDeploy};

/// The id of a service that was never deployed.
const NEVER: u64 = 0;

/// The deploy of record. One that was never deployed has nothing to do: a success without instances.
pub(in crate::api) fn current(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> ServiceDeploy {
    match &record.deployed {
        Some(deployed) => of_record(snapshot, key, record, deployed),
        None => ServiceDeploy {
            id: NEVER.to_string(),
            service_id: snapshot.service_id(key),
            state: DeployState::Success,
            created_at: None,
            finished_at: None,
            reason: None,
            instance_deploys: Vec::new(),
        },
    }
}

/// A deploy by its id; `None` if there was none yet. One that a newer deploy replaced is an error:
/// nobody finishes it.
pub(in crate::api) fn by_id(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
    id: u64,
) -> Option<ServiceDeploy> {
    let generation = generation(record);
    if id > generation {
        return None;
    }
    let current = current(snapshot, key, record);
    if id == generation {
        return Some(current);
    }
    Some(ServiceDeploy {
        id: id.to_string(),
        state: DeployState::Error,
        finished_at: current.created_at,
        created_at: None,
        reason: Some(format!("deploy {generation} of this service replaced it")),
        instance_deploys: Vec::new(),
        ..current
    })
}

/// Whether the deploy of record has instances that it never brought up or failed to. One that is
/// lost later (its node is absent, it restarts elsewhere) does not make the service deploy again.
pub(super) fn is_under_way(snapshot: &Snapshot, key: &ServiceKey, record: &ServiceRecord) -> bool {
    let generation = generation(record);
    let holders = holders(snapshot, key);
    let settled = |number: u32| {
        holders.iter().any(|holder| {
            let Hold {
                generation: held,
                state,
                health,
                ..
            } = *holder.hold;
            let is_up = state == InstanceState::Running && health != Health::Unknown;
            let is_settled = is_up || state == InstanceState::Failed;
            holder.number == number && held >= generation && is_settled
        })
    };
    wanted(snapshot, key)
        .into_iter()
        .any(|number| !settled(number))
}

fn generation(record: &ServiceRecord) -> u64 {
    let deployed = record.deployed.as_ref();
    deployed.map_or(NEVER, |deployed| deployed.generation)
}

fn of_record(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
    deployed: &Deployed,
) -> ServiceDeploy {
    let holders = holders(snapshot, key);
    let progress: Vec<Progress> = wanted(snapshot, key)
        .into_iter()
        .map(|number| progress(number, &holders, deployed))
        .collect();
    let stopped = record.state == Lifecycle::Stopped;
    let state = if stopped {
        DeployState::Error
    } else {
        overall(progress.iter().map(|progress| progress.row.state))
    };
    let failure = progress.iter().find_map(|progress| {
        let error = progress.row.error.as_ref();
        let failed = progress.row.state == DeployState::Error;
        failed.then(|| match error {
            Some(error) => format!("instance {}: {error}", progress.row.instance_number),
            None => format!("instance {} failed", progress.row.instance_number),
        })
    });
    let finished = progress.iter().filter_map(|progress| progress.since).max();
    let begun = Time::known(deployed.at);
    ServiceDeploy {
        id: deployed.generation.to_string(),
        service_id: snapshot.service_id(key),
        state,
        created_at: begun,
        finished_at: finished.or(begun).filter(|_| state.is_finished()),
        reason: stopped
            .then(|| "the service is stopped".to_owned())
            .or(failure),
        instance_deploys: progress.into_iter().map(|progress| progress.row).collect(),
    }
}

struct Progress {
    row: InstanceDeploy,
    /// When it came to its state.
    since: Option<Time>,
}

fn progress(number: u32, holders: &[Holder<'_>], deployed: &Deployed) -> Progress {
    let present = |holder: &&Holder<'_>| holder.number == number && !holder.absent;
    let mut present = holders.iter().filter(present);
    let at_this_deploy = |holder: &&Holder<'_>| holder.hold.generation >= deployed.generation;
    let Some(holder) = present.clone().find(at_this_deploy) else {
        return not_begun(number, present.next());
    };
    Progress {
        row: InstanceDeploy {
            instance_number: number,
            node: Some(holder.name.to_string()),
            state: state(holder),
            error: holder.hold.problem.clone(),
        },
        since: Time::known(holder.hold.since),
    }
}

/// An instance that nobody holds at this deploy: `before` holds it at an older one, if anybody does, and says
/// what it waits for.
fn not_begun(number: u32, before: Option<&Holder<'_>>) -> Progress {
    Progress {
        row: InstanceDeploy {
            instance_number: number,
            node: before.map(|holder| holder.name.to_string()),
            state: DeployState::Created,
            error: before.and_then(|holder| holder.hold.problem.clone()),
        },
        since: None,
    }
}

fn state(holder: &Holder<'_>) -> DeployState {
    match holder.hold.state {
        InstanceState::Failed => DeployState::Error,
        InstanceState::Running if holder.is_healthy() => DeployState::Success,
        InstanceState::Running
        | InstanceState::Pending
        | InstanceState::Creating
        | InstanceState::Stopping
        | InstanceState::Stopped => DeployState::Ongoing,
    }
}

/// One failure fails the whole; it is a success when all parts are.
fn overall(parts: impl Iterator<Item = DeployState> + Clone) -> DeployState {
    let all = |state: DeployState| parts.clone().all(|part| part == state);
    if parts.clone().any(|part| part == DeployState::Error) {
        DeployState::Error
    } else if all(DeployState::Success) {
        DeployState::Success
    } else if all(DeployState::Created) {
        DeployState::Created
    } else {
        DeployState::Ongoing
    }
}

/// The newest deploy of a stack: its services' deploys of record together.
pub(in crate::api) fn current_of_stack(snapshot: &Snapshot, stack: &StackName) -> StackDeploy {
    let newest = newest(snapshot, stack);
    of_stack(snapshot, stack, newest)
}

/// A stack's deploy by its id; `None` if there was none yet. Of a service that was deployed again
/// since, it is an error; services that it did not change count as they are.
pub(in crate::api) fn stack_by_id(
    snapshot: &Snapshot,
    stack: &StackName,
    id: u64,
) -> Option<StackDeploy> {
    (id <= newest(snapshot, stack)).then(|| of_stack(snapshot, stack, id))
}

fn newest(snapshot: &Snapshot, stack: &StackName) -> u64 {
    let services = snapshot.services_of(stack);
    let generations = services.map(|(_, record)| generation(record));
    generations.max().unwrap_or(NEVER)
}

fn of_stack(snapshot: &Snapshot, stack: &StackName, id: u64) -> StackDeploy {
    let services = snapshot.services_of(stack);
    let service_deploys: Vec<ServiceDeploy> = services
        .map(|(key, record)| {
            by_id(snapshot, key, record, id).unwrap_or_else(|| current(snapshot, key, record))
        })
        .collect();
    StackDeploy {
        id: id.to_string(),
        stack_id: format!("{}/{stack}", snapshot.grid),
        state: overall(service_deploys.iter().map(|deploy| deploy.state)),
        service_deploys,
    }
}
