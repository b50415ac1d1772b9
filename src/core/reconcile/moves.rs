//! Moves of instances, as they meet everything else that is done about instances.

use std::collections::BTreeMap;

use crate::id::{InstanceId, NodeId};
use crate::time::{Instant, Now};

use super::action::{Action, ActionId, MoveStep, Outcome};
use super::arriving::Arrival;
use super::images::ImageKey;
use super::instances::Instances;
use super::lifecycle::is_up;
use super::moving::{AskId, Known, MoveAsk, MoveWord, Outbound};
use super::queue::Subject;
use super::round::Findings;
use super::sight::Seen;

impl Instances {
    /// Another node asks for something of an instance that is to move to it. It is answered by
    /// [`Instances::take_answers`], or by what [`MoveStep::Send`] gives it.
    pub fn asked_to_move(&mut self, id: AskId, from: NodeId, asked: MoveAsk, now: Now) {
        let may_act = self.sight.is_listed() && now.monotonic >= self.acts_from;
        let goals = self.asked.as_ref();
        let order = goals.and_then(|goals| goals.outbound.get(&asked.instance));
        let order = order.filter(|_| may_act);
        let is_its = order.is_some_and(|order| order.is_of(from, &asked));
        let is_to_bring = matches!(asked.word, MoveWord::Bring { .. });
        if is_its && is_to_bring && self.is_behind(&asked.instance) {
            let problem = "its deploy is not over yet".to_owned();
            return self.moving.refuse(id, &asked.instance, problem);
        }
        let user = order.and_then(|order| self.other_user(&asked.instance, order));
        if let Some(user) = user.filter(|_| is_its && is_to_bring) {
            let problem = format!("`{user}` runs and mounts its volumes");
            return self.moving.refuse(id, &asked.instance, problem);
        }
        let known = Known {
            outbound: order,
            bound: goals.and_then(|goals| goals.bound.get(&asked.instance).copied()),
        };
        self.moving.ask(id, from, asked, known, now.monotonic);
        self.refresh(now);
    }

    /// Whether it runs an older deploy here: the next container of it waits for its turn, and may be one that is halted.
    fn is_behind(&self, instance: &InstanceId) -> bool {
        let asked = self.asked.as_ref();
        let wanted = asked.and_then(|asked| asked.wanted.get(instance));
        wanted.is_some_and(|wanted| {
            let mut containers = self.sight.of(instance);
            containers.any(|container| !wanted.is_met_by(&container.owner))
        })
    }

    /// Another instance that runs here and has what is to go: whoever mounts the volumes of this one.
    fn other_user(&self, instance: &InstanceId, order: &Outbound) -> Option<InstanceId> {
        let mounts = |path: &String| order.copies.iter().any(|copy| copy.name == *path);
        let mut containers = self.sight.running();
        let user = containers.find(|container| {
            container.owner.instance != *instance && container.mounts.values().any(mounts)
        })?;
        Some(user.owner.instance.clone())
    }

    /// What other nodes that ask are told.
    pub fn take_answers(&mut self) -> Vec<(AskId, Result<(), String>)> {
        self.moving.take_answers()
    }

    /// Steps of moves that nobody waits for any more: each once.
    pub fn take_aborts(&mut self) -> Vec<ActionId> {
        let asked = self.asked.as_ref();
        let is_due = |step: &MoveStep| match step {
            MoveStep::Send { ask, .. } => self.moving.is_asked(*ask),
            MoveStep::Bring {
                instance, epoch, ..
            } => asked.is_none_or(|asked| {
                let inbound = asked.inbound.get(instance);
                inbound.is_some_and(|inbound| inbound.epoch == *epoch)
            }),
            MoveStep::Accept { .. } | MoveStep::Release { .. } | MoveStep::Discard { .. } => true,
        };
        let vain = self.queue.moves().filter(|(_, step)| !is_due(step));
        let vain: Vec<ActionId> = vain.map(|(id, _)| id).collect();
        self.aborted.retain(|id| vain.contains(id));
        let new = vain.into_iter().filter(|id| !self.aborted.contains(id));
        let new: Vec<ActionId> = new.collect();
        self.aborted.extend(new.iter().copied());
        new
    }

    /// Instances of which all is on the node that they move to: they are to be bound there.
    pub fn given(&self) -> impl Iterator<Item = (&InstanceId, &Outbound)> {
        self.moving.given()
    }

    /// Moves from here that are not tried any more, and why.
    pub fn moves_given_up(&self, now: Now) -> BTreeMap<InstanceId, String> {
        let given_up = self.moving.given_up(now.monotonic);
        given_up
            .map(|(instance, problem)| (instance.clone(), problem))
            .collect()
    }

    /// The data of an instance is on the other node as well, and the instance stays here.
    pub fn keep_what_was_given(&mut self, instance: &InstanceId, now: Now) {
        self.moving.take_back(instance);
        self.refresh(now);
    }

    /// What is on this node of instances that do not run here, since a move.
    pub fn arrivals(&self) -> &BTreeMap<InstanceId, Arrival> {
        self.arriving.arrivals()
    }

    /// Why what is to come does not, for the report.
    pub fn told_arrivals(&self) -> &BTreeMap<InstanceId, String> {
        &self.told_arrivals
    }

    /// The instances that came by a move and were started here since, with the epochs of their bindings.
    pub fn arrived(&self) -> BTreeMap<InstanceId, u64> {
        let asked = self.asked.as_ref();
        let came = asked.into_iter().flat_map(|asked| asked.came.keys());
        let made = came.filter(|instance| self.told_made().contains(*instance));
        let bound = asked.map(|asked| &asked.bound);
        made.filter_map(|instance| Some((instance.clone(), *bound?.get(instance)?)))
            .collect()
    }

    pub(super) fn conclude_move(
        &mut self,
        instance: InstanceId,
        step: &MoveStep,
        outcome: Outcome,
        now: Now,
    ) {
        match step {
            MoveStep::Send { ask, .. } => {
                self.moving
                    .conclude(&instance, *ask, outcome, now.monotonic);
            }
            MoveStep::Bring { .. }
            | MoveStep::Accept { .. }
            | MoveStep::Release { .. }
            | MoveStep::Discard { .. } => {
                self.arriving
                    .conclude(instance, step, outcome, now.monotonic);
            }
        }
    }

    /// Images of what is to come are fetched before anything is stopped for it.
    pub(super) fn need_images_of_what_comes(&self, found: &mut Findings) {
        let asked = self.asked.iter();
        for inbound in asked.flat_map(|asked| asked.inbound.values()) {
            let image = ImageKey::of(&inbound.wanted);
            found.wanted_images.insert(image.clone());
            found.missing_images.insert(image);
        }
    }

    pub(super) fn plan_moves(
        &self,
        seen: &BTreeMap<InstanceId, Seen>,
        found: &mut Findings,
        now: Instant,
    ) {
        self.plan_sending(seen, found);
        self.plan_bringing(found, now);
        let wakes = [self.moving.next_wake(now), self.arriving.next_wake(now)];
        found.wakes.extend(wakes.into_iter().flatten());
    }

    /// Nothing is sent while anything of the instance runs, or is done about it.
    fn plan_sending(&self, seen: &BTreeMap<InstanceId, Seen>, found: &mut Findings) {
        for (instance, ask, order) in self.moving.asked_for() {
            let containers = seen.get(instance).map(Vec::as_slice).unwrap_or_default();
            let berth = self.locals.get(instance).map(|local| local.berth);
            let subject = Subject::Instance(instance.clone(), berth.unwrap_or_default());
            let is_busy = self.queue.is_busy(instance) || found.ready.contains_key(&subject);
            if is_busy || containers.iter().any(is_up) {
                continue;
            }
            let image = containers.first().map(|container| container.image.clone());
            let step = MoveStep::Send {
                ask,
                copies: order.copies.clone(),
                image: image.or_else(|| self.pinned_image(instance)),
                megabits: order.megabits,
            };
            found.ready.insert(subject, Action::Move(step));
        }
    }

    fn pinned_image(&self, instance: &InstanceId) -> Option<String> {
        let image = self.wanted_image(instance)?;
        self.images.pinned(&image).map(ToOwned::to_owned)
    }

    fn plan_bringing(&self, found: &mut Findings, now: Instant) {
        let Some(asked) = &self.asked else { return };
        let settled = asked.fates.iter();
        let settled = settled.filter_map(|(instance, fate)| {
            Some((instance, self.arriving.settle(instance, *fate, now)?))
        });
        let brought = asked.inbound.iter().filter_map(|(instance, inbound)| {
            let image = self.images.pinned(&ImageKey::of(&inbound.wanted))?;
            Some((instance, self.arriving.ask(instance, inbound, image, now)?))
        });
        // What is in the way of a move goes first.
        for (instance, step) in settled.chain(brought) {
            let subject = Subject::Arrival(instance.clone());
            if !self.queue.has(&subject) {
                let action = Action::Move(step);
                found.ready.entry(subject).or_insert(action);
            }
        }
    }

    /// Why what is to come does not come now.
    pub(super) fn problems_of_what_comes(&self) -> BTreeMap<InstanceId, String> {
        let asked = self.asked.iter();
        let inbound = asked.flat_map(|asked| &asked.inbound);
        let problem = |instance: &InstanceId, image: &ImageKey| {
            let pull = self.images.pull(image);
            let failed = self
                .images
                .setback(image)
                .map(|setback| setback.problem.clone());
            let problem = self.arriving.problem(instance).map(ToOwned::to_owned);
            failed.or(pull).or(problem)
        };
        inbound
            .filter_map(|(instance, inbound)| {
                let problem = problem(instance, &ImageKey::of(&inbound.wanted))?;
                Some((instance.clone(), problem))
            })
            .collect()
    }
}
