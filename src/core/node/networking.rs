//! This node's part in the grid's network: what its data plane is told, and what of it others hear.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::NodeId;
use crate::network::peers::{self, Wanted};
use crate::network::sight::{self, Containers, Sight, Unreached};
use crate::network::vpn;
use crate::reconcile::wiring::Wiring;
use crate::report;
use crate::time::{Instant, Now};
use crate::view::{Documents, View};

use super::{Node, Output, Phase};

/// What was told and seen last.
#[derive(Debug, Default)]
pub(super) struct Networking {
    sight: Sight,
    unreached: Unreached,
    /// Who is told to be unreachable.
    told: BTreeSet<NodeId>,
    version: u64,
    wanted: Option<Wanted>,
    /// What it was computed from: standings and places, and the documents.
    seen: Option<[u64; 2]>,
    took_part: bool,
    documents: Option<Arc<Documents>>,
    /// Where VPN users are limited, what they may reach follows from every report.
    view: Option<Arc<View>>,
}

impl Networking {
    /// Rises whenever the report would say something else.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn report(&self) -> Option<report::Network> {
        let plane = self.sight.plane.as_ref()?;
        Some(sight::report(plane, self.told.clone()))
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.sight.problem.as_deref()
    }

    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        self.unreached.next_wake(now)
    }
}

impl Node {
    pub(super) fn network_seen(&mut self, sight: Sight, now: Now) {
        let unreached = sight.plane.as_ref().map(|plane| plane.unreached.clone());
        let networking = &mut self.networking;
        networking
            .unreached
            .update(&unreached.unwrap_or_default(), now.monotonic);
        if networking.sight != sight {
            networking.sight = sight;
            networking.version += 1;
        }
    }

    /// Tells the data plane what follows from the view, if that changed.
    pub(super) fn set_network(&mut self) {
        let seen = self.seen_places();
        let documents = &self.view.documents;
        let before = self.networking.documents.as_ref();
        let are_same = before.is_some_and(|before| Arc::ptr_eq(before, documents));
        let limited = vpn::limits_clients(&self.view, self.me).then(|| Arc::clone(&self.view));
        let is_reach_same = match (&self.networking.view, &limited) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let takes_part = match self.phase {
            Phase::Member => true,
            Phase::Alone | Phase::Joining | Phase::Leaving | Phase::Removed | Phase::Cloned => {
                false
            }
        };
        let is_part_same = self.networking.took_part == takes_part;
        if are_same && is_reach_same && is_part_same && self.networking.seen == seen {
            return;
        }
        self.networking.seen = seen;
        self.networking.took_part = takes_part;
        self.networking.view = limited;
        self.networking.documents = Some(Arc::clone(documents));
        let wanted = takes_part
            .then(|| peers::wanted(&self.view, self.me))
            .flatten();
        if self.networking.wanted != wanted {
            self.networking.wanted.clone_from(&wanted);
            self.push(Output::SetNetwork(wanted.map(Box::new)));
        }
    }

    /// Says who cannot be reached, once that lasts: of those alone who are there, because a dead node is
    /// unreachable to everybody.
    pub(super) fn tell_unreachable(&mut self, now: Now) {
        let mut told = self.networking.unreached.told(now.monotonic);
        told.retain(|node| self.view.is_fresh(node));
        if self.networking.told != told {
            self.networking.told = told;
            self.networking.version += 1;
        }
    }

    /// What containers of this node are attached to from now on.
    pub(super) fn wiring(&self) -> Wiring {
        let member = self.view.documents.roster.get(&self.me);
        let subnet = member.and_then(|member| member.subnet);
        match (self.networking.sight.containers, subnet) {
            (Containers::Plain, _) | (Containers::Attached, None) => Wiring::Plain,
            (Containers::Pending, _) => Wiring::Pending,
            (Containers::Attached, Some(subnet)) => Wiring::Grid(subnet),
        }
    }
}
