//! What a command writes: one register each.
//!
//! A document is a flat map of registers with text values (JSON), because automerge hides the fields
//! of a nested map that two sides create at once. A deletion is a register too: automerge lets a
//! deletion swallow a concurrent edit.

use std::collections::BTreeSet;

use crate::external_registry::{Account, RegistryName, SealedKey};
use crate::id::{GridName, NodeId, NodeName, RevisionHash, ServiceKey, StackName, TokenId};
use crate::membership::admission::Admission;
use crate::network::plan::AddressPlan;
use crate::network::vpn::{Entry, Reach, UserRecord, VpnKey};
use crate::stack::{Affinity, FrozenImage, StackLabel};
use crate::view::{Availability, HaltCause, LastSign, Lifecycle, MoveOrder, Pin, StackRecord};
use crate::volume::{Definition, VolumeName};

/// One register's new value. The document that it lies in follows from what it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    // --- document `grid` ---
    GridName(GridName),
    PlacementVersion(u32),
    /// Written once, by `init`.
    AddressPlan(AddressPlan),
    /// The whole list; empty is none.
    DefaultAffinity(Vec<Affinity>),
    Admit(Admission),
    /// A tombstone for ever: a removed id never comes back.
    RemoveNode(NodeId),
    NodeName {
        node: NodeId,
        name: NodeName,
    },
    NodeLabels {
        node: NodeId,
        labels: Vec<String>,
    },
    NodeAvailability {
        node: NodeId,
        availability: Availability,
    },
    /// Until a newer sign of life of it is known.
    AssumeDead {
        node: NodeId,
        last: LastSign,
    },
    JoinToken(TokenId),
    RevokeJoinToken(TokenId),
    /// SHA-256 of the token.
    AdminToken([u8; 32]),
    /// `None`: users enter here no more.
    VpnEntry {
        node: NodeId,
        entry: Option<Entry>,
    },
    VpnUser {
        key: VpnKey,
        user: UserRecord,
    },
    VpnReach {
        key: VpnKey,
        reach: Reach,
    },
    /// A tombstone for ever: a revoked key never counts again.
    RevokeVpnKey(VpnKey),
    /// `None`: images are pulled from there without credentials.
    Registry {
        name: RegistryName,
        account: Option<Account>,
    },
    Volume {
        name: VolumeName,
        definition: Definition,
    },
    /// Of all that are known under that name.
    RemoveVolume(VolumeName),
    RegistryKey {
        name: RegistryName,
        node: NodeId,
        key: SealedKey,
    },

    // --- document `stack/NAME` ---
    Stack {
        stack: StackName,
        record: StackRecord,
    },
    RemoveStack(StackName),
    /// Until the next revision, which says anew what there is.
    StackLabel {
        stack: StackName,
        label: StackLabel,
        present: bool,
    },
    /// The newest definition: canonical bytes of a [`crate::stack::Service`], kept under their hash.
    Revision {
        service: ServiceKey,
        encoded: Vec<u8>,
    },
    Instances {
        service: ServiceKey,
        instances: u32,
    },
    Lifecycle {
        service: ServiceKey,
        state: Lifecycle,
    },
    /// Deploy `revision`; its generation is the lamport clock of the envelope that carries this.
    Deploy {
        service: ServiceKey,
        revision: RevisionHash,
        /// What its image means, if that is known.
        image: Option<FrozenImage>,
    },
    Pin {
        service: ServiceKey,
        number: u32,
        pin: Pin,
    },
    Move {
        service: ServiceKey,
        number: u32,
        order: MoveOrder,
    },
    /// Who grants its lease; written with its first definition alone.
    Witnesses {
        service: ServiceKey,
        witnesses: BTreeSet<NodeId>,
    },
    /// Nobody goes on with the deploy of that generation; with `rollback` all go back to what ran before.
    Halt {
        service: ServiceKey,
        generation: u64,
        revision: RevisionHash,
        cause: HaltCause,
        rollback: bool,
    },
    /// The instances that wait for the first few may follow.
    Promote {
        service: ServiceKey,
        generation: u64,
        revision: RevisionHash,
    },
    RemoveService(ServiceKey),
}
