//! From the node's outputs to the edges, and from the edges' events to its inputs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kontena_core::command::{CommandId, Reply};
use kontena_core::id::NodeId;
use kontena_core::keys::{KeyReply, Keys};
use kontena_core::lease::{FenceTag, KILLED_BEFORE};
use kontena_core::message::{self, JoinCall, Message, Presentation, StrangerAnswer, StrangerCall};
use kontena_core::node::{Input, Output, Phase, Record, SaveId, Status};
use kontena_core::reconcile::action::{Action, ActionId, MoveStep};
use kontena_core::time::Instant;
use kontena_core::view::View;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::disk::Saver;
use crate::docker::Docker;
use crate::p2p::{Answers, P2p, P2pEvent};

use super::Commands;
use super::clock::Clock;
use super::fences::Fencing;
use super::moves::NodeMoves;
use super::networking::Told;

/// Everything that outputs act upon.
pub(super) struct Effects {
    p2p: P2p,
    docker: Docker,
    moves: NodeMoves,
    /// Steps of moves that are under way, to be ended when nobody waits for them.
    ending: BTreeMap<ActionId, CancellationToken>,
    fencing: Fencing,
    clock: Clock,
    saver: Saver,
    /// The sender of the message that the node handles now; nobody where it handles something else.
    asker: Answers,
    /// What actions and calls answer comes back as inputs.
    inputs: mpsc::Sender<Input>,
    commands: Commands,
    replies: BTreeMap<CommandId, oneshot::Sender<Reply>>,
    key_replies: BTreeMap<CommandId, oneshot::Sender<KeyReply>>,
    view: watch::Sender<Arc<View>>,
    keys: watch::Sender<Arc<Keys>>,
    status: watch::Sender<Status>,
    /// The grid whose containers are watched.
    grid: watch::Sender<Option<String>>,
    /// How the network shall be.
    network: watch::Sender<Told>,
    has_stopped: bool,
}

impl Effects {
    pub(super) fn new(
        p2p: P2p,
        docker: Docker,
        moves: NodeMoves,
        fencing: Fencing,
        clock: Clock,
        saver: Saver,
        inputs: mpsc::Sender<Input>,
        view: watch::Sender<Arc<View>>,
        keys: watch::Sender<Arc<Keys>>,
        status: watch::Sender<Status>,
        grid: watch::Sender<Option<String>>,
        network: watch::Sender<Told>,
    ) -> Self {
        let commands = Commands::default();
        Self {
            p2p,
            docker,
            moves,
            ending: BTreeMap::new(),
            fencing,
            clock,
            saver,
            asker: Answers::default(),
            inputs,
            commands,
            replies: BTreeMap::new(),
            key_replies: BTreeMap::new(),
            view,
            keys,
            status,
            grid,
            network,
            has_stopped: false,
        }
    }

    /// Whether the node has said its last word.
    pub(super) fn has_stopped(&self) -> bool {
        self.has_stopped
    }

    /// The phase that the node showed last.
    pub(super) fn phase(&self) -> Phase {
        self.status.borrow().phase.clone()
    }

    /// Whoever is answered by what follows: the sender of the message that is handled next.
    pub(super) fn answer_to(&mut self, asker: Answers) {
        self.asker = asker;
    }

    /// What was handled last is carried out: what comes next may be no message.
    pub(super) fn answer_nobody(&mut self) {
        self.asker = Answers::default();
    }

    /// A command's answer will go here.
    pub(super) fn expect_reply(&mut self, answer: oneshot::Sender<Reply>) -> CommandId {
        let id = self.commands.next();
        self.replies.insert(id, answer);
        id
    }

    /// The answer to a write of a key will go here.
    pub(super) fn expect_key_reply(&mut self, answer: oneshot::Sender<KeyReply>) -> CommandId {
        let id = self.commands.next();
        self.key_replies.insert(id, answer);
        id
    }

    /// Whoever still waits for an answer is told that the daemon stops.
    pub(super) fn answer_no_more(&mut self) {
        self.replies.clear();
        self.key_replies.clear();
    }

    /// Waits until peers have heard what was sent.
    pub(super) async fn flush(&self, limit: Duration) {
        self.p2p.flush(limit).await;
    }

    /// The disk, to be closed last.
    pub(super) fn into_saver(self) -> Saver {
        self.saver
    }

    pub(super) async fn carry_out(&mut self, output: Output) -> anyhow::Result<()> {
        match output {
            Output::Send { to, message } => {
                self.p2p.send(to, Bytes::from(message::encode(&message)));
            }
            Output::Answer { to, message } => self.answer(to, &message),
            Output::SetPeers(peers) => self.p2p.set_peers(&sockets(peers)),
            Output::SetNetwork(wanted) => {
                self.network
                    .send_replace(Some(wanted.map(|wanted| Arc::new(*wanted))));
            }
            Output::AskJoin { id, address, call } => self.ask_join(id, address, call),
            Output::AnswerJoin { id, answer } => {
                self.answer_stranger(id, &StrangerAnswer::Join(answer))
                    .await?;
            }
            Output::Present { to, presentation } => self.present(to, presentation),
            Output::AnswerPresentation { id, presented } => {
                let answer = StrangerAnswer::Present(presented);
                self.answer_stranger(id, &answer).await?;
            }
            Output::Save { id, records } => self.save(id, records).await?,
            Output::Run {
                id,
                action: Action::Move(step),
            } => self.go_on_with_move(id, step),
            Output::Run { id, action } => self.run(id, action),
            Output::Fence { tag, until } => self.fence(tag, until),
            Output::Abort { id } => self.abort(id),
            Output::AnswerMove { id, answer } => self.moves.answer(id, answer),
            Output::Reply { id, reply } => self.reply(id, reply),
            Output::KeysReply { id, reply } => self.answer_key(id, reply),
            Output::ShowKeys(keys) => drop(self.keys.send_replace(keys)),
            Output::Stopped => self.has_stopped = true,
            Output::Show { view, status } => self.show(view, status),
        }
        Ok(())
    }

    fn answer(&self, to: NodeId, message: &Message) {
        let bytes = Bytes::from(message::encode(message));
        if let Err(bytes) = self.asker.answer(bytes) {
            self.p2p.send(to, bytes);
        }
    }

    async fn answer_stranger(&self, id: u64, answer: &StrangerAnswer) -> anyhow::Result<()> {
        self.p2p.answer_join(id, message::encode(answer)).await
    }

    fn ask_join(&self, id: CommandId, address: String, call: Box<JoinCall>) {
        let (p2p, inputs) = (self.p2p.clone(), self.inputs.clone());
        let call = message::encode(&StrangerCall::Join(call));
        tokio::spawn(async move {
            let answer = match answer_in(p2p.ask_join(&address, call).await) {
                Ok(StrangerAnswer::Join(answer)) => Ok(answer),
                Ok(StrangerAnswer::Present(_)) => Err(OTHER_ANSWER.to_owned()),
                Err(problem) => Err(problem),
            };
            // The daemon is stopping when nobody takes it.
            let _ = inputs.send(Input::JoinAnswered { id, answer }).await;
        });
    }

    fn present(&self, to: NodeId, presentation: Presentation) {
        let (p2p, inputs) = (self.p2p.clone(), self.inputs.clone());
        let call = message::encode(&StrangerCall::Present(presentation));
        tokio::spawn(async move {
            let answer = match answer_in(p2p.ask_member(to, call).await) {
                Ok(StrangerAnswer::Present(presented)) => Ok(presented),
                Ok(StrangerAnswer::Join(_)) => Err(OTHER_ANSWER.to_owned()),
                Err(problem) => Err(problem),
            };
            // The daemon is stopping when nobody takes it.
            let _ = inputs.send(Input::Presented { by: to, answer }).await;
        });
    }

    async fn save(&self, id: SaveId, records: Vec<Record>) -> anyhow::Result<()> {
        self.saver.save(id, records).await
    }

    fn run(&self, id: ActionId, action: Action) {
        let (docker, inputs) = (self.docker.clone(), self.inputs.clone());
        tokio::spawn(async move {
            // Where inputs are many already, this one can be missed.
            let tell = |hundredths| _ = inputs.try_send(Input::Progressed { id, hundredths });
            let outcome = docker.carry_out_telling(action, &tell).await;
            // The daemon is stopping when nobody takes it; the next one looks at what is there.
            let _ = inputs.send(Input::Done { id, outcome }).await;
        });
    }

    fn go_on_with_move(&mut self, id: ActionId, step: MoveStep) {
        let is_over = CancellationToken::new();
        // A step that has ended holds none of the others.
        self.ending.retain(|_, ending| !ending.is_cancelled());
        self.ending.insert(id, is_over.clone());
        let (moves, inputs) = (self.moves.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let progress = inputs.clone();
            // Where inputs are many already, this one can be missed.
            let tell =
                move |hundredths| _ = progress.try_send(Input::Progressed { id, hundredths });
            let outcome = moves.carry_out(step, is_over.clone(), &tell).await;
            is_over.cancel();
            // The daemon is stopping when nobody takes it; the next one looks at what is there.
            let _ = inputs.send(Input::Done { id, outcome }).await;
        });
    }

    /// The fence needs a moment to kill, so it begins before.
    fn fence(&self, tag: FenceTag, until: Instant) {
        let until = until.since_start().saturating_sub(KILLED_BEFORE);
        let until = self.clock.moment(Instant::from_duration(until));
        self.fencing.hold(tag, until);
    }

    fn abort(&mut self, id: ActionId) {
        if let Some(ending) = self.ending.remove(&id) {
            ending.cancel();
        }
    }

    fn reply(&mut self, id: CommandId, reply: Reply) {
        if let Some(waiting) = self.replies.remove(&id) {
            // Whoever asked may have gone.
            let _ = waiting.send(reply);
        }
    }

    fn answer_key(&mut self, id: CommandId, reply: KeyReply) {
        if let Some(waiting) = self.key_replies.remove(&id) {
            // Whoever asked may have gone.
            let _ = waiting.send(reply);
        }
    }

    /// What an earlier life could not remove is removed.
    fn leave_no_network(&self) {
        self.network.send_if_modified(|told| {
            let is_new = told.is_none();
            told.get_or_insert(None);
            is_new
        });
    }

    fn show(&self, view: Arc<View>, status: Status) {
        if status.phase == Phase::Alone {
            self.leave_no_network();
        }
        let grid = match status.phase {
            Phase::Alone | Phase::Joining => None,
            Phase::Member | Phase::Leaving | Phase::Removed | Phase::Cloned => {
                view.documents.grid.id.map(|id| id.to_string())
            }
        };
        self.grid.send_if_modified(|known| {
            let changed = *known != grid;
            *known = grid;
            changed
        });
        self.view.send_replace(view);
        self.status.send_if_modified(|known| {
            let changed = *known != status;
            *known = status;
            changed
        });
    }
}

const OTHER_ANSWER: &str = "it answers another question";

fn answer_in(bytes: anyhow::Result<Vec<u8>>) -> Result<StrangerAnswer, String> {
    let bytes = bytes.map_err(|error| format!("{error:#}"))?;
    message::decode(&bytes).map_err(|error| format!("its answer cannot be read: {error}"))
}

/// Addresses that are none are left out: they came from another node.
fn sockets(peers: BTreeMap<NodeId, Vec<String>>) -> BTreeMap<NodeId, Vec<SocketAddr>> {
    peers
        .into_iter()
        .map(|(node, addresses)| {
            (
                node,
                addresses
                    .iter()
                    .filter_map(|text| text.parse().ok())
                    .collect(),
            )
        })
        .collect()
}

/// What a member's message is to the node, if it is understood.
pub(super) fn message_of(from: NodeId, bytes: &[u8]) -> Option<Input> {
    match message::decode::<Message>(bytes) {
        Ok(message) => Some(Input::Received { from, message }),
        Err(problem) => {
            tracing::debug!(node = %from.short(), %problem, "A message was not understood");
            None
        }
    }
}

/// What another event on the wire is to the node, if anything.
pub(super) fn input_of(event: P2pEvent) -> Option<Input> {
    match event {
        P2pEvent::JoinAsked {
            id,
            from,
            bytes,
            seen,
        } => match message::decode(&bytes) {
            Ok(StrangerCall::Join(call)) => Some(Input::JoinAsked {
                id,
                from,
                seen: Some(seen.ip()),
                call: *call,
            }),
            Ok(StrangerCall::Present(presentation)) => {
                Some(Input::StrangerPresents { id, presentation })
            }
            Err(problem) => {
                tracing::warn!(node = %from.short(), %problem, "A stranger was not understood");
                None
            }
        },
        P2pEvent::Refused { peer } => Some(Input::Refused(peer)),
        P2pEvent::Connected { peer, address } => {
            tracing::debug!(node = %peer.short(), %address, "Connected");
            None
        }
        P2pEvent::Unreachable { peer, problem } => {
            tracing::debug!(node = %peer.short(), %problem, "A member cannot be reached");
            None
        }
        P2pEvent::Listening(addresses) => {
            tracing::debug!(?addresses, "Listening");
            None
        }
        P2pEvent::Message { .. } | P2pEvent::Stream { .. } => None,
    }
}
