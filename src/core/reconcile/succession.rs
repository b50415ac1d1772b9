//! Start before stop: the container of another deploy is started beside the one that is the instance, and takes its
//! place once it is healthy.
//!
//! Until then the instance is what it was: names lead to the old container, which is looked after as ever. Then the
//! report names the new one, and the old one goes as soon as the names have left it. Each of the two has a memory of
//! its own, because each starts, is checked, runs its hooks and fails by itself.

use std::mem;

use crate::report::{Health, Hold, InstanceState};
use crate::time::Instant;

use super::action::{Action, Container, ContainerState};
use super::hooks::HookRuns;
use super::lifecycle::{Local, Task, Turn, is_up};
use super::parting::{Leaves, Parting};
use super::plan::{Step, Surroundings, after, earlier};
use super::rollout::{Hindrance, Rollout};
use super::wanted::Wanted;
use super::yielding::may_start;

/// Which of the two memories of an instance an action under way is about. It stays with a memory whatever becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Berth {
    #[default]
    First,
    Second,
}

impl Berth {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Who is looked after beside the container that is the instance.
#[derive(Clone, Debug, Default)]
pub(super) enum Beside {
    #[default]
    Nobody,
    /// It is to be the instance once it is healthy.
    Successor(Box<Local>),
    /// It was the instance, and goes.
    Former(Box<Local>),
}

/// The containers of one instance, and which is what.
pub(super) struct Seats<'a> {
    /// That which is the instance.
    pub present: Option<&'a Container>,
    /// That of [`Beside`].
    pub beside: Option<&'a Container>,
    /// Those that should not be.
    pub extras: Vec<&'a Container>,
}

impl Local {
    /// The instance is the container that was it, while that is up; else one that runs before one that is stopped, then
    /// the newest deploy, then the lowest epoch.
    pub(super) fn seats<'a>(&self, containers: &'a [Container]) -> Seats<'a> {
        let beside = containers
            .iter()
            .find(|container| self.is_beside(container));
        let is_other =
            |container: &&Container| beside.is_none_or(|beside| beside.id != container.id);
        let mut ranked: Vec<&Container> = containers.iter().filter(is_other).collect();
        ranked.sort_by_key(|container| {
            let owner = &container.owner;
            let newest = std::cmp::Reverse(owner.generation);
            (
                !is_up(container),
                !self.is_of(container),
                newest,
                owner.epoch,
                &container.id,
            )
        });
        let mut ranked = ranked.into_iter();
        Seats {
            present: ranked.next(),
            beside,
            extras: ranked.collect(),
        }
    }

    fn is_of(&self, container: &Container) -> bool {
        self.container.as_ref() == Some(&container.id)
    }

    fn is_beside(&self, container: &Container) -> bool {
        match &self.beside {
            Beside::Nobody => false,
            Beside::Successor(next) => !self.is_of(container) && next.made(container),
            Beside::Former(former) => former.is_of(container),
        }
    }

    /// Whether it is a container of the deploy that is wanted of this memory.
    fn made(&self, container: &Container) -> bool {
        self.aim == Some((container.owner.revision, container.owner.generation))
    }

    /// The memory that has this berth.
    pub(super) fn at(&mut self, berth: Berth) -> Option<&mut Self> {
        if self.berth == berth {
            return Some(self);
        }
        match &mut self.beside {
            Beside::Nobody => None,
            Beside::Successor(local) | Beside::Former(local) => Some(local),
        }
    }

    /// What is waited for until a container may stop.
    pub(super) fn parting_of(&mut self, leaves: Leaves) -> Option<&mut Parting> {
        match (leaves, &mut self.beside) {
            (Leaves::Itself, _) => self.parting.as_mut(),
            (Leaves::Former, Beside::Former(former)) => former.parting.as_mut(),
            (Leaves::Former, Beside::Nobody | Beside::Successor(_)) => None,
        }
    }

    /// Takes note of who is there beside whom. `is_free`: nothing is done now about the container of a berth.
    pub(super) fn seat(
        &mut self,
        task: Task<'_>,
        containers: &[Container],
        is_free: impl Fn(Berth) -> bool,
        now: Instant,
    ) {
        if let Task::Run(wanted) = task {
            self.recognise(wanted, containers, now);
        }
        let seats = self.seats(containers);
        let is_there = seats.beside.is_some();
        match (&mut self.beside, task) {
            (Beside::Nobody, _) => {}
            (Beside::Former(former), Task::Run(_))
                if seats.beside.is_some_and(is_up)
                    && !seats.present.is_some_and(is_up)
                    && former.is_awaited(now)
                    && is_free(former.berth) =>
            {
                self.take_back();
            }
            (Beside::Former(_), _) if is_there => {}
            (Beside::Former(former), _) => {
                self.hooks.know(former.hooks.ran());
                self.beside = Beside::Nobody;
            }
            // It is being made, and will be the instance.
            (Beside::Successor(next), Task::Run(_))
                if seats.present.is_none() && !is_there && !is_free(next.berth) => {}
            // What it was to take the place of is gone.
            (Beside::Successor(_), Task::Run(_)) if seats.present.is_none() && is_there => {
                self.succeed();
                self.beside = Beside::Nobody;
            }
            (Beside::Successor(next), Task::Run(wanted)) if next.is_due(wanted, seats.present) => {
                next.aim_at(wanted);
            }
            (Beside::Successor(_), _) => self.beside = Beside::Nobody,
        }
    }

    /// Why what was the instance is still there, if the engine refuses to end it.
    pub(super) fn former_problem(&self) -> Option<&str> {
        let Beside::Former(former) = &self.beside else {
            return None;
        };
        former
            .stopping
            .as_ref()
            .map(|setback| setback.problem.as_str())
    }

    /// Whether it is still to take the place of `present`.
    fn is_due(&self, wanted: &Wanted, present: Option<&Container>) -> bool {
        let is_halted = present.is_some_and(|present| {
            wanted.halted.is_some() && present.owner.generation >= wanted.born
        });
        let is_wanted = self.aim == Some((wanted.revision, wanted.generation));
        present.is_some() && is_wanted && wanted.service.starts_first() && !is_halted
    }

    /// The daemon may have been started anew between the two. What it said last is what names follow.
    fn recognise(&mut self, wanted: &Wanted, containers: &[Container], now: Instant) {
        if !matches!(self.beside, Beside::Nobody) || !wanted.service.starts_first() {
            return;
        }
        let is_new = |container: &&Container| wanted.is_met_by(&container.owner);
        let old = containers.iter().find(|each| is_up(each) && !is_new(each));
        let (Some(new), Some(old)) = (containers.iter().find(is_new), old) else {
            return;
        };
        let next = Box::new(self.successor(wanted, now));
        if self.is_of(new) && is_up(new) {
            let former = Self {
                container: Some(old.id.clone()),
                ..*next
            };
            self.beside = Beside::Former(Box::new(former));
        } else if next.made(new) {
            self.container = Some(old.id.clone());
            self.beside = Beside::Successor(next);
        }
    }

    fn successor(&self, wanted: &Wanted, now: Instant) -> Self {
        let mut next = Self {
            epoch: self.epoch,
            berth: self.berth.other(),
            decided: Some(now),
            avoided: self.avoided.clone(),
            hooks: HookRuns::remembered(self.hooks.ran().clone()),
            ..Self::default()
        };
        next.aim_at(wanted);
        next
    }

    /// Whether the wanted container is started, or was, beside the present one. What is down is replaced at once.
    pub(super) fn has_room_beside(&self, wanted: &Wanted, present: &Container) -> bool {
        let runs = matches!(present.state, ContainerState::Running { .. });
        let has_begun = matches!(self.beside, Beside::Successor(_));
        wanted.service.starts_first() && (runs || has_begun)
    }

    /// The container of an older deploy stays until its successor is healthy.
    pub(super) fn replace_beside(
        &mut self,
        wanted: &Wanted,
        task: Task<'_>,
        seats: &Seats<'_>,
        present: &Container,
        around: &Surroundings<'_>,
    ) -> Step {
        self.turn = Turn::Waiting;
        self.parting = None;
        self.waits_for = None;
        self.hooks.goes_on();
        if around.pinned.is_none() || around.only_looks || may_start(wanted).is_err() {
            return self.keep(task, present, around.now);
        }
        let rollout = (around.rollout)();
        match &self.beside {
            Beside::Former(_) => {}
            Beside::Nobody => match self.may_begin(&rollout, task, present) {
                Ok(()) => {
                    let next = self.successor(wanted, around.now);
                    self.beside = Beside::Successor(Box::new(next));
                }
                Err(hindrance) => self.waits_for = Some(hindrance.to_string()),
            },
            Beside::Successor(next) => {
                let is_healthy = |new| next.health(task, new) == Health::Healthy;
                if seats.beside.is_some_and(is_healthy) && rollout.may_repair().is_ok() {
                    self.parts_until(task, present, around.now);
                    self.succeed();
                    return Step::Settled;
                }
            }
        }
        self.keep(task, present, around.now)
    }

    /// Nobody goes down for it, so no floor holds it up.
    fn may_begin(
        &self,
        rollout: &Rollout,
        task: Task<'_>,
        present: &Container,
    ) -> Result<(), Hindrance> {
        match self.health(task, present) {
            Health::Healthy => rollout.may_start_beside(),
            Health::Unhealthy | Health::Unknown => rollout.may_repair(),
        }
    }

    /// The successor is the instance from now on.
    fn succeed(&mut self) {
        if let Beside::Successor(next) = mem::take(&mut self.beside) {
            let former = mem::replace(self, *next);
            self.beside = Beside::Former(Box::new(former));
            self.begin_trial();
        }
    }

    /// Whether nobody has begun to end it.
    fn is_awaited(&self, now: Instant) -> bool {
        self.parting
            .as_ref()
            .is_some_and(|parting| parting.over() > now)
    }

    /// What took its place ended at once: the former is the instance again, and the other one is tried on.
    fn take_back(&mut self) {
        if let Beside::Former(former) = mem::take(&mut self.beside) {
            let next = mem::replace(self, *former);
            self.parting = None;
            self.beside = Beside::Successor(Box::new(next));
        }
    }

    /// The container has the instance's own name, once no other has it.
    pub(super) fn name(&self, step: Step, best: &Container, now: Instant) -> Step {
        let name = best.owner.instance.container_name();
        let is_alone = matches!(self.beside, Beside::Nobody);
        if best.name == name || !is_alone || matches!(step, Step::Do(_)) {
            return step;
        }
        let container = best.id.clone();
        match after(
            self.naming.as_ref(),
            Action::Rename { container, name },
            now,
        ) {
            Step::Wait(at) => earlier(step, Some(at)),
            rename @ (Step::Settled | Step::Do(_)) => rename,
        }
    }
}

/// What is said of the instance while its successor is tried, or while what it was does not go.
pub(super) fn told_with(mut hold: Hold, next: Option<&Hold>, former: Option<&str>) -> Hold {
    if let (None, Some(problem)) = (&hold.problem, former) {
        hold.problem = Some(format!("its earlier container does not go: {problem}"));
    }
    let Some(next) = next else { return hold };
    let said = match next.state {
        InstanceState::Failed => "its new container failed",
        InstanceState::Pending
        | InstanceState::Creating
        | InstanceState::Running
        | InstanceState::Stopping
        | InstanceState::Stopped => "its new container is started beside it",
    };
    let because = next.problem.as_ref();
    hold.problem = Some(because.map_or_else(|| said.to_owned(), |why| format!("{said}: {why}")));
    hold.hooks_ran.extend(next.hooks_ran.iter().cloned());
    hold
}

/// What the container of a successor is called until the present one is gone, which may wait for its own name still.
pub(super) fn name_beside(present: &Container) -> String {
    let next = format!("{}-next", present.owner.instance.container_name());
    match present.name == next {
        true => format!("{next}-2"),
        false => next,
    }
}
