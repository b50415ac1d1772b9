//! What is concluded from the outcome of an action.
//!
//! A container that an action confirmed is believed at once; a failure is remembered with the time
//! of the next try. From an engine that does not answer nothing is concluded: what the action left
//! behind is seen in the next listing, and each action may be repeated.

use std::time::Duration;

use crate::id::InstanceId;
use crate::schedule::Slot;
use crate::time::{Instant, Now};

use super::action::{Action, ContainerId, Failure, Outcome, Success};
use super::backoff::{FAILURES_BEFORE_REFUSAL, Lesson, Setback};
use super::images::ImageKey;
use super::instances::Instances;
use super::journal;
use super::last_words::LastWords;
use super::lifecycle::{Local, ProbeResult};
use super::succession::Berth;

/// How long a port may take to accept its first connection (Kontena 1.x).
const READY_WITHIN: Duration = Duration::from_secs(300);
/// Between two looks at a port: an edge that answers at once must not make a busy loop.
const PROBE_PAUSE: Duration = Duration::from_millis(250);
/// Between two looks at a port that did not open in time.
const PROBE_PAUSE_FAILED: Duration = Duration::from_secs(60);

impl Instances {
    pub(super) fn conclude_fetch(&mut self, key: ImageKey, outcome: Outcome, now: Now) {
        match outcome {
            Ok(Success::Image { pinned }) => self.images.fetched(key, pinned),
            Ok(Success::Running(_) | Success::Lines(_) | Success::Done) => {
                let problem = "the engine did not say which image it fetched".to_owned();
                self.images
                    .failed(key, problem, Lesson::Failed, now.monotonic);
            }
            Err(failure) => {
                let lesson = lesson(&failure, None);
                self.images
                    .failed(key, failure.to_string(), lesson, now.monotonic);
            }
        }
    }

    /// What was done beside whatever else is done about an instance.
    pub(super) fn conclude_aside(
        &mut self,
        instance: &InstanceId,
        berth: Berth,
        action: &Action,
        outcome: Outcome,
        now: Now,
    ) {
        match action {
            Action::Command { container, .. } => {
                self.conclude_hook(instance, berth, container, outcome, now);
            }
            Action::LastLines { container } => {
                self.conclude_reading(instance, berth, container, outcome);
            }
            Action::Fetch { .. }
            | Action::RemoveVolume { .. }
            | Action::Move(_)
            | Action::Run(_)
            | Action::Hook { .. }
            | Action::Start { .. }
            | Action::Stop { .. }
            | Action::Remove { .. }
            | Action::Rename { .. }
            | Action::Probe { .. }
            | Action::Check { .. } => self.conclude_check(instance, berth, outcome, now),
        }
    }

    /// Where nothing could be read nothing was said: it is not asked again.
    fn conclude_reading(
        &mut self,
        instance: &InstanceId,
        berth: Berth,
        container: &ContainerId,
        outcome: Outcome,
    ) {
        let lines = match outcome {
            Ok(Success::Lines(lines)) => lines,
            Ok(Success::Image { .. } | Success::Running(_) | Success::Done) | Err(_) => Vec::new(),
        };
        let local = self.locals.get_mut(instance);
        let local = local.and_then(|local| local.at(berth));
        if let (Some(local), Some(container)) = (local, self.sight.get(container)) {
            local.last_words = Some(LastWords::new(container, lines));
        }
    }

    fn conclude_check(&mut self, instance: &InstanceId, berth: Berth, outcome: Outcome, now: Now) {
        let local = self.locals.get_mut(instance);
        let Some(local) = local.and_then(|local| local.at(berth)) else {
            return;
        };
        let container = local.container.as_ref();
        let container = container.and_then(|container| self.sight.get(container));
        let Some(check) = container.and_then(|container| container.care.health_check.as_ref())
        else {
            return;
        };
        let now = now.monotonic;
        let answer = match outcome {
            Ok(_) => Ok(()),
            Err(Failure::Unreachable { .. } | Failure::Unfenced { .. } | Failure::Gone) => {
                return local.checks.not_asked(check, now);
            }
            Err(Failure::NotReady { problem } | Failure::Refused { problem }) => Err(problem),
            Err(
                failure @ (Failure::NoImage { .. }
                | Failure::Occupied { .. }
                | Failure::PortTaken { .. }
                | Failure::HookFailed { .. }
                | Failure::AddressTaken { .. }),
            ) => Err(failure.to_string()),
        };
        if local.checks.answered(check, answer, now) {
            let checks = &local.checks;
            journal::health(instance, checks.health(), checks.problem().as_deref());
        }
    }

    /// A hook after the start is over.
    fn conclude_hook(
        &mut self,
        instance: &InstanceId,
        berth: Berth,
        container: &ContainerId,
        outcome: Outcome,
        now: Now,
    ) {
        let best = self.sight.get(container);
        let local = self.locals.get_mut(instance);
        let Some(local) = local.and_then(|local| local.at(berth)) else {
            return;
        };
        match outcome {
            Ok(_) => local.hooks.after_done(best, Ok(())),
            Err(failure @ Failure::Unreachable { .. }) => {
                let problem = failure.to_string();
                local.hooks.after_unanswered(problem, now.monotonic);
            }
            Err(failure) => {
                tracing::warn!(%instance, %failure, "A hook of an instance failed");
                local.hooks.after_done(best, Err(failure.to_string()));
            }
        }
    }

    /// What was done about one run of a job.
    pub(super) fn conclude_run(
        &mut self,
        instance: &InstanceId,
        slot: Slot,
        action: &Action,
        outcome: Outcome,
        now: Now,
    ) {
        if let Err(problem) = &outcome {
            journal::run_failed(instance, slot, action, problem);
        }
        match (action, &outcome) {
            (_, Ok(Success::Running(container))) => self.sight.started(*container.clone(), now),
            (Action::Stop { container, .. }, Ok(_)) => self.sight.stopped(container, now),
            (Action::Remove { container }, Ok(_))
            | (Action::Stop { container, .. } | Action::Remove { container }, Err(Failure::Gone)) =>
            {
                return self.sight.removed(container, now);
            }
            (Action::Run(_), Err(Failure::NoImage { .. })) => {
                if let Some(key) = self.wanted_image(instance) {
                    self.images.vanished(key);
                }
            }
            (_, _) => {}
        }
        let mut container = None;
        if let Action::LastLines { container: of } = action {
            container = self.sight.get(of);
        }
        if let Some(job) = self.jobs.get_mut(instance) {
            job.conclude(slot, action, &outcome, container, now);
        }
    }

    pub(super) fn conclude(
        &mut self,
        instance: &InstanceId,
        berth: Berth,
        action: &Action,
        outcome: Outcome,
        now: Now,
    ) {
        match outcome {
            Ok(success) => self.succeeded(instance, berth, action, success, now),
            Err(Failure::Gone) => self.gone(instance, berth, action, now),
            Err(failure) => self.failed(instance, berth, action, &failure, now),
        }
    }

    fn succeeded(
        &mut self,
        instance: &InstanceId,
        berth: Berth,
        action: &Action,
        success: Success,
        now: Now,
    ) {
        match (action, success) {
            (_, Success::Running(container)) => self.sight.started(*container, now),
            (Action::Start { container }, _) => {
                if let Some(container) = self.sight.get(container).cloned() {
                    self.sight.started(container, now);
                }
            }
            (Action::Stop { container, .. }, _) => self.sight.stopped(container, now),
            (Action::Remove { container }, _) => self.sight.removed(container, now),
            (Action::Rename { container, name }, _) => self.sight.renamed(container, name),
            (
                Action::Run(_)
                | Action::Hook { .. }
                | Action::Command { .. }
                | Action::Probe { .. }
                | Action::Check { .. }
                | Action::LastLines { .. }
                | Action::RemoveVolume { .. }
                | Action::Move(_)
                | Action::Fetch { .. },
                _,
            ) => {}
        }
        let local = self.locals.get_mut(instance);
        let Some(local) = local.and_then(|local| local.at(berth)) else {
            return;
        };
        let asked = self.asked.as_ref();
        let wanted = asked.and_then(|asked| asked.wanted.get(instance));
        match action {
            // What failed before may be the start that the hook is run for: it backs off as it did.
            Action::Hook { .. } => local.hooks.before_done(wanted),
            Action::Command { container, .. } => {
                local.hooks.ending_done(self.sight.get(container));
            }
            Action::Run(_) | Action::Start { .. } => local.starting = None,
            Action::Stop { .. } | Action::Remove { .. } => local.stopping = None,
            Action::Rename { .. } => local.naming = None,
            Action::Probe { .. } => local.answered(),
            Action::Fetch { .. }
            | Action::RemoveVolume { .. }
            | Action::Move(_)
            | Action::Check { .. }
            | Action::LastLines { .. } => {}
        }
    }

    /// The container of the action is no longer there.
    fn gone(&mut self, instance: &InstanceId, berth: Berth, action: &Action, now: Now) {
        match container_of(action) {
            Some(container) => self.sight.removed(container, now),
            None => self.failed(instance, berth, action, &Failure::Gone, now),
        }
    }

    fn failed(
        &mut self,
        instance: &InstanceId,
        berth: Berth,
        action: &Action,
        failure: &Failure,
        now: Now,
    ) {
        let now = now.monotonic;
        journal::failed(instance, action, failure);
        let image_gone = matches!(failure, Failure::NoImage { .. });
        if let Some(key) = self.wanted_image(instance).filter(|_| image_gone) {
            self.images.vanished(key);
        }
        let local = self.locals.get_mut(instance);
        let Some(local) = local.and_then(|local| local.at(berth)) else {
            return;
        };
        if let Failure::AddressTaken { address } = failure {
            local.avoided.insert(*address);
        }
        match action {
            Action::Probe { .. } => local.did_not_answer(failure, now),
            // What is to stop is stopped all the same.
            Action::Command { container, .. } => {
                local.hooks.ending_done(self.sight.get(container));
            }
            Action::Run(_) | Action::Hook { .. } | Action::Start { .. } | Action::Fetch { .. } => {
                local.starting = Some(setback(local.starting.as_ref(), failure, now));
            }
            // Has a subject of its own.
            Action::Check { .. }
            | Action::RemoveVolume { .. }
            | Action::Move(_)
            | Action::LastLines { .. } => {}
            Action::Stop { .. } | Action::Remove { .. } => {
                local.stopping = Some(setback(local.stopping.as_ref(), failure, now));
            }
            Action::Rename { .. } => {
                local.naming = Some(setback(local.naming.as_ref(), failure, now));
            }
        }
    }
}

impl Local {
    fn answered(&mut self) {
        if let Some(probing) = &mut self.probing {
            probing.result = ProbeResult::Passed;
        }
    }

    fn did_not_answer(&mut self, failure: &Failure, now: Instant) {
        let Some(probing) = &mut self.probing else {
            return;
        };
        if now.since(probing.since) < READY_WITHIN {
            probing.next = now + PROBE_PAUSE;
            return;
        }
        let problem = failure.to_string();
        probing.next = now + PROBE_PAUSE_FAILED;
        probing.result = ProbeResult::Failed { problem };
    }
}

fn container_of(action: &Action) -> Option<&ContainerId> {
    match action {
        Action::Start { container }
        | Action::Stop { container, .. }
        | Action::Remove { container }
        | Action::Rename { container, .. } => Some(container),
        // It may have stopped only.
        Action::Command { .. } => None,
        Action::Fetch { .. }
        | Action::RemoveVolume { .. }
        | Action::Move(_)
        | Action::Run(_)
        | Action::Hook { .. }
        | Action::Probe { .. }
        | Action::Check { .. }
        | Action::LastLines { .. } => None,
    }
}

fn setback(previous: Option<&Setback>, failure: &Failure, now: Instant) -> Setback {
    let problem = match failure {
        Failure::Occupied { name } => format!(
            "a container named `{name}` that is not this grid's is in the way: remove or rename it"
        ),
        Failure::NoImage { .. }
        | Failure::PortTaken { .. }
        | Failure::AddressTaken { .. }
        | Failure::Gone
        | Failure::Refused { .. }
        | Failure::Unreachable { .. }
        | Failure::Unfenced { .. }
        | Failure::HookFailed { .. }
        | Failure::NotReady { .. } => failure.to_string(),
    };
    Setback::after(previous, problem, lesson(failure, previous), now)
}

fn lesson(failure: &Failure, previous: Option<&Setback>) -> Lesson {
    let before = previous.map_or(0, |setback| setback.failures);
    match failure {
        Failure::Unreachable { .. } => Lesson::Nothing,
        // The lease may have been over in a moment; again and again, this node cannot fence it.
        Failure::Unfenced { .. } if before + 1 < 2 * FAILURES_BEFORE_REFUSAL => Lesson::Nothing,
        Failure::Unfenced { .. } => Lesson::NotHere,
        // The container in the way may be our own, not listed yet.
        Failure::Occupied { .. } if before + 1 < FAILURES_BEFORE_REFUSAL => Lesson::Nothing,
        Failure::PortTaken { .. } => Lesson::NotHere,
        // The next attempt takes another one.
        Failure::AddressTaken { .. } => Lesson::Failed,
        Failure::Occupied { .. }
        | Failure::NoImage { .. }
        | Failure::Gone
        | Failure::Refused { .. }
        | Failure::HookFailed { .. }
        | Failure::NotReady { .. } => Lesson::Failed,
    }
}
