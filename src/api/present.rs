//! The view as wire types: pure, one snapshot in, one answer out.
//!
//! Not here: HTTP, and what a value means (`types`).

mod conflict;
pub(super) mod containers;
pub(super) mod deploys;
pub(super) mod grid;
pub(super) mod instances;
pub(super) mod moving;
pub(super) mod node;
pub(super) mod registry;
pub(super) mod revision;
pub(super) mod runs;
pub(super) mod service;
pub(super) mod stack;
pub(super) mod volume;
pub(super) mod vpn;

use std::sync::{Arc, OnceLock};

use kontena_core::id::{GridName, NodeId, NodeName, ServiceKey, StackName};
use kontena_core::placement::{Placement, place};
use kontena_core::report::Report;
use kontena_core::view::{Freshness, Member, ServiceRecord, StackRecord, View};

use super::answer::Refused;
use super::types::instance::NodeRef;

/// A member's view at one moment.
pub(super) struct Snapshot {
    pub(super) view: Arc<View>,
    pub(super) grid: GridName,
    /// Computed when it is first asked for.
    placement: OnceLock<Placement>,
}

impl Snapshot {
    /// `None` if the view is of no grid.
    pub(super) fn of(view: Arc<View>) -> Option<Self> {
        let grid = view.documents.grid.name.clone()?;
        Some(Self {
            view,
            grid,
            placement: OnceLock::new(),
        })
    }

    fn placement(&self) -> &Placement {
        self.placement.get_or_init(|| place(&self.view))
    }

    pub(super) fn node(&self, name: &str) -> Result<(&NodeId, &Member), Refused> {
        let mut members = self.members();
        members
            .find(|(_, member)| member.name.as_str() == name)
            .ok_or_else(|| Refused::not_found("node", name))
    }

    /// In the order of their numbers.
    pub(super) fn members(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        let mut members: Vec<_> = self.view.documents.roster.iter().collect();
        members.sort_by_key(|(id, member)| (member.number, **id));
        members.into_iter()
    }

    pub(super) fn service(&self, key: &ServiceKey) -> Result<&ServiceRecord, Refused> {
        let services = &self.view.documents.services;
        services
            .get(key)
            .ok_or_else(|| Refused::not_found("service", &key.to_string()))
    }

    pub(super) fn stack(&self, name: &StackName) -> Result<&StackRecord, Refused> {
        let stacks = &self.view.documents.stacks;
        stacks
            .get(name)
            .ok_or_else(|| Refused::not_found("stack", name.as_str()))
    }

    pub(super) fn services_of(
        &self,
        stack: &StackName,
    ) -> impl Iterator<Item = (&ServiceKey, &ServiceRecord)> {
        let services = self.view.documents.services.iter();
        services.filter(move |(key, _)| key.stack == *stack)
    }

    /// The reports of members: what a removed node once said no longer counts.
    pub(super) fn reports(&self) -> impl Iterator<Item = (&NodeId, &Member, &Report)> {
        self.view.reports.iter().filter_map(|(id, report)| {
            let member = self.view.documents.roster.get(id)?;
            Some((id, member, report.as_ref()))
        })
    }

    fn is_absent(&self, node: &NodeId) -> bool {
        match self.view.freshness(node) {
            Freshness::Fresh | Freshness::Late | Freshness::Stale => false,
            Freshness::Absent | Freshness::Gone => true,
        }
    }

    fn node_ref(&self, id: &NodeId, name: &NodeName) -> NodeRef {
        NodeRef {
            id: format!("{}/{name}", self.grid),
            name: name.to_string(),
            public_ip: node::addresses(self, id).public,
        }
    }

    /// Kontena's id of a service, `grid/stack/name`.
    fn service_id(&self, key: &ServiceKey) -> String {
        format!("{}/{}/{}", self.grid, key.stack, key.service)
    }
}
