//! One member without a body: it decides; the daemon or the simulator acts.
//!
//! Whoever drives a [`Node`] drains [`Node::poll_output`], waits for the next input or for
//! [`Node::poll_timeout`], and calls [`Node::handle`]. The node holds no rule of its own: it routes.

mod absences;
mod agreement;
mod beginning;
mod doubts;
mod exchange;
mod gossip;
mod halting;
mod inbox;
mod joining;
mod journal;
mod keys;
mod leasing;
mod leaving;
mod moving;
mod networking;
mod own;
mod parting;
mod presenting;
mod rebinding;
mod relay;
mod reports;
mod saving;
mod slots;
mod standing_by;
mod stopping;
#[cfg(test)]
mod tests;
mod work;
mod writing;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::chance::Chance;
use crate::command::{Command, CommandId, Reply};
use crate::document::{Replica, SignedEnvelope};
use crate::id::{InstanceId, NodeId};
use crate::identity::SecretKey;
use crate::keys::{KeyReply, KeyWrite, Keys};
use crate::lease::FenceTag;
use crate::membership::clone::Lives;
use crate::membership::freshness::Pulse;
use crate::message::{JoinAnswer, JoinCall, Message, Presentation, Presented};
use crate::network::peers::Wanted;
use crate::network::sight::Sight;
use crate::reconcile::action::{Action, ActionId, Observed, Outcome};
use crate::reconcile::{Arrival, AskId, Instances, MoveAsk};
use crate::report::SignedReport;
use crate::time::{Instant, Now};
use crate::view::View;

use absences::Absences;
use agreement::Agreement;
use doubts::Doubts;
use halting::Halting;
use inbox::Inbox;
use joining::Joining;
use keys::KeyStore;
use leasing::Leasing;
use moving::Moving;
use networking::Networking;
use own::Own;
use parting::Partings;
use presenting::Presenting;
use rebinding::Rebinding;
use relay::Relay;
use reports::Reports;
use saving::Saving;
use standing_by::StandingBy;
use stopping::Stopping;
use work::Work;
use writing::Writing;

/// The longest that a change waits for its answer, beside its turn at a disk: a node that has only begun
/// looks first, and what is on this disk waits for another.
pub const CHANGE_ANSWERED_WITHIN: Duration =
    beginning::LOOKS_AT_MOST.saturating_add(writing::SECOND_DISK);

/// The longest that a `join` waits for each answer of the member that it asks; most need one.
pub const JOIN_ANSWERED_WITHIN: Duration = joining::ANSWER_WITHIN;

/// The longest that a `leave` waits for its answer, beside its turn at a disk: a node that has only begun
/// looks first, and what it runs has to stop.
pub const LEAVE_ANSWERED_WITHIN: Duration =
    beginning::LOOKS_AT_MOST.saturating_add(leaving::STOP_WITHIN);

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
        /// Of the question.
        id: CommandId,
        answer: Result<JoinAnswer, String>,
    },
    /// Somebody, a stranger or not, says that it is a member. Answered by
    /// [`Output::AnswerPresentation`].
    StrangerPresents {
        id: u64,
        presentation: Presentation,
    },
    /// What the member that was called by [`Output::Present`] answered, or why it could not be called.
    Presented {
        by: NodeId,
        answer: Result<Presented, String>,
    },
    Command {
        id: CommandId,
        command: Command,
    },
    /// Whether whatever ends containers in this daemon's place does its work, after a change; why not, if not.
    Fenced(Result<(), String>),
    /// Somebody writes to the key-value store. Answered by [`Output::KeysReply`].
    WriteKey {
        id: CommandId,
        write: KeyWrite,
    },
    Observed(Observed),
    Done {
        id: ActionId,
        outcome: Outcome,
    },
    /// So many hundredths of what an action that is under way brings are here: of a pull. May be told often.
    Progressed {
        id: ActionId,
        hundredths: u8,
    },
    /// Another node asks for something of an instance that moves to it. Answered by [`Output::AnswerMove`], or by the data.
    MoveAsked {
        id: AskId,
        from: NodeId,
        asked: MoveAsk,
    },
    /// Everything up to this [`Output::Save`] is on disk, or could not be written.
    Saved {
        id: SaveId,
        result: Result<(), String>,
    },
    /// The addresses that this node listens on or was seen at, best first: `IP:PORT`.
    Addresses(Vec<String>),
    /// What this node's network shows, after a change.
    Network(Sight),
    /// A member's host refused the connection: its daemon is down, the host is up.
    Refused(NodeId),
    /// The driver was this late: the host stood still, or is too busy.
    Lagged(Duration),
    /// The daemon is told to stop; containers run on. What was not begun is refused, and
    /// [`Output::Stopped`] follows once what was begun is answered and peers are asked for patience, within
    /// 3 s.
    Stopping,
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
    /// To the process that sent the message which is handled now, and to no other that may run with
    /// the same key; to the node if that process cannot be reached any more.
    Answer {
        to: NodeId,
        message: Message,
    },
    /// The members that may talk to us, and where they were last: everyone else is a stranger.
    SetPeers(BTreeMap<NodeId, Vec<String>>),
    /// How this node's network shall be, after a change; `None` where there shall be none.
    SetNetwork(Option<Box<Wanted>>),
    AskJoin {
        /// The command that asks: its answer says the same, because a late one settles no other.
        id: CommandId,
        address: String,
        call: Box<JoinCall>,
    },
    AnswerJoin {
        id: u64,
        answer: JoinAnswer,
    },
    /// To a member that may not know this node, so that it takes no messages from it. Nobody but that
    /// member may hear it.
    Present {
        to: NodeId,
        presentation: Presentation,
    },
    AnswerPresentation {
        id: u64,
        presented: Presented,
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
    /// Nothing that carries this tag may run after that time, whoever decides then: before it is over, the fence
    /// kills it. The newest word counts. Comes before the [`Output::Run`] that relies on it.
    Fence {
        tag: FenceTag,
        until: Instant,
    },
    /// Nobody waits for this action any more: it is ended, and its outcome follows.
    Abort {
        id: ActionId,
    },
    /// To the node that asked by [`Input::MoveAsked`]: nothing else follows.
    AnswerMove {
        id: AskId,
        answer: Result<(), String>,
    },
    Reply {
        id: CommandId,
        reply: Reply,
    },
    KeysReply {
        id: CommandId,
        reply: KeyReply,
    },
    /// The key-value store as it is now, for whoever reads.
    ShowKeys(Arc<Keys>),
    /// Nothing more follows in this boot, whatever happens ([`Input::Stopping`]).
    Stopped,
    /// The newest view, for whoever reads, and how this node stands.
    Show {
        view: Arc<View>,
        status: Status,
    },
}

/// Numbers the saves of one boot, rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SaveId(pub u64);

/// One thing to keep on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Appended to the log of envelopes: the truth.
    Envelope(SignedEnvelope),
    /// Replaces the last known report of that node.
    Report { node: NodeId, report: SignedReport },
    /// Replaces a small local value: `grid-key`, `membership`, `holds` … Unknown keys are kept.
    Local { key: String, value: Vec<u8> },
    /// Replaces what is kept of a key of the key-value store, or removes it.
    Key { key: String, value: Option<Vec<u8>> },
    /// Forget everything of the grid (after `leave`), but the node's removed identity.
    Forget,
}

/// Who this node is, in this boot.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub key: SecretKey,
    /// Raised and saved before each start.
    pub boot: u64,
    /// Random, for this boot.
    pub nonce: u64,
    /// Of this node's generator, for this boot.
    pub seed: u64,
    /// The version of the daemon.
    pub version: String,
}

/// What was on disk at the start.
#[derive(Clone, Debug, Default)]
pub struct SavedState {
    /// In the order in which they were saved.
    pub envelopes: Vec<SignedEnvelope>,
    pub reports: Vec<SignedReport>,
    pub local: BTreeMap<String, Vec<u8>>,
    /// Of the key-value store.
    pub keys: BTreeMap<String, Vec<u8>>,
    /// Data of instances that came, or come, by moves.
    pub arrivals: BTreeMap<InstanceId, Arrival>,
}

impl SavedState {
    /// The local value that a node leaves that had to continue above a later life of its own: by how much
    /// its boots run ahead of those that are counted. Each start is thus above the one before.
    const BOOTS_AHEAD: &str = "boots-ahead";

    /// The local value of a node that was restored from a backup: 32 bytes, by which its writes to the key-value store are
    /// known from then on. What it wrote between the backup and its end, others may have: under its old name it would number new
    /// writes like these, or above them, and so take them for removed.
    pub const KEYS_WRITER: &str = "keys-writer";

    /// This start's boot counter.
    fn boot_after(&self, counted: u64) -> u64 {
        let ahead = self
            .local
            .get(Self::BOOTS_AHEAD)
            .and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok());
        counted.saturating_add(ahead.map_or(0, u64::from_le_bytes))
    }
}

/// How this node stands to its grid.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    /// In no grid: waits for `init` or `join`.
    #[default]
    Alone,
    /// Asked a member to be admitted, or is saving what it was answered.
    Joining,
    Member,
    /// Left the roster, and stops what it runs before it forgets the grid.
    Leaving,
    /// Removed by an operator: has no effect any more, and stopped what it ran.
    Removed,
    /// Another machine runs with this node's identity: acts no more.
    Cloned,
}

/// What people should know of this node, beside the view.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Status {
    pub phase: Phase,
    /// Envelopes that wait for others, and whoever was refused, in words.
    pub problems: Vec<String>,
}

/// One grid member without a body.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    me: NodeId,
    phase: Phase,
    replica: Replica,
    pulse: Pulse,
    /// Which lives of each peer speak to this node.
    lives: Lives,
    reports: Reports,
    relay: Relay,
    agreement: Agreement,
    doubts: Doubts,
    absences: Absences,
    inbox: Inbox,
    own: Own,
    networking: Networking,
    instances: Option<Instances>,
    partings: Partings,
    work: Work,
    saving: Saving,
    writing: Writing,
    halting: Halting,
    rebinding: Rebinding,
    moving: Moving,
    /// Data that came by moves, until there are instances.
    arrivals: BTreeMap<InstanceId, Arrival>,
    joining: Joining,
    key_store: KeyStore,
    leasing: Leasing,
    presenting: Presenting,
    standing_by: StandingBy,
    stopping: Stopping,
    chance: Chance,
    view: Arc<View>,
    shown: Option<Status>,
    outputs: VecDeque<Output>,
    /// When it was driven last.
    driven: Instant,
}

impl Node {
    /// A node as it was saved. Nothing has happened yet but that: it must be driven once.
    pub fn new(config: NodeConfig, saved: SavedState, now: Now) -> Self {
        let boot = saved.boot_after(config.boot);
        let me = config.key.node_id();
        let mut node = Self {
            me,
            phase: Phase::Alone,
            replica: Replica::new(config.key.clone(), config.nonce),
            pulse: Pulse::new(me, boot, config.nonce, config.seed, now),
            lives: Lives::default(),
            reports: Reports::default(),
            relay: Relay::default(),
            agreement: Agreement::default(),
            doubts: Doubts::default(),
            absences: Absences::default(),
            inbox: Inbox::default(),
            own: Own::new(&config, boot),
            networking: Networking::default(),
            instances: None,
            partings: Partings::default(),
            work: Work::default(),
            saving: Saving::default(),
            writing: Writing::default(),
            halting: Halting::default(),
            rebinding: Rebinding::default(),
            moving: Moving::default(),
            arrivals: BTreeMap::new(),
            joining: Joining::default(),
            key_store: KeyStore::default(),
            leasing: Leasing::new(config.nonce, now.monotonic),
            presenting: Presenting::default(),
            standing_by: StandingBy::default(),
            stopping: Stopping::default(),
            chance: Chance::new(config.seed, "node"),
            view: Arc::default(),
            shown: None,
            outputs: VecDeque::new(),
            driven: now.monotonic,
            config,
        };
        node.restore(saved, now);
        node.settle(now);
        node
    }

    /// Takes in what happened, and decides what follows.
    pub fn handle(&mut self, input: Input, now: Now) {
        if self.has_stopped() {
            return;
        }
        match input {
            Input::Received { from, message } => self.received(from, message, now),
            Input::JoinAsked {
                id,
                from,
                seen,
                call,
            } => self.join_asked(id, from, seen, call, now),
            Input::JoinAnswered { id, answer } => self.join_answered(id, answer, now),
            Input::StrangerPresents { id, presentation } => {
                self.stranger_presents(id, presentation);
            }
            Input::Presented { by, answer } => self.presented(by, answer, now),
            Input::Command { id, command } => self.command(id, command, now),
            Input::Fenced(fence) => self.fence_told(fence),
            Input::WriteKey { id, write } => self.write_key(id, write),
            Input::Observed(observed) => self.observed(observed, now),
            Input::Done { id, outcome } => self.done(id, outcome, now),
            Input::Progressed { id, hundredths } => self.progressed(id, hundredths, now),
            Input::MoveAsked { id, from, asked } => self.move_asked(id, from, asked, now),
            Input::Saved { id, result } => self.saved(id, result, now),
            Input::Addresses(addresses) => self.own.listen_on(addresses),
            Input::Network(sight) => self.network_seen(sight, now),
            Input::Lagged(lag) => self.pulse.lagged(lag, now.monotonic),
            Input::Refused(peer) => self.pulse.refused(peer, now),
            Input::Stopping => self.stop(now),
            Input::Wake => {}
        }
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle(Input::Wake, …)` at the latest, and which part asked.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        if self.has_stopped() {
            return None;
        }
        [
            self.networking
                .next_wake(self.driven)
                .map(|at| (at, "network")),
            (!self.inbox.is_empty()).then_some((self.driven, "merging")),
            self.in_grid()
                .then(|| (self.pulse.next_wake(), "freshness")),
            self.instances
                .as_ref()
                .and_then(Instances::next_wake)
                .map(|at| (at, "instances")),
            self.writing
                .next_wake(self.acts_from())
                .map(|at| (at, "writing")),
            self.moving.next_wake().map(|at| (at, "moving")),
            self.relay.next_wake().map(|at| (at, "relaying")),
            self.next_look().map(|at| (at, "looking")),
            self.saving.next_wake().map(|at| (at, "saving")),
            self.joining.next_wake().map(|at| (at, "joining")),
            self.presenting.next_wake().map(|at| (at, "presenting")),
            self.doubts.next_wake().map(|at| (at, "doubts")),
            self.absences
                .next_wake(self.driven)
                .map(|at| (at, "absences")),
            self.leave_wake().map(|at| (at, "leaving")),
            self.stopping.next_wake().map(|at| (at, "stopping")),
            self.leasing.next_wake().map(|at| (at, "leases")),
            self.stand_by_wake().map(|at| (at, "standing by")),
            self.key_store
                .next_wake(self.acts_from())
                .map(|at| (at, "keys")),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Everything that follows from what is known now, in the order in which one leads to another.
    fn settle(&mut self, now: Now) {
        self.driven = now.monotonic;
        self.beat(now);
        self.relay(now);
        self.stop_asking(now);
        self.merge();
        self.look(now);
        self.set_network();
        self.tell_unreachable(now);
        self.present(now);
        self.work(now);
        self.halt_what_failed(now);
        self.rebind_what_is_refused(now);
        self.go_on_with_moves(now);
        self.write(now);
        self.finish_leaving(now);
        self.keep_keys(now);
        // What this node has just said of itself, or written, is a part of the view by now.
        self.set_network();
        self.save_reports(now);
        self.show();
        self.finish_stopping(now);
    }

    /// Whether this node takes part in a grid.
    fn in_grid(&self) -> bool {
        match self.phase {
            Phase::Member | Phase::Leaving | Phase::Removed | Phase::Cloned => true,
            Phase::Alone | Phase::Joining => false,
        }
    }

    fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }
}
