//! What is foreseen comes to pass: events reach nodes, engines and disks.

use std::collections::VecDeque;
use std::time::Duration;

use kontena_core::message::{JoinCall, Message};
use kontena_core::node::{Input, Output, Record, SaveId};
use kontena_core::reconcile::action::{Action, ActionId, Failure, Outcome};

use super::World;
use crate::fact::Fact;
use crate::queue::{Event, What};

/// How long the engine's event stream takes to show a change.
const OBSERVATION_DELAY: Duration = Duration::from_millis(20);

/// More outputs of one input than this are told.
const MANY_OUTPUTS: usize = 64;

/// Containers are listed at least so often, whatever the event stream says.
const LISTED_EVERY: Duration = Duration::from_secs(30);

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        let host = &self.hosts[event.host];
        if event.life != host.life && !event.what.outlives_the_node() {
            return;
        }
        if host.stalled_until > self.now && event.what.is_for_the_node() {
            let until = host.stalled_until;
            self.queue.push(until, event);
            return;
        }
        self.reach(event);
    }

    fn reach(&mut self, Event { host, life, what }: Event) {
        match what {
            What::Deliver { from, message } => self.deliver(from, host, message),
            What::Moved { address } => self.handle(host, Input::Addresses(vec![address])),
            What::Glance => self.see_network(host),
            What::Refused { peer } => self.handle(host, Input::Refused(self.id(peer))),
            What::Wake => {
                self.hosts[host].wake = None;
                self.handle(host, Input::Wake);
            }
            What::Command { id, command } => {
                let command = *command;
                self.handle(host, Input::Command { id, command });
            }
            What::Stop => {
                self.tell(host, || Fact::ToldToStop);
                self.handle(host, Input::Stopping);
            }
            What::Carry {
                power,
                id,
                action,
                fails,
            } if self.hosts[host].power == power => {
                let outcome = self.carry_out(host, action, fails);
                self.answer(host, life, id, outcome);
            }
            What::Carry { .. } => {}
            What::Fence { power, tag } if self.hosts[host].power == power => {
                self.end_fenced(host, tag);
            }
            What::Fence { .. } => {}
            What::Fenced => self.handle(host, Input::Fenced(Ok(()))),
            What::Done { id, outcome } => self.handle(host, Input::Done { id, outcome }),
            What::Observe { again } => self.observe(host, again),
            What::Save { id, records } => self.save(host, id, records),
            What::Saved {
                id,
                result,
                has_left,
            } => self.saved(host, id, result, has_left),
            What::JoinAsked { number, call } => self.join_asked(number, host, *call),
            What::JoinAnswered { id, answer } => {
                self.handle(host, Input::JoinAnswered { id, answer });
            }
            What::Presents { from, presentation } => {
                let id = from as u64;
                self.handle(host, Input::StrangerPresents { id, presentation });
            }
            What::Presented { by, answer } => {
                self.handle(host, Input::Presented { by, answer });
            }
            What::MoveAsked { number, asked } => self.move_asked(number, host, *asked),
            What::Stream { number } => self.go_on_with(number),
        }
    }

    /// A message arrives if both ends live and the receiver lets the sender speak.
    fn deliver(&mut self, from: usize, to: usize, message: Message) {
        let sender = self.id(from);
        if self.hosts[to].peers.contains_key(&sender) {
            self.asker = Some(from);
            let from = sender;
            self.handle(to, Input::Received { from, message });
            self.asker = None;
        }
    }

    /// The engine carries an action out even if the node that asked for it has died meanwhile. The
    /// answer goes to the life that asked.
    fn carry_out(&mut self, host: usize, action: Action, fails: Option<Failure>) -> Outcome {
        let is_over = self.is_out_of_time(host, &action);
        let machine = &mut self.hosts[host];
        let wall = machine.clock.read(self.now).wall;
        match fails.or(is_over) {
            Some(failure) => Err(failure),
            None => machine.engine.carry_out(action, wall),
        }
    }

    fn answer(&mut self, host: usize, life: u64, id: ActionId, mut outcome: Outcome) {
        let machine = &mut self.hosts[host];
        if machine.chance.happens(machine.engine.trouble.loses_answers) {
            let problem = "the connection broke".to_owned();
            outcome = Err(Failure::Unreachable { problem });
        }
        self.tell_changes(host);
        let what = What::Done { id, outcome };
        let answered = self.now + Duration::from_millis(1);
        self.queue.push(answered, Event { host, life, what });
        self.observe_soon(host);
    }

    pub(super) fn tell_changes(&mut self, host: usize) {
        for change in self.hosts[host].engine.take_changes() {
            self.tell(host, || Fact::Changed(change));
        }
    }

    /// The node is shown what the engine shows; first what engine it is.
    fn observe(&mut self, host: usize, again: bool) {
        let machine = &mut self.hosts[host];
        let is_first = !machine.is_introduced && !machine.engine.is_hung();
        machine.is_introduced = !machine.engine.is_hung();
        let (about, observed) = (machine.engine.about(), machine.engine.observed());
        let volumes = machine.engine.observed_volumes();
        if is_first {
            self.handle(host, Input::Observed(about));
        }
        if let Some(volumes) = volumes.filter(|_| again || is_first) {
            self.handle(host, Input::Observed(volumes));
        }
        self.handle(host, Input::Observed(observed));
        if again {
            self.after(LISTED_EVERY, host, What::Observe { again });
        }
    }

    /// Tells the node what the engine shows now.
    pub fn observe_soon(&mut self, host: usize) {
        let again = false;
        self.after(OBSERVATION_DELAY, host, What::Observe { again });
    }

    pub(super) fn list_regularly(&mut self, host: usize) {
        let again = true;
        self.after(OBSERVATION_DELAY, host, What::Observe { again });
    }

    fn save(&mut self, host: usize, id: SaveId, records: Vec<Record>) {
        let forgets = records.contains(&Record::Forget);
        let envelopes = records.iter().filter_map(|record| match record {
            Record::Envelope(envelope) => Some(envelope.clone()),
            Record::Report { .. } | Record::Local { .. } | Record::Key { .. } | Record::Forget => {
                None
            }
        });
        let envelopes: Vec<_> = envelopes.collect();
        let before = forgets.then(|| self.hosts[host].disk.hashes().clone());
        let result = self.hosts[host].disk.save(records);
        if result.is_ok() {
            self.tell(host, || Fact::Saved(envelopes));
            if let Some(before) = before {
                self.tell(host, || Fact::Lost(before.into_iter().collect()));
            }
        }
        let has_left = forgets && result.is_ok();
        let until = self.hosts[host].stalled_until;
        match until > self.now {
            true => {
                let what = What::Saved {
                    id,
                    result,
                    has_left,
                };
                self.after(until.since(self.now), host, what);
            }
            false => self.saved(host, id, result, has_left),
        }
    }

    fn saved(&mut self, host: usize, id: SaveId, result: Result<(), String>, has_left: bool) {
        self.handle(host, Input::Saved { id, result });
        if has_left {
            self.begin_anew(host);
        }
    }

    fn join_asked(&mut self, number: usize, to: usize, call: JoinCall) {
        let (from, _) = self.joins[number];
        let address = self.hosts[from].address.parse::<std::net::SocketAddr>();
        let input = Input::JoinAsked {
            id: number as u64,
            from: self.id(from),
            seen: address.ok().map(|socket| socket.ip()),
            call,
        };
        self.handle(to, input);
    }

    pub(super) fn handle(&mut self, host: usize, input: Input) {
        let machine = &mut self.hosts[host];
        let now = machine.clock.read(self.now);
        let Some(node) = machine.node.as_mut() else {
            return;
        };
        node.handle(input, now);
        self.take_outputs(host);
        self.set_wake(host);
    }

    /// Does what the node asks for. Of several views only the last was ever seen by anybody, and it
    /// is the one that the other outputs follow from.
    fn take_outputs(&mut self, host: usize) {
        let mut outputs = VecDeque::new();
        while let Some(output) = self.hosts[host].node.as_mut().and_then(|n| n.poll_output()) {
            match matches!(output, Output::Show { .. }) {
                true => self.carry(host, output),
                false => outputs.push_back(output),
            }
        }
        if outputs.len() > MANY_OUTPUTS {
            let outputs = outputs.len();
            self.tell(host, || Fact::Answered { outputs });
        }
        for output in outputs {
            self.carry(host, output);
        }
    }

    fn set_wake(&mut self, host: usize) {
        let machine = &mut self.hosts[host];
        let wanted = machine.node.as_ref().and_then(|node| node.poll_timeout());
        let Some((local, _)) = wanted else {
            return;
        };
        let soonest = self.now + Duration::from_micros(1);
        let at = machine.clock.world(local).max(soonest);
        if machine.wake.is_none_or(|queued| at < queued) {
            machine.wake = Some(at);
            self.at(at, host, What::Wake);
        }
    }
}
