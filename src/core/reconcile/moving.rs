//! Instances that move with their data, at the node that they leave.
//!
//! The node that has the data alone decides: it stops the instance once the other one asks, begins nothing of it while the
//! other copies, and starts it again if that comes to nothing. Once the other one has said that all of it is on its disk,
//! nothing of the instance is begun here until the documents bind it elsewhere, or say that the move is off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, NodeId};
use crate::time::Instant;
use crate::volume::Mounted;

use super::action::{Failure, Outcome};

/// So long an instance that was stopped for a move waits for the other node to come back, before it is started again.
const WAITS_FOR: Duration = Duration::from_secs(60);
/// After an attempt that came to nothing the next one waits so long, and twice as long with each further one.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
const AGAIN_AT_MOST: Duration = Duration::from_secs(600);
/// A move is given up once the other node has failed so often to take the data, or so many attempts came to nothing.
const REFUSALS: u32 = 5;
const ATTEMPTS: u32 = 10;
/// Or if the other node does not ask for so long.
const ASKED_WITHIN: Duration = Duration::from_secs(3600);
/// So many go at a time: what waits for its turn to be sent runs on meanwhile.
pub(super) const MAX_GOING: usize = 16;

/// Another node's question, for one boot of the node that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What another node wants of an instance that is to move to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveAsk {
    pub instance: InstanceId,
    /// Of the binding that the move leaves.
    pub epoch: u64,
    pub word: MoveWord,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveWord {
    /// The data of these Docker volumes.
    Bring { copies: BTreeSet<String> },
    /// It cannot take the data.
    Cannot { problem: String },
    /// It forgets what it has of it, once nothing follows from its having it.
    Release,
}

/// An instance that is bound to this node and ordered to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbound {
    pub to: NodeId,
    /// As people call it.
    pub name: String,
    /// Of the binding.
    pub epoch: u64,
    pub copies: Vec<Mounted>,
    pub megabits: Option<u32>,
}

impl Outbound {
    /// Whether it is what another node asks for.
    pub(super) fn is_of(&self, from: NodeId, asked: &MoveAsk) -> bool {
        self.to == from && self.epoch == asked.epoch
    }
}

/// What this node knows of an instance that another one asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub outbound: Option<&'a Outbound>,
    /// The epoch of its binding, if that is to this node.
    pub bound: Option<u64>,
}

/// An instance that goes.
#[derive(Clone, Debug)]
enum Going {
    /// The other node asks: once the instance is at rest it gets what it asks for.
    Asked {
        ask: AskId,
        order: Outbound,
        hundredths: Option<u8>,
    },
    /// The connection broke: it may come back.
    Waits { order: Outbound, until: Instant },
    /// The other node has everything.
    Given { order: Outbound },
}

impl Going {
    fn order(&self) -> &Outbound {
        match self {
            Self::Asked { order, .. } | Self::Waits { order, .. } | Self::Given { order } => order,
        }
    }
}

/// What came of one order so far, in this boot.
#[derive(Clone, Debug)]
struct Tries {
    to: NodeId,
    name: String,
    epoch: u64,
    /// When the other node asked last, or the order was read first.
    asked: Instant,
    attempts: u32,
    refusals: u32,
    next: Instant,
    /// How far the copying has come, in hundredths, and how far it had come when the connection broke last.
    come_to: u8,
    furthest: u8,
    problem: Option<String>,
}

/// What goes from here.
#[derive(Clone, Debug, Default)]
pub(super) struct Moving {
    going: BTreeMap<InstanceId, Going>,
    tries: BTreeMap<InstanceId, Tries>,
    answers: Vec<(AskId, Result<(), String>)>,
}

impl Moving {
    /// Whether an instance is stopped, or is to be, because it goes.
    pub(super) fn holds_back(&self, instance: &InstanceId) -> bool {
        self.going.contains_key(instance)
    }

    /// What is said of an instance that goes.
    pub(super) fn words(&self, instance: &InstanceId) -> Option<String> {
        let going = self.going.get(instance)?;
        let name = &going.order().name;
        Some(match going {
            Going::Asked {
                hundredths: Some(hundredths),
                ..
            } => format!("it moves to node {name}: {hundredths} %"),
            Going::Asked { .. } => format!("it moves to node {name}"),
            Going::Waits { .. } => format!("it moves to node {name}: the connection broke"),
            Going::Given { .. } => format!("it moves to node {name}: all of its data is there"),
        })
    }

    /// What went wrong with the move of an instance that runs on meanwhile.
    pub(super) fn problem(&self, instance: &InstanceId) -> Option<String> {
        let tries = self.tries.get(instance)?;
        let problem = tries.problem.as_ref()?;
        Some(format!("its move to node {} failed: {problem}", tries.name))
    }

    /// What is ordered now. `bound`: the epochs of what is bound to this node.
    pub(super) fn follow(
        &mut self,
        outbound: &BTreeMap<InstanceId, Outbound>,
        bound: &BTreeMap<InstanceId, u64>,
        now: Instant,
    ) {
        let answers = &mut self.answers;
        self.going.retain(|instance, going| match going {
            Going::Asked { ask, order, .. } => {
                let is_due = outbound.get(instance) == Some(order);
                if !is_due {
                    let problem = "the move is off, or its service has changed".to_owned();
                    answers.push((*ask, Err(problem)));
                }
                is_due
            }
            Going::Waits { order, .. } => outbound.get(instance) == Some(order),
            Going::Given { order } => bound.get(instance) == Some(&order.epoch),
        });
        self.tries.retain(|instance, tries| {
            let order = outbound.get(instance);
            order.is_some_and(|order| tries.to == order.to && tries.epoch == order.epoch)
        });
        for (instance, order) in outbound {
            let tries = self.tries.entry(instance.clone());
            tries.or_insert_with(|| Tries::of(order, now));
        }
    }

    /// Another node asks. It is answered at once, but where it is to get the data.
    pub(super) fn ask(
        &mut self,
        id: AskId,
        from: NodeId,
        asked: MoveAsk,
        known: Known<'_>,
        now: Instant,
    ) {
        let order = known.outbound.filter(|order| order.is_of(from, &asked));
        if let (Some(tries), Some(_)) = (self.tries.get_mut(&asked.instance), order) {
            tries.asked = now;
        }
        let MoveAsk {
            instance,
            epoch,
            word,
        } = asked;
        let answer = match (word, order) {
            (MoveWord::Release, _) if known.bound != Some(epoch) => Err(
                "it is not bound to the node by that binding, as far as the node knows".to_owned(),
            ),
            (MoveWord::Release, _) => self.release(&instance, epoch, from),
            (_, None) => Err("no such move is ordered, as far as the node knows".to_owned()),
            (MoveWord::Cannot { problem }, Some(order)) => {
                self.refused(&instance, format!("node {}: {problem}", order.name), now);
                Ok(())
            }
            (MoveWord::Bring { copies }, Some(order)) => {
                match self.begin(id, instance, &copies, order, now) {
                    Ok(()) => return,
                    problem => problem,
                }
            }
        };
        self.answers.push((id, answer));
    }

    /// Who asks gets nothing now. It counts as not asked: what is in the way for too long ends the move.
    pub(super) fn refuse(&mut self, id: AskId, instance: &InstanceId, problem: String) {
        if let Some(tries) = self.tries.get_mut(instance) {
            tries.problem = Some(problem.clone());
        }
        self.answers.push((id, Err(problem)));
    }

    fn begin(
        &mut self,
        ask: AskId,
        instance: InstanceId,
        copies: &BTreeSet<String>,
        order: &Outbound,
        now: Instant,
    ) -> Result<(), String> {
        let known: BTreeSet<&String> = order.copies.iter().map(|copy| &copy.name).collect();
        if known != copies.iter().collect() {
            return Err("the nodes do not know of the same deploy yet".to_owned());
        }
        match self.going.get(&instance) {
            Some(Going::Given { .. }) => return Err("it is handed over".to_owned()),
            Some(Going::Asked { ask, .. }) => {
                let problem = "the same was asked anew".to_owned();
                self.answers.push((*ask, Err(problem)));
            }
            Some(Going::Waits { .. }) => {}
            None => {
                let tries = self.tries.get(&instance);
                if let Some(tries) = tries.filter(|tries| tries.next > now) {
                    let problem = tries.problem.as_deref().unwrap_or_default();
                    return Err(format!("it is tried again later: {problem}"));
                }
                if self.asked_for().count() >= MAX_GOING {
                    return Err(format!("the node sends {MAX_GOING} others"));
                }
            }
        }
        let going = Going::Asked {
            ask,
            order: order.clone(),
            hundredths: None,
        };
        self.going.insert(instance, going);
        Ok(())
    }

    /// The other node forgets what it has, unless it may count yet.
    fn release(&mut self, instance: &InstanceId, epoch: u64, from: NodeId) -> Result<(), String> {
        let going = self.going.get(instance);
        let its = going.filter(|going| going.order().to == from && going.order().epoch == epoch);
        match its {
            Some(Going::Given { .. }) => Err("it is handed over".to_owned()),
            Some(Going::Asked { ask, .. }) => {
                let problem = "the node has released what it had".to_owned();
                self.answers.push((*ask, Err(problem)));
                self.going.remove(instance);
                Ok(())
            }
            Some(Going::Waits { .. }) => {
                self.going.remove(instance);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Instances that are asked for and are at rest once nothing of them runs.
    pub(super) fn asked_for(&self) -> impl Iterator<Item = (&InstanceId, AskId, &Outbound)> {
        self.going
            .iter()
            .filter_map(|(instance, going)| match going {
                Going::Asked { ask, order, .. } => Some((instance, *ask, order)),
                Going::Waits { .. } | Going::Given { .. } => None,
            })
    }

    /// Whether what this ask was promised is still to be sent.
    pub(super) fn is_asked(&self, ask: AskId) -> bool {
        self.asked_for().any(|(_, other, _)| other == ask)
    }

    /// So much of the data is over. Whether there is anything new to tell.
    pub(super) fn progressed(&mut self, instance: &InstanceId, so_far: u8) -> bool {
        let Some(Going::Asked { hundredths, .. }) = self.going.get_mut(instance) else {
            return false;
        };
        let step = Some(so_far / 10 * 10);
        let is_news = std::mem::replace(hundredths, step) != step;
        if let Some(tries) = self.tries.get_mut(instance) {
            tries.come_to = tries.come_to.max(so_far);
        }
        is_news
    }

    /// What the edge says of what it sent.
    pub(super) fn conclude(
        &mut self,
        instance: &InstanceId,
        sent: AskId,
        outcome: Outcome,
        now: Instant,
    ) {
        // Who asked anew since has begun anew: that it had everything counts no more.
        let order = match self.going.get(instance) {
            Some(Going::Asked { ask, order, .. }) if *ask == sent => order.clone(),
            Some(_) | None => return,
        };
        match outcome {
            Ok(_) => {
                self.going.insert(instance.clone(), Going::Given { order });
            }
            Err(Failure::Unreachable { problem }) => self.broke(instance, order, problem, now),
            Err(failure) => {
                self.going.remove(instance);
                self.refused(instance, failure.to_string(), now);
            }
        }
    }

    /// The other node is waited for, if it has got further than ever before: else the instance runs on meanwhile.
    fn broke(&mut self, instance: &InstanceId, order: Outbound, problem: String, now: Instant) {
        let tries = self.tries.get_mut(instance);
        let has_come_further = tries.is_none_or(|tries| {
            tries.problem = Some(problem);
            let has = tries.come_to > tries.furthest;
            tries.furthest = tries.come_to;
            if !has {
                tries.failed(now);
            }
            has
        });
        if has_come_further {
            let until = now + WAITS_FOR;
            self.going
                .insert(instance.clone(), Going::Waits { order, until });
        } else {
            self.going.remove(instance);
        }
    }

    /// Those that have waited long enough are no longer held back.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_over = |going: &Going| matches!(going, Going::Waits { until, .. } if *until <= now);
        let over = self.going.extract_if(.., |_, going| is_over(going));
        for (instance, _) in over {
            if let Some(tries) = self.tries.get_mut(&instance) {
                tries.failed(now);
            }
        }
    }

    fn refused(&mut self, instance: &InstanceId, problem: String, now: Instant) {
        if let Some(tries) = self.tries.get_mut(instance) {
            tries.refusals += 1;
            tries.problem = Some(problem);
            tries.failed(now);
        }
    }

    /// The orders that are not tried any more, and why. What the other node says itself is not known here.
    pub(super) fn given_up(&self, now: Instant) -> impl Iterator<Item = (&InstanceId, String)> {
        let idle = self.tries.iter();
        let idle = idle.filter(|(instance, _)| !self.going.contains_key(*instance));
        idle.filter_map(move |(instance, tries)| Some((instance, tries.gives_up(now)?)))
    }

    /// All of these are on the other node.
    pub(super) fn given(&self) -> impl Iterator<Item = (&InstanceId, &Outbound)> {
        self.going
            .iter()
            .filter_map(|(instance, going)| match going {
                Going::Given { order } => Some((instance, order)),
                Going::Asked { .. } | Going::Waits { .. } => None,
            })
    }

    /// It stays here.
    pub(super) fn take_back(&mut self, instance: &InstanceId) {
        self.going.remove(instance);
    }

    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let waits = self.going.values().filter_map(|going| match going {
            Going::Waits { until, .. } => Some(*until),
            Going::Asked { .. } | Going::Given { .. } => None,
        });
        let ends = self.tries.values().map(|tries| tries.asked + ASKED_WITHIN);
        waits.chain(ends).filter(|at| *at > now).min()
    }

    pub(super) fn take_answers(&mut self) -> Vec<(AskId, Result<(), String>)> {
        std::mem::take(&mut self.answers)
    }
}

impl Tries {
    fn of(order: &Outbound, now: Instant) -> Self {
        Self {
            to: order.to,
            name: order.name.clone(),
            epoch: order.epoch,
            asked: now,
            attempts: 0,
            refusals: 0,
            next: now,
            come_to: 0,
            furthest: 0,
            problem: None,
        }
    }

    fn failed(&mut self, now: Instant) {
        let doubled = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        self.next = now + AGAIN_AFTER.saturating_mul(doubled).min(AGAIN_AT_MOST);
        self.attempts += 1;
    }

    fn gives_up(&self, now: Instant) -> Option<String> {
        let problem = self.problem.as_deref();
        if self.refusals >= REFUSALS || self.attempts >= ATTEMPTS {
            let attempts = self.attempts;
            let problem = problem.unwrap_or("the connection broke");
            return Some(format!("after {attempts} attempts: {problem}"));
        }
        let is_silent = now.since(self.asked) >= ASKED_WITHIN;
        let minutes = ASKED_WITHIN.as_secs() / 60;
        is_silent.then(|| match problem {
            Some(problem) => format!("nothing was asked for in {minutes} minutes: {problem}"),
            None => format!(
                "node {} did not ask for the data in {minutes} minutes",
                self.name
            ),
        })
    }
}
