//! The health check of one instance's running container: when it is asked, and what follows.
//!
//! Until a container was good once it is asked every second, because a deploy waits for it, and nothing is
//! concluded from a failure: it starts. It has its initial delay and three intervals for that. Later the first
//! failure makes it unhealthy, so that names leave it out at once, and the third in a row restarts it. Only that
//! is slower than in Kontena, where the first did, so that one lost packet ended a container.

use std::time::Duration;

use crate::report::Health;
use crate::stack::HealthCheck;
use crate::time::Instant;

use super::action::{Container, ContainerId};

/// So many failures in a row restart a container that was good before.
const FAILURES_BEFORE_RESTART: u32 = 3;
/// Between two probes of a container that starts.
const PAUSE_AT_START: Duration = Duration::from_secs(1);
/// From one failure to the next probe: that a container is unhealthy is found out within three of these.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// What the intervals of a start are at most: the time that a container gets to accept its first connection, too.
const MAX_START: Duration = Duration::from_secs(300);

/// What is to be done about the check now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckStep {
    Wait(Instant),
    Probe,
}

/// What is remembered of the checks of one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Checks {
    current: Option<Current>,
    /// How often a container was restarted in a row without having become good.
    restarts: u32,
    /// The container that did not become good in time, and why, until it does.
    never_good: Option<(ContainerId, String)>,
    /// Why its container is restarted, until it runs again.
    condemned: Option<String>,
}

/// One container, since it runs.
#[derive(Clone, Debug)]
struct Current {
    container: ContainerId,
    since: Instant,
    next: Instant,
    /// A probe is under way.
    asked: bool,
    was_good: bool,
    /// In a row, since it was good.
    failures: u32,
    problem: Option<String>,
}

impl Checks {
    /// Another deploy is wanted: what restarts the older one's container took says nothing of it.
    pub(super) fn begin_anew(&mut self) {
        self.restarts = 0;
    }

    /// Takes note of the container that is the instance, whether it runs or not. Says how often in a row it was
    /// restarted if it has just ended because its check asked for it.
    pub(super) fn look(&mut self, running: Option<&Container>, now: Instant) -> Option<u32> {
        let checked = running.filter(|container| container.care.health_check.is_some());
        let is_current = |current: &Current| checked.is_some_and(|c| c.id == current.container);
        let was_condemned = self.condemned.is_some() && self.current.is_some();
        if !self.current.as_ref().is_some_and(is_current) {
            self.current = checked.map(|container| Current::new(container, now));
        }
        if running.is_none() && was_condemned {
            let restarts = self.restarts;
            self.restarts = self.restarts.saturating_add(1);
            return Some(restarts);
        }
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.since == now)
        {
            self.condemned = None;
        }
        None
    }

    /// The next probe of the container that runs.
    pub(super) fn step(&self, now: Instant) -> Option<CheckStep> {
        let current = self.current.as_ref()?;
        if current.asked || self.condemned.is_some() {
            return None;
        }
        Some(match current.next > now {
            true => CheckStep::Wait(current.next),
            false => CheckStep::Probe,
        })
    }

    /// A probe goes out.
    pub(super) fn began(&mut self) {
        if let Some(current) = &mut self.current {
            current.asked = true;
        }
    }

    /// The answer of a container that was asked, if it still runs as it did then. Says whether its health changed.
    pub(super) fn answered(
        &mut self,
        check: &HealthCheck,
        answer: Result<(), String>,
        now: Instant,
    ) -> bool {
        let before = self.health();
        let Some(current) = self.current.as_mut().filter(|current| current.asked) else {
            return false;
        };
        current.asked = false;
        match answer {
            Ok(()) => {
                current.passed(check, now);
                self.restarts = 0;
                self.never_good = None;
            }
            Err(problem) => current.failed(check, problem, now),
        }
        before != self.health()
    }

    /// Nobody knows what it would have answered.
    pub(super) fn not_asked(&mut self, check: &HealthCheck, now: Instant) {
        if let Some(current) = self.current.as_mut().filter(|current| current.asked) {
            current.asked = false;
            current.next = now + current.pause(check);
        }
    }

    /// Whether the container that runs will not become good any more without a restart.
    pub(super) fn is_hopeless(&self, check: &HealthCheck, now: Instant) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|current| current.is_hopeless(check, now))
    }

    /// Whether the container is to be restarted.
    pub(super) fn condemns(&mut self, check: &HealthCheck, now: Instant) -> bool {
        let Some(current) = &self.current else {
            return false;
        };
        if self.condemned.is_none() && current.is_hopeless(check, now) {
            let problem = current.problem();
            if !current.was_good {
                self.never_good = Some((current.container.clone(), problem.clone()));
            }
            self.condemned = Some(problem);
        }
        self.condemned.is_some()
    }

    /// When the time that it has for its start is over, if it still starts.
    pub(super) fn start_ends(&self, check: &HealthCheck) -> Option<Instant> {
        let current = self.current.as_ref()?;
        (!current.was_good).then(|| current.start_ends(check))
    }

    /// Of the container that runs.
    pub(super) fn health(&self) -> Health {
        match &self.current {
            None => Health::Unknown,
            Some(current) if current.was_good && current.failures == 0 => Health::Healthy,
            Some(current) if current.was_good => Health::Unhealthy,
            Some(_) if self.failure().is_some() => Health::Unhealthy,
            Some(_) => Health::Unknown,
        }
    }

    /// Why its start failed.
    pub(super) fn failure(&self) -> Option<&str> {
        let current = self.current.as_ref()?;
        let failed = self.never_good.as_ref();
        let failed = failed.filter(|(container, _)| *container == current.container);
        failed.map(|(_, problem)| problem.as_str())
    }

    /// Why it was stopped, to be started again.
    pub(super) fn condemned(&self) -> Option<&str> {
        self.condemned.as_deref()
    }

    /// What is wrong with the container that runs, or what it waits for.
    pub(super) fn problem(&self) -> Option<String> {
        match (self.health(), &self.current) {
            (Health::Healthy, _) | (_, None) => None,
            (Health::Unhealthy, Some(current)) => {
                let problem = self.failure().map(str::to_owned);
                Some(problem.unwrap_or_else(|| current.problem()))
            }
            (Health::Unknown, Some(_)) => Some("waits until its health check passes".to_owned()),
        }
    }
}

impl Current {
    fn new(container: &Container, now: Instant) -> Self {
        Self {
            container: container.id.clone(),
            since: now,
            next: now,
            asked: false,
            was_good: false,
            failures: 0,
            problem: None,
        }
    }

    fn passed(&mut self, check: &HealthCheck, now: Instant) {
        self.was_good = true;
        self.failures = 0;
        self.problem = None;
        self.next = now + self.pause(check);
    }

    fn failed(&mut self, check: &HealthCheck, problem: String, now: Instant) {
        // In the initial delay it may fail as often as it likes; that it does so keeps it out of names.
        let most = match now.since(self.since) < check.initial_delay() {
            true => 1,
            false => FAILURES_BEFORE_RESTART,
        };
        self.failures = self.failures.saturating_add(1).min(most.max(self.failures));
        // The first of a row stands: what varies from probe to probe would be told to everybody each time.
        if !self.was_good || self.problem.is_none() {
            self.problem = Some(problem);
        }
        self.next = now + self.pause(check);
    }

    fn pause(&self, check: &HealthCheck) -> Duration {
        match (self.was_good, self.failures) {
            (false, _) => check.interval().min(PAUSE_AT_START),
            (true, 0) => check.interval(),
            (true, _) => check.interval().min(PAUSE_AFTER_FAILURE),
        }
    }

    fn start_ends(&self, check: &HealthCheck) -> Instant {
        let intervals = check.interval() * FAILURES_BEFORE_RESTART;
        self.since + check.initial_delay() + intervals.min(MAX_START)
    }

    fn is_hopeless(&self, check: &HealthCheck, now: Instant) -> bool {
        match self.was_good {
            true => self.failures >= FAILURES_BEFORE_RESTART,
            false => now >= self.start_ends(check),
        }
    }

    fn problem(&self) -> String {
        let why = self.problem.as_deref().unwrap_or("it was never answered");
        format!("its health check fails: {why}")
    }
}
