//! One member without a body: it decides; the daemon or the simulator acts.
//!
//! Whoever drives a [`Node`] drains [`Node::poll_output`], waits for the next input or for
//! [`Node::poll_timeout`], and calls [`Node::handle`]. The node holds no rule of its own: it routes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::command::{Command, CommandId, Reply};
use crate::id::NodeId;
use crate::message::{JoinAnswer, JoinCall, Message};
use crate::reconcile::action::{Action, ActionId, Observed, Outcome};
use crate::report::SignedReport;
use crate::view::View;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A member said something. `from` is proved by the connection.
    Received {
        from: NodeId,
        message: Message,
    },
    /// A stranger asks to be admitted. Answered by [`Output::AnswerJoin`].
    JoinAsked {
        id: u64,
        from: NodeId,
        /// Where the call came from.
        seen: Option<IpAddr>,
        call: JoinCall,
    },
    /// What the node that was asked by [`Output::AskJoin`] answered, or why it could not be asked.
    JoinAnswered {
        answer: Result<JoinAnswer, String>,
    },
    Command {
        id: CommandId,
        command: Command,
    },
    Observed(Observed),
    Done {
        id: ActionId,
        outcome: Outcome,
    },
    /// Everything up to this [`Output::Save`] is on disk, or could not be written.
    Saved {
        id: SaveId,
        result: Result<(), String>,
    },
    /// The addresses that this node listens on or was seen at, best first: `IP:PORT`.
    Addresses(Vec<String>),
    /// The time of [`Node::poll_timeout`] has come.
    Wake,
}

/// Something to do.
#[derive(Clone, Debug)]
pub enum Output {
    Send {
        to: NodeId,
        message: Message,
    },
    /// The members that may talk to us, and where they were last: everyone else is a stranger.
    SetPeers(BTreeMap<NodeId, Vec<String>>),
    AskJoin {
        address: String,
        call: JoinCall,
    },
    AnswerJoin {
        id: u64,
        answer: JoinAnswer,
    },
    /// Make these durable, in this order, and answer with [`Input::Saved`].
    Save {
        id: SaveId,
        records: Vec<Record>,
    },
    Run {
        id: ActionId,
        action: Action,
    },
    Reply {
        id: CommandId,
        reply: Reply,
    },
    /// The newest view, for whoever reads.
    Show(Arc<View>),
}

/// Numbers the saves of one boot, rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SaveId(pub u64);

/// One thing to keep on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Appended to the log of envelopes: the truth.
    Envelope(crate::document::SignedEnvelope),
    /// Replaces the last known report of that node.
    Report { node: NodeId, report: SignedReport },
    /// Replaces a small local value: `grid-key`, `membership`, `holds` … Unknown keys are kept.
    Local { key: String, value: Vec<u8> },
    /// Forget everything of the grid (after `leave`), but the node's removed identity.
    Forget,
}

/// One grid member without a body.
#[derive(Debug)]
pub struct Node {}
