//! The next step of one instance: what is wanted × what is seen → one action, or a wait.
//!
//! Read from the top for each look at the instance; nothing here depends on the step before.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::lease::Fenced;
use crate::report::Health;
use crate::stack::{Hook, NetworkMode};
use crate::time::Instant;

use super::action::{Action, Attachment, Container, ContainerSpec, ContainerState};
use super::backoff::{FAILURES_BEFORE_REFUSAL, Lesson, Setback};
use super::container::{fenced, hook_spec, spec};
use super::hooks::{IN_CONTAINER_LIMIT, PRE_START_LIMIT};
use super::instances::Identity;
use super::lifecycle::{Local, ProbeResult, Probing, Task, Turn, awaited_port, is_up};
use super::parting::Parting;
use super::rollout::{ANNOUNCED_FOR, Hindrance, Rollout};
use super::sources::Sources;
use super::succession::{Beside, Seats, name_beside};
use super::wanted::Wanted;
use super::wiring::Unattached;
use super::yielding::may_start;

/// One connection attempt after the other, so long; then the instance is looked at again, so that a
/// port that never opens does not delay a stop.
const PROBE_SLICE: Duration = Duration::from_secs(2);

/// What to do next about an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until something changes.
    Settled,
    /// Nothing before this time.
    Wait(Instant),
    Do(Box<Action>),
}

/// What a step is decided from, beside the instance itself.
pub(super) struct Surroundings<'a> {
    pub identity: &'a Identity,
    /// What the next container is attached to.
    pub attachment: &'a dyn Fn() -> Result<Attachment, Unattached>,
    /// The same for a container that runs before it, with another address than this.
    pub beside: &'a dyn Fn(Option<Ipv4Addr>) -> Result<Attachment, Unattached>,
    /// The image of the wanted deploy, once it is there.
    pub pinned: Option<&'a str>,
    /// The lease that it would run under.
    pub fence: Option<Fenced>,
    /// Without its lease it is stopped in so long, whoever should hear of it before.
    pub hurry: Option<Duration>,
    pub rollout: &'a dyn Fn() -> Rollout,
    /// The containers whose mounts it gets.
    pub sources: &'a Sources<'a>,
    /// It is looked after beside the container that is the instance ([`super::succession`]), which is this.
    pub succeeds: Option<&'a Container>,
    /// This boot has only begun: no turn is taken.
    pub only_looks: bool,
    pub now: Instant,
}

/// Whether this node takes an instance upon itself that it has no container of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Take,
    /// Ask again then.
    Wait(Instant),
    /// Others hold it.
    Yield,
}

pub(super) fn decide(wanted: &Wanted, takeovers_from: Option<Instant>, now: Instant) -> Decision {
    if may_start(wanted).is_err() {
        return Decision::Yield;
    }
    match takeovers_from {
        Some(from) if wanted.takeover && from > now => Decision::Wait(from),
        Some(_) | None => Decision::Take,
    }
}

impl Local {
    pub(super) fn step(
        &mut self,
        task: Task<'_>,
        seats: &Seats<'_>,
        around: &Surroundings<'_>,
    ) -> Step {
        let Some(best) = seats.present else {
            return self.without(task, around);
        };
        if let Some(extra) = seats.extras.first() {
            return self.discard(extra, around.now);
        }
        let step = self.with(task, seats, best, around);
        match task {
            Task::Run(_) | Task::Keep if around.succeeds.is_none() => {
                self.name(step, best, around.now)
            }
            Task::Run(_) | Task::Keep | Task::Rest | Task::Remove => step,
        }
    }

    /// The container `best` is there, and no other that should not be.
    fn with(
        &mut self,
        task: Task<'_>,
        seats: &Seats<'_>,
        best: &Container,
        around: &Surroundings<'_>,
    ) -> Step {
        match task {
            Task::Run(wanted)
                if wanted.is_met_by(&best.owner) && around.sources.leave_behind(best, wanted) =>
            {
                self.take_down(task, best, around.now)
            }
            Task::Run(wanted) if wanted.is_met_by(&best.owner) => {
                self.turn = Turn::Waiting;
                self.waits_for = None;
                self.parting = None;
                self.hooks.goes_on();
                self.keep(task, best, around.now)
            }
            // One after the other: what is replaced goes before it is replaced in turn.
            Task::Run(_) if matches!(self.beside, Beside::Former(_)) => {
                self.turn = Turn::Waiting;
                self.keep(task, best, around.now)
            }
            Task::Run(wanted) if self.has_room_beside(wanted, best) => {
                self.replace_beside(wanted, task, seats, best, around)
            }
            Task::Run(wanted) => self.replace(wanted, task, best, around),
            Task::Keep => {
                self.turn = Turn::Waiting;
                self.waits_for = None;
                self.parting = None;
                self.hooks.goes_on();
                self.keep(task, best, around.now)
            }
            Task::Rest => {
                self.turn = Turn::Waiting;
                match around.hurry {
                    Some(within) => self.halt(best, within, around.now),
                    None => self.rest(task, best, around.now),
                }
            }
            Task::Remove => self.take_down(task, best, around.now),
        }
    }

    /// No container is there.
    fn without(&mut self, task: Task<'_>, around: &Surroundings<'_>) -> Step {
        let (Task::Run(wanted), Some(decided)) = (task, self.decided) else {
            return Step::Settled;
        };
        // Its containers come with its slots.
        if wanted.service.is_job() {
            return Step::Settled;
        }
        let Some(pinned) = around.pinned else {
            return Step::Settled;
        };
        let heard_by_all = decided + ANNOUNCED_FOR;
        if wanted.takeover && heard_by_all > around.now {
            return Step::Wait(heard_by_all);
        }
        if let Some(at) = self.crashes.restart_at()
            && at > around.now
        {
            return Step::Wait(at);
        }
        let attachment = match (around.attachment)() {
            Ok(attachment) => attachment,
            Err(Unattached::Pending) => return Step::Settled,
            Err(Unattached::Full) => return self.refused_address(around.now),
        };
        let spec = spec(wanted, around.identity, self.epoch, attachment, pinned);
        let mut spec = fenced(spec, around.fence);
        if let Some(present) = around.succeeds {
            spec.name = name_beside(present);
        }
        spec.care.made_with = around.sources.ids();
        if let Some(hook) = self.hooks.before(wanted).cloned() {
            return self.run_before(&hook, spec, around);
        }
        self.start(Action::Run(Box::new(spec)), around.now)
    }

    /// Runs a hook in a container of its own, beside the address that the instance's will have.
    fn run_before(&mut self, hook: &Hook, spec: ContainerSpec, around: &Surroundings<'_>) -> Step {
        let Ok(attachment) = (around.beside)(spec.network.address()) else {
            return self.refused_address(around.now);
        };
        let action = Action::Hook {
            spec: Box::new(hook_spec(spec, attachment)),
            hook: hook.name.clone(),
            command: hook.command.clone(),
            limit: PRE_START_LIMIT,
        };
        self.start(action, around.now)
    }

    /// No address is left: the same as a port that is taken, and another node may have one.
    fn refused_address(&mut self, now: Instant) -> Step {
        match &self.starting {
            Some(setback) if setback.retry_at > now => {}
            Some(_) | None => {
                let problem = Unattached::Full.to_string();
                self.avoided.clear();
                let previous = self.starting.take();
                self.starting = Some(Setback::after(
                    previous.as_ref(),
                    problem,
                    Lesson::NotHere,
                    now,
                ));
            }
        }
        let retry_at = self
            .starting
            .as_ref()
            .map_or(now, |setback| setback.retry_at);
        Step::Wait(retry_at)
    }

    /// Keeps a container running.
    pub(super) fn keep(&mut self, task: Task<'_>, best: &Container, now: Instant) -> Step {
        match best.state {
            ContainerState::Running { .. } => self.watch(task, best, now),
            // Somebody paused it, or Docker is at it: not ours to undo.
            ContainerState::Paused | ContainerState::Restarting => Step::Settled,
            ContainerState::Exited { .. } | ContainerState::Created => match task {
                Task::Run(_) if best.care.leased => self.make_anew(best, now),
                // Whether it may run is not known.
                Task::Keep if best.care.leased => Step::Settled,
                Task::Run(_) | Task::Keep | Task::Rest | Task::Remove => {
                    self.restart(task, best, now)
                }
            },
            ContainerState::Dead => match task {
                Task::Run(_) => self.discard(best, now),
                Task::Keep | Task::Rest | Task::Remove => Step::Settled,
            },
        }
    }

    /// It crashed, or its lease was over: another one of the same follows.
    fn make_anew(&self, best: &Container, now: Instant) -> Step {
        match self.crashes.restart_at() {
            Some(at) if at > now => Step::Wait(at),
            Some(_) | None => self.discard(best, now),
        }
    }

    fn restart(&mut self, task: Task<'_>, best: &Container, now: Instant) -> Step {
        match self.crashes.restart_at() {
            Some(at) if at > now => return Step::Wait(at),
            Some(_) | None => {}
        }
        // A container that Docker cannot start any more is made anew.
        let is_right = match task {
            Task::Run(wanted) => wanted.is_met_by(&best.owner),
            Task::Keep | Task::Rest | Task::Remove => false,
        };
        if is_right && self.starting.as_ref().is_some_and(is_hopeless) {
            return self.discard(best, now);
        }
        let container = best.id.clone();
        self.start(Action::Start { container }, now)
    }

    /// Looks after a running container.
    fn watch(&mut self, task: Task<'_>, best: &Container, now: Instant) -> Step {
        if self.hooks.after(best).is_some() {
            return self.probation(now);
        }
        let Some(check) = &best.care.health_check else {
            return self.await_port(task, best, now);
        };
        // What it wrote is part of why it failed, and is read first.
        if self.lacks_last_words(best, now) {
            return self.probation(now);
        }
        if self.checks.condemns(check, now) {
            return self.discard(best, now);
        }
        let start_ends = self.checks.start_ends(check).filter(|at| *at > now);
        earlier(self.await_port(task, best, now), start_ends)
    }

    fn await_port(&mut self, task: Task<'_>, best: &Container, now: Instant) -> Step {
        let (Some(port), Some(address)) = (awaited_port(task, best), probed_address(task, best))
        else {
            return self.probation(now);
        };
        let probing = self.probing.get_or_insert_with(|| Probing {
            container: best.id.clone(),
            since: now,
            next: now,
            result: ProbeResult::Open,
        });
        match probing.result {
            ProbeResult::Passed => self.probation(now),
            ProbeResult::Open | ProbeResult::Failed { .. } if probing.next > now => {
                Step::Wait(probing.next)
            }
            ProbeResult::Open | ProbeResult::Failed { .. } => Step::Do(Box::new(Action::Probe {
                address,
                port,
                limit: PROBE_SLICE,
            })),
        }
    }

    /// Looks again when the crashes of a running container are to be forgotten.
    fn probation(&self, now: Instant) -> Step {
        match self.crashes.looping_until() {
            Some(until) if until > now => Step::Wait(until),
            Some(_) | None => Step::Settled,
        }
    }

    /// Stops a container before its lease is over.
    fn halt(&self, best: &Container, within: Duration, now: Instant) -> Step {
        if !is_up(best) {
            return Step::Settled;
        }
        let action = Action::Stop {
            container: best.id.clone(),
            grace: self.grace.min(within),
        };
        after(self.stopping.as_ref(), action, now)
    }

    /// Stops a container and keeps it.
    fn rest(&mut self, task: Task<'_>, best: &Container, now: Instant) -> Step {
        if is_up(best) {
            return self.take_down(task, best, now);
        }
        Step::Settled
    }

    /// Stops and then removes the container that is the instance, once nobody is led to it any more.
    fn take_down(&mut self, task: Task<'_>, best: &Container, now: Instant) -> Step {
        match self.parts_until(task, best, now) {
            Some(until) if until > now => Step::Wait(until),
            Some(_) | None => self.end(best, now),
        }
    }

    /// Runs the hooks before the stop, stops and then removes the container that is the instance.
    fn end(&mut self, best: &Container, now: Instant) -> Step {
        let runs = matches!(best.state, ContainerState::Running { .. });
        match self.hooks.ending(best).filter(|_| runs) {
            Some(hook) => Step::Do(Box::new(in_container(hook, best))),
            None => self.discard(best, now),
        }
    }

    /// Until when names may lead somebody to the container; `None` where they do not. It counts from when this node
    /// said first that it goes.
    pub(super) fn parts_until(
        &mut self,
        task: Task<'_>,
        best: &Container,
        now: Instant,
    ) -> Option<Instant> {
        let is_known = |parting: &&Parting| parting.is_of(&best.id);
        if let Some(parting) = self.parting.as_ref().filter(is_known) {
            return Some(parting.over());
        }
        let was_ready = is_up(best) && self.was_ready(best, now);
        let is_ready = was_ready || self.health(task, best) == Health::Healthy;
        let has_name = best.assigned.is_some() && is_ready;
        self.parting = has_name.then(|| Parting::of(&best.id, now));
        self.parting.as_ref().map(Parting::over)
    }

    /// Stops and then removes a container.
    fn discard(&self, container: &Container, now: Instant) -> Step {
        let id = container.id.clone();
        let action = if is_up(container) {
            Action::Stop {
                container: id,
                grace: self.grace,
            }
        } else {
            Action::Remove { container: id }
        };
        after(self.stopping.as_ref(), action, now)
    }

    fn start(&self, action: Action, now: Instant) -> Step {
        after(self.starting.as_ref(), action, now)
    }

    /// Replaces a container of an older deploy, when its turn has come; until then it is kept alive.
    fn replace(
        &mut self,
        wanted: &Wanted,
        task: Task<'_>,
        best: &Container,
        around: &Surroundings<'_>,
    ) -> Step {
        let again = self.take_turn(task, best, around);
        if self.turn == Turn::Granted && may_start(wanted).is_ok() {
            // It says from now on that it goes: who comes beside it meanwhile does not make it wait anew.
            let parts = self.parts_until(task, best, around.now);
            // Where there is no other, of no number and no other holder's, names lead to this one until it stops.
            let has_others = (around.rollout)().size() > 1 || !wanted.rivals.is_empty();
            return match parts.filter(|until| has_others && *until > around.now) {
                Some(until) => Step::Wait(until),
                None => self.end(best, around.now),
            };
        }
        // What took its word back stays, and is prepared anew for its end when that comes.
        self.hooks.goes_on();
        // Who announced is out of the names already; who takes its word back is in them again.
        self.parting = match self.turn {
            Turn::Announced { .. } => {
                self.parts_until(task, best, around.now);
                self.parting.take()
            }
            Turn::Waiting | Turn::Granted => None,
        };
        earlier(self.keep(task, best, around.now), again)
    }

    /// Moves the turn on; says when to look again.
    fn take_turn(
        &mut self,
        task: Task<'_>,
        best: &Container,
        around: &Surroundings<'_>,
    ) -> Option<Instant> {
        // Pulling never costs health: without the image there is no turn to take.
        if around.pinned.is_none() || around.only_looks {
            return None;
        }
        // What is down already has nothing to lose.
        if self.turn == Turn::Granted && !is_up(best) {
            return None;
        }
        let rollout = (around.rollout)();
        let is_healthy = self.health(task, best) == Health::Healthy;
        let next = match self.turn {
            Turn::Waiting | Turn::Announced { .. } if !is_healthy => {
                rollout.may_repair().map(|()| Turn::Granted)
            }
            Turn::Waiting if rollout.size() <= 1 => rollout.may_announce().map(|()| Turn::Granted),
            Turn::Waiting => rollout
                .may_announce()
                .map(|()| Turn::Announced { since: around.now }),
            Turn::Announced { since } => rollout.may_take_down().map(|()| {
                let heard = around.now.since(since) >= ANNOUNCED_FOR;
                if heard { Turn::Granted } else { self.turn }
            }),
            // Its deploy may have failed since, while the stop was waited for or was refused.
            Turn::Granted => rollout.may_repair().map(|()| Turn::Granted),
        };
        if self.turn != Turn::Granted && next == Ok(Turn::Granted) {
            self.begin_trial();
        }
        self.turn = next.unwrap_or_default();
        self.waits_for = next.err().as_ref().map(Hindrance::to_string);
        match self.turn {
            Turn::Announced { since } => Some(since + ANNOUNCED_FOR),
            Turn::Waiting | Turn::Granted => None,
        }
    }
}

/// Runs a hook in the instance's own container.
pub(super) fn in_container(hook: &Hook, best: &Container) -> Action {
    Action::Command {
        container: best.id.clone(),
        hook: hook.name.clone(),
        command: hook.command.clone(),
        limit: IN_CONTAINER_LIMIT,
    }
}

/// The step, but looked at again at this time.
pub(super) fn earlier(step: Step, again: Option<Instant>) -> Step {
    match (step, again) {
        (Step::Settled, Some(at)) => Step::Wait(at),
        (Step::Wait(first), Some(at)) => Step::Wait(first.min(at)),
        (step, _) => step,
    }
}

/// Where the container answers: one in the host's network has no address of its own.
fn probed_address(task: Task<'_>, best: &Container) -> Option<IpAddr> {
    let is_on_host = match task {
        Task::Run(wanted) if wanted.is_met_by(&best.owner) => {
            wanted.service.network_mode == NetworkMode::Host
        }
        Task::Run(_) | Task::Keep | Task::Rest | Task::Remove => best.care.on_host,
    };
    match is_on_host {
        true => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        false => best.address,
    }
}

/// The action, unless it failed lately.
pub(super) fn after(setback: Option<&Setback>, action: Action, now: Instant) -> Step {
    match setback {
        Some(setback) if setback.retry_at > now => Step::Wait(setback.retry_at),
        Some(_) | None => Step::Do(Box::new(action)),
    }
}

/// Every fourth failure in a row.
fn is_hopeless(setback: &Setback) -> bool {
    let round = FAILURES_BEFORE_REFUSAL + 1;
    setback.is_certain() && setback.failures % round == FAILURES_BEFORE_REFUSAL
}
