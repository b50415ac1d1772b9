//! The runs of a job that are under way: each from its slot to its end.
//!
//! ```text
//! slot begun ─► on the disk ─► container made ─► running ─► ended: exit code, last words ─► container removed
//!                  │               │                │        (the newest stays, so that its log can be read)
//!                  └ not within a minute: missed    └ time limit, replaced, asked: stopped
//!                                  └ refused: not started      no container, and none on its way: lost
//! ```

use std::time::Duration;

use crate::job::{Ledger, Missed, RunState, Stop};
use crate::schedule::Slot;
use crate::stack::Service;
use crate::time::{Instant, Now, WallTime};

use super::super::action::{Action, Container, ContainerState, Failure, Outcome, Success};
use super::super::backoff::{Lesson, Setback};
use super::super::container::stop_grace;
use super::super::last_words::LastWords;
use super::super::lifecycle::is_up;
use super::super::plan::{Step, after};
use super::super::queue::Subject;
use super::super::wanted::Wanted;
use super::{Charge, Fate, Job, JobFindings, JobScene, START_WITHIN, run_spec};

/// An engine that did not say whether it made a container may yet do so.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// So often the container of one slot is made anew, where it is certain that it did not begin.
const MAX_TRIES: u32 = 3;

/// What this boot knows of one run, beside what is seen and written down.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub is_saved: bool,
    asked: Asked,
    tries: u32,
    /// When it has to be over.
    deadline: Option<Instant>,
    limit: Duration,
    grace: Duration,
    stopping: Option<Setback>,
    has_read: bool,
}

/// Whether the engine was asked to make the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    NotYet,
    Once,
    /// And did not say what came of it.
    InVain(Instant),
}

impl Attempt {
    fn new(service: &Service) -> Self {
        let schedule = service.deploy.schedule.as_ref();
        let longest = Duration::from_millis(crate::stack::Schedule::MAX_LIMIT_MILLIS);
        Self {
            is_saved: false,
            asked: Asked::NotYet,
            tries: 0,
            deadline: None,
            limit: schedule.map_or(longest, |schedule| schedule.time_limit()),
            grace: stop_grace(service),
            stopping: None,
            has_read: false,
        }
    }

    /// Of a run that an earlier boot began: what the service says now holds for it.
    fn found(service: Option<&Service>, container: &Container) -> Self {
        let unknown = Service::new(container.image.clone());
        Self {
            is_saved: true,
            asked: Asked::Once,
            ..Self::new(service.unwrap_or(&unknown))
        }
    }
}

impl Job {
    pub(super) fn begin(&mut self, slot: Slot, wanted: &Wanted) {
        self.ledger.begin(slot);
        self.attempts.insert(slot, Attempt::new(&wanted.service));
    }

    pub(super) fn unsaved(&self) -> impl Iterator<Item = Slot> {
        let attempts = self.attempts.iter();
        let is_open = |slot: &Slot| {
            let run = self.ledger.get(*slot);
            run.is_some_and(|run| run.state.is_open())
        };
        let unsaved = attempts.filter(|(_, attempt)| !attempt.is_saved);
        unsaved
            .map(|(slot, _)| *slot)
            .filter(move |slot| is_open(slot))
    }

    /// What runs is stopped for the next one.
    pub(super) fn replace(&mut self) {
        stop_all(&mut self.ledger, Stop::Replaced);
    }

    pub(super) fn see(&mut self, scene: &JobScene<'_>) {
        let of_it = scene.containers.iter().filter(|it| scene.is_of_it(it));
        for container in of_it {
            self.see_container(container, scene);
        }
        self.miss_containers(scene);
        let ledger = &self.ledger;
        self.attempts.retain(|slot, _| ledger.get(*slot).is_some());
    }

    fn see_container(&mut self, container: &Container, scene: &JobScene<'_>) {
        let Some(slot) = container.owner.slot else {
            return;
        };
        let is_newer = self.ledger.last_run().is_none_or(|last| last < slot);
        if is_newer || is_up(container) {
            self.ledger.adopt(slot);
        }
        let service = scene.service();
        let is_new = |attempt: &Attempt| attempt.asked == Asked::NotYet;
        let attempt = self.attempts.entry(slot);
        let attempt = attempt.or_insert_with(|| Attempt::found(service, container));
        let was_made_here = !is_new(attempt);
        let Some(state) = self.ledger.state_of(slot) else {
            return;
        };
        match container.state {
            ContainerState::Running { since } => {
                runs(state, since);
                let left = left(attempt.limit, since, scene.now.wall);
                attempt.deadline.get_or_insert(scene.now.monotonic + left);
            }
            ContainerState::Exited { .. } if scene.sight.is_assumed(&container.id) => {}
            ContainerState::Exited { code, at } => ends(state, code, at),
            ContainerState::Created | ContainerState::Dead => {
                let is_under_way = was_made_here && scene.is_under_way(slot);
                if !is_under_way && attempt.asked != Asked::NotYet && state.is_open() {
                    *state = RunState::Lost;
                }
            }
            ContainerState::Paused | ContainerState::Restarting => {}
        }
    }

    /// What is to run, or ran, and is not there.
    fn miss_containers(&mut self, scene: &JobScene<'_>) {
        let now = scene.now;
        let seen = |slot: Slot| {
            scene
                .containers
                .iter()
                .any(|it| it.owner.slot == Some(slot))
        };
        let open: Vec<Slot> = self.ledger.open().map(|run| run.slot).collect();
        for slot in open.into_iter().filter(|slot| !seen(*slot)) {
            if scene.is_under_way(slot) || scene.is_blind {
                continue;
            }
            let is_late = u128::from(slot.millis_ago(now.wall)) > START_WITHIN.as_millis();
            let attempt = self.attempts.get(&slot);
            let Some(state) = self.ledger.state_of(slot) else {
                continue;
            };
            match (
                attempt.map(|attempt| (attempt.asked, attempt.is_saved)),
                &state,
            ) {
                // Of an earlier boot.
                (None, _) | (Some((Asked::Once, _)), _) => *state = RunState::Lost,
                (Some((Asked::InVain(at), _)), _) => {
                    if now.monotonic.since(at) >= ANSWERED_WITHIN {
                        *state = RunState::Lost;
                    }
                }
                (Some((Asked::NotYet, false)), _) if is_late => {
                    *state = RunState::Missed {
                        why: Missed::Disk,
                        count: 1,
                        until: slot.time(),
                    };
                }
                (Some((Asked::NotYet, true)), _) if is_late => {
                    let problem = "it could not be begun within a minute".to_owned();
                    let at = now.wall;
                    *state = RunState::NotStarted { at, problem };
                }
                (Some((Asked::NotYet, _)), _) => {}
            }
        }
    }

    /// The next action of each run.
    pub(super) fn step(&mut self, scene: &JobScene<'_>, found: &mut JobFindings) {
        let goes = match scene.charge {
            Charge::Given(Fate::Rests | Fate::Goes | Fate::Vanishes) => {
                stop_all(&mut self.ledger, Stop::Asked);
                !matches!(scene.charge, Charge::Given(Fate::Rests))
            }
            Charge::Run { .. } | Charge::Given(Fate::Drains(_) | Fate::Leaves) => false,
        };
        let mut begins = self.to_begin(scene, found);
        let kept = newest_finished(&scene.containers).filter(|_| !goes);
        for container in &scene.containers {
            let Some(slot) = container.owner.slot else {
                continue;
            };
            let step = match scene.is_of_it(container) {
                true => self.step_of(slot, container, kept == Some(slot), scene.now),
                false => remove(None, container, scene.now.monotonic, false),
            };
            match step {
                _ if scene.is_under_way(slot) => {}
                Step::Settled => {}
                Step::Wait(until) => found.wakes.push(until),
                Step::Do(action) => {
                    begins.retain(|(begun, _)| *begun != slot);
                    found.ready.insert(scene.subject(slot), *action);
                }
            }
        }
        for (slot, action) in begins {
            found.ready.insert(scene.subject(slot), action);
        }
    }

    fn to_begin(&self, scene: &JobScene<'_>, found: &mut JobFindings) -> Vec<(Slot, Action)> {
        let Charge::Run { wanted, .. } = scene.charge else {
            return Vec::new();
        };
        let mut begins = Vec::new();
        for (slot, attempt) in &self.attempts {
            let is_open = self
                .ledger
                .get(*slot)
                .is_some_and(|run| run.state == RunState::Starting);
            if !is_open || scene.is_under_way(*slot) {
                continue;
            }
            found
                .wakes
                .push(scene.now.monotonic + Duration::from_secs(1));
            let is_due = attempt.is_saved && attempt.asked == Asked::NotYet && !scene.is_let_go;
            let Some(pinned) = scene.pinned.filter(|_| is_due) else {
                continue;
            };
            if let Ok(spec) = (scene.spec)(wanted, pinned, &self.avoided) {
                let spec = run_spec(spec, *slot);
                begins.push((*slot, Action::Run(Box::new(spec))));
                // One after the other, so that each has an address of its own.
                break;
            }
        }
        begins
    }

    fn step_of(&mut self, slot: Slot, container: &Container, is_kept: bool, now: Now) -> Step {
        let newest = self.ledger.last_run();
        let Some(attempt) = self.attempts.get(&slot) else {
            return remove(None, container, now.monotonic, is_kept);
        };
        let stopping = attempt.stopping.as_ref();
        match self.ledger.state_of(slot) {
            Some(RunState::Running { stops, .. }) => {
                let deadline = attempt.deadline;
                if deadline.is_some_and(|deadline| deadline <= now.monotonic) {
                    stops.get_or_insert(Stop::TimeLimit);
                }
                match (stops, deadline) {
                    (Some(_), _) => {
                        let stop = Action::Stop {
                            container: container.id.clone(),
                            grace: attempt.grace,
                        };
                        after(stopping, stop, now.monotonic)
                    }
                    (None, Some(deadline)) => Step::Wait(deadline),
                    (None, None) => Step::Settled,
                }
            }
            Some(RunState::Starting) => Step::Settled,
            Some(RunState::Ended { exit_code, .. })
                if *exit_code != 0 && !attempt.has_read && newest == Some(slot) =>
            {
                Step::Do(Box::new(Action::LastLines {
                    container: container.id.clone(),
                }))
            }
            Some(
                RunState::Ended { .. }
                | RunState::NotStarted { .. }
                | RunState::Lost
                | RunState::Missed { .. },
            )
            | None => remove(stopping, container, now.monotonic, is_kept),
        }
    }

    /// An action of one run goes to the engine.
    pub(in crate::reconcile) fn began(&mut self, slot: Slot, action: &Action) {
        if let (Action::Run(_), Some(attempt)) = (action, self.attempts.get_mut(&slot)) {
            attempt.asked = Asked::Once;
            attempt.tries += 1;
        }
    }

    /// What came of it, beside what is seen.
    pub(in crate::reconcile) fn conclude(
        &mut self,
        slot: Slot,
        action: &Action,
        outcome: &Outcome,
        container: Option<&Container>,
        now: Now,
    ) {
        match (action, outcome) {
            (Action::Run(_), Err(failure)) => self.did_not_begin(slot, failure, now),
            (Action::Stop { .. } | Action::Remove { .. }, Err(failure)) => {
                if let Some(attempt) = self.attempts.get_mut(&slot) {
                    let previous = attempt.stopping.take();
                    let problem = failure.to_string();
                    let setback =
                        Setback::after(previous.as_ref(), problem, Lesson::Failed, now.monotonic);
                    attempt.stopping = Some(setback);
                }
            }
            (Action::LastLines { .. }, outcome) => self.read(slot, outcome, container),
            (_, _) => {}
        }
    }

    fn did_not_begin(&mut self, slot: Slot, failure: &Failure, now: Now) {
        let Some(attempt) = self.attempts.get_mut(&slot) else {
            return;
        };
        attempt.asked = match failure {
            Failure::Unreachable { .. } => Asked::InVain(now.monotonic),
            Failure::NoImage { .. } | Failure::AddressTaken { .. } if attempt.tries < MAX_TRIES => {
                Asked::NotYet
            }
            Failure::NoImage { .. }
            | Failure::AddressTaken { .. }
            | Failure::Occupied { .. }
            | Failure::PortTaken { .. }
            | Failure::Gone
            | Failure::Unfenced { .. }
            | Failure::Refused { .. }
            | Failure::HookFailed { .. }
            | Failure::NotReady { .. } => Asked::Once,
        };
        if let Failure::AddressTaken { address } = failure {
            self.avoided.insert(*address);
        }
        if attempt.asked == Asked::Once
            && let Some(state) = self.ledger.state_of(slot)
        {
            let problem = failure.to_string();
            let at = now.wall;
            *state = RunState::NotStarted { at, problem };
        }
    }

    fn read(&mut self, slot: Slot, outcome: &Outcome, container: Option<&Container>) {
        if let Some(attempt) = self.attempts.get_mut(&slot) {
            attempt.has_read = true;
        }
        // Every word goes to everybody, so that only the newest run's are kept.
        for run in &mut self.ledger.runs {
            if let RunState::Ended { words, .. } = &mut run.state {
                *words = None;
            }
        }
        let (Ok(Success::Lines(lines)), Some(container)) = (outcome, container) else {
            return;
        };
        let said = LastWords::new(container, lines.clone()).text();
        if let Some(RunState::Ended { words, .. }) = self.ledger.state_of(slot) {
            *words = Some(said).filter(|said| !said.is_empty());
        }
    }
}

impl JobScene<'_> {
    fn subject(&self, slot: Slot) -> Subject {
        Subject::Run(self.instance.clone(), slot)
    }

    fn is_under_way(&self, slot: Slot) -> bool {
        self.queue.has(&self.subject(slot))
    }

    fn service(&self) -> Option<&Service> {
        match self.charge {
            Charge::Run { wanted, .. } => Some(&wanted.service),
            Charge::Given(Fate::Drains(service)) => Some(service),
            Charge::Given(Fate::Leaves | Fate::Rests | Fate::Goes | Fate::Vanishes) => None,
        }
    }
}

fn runs(state: &mut RunState, since: WallTime) {
    let stops = match state {
        RunState::Running { stops, .. } => *stops,
        RunState::Starting
        | RunState::Ended { .. }
        | RunState::NotStarted { .. }
        | RunState::Lost
        | RunState::Missed { .. } => None,
    };
    *state = RunState::Running { since, stops };
}

fn ends(state: &mut RunState, exit_code: i64, at: WallTime) {
    let (since, stopped) = match state {
        RunState::Running { since, stops } => (Some(*since), *stops),
        RunState::Starting | RunState::Lost => (None, None),
        RunState::Ended { .. } | RunState::NotStarted { .. } | RunState::Missed { .. } => return,
    };
    *state = RunState::Ended {
        since,
        at,
        exit_code,
        stopped,
        words: None,
    };
}

fn stop_all(ledger: &mut Ledger, why: Stop) {
    for run in &mut ledger.runs {
        if let RunState::Running { stops, .. } = &mut run.state {
            stops.get_or_insert(why);
        }
    }
}

/// What is left of the time that a run may take; by one host's clock alone, and it may have been set.
fn left(limit: Duration, since: WallTime, now: WallTime) -> Duration {
    limit.saturating_sub(Duration::from_millis(now.0.saturating_sub(since.0)))
}

/// The newest that has ended.
fn newest_finished(containers: &[&Container]) -> Option<Slot> {
    let ended = containers
        .iter()
        .filter(|container| matches!(container.state, ContainerState::Exited { .. }));
    ended.filter_map(|container| container.owner.slot).max()
}

fn remove(stopping: Option<&Setback>, container: &Container, now: Instant, is_kept: bool) -> Step {
    if is_kept {
        return Step::Settled;
    }
    let id = container.id.clone();
    let action = match is_up(container) {
        true => Action::Stop {
            container: id,
            grace: Duration::from_millis(Service::STOP_GRACE_MILLIS),
        },
        false => Action::Remove { container: id },
    };
    after(stopping, action, now)
}
