//! Connecting to members: several attempts at once where one hangs, for as long as somebody waits.

use std::collections::BTreeSet;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use tokio::time::Instant;

use super::problem::{dial_problem, is_refused};
use super::{Answer, Driver, P2pEvent};

/// While a dial is under way another one is tried, because the kernel repeats its first packet more
/// and more slowly: a healed link is noticed within this.
const REDIAL: Duration = Duration::from_secs(1);

/// A member that is being dialled.
pub(super) struct Dial {
    waiting: Vec<Answer<()>>,
    attempts: BTreeSet<ConnectionId>,
    last: Instant,
}

impl Driver {
    pub(super) fn connect(&mut self, peer: PeerId, reply: Answer<()>) {
        if self.peers.borrow().node_of(&peer).is_none() {
            drop(reply.send(Err("it is not a member".to_owned())));
            return;
        }
        if self.connections.is_connected(&peer) {
            // Whoever asked may have given up.
            drop(reply.send(Ok(())));
            return;
        }
        if let Some(dial) = self.dials.get_mut(&peer) {
            dial.waiting.retain(|waiting| !waiting.is_closed());
            dial.waiting.push(reply);
            return;
        }
        let dial = Dial {
            waiting: vec![reply],
            attempts: BTreeSet::new(),
            last: Instant::now(),
        };
        self.dials.insert(peer, dial);
        self.dial(peer);
    }

    fn dial(&mut self, peer: PeerId) {
        let addresses = self.peers.borrow().addresses(&peer);
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            // The port of the listener might still belong to the dead connection before.
            .allocate_new_port()
            .build();
        let attempt = options.connection_id();
        if let Some(dial) = self.dials.get_mut(&peer) {
            dial.attempts.insert(attempt);
            dial.last = Instant::now();
        }
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_failed(attempt, Some(peer), &error);
        }
    }

    /// One more attempt where the last one hangs, while somebody waits.
    pub(super) fn redial(&mut self) {
        let mut due = Vec::new();
        self.dials.retain(|peer, dial| {
            dial.waiting.retain(|waiting| !waiting.is_closed());
            let wanted = !dial.waiting.is_empty();
            if wanted && dial.last.elapsed() >= REDIAL {
                due.push(*peer);
            }
            wanted
        });
        for peer in due {
            self.dial(peer);
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        attempt: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
    ) {
        if let Some(ask) = self.asks.remove(&attempt) {
            drop(ask.reply.send(Err(dial_problem(error))));
            return;
        }
        let Some(peer) = peer else { return };
        self.tell_unreachable(&peer, error);
        let Some(dial) = self.dials.get_mut(&peer) else {
            return;
        };
        dial.attempts.remove(&attempt);
        if dial.attempts.is_empty() {
            self.end_dial(&peer, &Err(dial_problem(error)));
        }
    }

    pub(super) fn end_dial(&mut self, peer: &PeerId, result: &Result<(), String>) {
        let waiting = self.dials.remove(peer).map(|dial| dial.waiting);
        for reply in waiting.unwrap_or_default() {
            drop(reply.send(result.clone()));
        }
    }

    fn tell_unreachable(&self, peer: &PeerId, error: &DialError) {
        let Some(node) = self.peers.borrow().node_of(peer) else {
            return;
        };
        self.tell(if is_refused(error) {
            P2pEvent::Refused { peer: node }
        } else {
            P2pEvent::Unreachable {
                peer: node,
                problem: dial_problem(error),
            }
        });
    }
}
