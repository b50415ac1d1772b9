//! How far the hooks of one instance have come.
//!
//! None is run when a container is only started again. Those before the start hold it up and fail it; those after it
//! are told of and no more; those before the stop hold it up for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::stack::{Hook, Stage};
use crate::time::Instant;

use super::action::{Container, ContainerId};
use super::backoff::{Lesson, Setback};
use super::wanted::Wanted;

/// How long a hook before the start may take: as long as a container gets to accept its first connection.
pub(super) const PRE_START_LIMIT: Duration = Duration::from_secs(300);
/// How long one in the container may take.
pub(super) const IN_CONTAINER_LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default)]
pub(super) struct HookRuns {
    /// How many of those before the start are done for the container that is to be made.
    before: usize,
    /// The engine was told to make a container, which was not seen since.
    creates: bool,
    /// The new container whose hooks after the start are not done yet, and how many are.
    after: Option<(ContainerId, usize)>,
    /// The engine did not say what became of the next of these.
    unanswered: Option<Setback>,
    /// The container that is to stop, and how many of its hooks are done.
    ending: Option<(ContainerId, usize)>,
    /// What became of the last hook after the start, if it failed.
    problem: Option<(ContainerId, String)>,
    /// Marks of those that have run once and for all.
    ran: BTreeSet<String>,
}

impl HookRuns {
    pub(super) fn remembered(ran: BTreeSet<String>) -> Self {
        Self {
            ran,
            ..Self::default()
        }
    }

    pub(super) fn ran(&self) -> &BTreeSet<String> {
        &self.ran
    }

    /// These have run as well.
    pub(super) fn know(&mut self, ran: &BTreeSet<String>) {
        self.ran.extend(ran.iter().cloned());
    }

    /// What others say has run for the instance has run.
    pub(super) fn take_over(&mut self, wanted: &Wanted) {
        self.know(&wanted.hooks_ran);
    }

    /// Another deploy is wanted: its hooks begin with the first.
    pub(super) fn begin_anew(&mut self) {
        self.before = 0;
    }

    /// The next hook that is to run before the container is made.
    pub(super) fn before<'a>(&mut self, wanted: &'a Wanted) -> Option<&'a Hook> {
        let hooks = &wanted.service.hooks.pre_start;
        let number = wanted.instance.number;
        while let Some(hook) = next(hooks, Stage::PreStart, &mut self.before, &self.ran) {
            if hook.is_for(number) {
                return Some(hook);
            }
            self.before += 1;
        }
        None
    }

    pub(super) fn before_done(&mut self, wanted: Option<&Wanted>) {
        let hook = wanted.and_then(|wanted| wanted.service.hooks.pre_start.get(self.before));
        self.mark(hook, Stage::PreStart);
        self.before += 1;
    }

    /// The engine is told to make a container.
    pub(super) fn creates(&mut self) {
        self.before = 0;
        self.creates = true;
    }

    /// Takes note of the container that runs. One that this boot had made begins with its hooks after the start; the
    /// others had theirs.
    pub(super) fn look(&mut self, running: Option<&Container>) {
        if let Some(container) = running.filter(|_| self.creates) {
            self.creates = false;
            self.problem = None;
            self.unanswered = None;
            self.after = Some((container.id.clone(), 0));
        }
        if let (Some(container), Some((id, index))) = (running, &mut self.after) {
            let hooks = &container.care.post_start;
            if *id != container.id || next(hooks, Stage::PostStart, index, &self.ran).is_none() {
                self.after = None;
            }
        }
    }

    /// The next hook that is to run in the container now that it runs; `None` once there is none.
    pub(super) fn after<'a>(&self, best: &'a Container) -> Option<&'a Hook> {
        let (_, index) = self.after.as_ref().filter(|(id, _)| *id == best.id)?;
        best.care.post_start.get(*index)
    }

    /// When the next hook after the start is run.
    pub(super) fn after_from(&self) -> Option<Instant> {
        self.unanswered.as_ref().map(|setback| setback.retry_at)
    }

    /// Nobody knows whether it ran: it is run again, later each time.
    pub(super) fn after_unanswered(&mut self, problem: String, now: Instant) {
        let before = self.unanswered.take();
        let setback = Setback::after(before.as_ref(), problem, Lesson::Nothing, now);
        self.unanswered = Some(setback);
    }

    /// One that fails ends the row, as in Kontena.
    pub(super) fn after_done(&mut self, best: Option<&Container>, outcome: Result<(), String>) {
        self.unanswered = None;
        let Some((id, index)) = self.after.take() else {
            return;
        };
        let best = best.filter(|best| best.id == id);
        let hook = best.and_then(|best| best.care.post_start.get(index));
        match outcome {
            Ok(()) => {
                self.mark(hook, Stage::PostStart);
                self.after = Some((id, index + 1));
                self.look(best);
            }
            Err(problem) => self.problem = Some((id, problem)),
        }
    }

    /// Why a hook after the start of this container failed.
    pub(super) fn problem(&self, best: &Container) -> Option<&str> {
        let (_, problem) = self.problem.as_ref().filter(|(id, _)| *id == best.id)?;
        Some(problem)
    }

    /// The next hook that is to run before the container is stopped.
    pub(super) fn ending<'a>(&mut self, best: &'a Container) -> Option<&'a Hook> {
        if self.ending.as_ref().is_none_or(|(id, _)| *id != best.id) {
            self.ending = Some((best.id.clone(), 0));
        }
        let (_, index) = self.ending.as_mut()?;
        next(&best.care.pre_stop, Stage::PreStop, index, &self.ran)
    }

    /// However it ended: nothing keeps a container from being stopped.
    pub(super) fn ending_done(&mut self, best: Option<&Container>) {
        let Some((id, index)) = self.ending.take() else {
            return;
        };
        let best = best.filter(|best| best.id == id);
        let hook = best.and_then(|best| best.care.pre_stop.get(index));
        self.mark(hook, Stage::PreStop);
        self.ending = Some((id, index + 1));
    }

    /// The container is to go on: what was run before its stop would be run again.
    pub(super) fn goes_on(&mut self) {
        self.ending = None;
    }

    fn mark(&mut self, hook: Option<&Hook>, stage: Stage) {
        if let Some(hook) = hook.filter(|hook| hook.oneshot) {
            self.ran.insert(hook.mark(stage));
        }
    }
}

/// The first from `index` on that has not run once and for all.
fn next<'a>(
    hooks: &'a [Hook],
    stage: Stage,
    index: &mut usize,
    ran: &BTreeSet<String>,
) -> Option<&'a Hook> {
    let is_done = |hook: &Hook| hook.oneshot && ran.contains(&hook.mark(stage));
    while hooks.get(*index).is_some_and(is_done) {
        *index += 1;
    }
    hooks.get(*index)
}
