//! What two sides of a split gave one stack differently, and who did.
//!
//! It follows from the registers, so that it is equal on every node that has the same changes, and it is
//! over once somebody who saw both sides writes the same thing again.

use std::sync::Arc;

use super::{Documents, Lifecycle};
use crate::id::{EnvelopeHash, NodeId, RevisionHash, ServiceKey, ServiceName};
use crate::stack::Service;
use crate::time::WallTime;

/// One thing that both sides touched.
#[derive(Clone, Debug, PartialEq)]
pub struct StackConflict {
    /// `None`: the stack as a whole.
    pub service: Option<ServiceName>,
    pub subject: ConflictSubject,
    /// At least two, no two of which say the same. The first is in force.
    pub sides: Vec<ConflictSide>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictSubject {
    /// Which file of which version the stack is, and what it exposes.
    File,
    /// Whether the service is part of the stack: one side dropped it, the other changed it.
    Presence,
    Definition,
    Instances,
    State,
    /// Which definition runs, though there is no doubt which one is stored.
    Deploy,
}

/// What one side said.
#[derive(Clone, Debug, PartialEq)]
pub struct ConflictSide {
    /// The change that said it; it names a revision of the stack if it recorded one.
    pub change: EnvelopeHash,
    /// The node that took the command.
    pub author: NodeId,
    /// By that node's clock.
    pub at: WallTime,
    pub value: ConflictValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConflictValue {
    File {
        stack: String,
        version: String,
        expose: Option<ServiceName>,
    },
    Kept,
    Dropped,
    Definition {
        hash: RevisionHash,
        /// `Err` says why it cannot be read here.
        service: Result<Arc<Service>, String>,
    },
    Instances(u32),
    State(Lifecycle),
}

impl Documents {
    /// Whether two sides of a split left a service with more than one value of this. A command that says
    /// it anew writes it even if that value is in force already.
    pub fn is_contested(&self, key: &ServiceKey, subject: ConflictSubject) -> bool {
        let conflicts = self.stack_conflicts.get(&key.stack);
        conflicts.into_iter().flatten().any(|conflict| {
            conflict.subject == subject && conflict.service.as_ref() == Some(&key.service)
        })
    }
}
