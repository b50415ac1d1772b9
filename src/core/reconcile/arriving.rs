//! Instances that move with their data, at the node that they come to.
//!
//! What comes counts for nothing until the documents bind the instance to this node by the very move that brought it. Until
//! then it may go at any moment: what was on this node before is no part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::{InstanceId, NodeId};
use crate::time::Instant;

use super::action::{MoveStep, Outcome};
use super::backoff::{Lesson, Setback};
use super::container::mounted;
use super::wanted::Wanted;

/// Once all of it is here it is asked for anew after so long, if the instance is not bound to this node by then.
const BOUND_WITHIN: Duration = Duration::from_secs(60);

/// An instance that is ordered to come to this node.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    pub wanted: Wanted,
    pub from: NodeId,
    pub epoch: u64,
}

/// What is on this node of an instance's data that came, or comes, by a move, and does not count yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Of the binding that the move leaves.
    pub epoch: u64,
    /// Docker volumes.
    pub volumes: BTreeSet<String>,
}

/// What becomes of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Its move is under way, or nobody knows yet.
    Keep,
    /// The instance is bound to this node by that move: it is the instance's data.
    Accept,
    /// Its move is off. The node that has the instance may not know that yet, and is told first.
    Release {
        from: NodeId,
    },
    Discard,
}

/// What comes here.
#[derive(Clone, Debug, Default)]
pub(super) struct Arriving {
    arrivals: BTreeMap<InstanceId, Arrival>,
    /// Those of which the node that has the instance knows that nothing follows from them.
    released: BTreeSet<InstanceId>,
    /// What went wrong last, and when it is tried again.
    setbacks: BTreeMap<InstanceId, Setback>,
    /// Until when the other node is given time to bind the instance to this one.
    whole: BTreeMap<InstanceId, Instant>,
    /// Counts the changes of `arrivals`, and of those that are released.
    version: u64,
}

impl Inbound {
    /// The Docker volumes that are to come.
    pub(super) fn volumes(&self) -> BTreeSet<String> {
        mounted(&self.wanted).map(|mounted| mounted.name).collect()
    }

    /// Bring it, with the image that it will run from.
    fn bring(&self, instance: &InstanceId, image: &str) -> MoveStep {
        MoveStep::Bring {
            instance: instance.clone(),
            from: self.from,
            epoch: self.epoch,
            copies: mounted(&self.wanted).collect(),
            image: image.to_owned(),
        }
    }
}

impl Arriving {
    pub(super) fn remembered(arrivals: BTreeMap<InstanceId, Arrival>) -> Self {
        Self {
            arrivals,
            ..Self::default()
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn arrivals(&self) -> &BTreeMap<InstanceId, Arrival> {
        &self.arrivals
    }

    /// Whether something of an instance is here that does not count: nothing of it is begun.
    pub(super) fn has(&self, instance: &InstanceId) -> bool {
        self.arrivals.contains_key(instance)
    }

    /// Docker volumes whose data does not count.
    pub(super) fn volumes(&self) -> BTreeSet<&String> {
        let arrivals = self.arrivals.values();
        arrivals.flat_map(|arrival| &arrival.volumes).collect()
    }

    pub(super) fn follow(&mut self, inbound: &BTreeMap<InstanceId, Inbound>) {
        let arrivals = &self.arrivals;
        let is_of_use = |instance: &InstanceId| {
            inbound.contains_key(instance) || arrivals.contains_key(instance)
        };
        self.setbacks.retain(|instance, _| is_of_use(instance));
        self.whole.retain(|instance, _| is_of_use(instance));
        self.released
            .retain(|instance| arrivals.contains_key(instance));
    }

    /// What is to be done about something that is here, unless it waits.
    pub(super) fn settle(
        &self,
        instance: &InstanceId,
        fate: Settlement,
        now: Instant,
    ) -> Option<MoveStep> {
        let epoch = self.arrivals.get(instance)?.epoch;
        if self.waits(instance, now) {
            return None;
        }
        let is_released = self.released.contains(instance);
        let instance = instance.clone();
        match fate {
            Settlement::Keep => None,
            Settlement::Accept => Some(MoveStep::Accept { instance, epoch }),
            Settlement::Release { from } if !is_released => Some(MoveStep::Release {
                instance,
                epoch,
                from,
            }),
            Settlement::Release { .. } | Settlement::Discard => {
                Some(MoveStep::Discard { instance })
            }
        }
    }

    /// Asks for the data of an instance that is ordered to come, unless that waits.
    pub(super) fn ask(
        &self,
        instance: &InstanceId,
        inbound: &Inbound,
        image: &str,
        now: Instant,
    ) -> Option<MoveStep> {
        let other = self.arrivals.get(instance);
        let is_in_the_way = other.is_some_and(|other| {
            other.epoch != inbound.epoch || other.volumes != inbound.volumes()
        });
        let is_whole = self.whole.get(instance).is_some_and(|until| *until > now);
        let waits = is_in_the_way || is_whole || self.waits(instance, now);
        (!waits).then(|| inbound.bring(instance, image))
    }

    fn waits(&self, instance: &InstanceId, now: Instant) -> bool {
        let setback = self.setbacks.get(instance);
        setback.is_some_and(|setback| setback.retry_at > now)
    }

    /// Something is begun.
    pub(super) fn began(&mut self, step: &MoveStep) {
        if let MoveStep::Bring {
            instance,
            epoch,
            copies,
            ..
        } = step
        {
            let arrival = Arrival {
                epoch: *epoch,
                volumes: copies.iter().map(|copy| copy.name.clone()).collect(),
            };
            self.released.remove(instance);
            self.arrivals.insert(instance.clone(), arrival);
            self.version += 1;
        }
    }

    pub(super) fn conclude(
        &mut self,
        instance: InstanceId,
        step: &MoveStep,
        outcome: Outcome,
        now: Instant,
    ) {
        self.version += 1;
        if let Err(failure) = outcome {
            tracing::warn!(%instance, problem = %failure, "A move could not go on");
            let before = self.setbacks.get(&instance);
            let setback = Setback::after(before, failure.to_string(), Lesson::Failed, now);
            self.setbacks.insert(instance, setback);
            return;
        }
        self.setbacks.remove(&instance);
        match step {
            MoveStep::Bring { .. } => {
                self.whole.insert(instance, now + BOUND_WITHIN);
            }
            MoveStep::Release { .. } => {
                self.released.insert(instance);
            }
            MoveStep::Accept { .. } | MoveStep::Discard { .. } => {
                self.whole.remove(&instance);
                self.released.remove(&instance);
                self.arrivals.remove(&instance);
            }
            MoveStep::Send { .. } => {}
        }
    }

    pub(super) fn problem(&self, instance: &InstanceId) -> Option<&str> {
        let setback = self.setbacks.get(instance)?;
        Some(&setback.problem)
    }

    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let tries = self.setbacks.values().map(|setback| setback.retry_at);
        let ends = self.whole.values().copied();
        tries.chain(ends).filter(|at| *at > now).min()
    }
}
