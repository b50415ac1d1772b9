//! The view: what one node knows now. An immutable, ordered snapshot that every decision reads.
//!
//! It is made of three parts: the *documents* (what people want), the *reports* (what is), and
//! *standings* (who was heard of lately). It does not say whose view it is: equal views must give
//! equal answers on every node.

mod absence;
mod conflict;
mod deployed;
mod following;
mod history;
mod moving;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::external_registry::{Registry, RegistryName};
use crate::id::{
    EnvelopeHash, GridId, GridName, NodeId, NodeName, RevisionHash, ServiceKey, ServiceName,
    StackName, TokenId,
};
use crate::network::ipam::Subnet;
use crate::network::plan::AddressPlan;
use crate::network::vpn::Vpn;
use crate::report::Report;
use crate::stack::{Affinity, FrozenImage, Service, StackLabel};
use crate::time::WallTime;
use crate::volume::{Volume, VolumeName};

pub use absence::{Absence, LastSign};
pub use conflict::{ConflictSide, ConflictSubject, ConflictValue, StackConflict};
pub use deployed::{DeployRecord, Deployed, Halt, HaltCause, TakenBack};
pub use history::{
    Definition, History, InvalidRevisionName, RevisionName, StackRevision, UnknownRevision,
};
pub use moving::{MoveOrder, MoveState, Unmovable};

/// What one node knows now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    pub documents: Arc<Documents>,
    /// The last known report of every roster member that ever sent one.
    pub reports: BTreeMap<NodeId, Arc<Report>>,
    /// How lately each roster member was heard of. A member without an entry was never heard.
    pub standings: BTreeMap<NodeId, Standing>,
    /// Of nodes that are absent: only of those of which there is something to say.
    pub absences: BTreeMap<NodeId, Absence>,
}

impl View {
    /// How lately a node was heard of; `Absent` if never in this boot.
    pub fn freshness(&self, node: &NodeId) -> Freshness {
        self.standings
            .get(node)
            .map_or(Freshness::Absent, |standing| standing.freshness)
    }

    /// What is known of a node's absence; nothing where it is not absent.
    pub fn absence(&self, node: &NodeId) -> Absence {
        self.absences.get(node).copied().unwrap_or_default()
    }

    /// Whether the node can be given work and relied upon now.
    pub fn is_fresh(&self, node: &NodeId) -> bool {
        self.freshness(node) == Freshness::Fresh
    }
}

/// What people want, materialised from the documents. Equal envelopes give equal values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Documents {
    pub grid: Grid,
    pub roster: BTreeMap<NodeId, Member>,
    /// Removed for good: a removed id never comes back.
    pub removed: BTreeSet<NodeId>,
    /// What those who were members once and are none any more were called last.
    pub former: BTreeMap<NodeId, NodeName>,
    /// Nodes that a person said are dead, with the last sign of life that was known of each then. Of members alone.
    pub assumed_dead: BTreeMap<NodeId, LastSign>,
    /// Admitted by a node that had been removed, as only the other side of a split knew: such an
    /// admission is looked through. Another member may admit them.
    pub disowned: BTreeSet<NodeId>,
    pub join_tokens: BTreeMap<TokenId, JoinToken>,
    /// SHA-256 of each administrator token that is valid for the API over TCP.
    pub admin_tokens: BTreeSet<[u8; 32]>,
    pub vpn: Vpn,
    /// Where images are pulled from with a name and a password.
    pub registries: BTreeMap<RegistryName, Arc<Registry>>,
    pub volumes: BTreeMap<VolumeName, Arc<Volume>>,
    /// By name, the changes that created what was removed: copies of these are no longer kept.
    pub removed_volumes: BTreeMap<VolumeName, BTreeSet<EnvelopeHash>>,
    pub stacks: BTreeMap<StackName, StackRecord>,
    /// Of each stack that is installed.
    pub histories: BTreeMap<StackName, Arc<History>>,
    pub services: BTreeMap<ServiceKey, ServiceRecord>,
    /// Registers that two sides of a split wrote differently: the winner is applied, both are shown.
    pub conflicts: Vec<Conflict>,
    /// Those of stacks in full, but for pins, which settle themselves. A stack without one has no entry.
    pub stack_conflicts: BTreeMap<StackName, Vec<StackConflict>>,
}

impl Documents {
    /// Whether the node believes, or once believed, to be a member and is none: it may hear why, and
    /// nothing else.
    pub fn excludes(&self, node: &NodeId) -> bool {
        self.removed.contains(node) || self.disowned.contains(node)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// `None` before `init` or `join`.
    pub id: Option<GridId>,
    pub name: Option<GridName>,
    /// The version of the placement rules that all nodes compute; raised once every fresh node can.
    pub placement_version: u32,
    pub plan: AddressPlan,
    /// What services ask for that have no affinity of their own.
    pub default_affinity: Vec<Affinity>,
    pub created: WallTime,
}

/// A node of the roster: it belongs until an operator removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: NodeName,
    /// Who admitted it; itself for the first node.
    pub sponsor: NodeId,
    pub joined: WallTime,
    /// `key=value` or bare, sorted, each once.
    pub labels: Vec<String>,
    pub availability: Availability,
    /// Counts from 1 in the order of admission as far as known; ties after a split are broken by key.
    pub number: u32,
    /// Where it was reached when it was admitted: `IP:PORT`, for peers that have no report of it yet.
    pub addresses: Vec<String>,
    /// Its /24 of the grid's plan, which no other member has; `None` if its admission names none that
    /// this version knows.
    pub subnet: Option<Subnet>,
}

impl Member {
    /// The node's availability zone: the value of label `az`, else `default` (as Kontena).
    pub fn zone(&self) -> &str {
        self.label_or_default("az")
    }

    /// The value of its first label `KEY=VALUE`, else `default`.
    pub fn label_or_default(&self, key: &str) -> &str {
        let mut labels = self.labels.iter();
        let value = labels.find_map(|label| label.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or("default")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    #[default]
    Active,
    /// Takes no new work; what can move moves, stateful instances are stopped. People also ask for it as `evacuate`.
    #[serde(alias = "evacuate")]
    Drain,
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Drain => "drain",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    pub created: WallTime,
    pub revoked: bool,
}

/// A stack as it is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackRecord {
    /// `name` or `user/name`, from the file.
    pub stack: String,
    pub version: String,
    #[serde(default)]
    pub description: Option<String>,
    /// The file's text.
    #[serde(default)]
    pub source: Option<String>,
    /// The service that has the stack's own name in DNS too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<ServiceName>,
    /// For people.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "StackLabel::those_that_are_right"
    )]
    pub labels: Vec<StackLabel>,
    /// What the file's variables were given, but what has to do with the vault: the defaults of the next upgrade.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, serde_json::Value>,
    /// What its file says of itself under `meta`: nothing follows from it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// The stack that brought it along, and takes it with it when it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<StackName>,
    /// Counts along this stack's history, from 1.
    pub revision: u64,
    /// The services of this revision. One that the stack no longer has goes when it is deployed.
    #[serde(default)]
    pub services: Vec<ServiceName>,
    /// What each of them is in this revision, so that it can be gone back to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: BTreeMap<ServiceName, Definition>,
    #[serde(default)]
    pub created: WallTime,
    #[serde(default)]
    pub updated: WallTime,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// A service as people want it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRecord {
    /// The change that created it. A service that is created anew under an old name has another: it is
    /// another service, and gets no data of the old one.
    pub creation: EnvelopeHash,
    /// The lamport clock of that change: what is held of an earlier deploy is of another service of the name.
    pub born: u64,
    /// The newest definition, deployed or not.
    pub latest: Revision,
    /// What shall run; `None` until the first deploy.
    pub deployed: Option<Deployed>,
    /// The orders to deploy that are known, the newest first.
    pub deploys: Arc<[DeployRecord]>,
    /// Wanted instances (per node for `daemon`).
    pub instances: u32,
    pub state: Lifecycle,
    /// Stateful instances are bound to the node that holds their volume. By instance number.
    pub pins: BTreeMap<u32, Pin>,
    /// Who grants its lease: those that its witnesses' names meant when it was created. Empty where it has none.
    pub witnesses: BTreeSet<NodeId>,
    /// What was ordered last of moves of such instances, whether it counts or not. By instance number.
    pub moves: BTreeMap<u32, MoveOrder>,
    pub created: WallTime,
    pub updated: WallTime,
}

impl ServiceRecord {
    /// The volumes of the grid that its newest definition mounts, and those of what runs.
    pub fn volumes(&self) -> impl Iterator<Item = &VolumeName> {
        let deployed = self.deployed.as_ref();
        let deployed = deployed.and_then(|deployed| deployed.revision.service.as_ref().ok());
        let definitions = self.latest.service.as_ref().ok().into_iter();
        definitions
            .chain(deployed)
            .flat_map(|service| service.named_volumes())
    }
}

/// One definition of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    pub hash: RevisionHash,
    /// Counts along this service's history, from 1: for people.
    pub number: u64,
    /// `Err` says why this version of Kontena cannot read it: such a service keeps what it runs.
    pub service: Result<Arc<Service>, String>,
    /// Of one that is deployed: what the name of its image meant then, if that was known.
    pub image: Option<FrozenImage>,
}

/// What people want of a service as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    #[default]
    Running,
    Stopped,
}

/// The node that a stateful instance is bound to. Of two that were written at once the lower one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pin {
    pub epoch: u64,
    pub node: NodeId,
    /// Whether a node handed it over, with the data. It tells such a binding from one by force to the same node,
    /// which begins without that data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
}

/// A register with more than one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// `stack/redis`, `grid` …
    pub document: String,
    /// `service/web/instances` …
    pub register: String,
    /// What is applied.
    pub applied: String,
    /// What is not.
    pub others: Vec<String>,
}

/// How lately a node was heard of, by the freshness vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub freshness: Freshness,
    /// Since when, by the viewer's clock.
    pub since: WallTime,
}

/// In the order of decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    Fresh,
    /// Keeps its traffic, gets no new work.
    Late,
    /// Out of DNS and balancers.
    Stale,
    /// Its instances may be taken over.
    Absent,
    /// Absent for more than 24 h: no longer counts among the nodes whose half must be seen.
    Gone,
}

impl Freshness {
    /// The status that people see: a late node still counts as online.
    pub fn is_online(self) -> bool {
        matches!(self, Self::Fresh | Self::Late)
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fresh => "fresh",
            Self::Late => "late",
            Self::Stale => "stale",
            Self::Absent => "absent",
            Self::Gone => "gone",
        })
    }
}
