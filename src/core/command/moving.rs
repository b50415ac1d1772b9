//! Moving a bound instance to another node with its data, and taking that back.

use super::{Refusal, member, service};
use crate::document::edit::Edit;
use crate::id::{InstanceId, NodeId};
use crate::report::Report;
use crate::view::{
    Availability, Lifecycle, Member, MoveOrder, MoveState, Pin, ServiceRecord, View,
};

/// `volume move`: the instance runs on `node` once its data is there. Until then it is where it is.
pub(super) fn order(
    view: &View,
    instance: &InstanceId,
    node: NodeId,
    megabits: Option<u32>,
) -> Result<Vec<Edit>, Refusal> {
    let record = service::find(view, &instance.service)?;
    let invalid = |problem: String| Err(Refusal::Invalid(problem));
    if let Err(unmovable) = view.can_move(instance) {
        return invalid(format!("`{instance}` cannot be moved: {unmovable}"));
    }
    let pin = *record
        .pins
        .get(&instance.number)
        .expect("what can be moved is bound");
    if instance.number > record.instances {
        return invalid(format!(
            "`{}` has {} instances",
            instance.service, record.instances
        ));
    }
    if record.state == Lifecycle::Stopped {
        return invalid(format!("`{}` is stopped: start it first", instance.service));
    }
    if record.came_by(instance.number).is_some() && !has_arrived(view, instance, pin) {
        let node = view.called(&pin.node);
        return invalid(format!(
            "`{instance}` was moved to node `{node}`, and has not started there yet"
        ));
    }
    check_source(view, instance, pin)?;
    check_target(view, record, instance, node)?;
    if megabits.is_some_and(|megabits| megabits == 0 || megabits > MoveOrder::MAX_MEGABITS) {
        let most = MoveOrder::MAX_MEGABITS;
        return invalid(format!("a bandwidth is 1 to {most} megabits a second"));
    }
    if let Some(other) = record.moving(instance.number) {
        if other.to == node && other.megabits == megabits {
            return Ok(Vec::new());
        }
        return invalid(format!(
            "`{instance}` is being moved to node `{}`: cancel that first",
            view.called(&other.to)
        ));
    }
    let order = MoveOrder {
        from: pin,
        to: node,
        megabits,
        state: MoveState::Ordered,
    };
    Ok(vec![write(instance, order)])
}

/// `volume move --cancel`: nothing happens if it is done before the node that has the data hears of this.
pub(super) fn cancel(view: &View, instance: &InstanceId) -> Result<Vec<Edit>, Refusal> {
    let record = service::find(view, &instance.service)?;
    let order = record.moves.get(&instance.number);
    let bound = record.pins.get(&instance.number);
    let is_open =
        |order: &&MoveOrder| order.state == MoveState::Ordered && bound == Some(&order.from);
    let Some(order) = order.filter(is_open) else {
        return Err(Refusal::Invalid(format!("`{instance}` is not being moved")));
    };
    let order = MoveOrder {
        state: MoveState::Cancelled,
        ..order.clone()
    };
    Ok(vec![write(instance, order)])
}

/// An order whose node does not hear of it would wait.
fn check_source(view: &View, instance: &InstanceId, pin: Pin) -> Result<(), Refusal> {
    if view.freshness(&pin.node).is_online() {
        return Ok(());
    }
    let name = view.called(&pin.node);
    let problem = match view.documents.roster.contains_key(&pin.node) {
        true => format!("node `{name}`, which has the data of `{instance}`, is offline"),
        false => format!("the data of `{instance}` is on node `{name}`, which was removed"),
    };
    Err(Refusal::Invalid(problem))
}

fn check_target(
    view: &View,
    record: &ServiceRecord,
    instance: &InstanceId,
    node: NodeId,
) -> Result<(), Refusal> {
    let Member {
        name, availability, ..
    } = member::find(view, node)?;
    let problem = if record.pins.get(&instance.number).map(|pin| pin.node) == Some(node) {
        format!("`{instance}` is bound to node `{name}` already")
    } else if *availability == Availability::Drain {
        format!("node `{name}` is drained: nothing runs there")
    } else if !view.freshness(&node).is_online() {
        format!("node `{name}` is offline")
    } else if let Some(copy) = copy_in_the_way(view, instance, node) {
        if came_from(record, instance, node) {
            let problem = format!("node `{name}` has not removed yet what was moved from it");
            return Err(Refusal::Invalid(problem));
        }
        format!(
            "node `{name}` has a copy `{copy}` already, with data of its own: remove it there with `docker volume rm {copy}`"
        )
    } else {
        return Ok(());
    };
    Err(Refusal::Invalid(problem))
}

/// The order that brought it is what its data counts by until it was started.
fn has_arrived(view: &View, instance: &InstanceId, pin: Pin) -> bool {
    let report = view.reports.get(&pin.node);
    let arrived = report.and_then(|report| report.arrived.get(instance));
    arrived == Some(&pin.epoch)
}

/// Whether a node is the one that it was moved from last.
fn came_from(record: &ServiceRecord, instance: &InstanceId, node: NodeId) -> bool {
    let came = record.came_by(instance.number);
    came.is_some_and(|(order, _)| order.from.node == node)
}

/// As far as the node has told: it looks again itself.
fn copy_in_the_way(view: &View, instance: &InstanceId, node: NodeId) -> Option<String> {
    let report: &Report = view.reports.get(&node)?;
    let names = view.copies_of(instance).into_iter();
    let mut there = names.filter(|name| report.volumes.contains_key(name));
    there.next()
}

fn write(instance: &InstanceId, order: MoveOrder) -> Edit {
    Edit::Move {
        service: instance.service.clone(),
        number: instance.number,
        order,
    }
}
