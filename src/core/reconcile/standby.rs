//! Images that this node keeps ready for services that it holds nothing of.
//!
//! Fetched one at a time, when nothing else is to be done. That one is still there is found out by asking for it again now
//! and then, which costs one look at the engine, and which fetches it where somebody has removed it. What fails is tried
//! again as anything else, and then with every look. What no registry has is looked for on the engine, and never pulled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::placement::StandbyImage;
use crate::stack::{FrozenImage, ImageMark};
use crate::time::Instant;

use super::action::{Action, Failure, Outcome, Success};
use super::backoff::{Lesson, Setback};

/// How many images a node keeps ready at most: they lie on its disk and serve nobody yet.
pub const MAX_STANDBY: usize = 16;

/// How often it is looked whether an image is there.
const LOOKS_EVERY: Duration = Duration::from_secs(600);

/// After so many failures in a row an image is asked for as rarely as one that is there.
const FAILURES_IN_A_ROW: u32 = 7;

/// The most bytes of a problem that are told: everybody keeps them.
const MAX_PROBLEM: usize = 200;

#[derive(Clone, Debug)]
struct Kept {
    image: StandbyImage,
    /// Whether it was there when that was found out last.
    is_there: bool,
    /// When it is asked for next.
    next: Instant,
    setback: Option<Setback>,
    /// What went wrong first: the words of a registry may be others each time, and each report goes to everybody.
    problem: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Standby {
    kept: BTreeMap<ImageMark, Kept>,
}

impl Standby {
    /// Exactly these are to be there. Whether anything is new.
    pub(super) fn keep(&mut self, images: BTreeMap<ImageMark, StandbyImage>, now: Instant) -> bool {
        let before = self.kept.len();
        self.kept.retain(|mark, _| images.contains_key(mark));
        let mut is_news = self.kept.len() < before;
        for (mark, image) in images.into_iter().take(MAX_STANDBY) {
            self.kept.entry(mark).or_insert_with(|| {
                is_news = true;
                Kept {
                    image,
                    is_there: false,
                    next: now,
                    setback: None,
                    problem: None,
                }
            });
        }
        is_news
    }

    /// The one to ask for now: of those whose time has come the one that has waited longest.
    pub(super) fn due(&self, now: Instant) -> Option<(ImageMark, Action)> {
        let due = self.kept.iter().filter(|(_, kept)| kept.next <= now);
        let (mark, kept) = due.min_by_key(|(_, kept)| kept.next)?;
        Some((*mark, fetch(&kept.image)))
    }

    /// When one is to be asked for, if that lies ahead.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        let ahead = self.kept.values().map(|kept| kept.next);
        ahead.filter(|next| *next > now).min()
    }

    pub(super) fn conclude(&mut self, mark: ImageMark, outcome: Outcome, now: Instant) {
        let Some(kept) = self.kept.get_mut(&mark) else {
            return;
        };
        match outcome {
            Ok(Success::Image { .. }) => kept.found(now),
            Ok(Success::Running(_) | Success::Lines(_) | Success::Done) => {
                kept.missed("the engine did not say which image it fetched", now);
            }
            Err(failure @ Failure::Unreachable { .. }) => {
                kept.postpone(failure.to_string(), Lesson::Nothing, now);
            }
            Err(failure) => kept.missed(&failure.to_string(), now),
        }
    }

    /// Those that are there.
    pub(super) fn ready(&self) -> BTreeSet<ImageMark> {
        let ready = self.kept.iter().filter(|(_, kept)| kept.is_there);
        ready.map(|(mark, _)| *mark).collect()
    }

    /// Those that could not be fetched, and why.
    pub(super) fn missing(&self) -> BTreeMap<ImageMark, String> {
        let missing = self.kept.iter();
        let missing = missing.filter_map(|(mark, kept)| Some((*mark, kept.problem.clone()?)));
        missing.collect()
    }
}

impl Kept {
    fn found(&mut self, now: Instant) {
        self.is_there = true;
        self.next = now + LOOKS_EVERY;
        self.setback = None;
        self.problem = None;
    }

    fn missed(&mut self, problem: &str, now: Instant) {
        self.is_there = false;
        let words = &problem[..problem.floor_char_boundary(MAX_PROBLEM)];
        self.problem.get_or_insert_with(|| words.to_owned());
        self.postpone(problem.to_owned(), Lesson::Failed, now);
    }

    fn postpone(&mut self, problem: String, lesson: Lesson, now: Instant) {
        let setback = Setback::after(self.setback.as_ref(), problem, lesson, now);
        self.next = match setback.failures > FAILURES_IN_A_ROW {
            true => now + LOOKS_EVERY,
            false => setback.retry_at,
        };
        self.setback = Some(setback);
    }
}

/// An image of which only an engine's id is known came from no registry: under its name another one may be there.
fn fetch(wanted: &StandbyImage) -> Action {
    let image = match &wanted.frozen {
        Some(FrozenImage::Id { id }) => id,
        Some(FrozenImage::Digest { .. }) | None => &wanted.image,
    };
    Action::Fetch {
        image: image.clone(),
        frozen: wanted.frozen.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn image(name: &str) -> (ImageMark, StandbyImage) {
        let image = StandbyImage {
            image: name.to_owned(),
            frozen: None,
        };
        (image.mark(), image)
    }

    fn keeps(names: &[&str]) -> Standby {
        let mut standby = Standby::default();
        standby.keep(names.iter().map(|name| image(name)).collect(), at(0));
        standby
    }

    fn there() -> Outcome {
        let pinned = "sha256:aa".to_owned();
        Ok(Success::Image { pinned })
    }

    fn not_there(problem: &str) -> Outcome {
        let (image, problem) = ("web:1".to_owned(), problem.to_owned());
        Err(Failure::NoImage { image, problem })
    }

    /// At how many seconds it is asked for `web:1`, and is answered the same each time.
    fn asked_at(standby: &mut Standby, until: u64, answer: &Outcome) -> Vec<u64> {
        let mut asked = Vec::new();
        for second in 0..until {
            if let Some((mark, _)) = standby.due(at(second)) {
                asked.push(second);
                standby.conclude(mark, answer.clone(), at(second));
            }
        }
        asked
    }

    #[test]
    fn an_image_that_is_there_is_looked_for_every_ten_minutes() {
        let mut standby = keeps(&["web:1"]);
        assert_eq!(asked_at(&mut standby, 1_300, &there()), [0, 600, 1_200]);
        assert_eq!(standby.ready(), BTreeSet::from([image("web:1").0]));
        assert_eq!(standby.next_look(at(1_300)), Some(at(1_800)));
    }

    #[test]
    fn an_image_that_cannot_be_fetched_is_asked_for_ever_more_rarely() {
        let mut standby = keeps(&["web:1"]);
        let asked = asked_at(&mut standby, 1_400, &not_there("not found"));
        assert_eq!(asked, [0, 1, 3, 7, 15, 31, 61, 91, 691, 1_291]);
        assert_eq!(standby.ready(), BTreeSet::new());
    }

    #[test]
    fn what_went_wrong_first_is_told_until_the_image_is_there() {
        let mut standby = keeps(&["web:1"]);
        let mark = image("web:1").0;
        standby.conclude(mark, not_there("refused from port 40001"), at(0));
        standby.conclude(mark, not_there("refused from port 40002"), at(1));
        let problem = "image `web:1` cannot be fetched: refused from port 40001";
        assert_eq!(standby.missing()[&mark], problem);
        standby.conclude(mark, there(), at(3));
        assert_eq!(standby.missing(), BTreeMap::new());
    }

    #[test]
    fn an_engine_that_does_not_answer_says_nothing_of_an_image() {
        let mut standby = keeps(&["web:1"]);
        let mark = image("web:1").0;
        standby.conclude(mark, there(), at(0));
        let problem = "it hangs".to_owned();
        standby.conclude(mark, Err(Failure::Unreachable { problem }), at(600));
        assert_eq!(standby.ready(), BTreeSet::from([mark]));
        assert_eq!(standby.missing(), BTreeMap::new());
    }

    #[test]
    fn a_node_keeps_sixteen_images_and_lets_go_of_what_nobody_asks_for() {
        let names: Vec<String> = (0..20).map(|at| format!("web:{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut standby = keeps(&names);
        assert_eq!(standby.kept.len(), MAX_STANDBY);
        assert!(standby.keep(BTreeMap::new(), at(1)));
        assert!(!standby.keep(BTreeMap::new(), at(2)));
        assert_eq!(standby.due(at(3)), None);
    }

    #[test]
    fn what_no_registry_has_is_looked_for_by_its_id_alone() {
        let id = "sha256:bb".to_owned();
        let frozen = Some(FrozenImage::Id { id: id.clone() });
        let image = "web:1".to_owned();
        let wanted = StandbyImage { image, frozen };
        let Action::Fetch { image, .. } = fetch(&wanted) else {
            panic!("it is fetched");
        };
        assert_eq!(image, id);
    }
}
