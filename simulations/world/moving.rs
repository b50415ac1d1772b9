//! Data on its way from one host to another: streams between two nodes, which end with either of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::id::InstanceId;
use kontena_core::node::Input;
use kontena_core::reconcile::action::{ActionId, Failure, MoveStep, Outcome, Success};
use kontena_core::reconcile::{AskId, MoveAsk, MoveWord};
use kontena_core::volume::Mounted;

use super::World;
use crate::chance::Chance;
use crate::queue::{Event, What};

/// How long a question takes.
const ASKED_AFTER: Duration = Duration::from_millis(2);

/// Of the sending.
const MOST_STEPS: u64 = 20;

/// A stream that one node opened to another, by its place in the world's list.
#[derive(Debug)]
pub(super) struct Stream {
    asker: End,
    /// `None` until it is heard.
    sender: Option<End>,
    instance: InstanceId,
    epoch: u64,
    stage: Stage,
    chance: Chance,
}

/// One end: it is gone with that life of its node.
#[derive(Clone, Copy, Debug)]
struct End {
    host: usize,
    life: u64,
    action: Option<ActionId>,
}

#[derive(Clone, Debug)]
enum Stage {
    Asked,
    Sending {
        copies: Vec<Mounted>,
        steps: u64,
    },
    Unpacking,
    /// The asker has all of it, and says so.
    Landed,
    Over,
}

impl World {
    /// A step of a move that takes two nodes. What is left is for the engine.
    pub(super) fn begin_move(&mut self, host: usize, id: ActionId, step: MoveStep) {
        match step {
            MoveStep::Bring {
                instance,
                from,
                epoch,
                copies,
                ..
            } => {
                let hindrance = self.hosts[host].engine.hinders(&instance, &copies);
                let copies: BTreeSet<String> = copies.into_iter().map(|copy| copy.name).collect();
                let word = match hindrance {
                    Some(problem) => MoveWord::Cannot { problem },
                    None => MoveWord::Bring { copies },
                };
                let asked = MoveAsk {
                    instance,
                    epoch,
                    word,
                };
                self.ask_to_move(host, id, from, asked);
            }
            MoveStep::Release {
                instance,
                epoch,
                from,
            } => {
                let asked = MoveAsk {
                    instance,
                    epoch,
                    word: MoveWord::Release,
                };
                self.ask_to_move(host, id, from, asked);
            }
            MoveStep::Send { ask, copies, .. } => self.send_data(host, id, ask, copies),
            MoveStep::Accept { .. } | MoveStep::Discard { .. } => {}
        }
    }

    fn ask_to_move(
        &mut self,
        host: usize,
        id: ActionId,
        from: kontena_core::id::NodeId,
        asked: MoveAsk,
    ) {
        let number = self.streams.len();
        let asker = End {
            host,
            life: self.hosts[host].life,
            action: Some(id),
        };
        let chance = Chance::of(self.seed, "stream", &[number]);
        let instance = asked.instance.clone();
        self.streams.push(Stream {
            asker,
            sender: None,
            instance,
            epoch: asked.epoch,
            stage: Stage::Asked,
            chance,
        });
        let sender = self.host_of(from, host);
        let sender = sender.filter(|to| self.hosts[*to].is_up() && !self.is_cut_off(host, *to));
        match sender {
            Some(to) => {
                let life = self.hosts[to].life;
                self.streams[number].sender = Some(End {
                    host: to,
                    life,
                    action: None,
                });
                let asked = Box::new(asked);
                self.after(ASKED_AFTER, to, What::MoveAsked { number, asked });
                self.watch_stream(number);
            }
            None => self.break_stream(number),
        }
    }

    pub(super) fn move_asked(&mut self, number: usize, host: usize, asked: MoveAsk) {
        let from = self.id(self.streams[number].asker.host);
        let id = AskId(number as u64);
        self.handle(host, Input::MoveAsked { id, from, asked });
    }

    /// The node that was asked has nothing to send.
    pub(super) fn answer_move(&mut self, id: AskId, answer: Result<(), String>) {
        let number = usize::try_from(id.0).expect("it was a place");
        let outcome = match answer {
            Ok(()) => Ok(Success::Done),
            Err(problem) => Err(Failure::Refused { problem }),
        };
        if let Stage::Asked = self.streams[number].stage {
            self.streams[number].stage = Stage::Over;
            let asker = self.streams[number].asker;
            self.tell_end(asker, outcome);
        }
    }

    fn send_data(&mut self, host: usize, id: ActionId, ask: AskId, copies: Vec<Mounted>) {
        let number = usize::try_from(ask.0).expect("it was a place");
        let stream = &mut self.streams[number];
        let steps = stream.chance.range(1, MOST_STEPS);
        let life = self.hosts[host].life;
        let sender = End {
            host,
            life,
            action: Some(id),
        };
        match stream.stage {
            Stage::Asked => {
                stream.sender = Some(sender);
                stream.stage = Stage::Sending { copies, steps };
            }
            Stage::Sending { .. } | Stage::Unpacking | Stage::Landed | Stage::Over => {
                let problem = "nobody listens any more".to_owned();
                self.tell_end(sender, Err(Failure::Unreachable { problem }));
            }
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn abort(&mut self, host: usize, id: ActionId) {
        let is_its = |end: &End| end.host == host && end.action == Some(id);
        let its = self.streams.iter().position(|stream| {
            let ends = [Some(stream.asker), stream.sender];
            let is_over = matches!(stream.stage, Stage::Over);
            !is_over && ends.iter().flatten().any(is_its)
        });
        if let Some(number) = its {
            self.break_stream(number);
        }
    }

    /// Whether the data of an instance is on its way from a host.
    pub fn sends(&self, host: usize, instance: &InstanceId) -> bool {
        self.streams.iter().any(|stream| {
            let is_under_way = matches!(stream.stage, Stage::Sending { .. } | Stage::Unpacking);
            let is_from = stream.sender.is_some_and(|end| end.host == host);
            is_under_way && is_from && stream.instance == *instance
        })
    }

    /// Whether another host has asked for the data of an instance in this life of a host.
    pub fn was_asked_for(&self, host: usize, instance: &InstanceId) -> bool {
        let life = self.hosts[host].life;
        let is_here = |end: &End| end.host == host && end.life == life;
        let mut streams = self.streams.iter();
        streams.any(|stream| {
            stream.instance == *instance && stream.sender.as_ref().is_some_and(is_here)
        })
    }

    /// The instance that a question is about.
    pub fn asked_for(&self, ask: AskId) -> &InstanceId {
        let number = usize::try_from(ask.0).expect("it was a place");
        &self.streams[number].instance
    }

    fn watch_stream(&mut self, number: usize) {
        let chance = &mut self.streams[number].chance;
        let again = chance.between(Duration::from_millis(200), Duration::from_secs(2));
        let host = self.streams[number].asker.host;
        self.after(again, host, What::Stream { number });
    }

    /// A moment of a stream: it breaks, or goes on.
    pub(super) fn go_on_with(&mut self, number: usize) {
        let Stream {
            asker,
            sender,
            stage,
            ..
        } = &self.streams[number];
        let is_there = |end: &End| {
            let host = &self.hosts[end.host];
            host.is_up() && host.life == end.life
        };
        let (asker, sender, stage) = (*asker, *sender, stage.clone());
        let Some(sender) = sender else { return };
        if let Stage::Over = stage {
            return;
        }
        let is_cut = self.is_cut_off(asker.host, sender.host);
        if is_cut || !is_there(&asker) || !is_there(&sender) {
            return self.break_stream(number);
        }
        if [asker, sender]
            .iter()
            .any(|end| self.hosts[end.host].engine.is_hung())
        {
            return self.watch_stream(number);
        }
        match stage {
            Stage::Sending { copies, steps: 0 } => self.land(number, sender, &copies),
            Stage::Sending { copies, steps } => {
                let steps = steps - 1;
                self.streams[number].stage = Stage::Sending { copies, steps };
                self.tell_progress(sender, steps);
            }
            Stage::Unpacking => {
                let instance = self.streams[number].instance.clone();
                self.hosts[asker.host].engine.end_landing(&instance);
                self.streams[number].stage = Stage::Landed;
            }
            Stage::Landed => {
                self.streams[number].stage = Stage::Over;
                self.tell_end(sender, Ok(Success::Done));
                self.tell_end(asker, Ok(Success::Done));
            }
            Stage::Asked | Stage::Over => {}
        }
        self.watch_stream(number);
    }

    /// How far the sender is, of at most so many steps.
    fn tell_progress(&mut self, sender: End, steps_left: u64) {
        let Some(id) = sender.action else { return };
        let done = MOST_STEPS.saturating_sub(steps_left) * 100 / MOST_STEPS;
        let hundredths = u8::try_from(done).expect("it is at most 100");
        self.handle(sender.host, Input::Progressed { id, hundredths });
    }

    /// What is sent is what is in the volumes now: nothing of the instance may run.
    fn land(&mut self, number: usize, sender: End, copies: &[Mounted]) {
        let engine = &self.hosts[sender.host].engine;
        let sent = copies.iter().map(|copy| {
            let data = engine.data(&copy.name);
            (copy.name.clone(), (copy.copy.clone(), data))
        });
        let sent: BTreeMap<_, _> = sent.collect();
        let Stream {
            asker,
            instance,
            epoch,
            ..
        } = &self.streams[number];
        let (asker, instance, epoch) = (*asker, instance.clone(), *epoch);
        let engine = &mut self.hosts[asker.host].engine;
        match engine.begin_landing(&instance, epoch, sent) {
            Ok(()) => self.streams[number].stage = Stage::Unpacking,
            Err(problem) => {
                self.streams[number].stage = Stage::Over;
                for end in [asker, sender] {
                    let problem = problem.clone();
                    self.tell_end(end, Err(Failure::Refused { problem }));
                }
            }
        }
    }

    fn break_stream(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        stream.stage = Stage::Over;
        let ends = [Some(stream.asker), stream.sender];
        for end in ends.into_iter().flatten() {
            let problem = "the connection broke".to_owned();
            self.tell_end(end, Err(Failure::Unreachable { problem }));
        }
    }

    /// Whoever waits at an end hears how it ended, unless that is lost.
    fn tell_end(&mut self, end: End, mut outcome: Outcome) {
        let Some(id) = end.action else { return };
        let engine = &self.hosts[end.host].engine;
        let loses = engine.trouble.loses_answers;
        if self.hosts[end.host].chance.happens(loses) {
            let problem = "the connection broke".to_owned();
            outcome = Err(Failure::Unreachable { problem });
        }
        let what = What::Done { id, outcome };
        let (host, life) = (end.host, end.life);
        self.queue
            .push(self.now + ASKED_AFTER, Event { host, life, what });
        self.observe_soon(host);
    }
}
