//! Copies of volumes on this node's engine: what there is, and what goes.
//!
//! A copy goes only by order: its volume was removed, and no service uses the name; or its instance was moved, and runs with it
//! on another node. One that a container has stays as long
//! as the engine says so; what is not labelled as this grid's is not seen at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{EnvelopeHash, InstanceId};
use crate::report::Report;
use crate::time::Instant;
use crate::volume::{Copy, VolumeName};

use super::action::{Action, Failure, Outcome};
use super::backoff::{Lesson, Setback};
use super::container::mounted;
use super::round::Asked;

/// Changes that created volumes which are to go, by name.
pub type RemovedVolumes = BTreeMap<VolumeName, BTreeSet<EnvelopeHash>>;

/// What there are orders to remove.
#[derive(Clone, Copy, Debug)]
pub(super) struct Going<'a> {
    pub removed: &'a RemovedVolumes,
    /// Copies that are on another node since a move, by name.
    pub departed: &'a BTreeMap<String, Copy>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Volumes {
    /// As the engine listed them last; before it does, as this node said in its last life.
    seen: BTreeMap<String, Copy>,
    /// Whether the engine listed them in this boot.
    listed: bool,
    setbacks: BTreeMap<String, Setback>,
}

impl Volumes {
    pub(super) fn remembered(seen: BTreeMap<String, Copy>) -> Self {
        Self {
            seen,
            ..Self::default()
        }
    }

    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    pub(super) fn list(&mut self, listing: BTreeMap<String, Copy>) {
        self.setbacks.retain(|name, _| listing.contains_key(name));
        self.seen = listing;
        self.listed = true;
    }

    /// A container was made that mounts them: they are there, whenever the next listing comes.
    pub(super) fn made(&mut self, copies: impl Iterator<Item = (String, Copy)>) {
        for (name, copy) in copies {
            self.seen.entry(name).or_insert(copy);
        }
    }

    /// What is to be removed now.
    pub(super) fn due<'a>(
        &'a self,
        order: Going<'a>,
        now: Instant,
    ) -> impl Iterator<Item = (String, Action)> + 'a {
        let waits = move |name: &str| self.retry_at(name).is_some_and(|at| at > now);
        self.going(order)
            .filter(move |(name, _)| !waits(name))
            .map(|(name, copy)| {
                let action = Action::RemoveVolume {
                    name: name.clone(),
                    copy: copy.clone(),
                };
                (name.clone(), action)
            })
    }

    /// When one is tried again, if that lies ahead.
    pub(super) fn next_try(&self, order: Going<'_>, now: Instant) -> Option<Instant> {
        let going = self.going(order);
        let tries = going.filter_map(|(name, _)| self.retry_at(name));
        tries.filter(|at| *at > now).min()
    }

    pub(super) fn conclude(&mut self, name: String, outcome: Outcome, now: Instant) {
        let Err(failure) = outcome else {
            self.setbacks.remove(&name);
            self.seen.remove(&name);
            return;
        };
        let lesson = match failure {
            Failure::Unreachable { .. } | Failure::Unfenced { .. } => Lesson::Nothing,
            Failure::NoImage { .. }
            | Failure::Occupied { .. }
            | Failure::PortTaken { .. }
            | Failure::AddressTaken { .. }
            | Failure::Gone
            | Failure::Refused { .. }
            | Failure::HookFailed { .. }
            | Failure::NotReady { .. } => Lesson::Failed,
        };
        tracing::warn!(volume = %name, problem = %failure, "A removed volume is still there");
        let before = self.setbacks.get(&name);
        let setback = Setback::after(before, failure.to_string(), lesson, now);
        self.setbacks.insert(name, setback);
    }

    /// Whether one of this name is here, as far as the engine has listed them, or this node said last.
    pub(super) fn has(&self, name: &str) -> bool {
        self.seen.contains_key(name)
    }

    /// Whether anything that an instance mounts for itself is here, whoever made it.
    pub(super) fn has_of(&self, instance: &InstanceId, asked: Option<&Asked>) -> bool {
        let wanted = asked.and_then(|asked| asked.wanted.get(instance));
        let mut mounted = wanted.into_iter().flat_map(mounted);
        mounted.any(|mounted| self.seen.contains_key(&mounted.name))
    }

    /// For the report, without `arriving`, whose data does not count.
    pub(super) fn report(&self, arriving: &BTreeSet<&String>) -> BTreeMap<String, Copy> {
        let seen = self.seen.iter();
        let seen = seen.filter(|(name, _)| !arriving.contains(name));
        let seen = seen.take(Report::MAX_VOLUMES);
        seen.map(|(name, copy)| (name.clone(), copy.clone()))
            .collect()
    }

    fn retry_at(&self, name: &str) -> Option<Instant> {
        self.setbacks.get(name).map(|setback| setback.retry_at)
    }

    fn going<'a>(
        &'a self,
        Going { removed, departed }: Going<'a>,
    ) -> impl Iterator<Item = (&'a String, &'a Copy)> {
        let goes = |copy: &Copy| match copy {
            Copy::Volume { volume, creation } => removed
                .get(volume)
                .is_some_and(|creations| creations.contains(creation)),
            Copy::Own { .. } => false,
        };
        let copies = self.seen.iter();
        copies.filter(move |(name, copy)| goes(copy) || departed.get(*name) == Some(*copy))
    }
}
