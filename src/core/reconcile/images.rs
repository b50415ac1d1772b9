//! Images that instances of this node wait for.
//!
//! Fetched once for each deploy, however many instances of it fall to this node, and apart from
//! their containers: a long pull never delays a stop. What runs is pinned to what the engine says
//! that the name means at that moment, so all instances of one deploy on a node run the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

use super::backoff::{Lesson, Setback};
use super::wanted::Wanted;

/// An image as a deploy asks for it. A forced redeploy asks again what the name means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ImageKey {
    pub image: String,
    pub generation: u64,
}

impl ImageKey {
    pub(super) fn of(wanted: &Wanted) -> Self {
        Self {
            image: wanted.service.image.clone(),
            generation: wanted.generation,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ImageState {
    /// To be fetched, after a setback not before its time.
    Missing {
        setback: Option<Setback>,
    },
    Fetching {
        setback: Option<Setback>,
    },
    Ready {
        pinned: String,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    states: BTreeMap<ImageKey, ImageState>,
}

impl Images {
    /// `missing` are needed now. What else is `wanted` keeps the meaning that it was fetched with,
    /// for the next instance of the deploy; the rest is forgotten, once its outcome is known.
    pub(super) fn need(&mut self, missing: BTreeSet<ImageKey>, wanted: &BTreeSet<ImageKey>) {
        self.states.retain(|key, state| match state {
            ImageState::Fetching { .. } => true,
            ImageState::Ready { .. } => wanted.contains(key),
            ImageState::Missing { .. } => missing.contains(key),
        });
        for key in missing {
            self.states
                .entry(key)
                .or_insert(ImageState::Missing { setback: None });
        }
    }

    pub(super) fn pinned(&self, key: &ImageKey) -> Option<&str> {
        match self.states.get(key)? {
            ImageState::Ready { pinned } => Some(pinned),
            ImageState::Missing { .. } | ImageState::Fetching { .. } => None,
        }
    }

    /// What went wrong with it last, if it is not there yet.
    pub(super) fn setback(&self, key: &ImageKey) -> Option<&Setback> {
        match self.states.get(key)? {
            ImageState::Missing { setback } | ImageState::Fetching { setback } => setback.as_ref(),
            ImageState::Ready { .. } => None,
        }
    }

    /// The images to fetch now.
    pub(super) fn due(&self, now: Instant) -> BTreeSet<ImageKey> {
        let is_due = |state: &ImageState| match state {
            ImageState::Missing { setback } => setback
                .as_ref()
                .is_none_or(|setback| setback.retry_at <= now),
            ImageState::Fetching { .. } | ImageState::Ready { .. } => false,
        };
        self.states
            .iter()
            .filter(|(_, state)| is_due(state))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// When the next one is to be tried again, if that lies ahead.
    pub(super) fn next_retry(&self, now: Instant) -> Option<Instant> {
        self.states
            .values()
            .filter_map(|state| match state {
                ImageState::Missing { setback } => setback.as_ref().map(|setback| setback.retry_at),
                ImageState::Fetching { .. } | ImageState::Ready { .. } => None,
            })
            .filter(|at| *at > now)
            .min()
    }

    pub(super) fn fetching(&mut self, key: &ImageKey) {
        let setback = self.setback(key).cloned();
        self.states
            .insert(key.clone(), ImageState::Fetching { setback });
    }

    pub(super) fn fetched(&mut self, key: ImageKey, pinned: String) {
        self.states.insert(key, ImageState::Ready { pinned });
    }

    pub(super) fn failed(&mut self, key: ImageKey, problem: String, lesson: Lesson, now: Instant) {
        let setback = Setback::after(self.setback(&key), problem, lesson, now);
        let setback = Some(setback);
        self.states.insert(key, ImageState::Missing { setback });
    }

    /// It was there, and is no longer: it is fetched again.
    pub(super) fn vanished(&mut self, key: ImageKey) {
        self.states
            .insert(key, ImageState::Missing { setback: None });
    }
}
