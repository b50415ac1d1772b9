//! The runs of a job, as the nodes that ran it remember them.

use kontena_core::id::{InstanceId, NodeId, NodeName, ServiceKey};
use kontena_core::job::{self, Ledger, Stop};
use kontena_core::schedule::Slot;
use kontena_core::time::WallTime;
use kontena_core::view::ServiceRecord;

use super::Snapshot;
use crate::api::types::Time;
use crate::api::types::run::{Run, RunState};

/// All that is remembered of this service's slots, each with what sorts them: the newest first, then by instance and node.
pub(in crate::api) fn of_service(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> Vec<(String, Run)> {
    let mut runs = Vec::new();
    for (instance, node, name, ledger) in ledgers(snapshot, key, record) {
        let rows = ledger.runs.iter().map(|run| {
            let newest_first = u64::MAX - run.slot.0;
            let place = format!("{newest_first:020},{:010},{node}", instance.number);
            (place, row(snapshot, instance, node, name, run))
        });
        runs.extend(rows);
    }
    runs
}

/// The newest slot that was begun.
pub(in crate::api) fn last_run(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> Option<Slot> {
    let ledgers = ledgers(snapshot, key, record);
    ledgers
        .filter_map(|(_, _, _, ledger)| ledger.last_run())
        .max()
}

/// Up to when slots are decided, by the clock of the node that is the furthest.
pub(in crate::api) fn decided_until(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> Option<WallTime> {
    let ledgers = ledgers(snapshot, key, record);
    ledgers.map(|(_, _, _, ledger)| ledger.until).max()
}

fn ledgers<'v>(
    snapshot: &'v Snapshot,
    key: &ServiceKey,
    record: &'v ServiceRecord,
) -> impl Iterator<Item = (&'v InstanceId, &'v NodeId, &'v NodeName, &'v Ledger)> {
    let first = InstanceId::new(key.clone(), 0);
    let last = InstanceId::new(key.clone(), u32::MAX);
    snapshot.reports().flat_map(move |(node, member, report)| {
        let ledgers = report.jobs.range(first.clone()..=last.clone());
        let of_it = ledgers.filter(|(_, ledger)| ledger.creation == record.creation);
        of_it.map(move |(instance, ledger)| (instance, node, &member.name, ledger))
    })
}

fn row(
    snapshot: &Snapshot,
    instance: &InstanceId,
    node: &NodeId,
    name: &NodeName,
    run: &job::Run,
) -> Run {
    let missing = Run {
        instance_number: instance.number,
        node: snapshot.node_ref(node, name),
        slot: Time::known(run.slot.time()),
        state: RunState::Starting,
        started_at: None,
        finished_at: None,
        duration: None,
        exit_code: None,
        missed: None,
        missed_until: None,
        reason: None,
    };
    match &run.state {
        job::RunState::Starting => missing,
        job::RunState::Running { since, stops } => Run {
            state: RunState::Running,
            started_at: Time::known(*since),
            reason: stops.map(|stop| stop.words().to_owned()),
            ..missing
        },
        job::RunState::Ended {
            since,
            at,
            exit_code,
            stopped,
            words,
        } => Run {
            state: ended(*stopped, *exit_code),
            started_at: since.and_then(Time::known),
            finished_at: Time::known(*at),
            duration: since.map(|since| millis(since, *at)),
            exit_code: Some(*exit_code),
            reason: stopped
                .map(|stop| stop.words().to_owned())
                .or_else(|| words.clone()),
            ..missing
        },
        job::RunState::NotStarted { at, problem } => Run {
            state: RunState::Failed,
            finished_at: Time::known(*at),
            reason: Some(problem.clone()),
            ..missing
        },
        job::RunState::Lost => Run {
            state: RunState::Lost,
            reason: Some("nothing of it was found: whether it ran is not known".to_owned()),
            ..missing
        },
        job::RunState::Missed { why, count, until } => Run {
            state: RunState::Missed,
            missed: Some(*count),
            missed_until: Time::known(*until),
            reason: Some(why.words().to_owned()),
            ..missing
        },
    }
}

fn ended(stopped: Option<Stop>, exit_code: i64) -> RunState {
    match (stopped, exit_code) {
        (Some(Stop::TimeLimit), _) => RunState::TimedOut,
        (Some(Stop::Replaced), _) => RunState::Replaced,
        (Some(Stop::Asked), _) => RunState::Stopped,
        (None, 0) => RunState::Succeeded,
        (None, _) => RunState::Failed,
    }
}

fn millis(since: WallTime, at: WallTime) -> u64 {
    at.0.saturating_sub(since.0)
}
