//! Whether somebody still runs an older deploy of a service, and is to replace it.

use crate::id::{InstanceId, ServiceKey};
use crate::report::InstanceState;
use crate::view::{Deployed, Freshness, View};

use super::Placement;

/// Whether an instance is with a node that is there, and is of an older deploy than `deployed`. What stands by
/// stopped, or is with somebody who only keeps it for want of another, is replaced by nobody.
pub fn lags(view: &View, placement: &Placement, service: &ServiceKey, deployed: &Deployed) -> bool {
    let assignments = placement.of_service(service).into_iter().flatten();
    let holders = assignments.filter_map(|(number, each)| Some((*number, each.holder?)));
    holders
        .filter(|(_, node)| view.freshness(node) < Freshness::Absent)
        .filter_map(|(number, node)| {
            let instance = InstanceId::new(service.clone(), number);
            view.reports.get(&node)?.holds.get(&instance)
        })
        .filter(|hold| hold.state != InstanceState::Stopped)
        .any(|hold| !deployed.is_met_by(&hold.revision, hold.generation))
}
