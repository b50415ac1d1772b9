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
    /// As it was ordered.
    megabits: Option<u32>,
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
            (instance.clone(), outcome, order.to, order.megabits)
        });
        let given_up = instances.moves_given_up(now);
        let given_up = given_up.into_iter().filter_map(|(instance, problem)| {
            let MoveOrder { to, megabits, .. } = *order_of(&self.view, &instance)?;
            let problem = self.with_word_of(&to, &instance, problem);
            Some((instance, MoveOutcome::GivenUp { problem }, to, megabits))
        });
        let ends = given.chain(given_up);
        ends.filter_map(|(instance, outcome, to, megabits)| {
            let from = pin(&self.view, &instance).filter(|pin| pin.node == self.me)?;
            Some(MoveEnd {
                instance,
                from,
                to,
                megabits,
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
        let instances = self.instances.as_mut();
        match written {
            Ok(changes) => {
                self.moving.doubtful.remove(&end.instance);
                if let Some(instances) = instances.filter(|_| changes.is_empty() && !doubtful) {
                    instances.keep_what_was_given(&end.instance, now);
                }
            }
            Err(Refusal::Disk { .. } | Refusal::Unconfirmed) => {
                self.moving.doubtful.insert(end.instance.clone());
            }
            Err(_) => {}
        }
    }
}

impl MoveEnd {
    /// What is left to write once its turn comes: a person may have been first.
    pub(super) fn edits(&self, view: &View) -> Vec<Edit> {
        if pin(view, &self.instance) != Some(self.from) {
            return Vec::new();
        }
        let order = order_of(view, &self.instance);
        let is_open = order.is_some_and(|order| {
            let is_its = order.from == self.from && order.to == self.to;
            is_its && order.state == MoveState::Ordered
        });
        let takes_it = view.takes_moves(&self.to);
        match &self.outcome {
            // Said or not, it may be on the disk, and only what is written later is sure.
            MoveOutcome::HandedOver { doubtful: true, .. } if !takes_it => vec![self.stays()],
            MoveOutcome::HandedOver { copies, doubtful } if (is_open && takes_it) || *doubtful => {
                self.hands_over(copies)
            }
            MoveOutcome::GivenUp { problem } if is_open => {
                let problem = problem.clone();
                vec![self.write(MoveState::GivenUp { problem })]
            }
            MoveOutcome::HandedOver { .. } | MoveOutcome::GivenUp { .. } => Vec::new(),
        }
    }

    fn hands_over(&self, copies: &BTreeMap<String, Copy>) -> Vec<Edit> {
        let copies = copies.clone();
        let pin = self.order(MoveState::Ordered).target();
        vec![self.bind(pin), self.write(MoveState::Done { copies })]
    }

    /// Bound here anew, whatever was written of its going.
    fn stays(&self) -> Edit {
        self.bind(Pin {
            epoch: self.from.epoch.saturating_add(1),
            node: self.from.node,
            moved: false,
        })
    }

    fn bind(&self, pin: Pin) -> Edit {
        Edit::Pin {
            service: self.instance.service.clone(),
            number: self.instance.number,
            pin,
        }
    }

    fn order(&self, state: MoveState) -> MoveOrder {
        MoveOrder {
            from: self.from,
            to: self.to,
            megabits: self.megabits,
            state,
        }
    }

    fn write(&self, state: MoveState) -> Edit {
        Edit::Move {
            service: self.instance.service.clone(),
            number: self.instance.number,
            order: self.order(state),
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
