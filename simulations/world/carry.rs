//! What nodes ask for is under way: messages to others, work for the engine and the disk.

use std::sync::Arc;
use std::time::Duration;

use kontena_core::command::CommandId;
use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::message::{
    JoinAnswer, JoinCall, MAX_CALL_BYTES, Message, Presentation, Presented, encode,
};
use kontena_core::node::{Output, Record, SaveId, Status};
use kontena_core::reconcile::action::{Action, ActionId, MoveStep};
use kontena_core::report::{Report, SignedReport};
use kontena_core::view::View;

use super::World;
use crate::fact::Fact;
use crate::queue::What;

/// How long a call of a stranger takes.
const CALL_DELAY: Duration = Duration::from_millis(2);

/// A refusal comes back so soon.
const REFUSED_AFTER: Duration = Duration::from_millis(1);

/// A forgery comes so soon.
const FORGED_AFTER: Duration = Duration::from_millis(1);

/// Of exchanges, whose size hardly changes, one in so many is measured.
const MEASURED: u64 = 256;

impl World {
    pub(super) fn carry(&mut self, host: usize, output: Output) {
        match output {
            Output::Send { to, message } => self.send(host, to, &message),
            Output::Answer { to, message } => match self.asker {
                Some(asker) => self.send_to_host(host, asker, &message),
                None => self.send(host, to, &message),
            },
            Output::SetPeers(peers) => self.hosts[host].peers = peers,
            Output::SetNetwork(wanted) => {
                self.hosts[host].set_network(wanted.map(|wanted| *wanted));
            }
            Output::AskJoin { id, address, call } => self.ask_join(host, id, &address, call),
            Output::AnswerJoin { id, answer } => self.answer_join(host, id, answer),
            Output::Present { to, presentation } => self.present(host, to, presentation),
            Output::AnswerPresentation { id, presented } => {
                let to = usize::try_from(id).expect("it was a host");
                self.answer_presentation(host, to, presented);
            }
            Output::Save { id, records } => self.give_to_disk(host, id, records),
            Output::Run { id, action } => self.give_to_engine(host, id, action),
            Output::Fence { tag, until } => self.fence(host, tag, until),
            Output::Abort { id } => self.abort(host, id),
            Output::AnswerMove { id, answer } => self.answer_move(id, answer),
            Output::Reply { id, reply } => {
                self.tell(host, || Fact::Replied {
                    id,
                    reply: reply.clone(),
                });
                self.replies.insert(id, reply);
            }
            Output::Show { view, status } => self.show(host, view, status),
            Output::KeysReply { id, reply } => self.tell(host, || Fact::KeyAnswered { id, reply }),
            Output::ShowKeys(keys) => self.hosts[host].keys = keys,
            Output::Stopped => self.kill_node(host),
        }
    }

    pub(super) fn show(&mut self, host: usize, view: Arc<View>, status: Status) {
        let machine = &mut self.hosts[host];
        let was_member = machine.view.documents.grid.id.is_some();
        let before = std::mem::replace(&mut machine.view, view);
        let was = std::mem::replace(&mut machine.status, status).phase;
        if !was_member && self.hosts[host].view.documents.grid.id.is_some() {
            self.observe_soon(host);
        }
        self.tell(host, || Fact::Shown { before, was });
    }

    fn give_to_disk(&mut self, host: usize, id: SaveId, records: Vec<Record>) {
        let at = self.hosts[host].save_ends(self.now);
        self.at(at, host, What::Save { id, records });
    }

    fn give_to_engine(&mut self, host: usize, id: ActionId, action: Action) {
        self.tell(host, || Fact::Asked(action.clone()));
        if let Action::Move(
            step @ (MoveStep::Send { .. } | MoveStep::Bring { .. } | MoveStep::Release { .. }),
        ) = action
        {
            return self.begin_move(host, id, step);
        }
        let machine = &mut self.hosts[host];
        let latency = machine.engine.latency(&action, &mut machine.chance);
        let fails = machine.engine.hangs_in(&action);
        let power = machine.power;
        self.after(
            latency,
            host,
            What::Carry {
                power,
                id,
                action,
                fails,
            },
        );
    }

    fn send(&mut self, from: usize, to: NodeId, message: &Message) {
        let Some(to) = self.host_of(to, from) else {
            return;
        };
        self.send_to_host(from, to, message);
    }

    fn send_to_host(&mut self, from: usize, to: usize, message: &Message) {
        self.messages += 1;
        self.hosts[from].sent += 1;
        if let Some(meter) = &mut self.meter {
            meter.sent(from, message);
        }
        self.measure(from, message);
        if !self.reaches(from, to) {
            return;
        }
        for delay in self.network.carry(from, to) {
            let message = message.clone();
            self.after(delay, to, What::Deliver { from, message });
        }
        self.forge(from, to, message);
        self.refuse(from, to);
    }

    /// With a report of its own a forger sends one of each other node, as if it were that node's.
    fn forge(&mut self, from: usize, to: usize, message: &Message) {
        let Message::Reports(_) = message else {
            return;
        };
        if !self.forgers.contains(&from) || self.network.is_cut(from, to) {
            return;
        }
        let (key, reports) = (&self.hosts[from].key, &self.hosts[from].view.reports);
        let others = reports
            .values()
            .filter(|report| report.node != key.node_id());
        let forged = others.map(|report| forged(report, key)).collect();
        let message = Message::Reports(forged);
        self.after(FORGED_AFTER, to, What::Deliver { from, message });
    }

    fn measure(&mut self, from: usize, message: &Message) {
        let is_measured = match message {
            Message::Exchange(_) => self.messages.is_multiple_of(MEASURED),
            Message::Beats(_)
            | Message::Inventory(_)
            | Message::Reports(_)
            | Message::Envelopes(_)
            | Message::Want(_)
            | Message::Stored(_)
            | Message::Applied { .. }
            | Message::Lease(_)
            | Message::KeysHeld(_)
            | Message::Keys(_)
            | Message::Cloned { .. } => true,
        };
        if is_measured {
            self.tell(from, || Fact::Sent {
                bytes: encode(message).len(),
            });
        }
    }

    /// A host that is up, whose daemon is down, refuses connections.
    fn refuse(&mut self, from: usize, to: usize) {
        let machine = &self.hosts[to];
        if !self.is_cut_off(from, to) && machine.powered && !machine.is_up() {
            self.after(REFUSED_AFTER, from, What::Refused { peer: to });
        }
    }

    /// Whether one of two hosts knows where the other is now, so that they have a connection.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let (a, b) = (&self.hosts[from], &self.hosts[to]);
        a.knows_address(b.id(), &b.address) || b.knows_address(a.id(), &a.address)
    }

    /// Whoever answers to a node's key: one of several where a disk was cloned.
    pub(super) fn host_of(&mut self, id: NodeId, from: usize) -> Option<usize> {
        let hosts = self.by_id.get(&id)?.iter().copied();
        let others: Vec<usize> = hosts.filter(|host| *host != from).collect();
        match others.as_slice() {
            [only] => Some(*only),
            several => self.hosts[from].chance.pick(several).copied(),
        }
    }

    /// A call of the one host that has that key, at an address that the caller knows.
    fn present(&mut self, from: usize, to: NodeId, presentation: Presentation) {
        let is_small = encode(&presentation).len() <= MAX_CALL_BYTES;
        assert!(is_small, "a call is larger than the wire allows");
        let called = self.host_of(to, from).filter(|host| {
            let machine = &self.hosts[*host];
            let is_found = self.hosts[from].knows_address(to, &machine.address);
            is_found && machine.is_up() && !self.is_cut_off(from, *host)
        });
        match called {
            Some(host) => self.after(CALL_DELAY, host, What::Presents { from, presentation }),
            None => {
                let answer = Err("it cannot be reached".to_owned());
                self.after(CALL_DELAY, from, What::Presented { by: to, answer });
            }
        }
    }

    fn answer_presentation(&mut self, host: usize, to: usize, presented: Presented) {
        if !self.is_cut_off(host, to) {
            let (by, answer) = (self.id(host), Ok(presented));
            self.after(CALL_DELAY, to, What::Presented { by, answer });
        }
    }

    /// Whether two hosts can have no connection: one needs both ways.
    pub(super) fn is_cut_off(&self, one: usize, other: usize) -> bool {
        self.network.is_cut(one, other) || self.network.is_cut(other, one)
    }

    fn ask_join(&mut self, from: usize, id: CommandId, address: &str, call: Box<JoinCall>) {
        let number = self.joins.len();
        self.joins.push((from, id));
        let sponsor = self
            .host_at(address)
            .filter(|to| self.hosts[*to].is_up() && !self.network.is_cut(from, *to));
        match sponsor {
            Some(to) => self.after(CALL_DELAY, to, What::JoinAsked { number, call }),
            None => {
                let answer = Err("connection refused".to_owned());
                self.after(CALL_DELAY, from, What::JoinAnswered { id, answer });
            }
        }
    }

    fn answer_join(&mut self, host: usize, id: u64, answer: JoinAnswer) {
        let number = usize::try_from(id).expect("it was a place");
        let (to, id) = self.joins[number];
        if !self.network.is_cut(host, to) {
            let answer = Ok(answer);
            self.after(self.join_latency, to, What::JoinAnswered { id, answer });
        }
    }
}

/// A report of a node by somebody else, above all that it will make itself: it runs nothing any more.
fn forged(report: &Report, by: &SecretKey) -> SignedReport {
    let mut report = report.clone();
    report.order.sequence += 1000;
    report.holds.clear();
    SignedReport::new(&report, by)
}
