//! A first binding that this node cannot carry out: the instance goes to the next best node (rules of the mesh 2).
//!
//! A stateful instance is bound before anybody knows whether its node can make it: the disk may be full, a port taken, the
//! image not to be had. Until its node has made anything of it, the binding is provisional, and the node, which alone knows
//! that, writes down another one. It starts nothing of the instance from the moment on that it decides so; whoever is
//! named starts it once it reads that. So it never runs twice, and what has data is never moved.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::command::Refusal;
use crate::document::edit::Edit;
use crate::id::{EnvelopeHash, InstanceId, NodeId};
use crate::placement;
use crate::time::{Instant, Now};
use crate::view::{Lifecycle, Pin, View};

use super::writing::Job;
use super::{Node, Phase};

/// Where no other node fits, or the disk refuses, it is asked again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Once each member had its turn a binding is kept so long before it is given up, and twice as long with each further one, up
/// to [`LONGEST`]: where nobody can run an instance, that is written down once an hour and not all the time, and a node that
/// can again has its turn within so many hours as there are members.
const ROUND: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(3600);

/// What is on its way to the disk, and until when nobody tries again.
#[derive(Debug, Default)]
pub(super) struct Rebinding {
    tried: BTreeMap<InstanceId, Instant>,
    /// Bindings to this node that it refused, and since when.
    refused: BTreeMap<InstanceId, (Pin, Instant)>,
}

/// An instance that this node refuses, and the binding that it refuses.
#[derive(Debug)]
pub(super) struct Unbinding {
    instance: InstanceId,
    pin: Pin,
}

impl Node {
    /// Gives up what is bound to this node, was never made here, and cannot be.
    pub(super) fn rebind_what_is_refused(&mut self, now: Now) {
        self.rebinding
            .tried
            .retain(|_, again| *again > now.monotonic);
        if self.phase != Phase::Member || self.is_stopping() {
            return;
        }
        let bound_here = |instance: &InstanceId, refused: &Pin| {
            pin(&self.view, instance).is_some_and(|pin| pin == *refused)
        };
        self.rebinding
            .refused
            .retain(|instance, (refused, _)| bound_here(instance, refused));
        for Unbinding { instance, pin } in self.unmade() {
            if !self.has_had_its_turn(&instance, pin, now.monotonic) || !self.can_queue() {
                continue;
            }
            let Entry::Vacant(entry) = self.rebinding.tried.entry(instance.clone()) else {
                continue;
            };
            entry.insert(now.monotonic + AGAIN_AFTER);
            // Nobody else fits: it stays with this node, which goes on trying.
            if other_node(&self.view, &instance).is_none() {
                continue;
            }
            if let Some(instances) = &mut self.instances {
                instances.let_go(&instance, now);
                self.queue(Job::Rebind(Box::new(Unbinding { instance, pin })));
            }
        }
    }

    /// Whether a binding was kept as long as one of its epoch is.
    fn has_had_its_turn(&mut self, instance: &InstanceId, pin: Pin, now: Instant) -> bool {
        let refused = self.rebinding.refused.entry(instance.clone());
        let (_, since) = *refused.or_insert((pin, now));
        since + kept_for(pin.epoch, members(&self.view)) <= now
    }

    fn unmade(&self) -> Vec<Unbinding> {
        let Some(instances) = &self.instances else {
            return Vec::new();
        };
        // What was let go and could not be written down is not tried here any more: it may be on the disk.
        let refused = instances
            .refusals()
            .keys()
            .chain(instances.gone_from_here());
        let unmade = refused.filter(|instance| instances.can_let_go(instance));
        unmade
            .filter_map(|instance| {
                let pin = pin(&self.view, instance).filter(|pin| pin.node == self.me)?;
                let instance = instance.clone();
                Some(Unbinding { instance, pin })
            })
            .collect()
    }

    /// Where nothing was written, and cannot have been, this node goes on trying to run the instance.
    pub(super) fn rebound(
        &mut self,
        unbinding: &Unbinding,
        written: &Result<Vec<EnvelopeHash>, Refusal>,
        now: Now,
    ) {
        let is_written = match written {
            Ok(changes) => !changes.is_empty(),
            Err(refusal) => matches!(refusal, Refusal::Disk { .. }),
        };
        if let Some(instances) = self.instances.as_mut().filter(|_| !is_written) {
            instances.take_back(&unbinding.instance, now);
        }
    }
}

impl Unbinding {
    /// What is left to write once its turn comes: a person may have been first.
    pub(super) fn edits(&self, view: &View) -> Vec<Edit> {
        let is_due = pin(view, &self.instance) == Some(self.pin);
        let other = is_due.then(|| other_node(view, &self.instance)).flatten();
        let edit = |node: NodeId| Edit::Pin {
            service: self.instance.service.clone(),
            number: self.instance.number,
            pin: Pin {
                epoch: self.pin.epoch.saturating_add(1),
                node,
                moved: false,
            },
        };
        other.map(edit).into_iter().collect()
    }
}

fn members(view: &View) -> u64 {
    u64::try_from(view.documents.roster.len()).unwrap_or(u64::MAX)
}

/// How long the binding of this epoch is kept before it is given up. The first is epoch 1.
fn kept_for(epoch: u64, members: u64) -> Duration {
    let Some(further) = epoch.checked_sub(members.max(1)) else {
        return Duration::ZERO;
    };
    let doubled = 1_u32.checked_shl(u32::try_from(further).unwrap_or(u32::MAX));
    doubled.map_or(LONGEST, |times| ROUND.saturating_mul(times).min(LONGEST))
}

/// What binds an instance that is to run.
fn pin(view: &View, instance: &InstanceId) -> Option<Pin> {
    let record = view.documents.services.get(&instance.service)?;
    let is_wanted = record.state == Lifecycle::Running && instance.number <= record.instances;
    record
        .pins
        .get(&instance.number)
        .copied()
        .filter(|_| is_wanted)
}

/// The best of those that do not refuse it, this one's own report among them.
fn other_node(view: &View, instance: &InstanceId) -> Option<NodeId> {
    let record = view.documents.services.get(&instance.service)?;
    let bound = record.pins.get(&instance.number)?;
    let by_turns = kept_for(bound.epoch, members(view)) > Duration::ZERO;
    placement::choose_other(view, instance, by_turns).filter(|node| *node != bound.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_its_turn_at_once_and_then_a_binding_is_kept_longer_and_longer() {
        let kept = [1, 2, 3, 4, 5, 30, u64::MAX].map(|epoch| kept_for(epoch, 3).as_secs());
        assert_eq!(kept, [0, 0, 600, 1200, 2400, 3600, 3600]);
        assert_eq!(kept_for(1, 0), ROUND, "a grid that nobody is in");
    }
}
