//! Whether a container that replaced one of an older deploy keeps well.
//!
//! It is *on trial* from when its forerunner is taken down until it has been healthy for [`STABLE_AFTER`]. One that
//! fails for good on trial, or while others wait for their turn, fails its deploy: its node writes that down.

use crate::id::RevisionHash;
use crate::report::{Health, Hold, InstanceState};
use crate::time::Instant;

use super::backoff::{FAILURES_BEFORE_REFUSAL, STABLE_AFTER, Setback};
use super::lifecycle::Local;

/// An image that cannot be fetched fails a deploy at that try (Kontena 4.3).
const PULLS: u32 = 10;

/// An instance that failed for good at the wanted deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub revision: RevisionHash,
    pub generation: u64,
    pub problem: String,
}

/// The trial of an instance at a deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    aim: (RevisionHash, u64),
    healthy_since: Option<Instant>,
}

impl Trial {
    pub(super) fn of(aim: (RevisionHash, u64)) -> Self {
        Self {
            aim,
            healthy_since: None,
        }
    }
}

impl Local {
    /// The container of an older deploy goes now.
    pub(super) fn begin_trial(&mut self) {
        self.trial = self.aim.map(Trial::of);
    }

    /// Looks at the trial by what is said of the instance. Answers when to look again.
    pub(super) fn judge(&mut self, hold: &mut Hold, now: Instant) -> Option<Instant> {
        if self.trial.is_some_and(|trial| Some(trial.aim) != self.aim) {
            self.trial = None;
        }
        let trial = self.trial.as_mut()?;
        let is_at_it = (hold.revision, hold.generation) == trial.aim;
        let is_healthy = hold.state == InstanceState::Running && hold.health == Health::Healthy;
        if !(is_at_it && is_healthy) {
            trial.healthy_since = None;
            hold.on_trial = is_at_it;
            return None;
        }
        let over = *trial.healthy_since.get_or_insert(now) + STABLE_AFTER;
        hold.on_trial = over > now;
        if !hold.on_trial {
            self.trial = None;
        }
        hold.on_trial.then_some(over)
    }

    /// Why it has failed at the wanted deploy so that more tries promise nothing, if it has.
    pub(super) fn failure(&self, hold: &Hold, image: Option<&Setback>) -> Option<Failed> {
        let (revision, generation) = self.aim?;
        let is_at_it = (hold.revision, hold.generation) == (revision, generation);
        let problem = match image.filter(|image| image.is_certain() && image.failures >= PULLS) {
            Some(image) => image.problem.clone(),
            None if is_at_it && self.is_hopeless(hold) => hold.problem.clone().unwrap_or_default(),
            None => return None,
        };
        Some(Failed {
            revision,
            generation,
            problem,
        })
    }

    fn is_hopeless(&self, hold: &Hold) -> bool {
        let is_certain =
            |setback: &Setback| setback.is_certain() && setback.failures >= FAILURES_BEFORE_REFUSAL;
        let gave_up = self.starting.as_ref().is_some_and(is_certain);
        let starts_in_vain = gave_up && hold.state == InstanceState::Failed;
        let never_well = self.checks.failure().is_some();
        starts_in_vain || self.opens_in_vain() || never_well || self.crashes.is_looping()
    }
}
