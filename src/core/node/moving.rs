//! Moves that end here: an instance whose data is on another node is bound to it, or its move is given up.
//!
//! The node that has the data writes both, and nobody else can: only it knows that nothing of the instance runs, and that what
//! the other node has is all there is. From the moment on that it knows, nothing of the instance is begun here. Where the disk
//! did not say whether the change is on it, it is written again, and nothing of the instance is begun in this boot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::command::Refusal;
use crate::document::edit::Edit;
use crate::id::{EnvelopeHash, InstanceId, NodeId};
use crate::reconcile::{AskId, MoveAsk, Outbound};
use crate::time::{Instant, Now};
use crate::view::{MoveOrder, MoveState, Pin, View};
use crate::volume::{Copy, Scope};

use super::writing::Job;
use super::{Node, Output, Phase};

/// What could not be written is written again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What is on its way to the disk, and until when nobody tries again.
#[derive(Debug, Default)]
pub(super) struct Moving {
    tried: BTreeMap<InstanceId, Instant>,
    /// Bindings elsewhere that may be on the disk, though it did not say so.
    doubtful: BTreeSet<InstanceId>,
}

impl Moving {
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.tried.values().min().copied()
    }
}

/// The end of a move from this node.
#[derive(Debug)]
pub(super) struct MoveEnd {
    instance: InstanceId,
    from: Pin,
    to: NodeId,
    outcome: MoveOutcome,
}

#[derive(Debug)]
enum MoveOutcome {
    HandedOver {
        copies: BTreeMap<String, Copy>,
        /// It may be on the disk already.
        doubtful: bool,
    },
    GivenUp {
        problem: String,
    },
}

impl Node {
    pub(super) fn move_asked(&mut self, id: AskId, from: NodeId, asked: MoveAsk, now: Now) {
        let hears = self.phase == Phase::Member && !self.is_stopping();
        match self.instances.as_mut().filter(|_| hears) {
            Some(instances) => instances.asked_to_move(id, from, asked, now),
            None => {
                let answer = Err("the node does nothing now".to_owned());
                self.push(Output::AnswerMove { id, answer });
            }
        }
    }

    /// Ends the moves from this node that have come to their end, and tells who asks.
    pub(super) fn go_on_with_moves(&mut self, now: Now) {
        self.moving.tried.retain(|_, again| *again > now.monotonic);
        let Some(instances) = &mut self.instances else {
            return;
        };
        let answers = instances.take_answers().into_iter();
        let answers = answers.map(|(id, answer)| Output::AnswerMove { id, answer });
        let aborts = instances.take_aborts().into_iter();
        let aborts = aborts.map(|id| Output::Abort { id });
        self.outputs.extend(answers.chain(aborts));
        if self.phase != Phase::Member || self.is_stopping() {
            return;
        }
        for end in self.ended_moves(now) {
            if self.moving.tried.contains_key(&end.instance) || !self.can_queue() {
                continue;
            }
            let again = now.monotonic + AGAIN_AFTER;
            self.moving.tried.insert(end.instance.clone(), again);
            self.queue(Job::Move(Box::new(end)));
        }
    }

    fn ended_moves(&self, now: Now) -> Vec<MoveEnd> {
        let Some(instances) = &self.instances else {
            return Vec::new();
        };
        let given = instances.given().map(|(instance, order)| {
            let copies = self.exclusive(order);
            let doubtful = self.moving.doubtful.contains(instance);
            let outcome = MoveOutcome::HandedOver { copies, doubtful };
            (instance.clone(), outcome, order.to)
        });
        let given_up = instances.moves_given_up(now);
        let given_up = given_up.into_iter().filter_map(|(instance, problem)| {
            let to = order_of(&self.view, &instance)?.to;
            let problem = self.with_word_of(&to, &instance, problem);
            Some((instance, MoveOutcome::GivenUp { problem }, to))
        });
        let ends = given.chain(given_up);
        ends.filter_map(|(instance, outcome, to)| {
            let from = pin(&self.view, &instance).filter(|pin| pin.node == self.me)?;
            Some(MoveEnd {
                instance,
                from,
                to,
                outcome,
            })
        })
        .collect()
    }

    /// The copies that nobody but the instance can have come to use here.
    fn exclusive(&self, order: &Outbound) -> BTreeMap<String, Copy> {
        let is_exclusive = order.copies.iter();
        let is_exclusive = is_exclusive.filter(|copy| copy.definition.scope == Scope::Instance);
        is_exclusive
            .map(|copy| (copy.name.clone(), copy.copy.clone()))
            .collect()
    }

    /// What the other node says itself of what went wrong.
    fn with_word_of(&self, node: &NodeId, instance: &InstanceId, problem: String) -> String {
        let report = self.view.reports.get(node);
        let word = report.and_then(|report| report.arrivals.get(instance));
        match word {
            Some(word) => format!("{problem}: {word}"),
            None => problem,
        }
    }

    /// Where nothing was written, and cannot have been, the instance goes on here.
    pub(super) fn move_ended(
        &mut self,
        end: &MoveEnd,
        written: &Result<Vec<EnvelopeHash>, Refusal>,
        now: Now,
    ) {
        let MoveOutcome::HandedOver { doubtful, .. } = end.outcome else {
            return;
        };
        match written {
            Ok(changes) if changes.is_empty() && !doubtful => {
                if let Some(instances) = &mut self.instances {
                    instances.keep_what_was_given(&end.instance, now);
                }
            }
            Err(Refusal::Disk { .. } | Refusal::Unconfirmed) => {
                self.moving.doubtful.insert(end.instance.clone());
            }
            Ok(_) | Err(_) => {}
        }
    }
}

impl MoveEnd {
    /// What is left to write once its turn comes: a person may have been first.
    pub(super) fn edits(&self, view: &View) -> Vec<Edit> {
        let order = order_of(view, &self.instance);
        let is_its = |order: &&MoveOrder| order.from == self.from && order.to == self.to;
        let order = order.filter(is_its);
        let is_bound = pin(view, &self.instance) == Some(self.from);
        let Some(order) = order.filter(|_| is_bound) else {
            return Vec::new();
        };
        let is_open = order.state == MoveState::Ordered;
        match &self.outcome {
            MoveOutcome::HandedOver { copies, doubtful } if is_open || *doubtful => {
                let copies = copies.clone();
                vec![
                    Edit::Pin {
                        service: self.instance.service.clone(),
                        number: self.instance.number,
                        pin: order.target(),
                    },
                    self.write(order, MoveState::Done { copies }),
                ]
            }
            MoveOutcome::GivenUp { problem } if is_open => {
                let problem = problem.clone();
                vec![self.write(order, MoveState::GivenUp { problem })]
            }
            MoveOutcome::HandedOver { .. } | MoveOutcome::GivenUp { .. } => Vec::new(),
        }
    }

    fn write(&self, order: &MoveOrder, state: MoveState) -> Edit {
        Edit::Move {
            service: self.instance.service.clone(),
            number: self.instance.number,
            order: MoveOrder {
                state,
                ..order.clone()
            },
        }
    }
}

fn order_of<'a>(view: &'a View, instance: &InstanceId) -> Option<&'a MoveOrder> {
    let record = view.documents.services.get(&instance.service)?;
    record.moves.get(&instance.number)
}

fn pin(view: &View, instance: &InstanceId) -> Option<Pin> {
    let record = view.documents.services.get(&instance.service)?;
    record.pins.get(&instance.number).copied()
}
