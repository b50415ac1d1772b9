//! What the log says of each action: what is done, to which instance, and why.
//!
//! A line comes with each action that changes what runs. They are bounded by what bounds the actions:
//! one at a time for each instance, and tried again after ever longer pauses.

use std::fmt;

use crate::id::InstanceId;
use crate::report::Health;
use crate::schedule::Slot;
use crate::view::Lifecycle;

use super::action::{Action, Failure};
use super::lifecycle::{Local, Turn};
use super::round::Asked;
use super::wanted::{Departure, Wanted};

/// Why an instance is started or stopped here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It falls to this node, which has no container of it.
    Placed,
    /// Its holder is away.
    TakenOver,
    /// Its container is, or was, of an older deploy, or should not be there beside another.
    Replaced,
    /// It runs, and does not do its work: it is started again.
    Unhealthy,
    ServiceStopped,
    Drained,
    /// Another node has it, and is healthy.
    Yielded,
    /// Nobody wants it here.
    Unwanted,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Placed => "it was placed here",
            Self::TakenOver => "the node that had it is away",
            Self::Replaced => "it is replaced",
            Self::Unhealthy => "its health check fails",
            Self::ServiceStopped => "its service is stopped",
            Self::Drained => "this node drains",
            Self::Yielded => "another node runs it",
            Self::Unwanted => "it is not wanted here",
        })
    }
}

pub(super) fn why_start(wanted: &Wanted, turn: Turn, is_beside: bool) -> Why {
    match turn {
        _ if is_beside => Why::Replaced,
        Turn::Granted => Why::Replaced,
        Turn::Waiting | Turn::Announced { .. } if wanted.takeover => Why::TakenOver,
        Turn::Waiting | Turn::Announced { .. } => Why::Placed,
    }
}

pub(super) fn why_stop(asked: &Asked, instance: &InstanceId) -> Why {
    match (asked.wanted.get(instance), asked.departure(instance)) {
        (Some(wanted), _) if wanted.state == Lifecycle::Stopped => Why::ServiceStopped,
        (Some(_), _) => Why::Replaced,
        (None, Some(Departure::Handover { .. })) => Why::Yielded,
        (None, Some(Departure::Drained)) => Why::Drained,
        (None, Some(Departure::Unwanted | Departure::Unjudged) | None) => Why::Unwanted,
    }
}

/// An action goes to the engine.
pub(super) fn began(
    asked: Option<&Asked>,
    local: &Local,
    is_beside: bool,
    instance: &InstanceId,
    action: &Action,
) {
    match action {
        Action::Run(spec) => {
            let wanted = asked.and_then(|asked| asked.wanted.get(instance));
            let why = wanted.map_or(Why::Placed, |wanted| {
                why_start(wanted, local.turn, is_beside)
            });
            let owner = &spec.labels;
            tracing::info!(%instance, epoch = owner.epoch, generation = owner.generation,
                image = spec.image, %why, "Starting an instance");
        }
        Action::Start { .. } => {
            tracing::info!(%instance, "Starting the container of an instance again");
        }
        Action::Stop { .. } => {
            let why = match local.checks.condemned() {
                Some(_) => Why::Unhealthy,
                None if is_beside => Why::Replaced,
                None => asked.map_or(Why::Unwanted, |asked| why_stop(asked, instance)),
            };
            tracing::info!(%instance, %why, "Stopping an instance");
        }
        Action::Remove { .. } => {
            tracing::debug!(%instance, "Removing the container of an instance");
        }
        Action::Hook { hook, .. } | Action::Command { hook, .. } => {
            tracing::info!(%instance, hook, "Running a hook of an instance");
        }
        Action::Rename { name, .. } => {
            tracing::debug!(%instance, name, "Naming the container of an instance");
        }
        Action::Fetch { .. }
        | Action::RemoveVolume { .. }
        | Action::Move(_)
        | Action::Probe { .. }
        | Action::Check { .. }
        | Action::LastLines { .. } => {}
    }
}

/// An action of a run of a job goes to the engine.
pub(super) fn run_began(instance: &InstanceId, slot: Slot, action: &Action) {
    match action {
        Action::Run(spec) => {
            tracing::info!(%instance, %slot, image = spec.image, "Starting a run of a job");
        }
        Action::Stop { .. } => tracing::info!(%instance, %slot, "Stopping a run of a job"),
        Action::Remove { .. } => {
            tracing::debug!(%instance, %slot, "Removing the container of a run of a job");
        }
        Action::Fetch { .. }
        | Action::RemoveVolume { .. }
        | Action::Move(_)
        | Action::Start { .. }
        | Action::Rename { .. }
        | Action::Hook { .. }
        | Action::Command { .. }
        | Action::Probe { .. }
        | Action::Check { .. }
        | Action::LastLines { .. } => {}
    }
}

/// What was asked of the engine for a run of a job was not done.
pub(super) fn run_failed(instance: &InstanceId, slot: Slot, action: &Action, problem: &Failure) {
    match action {
        Action::Run(_) => {
            tracing::warn!(%instance, %slot, %problem, "A run of a job was not started");
        }
        Action::Stop { .. } | Action::Remove { .. } => {
            tracing::warn!(%instance, %slot, %problem, "A run of a job was not stopped or removed");
        }
        Action::Fetch { .. }
        | Action::RemoveVolume { .. }
        | Action::Move(_)
        | Action::Start { .. }
        | Action::Rename { .. }
        | Action::Hook { .. }
        | Action::Command { .. }
        | Action::Probe { .. }
        | Action::Check { .. }
        | Action::LastLines { .. } => {}
    }
}

/// What was asked of the engine was not done. That a port is not open yet is no failure.
pub(super) fn failed(instance: &InstanceId, action: &Action, problem: &Failure) {
    match action {
        Action::Run(_) | Action::Start { .. } => {
            tracing::warn!(%instance, %problem, "An instance was not started");
        }
        Action::Stop { .. } | Action::Remove { .. } => {
            tracing::warn!(%instance, %problem, "An instance was not stopped");
        }
        Action::Rename { .. } => {
            tracing::warn!(%instance, %problem, "The container of an instance was not named");
        }
        Action::Hook { .. } | Action::Command { .. } => {
            tracing::warn!(%instance, %problem, "A hook of an instance failed");
        }
        Action::Fetch { .. }
        | Action::RemoveVolume { .. }
        | Action::Move(_)
        | Action::Probe { .. }
        | Action::Check { .. }
        | Action::LastLines { .. } => {}
    }
}

/// What its health check says of an instance has changed.
pub(super) fn health(instance: &InstanceId, health: Health, problem: Option<&str>) {
    match problem {
        Some(problem) => tracing::warn!(%instance, %health, problem, "The health of an instance"),
        None => tracing::info!(%instance, %health, "The health of an instance"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Goals, Leaving};

    #[test]
    fn a_stop_is_explained_by_what_is_asked() {
        let web = "web".parse().unwrap();
        let instance = InstanceId::new(web, 1);
        for (departure, why) in [
            (
                Some(Departure::Handover { winner_ready: true }),
                Why::Yielded,
            ),
            (Some(Departure::Drained), Why::Drained),
            (Some(Departure::Unwanted), Why::Unwanted),
            (None, Why::Unwanted),
        ] {
            let leaving = departure.map(|departure| Leaving {
                instance: instance.clone(),
                departure,
            });
            let goals = Goals {
                leaving: leaving.into_iter().collect(),
                ..Goals::default()
            };
            assert_eq!(why_stop(&Asked::new(goals), &instance), why);
        }
    }
}
