//! The other members, beside each other in the order of their keys.
//!
//! A thousand exchanges a second go through all counters, in which most is known: they stand apart from
//! what is known besides, so that only those that rose lead there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::trace::Trace;
use crate::id::NodeId;
use crate::membership::vector::{Beat, Life};
use crate::message::Digest;
use crate::time::{Instant, Now};

/// A new life is told with each exchange for so long: four times as long as everybody takes to hear
/// of it in a grid of 1,000 nodes.
const IS_NEWS_FOR: Duration = Duration::from_secs(30);

/// More new lives than this are not told: so many make a large part of the grid, and who does not know
/// them asks for everything.
const MAX_NEWS: usize = 16;

/// The counter of who was never heard of.
const UNHEARD: u64 = 0;

/// Whether what began then has to be told still.
pub(super) fn is_news(since: Instant, now: Instant) -> bool {
    now.since(since) < IS_NEWS_FOR
}

#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    ids: Vec<NodeId>,
    traces: Vec<Trace>,
    /// Of the life in the trace; meaningless where there is none.
    counters: Vec<u64>,
    /// How many were heard of.
    heard: usize,
    /// Of the lives of those.
    lives: Digest,
    /// Whose life is new, and since when; oldest first.
    news: Vec<(Instant, NodeId)>,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn counters(&self) -> &[u64] {
        &self.counters
    }

    pub(super) fn heard(&self) -> usize {
        self.heard
    }

    /// Of the lives of all that were heard of.
    pub(super) fn lives(&self) -> Digest {
        self.lives
    }

    pub(super) fn traces(&self) -> impl Iterator<Item = &Trace> {
        self.traces.iter()
    }

    pub(super) fn traces_mut(&mut self) -> impl Iterator<Item = &mut Trace> {
        self.traces.iter_mut()
    }

    /// Each, and whether it is online.
    pub(super) fn candidates(&self) -> impl Iterator<Item = (&NodeId, bool)> + Clone {
        self.ids
            .iter()
            .zip(self.traces.iter().map(Trace::is_online))
    }

    /// Where those stand that were heard of: mostly all.
    pub(super) fn places_of_heard(&self) -> impl Iterator<Item = usize> {
        let is_whole = self.heard == self.len();
        (0..self.len()).filter(move |at| is_whole || self.traces[*at].life.is_some())
    }

    /// How many of those stand before a node.
    pub(super) fn heard_before(&self, node: &NodeId) -> usize {
        let place = self.place(node);
        self.places_of_heard().take_while(|at| *at < place).count()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Trace)> {
        self.ids.iter().copied().zip(&self.traces)
    }

    pub(super) fn find(&self, node: &NodeId) -> Option<usize> {
        self.ids.binary_search(node).ok()
    }

    /// Where a node stands, or would stand, among the others.
    pub(super) fn place(&self, node: &NodeId) -> usize {
        self.ids.partition_point(|other| other < node)
    }

    pub(super) fn trace(&self, at: usize) -> &Trace {
        &self.traces[at]
    }

    pub(super) fn trace_mut(&mut self, at: usize) -> &mut Trace {
        &mut self.traces[at]
    }

    pub(super) fn get(&self, node: &NodeId) -> Option<&Trace> {
        self.find(node).map(|at| &self.traces[at])
    }

    pub(super) fn get_mut(&mut self, node: &NodeId) -> Option<&mut Trace> {
        self.find(node).map(|at| &mut self.traces[at])
    }

    /// The newest beat that is known of one of them.
    pub(super) fn beat(&self, at: usize) -> Option<Beat> {
        let life = self.traces[at].life?;
        Some(life.beat(self.counters[at]))
    }

    /// Takes a newer beat for the known one.
    pub(super) fn set_beat(&mut self, at: usize, beat: Beat, now: Instant) {
        self.counters[at] = beat.counter;
        let known = self.traces[at].life.replace(beat.life());
        if known == Some(beat.life()) {
            return;
        }
        let node = self.ids[at];
        match known {
            Some(known) => self.lives.toggle(known.digest(&node)),
            None => self.heard += 1,
        }
        self.lives.toggle(beat.life().digest(&node));
        self.tell(node, now);
    }

    /// The lives that peers may not know yet, with their beats.
    pub(super) fn news(&self, now: Instant) -> impl Iterator<Item = (NodeId, Beat)> {
        let news = self
            .news
            .iter()
            .filter(move |(since, _)| is_news(*since, now));
        news.filter_map(|(_, node)| Some((*node, self.beat(self.find(node)?)?)))
    }

    pub(super) fn beats(&self) -> impl Iterator<Item = (NodeId, Beat)> {
        (0..self.len()).filter_map(|at| Some((self.ids[at], self.beat(at)?)))
    }

    /// Who stays keeps what is known of it. Says whether somebody is new.
    pub(super) fn set_roster(&mut self, roster: &BTreeSet<NodeId>, now: Now) -> bool {
        let mut before = std::mem::take(self);
        let mut is_grown = false;
        for node in roster {
            let at = before.find(node);
            is_grown |= at.is_none();
            self.ids.push(*node);
            self.counters
                .push(at.map_or(UNHEARD, |at| before.counters[at]));
            let new = Trace::new(now);
            self.traces.push(match at {
                Some(at) => std::mem::replace(&mut before.traces[at], new),
                None => new,
            });
        }
        self.news = before.news;
        self.news.retain(|(_, node)| roster.contains(node));
        self.count_lives();
        is_grown
    }

    fn count_lives(&mut self) {
        let lives = self.iter().filter_map(|(node, trace)| {
            let life: Life = trace.life?;
            Some(life.digest(&node))
        });
        let lives: Vec<Digest> = lives.collect();
        self.heard = lives.len();
        self.lives = Digest::default();
        for life in lives {
            self.lives.toggle(life);
        }
    }

    fn tell(&mut self, node: NodeId, now: Instant) {
        self.news
            .retain(|(since, other)| *other != node && is_news(*since, now));
        if self.news.len() == MAX_NEWS {
            self.news.remove(0);
        }
        self.news.push((now, node));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::WallTime;

    proptest! {
        #[test]
        fn the_digest_says_which_lives_are_known_and_not_how_that_came(
            beats in prop::collection::vec((0..6_u8, 0..3_u64, 0..9_u64), 0..40),
            gone in 0..6_u8,
        ) {
            let mut one = members(0..6);
            for (at, boot, counter) in &beats {
                one.set_beat(usize::from(*at), beat(*boot, *counter), Instant::ZERO);
            }
            let mut other = members(0..9);
            for at in 0..6 {
                if let Some(beat) = one.beat(at) {
                    other.set_beat(at, beat, Instant::ZERO);
                }
            }
            prop_assert_eq!(one.lives(), other.lives());
            let left = |node: &u8| *node != gone;
            one.set_roster(&roster((0..6).filter(left)), now());
            other.set_roster(&roster((0..9).filter(left)), now());
            prop_assert_eq!(one.lives(), other.lives());
            prop_assert_eq!(one.heard(), one.beats().count());
        }
    }

    #[test]
    fn a_new_life_is_news_for_half_a_minute_and_a_counter_is_none() {
        let mut members = members(0..3);
        members.set_beat(1, beat(1, 1), Instant::from_millis(5_000));
        members.set_beat(1, beat(1, 2), Instant::from_millis(20_000));
        assert_eq!(members.news(Instant::from_millis(34_999)).count(), 1);
        assert_eq!(members.news(Instant::from_millis(35_000)).count(), 0);
    }

    #[test]
    fn of_many_new_lives_the_last_ones_are_told() {
        let mut members = members(0..40);
        for at in 0..40 {
            members.set_beat(at, beat(1, 1), Instant::ZERO);
        }
        let news: Vec<NodeId> = members.news(Instant::ZERO).map(|(node, _)| node).collect();
        assert_eq!(news.len(), MAX_NEWS);
        assert!(news.contains(&id(39)) && !news.contains(&id(0)));
    }

    fn members(nodes: std::ops::Range<u8>) -> Members {
        let mut members = Members::default();
        members.set_roster(&roster(nodes), now());
        members
    }

    fn roster(nodes: impl Iterator<Item = u8>) -> BTreeSet<NodeId> {
        nodes.map(id).collect()
    }

    fn id(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn beat(boot: u64, counter: u64) -> Beat {
        Beat {
            boot,
            nonce: 7,
            counter,
        }
    }

    fn now() -> Now {
        Now {
            monotonic: Instant::ZERO,
            wall: WallTime(0),
        }
    }
}
