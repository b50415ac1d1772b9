//! Moves as wire types.

use kontena_core::id::{InstanceId, NodeId};
use kontena_core::report::InstanceState;
use kontena_core::view::{MoveOrder, MoveState, Pin, ServiceRecord};

use super::Snapshot;
use crate::api::types::moving::Move;

/// What was ordered last of an instance, if anything ever was.
pub(in crate::api) fn moving(snapshot: &Snapshot, instance: &InstanceId) -> Option<Move> {
    let record = snapshot.view.documents.services.get(&instance.service)?;
    let order = record.moves.get(&instance.number)?;
    let bound = record.pins.get(&instance.number);
    Some(Move {
        instance: instance.to_string(),
        from: snapshot.view.called(&order.from.node),
        to: snapshot.view.called(&order.to),
        state: state(order, bound).to_owned(),
        running: bound.is_some_and(|pin| runs(snapshot, instance, &pin.node)),
        problem: problem(snapshot, instance, record, order),
    })
}

fn state(order: &MoveOrder, bound: Option<&Pin>) -> &'static str {
    match &order.state {
        MoveState::Ordered if bound == Some(&order.from) => "moving",
        MoveState::Done { .. } if bound == Some(&order.target()) => "done",
        MoveState::Ordered | MoveState::Done { .. } => "void",
        MoveState::GivenUp { .. } => "given_up",
        MoveState::Cancelled => "cancelled",
    }
}

/// What a node says of an instance that it has.
fn problem_of(snapshot: &Snapshot, instance: &InstanceId, node: &NodeId) -> Option<String> {
    let report = snapshot.view.reports.get(node)?;
    report.holds.get(instance)?.problem.clone()
}

fn runs(snapshot: &Snapshot, instance: &InstanceId, node: &NodeId) -> bool {
    let report = snapshot.view.reports.get(node);
    let hold = report.and_then(|report| report.holds.get(instance));
    hold.is_some_and(|hold| hold.state == InstanceState::Running)
}

/// What the node says that has the data; what the other one says; what is so for as long as the documents say it.
fn problem(
    snapshot: &Snapshot,
    instance: &InstanceId,
    record: &ServiceRecord,
    order: &MoveOrder,
) -> Option<String> {
    let view = &snapshot.view;
    let bound = record.pins.get(&instance.number);
    if let MoveState::GivenUp { problem } = &order.state {
        return Some(problem.clone());
    }
    let is_done = bound == Some(&order.target()) && state(order, bound) == "done";
    if is_done {
        return problem_of(snapshot, instance, &order.to);
    }
    if order.state != MoveState::Ordered || bound != Some(&order.from) {
        return None;
    }
    if record.moving(instance.number).is_none() {
        return Some("its service is stopped, or scaled below it: it waits for that".to_owned());
    }
    if !view.takes_moves(&order.to) {
        let to = view.called(&order.to);
        return Some(format!("node `{to}` is drained, or was removed"));
    }
    if let Err(unmovable) = view.can_move(instance) {
        return Some(unmovable.to_string());
    }
    let there = view.reports.get(&order.to);
    let there = there.and_then(|report| report.arrivals.get(instance));
    let here = problem_of(snapshot, instance, &order.from.node);
    here.or_else(|| there.map(|word| format!("node `{}`: {word}", view.called(&order.to))))
}
