//! Whose lines are wanted, found in a view.

use kontena_core::id::{InstanceId, ServiceKey, ServiceName, StackName};
use kontena_core::report::InstanceState;
use kontena_core::view::Freshness;

use super::Wanted;
use crate::api::answer::Refused;
use crate::api::backend::LogSource;
use crate::api::present::{self, Snapshot, instances};
use crate::api::types::log::MissingLog;

/// What a container must match: what the path names, and of that only what the lists name. An empty list asks for
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Selection {
    pub(in crate::api) stack: Option<StackName>,
    /// Of the stack.
    pub(in crate::api) service: Option<ServiceKey>,
    /// A node and a container, by their names.
    pub(in crate::api) container: Option<(String, String)>,
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
                    is_running: is_running(hold.state),
                    since: hold.since,
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

    /// That there is what was named: a log that cannot be is a mistake, not an empty one.
    pub(in crate::api) fn check(&self, snapshot: &Snapshot) -> Result<(), Refused> {
        for name in &self.nodes {
            snapshot.node(name)?;
        }
        for name in &self.containers {
            present::containers::check(snapshot, name)?;
        }
        if let (Some(key), Some(number)) = (&self.service, self.instance) {
            instances::check(snapshot, key, number)?;
        }
        for (stack, service) in &self.services {
            let keys = self.keys(snapshot, stack.as_ref(), service)?;
            if let Some(number) = self.instance {
                any_has(snapshot, &keys, number)?;
            }
        }
        Ok(())
    }

    /// The services of a name: several where no stack is named.
    fn keys(
        &self,
        snapshot: &Snapshot,
        stack: Option<&StackName>,
        service: &ServiceName,
    ) -> Result<Vec<ServiceKey>, Refused> {
        if let Some(stack) = stack.or(self.stack.as_ref()) {
            let key = ServiceKey::new(stack.clone(), service.clone());
            snapshot.service(&key)?;
            return Ok(vec![key]);
        }
        let services = snapshot.view.documents.services.keys();
        let keys: Vec<ServiceKey> = services
            .filter(|key| key.service == *service)
            .cloned()
            .collect();
        if keys.is_empty() {
            return Err(Refused::not_found("service", service.as_str()));
        }
        Ok(keys)
    }

    fn has(&self, node: &str, id: &InstanceId) -> bool {
        let key = &id.service;
        let is_named = |(stack, service): &(Option<StackName>, ServiceName)| {
            *service == key.service && stack.as_ref().is_none_or(|stack| *stack == key.stack)
        };
        let is_container =
            |(on, name): &(String, String)| on == node && *name == id.container_name();
        self.stack.as_ref().is_none_or(|stack| *stack == key.stack)
            && self.service.as_ref().is_none_or(|service| service == key)
            && self.container.as_ref().is_none_or(is_container)
            && (self.services.is_empty() || self.services.iter().any(is_named))
            && self.instance.is_none_or(|number| number == id.number)
            && (self.nodes.is_empty() || self.nodes.iter().any(|name| name == node))
            && (self.containers.is_empty() || self.containers.contains(&id.container_name()))
    }
}

/// Whether its log goes on.
fn is_running(state: InstanceState) -> bool {
    match state {
        InstanceState::Running | InstanceState::Stopping => true,
        InstanceState::Pending
        | InstanceState::Creating
        | InstanceState::Stopped
        | InstanceState::Failed => false,
    }
}

fn any_has(snapshot: &Snapshot, keys: &[ServiceKey], number: u32) -> Result<(), Refused> {
    let mut outcome = Ok(());
    for key in keys {
        outcome = instances::check(snapshot, key, number);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
