//! The registers of each document: their names and what their JSON says.
//!
//! A name that this version does not know is kept and ignored, and so is a field of a value.
//! What was created or removed in a register is `{}`, so that it may get fields.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::DocumentId;
use crate::external_registry::RegistryName;
use crate::id::{EnvelopeHash, NodeId, RevisionHash, ServiceName, TokenId};
use crate::network::vpn::VpnKey;
use crate::stack::{FrozenImage, StackLabel};
use crate::time::WallTime;
use crate::view::HaltCause;
use crate::volume::VolumeName;

/// A register of the document `grid`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GridRegister {
    Name,
    PlacementVersion,
    AddressPlan,
    DefaultAffinity,
    Admission(NodeId),
    NodeName(NodeId),
    Labels(NodeId),
    Availability(NodeId),
    AssumedDead(NodeId),
    Removed(NodeId),
    Token(TokenId),
    TokenRevoked(TokenId),
    AdminToken([u8; 32]),
    VpnEntry(NodeId),
    VpnUser(VpnKey),
    VpnReach(VpnKey),
    VpnRevoked(VpnKey),
    Registry(RegistryName),
    /// What opens the registry's password, for one node.
    RegistryKey(RegistryName, NodeId),
    Volume(VolumeName),
    /// Of the volume that was created by that change.
    VolumeRemoved(VolumeName, EnvelopeHash),
}

/// A register of a document `stack/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StackRegister {
    Record,
    /// A new incarnation: a stack is there if it was created outside the past of its removals.
    Created,
    Removed,
    /// Whether the stack has this label; it counts until a revision that knew it.
    Label(StackLabel),
    /// The canonical bytes of a definition, under their hash.
    Definition(RevisionHash),
    Service(ServiceName, ServiceRegister),
}

/// A register of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ServiceRegister {
    Created,
    Removed,
    Revision,
    Instances,
    Lifecycle,
    Deploy,
    Pin(u32),
    /// Of the instance of that number.
    Move(u32),
    Witnesses,
    /// Of the deploy of that generation.
    Halt(u64),
    Promotion(u64),
}

/// `node/ID/removed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Removal {
    pub(crate) heads: Heads,
}

/// The heads of the documents that the removed node wrote, as the author of the removal knew them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Heads(pub(crate) BTreeMap<DocumentId, Vec<EnvelopeHash>>);

impl Removal {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        serde_json::from_str(value).ok()
    }
}

/// `service/NAME/revision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RevisionPointer {
    pub(crate) hash: RevisionHash,
    pub(crate) number: u64,
}

/// `service/NAME/deploy`. Its generation is the lamport clock of its envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeployOrder {
    pub(crate) revision: RevisionHash,
    pub(crate) number: u64,
    pub(crate) at: WallTime,
    /// What ran before and did not fail; `None` where nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<PreviousDeploy>,
    /// What the name of its image meant to the engine of the node that took the command; `None` where nobody could
    /// tell: then it is what each node finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<FrozenImage>,
}

/// What a deploy can go back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PreviousDeploy {
    pub(crate) hash: RevisionHash,
    pub(crate) number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<FrozenImage>,
}

/// `service/NAME/halt/GENERATION`: nobody goes on with that deploy. Whoever writes it has not seen one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HaltOrder {
    /// What was deployed: two sides of a split may give one generation to two deploys.
    pub(crate) revision: RevisionHash,
    /// All go back to the deploy's `previous`.
    pub(crate) rollback: bool,
    pub(crate) cause: HaltCause,
}

/// `service/NAME/promotion/GENERATION`: those that wait for the first few may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PromotionOrder {
    /// As that of a [`HaltOrder`].
    pub(crate) revision: RevisionHash,
}

impl fmt::Display for GridRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "name"),
            Self::PlacementVersion => write!(f, "placement_version"),
            Self::AddressPlan => write!(f, "address_plan"),
            Self::DefaultAffinity => write!(f, "default_affinity"),
            Self::Admission(node) => write!(f, "node/{node}/admission"),
            Self::NodeName(node) => write!(f, "node/{node}/name"),
            Self::Labels(node) => write!(f, "node/{node}/labels"),
            Self::Availability(node) => write!(f, "node/{node}/availability"),
            Self::AssumedDead(node) => write!(f, "node/{node}/assumed_dead"),
            Self::Removed(node) => write!(f, "node/{node}/removed"),
            Self::Token(token) => write!(f, "token/{token}"),
            Self::TokenRevoked(token) => write!(f, "token/{token}/revoked"),
            Self::AdminToken(hash) => write!(f, "admin-token/{}", HEXLOWER.encode(hash)),
            Self::VpnEntry(node) => write!(f, "vpn-entry/{node}"),
            Self::VpnUser(key) => write!(f, "vpn-user/{}", key.hex()),
            Self::VpnReach(key) => write!(f, "vpn-user/{}/reach", key.hex()),
            Self::VpnRevoked(key) => write!(f, "vpn-user/{}/revoked", key.hex()),
            Self::Registry(name) => write!(f, "registry/{name}"),
            Self::RegistryKey(name, node) => write!(f, "registry/{name}/key/{node}"),
            Self::Volume(name) => write!(f, "volume/{name}"),
            Self::VolumeRemoved(name, creation) => write!(f, "volume/{name}/removed/{creation}"),
        }
    }
}

impl GridRegister {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        Some(match parts.as_slice() {
            ["name"] => Self::Name,
            ["placement_version"] => Self::PlacementVersion,
            ["address_plan"] => Self::AddressPlan,
            ["default_affinity"] => Self::DefaultAffinity,
            ["node", node, "admission"] => Self::Admission(node.parse().ok()?),
            ["node", node, "name"] => Self::NodeName(node.parse().ok()?),
            ["node", node, "labels"] => Self::Labels(node.parse().ok()?),
            ["node", node, "availability"] => Self::Availability(node.parse().ok()?),
            ["node", node, "assumed_dead"] => Self::AssumedDead(node.parse().ok()?),
            ["node", node, "removed"] => Self::Removed(node.parse().ok()?),
            ["token", token] => Self::Token(token.parse().ok()?),
            ["token", token, "revoked"] => Self::TokenRevoked(token.parse().ok()?),
            ["admin-token", hash] => {
                Self::AdminToken(HEXLOWER.decode(hash.as_bytes()).ok()?.try_into().ok()?)
            }
            ["vpn-entry", node] => Self::VpnEntry(node.parse().ok()?),
            ["vpn-user", key] => Self::VpnUser(VpnKey::from_hex(key)?),
            ["vpn-user", key, "reach"] => Self::VpnReach(VpnKey::from_hex(key)?),
            ["vpn-user", key, "revoked"] => Self::VpnRevoked(VpnKey::from_hex(key)?),
            ["registry", name] => Self::Registry(name.parse().ok()?),
            ["registry", name, "key", node] => {
                Self::RegistryKey(name.parse().ok()?, node.parse().ok()?)
            }
            ["volume", name] => Self::Volume(name.parse().ok()?),
            ["volume", name, "removed", creation] => {
                Self::VolumeRemoved(name.parse().ok()?, creation.parse().ok()?)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for StackRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record => write!(f, "stack"),
            Self::Created => write!(f, "created"),
            Self::Removed => write!(f, "removed"),
            Self::Label(label) => write!(f, "label/{label}"),
            Self::Definition(hash) => write!(f, "revision/{hash}"),
            Self::Service(name, register) => write!(f, "service/{name}/{register}"),
        }
    }
}

impl StackRegister {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        // A label may have slashes of its own.
        if let Some(label) = name.strip_prefix("label/") {
            return label.parse().ok().map(Self::Label);
        }
        let parts: Vec<&str> = name.split('/').collect();
        Some(match parts.as_slice() {
            ["stack"] => Self::Record,
            ["created"] => Self::Created,
            ["removed"] => Self::Removed,
            ["revision", hash] => Self::Definition(hash.parse().ok()?),
            ["service", service, rest @ ..] => {
                Self::Service(service.parse().ok()?, ServiceRegister::parse(rest)?)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for ServiceRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => write!(f, "created"),
            Self::Removed => write!(f, "removed"),
            Self::Revision => write!(f, "revision"),
            Self::Instances => write!(f, "instances"),
            Self::Lifecycle => write!(f, "state"),
            Self::Deploy => write!(f, "deploy"),
            Self::Pin(number) => write!(f, "pin/{number}"),
            Self::Move(number) => write!(f, "move/{number}"),
            Self::Witnesses => write!(f, "witnesses"),
            Self::Halt(generation) => write!(f, "halt/{generation}"),
            Self::Promotion(generation) => write!(f, "promotion/{generation}"),
        }
    }
}

impl ServiceRegister {
    fn parse(parts: &[&str]) -> Option<Self> {
        Some(match parts {
            ["created"] => Self::Created,
            ["removed"] => Self::Removed,
            ["revision"] => Self::Revision,
            ["instances"] => Self::Instances,
            ["state"] => Self::Lifecycle,
            ["deploy"] => Self::Deploy,
            ["pin", number] => Self::Pin(counted(number)?),
            ["move", number] => Self::Move(counted(number)?),
            ["witnesses"] => Self::Witnesses,
            ["halt", generation] => Self::Halt(counted(generation)?),
            ["promotion", generation] => Self::Promotion(counted(generation)?),
            _ => return None,
        })
    }
}

/// A number in one spelling only: with two, two registers would be one.
fn counted<N: FromStr + ToString>(text: &str) -> Option<N> {
    let parsed: N = text.parse().ok()?;
    (parsed.to_string() == text).then_some(parsed)
}

/// Whether a register may lie in a document: not if it is known to belong to the other kind.
pub(crate) fn belongs(document: &DocumentId, register: &str) -> bool {
    match document {
        DocumentId::Grid => StackRegister::parse(register).is_none(),
        DocumentId::Stack(_) => GridRegister::parse(register).is_none(),
    }
}

/// The fields that this version writes in a register whose value is an object. Others are kept.
pub(crate) fn known_fields(register: &str) -> &'static [&'static str] {
    if let Some(GridRegister::Admission(_)) = GridRegister::parse(register) {
        return &[
            "grid",
            "node",
            "name",
            "labels",
            "addresses",
            "subnet",
            "joined",
            "sponsor",
            "token",
            "proof",
        ];
    }
    match GridRegister::parse(register) {
        Some(GridRegister::Removed(_)) => return &["heads"],
        Some(GridRegister::AssumedDead(_)) => return &["boot", "nonce", "counter"],
        Some(GridRegister::VpnEntry(_)) => return &["address"],
        Some(GridRegister::VpnUser(_)) => return &["name", "host"],
        Some(GridRegister::Volume(_)) => return &["scope", "driver", "options"],
        Some(_) | None => {}
    }
    match StackRegister::parse(register) {
        Some(StackRegister::Record) => &[
            "stack",
            "version",
            "description",
            "source",
            "expose",
            "labels",
            "variables",
            "metadata",
            "parent",
            "revision",
            "services",
            "definitions",
            "created",
            "updated",
        ],
        Some(StackRegister::Service(_, ServiceRegister::Revision)) => &["hash", "number"],
        Some(StackRegister::Service(_, ServiceRegister::Deploy)) => {
            &["revision", "number", "at", "previous", "image"]
        }
        Some(StackRegister::Service(_, ServiceRegister::Halt(_))) => {
            &["revision", "rollback", "cause"]
        }
        Some(StackRegister::Service(_, ServiceRegister::Promotion(_))) => &["revision"],
        Some(StackRegister::Service(_, ServiceRegister::Pin(_))) => &["epoch", "node", "moved"],
        Some(StackRegister::Service(_, ServiceRegister::Move(_))) => {
            &["from", "to", "megabits", "state"]
        }
        Some(
            StackRegister::Created
            | StackRegister::Removed
            | StackRegister::Label(_)
            | StackRegister::Definition(_)
            | StackRegister::Service(
                _,
                ServiceRegister::Created
                | ServiceRegister::Removed
                | ServiceRegister::Instances
                | ServiceRegister::Lifecycle
                | ServiceRegister::Witnesses,
            ),
        )
        | None => &[],
    }
}
