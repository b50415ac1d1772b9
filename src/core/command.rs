//! Commands: what a person, through the API, asks of a node; and what it answers.
//!
//! A command is validated against the view and turned into edits (`command/…`), written as one
//! signed change per document, and answered when it is durable.

mod binding;
mod deploy;
mod frozen;
mod grid;
mod join_address;
mod lease;
mod member;
mod moved;
mod moving;
mod registry;
mod resolve;
mod service;
mod sources;
mod stack;
mod volume;
mod vpn;

use std::collections::BTreeMap;

use crate::document::edit::Edit;
use crate::external_registry::{Account, RegistryName, SealedKey};
use crate::id::{
    GridName, InstanceId, NodeId, NodeName, ServiceKey, ServiceName, StackName, TokenId,
    VpnUserName,
};
use crate::network::plan::{AddressPlan, HostRoute, Range};
use crate::network::vpn::{Entry, Reach, VpnKey};
use crate::stack::{Affinity, FrozenImage, Service, StackLabel};
use crate::time::WallTime;
use crate::view::{Availability, LastSign, Lifecycle, Member, RevisionName, View};
use crate::volume::{Definition, VolumeName};

pub use frozen::{Asked, images_of};
pub use join_address::{JoinAddress, NotAnAddress};
pub use resolve::{Take, resolve_input};
pub use service::MAX_INSTANCES;
pub use stack::rollback_input;
pub use volume::{copy_user, users as volume_users};

/// Correlates a command with its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// What can be asked. All names are validated; all references are checked by the node.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Make this node the first of a grid. The seeds are fresh random bytes; of the administrator's
    /// token only the SHA-256 gets here, because it is written into a document.
    Init {
        grid: GridName,
        name: NodeName,
        labels: Vec<String>,
        plan: AddressPlan,
        /// Where addresses lead on this host.
        routes: Vec<HostRoute>,
        grid_seed: [u8; 32],
        token_seed: [u8; 32],
        admin_token: [u8; 32],
    },
    /// Be admitted by the node at `address` (`IP:PORT`).
    Join {
        address: String,
        token: String,
        name: NodeName,
        labels: Vec<String>,
        /// Where addresses lead on this host.
        routes: Vec<HostRoute>,
    },
    /// Leave for good: this node stops its containers, is removed from the roster and forgets the grid.
    Leave {
        force: bool,
    },
    /// A further join token; the seed is fresh random bytes.
    CreateJoinToken {
        seed: [u8; 32],
    },
    RevokeJoinToken(TokenId),
    /// The whole list of what services ask for that have no affinity of their own.
    UpdateGrid {
        default_affinity: Vec<Affinity>,
    },
    UpdateNode {
        node: NodeId,
        labels: Option<Vec<String>>,
        availability: Option<Availability>,
    },
    /// A person says that a node is dead: nobody waits for it any more, until there is a sign of life of it.
    AssumeDead(NodeId),
    /// `force` removes a node that is online or holds pinned instances.
    RemoveNode {
        node: NodeId,
        force: bool,
    },
    CreateService {
        key: ServiceKey,
        service: Box<Service>,
        instances: u32,
    },
    /// A new definition. Deployed at once where the service is stateless and was deployed (Kontena 3.7).
    UpdateService {
        key: ServiceKey,
        service: Box<Service>,
        instances: Option<u32>,
    },
    /// `force` replaces containers that are already right.
    DeployService {
        key: ServiceKey,
        force: bool,
    },
    /// Nobody goes on with the deploy of record; `rollback`: whether all go back to what ran before, `None`
    /// where that depends on whether it waits to be promoted.
    AbortDeploy {
        key: ServiceKey,
        rollback: Option<bool>,
    },
    /// The instances that wait for the first few of the deploy of record follow.
    PromoteDeploy(ServiceKey),
    ScaleService {
        key: ServiceKey,
        instances: u32,
    },
    /// Binds an instance of a stateful service to another node, where its data is not.
    ForceMove {
        instance: InstanceId,
        node: NodeId,
        data_loss: bool,
    },
    /// Moves an instance of a stateful service to another node, with its data: answered once it is ordered.
    MoveInstance {
        instance: InstanceId,
        node: NodeId,
        /// At most so much of the network, in megabits a second.
        megabits: Option<u32>,
    },
    /// Takes such an order back.
    CancelMove(InstanceId),
    StopService(ServiceKey),
    StartService(ServiceKey),
    RestartService(ServiceKey),
    RemoveService(ServiceKey),
    /// Creates or upgrades: services that the stack no longer has are removed when it is deployed.
    InstallStack {
        name: StackName,
        stack: StackInput,
    },
    UpgradeStack {
        name: StackName,
        stack: StackInput,
    },
    /// A new revision with the content of `to`; of the one before the newest where it is `None`.
    RollbackStack {
        name: StackName,
        to: Option<RevisionName>,
    },
    /// A new revision that settles what two sides of a split gave the stack differently: as it is in
    /// force, but for what is taken of another revision.
    ResolveStack {
        name: StackName,
        take: Option<Take>,
    },
    DeployStack(StackName),
    StopStack(StackName),
    RestartStack(StackName),
    /// Together with stacks that it brought along: all of them or none. One that is gone already is no fault.
    RemoveStack {
        name: StackName,
        with: Vec<StackName>,
    },
    /// Adds and removes labels of a stack; what is neither added nor removed stays.
    LabelStack {
        name: StackName,
        labels: BTreeMap<StackLabel, bool>,
    },
    /// Lets VPN users in at a node; said anew, it changes where they find it.
    OpenVpn {
        node: NodeId,
        entry: Entry,
    },
    CloseVpn(NodeId),
    /// Makes the key of a new user known.
    AddVpnUser {
        name: VpnUserName,
        key: VpnKey,
        reach: Reach,
    },
    LimitVpnUser {
        name: VpnUserName,
        reach: Reach,
    },
    /// Revokes every key of the name, for good.
    RemoveVpnUser(VpnUserName),
    /// Credentials of a registry, with the password's key sealed for some members; they take the place of others.
    AddRegistry {
        name: RegistryName,
        account: Box<Account>,
        keys: BTreeMap<NodeId, SealedKey>,
    },
    RemoveRegistry(RegistryName),
    /// Gives more members the key: those that cannot open it, or have one already, are left out.
    ShareRegistry {
        name: RegistryName,
        keys: BTreeMap<NodeId, SealedKey>,
    },
    CreateVolume {
        name: VolumeName,
        definition: Definition,
    },
    /// Together with its copies on all nodes, and all that is in them.
    RemoveVolume(VolumeName),
    /// A command that deploys, and what [`images_of`] it mean: what is not in there stays with its name.
    Frozen {
        command: Box<Self>,
        images: BTreeMap<String, FrozenImage>,
    },
}

/// A stack as it comes from a stack file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackInput {
    pub stack: String,
    pub version: String,
    pub description: Option<String>,
    pub source: Option<String>,
    /// One of `services`.
    pub expose: Option<ServiceName>,
    /// As those of [`crate::view::StackRecord`].
    pub labels: Vec<StackLabel>,
    pub variables: BTreeMap<String, serde_json::Value>,
    pub metadata: BTreeMap<String, serde_json::Value>,
    pub parent: Option<StackName>,
    /// `None` instances: 1 when new, else unchanged.
    pub services: BTreeMap<ServiceName, (Service, Option<u32>)>,
}

/// The answer to a command.
pub type Reply = Result<Accepted, Refusal>;

/// The command was carried out: what it wrote is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The nodes on whose disks the change is, this one first. One entry although there are others
    /// means that none is fresh, or none acknowledged within 2 s: "saved on this node only".
    pub saved_on: Vec<NodeName>,
    /// Whether something was written that other nodes should have too.
    pub has_others: bool,
    /// The token text that `init` and `CreateJoinToken` made.
    pub join_token: Option<String>,
}

/// Why a command was not carried out: nothing was changed, but where the refusal says otherwise.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("{what} `{name}` does not exist")]
    NotFound { what: &'static str, name: String },
    #[error("{what} `{name}` exists already")]
    Exists { what: &'static str, name: String },
    /// A taken node name; the suggestion is free.
    #[error("the name `{name}` is taken in this grid")]
    NameTaken { name: String, suggestion: String },
    #[error("this node belongs to no grid yet")]
    NoGrid,
    #[error("this node already belongs to grid `{grid}`")]
    AlreadyInGrid { grid: String },
    /// By an operator, or with the admission by a node that had been removed.
    #[error("this node was removed from its grid")]
    Removed,
    #[error("another machine runs with this node's identity: a disk was cloned")]
    Cloned,
    #[error("the token was not accepted: it is unknown or revoked")]
    Token,
    #[error("`{token}` is not a join token")]
    TokenForm { token: String },
    #[error("{0}")]
    Invalid(String),
    #[error("service `{service}` mounts the volume `{volume}`, which does not exist")]
    NoVolume {
        service: ServiceKey,
        volume: VolumeName,
    },
    #[error("service `{service}` names the witness `{node}`, which is no node of this grid")]
    NoWitness { service: ServiceKey, node: NodeName },
    /// A route of this host leads into the grid's network; nothing is in the way of `free`.
    #[error("this host's route `{route}` overlaps {supernet}, the grid's network")]
    Overlap {
        supernet: Range,
        route: HostRoute,
        free: Option<Range>,
    },
    /// Refused for safety; `--force` goes on.
    #[error("{problem}")]
    NeedsForce { problem: String },
    /// Refused because data stays behind; `--data-loss` goes on.
    #[error("{problem}")]
    LosesData { problem: String },
    #[error("failed to reach `{address}`: {problem}")]
    Unreachable { address: String, problem: String },
    #[error("the change could not be saved: {problem}")]
    Disk { problem: String },
    #[error("this node has too many commands to do")]
    Busy,
    /// The daemon ends before it takes the command.
    #[error("this node's daemon is stopping")]
    Stopping,
    /// The daemon ends before the command does. What was handed to the disk may become durable all the
    /// same, and counts then from the next start on.
    #[error(
        "this node's daemon is stopping before the end of this: the change may have been saved"
    )]
    Unconfirmed,
}

/// What a command writes, given what is known: nothing where all is so already.
///
/// `Init`, `Join`, `Leave` and `AssumeDead` write nothing here: the node carries them out.
pub fn edits(
    view: &View,
    me: NodeId,
    command: &Command,
    wall: WallTime,
) -> Result<Vec<Edit>, Refusal> {
    match command {
        Command::Init { .. }
        | Command::Join { .. }
        | Command::Leave { .. }
        | Command::AssumeDead(_) => Ok(Vec::new()),
        Command::CreateJoinToken { seed } => Ok(vec![Edit::JoinToken(TokenId(token_key(seed)))]),
        Command::RevokeJoinToken(token) => member::revoke_token(view, *token),
        Command::UpdateGrid { default_affinity } => grid::update(view, default_affinity),
        Command::UpdateNode {
            node,
            labels,
            availability,
        } => member::update(view, *node, labels.as_deref(), *availability),
        Command::RemoveNode { node, force } => member::remove(view, me, *node, *force),
        Command::CreateService {
            key,
            service,
            instances,
        } => service::create(view, key, service, *instances),
        Command::UpdateService {
            key,
            service,
            instances,
        } => service::update(view, key, service, *instances),
        Command::DeployService { key, force } => service::deploy(view, key, *force),
        Command::AbortDeploy { key, rollback } => deploy::abort(view, key, *rollback),
        Command::PromoteDeploy(key) => deploy::promote(view, key),
        Command::ScaleService { key, instances } => service::scale(view, key, *instances),
        Command::ForceMove {
            instance,
            node,
            data_loss,
        } => binding::force_move(view, instance, *node, *data_loss),
        Command::MoveInstance {
            instance,
            node,
            megabits,
        } => moving::order(view, instance, *node, *megabits),
        Command::CancelMove(instance) => moving::cancel(view, instance),
        Command::StopService(key) => service::set_state(view, key, Lifecycle::Stopped),
        Command::StartService(key) => service::set_state(view, key, Lifecycle::Running),
        Command::RestartService(key) => service::restart(view, key),
        Command::RemoveService(key) => service::remove(view, key, &[]),
        Command::InstallStack { name, stack } => stack::install(view, name, stack, wall),
        Command::UpgradeStack { name, stack } => stack::upgrade(view, name, stack, wall),
        Command::RollbackStack { name, to } => stack::rollback(view, name, to.as_ref(), wall),
        Command::ResolveStack { name, take } => resolve::resolve(view, name, take.as_ref(), wall),
        Command::DeployStack(name) => stack::deploy(view, name),
        Command::StopStack(name) => stack::stop(view, name),
        Command::RestartStack(name) => stack::restart(view, name),
        Command::RemoveStack { name, with } => stack::remove(view, name, with),
        Command::LabelStack { name, labels } => stack::label(view, name, labels),
        Command::OpenVpn { node, entry } => vpn::open(view, *node, *entry),
        Command::CloseVpn(node) => vpn::close(view, *node),
        Command::AddVpnUser { name, key, reach } => vpn::add(view, name, *key, reach),
        Command::LimitVpnUser { name, reach } => vpn::limit(view, name, reach),
        Command::RemoveVpnUser(name) => vpn::remove(view, name),
        Command::AddRegistry {
            name,
            account,
            keys,
        } => registry::add(view, name, account, keys),
        Command::RemoveRegistry(name) => registry::remove(view, name),
        Command::ShareRegistry { name, keys } => Ok(registry::share(view, name, keys)),
        Command::CreateVolume { name, definition } => volume::create(view, name, definition),
        Command::RemoveVolume(name) => volume::remove(view, name),
        Command::Frozen { command, images } => {
            let edits = edits(view, me, command, wall)?;
            Ok(frozen::freeze(view, me, command, edits, images))
        }
    }
}

/// What is written of a node that a person says is dead, with the last sign of life that is known of it.
pub(crate) fn assume_dead(view: &View, node: NodeId, last: LastSign) -> Result<Vec<Edit>, Refusal> {
    member::assume_dead(view, node, last)
}

/// What a node that leaves is warned of.
pub(crate) fn check_leaving(view: &View, node: NodeId, member: &Member) -> Result<(), Refusal> {
    member::check_needed(view, node, member)
}

fn token_key(seed: &[u8; 32]) -> [u8; 32] {
    crate::identity::SecretKey::from_seed(*seed).public()
}
