//! Whose lines are wanted, found in a view.

use kontena_core::id::{InstanceId, ServiceName, StackName};
use kontena_core::view::Freshness;

use super::Wanted;
use crate::api::backend::LogSource;
use crate::api::present::Snapshot;
use crate::api::types::log::MissingLog;

/// What a container must match; an empty list asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Selection {
    pub(in crate::api) stack: Option<StackName>,
    /// A service of any stack, or of one.
    pub(in crate::api) services: Vec<(Option<StackName>, ServiceName)>,
    pub(in crate::api) instance: Option<u32>,
    /// Names of nodes.
    pub(in crate::api) nodes: Vec<String>,
    /// Names of containers, `stack.service-N`.
    pub(in crate::api) containers: Vec<String>,
}

/// The containers that can be read, and those whose node is away.
pub(super) struct Found {
    pub(super) readable: Vec<Wanted>,
    pub(super) away: Vec<MissingLog>,
}

impl Selection {
    pub(super) fn find(&self, snapshot: &Snapshot) -> Found {
        let mut found = Found {
            readable: Vec::new(),
            away: Vec::new(),
        };
        for (node, member, report) in snapshot.reports() {
            let holds = report.holds.iter();
            for (id, hold) in holds.filter(|(id, _)| self.has(member.name.as_str(), id)) {
                let Some(container) = hold.container.clone() else {
                    continue;
                };
                let wanted = Wanted {
                    source: LogSource {
                        node: *node,
                        container,
                    },
                    name: id.container_name(),
                    node: member.name.to_string(),
                };
                match snapshot.view.freshness(node) {
                    Freshness::Fresh | Freshness::Late | Freshness::Stale => {
                        found.readable.push(wanted);
                    }
                    Freshness::Absent | Freshness::Gone => {
                        found.away.push(wanted.missing("the node is offline"));
                    }
                }
            }
        }
        found
    }

    fn has(&self, node: &str, id: &InstanceId) -> bool {
        let key = &id.service;
        let is_named = |(stack, service): &(Option<StackName>, ServiceName)| {
            *service == key.service && stack.as_ref().is_none_or(|stack| *stack == key.stack)
        };
        self.stack.as_ref().is_none_or(|stack| *stack == key.stack)
            && (self.services.is_empty() || self.services.iter().any(is_named))
            && self.instance.is_none_or(|number| number == id.number)
            && (self.nodes.is_empty() || self.nodes.iter().any(|name| name == node))
            && (self.containers.is_empty() || self.containers.contains(&id.container_name()))
    }
}
