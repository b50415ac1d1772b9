//! Images that instances of this node wait for.
//!
//! Fetched once for each deploy, however many instances of it fall to this node, and apart from
//! their containers: a long pull never delays a stop. What runs is pinned to what the deploy says that
//! its name meant, so that all its instances run the same; where that is not known, to what the engine
//! says at that moment, so that those of one node do.

use std::collections::{BTreeMap, BTreeSet};

use crate::stack::FrozenImage;
use crate::time::Instant;

use super::backoff::{Lesson, REMEMBERED_FOR, Setback};
use super::wanted::Wanted;

/// Of so many images that nobody needs any more it is remembered what became of them.
const MAX_REMEMBERED: usize = 64;

/// An image as a deploy asks for it. A forced redeploy asks again what the name means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ImageKey {
    pub image: String,
    pub generation: u64,
    /// What its name meant when the deploy was accepted.
    pub frozen: Option<FrozenImage>,
}

impl ImageKey {
    pub(super) fn of(wanted: &Wanted) -> Self {
        Self {
            image: wanted.service.image.clone(),
            generation: wanted.generation,
            frozen: wanted.image.clone(),
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
        /// How many tenths of it are here; `None` until the engine tells of any that it pulls.
        tenths: Option<u8>,
    },
    Ready {
        pinned: String,
    },
}

#[derive(Clone, Debug)]
struct Known {
    state: ImageState,
    /// Since when nobody needs it; `None` while somebody does.
    idle_since: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    known: BTreeMap<ImageKey, Known>,
}

impl Images {
    /// `missing` are needed now. What else is `wanted` keeps the meaning that it was fetched with,
    /// for the next instance of the deploy. The rest is remembered for a while, with its setbacks:
    /// an instance that comes and goes must not have its image asked for each time.
    pub(super) fn need(
        &mut self,
        missing: BTreeSet<ImageKey>,
        wanted: &BTreeSet<ImageKey>,
        now: Instant,
    ) {
        for (key, known) in &mut self.known {
            let is_needed = match known.state {
                ImageState::Fetching { .. } => true,
                ImageState::Ready { .. } => wanted.contains(key),
                ImageState::Missing { .. } => missing.contains(key),
            };
            let since = known.idle_since.unwrap_or(now);
            known.idle_since = (!is_needed).then_some(since);
        }
        for key in missing {
            self.known.entry(key).or_insert(Known {
                state: ImageState::Missing { setback: None },
                idle_since: None,
            });
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        let is_recent = |since: Instant| now.since(since) < REMEMBERED_FOR;
        self.known
            .retain(|_, known| known.idle_since.is_none_or(is_recent));
        let idle = self
            .known
            .iter()
            .filter_map(|(key, known)| Some((known.idle_since?, key.clone())));
        let mut idle: Vec<(Instant, ImageKey)> = idle.collect();
        idle.sort_by(|a, b| b.cmp(a));
        for (_, oldest) in idle.into_iter().skip(MAX_REMEMBERED) {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn pinned(&self, key: &ImageKey) -> Option<&str> {
        match &self.known.get(key)?.state {
            ImageState::Ready { pinned } => Some(pinned),
            ImageState::Missing { .. } | ImageState::Fetching { .. } => None,
        }
    }

    /// What went wrong with it last, if it is not there yet.
    pub(super) fn setback(&self, key: &ImageKey) -> Option<&Setback> {
        match &self.known.get(key)?.state {
            ImageState::Missing { setback } | ImageState::Fetching { setback, .. } => {
                setback.as_ref()
            }
            ImageState::Ready { .. } => None,
        }
    }

    /// The images to fetch now.
    pub(super) fn due(&self, now: Instant) -> BTreeSet<ImageKey> {
        let is_due = |setback: &Option<Setback>| {
            let retry_at = setback.as_ref().map(|setback| setback.retry_at);
            retry_at.is_none_or(|at| at <= now)
        };
        self.needed()
            .filter(|(_, setback)| is_due(setback))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// When the next one is to be tried again, if that lies ahead.
    pub(super) fn next_retry(&self, now: Instant) -> Option<Instant> {
        self.needed()
            .filter_map(|(_, setback)| setback.as_ref().map(|setback| setback.retry_at))
            .filter(|at| *at > now)
            .min()
    }

    /// Those that are needed, not there, and not on their way.
    fn needed(&self) -> impl Iterator<Item = (&ImageKey, &Option<Setback>)> {
        let needed = self.known.iter();
        needed.filter_map(|(key, known)| match &known.state {
            ImageState::Missing { setback } if known.idle_since.is_none() => Some((key, setback)),
            ImageState::Missing { .. } | ImageState::Fetching { .. } | ImageState::Ready { .. } => {
                None
            }
        })
    }

    pub(super) fn fetching(&mut self, key: &ImageKey) {
        let setback = self.setback(key).cloned();
        let tenths = None;
        self.set(key.clone(), ImageState::Fetching { setback, tenths });
    }

    /// So many hundredths of an image are here. Says whether people see another number: everybody is told of it, so
    /// it has steps of ten, and never falls.
    pub(super) fn progressed(&mut self, key: &ImageKey, hundredths: u8) -> bool {
        let state = self.known.get_mut(key).map(|known| &mut known.state);
        let Some(ImageState::Fetching { tenths, .. }) = state else {
            return false;
        };
        let now = Some(hundredths.min(100) / 10);
        let is_news = now > *tenths;
        *tenths = now.max(*tenths);
        is_news
    }

    /// What is told of one that is pulled.
    pub(super) fn pull(&self, key: &ImageKey) -> Option<String> {
        match self.known.get(key)?.state {
            ImageState::Fetching {
                tenths: Some(tenths),
                ..
            } => Some(format!("its image is pulled: {} %", 10 * tenths)),
            ImageState::Fetching { tenths: None, .. }
            | ImageState::Missing { .. }
            | ImageState::Ready { .. } => None,
        }
    }

    pub(super) fn fetched(&mut self, key: ImageKey, pinned: String) {
        self.set(key, ImageState::Ready { pinned });
    }

    pub(super) fn failed(&mut self, key: ImageKey, problem: String, lesson: Lesson, now: Instant) {
        let setback = Setback::after(self.setback(&key), problem, lesson, now);
        let setback = Some(setback);
        self.set(key, ImageState::Missing { setback });
    }

    /// It was there, and is no longer: it is fetched again.
    pub(super) fn vanished(&mut self, key: ImageKey) {
        self.set(key, ImageState::Missing { setback: None });
    }

    fn set(&mut self, key: ImageKey, state: ImageState) {
        let idle_since = None;
        self.known.insert(key, Known { state, idle_since });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(generation: u64) -> ImageKey {
        ImageKey {
            image: "web:1".to_owned(),
            generation,
            frozen: None,
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn only(key: ImageKey) -> BTreeSet<ImageKey> {
        BTreeSet::from([key])
    }

    #[test]
    fn an_image_that_is_needed_and_not_in_turn_waits_as_if_it_had_been_needed_all_the_time() {
        let mut images = Images::default();
        let mut tries = 0;
        for second in 0..60 {
            images.need(only(key(1)), &only(key(1)), at(second));
            for due in images.due(at(second)) {
                tries += 1;
                images.fetching(&due);
                images.failed(due, "not found".to_owned(), Lesson::Failed, at(second));
            }
            images.need(BTreeSet::new(), &BTreeSet::new(), at(second));
            assert_eq!(images.due(at(second)), BTreeSet::new());
            assert_eq!(images.next_retry(at(second)), None);
        }
        assert_eq!(tries, 6, "after 0, 1, 3, 7, 15 and 31 s");
    }

    #[test]
    fn a_pull_is_told_in_steps_of_ten_and_never_falls() {
        let mut images = Images::default();
        images.need(only(key(1)), &only(key(1)), at(0));
        assert!(!images.progressed(&key(1), 50), "nothing is fetched");
        images.fetching(&key(1));
        assert_eq!(images.pull(&key(1)), None);
        let told = [0, 4, 9, 10, 11, 57, 30, 100, 255].map(|now| images.progressed(&key(1), now));
        let news = [true, false, false, true, false, true, false, true, false];
        assert_eq!(told, news);
        let pull = images.pull(&key(1));
        assert_eq!(pull.as_deref(), Some("its image is pulled: 100 %"));
        images.fetched(key(1), "sha256:1".to_owned());
        assert_eq!(images.pull(&key(1)), None);
    }

    #[test]
    fn what_nobody_needs_for_two_minutes_is_forgotten() {
        let mut images = Images::default();
        images.need(only(key(1)), &only(key(1)), at(0));
        images.failed(key(1), "not found".to_owned(), Lesson::Failed, at(0));
        images.need(BTreeSet::new(), &BTreeSet::new(), at(1));
        images.need(BTreeSet::new(), &BTreeSet::new(), at(120));
        assert!(images.setback(&key(1)).is_some());
        images.need(BTreeSet::new(), &BTreeSet::new(), at(121));
        assert!(images.setback(&key(1)).is_none());
    }

    #[test]
    fn of_many_that_nobody_needs_those_that_were_needed_last_are_remembered() {
        let mut images = Images::default();
        for generation in 0..100 {
            images.need(only(key(generation)), &BTreeSet::new(), at(generation));
            images.fetched(key(generation), "sha256:web".to_owned());
        }
        images.need(BTreeSet::new(), &BTreeSet::new(), at(100));
        assert_eq!(images.known.len(), MAX_REMEMBERED);
        assert!(images.pinned(&key(99)).is_some());
        assert!(images.pinned(&key(0)).is_none());
    }
}
