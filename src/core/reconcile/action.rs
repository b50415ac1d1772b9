//! What the Docker edge is told to do, and what it tells back.
//!
//! An action names everything: whoever carries it out chooses nothing, and refuses to replace a
//! container of a newer generation by an older one. Every action may be repeated: carrying it out
//! twice is the same as once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, NodeId, RevisionHash};
use crate::lease::Fenced;
use crate::network::ipam::Subnet;
use crate::report::{Engine, OneOff};
use crate::schedule::Slot;
use crate::stack::{
    FrozenImage, HealthCheck, Hook, Logging, Port, Privileges, Question, Resources, Volume,
};
use crate::time::WallTime;
use crate::volume::{Copy, Mounted};

use super::moving::AskId;

/// Correlates an action with its outcome. Unique in one boot of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActionId(pub u64);

/// A Docker container id, 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

/// One thing to do with the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make sure that the image is on the engine: nothing where it is present, else a pull. Where it is `frozen` that
    /// and no other: by its id, else by its digest; of one that only has an id, and is not here, what its name means
    /// here. Outcome: [`Success::Image`].
    Fetch {
        image: String,
        frozen: Option<FrozenImage>,
    },
    /// Remove a copy of a volume, of this grid and of that creation; one that is gone is success, and one that somebody else made
    /// stays. Outcome: [`Success::Done`], or [`Failure::Refused`] while a container has it.
    RemoveVolume { name: String, copy: Copy },
    /// A step of moving an instance's data from one node to another.
    Move(MoveStep),
    /// Create and start a container, and before it the volumes that it mounts and that are not there. Where one with this name and these labels is there already, it
    /// is started if need be and adopted. Where one of ours with this name and an older generation
    /// is there, it is a [`Failure::Occupied`]. Outcome: [`Success::Running`].
    Run(Box<ContainerSpec>),
    /// Run `command` by `/bin/sh -c` in a container of its own, made as `spec` says, and remove that. One that is left
    /// over of an earlier attempt goes first. Outcome: [`Success::Done`] if it ends with 0 within `limit`, else
    /// [`Failure::HookFailed`].
    Hook {
        spec: Box<ContainerSpec>,
        hook: String,
        command: String,
        limit: Duration,
    },
    /// Run `command` by `/bin/sh -c` in a running container. Outcome as of a [`Action::Hook`].
    Command {
        container: ContainerId,
        hook: String,
        command: String,
        limit: Duration,
    },
    /// Read the end of what a container wrote, ten lines at most. Outcome: [`Success::Lines`].
    LastLines { container: ContainerId },
    /// Start a container that exists and is stopped. Outcome: [`Success::Done`].
    Start { container: ContainerId },
    /// Send the stop signal, and SIGKILL after `grace`. A container that is gone is success.
    Stop {
        container: ContainerId,
        grace: Duration,
    },
    /// Remove a stopped container; its volumes stay. A container that is gone is success.
    Remove { container: ContainerId },
    /// Give a container this name. One that has it is success; where another has it: [`Failure::Occupied`].
    Rename {
        container: ContainerId,
        name: String,
    },
    /// Connect to a TCP port, until it accepts or `limit` is over. Outcome: [`Success::Done`].
    Probe {
        address: IpAddr,
        port: u16,
        limit: Duration,
    },
    /// Ask a running container once whether it does its work, for `limit` at most. Outcome:
    /// [`Success::Done`] if it does, [`Failure::NotReady`] if not.
    Check {
        target: CheckTarget,
        limit: Duration,
    },
}

/// One step of a move. What comes is on the node's disk, and noted there, before anything is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveStep {
    /// Give who asked these copies, all of them or nothing; nothing that mounts them runs. Outcome: [`Success::Done`] once
    /// the other node has said that all of it is on its disk, and what it has is what was sent; [`Failure::Unreachable`] where
    /// the connection broke, else [`Failure::Refused`].
    Send {
        ask: AskId,
        copies: Vec<Mounted>,
        /// That the engine has: copies are read by way of a container that is never started. `None`: there are none.
        image: Option<String>,
        megabits: Option<u32>,
    },
    /// Ask the other node for these copies, and make Docker volumes of them. What was here before is left alone, and is a
    /// [`Failure::Refused`]. Outcome: [`Success::Done`] once all is here, durable, and the other node was told.
    Bring {
        instance: InstanceId,
        from: NodeId,
        epoch: u64,
        copies: Vec<Mounted>,
        /// As that of [`MoveStep::Send`].
        image: String,
    },
    /// What came by the move that left the binding of that epoch is the instance's own from now on. [`Failure::Refused`] where
    /// not all of it is here.
    Accept { instance: InstanceId, epoch: u64 },
    /// Tell the other node that what came will be removed, and hear that nothing follows from its having come.
    Release {
        instance: InstanceId,
        epoch: u64,
        from: NodeId,
    },
    /// Remove what came. Nothing that came is success.
    Discard { instance: InstanceId },
}

/// Where a health check asks, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckTarget {
    Http {
        address: IpAddr,
        port: u16,
        uri: String,
    },
    Tcp {
        address: IpAddr,
        port: u16,
    },
    /// By `/bin/sh -c` in the container.
    Exec {
        container: ContainerId,
        command: String,
    },
}

impl CheckTarget {
    /// `None` while the container has no address.
    pub(super) fn of(check: &HealthCheck, container: &Container) -> Option<Self> {
        let address = container.care.address(container);
        Some(match &check.question {
            Question::Http { port, uri } => Self::Http {
                address: address?,
                port: *port,
                uri: uri.clone(),
            },
            Question::Tcp { port } => Self::Tcp {
                address: address?,
                port: *port,
            },
            Question::Exec { command } => Self::Exec {
                container: container.id.clone(),
                command: command.clone(),
            },
        })
    }
}

impl Action {
    /// How the container is made that it makes: of an instance, or of a hook.
    pub fn makes(&self) -> Option<&ContainerSpec> {
        match self {
            Self::Run(spec) | Self::Hook { spec, .. } => Some(spec),
            Self::Fetch { .. }
            | Self::RemoveVolume { .. }
            | Self::Move(_)
            | Self::Command { .. }
            | Self::LastLines { .. }
            | Self::Start { .. }
            | Self::Stop { .. }
            | Self::Remove { .. }
            | Self::Rename { .. }
            | Self::Probe { .. }
            | Self::Check { .. } => None,
        }
    }

    /// Whether it creates, starts, stops or removes a container.
    pub(super) fn touches_container(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Hook { .. }
            | Self::Command { .. }
            | Self::Start { .. }
            | Self::Stop { .. }
            | Self::Remove { .. }
            | Self::Rename { .. } => true,
            Self::Fetch { .. }
            | Self::RemoveVolume { .. }
            | Self::Move(_)
            | Self::Probe { .. }
            | Self::Check { .. }
            | Self::LastLines { .. } => false,
        }
    }
}

/// Everything that makes one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    pub labels: Ownership,
    pub care: Care,
    /// Kontena's name, `stack.service-N`, behind which `-next` stands while the one that it replaces is there, and `.SLOT` of a
    /// job's run.
    pub name: String,
    /// The image id or digest that [`Success::Image`] named.
    pub image: String,
    pub entrypoint: Option<String>,
    pub command: Option<Vec<String>>,
    /// `NAME=VALUE`.
    pub environment: Vec<String>,
    pub ports: Vec<Port>,
    pub mounts: Vec<Mount>,
    /// Containers by their names, whose mounts it gets besides: a path that it mounts itself comes first, and of two of
    /// them the later.
    pub volumes_from: Vec<String>,
    pub stop_signal: Option<String>,
    pub stop_grace: Duration,
    pub network: Attachment,
    pub resources: Resources,
    pub privileges: Privileges,
    pub logging: Logging,
    /// It runs under a lease: nothing of it is started when its fence is over.
    pub fence: Option<Fenced>,
    pub hostname: String,
    pub domainname: String,
    /// The user's labels and Kontena's descriptive ones (`io.kontena.…`), beside [`Ownership`].
    pub extra_labels: BTreeMap<String, String>,
}

/// The network that a container is created in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// The engine's own bridge, where it has whatever address the engine gives.
    Plain,
    /// The host's own.
    Host,
    /// The grid's network, with this address.
    Grid(Ipv4Addr),
    /// The grid's network, with one of the addresses of this subnet that the engine hands out itself.
    Free(Subnet),
}

impl Attachment {
    /// The address that it takes of this node's subnet.
    pub fn address(self) -> Option<Ipv4Addr> {
        match self {
            Self::Plain | Self::Host | Self::Free(_) => None,
            Self::Grid(address) => Some(address),
        }
    }
}

/// A mount with its source settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub volume: Volume,
    /// The Docker volume that keeps it; `None` for a bind mount and for a throw-away volume.
    pub docker_volume: Option<Mounted>,
}

/// The labels by which a container is known as ours, and as which instance of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// `io.kontena.grid.id`: containers of another grid are left alone.
    pub grid: String,
    pub instance: InstanceId,
    pub epoch: u64,
    pub generation: u64,
    pub revision: RevisionHash,
    /// Of a job: which of its runs.
    pub slot: Option<Slot>,
}

/// How a container is looked after, whatever becomes of its service meanwhile: it travels with the
/// container, as a label, so that one of an older deploy, or of a service that is removed, has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Care {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// What is run in it once it was made and runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_start: Vec<Hook>,
    /// What is run in it before it is stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<Hook>,
    /// What is run in it around a backup of a volume that it mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_backup: Vec<Hook>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_backup: Vec<Hook>,
    /// It runs under a lease: once it has stopped it is made anew, never started again, for its time may be over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leased: bool,
    /// The containers whose mounts it was given when it was made.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub made_with: BTreeSet<ContainerId>,
    /// It is in the host's network: it has no address of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_host: bool,
    /// It counts as healthy once this port accepts a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for_port: Option<u16>,
}

impl Care {
    /// Where `container` answers.
    fn address(&self, container: &Container) -> Option<IpAddr> {
        if self.on_host {
            return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        container.address
    }
}

/// A container of ours as the engine shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub id: ContainerId,
    pub name: String,
    pub owner: Ownership,
    pub care: Box<Care>,
    /// `sha256:…`
    pub image: String,
    pub state: ContainerState,
    /// In the grid's network, else in another; `None` unless it runs.
    pub address: Option<IpAddr>,
    /// The address that it was created with in the grid's network, and has again whenever it runs.
    pub assigned: Option<Ipv4Addr>,
    /// What it mounts, by its own paths: the name of a Docker volume, or a path of the host.
    pub mounts: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running {
        since: WallTime,
    },
    Paused,
    Restarting,
    Exited {
        code: i64,
        at: WallTime,
    },
    /// Being removed, or dead: cannot be started again.
    Dead,
}

/// What the Docker edge sees. Always the whole: a lost event costs a delay, not a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// All our containers of this grid, after a change, and at least every 30 s.
    Containers(BTreeMap<ContainerId, Container>),
    /// All one-off containers of this grid that run, by their names: with each listing.
    OneOffs(BTreeMap<String, OneOff>),
    /// All copies of volumes of this grid, by Docker's name: after a change, and now and then.
    Volumes(BTreeMap<String, Copy>),
    Engine(Engine),
    /// The engine does not answer or fails; containers may go on running.
    EngineTrouble {
        problem: String,
    },
}

/// What became of an action.
pub type Outcome = Result<Success, Failure>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Success {
    /// The image is there; `pinned` is its digest reference, or the engine's image id.
    Image {
        pinned: String,
    },
    Running(Box<Container>),
    /// Without those that are empty.
    Lines(Vec<String>),
    Done,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Failure {
    /// The image is neither present nor can it be pulled.
    #[error("image `{image}` cannot be fetched: {problem}")]
    NoImage { image: String, problem: String },
    /// Another container has this name or a newer generation of it: it is looked at again.
    #[error("a container named `{name}` is in the way")]
    Occupied { name: String },
    /// A host port is taken by something else.
    #[error("port {port} is taken on this node")]
    PortTaken { port: u16 },
    /// An address of the grid's network is taken by something else.
    #[error("address {address} is taken on this node")]
    AddressTaken { address: Ipv4Addr },
    #[error("the container is gone")]
    Gone,
    #[error("{problem}")]
    Refused { problem: String },
    /// The engine did not answer in time, or the connection broke: nobody knows what happened.
    #[error("the engine does not answer: {problem}")]
    Unreachable { problem: String },
    /// It was not started, because its lease is over in a moment or nobody would fence it. Nothing is wrong with it.
    #[error("{problem}")]
    Unfenced { problem: String },
    /// A hook did not end with 0 in time; `problem` has the last lines that it wrote.
    #[error("the hook `{hook}` {problem}")]
    HookFailed { hook: String, problem: String },
    #[error("nothing accepted a connection in time: {problem}")]
    NotReady { problem: String },
}
