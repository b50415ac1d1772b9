//! What a node that drains still has, and what becomes of it: so that people know when it is empty.
//!
//! Not here: any rule. It reads what placement said.

use crate::id::{InstanceId, NodeId};
use crate::report::InstanceState;
use crate::view::{Freshness, View};

use super::{Placement, Role};

/// An instance that a node holds, by its last report, and does not run for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departing {
    pub instance: InstanceId,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes once that node runs it.
    Moves { to: NodeId },
    /// It is about to stop.
    Stops,
    /// Stopped, and kept with its data.
    StandsBy,
    /// It runs on, for want of another node or because this version cannot judge it.
    Stays,
}

/// Everything that the node holds and that does not fall to it, in the order of instances. Nothing of a node that is
/// away: what it ran is taken over, and what it says is old.
pub fn departures(view: &View, placement: &Placement, node: NodeId) -> Vec<Departing> {
    if view.freshness(&node) >= Freshness::Absent {
        return Vec::new();
    }
    let report = view.reports.get(&node);
    let holds = report.into_iter().flat_map(|report| &report.holds);
    let departing = holds.filter_map(|(instance, hold)| {
        let fate = match placement.role(instance, &node) {
            Role::Run(_) => return None,
            Role::Keep => Fate::Stays,
            Role::KeepUntilRelieved(assignment) => match assignment.holder {
                Some(to) => Fate::Moves { to },
                None => Fate::Stays,
            },
            Role::Stop if hold.state == InstanceState::Stopped => Fate::StandsBy,
            Role::Stop => Fate::Stops,
        };
        Some(Departing {
            instance: instance.clone(),
            fate,
        })
    });
    departing.collect()
}
