//! Binding a stateful instance to another node, on a person's word.

use super::{Refusal, member, service};
use crate::document::edit::Edit;
use crate::id::{InstanceId, NodeId};
use crate::stack::{Service, Strategy};
use crate::view::{Availability, Member, Pin, View};

/// `service force-move`: the instance runs on `node` from now on, without its data. Where its old node is not heard of it may
/// run there as well until that one hears of it; then it stops there, and its data stays.
pub(super) fn force_move(
    view: &View,
    instance: &InstanceId,
    node: NodeId,
    data_loss: bool,
) -> Result<Vec<Edit>, Refusal> {
    let record = service::find(view, &instance.service)?;
    let is_bound =
        |service: &Service| service.is_bound() && service.deploy.strategy != Strategy::Daemon;
    let bound = record.latest.service.as_deref().is_ok_and(is_bound);
    let pin = record.pins.get(&instance.number).filter(|_| bound);
    let Some(pin) = pin else {
        return Err(Refusal::Invalid(format!(
            "`{instance}` is bound to no node: only instances of stateful services and of jobs are, once they are deployed"
        )));
    };
    let Member {
        name: target,
        availability,
        ..
    } = member::find(view, node)?;
    if pin.node == node {
        return Err(Refusal::Invalid(format!(
            "`{instance}` is bound to node `{target}` already"
        )));
    }
    if instance.number > record.instances {
        return Err(Refusal::Invalid(format!(
            "`{}` has {} instances",
            instance.service, record.instances
        )));
    }
    if *availability == Availability::Drain {
        return Err(Refusal::Invalid(format!(
            "node `{target}` is drained: nothing runs there"
        )));
    }
    if !view.freshness(&node).is_online() {
        return Err(Refusal::Invalid(format!("node `{target}` is offline")));
    }
    if !data_loss {
        return Err(Refusal::LosesData {
            problem: format!(
                "the data of `{instance}` is on {} and stays there: on `{target}` it starts without it",
                holder(view, pin)
            ),
        });
    }
    Ok(vec![Edit::Pin {
        service: instance.service.clone(),
        number: instance.number,
        pin: Pin {
            epoch: pin.epoch.saturating_add(1),
            node,
            moved: false,
        },
    }])
}

fn holder(view: &View, pin: &Pin) -> String {
    let documents = &view.documents;
    let member = documents.roster.get(&pin.node).map(|member| &member.name);
    match member.or_else(|| documents.former.get(&pin.node)) {
        Some(name) => format!("node `{name}`"),
        None => "a node that was removed".to_owned(),
    }
}
