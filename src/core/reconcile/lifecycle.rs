//! What is remembered of one instance, and what this node says of it.
//!
//! Only what cannot be seen is remembered: all of it may be lost at any moment (the daemon is
//! killed), and the next listing of the engine leads on from there. The state that people see
//! ([`Hold`]) is derived.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::id::RevisionHash;
use crate::report::{Health, Hold, InstanceState};
use crate::stack::{OnReturn, Service};
use crate::time::{Instant, WallTime};
use crate::volume::VolumeName;

use super::action::{Action, Container, ContainerId, ContainerState};
use super::backoff::{CRASHES_BEFORE_REFUSAL, Crashes, Setback};
use super::checks::Checks;
use super::hooks::HookRuns;
use super::last_words::LastWords;
use super::order::Order;
use super::parting::Parting;
use super::succession::{Berth, Beside};
use super::trial::Trial;
use super::wanted::Wanted;

const MINUTE_MILLIS: u64 = 60_000;

/// What this node has to do about an instance.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task<'a> {
    /// It shall run here.
    Run(&'a Wanted),
    /// Its container shall be stopped and kept.
    Rest,
    /// It stays as it is: kept alive, never created or replaced.
    Keep,
    /// Its container shall be stopped and removed.
    Remove,
}

/// What it means that a container stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was to run, or goes to another node: by itself it should not have stopped.
    Crash,
    /// A stop is under way: what is seen meanwhile says nothing.
    UnderWay,
    /// Somebody wants it stopped, or replaced by another deploy: what it did before is forgotten.
    Asked,
}

/// How far the replacement of a container of an older deploy has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    #[default]
    Waiting,
    /// Others are told, and have one gossip round to object.
    Announced { since: Instant },
    /// The old container goes now.
    Granted,
}

/// Whether the port of a running container accepts connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probing {
    pub container: ContainerId,
    pub since: Instant,
    pub next: Instant,
    pub result: ProbeResult,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProbeResult {
    Open,
    Passed,
    Failed { problem: String },
}

/// The memory of one instance on this node.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub berth: Berth,
    /// Its container, or the last one.
    pub container: Option<ContainerId>,
    pub beside: Beside,
    pub epoch: u64,
    /// The deploy that was wanted last.
    pub aim: Option<(RevisionHash, u64)>,
    /// Taken to be stateful until it is known not to be.
    pub stateful: bool,
    pub grace: Duration,
    pub turn: Turn,
    pub trial: Option<Trial>,
    /// Its container leaves the names, because it is to stop.
    pub parting: Option<Parting>,
    /// The container that was said to be healthy, and when last.
    pub ready: Option<(ContainerId, Instant)>,
    pub probing: Option<Probing>,
    pub checks: Checks,
    pub hooks: HookRuns,
    pub order: Order,
    pub crashes: Crashes,
    /// Whether others ask for how long its container has been up.
    pub tells_age: bool,
    /// What the container wrote before it ended by itself.
    pub last_words: Option<LastWords>,
    /// How it ended by itself last.
    pub exit_code: Option<i64>,
    /// Running or starting failed.
    pub starting: Option<Setback>,
    /// Stopping or removing failed.
    pub stopping: Option<Setback>,
    /// Giving its container its name failed.
    pub naming: Option<Setback>,
    /// Since when this node holds it, whether there is a container or not.
    pub decided: Option<Instant>,
    /// What the replacement waits for.
    pub waits_for: Option<String>,
    /// A volume of the wanted deploy that is not known here.
    pub lacks: Option<VolumeName>,
    /// The address of its last container in the grid's network.
    pub address: Option<Ipv4Addr>,
    /// Addresses that the engine refused: something that is not ours has them.
    pub avoided: BTreeSet<Ipv4Addr>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            berth: Berth::First,
            container: None,
            beside: Beside::Nobody,
            epoch: 0,
            aim: None,
            stateful: true,
            grace: Duration::from_millis(Service::STOP_GRACE_MILLIS),
            turn: Turn::default(),
            trial: None,
            parting: None,
            ready: None,
            probing: None,
            checks: Checks::default(),
            hooks: HookRuns::default(),
            order: Order::default(),
            crashes: Crashes::default(),
            tells_age: false,
            last_words: None,
            exit_code: None,
            starting: None,
            stopping: None,
            naming: None,
            decided: None,
            waits_for: None,
            lacks: None,
            address: None,
            avoided: BTreeSet::new(),
        }
    }
}

/// What is seen of an instance, and of what it waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub task: Task<'a>,
    pub best: Option<&'a Container>,
    /// A stop is under way.
    pub stopping: bool,
    /// The image of the wanted deploy is there.
    pub image_ready: bool,
    pub image_setback: Option<&'a Setback>,
    /// How far it is pulled, in words.
    pub pull: Option<&'a str>,
}

/// The state of an instance as people see it.
struct Condition {
    state: InstanceState,
    health: Health,
    problem: Option<String>,
}

impl Condition {
    fn new(state: InstanceState, health: Health) -> Self {
        Self {
            state,
            health,
            problem: None,
        }
    }

    fn because(mut self, problem: Option<String>) -> Self {
        self.problem = problem;
        self
    }
}

/// Whether processes of the container may be alive.
pub(super) fn is_up(container: &Container) -> bool {
    match container.state {
        ContainerState::Running { .. } | ContainerState::Paused | ContainerState::Restarting => {
            true
        }
        ContainerState::Created | ContainerState::Exited { .. } | ContainerState::Dead => false,
    }
}

impl Local {
    /// Takes over what is wanted. Another deploy is a new start: old failures say nothing of it.
    pub(super) fn aim_at(&mut self, wanted: &Wanted) {
        let aim = Some((wanted.revision, wanted.generation));
        if self.aim != aim {
            self.aim = aim;
            self.starting = None;
            self.crashes = Crashes::default();
            self.last_words = None;
            self.exit_code = None;
            self.checks.begin_anew();
            self.hooks.begin_anew();
            self.order = Order::default();
            self.waits_for = None;
        }
        self.hooks.take_over(wanted);
        self.lacks = wanted.lacks().cloned();
        self.stateful = wanted.service.is_bound();
        self.grace = super::container::stop_grace(&wanted.service);
        self.tells_age = wanted.service.deploy.offline.on_return == OnReturn::LongestRunning;
    }

    /// Takes note of what is seen.
    pub(super) fn look(&mut self, best: Option<&Container>, ending: Ending, now: Instant) {
        let same = |probing: &Probing| best.is_some_and(|best| best.id == probing.container);
        if !self.probing.as_ref().is_some_and(same) {
            self.probing = None;
        }
        let running = best.filter(|best| matches!(best.state, ContainerState::Running { .. }));
        self.hooks.look(running);
        let restarts = self.checks.look(running, now);
        let Some(best) = best else { return };
        self.container = Some(best.id.clone());
        self.epoch = best.owner.epoch;
        self.decided.get_or_insert(now);
        self.address = best.assigned.or(self.address);
        match best.state {
            _ if ending == Ending::UnderWay => {}
            ContainerState::Running { .. } => self.crashes.runs(now),
            ContainerState::Exited { .. } if ending == Ending::Asked => {
                self.crashes = Crashes::default();
            }
            ContainerState::Exited { code, at } => {
                self.crashes.stopped(at, now);
                if self.crashes.has_crashed() {
                    self.exit_code = Some(code);
                }
            }
            ContainerState::Created
            | ContainerState::Paused
            | ContainerState::Restarting
            | ContainerState::Dead => {}
        }
        if !is_up(best) {
            self.probing = None;
        }
        if let Some(restarts) = restarts {
            self.crashes.condemned(restarts, now);
        }
    }

    /// An action goes to the engine.
    pub(super) fn began(&mut self, action: &Action) {
        match action {
            Action::Run(_) => {
                self.crashes.starts();
                self.hooks.creates();
            }
            Action::Start { .. } => self.crashes.starts(),
            Action::Stop { .. } => self.crashes.stops(),
            Action::Remove { .. }
            | Action::Rename { .. }
            | Action::Hook { .. }
            | Action::Command { .. }
            | Action::Probe { .. }
            | Action::Check { .. }
            | Action::LastLines { .. }
            | Action::RemoveVolume { .. }
            | Action::Move(_)
            | Action::Fetch { .. } => {}
        }
    }

    /// What this node says of the instance; `None` while it does not hold it.
    pub(super) fn hold(
        &self,
        scene: Scene<'_>,
        before: Option<&Hold>,
        now: WallTime,
    ) -> Option<Hold> {
        let (revision, generation) = match scene.best {
            Some(best) => (best.owner.revision, best.owner.generation),
            None => {
                self.decided?;
                self.aim?
            }
        };
        let condition = match scene.best {
            Some(best) => self.with_container(best, scene),
            None => self.without_container(scene),
        };
        let container = scene.best.map(|best| best.id.0.clone());
        let since = since(scene.best, condition.state, before, now);
        Some(Hold {
            epoch: self.epoch,
            revision,
            generation,
            state: condition.state,
            health: condition.health,
            updating: self.turn != Turn::Waiting,
            on_trial: false,
            former: matches!(self.beside, Beside::Former(_)),
            container,
            address: scene.best.and_then(|best| best.address),
            image: scene.best.map(|best| best.image.clone()),
            since,
            age: self.minutes_up(scene.best, now).map_or(0, age),
            problem: condition.problem,
            hooks_ran: self.hooks.ran().clone(),
            restarts: self.crashes.total(),
            exit_code: self.exit_code,
        })
    }

    /// Takes note of what is said of it.
    pub(super) fn said(&mut self, hold: &Hold, best: Option<&Container>, now: Instant) {
        let is_ready = hold.state == InstanceState::Running && hold.health == Health::Healthy;
        if let Some(best) = best.filter(|_| is_ready) {
            self.ready = Some((best.id.clone(), now));
        }
    }

    /// Whether names may lead to it still, though it is not said to be healthy any more.
    pub(super) fn was_ready(&self, best: &Container, now: Instant) -> bool {
        let ready = self.ready.as_ref();
        ready.is_some_and(|(id, at)| *id == best.id && Parting::leads_on(*at, now))
    }

    /// For how many minutes its container has been up, where that is asked for.
    fn minutes_up(&self, best: Option<&Container>, now: WallTime) -> Option<u64> {
        let ContainerState::Running { since } = best.filter(|_| self.tells_age)?.state else {
            return None;
        };
        Some(now.0.saturating_sub(since.0) / MINUTE_MILLIS)
    }

    /// How long it takes until its age is another one.
    pub(super) fn ages_in(&self, best: Option<&Container>, now: WallTime) -> Option<Duration> {
        let minutes = self.minutes_up(best, now)?;
        let next = 1_u64.checked_shl(age(minutes).into())?;
        Some(Duration::from_secs(60 * (next - minutes)))
    }

    /// Whether the container runs and answers, as far as this node was told to look.
    pub(super) fn health(&self, task: Task<'_>, best: &Container) -> Health {
        match best.state {
            ContainerState::Running { .. } => {}
            ContainerState::Paused => return Health::Unhealthy,
            ContainerState::Created
            | ContainerState::Restarting
            | ContainerState::Exited { .. }
            | ContainerState::Dead => return Health::Unknown,
        }
        if self.crashes.looping_until().is_some() {
            return Health::Unhealthy;
        }
        if self.hooks.after(best).is_some() {
            return Health::Unknown;
        }
        match (self.port_health(task, best), &best.care.health_check) {
            (by_port, None) => by_port,
            (Health::Healthy, Some(_)) => self.checks.health(),
            (Health::Unhealthy, Some(_)) => Health::Unhealthy,
            (Health::Unknown, Some(_)) => match self.checks.health() {
                Health::Unhealthy => Health::Unhealthy,
                Health::Healthy | Health::Unknown => Health::Unknown,
            },
        }
    }

    fn port_health(&self, task: Task<'_>, best: &Container) -> Health {
        match (&self.probing, awaited_port(task, best)) {
            (Some(probing), _) => match probing.result {
                ProbeResult::Open => Health::Unknown,
                ProbeResult::Passed => Health::Healthy,
                ProbeResult::Failed { .. } => Health::Unhealthy,
            },
            (None, Some(_)) => Health::Unknown,
            (None, None) => Health::Healthy,
        }
    }

    fn with_container(&self, best: &Container, scene: Scene<'_>) -> Condition {
        use InstanceState::{Creating, Failed, Running, Stopped, Stopping};
        let stops = match scene.task {
            Task::Rest | Task::Remove => true,
            Task::Run(_) | Task::Keep => scene.stopping || self.turn == Turn::Granted,
        };
        let stop_problem = self
            .stopping
            .as_ref()
            .map(|setback| setback.problem.clone());
        let shall_run = matches!(scene.task, Task::Run(_) | Task::Keep);
        if is_up(best)
            && shall_run
            && self.turn != Turn::Granted
            && let Some(problem) = self.checks.condemned()
        {
            let problem = self.with_last_words(best, problem);
            return Condition::new(Failed, Health::Unhealthy).because(Some(problem));
        }
        if is_up(best) && stops {
            return Condition::new(Stopping, Health::Unknown).because(stop_problem);
        }
        if is_up(best) {
            let health = self.health(scene.task, best);
            return match self.failed_start() {
                Some(problem) => Condition::new(Failed, health)
                    .because(Some(self.with_last_words(best, problem))),
                None => Condition::new(Running, health).because(self.waiting(best, scene)),
            };
        }
        match scene.task {
            Task::Rest | Task::Remove => {
                Condition::new(Stopped, Health::Unknown).because(stop_problem)
            }
            Task::Run(_) | Task::Keep if self.turn == Turn::Granted => {
                Condition::new(Creating, Health::Unknown).because(stop_problem)
            }
            Task::Run(_) | Task::Keep => self.down(best),
        }
    }

    /// The problem, and below it what the container wrote before it ended, once that is known.
    fn with_last_words(&self, best: &Container, problem: &str) -> String {
        let words = self.last_words.as_ref().filter(|words| words.are_of(best));
        words.map_or_else(|| problem.to_owned(), |words| words.under(problem))
    }

    /// Whether they are to be read now: it has ended by itself, or it never did its work, for which a health check ends it and
    /// a port that never opens leaves it running.
    pub(super) fn lacks_last_words(&self, best: &Container, now: Instant) -> bool {
        let words = self.last_words.as_ref();
        let has_ended = matches!(best.state, ContainerState::Exited { .. });
        match &best.care.health_check {
            _ if has_ended => {
                self.crashes.has_crashed() && !words.is_some_and(|words| words.are_its_last(best))
            }
            Some(check) => {
                let is_hopeless = self.checks.is_hopeless(check, now);
                (is_hopeless || self.never_opened().is_some())
                    && !words.is_some_and(|words| words.are_of(best))
            }
            None => self.never_opened().is_some() && !words.is_some_and(|words| words.are_of(best)),
        }
    }

    /// The container whose port did not open for as long as it is waited for.
    fn never_opened(&self) -> Option<&ContainerId> {
        let probing = self.probing.as_ref()?;
        let has_failed = matches!(probing.result, ProbeResult::Failed { .. });
        has_failed.then_some(&probing.container)
    }

    /// Whether a port never opened, and it is known what the container wrote.
    pub(super) fn opens_in_vain(&self) -> bool {
        let words = self.last_words.as_ref();
        let are_read = |container| words.is_some_and(|words| words.are_of_container(container));
        self.never_opened().is_some_and(are_read)
    }

    /// Why the container that runs did not come up as it should.
    fn failed_start(&self) -> Option<&str> {
        match &self.probing {
            Some(Probing {
                result: ProbeResult::Failed { problem },
                ..
            }) => Some(problem),
            Some(_) | None => self.checks.failure(),
        }
    }

    /// A container that shall run and does not.
    fn down(&self, best: &Container) -> Condition {
        use InstanceState::{Creating, Failed};
        if let Some(setback) = &self.starting {
            let state = if setback.is_certain() {
                Failed
            } else {
                Creating
            };
            return Condition::new(state, Health::Unknown).because(Some(setback.problem.clone()));
        }
        match best.state {
            ContainerState::Exited { code, .. } if self.crashes.has_crashed() => {
                let exited = || crashed(code, self.crashes.count());
                let condemned = self.checks.condemned().map(str::to_owned);
                let problem = condemned.unwrap_or_else(exited);
                Condition::new(Failed, Health::Unknown)
                    .because(Some(self.with_last_words(best, &problem)))
            }
            ContainerState::Exited { .. }
            | ContainerState::Created
            | ContainerState::Running { .. }
            | ContainerState::Paused
            | ContainerState::Restarting
            | ContainerState::Dead => Condition::new(Creating, Health::Unknown),
        }
    }

    /// What has to come before anything of the wanted deploy is made.
    pub(super) fn awaited(&self) -> Option<String> {
        let lacks = self.lacks.as_ref();
        let unknown = || lacks.map(|name| format!("the volume `{name}` is not known on this node"));
        let awaited = self.order.awaited().map(ToString::to_string);
        awaited.or_else(unknown)
    }

    /// What a container that is up waits for, or suffers from.
    fn waiting(&self, best: &Container, scene: Scene<'_>) -> Option<String> {
        if let Some(pull) = scene.pull {
            return Some(pull.to_owned());
        }
        if let Some(setback) = scene.image_setback {
            return Some(setback.problem.clone());
        }
        if let Some(awaited) = self.awaited() {
            return Some(awaited);
        }
        if let Some(hindrance) = &self.waits_for {
            return Some(hindrance.clone());
        }
        if best.state == ContainerState::Paused {
            return Some("the container is paused".to_owned());
        }
        if self.crashes.looping_until().is_some() {
            return Some(self.with_last_words(best, "the container crashed repeatedly"));
        }
        if self.hooks.after(best).is_some() {
            return Some("its hooks after the start are run".to_owned());
        }
        if let Some(problem) = self.hooks.problem(best) {
            return Some(problem.to_owned());
        }
        match self.health(scene.task, best) {
            Health::Unknown => match self.port_health(scene.task, best) {
                Health::Unknown => awaited_port(scene.task, best)
                    .map(|port| format!("waits until port {port} accepts connections")),
                Health::Healthy | Health::Unhealthy => self.checks.problem(),
            },
            Health::Unhealthy => self.checks.problem(),
            Health::Healthy => None,
        }
    }

    fn without_container(&self, scene: Scene<'_>) -> Condition {
        use InstanceState::{Creating, Failed, Pending};
        if let Some(setback) = &self.starting {
            let state = if setback.is_certain() {
                Failed
            } else {
                Creating
            };
            return Condition::new(state, Health::Unknown).because(Some(setback.problem.clone()));
        }
        if let (Some(pull), None) = (scene.pull, scene.image_setback) {
            return Condition::new(Pending, Health::Unknown).because(Some(pull.to_owned()));
        }
        if let Some(setback) = scene.image_setback {
            let state = if setback.is_reason_to_refuse() {
                Failed
            } else {
                Pending
            };
            return Condition::new(state, Health::Unknown).because(Some(setback.problem.clone()));
        }
        if let Some(awaited) = self.awaited() {
            return Condition::new(Pending, Health::Unknown).because(Some(awaited));
        }
        let state = if scene.image_ready { Creating } else { Pending };
        Condition::new(state, Health::Unknown)
    }
}

/// How often a minute was doubled in so many, and one more; 0 for none.
fn age(minutes: u64) -> u8 {
    let doublings = u64::BITS - minutes.leading_zeros();
    u8::try_from(doublings).unwrap_or(u8::MAX)
}

/// What a container that stopped by itself is said to have done.
fn crashed(code: i64, crashes: usize) -> String {
    let said = format!("the container exited with status {code}");
    match crashes {
        0..=1 => said,
        CRASHES_BEFORE_REFUSAL.. => format!("{said}, at least {crashes} times in five minutes"),
        _ => format!("{said}, {crashes} times in five minutes"),
    }
}

/// The port that must accept a connection before this container counts as healthy: one of an older deploy may have
/// started only when the newer one came. Of one that goes, what it was found to be stands.
pub(super) fn awaited_port(task: Task<'_>, best: &Container) -> Option<u16> {
    match task {
        Task::Run(wanted) if wanted.is_met_by(&best.owner) => wanted.service.deploy.wait_for_port,
        Task::Run(_) | Task::Keep => best.care.wait_for_port,
        Task::Rest | Task::Remove => None,
    }
}

fn since(
    best: Option<&Container>,
    state: InstanceState,
    before: Option<&Hold>,
    now: WallTime,
) -> WallTime {
    if let (InstanceState::Running, Some(best)) = (state, best)
        && let ContainerState::Running { since } = best.state
    {
        return since;
    }
    match before {
        Some(before) if before.state == state => before.since,
        Some(_) | None => now,
    }
}
