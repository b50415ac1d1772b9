//! What is going to happen, in the order of time; what happens at one moment, in the order in which
//! it was foreseen.

use std::collections::BTreeMap;

use kontena_core::command::{Command, CommandId};
use kontena_core::id::NodeId;
use kontena_core::lease::FenceTag;
use kontena_core::message::{JoinAnswer, JoinCall, Message, Presentation, Presented};
use kontena_core::node::{Record, SaveId};
use kontena_core::reconcile::MoveAsk;
use kontena_core::reconcile::action::{Action, ActionId, Failure, Outcome};
use kontena_core::time::Instant;

/// Something that is going to happen to a host.
///
/// `life` is the life of its node in which it was foreseen: what was under way for an earlier one
/// is lost.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) host: usize,
    pub(crate) life: u64,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Deliver {
        from: usize,
        message: Message,
    },
    /// The host has another address.
    Moved {
        address: String,
    },
    /// The data plane is looked at.
    Glance,
    /// `peer` refused the connection.
    Refused {
        peer: usize,
    },
    Wake,
    /// Somebody asks for something.
    Command {
        id: CommandId,
        command: Box<Command>,
    },
    /// The daemon is told to stop.
    Stop,
    /// The engine carries an action out. `power` counts the power cuts before it was asked.
    Carry {
        power: u64,
        id: ActionId,
        action: Action,
        /// It will come to this, whatever becomes of the engine.
        fails: Option<Failure>,
    },
    Done {
        id: ActionId,
        outcome: Outcome,
    },
    /// The fence looks whether the time of what carries this tag is over.
    Fence {
        power: u64,
        tag: FenceTag,
    },
    /// The node hears that the fence does its work.
    Fenced,
    /// The engine shows its containers; and again after a while, if it is the regular listing.
    Observe {
        again: bool,
    },
    Save {
        id: SaveId,
        records: Vec<Record>,
    },
    /// What was saved while the loop stood still.
    Saved {
        id: SaveId,
        result: Result<(), String>,
        has_left: bool,
    },
    JoinAsked {
        /// In the world's list of those who ask.
        number: usize,
        call: Box<JoinCall>,
    },
    JoinAnswered {
        id: CommandId,
        answer: Result<JoinAnswer, String>,
    },
    /// Somebody says that it is a member, who may be a stranger here.
    Presents {
        from: usize,
        presentation: Presentation,
    },
    Presented {
        by: NodeId,
        answer: Result<Presented, String>,
    },
    /// Another node asks for something of an instance that moves to it.
    MoveAsked {
        /// In the world's list of streams.
        number: usize,
        asked: Box<MoveAsk>,
    },
    /// A stream of data goes on, or breaks.
    Stream {
        number: usize,
    },
}

impl What {
    /// Whether it is input to the node itself, which takes none while its loop stands still.
    pub(crate) fn is_for_the_node(&self) -> bool {
        match self {
            Self::Carry { .. } | Self::Save { .. } | Self::Stream { .. } | Self::Fence { .. } => {
                false
            }
            Self::Deliver { .. }
            | Self::Moved { .. }
            | Self::Glance
            | Self::Refused { .. }
            | Self::Wake
            | Self::Command { .. }
            | Self::Stop
            | Self::Done { .. }
            | Self::Observe { .. }
            | Self::Saved { .. }
            | Self::JoinAsked { .. }
            | Self::JoinAnswered { .. }
            | Self::Presents { .. }
            | Self::Presented { .. }
            | Self::Fenced
            | Self::MoveAsked { .. } => true,
        }
    }

    /// Whether it reaches whichever life of the node is there: it comes from outside the host.
    pub(crate) fn outlives_the_node(&self) -> bool {
        match self {
            Self::Deliver { .. }
            | Self::Carry { .. }
            | Self::JoinAsked { .. }
            | Self::JoinAnswered { .. }
            | Self::Presents { .. }
            | Self::Presented { .. }
            | Self::Fence { .. }
            | Self::Stream { .. } => true,
            Self::MoveAsked { .. }
            | Self::Fenced
            | Self::Moved { .. }
            | Self::Glance
            | Self::Refused { .. }
            | Self::Wake
            | Self::Command { .. }
            | Self::Stop
            | Self::Done { .. }
            | Self::Observe { .. }
            | Self::Save { .. }
            | Self::Saved { .. } => false,
        }
    }

    /// A number for the digest of a run.
    pub(crate) fn kind(&self) -> u64 {
        match self {
            Self::Deliver { .. } => 1,
            Self::Refused { .. } => 2,
            Self::Wake => 3,
            Self::Carry { .. } => 4,
            Self::Done { .. } => 5,
            Self::Observe { .. } => 6,
            Self::Save { .. } => 7,
            Self::JoinAsked { .. } => 8,
            Self::JoinAnswered { .. } => 9,
            Self::Stop => 10,
            Self::Presents { .. } => 11,
            Self::Presented { .. } => 12,
            Self::Command { .. } => 13,
            Self::Moved { .. } => 14,
            Self::Saved { .. } => 15,
            Self::Glance => 16,
            Self::MoveAsked { .. } => 17,
            Self::Stream { .. } => 18,
            Self::Fence { .. } => 19,
            Self::Fenced => 20,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    /// When the next event happens.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Instant, Event)> {
        let ((at, _), event) = self.events.pop_first()?;
        Some((at, event))
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
}
