//! What the fence knows, between the thread that reads files and the one that kills.
//!
//! The one may be held up by a disk for as long as it takes; the other never waits for it. A deadline that was not moved on in
//! time is then over, which is safe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Deadline, Moment, Tag, WATCHED_AFTER};

/// How often is looked for what is to be killed.
pub(super) const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// What was found alive has just been killed: whether it is dead, and what it bore meanwhile.
const LOOKS_AGAIN: Duration = Duration::from_millis(20);
/// What was over for longer is looked for each second: going through all processes ten times a second is a twentieth of a core
/// on a host that is full.
const LOOKS_OFTEN_FOR: Duration = Duration::from_secs(60);
const LOOKS_SELDOM: Duration = Duration::from_secs(1);
/// One that does not die is waiting for a disk, and will not sooner for being asked often.
const LOOKS_AGAIN_FOR: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tags: BTreeMap<Tag, Watched>,
    looked: Moment,
    /// When it was looked for everything that is over.
    looked_for_all: Moment,
    said: BTreeSet<String>,
    to_say: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Watched {
    until: Moment,
    /// When something that was to be dead was found alive: first in a row, and last.
    found: Option<(Moment, Moment)>,
}

impl Board {
    /// What the files say now.
    pub(super) fn renew(&self, deadlines: BTreeMap<Tag, Deadline>, now: Moment) {
        let known = &mut *self.known();
        known.tags.retain(|tag, _| deadlines.contains_key(tag));
        for (tag, deadline) in deadlines {
            let before = known.tags.get(&tag).cloned();
            let watched = known.watch(deadline, before, now);
            known.tags.insert(tag, watched);
        }
    }

    /// Whether something may have to be killed yet.
    pub(super) fn has_work(&self, now: Moment) -> bool {
        let known = self.known();
        known.tags.values().any(|watched| watched.is_watched(now))
    }

    /// Whose time is over, and who is to be looked for now.
    pub(super) fn over(&self, now: Moment) -> BTreeSet<Tag> {
        let known = &mut *self.known();
        let is_all = now.since(known.looked_for_all) >= LOOKS_SELDOM;
        if is_all {
            known.looked_for_all = now;
        }
        let tags = known.tags.iter();
        let over = tags.filter(|(_, watched)| {
            watched.until <= now && watched.is_watched(now) && (is_all || watched.is_hot(now))
        });
        over.map(|(tag, _)| tag.clone()).collect()
    }

    /// It was looked for those whose time is over, and these were found alive. Answers when to look again.
    pub(super) fn looked(&self, living: &BTreeMap<Tag, usize>, now: Moment) -> Duration {
        let known = &mut *self.known();
        known.looked = now;
        let mut again = LOOKS_EVERY;
        for (tag, count) in living {
            if let Some(watched) = known.tags.get_mut(tag) {
                if watched.find(now) {
                    let group = tag.group();
                    known
                        .to_say
                        .push(format!("killed {count} of {group}, whose time was over"));
                }
                again = again.min(watched.pace(now));
            }
        }
        again
    }

    /// When it was looked last.
    pub(super) fn last_look(&self) -> Moment {
        self.known().looked
    }

    /// Is said once.
    pub(super) fn say(&self, text: String) {
        self.known().say(text);
    }

    pub(super) fn take_words(&self) -> Vec<String> {
        std::mem::take(&mut self.known().to_say)
    }

    /// Nothing is left half done where somebody panics.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn watch(&mut self, deadline: Deadline, before: Option<Watched>, now: Moment) -> Watched {
        let found = before.as_ref().and_then(|before| before.found);
        let until = match deadline {
            Deadline::At(until) => until,
            Deadline::Unreadable(problem) => {
                self.say(problem);
                before.map_or(now, |before| before.until.min(now))
            }
        };
        Watched { until, found }
    }

    fn say(&mut self, text: String) {
        if self.said.insert(text.clone()) {
            self.to_say.push(text);
        }
    }
}

impl Watched {
    /// Until it was over for long, and nothing was found for as long.
    fn is_watched(&self, now: Moment) -> bool {
        now < self.last().after(WATCHED_AFTER)
    }

    /// Whether something is likely to be found.
    fn is_hot(&self, now: Moment) -> bool {
        now < self.last().after(LOOKS_OFTEN_FOR)
    }

    /// When something that carries it may last have lived.
    fn last(&self) -> Moment {
        self.found
            .map_or(self.until, |(_, last)| last.max(self.until))
    }

    /// Whether it is the first of a row.
    fn find(&mut self, now: Moment) -> bool {
        let recently = self
            .found
            .filter(|(_, last)| now.since(*last) <= LOOKS_AGAIN_FOR);
        let first = recently.map_or(now, |(first, _)| first);
        self.found = Some((first, now));
        recently.is_none()
    }

    fn pace(&self, now: Moment) -> Duration {
        let is_stubborn = |(first, _): (Moment, Moment)| now.since(first) > LOOKS_AGAIN_FOR;
        if self.found.is_some_and(is_stubborn) {
            LOOKS_EVERY
        } else {
            LOOKS_AGAIN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    fn tag(digit: char) -> Tag {
        Tag::read(&digit.to_string().repeat(32)).unwrap()
    }

    fn board(until: u64) -> Board {
        let board = Board::default();
        board.renew(BTreeMap::from([(tag('a'), Deadline::At(at(until)))]), at(0));
        board
    }

    fn found(digit: char) -> BTreeMap<Tag, usize> {
        BTreeMap::from([(tag(digit), 1)])
    }

    #[test]
    fn a_deadline_is_over_from_its_moment_on_unless_it_is_moved() {
        let board = board(100);
        assert!(board.over(at(99)).is_empty());
        assert_eq!(board.over(at(100)), BTreeSet::from([tag('a')]));
        board.renew(BTreeMap::from([(tag('a'), Deadline::At(at(120)))]), at(100));
        assert!(board.over(at(119)).is_empty());
        board.renew(BTreeMap::from([(tag('a'), Deadline::At(at(110)))]), at(119));
        assert!(!board.over(at(119)).is_empty(), "moved back");
    }

    #[test]
    fn what_cannot_be_read_is_over_at_once_and_is_told_once() {
        let board = board(100);
        let unreadable = || BTreeMap::from([(tag('a'), Deadline::Unreadable("torn".to_owned()))]);
        board.renew(unreadable(), at(50));
        board.renew(unreadable(), at(51));
        assert!(!board.over(at(51)).is_empty());
        assert_eq!(board.take_words(), ["torn"]);
        assert!(board.has_work(at(649)));
        assert!(!board.has_work(at(650)), "over since it was seen first");
    }

    #[test]
    fn what_is_over_for_long_is_watched_while_something_is_found() {
        let board = board(100);
        assert!(board.has_work(at(50)));
        assert!(board.has_work(at(699)));
        assert!(!board.has_work(at(700)));
        assert!(board.over(at(700)).is_empty());
        board.looked(&found('a'), at(699));
        assert!(board.has_work(at(1298)));
        assert!(!board.has_work(at(1299)));
    }

    #[test]
    fn what_was_over_a_minute_ago_is_looked_for_each_second() {
        let board = board(100);
        let half = at(150).after(Duration::from_millis(500));
        assert!(
            [at(150), half, half]
                .iter()
                .all(|now| board.over(*now).len() == 1)
        );
        let half = at(170).after(Duration::from_millis(500));
        let looked = [at(170), half, at(171), half].map(|now| board.over(now).len());
        assert_eq!(looked, [1, 0, 1, 0]);
    }

    #[test]
    fn a_tag_without_a_file_is_forgotten() {
        let board = board(100);
        board.renew(BTreeMap::new(), at(1));
        assert!(!board.has_work(at(1)));
        assert!(board.over(at(200)).is_empty());
    }

    #[test]
    fn what_was_killed_is_looked_for_more_often_but_not_for_ever_and_told_once() {
        let board = board(100);
        assert_eq!(board.looked(&BTreeMap::new(), at(99)), LOOKS_EVERY);
        assert_eq!(board.looked(&found('a'), at(100)), LOOKS_AGAIN);
        assert_eq!(board.looked(&found('a'), at(105)), LOOKS_AGAIN);
        assert_eq!(board.looked(&found('a'), at(111)), LOOKS_EVERY);
        assert_eq!(board.take_words().len(), 1);
        assert_eq!(board.last_look(), at(111));
        // Another one, later, is told of again.
        board.looked(&found('a'), at(200));
        assert_eq!(board.take_words().len(), 1);
    }
}
