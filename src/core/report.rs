//! Reports: what a node says of itself, and what it holds.
//!
//! One versioned register per node, written by that node only, newest wins ([`ReportOrder`]); never
//! in a document. The last known one is kept on disk. A report travels signed ([`SignedReport`]), so
//! whoever relays it cannot change it, and the fields of a newer version survive relaying.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, NodeId, RevisionHash};
use crate::identity::{Context, Seal, SecretKey, verify};
use crate::job::Ledger;
use crate::stack::ImageMark;
use crate::time::WallTime;
use crate::volume::Copy;

/// The order of one node's reports: boot counter, then the boot's random nonce, then the sequence.
///
/// Two nonces of one node that alternate are a clone (rules of the mesh 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ReportOrder {
    pub boot: u64,
    pub nonce: u64,
    pub sequence: u64,
}

/// Everything a node says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub node: NodeId,
    pub order: ReportOrder,
    /// The version of the daemon, as `kontena --version` prints it.
    pub version: String,
    /// The highest `placement_version` that it can compute.
    pub placement_version: u32,
    pub engine: Engine,
    pub disk: Disk,
    /// Where it can be reached, best first: `IP:PORT`.
    pub addresses: Vec<String>,
    /// The last word of this boot: the daemon stops, and asks for a minute's patience. Older versions
    /// pass it on unread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarting: bool,
    pub holds: BTreeMap<InstanceId, Hold>,
    /// Instances that it was asked to run and refuses, and why.
    #[serde(default)]
    pub refusals: BTreeMap<InstanceId, String>,
    /// Images that it has ready for services that it holds nothing of: it stands by for them. What it holds needs no
    /// entry.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub images: BTreeSet<ImageMark>,
    /// Images that it wants to have ready and could not fetch, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing_images: BTreeMap<ImageMark, String>,
    /// The volumes that it keeps of ours, by their names on its engine; [`Report::MAX_VOLUMES`] at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Copy>,
    /// The instances bound to it of which it has started a container since: their data is here, and nowhere else.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub made: BTreeSet<InstanceId>,
    /// The runs of the jobs that it has, or had while their services are there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<InstanceId, Ledger>,
    /// Containers beside the instances, by their names, for as long as somebody waits for their commands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub one_offs: BTreeMap<String, OneOff>,
    /// The instances that are bound to it by a move and of which it has started a container since, with the epochs of their
    /// bindings: the data that they left elsewhere may go.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arrived: BTreeMap<InstanceId, u64>,
    /// The instances that are to move to it and do not come now, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arrivals: BTreeMap<InstanceId, String>,
    /// Its data plane; `None` where none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl Report {
    /// About 200 bytes each; what a node keeps beyond them it keeps untold.
    pub const MAX_VOLUMES: usize = 1_000;

    /// Whether its stateless holds are released: engine or disk has failed, so they are for others to
    /// take at once, whether or not their containers still run (rules of the mesh 2).
    pub fn has_released(&self) -> bool {
        let engine_failed = match self.engine.state {
            EngineState::Failed { .. } => true,
            EngineState::Starting | EngineState::Working | EngineState::Troubled { .. } => false,
        };
        engine_failed || matches!(self.disk, Disk::Failed { .. })
    }
}

/// A one-off container that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneOff {
    /// In whose place.
    pub instance: InstanceId,
    /// Docker's id.
    pub container: String,
    pub since: WallTime,
}

/// The node's data plane, as far as others act upon it. Its key is not said: it follows from the node's.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Network {
    /// UDP, the same on all of its addresses.
    pub port: u16,
    /// The longest packet that its interface takes now, in bytes.
    pub mtu: u16,
    /// Where others see it, beside its own addresses: what a translator of addresses makes of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outer: Vec<SocketAddr>,
    /// Members that it found no way to for some time, directly or through another.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unreachable: BTreeSet<NodeId>,
}

/// The node's Docker engine.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Engine {
    pub state: EngineState,
    /// Docker's version, `20.10.24`; empty until it has answered once.
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub cpus: u32,
    #[serde(default)]
    pub memory_bytes: u64,
    /// As Docker names it: `x86_64`, `aarch64`.
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub operating_system: String,
    #[serde(default)]
    pub kernel: String,
    /// The volume drivers that it has, `local` among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_drivers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineState {
    /// It has not answered yet.
    #[default]
    Starting,
    Working,
    /// Silent or failing for less than a minute: the node gets no new work, and keeps what it holds.
    Troubled {
        since: WallTime,
        problem: String,
    },
    /// Silent or failing for a minute: stateless holds are released (rules of the mesh 2).
    Failed {
        since: WallTime,
        problem: String,
    },
}

impl EngineState {
    /// Since when it does not work, and why.
    pub fn trouble(&self) -> Option<(WallTime, &str)> {
        match self {
            Self::Starting | Self::Working => None,
            Self::Troubled { since, problem } | Self::Failed { since, problem } => {
                Some((*since, problem))
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disk {
    #[default]
    Working,
    /// Could not be written for a minute: acknowledges nothing. Stateless holds are released, and each
    /// container runs on until its successor is healthy.
    Failed { since: WallTime, problem: String },
}

/// One instance that a node runs, or is starting or stopping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Rises with every change of holder; the lower one wins between equals (rules of the mesh 2).
    pub epoch: u64,
    /// The revision that runs, and the deploy it came with.
    pub revision: RevisionHash,
    pub generation: u64,
    pub state: InstanceState,
    pub health: Health,
    /// It is about to be replaced by its own holder: counts as down (rules of the mesh 3).
    #[serde(default)]
    pub updating: bool,
    /// It replaced a container of an older deploy, and has not been healthy for long since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_trial: bool,
    /// A container that it was before still runs, and goes once the names have left it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub former: bool,
    #[serde(default)]
    pub container: Option<String>,
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// The image id that it runs, `sha256:…`.
    #[serde(default)]
    pub image: Option<String>,
    /// Since when it is in this state, by the holder's clock.
    pub since: WallTime,
    /// For how long its container has been up, where the service asks for it ([`crate::stack::OnReturn`]): how often a
    /// minute was doubled since, and one more; 0 for less than a minute.
    #[serde(default, skip_serializing_if = "is_young")]
    pub age: u8,
    /// Why it failed, or what it waits for; below the first line the last ones that its container wrote.
    #[serde(default)]
    pub problem: Option<String>,
    /// Marks of the hooks that have run for it once and for all: whoever holds it next goes by them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hooks_ran: BTreeSet<String>,
    /// How often its container ended by itself since its deploy began here, or was ended because it did not do its work.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// Of the last of these ends; of a job, of the run whose container this is, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to what it may skip"
)]
fn is_young(age: &u8) -> bool {
    *age == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    Pending,
    Creating,
    Running,
    Stopping,
    Stopped,
    Failed,
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Healthy,
    Unhealthy,
    #[default]
    Unknown,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        })
    }
}

/// A report as it travels and as it is kept: its bytes and its author's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReport {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    seal: Seal,
}

/// Why a report was refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidReport {
    #[error("a report of {0} bytes is larger than {max}", max = SignedReport::MAX_BYTES)]
    TooLarge(usize),
    #[error("the report cannot be read: {0}")]
    Unreadable(String),
    #[error("the report of node {0:?} is not signed by it")]
    Forged(NodeId),
}

impl Report {
    /// Says whose it is, and nothing else yet.
    pub fn empty(node: NodeId, order: ReportOrder) -> Self {
        Self {
            node,
            order,
            version: String::new(),
            placement_version: 0,
            engine: Engine::default(),
            disk: Disk::Working,
            addresses: Vec::new(),
            restarting: false,
            holds: BTreeMap::new(),
            refusals: BTreeMap::new(),
            images: BTreeSet::new(),
            missing_images: BTreeMap::new(),
            volumes: BTreeMap::new(),
            made: BTreeSet::new(),
            jobs: BTreeMap::new(),
            one_offs: BTreeMap::new(),
            arrived: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            network: None,
            unknown: BTreeMap::new(),
        }
    }
}

impl SignedReport {
    /// About 2,000 instances on one node, at some 250 bytes each.
    pub const MAX_BYTES: usize = 512 * 1024;

    pub fn new(report: &Report, key: &SecretKey) -> Self {
        let bytes =
            serde_json::to_vec(report).expect("a report holds only text keys, text and numbers");
        let seal = key.sign(Context::Report, &bytes);
        Self { bytes, seal }
    }

    /// Tells it from other reports without reading it.
    pub(crate) fn seal(&self) -> Seal {
        self.seal
    }

    /// Checks size and signature and reads it.
    pub fn open(&self) -> Result<Report, InvalidReport> {
        let report = self.read()?;
        self.check_signature(&report.node)?;
        Ok(report)
    }

    /// Checks the size and reads it: what it says is not proved.
    pub(crate) fn read(&self) -> Result<Report, InvalidReport> {
        if self.bytes.len() > Self::MAX_BYTES {
            return Err(InvalidReport::TooLarge(self.bytes.len()));
        }
        serde_json::from_slice(&self.bytes)
            .map_err(|error| InvalidReport::Unreadable(error.to_string()))
    }

    pub(crate) fn check_signature(&self, node: &NodeId) -> Result<(), InvalidReport> {
        if verify(node.as_bytes(), Context::Report, &self.bytes, &self.seal) {
            Ok(())
        } else {
            Err(InvalidReport::Forged(*node))
        }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
