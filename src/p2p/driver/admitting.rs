//! The join protocol: our own questions, and those of strangers.

use libp2p::PeerId;
use libp2p::request_response::{
    Event as JoinEvent, Message as JoinMessage, OutboundRequestId, ResponseChannel,
};
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use tokio::time::Instant;

use super::problem::ITSELF;
use super::{Answer, Driver, P2pEvent};
use crate::p2p::joining::Target;
use crate::p2p::keys::node_id;

/// A join request of ours, and who waits for its answer.
pub(super) struct Ask {
    pub(super) bytes: Vec<u8>,
    pub(super) reply: Answer<Vec<u8>>,
}

impl Driver {
    pub(super) fn ask_join(&mut self, target: Target, ask: Ask) {
        if self.swarm.listeners().any(|own| *own == target.address) {
            drop(ask.reply.send(Err(ITSELF.to_owned())));
            return;
        }
        let options = match target.peer {
            Some(peer) => DialOpts::peer_id(peer)
                .addresses(vec![target.address])
                .condition(PeerCondition::Always)
                .allocate_new_port()
                .build(),
            None => DialOpts::unknown_peer_id()
                .address(target.address)
                .allocate_new_port()
                .build(),
        };
        let attempt = options.connection_id();
        self.asks.insert(attempt, ask);
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_failed(attempt, None, &error);
        }
    }

    pub(super) fn answer_join(&mut self, id: u64, bytes: Vec<u8>) {
        self.questions.close(id);
        if let Some(channel) = self.answers.remove(&id) {
            let sent = self
                .swarm
                .behaviour_mut()
                .join
                .send_response(channel, bytes);
            if sent.is_err() {
                tracing::debug!(id, "The asker of a join did not wait for its answer");
            }
        }
    }

    pub(super) fn on_join(&mut self, event: JoinEvent<Vec<u8>, Vec<u8>>) {
        match event {
            JoinEvent::Message {
                peer,
                connection_id,
                message:
                    JoinMessage::Request {
                        request, channel, ..
                    },
            } => self.on_question(peer, connection_id, request, channel),
            JoinEvent::Message {
                message:
                    JoinMessage::Response {
                        request_id,
                        response,
                    },
                ..
            } => self.on_answer(request_id, Ok(response)),
            JoinEvent::OutboundFailure {
                request_id, error, ..
            } => self.on_answer(request_id, Err(format!("it did not answer: {error}"))),
            JoinEvent::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "A join request failed");
            }
            JoinEvent::ResponseSent { peer, .. } => tracing::debug!(%peer, "A join was answered"),
        }
    }

    /// Refused by dropping the channel: the asker sees its stream end.
    fn on_question(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        bytes: Vec<u8>,
        channel: ResponseChannel<Vec<u8>>,
    ) {
        let (Some(from), Some(connection)) = (node_id(&peer), self.connections.get(connection))
        else {
            return;
        };
        let seen = connection.address;
        let Some(id) = self.questions.ask(peer, seen.ip(), Instant::now()) else {
            tracing::debug!(%peer, %seen, "Too many join requests");
            return;
        };
        let asked = P2pEvent::JoinAsked {
            id,
            from,
            bytes,
            seen,
        };
        if self.events.try_send(asked).is_ok() {
            self.answers.insert(id, channel);
        } else {
            self.questions.close(id);
        }
    }

    fn on_answer(&mut self, request: OutboundRequestId, answer: Result<Vec<u8>, String>) {
        if let Some((_, reply)) = self.asked.remove(&request) {
            drop(reply.send(answer));
        }
    }

    pub(super) fn forget_questions(&mut self) {
        for id in self.questions.expired(Instant::now()) {
            self.answers.remove(&id);
        }
        let questions = &mut self.questions;
        self.answers.retain(|id, channel| {
            let open = channel.is_open();
            if !open {
                questions.close(*id);
            }
            open
        });
    }

    pub(super) fn forget_asks(&mut self) {
        self.asks.retain(|_, ask| !ask.reply.is_closed());
        self.asked.retain(|_, (_, reply)| !reply.is_closed());
    }
}
