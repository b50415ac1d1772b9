//! What is asked of this node: the instances that fall to it, and those that fall to others.
//!
//! Made from placement and the view by whoever drives [`super::Instances`]. An instance that this
//! node has and that is in neither list is unwanted: it is stopped and removed. So goals are given
//! only by a member of the grid whose documents are loaded.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{EnvelopeHash, InstanceId, NodeId, RevisionHash};
use crate::job::Ledger;
use crate::report::Hold;
use crate::schedule::Slot;
use crate::stack::{FrozenImage, Service};
use crate::time::Instant;
use crate::view::Lifecycle;
use crate::volume::{Copy, Volume, VolumeName};

use super::action::Ownership;

use super::arriving::{Arrival, Inbound, Settlement};
use super::jobs::Fate;
use super::leases::LeaseTerms;
use super::moving::Outbound;
use super::order::Awaited;
use super::rollout::{Hindrance, Peer};
use super::volumes::RemovedVolumes;

/// All that is asked of this node now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Goals {
    pub wanted: Vec<Wanted>,
    pub leaving: Vec<Leaving>,
    /// This node suspects itself: until then it takes nothing over from absent nodes.
    pub hold_takeovers_until: Option<Instant>,
    /// Copies of these go: no service uses them.
    pub removed_volumes: RemovedVolumes,
    /// The instances that are bound to this node, stateful ones and jobs, with the epochs of their bindings.
    pub bound: BTreeMap<InstanceId, u64>,
    /// Those of them that are ordered to go.
    pub outbound: BTreeMap<InstanceId, Outbound>,
    /// Those that are ordered to come.
    pub inbound: BTreeMap<InstanceId, Inbound>,
    /// What becomes of what came.
    pub fates: BTreeMap<InstanceId, Settlement>,
    /// Those that are bound to this node by a move, with the copies that came.
    pub came: BTreeMap<InstanceId, BTreeSet<String>>,
    /// Copies that are on another node since a move, where the instance was started since.
    pub departed: BTreeMap<String, Copy>,
    /// The jobs that it has a ledger of and is not to run.
    pub jobs: BTreeMap<InstanceId, Fate>,
}

impl Goals {
    /// Of a node that is none any more: whatever it has goes.
    pub fn none(
        ledgers: &BTreeMap<InstanceId, Ledger>,
        arrivals: &BTreeMap<InstanceId, Arrival>,
    ) -> Self {
        let vanish = |instance: &InstanceId| (instance.clone(), Fate::Vanishes);
        let discard = |instance: &InstanceId| (instance.clone(), Settlement::Discard);
        Self {
            jobs: ledgers.keys().map(vanish).collect(),
            fates: arrivals.keys().map(discard).collect(),
            ..Self::default()
        }
    }
}

/// An instance that falls to this node.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub instance: InstanceId,
    pub service: Arc<Service>,
    /// The change that created the service ([`crate::view::ServiceRecord::creation`]).
    pub creation: EnvelopeHash,
    pub revision: RevisionHash,
    /// Counts along the service's history: for a label that people read.
    pub revision_number: u64,
    pub generation: u64,
    /// Those that it mounts, as far as they are known here.
    pub volumes: BTreeMap<VolumeName, Arc<Volume>>,
    /// The instances whose volumes it mounts besides, in their order.
    pub sources: Vec<InstanceId>,
    /// What the image's name meant when this deploy was accepted; `None` where nobody could tell.
    pub image: Option<FrozenImage>,
    /// What is of an older deploy is of an earlier service of the name
    /// ([`crate::view::ServiceRecord::born`]).
    pub born: u64,
    /// Nobody goes on with this deploy.
    pub halted: Option<Hindrance>,
    /// So many instances, those with the lowest numbers, are replaced; the others wait.
    pub canary: Option<u32>,
    /// Nobody who is heard knows a newer deploy. So a container of one is of a deploy that is lost, and is
    /// replaced as one of an older deploy is.
    pub is_newest: bool,
    /// It takes a deploy back: what runs of its revision and was not replaced yet is right, of whatever deploy from
    /// this one on.
    pub keeps_from: Option<u64>,
    /// What its service waits for before anything of it begins with this deploy.
    pub awaited: Option<Awaited>,
    /// [`Lifecycle::Stopped`]: its container is stopped and kept.
    pub state: Lifecycle,
    /// Bound to this node (stateful), or one for each node (daemon): once it has data here, refusing it helps nobody.
    pub fixed: bool,
    /// It runs only while this node has this lease.
    pub lease: Option<LeaseTerms>,
    /// The previous holder is absent.
    pub takeover: bool,
    /// The highest epoch seen of this instance in any report, whoever sent it; 0 if it never ran.
    pub epoch_seen: u64,
    /// Of a job: the newest slot that another node ran, by any report.
    pub run_elsewhere: Option<Slot>,
    /// Marks of the hooks that have run for this instance once and for all, as any report has it.
    pub hooks_ran: BTreeSet<String>,
    /// Other holders of this instance that are not absent.
    pub rivals: Vec<Rival>,
    /// One for each instance number of the service that somebody has or is to have, this one included.
    pub peers: Vec<Peer>,
}

impl Wanted {
    /// Whether it is to be run at its slots.
    pub(super) fn is_job(&self) -> bool {
        self.state == Lifecycle::Running && self.service.is_job()
    }

    pub(super) fn is_daemon(&self) -> bool {
        self.service.deploy.strategy == crate::stack::Strategy::Daemon
    }

    /// A volume that it mounts and that is not known here: the documents may come one after the other.
    pub(super) fn lacks(&self) -> Option<&VolumeName> {
        let mut named = self.service.named_volumes();
        named.find(|name| !self.volumes.contains_key(*name))
    }

    pub(super) fn is_met_by(&self, owner: &Ownership) -> bool {
        self.aim().is_met_by(&owner.revision, owner.generation)
    }

    /// The deploy that is wanted.
    pub(super) fn aim(&self) -> Aim<'_> {
        Aim {
            revision: &self.revision,
            generation: self.generation,
            is_newest: self.is_newest,
            keeps_from: self.keeps_from,
        }
    }
}

/// A deploy that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Aim<'a> {
    pub revision: &'a RevisionHash,
    pub generation: u64,
    /// [`Wanted::is_newest`].
    pub is_newest: bool,
    /// [`Wanted::keeps_from`].
    pub keeps_from: Option<u64>,
}

impl Aim<'_> {
    /// Whether a container of that deploy is right. One of a newer deploy than the documents here know
    /// of is kept too, while it may be this replica that lags (a restored disk, a change on its way).
    pub(super) fn is_met_by(self, revision: &RevisionHash, generation: u64) -> bool {
        match generation.cmp(&self.generation) {
            Ordering::Greater => !self.is_newest,
            Ordering::Equal => revision == self.revision,
            Ordering::Less => {
                let is_kept = self.keeps_from.is_some_and(|from| generation >= from);
                is_kept && revision == self.revision
            }
        }
    }
}

/// Another node, not absent, that holds the same instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Rival {
    pub node: NodeId,
    pub hold: Hold,
    /// By the order of the rules (healthy at the wanted revision, epoch, score); a holder that is
    /// not eligible ranks behind everybody.
    pub ranks_before_us: bool,
}

/// An instance that this node has, and that does not fall to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    pub instance: InstanceId,
    pub departure: Departure,
}

/// Why an instance is not to stay here, and so when it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It falls to another node: it goes once that node's report shows it running and healthy at
    /// the wanted deploy.
    Handover { winner_ready: bool },
    /// Stateful, and this node is drained, or nobody is bound to it: stopped at once, while container and hold
    /// stay (Kontena).
    Drained,
    /// Nobody wants it here: removed, scaled below, stateful and bound elsewhere. It goes at once.
    Unwanted,
    /// Cannot be judged now (this version cannot read the revision, no node fits): left as it is.
    Unjudged,
}
