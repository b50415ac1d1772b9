//! What became of a deploy, read from the holds. Only halts are recorded: the deploy of record has a
//! generation, which is its id, and every hold says which generation it came with.

use kontena_core::id::{InstanceId, NodeId, ServiceKey, StackName};
use kontena_core::report::{Health, Hold, InstanceState};
use kontena_core::view::{DeployRecord, Deployed, Lifecycle, ServiceRecord, TakenBack};

use super::Snapshot;
use super::instances::{Holder, holders, waits, wanted};
use super::node::engine_problem;
use super::revision::node_name;
use crate::api::types::Time;
use crate::api::types::deploy::{
    DeployRow, DeployState, InstanceDeploy, Outcome, ServiceDeploy, StackDeploy,
};

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
            awaits_promotion: false,
            halted: false,
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
    let taken_back = record
        .deployed
        .as_ref()
        .and_then(|deployed| deployed.takes_back.as_ref());
    if let Some(taken_back) = taken_back.filter(|taken_back| taken_back.generation == id) {
        let is_halted = record.deployed.as_ref().is_some_and(|it| it.halt.is_some());
        return Some(gone_back(taken_back, is_halted, current));
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

/// A deploy that all go back from is over, and failed, once they are back; until then its instances are those
/// of the way back.
fn gone_back(taken_back: &TakenBack, is_halted: bool, way_back: ServiceDeploy) -> ServiceDeploy {
    let (state, went) = match way_back.state {
        DeployState::Created | DeployState::Ongoing => (DeployState::Ongoing, "all go back"),
        DeployState::Success => (DeployState::Error, "all went back"),
        DeployState::Error if is_halted => (DeployState::Error, "not all could go back"),
        DeployState::Error => (DeployState::Error, "not all are back"),
    };
    let cause = &taken_back.halt.cause;
    ServiceDeploy {
        id: taken_back.generation.to_string(),
        state,
        reason: Some(format!("{cause}; {went} to what ran before")),
        ..way_back
    }
}

/// The orders to deploy a service, the newest first, each with the node that took it; before them the way back from
/// the newest, if there is one, which nobody ordered.
pub(in crate::api) fn all(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> Vec<(Option<NodeId>, DeployRow)> {
    let current = current(snapshot, key, record);
    let generation = generation(record);
    let deployed = record.deployed.as_ref();
    let way_back = deployed.and_then(|deployed| way_back_row(snapshot, deployed, &current));
    let orders = record.deploys.iter().map(|order| {
        let newest = (order.generation == generation).then_some(&current);
        (Some(order.by), order_row(snapshot, order, newest))
    });
    let way_back = way_back.into_iter().map(|row| (None, row));
    way_back.chain(orders).collect()
}

fn way_back_row(
    snapshot: &Snapshot,
    deployed: &Deployed,
    current: &ServiceDeploy,
) -> Option<DeployRow> {
    let taken_back = deployed.takes_back.as_ref()?;
    Some(DeployRow {
        id: current.id.clone(),
        revision: deployed.revision.number,
        revision_id: deployed.revision.hash.to_string(),
        image: deployed.revision.image.as_ref().map(ToString::to_string),
        state: outcome(current),
        created_at: current.created_at,
        node: node_name(snapshot, &taken_back.halt.by),
        reason: current
            .reason
            .clone()
            .or_else(|| Some(format!("takes deploy {} back", taken_back.generation))),
    })
}

fn order_row(
    snapshot: &Snapshot,
    order: &DeployRecord,
    newest: Option<&ServiceDeploy>,
) -> DeployRow {
    let halted = order.halt.as_ref();
    DeployRow {
        id: order.generation.to_string(),
        revision: order.number,
        revision_id: order.revision.to_string(),
        image: order.image.as_ref().map(ToString::to_string),
        state: match newest {
            _ if order.is_taken_back => Outcome::RolledBack,
            _ if halted.is_some() => Outcome::Halted,
            Some(newest) => outcome(newest),
            None => Outcome::Replaced,
        },
        created_at: Time::known(order.at),
        node: node_name(snapshot, &order.by),
        reason: match (halted, newest) {
            (Some(halt), _) => Some(halt.cause.to_string()),
            (None, Some(newest)) => newest.reason.clone(),
            (None, None) => None,
        },
    }
}

fn outcome(deploy: &ServiceDeploy) -> Outcome {
    match deploy.state {
        _ if deploy.awaits_promotion => Outcome::AwaitsPromotion,
        DeployState::Created => Outcome::Created,
        DeployState::Ongoing => Outcome::Ongoing,
        DeployState::Success => Outcome::Success,
        DeployState::Error => Outcome::Error,
    }
}

/// Whether the deploy of record has instances that it never brought up or failed to. One that is
/// lost later (its node is absent, it restarts elsewhere) does not make the service deploy again.
pub(super) fn is_under_way(snapshot: &Snapshot, key: &ServiceKey, record: &ServiceRecord) -> bool {
    let deployed = record.deployed.as_ref();
    if deployed.is_some_and(|deployed| !deployed.goes_on()) {
        return false;
    }
    let is_at_it = |hold: &Hold| {
        deployed.is_none_or(|deployed| deployed.is_met_by(&hold.revision, hold.generation))
    };
    let holders = holders(snapshot, key);
    let settled = |number: u32| {
        holders.iter().any(|holder| {
            let Hold { state, health, .. } = *holder.hold;
            let is_up = state == InstanceState::Running && health != Health::Unknown;
            let is_settled = is_up || state == InstanceState::Failed;
            holder.number == number && is_at_it(holder.hold) && is_settled
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
        .map(|number| progress(snapshot, key, number, &holders, deployed))
        .collect();
    let stopped = record.state == Lifecycle::Stopped;
    let state = if stopped || deployed.halt.is_some() {
        DeployState::Error
    } else if awaits_verdict(deployed, &progress) {
        DeployState::Ongoing
    } else {
        overall(progress.iter().map(|progress| progress.row.state))
    };
    let halted = deployed.halt.as_ref().map(|halt| halt.cause.to_string());
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
            .or(halted)
            .or(failure),
        halted: deployed.halt.is_some(),
        awaits_promotion: state == DeployState::Ongoing && awaits_promotion(deployed, &progress),
        instance_deploys: progress.into_iter().map(|progress| progress.row).collect(),
    }
}

/// Whether an instance failed and its node has not said yet that the deploy did: it may recover, and the first
/// deploy of a service is halted by nobody.
fn awaits_verdict(deployed: &Deployed, progress: &[Progress]) -> bool {
    let is = |wanted: DeployState| move |progress: &&Progress| progress.row.state == wanted;
    let mut failed = progress.iter().filter(is(DeployState::Error)).peekable();
    let some_wait = progress.iter().find(is(DeployState::Created)).is_some();
    deployed.previous.is_some()
        && failed.peek().is_some()
        && (some_wait || failed.any(|failed| failed.on_trial))
}

/// The first few are healthy, and others still run what was before.
fn awaits_promotion(deployed: &Deployed, progress: &[Progress]) -> bool {
    let Some(canary) = deployed.canary() else {
        return false;
    };
    let first = usize::try_from(canary)
        .unwrap_or(usize::MAX)
        .min(progress.len());
    let (first, others) = progress.split_at(first);
    let all = |part: &[Progress], state| part.iter().all(|progress| progress.row.state == state);
    // What had to be made anew, or was scaled up, is of the newer deploy.
    let is_settled = |progress: &Progress| {
        matches!(
            progress.row.state,
            DeployState::Created | DeployState::Success
        )
    };
    all(first, DeployState::Success)
        && others.iter().all(is_settled)
        && !all(others, DeployState::Success)
}

struct Progress {
    row: InstanceDeploy,
    on_trial: bool,
    /// When it came to its state.
    since: Option<Time>,
}

fn progress(
    snapshot: &Snapshot,
    key: &ServiceKey,
    number: u32,
    holders: &[Holder<'_>],
    deployed: &Deployed,
) -> Progress {
    let present = |holder: &&Holder<'_>| holder.number == number && !holder.absent;
    let mut present = holders.iter().filter(present);
    let at_this_deploy =
        |holder: &&Holder<'_>| deployed.is_met_by(&holder.hold.revision, holder.hold.generation);
    let Some(holder) = present.clone().find(at_this_deploy) else {
        let instance = InstanceId::new(key.clone(), number);
        return not_begun(snapshot, &instance, present.next());
    };
    let state = match holder.hold.generation < deployed.generation {
        // The way back leaves it as it is, well or not.
        true => DeployState::Success,
        false => state(holder),
    };
    let error = match state {
        DeployState::Success => holder.hold.problem.clone(),
        DeployState::Created | DeployState::Ongoing | DeployState::Error => {
            hindrance(snapshot, holder)
        }
    };
    Progress {
        row: InstanceDeploy {
            instance_number: number,
            node: Some(holder.name.to_string()),
            state,
            error,
        },
        on_trial: holder.hold.on_trial,
        since: Time::known(holder.hold.since),
    }
}

/// An instance that nobody holds at this deploy: `before` holds it at an older one, if anybody does, and says
/// what it waits for. Where it says nothing placement does.
fn not_begun(snapshot: &Snapshot, instance: &InstanceId, before: Option<&Holder<'_>>) -> Progress {
    let said = before.and_then(|holder| hindrance(snapshot, holder));
    Progress {
        row: InstanceDeploy {
            instance_number: instance.number,
            node: before.map(|holder| holder.name.to_string()),
            state: DeployState::Created,
            error: said.or_else(|| waits(snapshot, instance)),
        },
        on_trial: false,
        since: None,
    }
}

/// What its holder says of it. An engine in trouble is left alone, so nothing is said of the instance then, and all
/// that is wrong is the engine.
fn hindrance(snapshot: &Snapshot, holder: &Holder<'_>) -> Option<String> {
    let engine = || {
        let report = snapshot.view.reports.get(holder.node)?;
        engine_problem(report)
    };
    holder.hold.problem.clone().or_else(engine)
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
