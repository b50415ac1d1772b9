//! Which action goes next: one at a time for each container, first come first served, and bounded.
//!
//! A slow pull or a port that never opens must not hold up the rest, so pulls have a lane of their
//! own, and probes, which cost the engine nothing, have room for all.

use std::collections::{BTreeMap, VecDeque};

use crate::id::InstanceId;
use crate::schedule::Slot;
use crate::stack::ImageMark;

use super::action::{Action, ActionId, CheckTarget, MoveStep};
use super::images::ImageKey;
use super::moving::MAX_GOING;
use super::succession::Berth;

/// Docker creates and starts containers one after the other below the API; eight at once keep it busy.
const MAX_ENGINE: usize = 8;
/// Pulls share one line to the registry.
const MAX_PULLS: usize = 4;
/// At most one for each instance of a node, of which there are hundreds at most.
const MAX_PROBES: usize = 256;
/// Containers of hooks; each may take minutes.
const MAX_HOOKS: usize = 8;
/// Commands in containers, of health checks and hooks; each may take as long as its limit says.
const MAX_COMMANDS: usize = 16;
/// What comes by moves; each may copy for hours.
const MAX_BRINGING: usize = 16;
/// The short steps of moves: nothing that copies for hours is in their way.
const MAX_SETTLING: usize = 16;

/// On whose behalf an action is carried out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Instance(InstanceId, Berth),
    Image(ImageKey),
    /// That nothing here needs yet.
    Standby(ImageMark),
    /// A copy of a volume, by its name on the engine.
    Volume(String),
    /// What comes of an instance by a move.
    Arrival(InstanceId),
    /// Of the instance's container, beside what else is done about it.
    Check(InstanceId, Berth),
    /// One run of a job.
    Run(InstanceId, Slot),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Engine,
    Pull,
    /// Of what nothing here needs yet: it takes no place of what is needed.
    Standby,
    Probe,
    Command,
    Hook,
    /// As many as may go: no instance that is stopped for it waits for a place.
    Send,
    Bring,
    Settle,
}

impl Lane {
    fn of(subject: &Subject, action: &Action) -> Self {
        match action {
            Action::Fetch { .. } => match subject {
                Subject::Standby(_) => Self::Standby,
                Subject::Image(_)
                | Subject::Instance(..)
                | Subject::Volume(_)
                | Subject::Arrival(_)
                | Subject::Check(..)
                | Subject::Run(..) => Self::Pull,
            },
            Action::Check {
                target: CheckTarget::Exec { .. },
                ..
            }
            | Action::Command { .. } => Self::Command,
            Action::Hook { .. } => Self::Hook,
            Action::Move(MoveStep::Send { .. }) => Self::Send,
            Action::Move(MoveStep::Bring { .. }) => Self::Bring,
            Action::Move(
                MoveStep::Accept { .. } | MoveStep::Release { .. } | MoveStep::Discard { .. },
            ) => Self::Settle,
            Action::Probe { .. } | Action::Check { .. } | Action::LastLines { .. } => Self::Probe,
            Action::Run(_)
            | Action::Start { .. }
            | Action::Stop { .. }
            | Action::Remove { .. }
            | Action::RemoveVolume { .. }
            | Action::Rename { .. } => Self::Engine,
        }
    }

    fn room(self) -> usize {
        match self {
            Self::Engine => MAX_ENGINE,
            Self::Pull => MAX_PULLS,
            Self::Standby => 1,
            Self::Probe => MAX_PROBES,
            Self::Command => MAX_COMMANDS,
            Self::Hook => MAX_HOOKS,
            Self::Send => MAX_GOING,
            Self::Bring => MAX_BRINGING,
            Self::Settle => MAX_SETTLING,
        }
    }
}

/// What is to be done, and what is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    order: VecDeque<Subject>,
    ready: BTreeMap<Subject, Action>,
    in_flight: BTreeMap<ActionId, (Subject, Action)>,
    last_id: u64,
}

impl Queue {
    pub(super) fn action_in_flight(&self, instance: &InstanceId, berth: Berth) -> Option<&Action> {
        let subject = Subject::Instance(instance.clone(), berth);
        let mut in_flight = self.in_flight.values();
        let found = in_flight.find(|(other, _)| *other == subject);
        found.map(|(_, action)| action)
    }

    /// The instances of which a container that runs under a lease is being made, or a hook of theirs.
    pub(super) fn making_leased(&self) -> impl Iterator<Item = &InstanceId> {
        let made = self.in_flight.values();
        let made = made.filter_map(|(_, action)| action.makes());
        made.filter(|spec| spec.fence.is_some())
            .map(|spec| &spec.labels.instance)
    }

    /// Whether something is done about it, in whatever berth.
    pub(super) fn is_busy(&self, instance: &InstanceId) -> bool {
        let mut in_flight = self.in_flight.values();
        in_flight.any(|(subject, _)| match subject {
            Subject::Instance(other, _) | Subject::Run(other, _) => other == instance,
            Subject::Image(_)
            | Subject::Standby(_)
            | Subject::Volume(_)
            | Subject::Arrival(_)
            | Subject::Check(..) => false,
        })
    }

    pub(super) fn is_checked(&self, instance: &InstanceId, berth: Berth) -> bool {
        self.has(&Subject::Check(instance.clone(), berth))
    }

    /// Whether something is under way on its behalf.
    pub(super) fn has(&self, subject: &Subject) -> bool {
        self.in_flight.values().any(|(other, _)| other == subject)
    }

    /// Whether any image is on its way.
    pub(super) fn is_fetching(&self) -> bool {
        let mut actions = self.actions_in_flight();
        actions.any(|action| matches!(action, Action::Fetch { .. }))
    }

    /// The steps of moves that are under way.
    pub(super) fn moves(&self) -> impl Iterator<Item = (ActionId, &MoveStep)> {
        self.in_flight.iter().filter_map(|(id, (_, action))| {
            let Action::Move(step) = action else {
                return None;
            };
            Some((*id, step))
        })
    }

    /// On whose behalf it is carried out, if it is under way.
    pub(super) fn subject(&self, id: ActionId) -> Option<&Subject> {
        self.in_flight.get(&id).map(|(subject, _)| subject)
    }

    pub(super) fn actions_in_flight(&self) -> impl Iterator<Item = &Action> {
        self.in_flight.values().map(|(_, action)| action)
    }

    /// Exactly these actions are to be done now; whoever waited already keeps its place.
    pub(super) fn set(&mut self, ready: BTreeMap<Subject, Action>) {
        self.order.retain(|subject| ready.contains_key(subject));
        for subject in ready.keys() {
            if !self.ready.contains_key(subject) {
                self.order.push_back(subject.clone());
            }
        }
        self.ready = ready;
    }

    /// The first action whose lane has room.
    pub(super) fn take(&mut self) -> Option<(ActionId, Subject, Action)> {
        let at = self.order.iter().position(|subject| {
            self.ready
                .get(subject)
                .is_some_and(|action| self.has_room(subject, action))
        })?;
        let subject = self.order.remove(at)?;
        let action = self.ready.remove(&subject)?;
        self.last_id += 1;
        let id = ActionId(self.last_id);
        self.in_flight.insert(id, (subject.clone(), action.clone()));
        Some((id, subject, action))
    }

    /// The action is over; `None` for one that is not under way (a doubled outcome).
    pub(super) fn finish(&mut self, id: ActionId) -> Option<(Subject, Action)> {
        self.in_flight.remove(&id)
    }

    fn has_room(&self, subject: &Subject, action: &Action) -> bool {
        let lane = Lane::of(subject, action);
        let in_flight = self.in_flight.values();
        let busy = in_flight.filter(|(subject, action)| Lane::of(subject, action) == lane);
        busy.count() < lane.room()
    }
}
