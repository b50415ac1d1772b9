//! Clones: two live processes with one node's key, because a disk or a machine was copied.
//!
//! Each boot of a node draws a nonce, so two processes are told apart even where everything on
//! their disks is equal. Peers notice both speaking in turn ([`Lives`]) and tell them; a node
//! notices by itself when beats in its name come back that it did not make ([`Double`]).
//!
//! A node whose disk was restored from a backup is *not* a clone: its later life is over, and does
//! not go on rising. It continues above that life ([`Own::RestartAbove`]).
//!
//! Not here: what a cloned node refuses (`node`). Nothing here is proof against a hostile member:
//! it can make another node believe that it was cloned, which shows, stops what that node
//! takes over, and ends with that node's next start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::NodeId;
use crate::membership::vector::Beat;
use crate::report::ReportOrder;
use crate::time::Instant;

/// How long a life that is over may still be heard after another one was: what it sent last may wait in a
/// connection of its own, where Linux sends a packet that was lost again after 0.2, 0.6, 1.4 and 3 s.
const LAST_WORDS: Duration = Duration::from_secs(4);

/// A life that said nothing for this long is over.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// How often the two are told, each.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// More lives of one node than this within [`FORGET_AFTER`] are a crash loop; the oldest is dropped.
const MAX_LIVES: usize = 8;

/// Two lives of one node that speak in turn: the older one's order and the newer one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubled {
    pub first: ReportOrder,
    pub second: ReportOrder,
}

/// The lives of each peer that spoke to this node lately, over a connection that proves its key.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    by_node: BTreeMap<NodeId, Vec<Life>>,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    order: ReportOrder,
    first: Instant,
    last: Instant,
    told: Option<Instant>,
}

impl Lives {
    /// Notes that `from` spoke as `order`. `Some` if that node is cloned and its sender shall be
    /// told now (at most every 10 s for each of the two).
    pub fn spoke(&mut self, from: NodeId, order: ReportOrder, now: Instant) -> Option<Doubled> {
        let lives = self.by_node.entry(from).or_default();
        lives.retain(|life| now.since(life.last) < FORGET_AFTER);
        note(lives, order, now);
        let speaker = *lives.iter().find(|life| is_same(life, order))?;
        let other = lives.iter().filter(|life| !is_same(life, order));
        let doubled = other.filter_map(|other| doubled(speaker, *other)).next()?;
        let due = speaker
            .told
            .is_none_or(|told| now.since(told) >= TELL_EVERY);
        mark_told(lives, order, now, due);
        due.then_some(doubled)
    }

    /// Whether two processes with this node's key spoke in turn within the last minute.
    pub fn is_cloned(&self, node: &NodeId) -> bool {
        let lives = self.by_node.get(node).map_or(&[][..], Vec::as_slice);
        lives.iter().enumerate().any(|(place, life)| {
            let later = lives.iter().skip(place + 1);
            later.clone().any(|other| doubled(*life, *other).is_some())
        })
    }

    /// Forgets who is no member.
    pub fn set_roster(&mut self, roster: &BTreeSet<NodeId>) {
        self.by_node.retain(|node, _| roster.contains(node));
    }
}

/// Both still speak well after the first words of either were heard. Neither the boot counter says which
/// one is over (a restored disk, like a clone, may count anything), nor the order of the first words: the
/// only ones of a short life may be overtaken by the next one's, and wait as long as their receiver stands
/// still.
fn doubled(one: Life, other: Life) -> Option<Doubled> {
    let (older, newer) = match one.first <= other.first {
        true => (one, other),
        false => (other, one),
    };
    let goes_on = |life: Life| life.last.since(newer.first) >= LAST_WORDS;
    (goes_on(older) && goes_on(newer)).then_some(Doubled {
        first: older.order,
        second: newer.order,
    })
}

/// A node that continues above an earlier boot counter keeps its nonce: it is the same life.
fn is_same(life: &Life, order: ReportOrder) -> bool {
    life.order.nonce == order.nonce
}

fn note(lives: &mut Vec<Life>, order: ReportOrder, now: Instant) {
    if let Some(life) = lives.iter_mut().find(|life| is_same(life, order)) {
        life.last = now;
        life.order = life.order.max(order);
        return;
    }
    if lives.len() == MAX_LIVES {
        lives.remove(0);
    }
    lives.push(Life {
        order,
        first: now,
        last: now,
        told: None,
    });
}

fn mark_told(lives: &mut [Life], order: ReportOrder, now: Instant, due: bool) {
    for life in lives.iter_mut().filter(|life| due && is_same(life, order)) {
        life.told = Some(now);
    }
}

/// What a node learns about itself from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Own {
    /// Nothing new.
    #[default]
    Agreed,
    /// Peers know a later life of this node than the one that runs: its disk was restored. It has
    /// to continue above this boot counter, or nobody will believe anything that it says.
    RestartAbove { boot: u64 },
}

/// A foreign life that rises this often, over this long, is alive: more than what relays still
/// spread of a dead one.
const RISES: u32 = 3;
const RISING_FOR: Duration = Duration::from_secs(5);

/// A clone is answered by continuing above it this often, so that it notices too; then no more,
/// because each time is a write to the disk.
const ANSWERS: u32 = 16;

/// More foreign nonces than this are not remembered; two suffice to know.
const MAX_STRANGERS: usize = 4;

/// What this node has seen of lives in its own name that are not this one.
#[derive(Clone, Debug, Default)]
pub struct Double {
    strangers: BTreeMap<u64, Stranger>,
    cloned: bool,
}

#[derive(Clone, Copy, Debug)]
struct Stranger {
    since: Instant,
    newest: Beat,
    rises: u32,
}

impl Double {
    /// Judges a beat in this node's name that somebody relayed; `own` is its newest own one.
    pub fn hear(&mut self, own: Beat, heard: Beat, now: Instant) -> Own {
        if heard <= own {
            return Own::Agreed;
        }
        self.note(heard, now);
        let stranger = self.strangers.get(&heard.nonce);
        if stranger.is_some_and(|stranger| stranger.rises >= ANSWERS) {
            return Own::Agreed;
        }
        Own::RestartAbove { boot: heard.boot }
    }

    /// A peer says that two processes speak with this node's key. Believed if one of them is this
    /// one, and the other is not.
    pub fn told(&mut self, own: Beat, first: ReportOrder, second: ReportOrder) {
        let is_own = |order: ReportOrder| order.nonce == own.nonce;
        self.cloned |= is_own(first) != is_own(second);
    }

    /// Whether another process runs with this node's key. It stays so until this process ends.
    pub fn is_cloned(&self) -> bool {
        self.cloned
    }

    fn note(&mut self, heard: Beat, now: Instant) {
        if self.strangers.len() == MAX_STRANGERS && !self.strangers.contains_key(&heard.nonce) {
            return;
        }
        let stranger = self.strangers.entry(heard.nonce).or_insert(Stranger {
            since: now,
            newest: heard,
            rises: 0,
        });
        if heard > stranger.newest {
            stranger.newest = heard;
            stranger.rises = stranger.rises.saturating_add(1);
        }
        let is_alive = stranger.rises >= RISES && now.since(stranger.since) >= RISING_FOR;
        self.cloned |= is_alive;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    #[test]
    fn two_lives_in_turn_are_a_clone_and_both_are_told() {
        let mut lives = Lives::default();
        assert_eq!(speak(&mut lives, 0, 5, 100), None);
        assert_eq!(speak(&mut lives, 500, 5, 200), None);
        assert_eq!(speak(&mut lives, 4_600, 5, 100), None);
        let told = speak(&mut lives, 5_000, 5, 200).expect("both still speak");
        assert_eq!((told.first.nonce, told.second.nonce), (100, 200));
        assert!(
            speak(&mut lives, 5_500, 5, 100).is_some(),
            "the other is told too"
        );
        assert_eq!(speak(&mut lives, 5_900, 5, 200), None, "but not each time");
        assert!(lives.is_cloned(&NODE));
    }

    #[test]
    fn a_restart_is_no_clone_even_if_last_words_come_late() {
        let mut lives = Lives::default();
        speak(&mut lives, 0, 5, 100);
        speak(&mut lives, 1_000, 6, 200);
        assert_eq!(speak(&mut lives, 1_500, 5, 100), None, "last words");
        for second in 2..600 {
            assert_eq!(speak(&mut lives, second * 1_000, 6, 200), None);
        }
        assert!(!lives.is_cloned(&NODE));
    }

    #[test]
    fn the_only_words_of_a_short_life_may_come_after_the_first_of_the_next() {
        let mut lives = Lives::default();
        speak(&mut lives, 0, 6, 200);
        speak(&mut lives, 2, 5, 100);
        for second in 1..600 {
            assert_eq!(speak(&mut lives, second * 1_000, 6, 200), None);
        }
        assert!(!lives.is_cloned(&NODE));
    }

    #[test]
    fn a_restored_node_is_no_clone_though_what_it_said_before_comes_late() {
        let mut lives = Lives::default();
        speak(&mut lives, 0, 4, 200);
        speak(&mut lives, 1, 9, 100);
        assert_eq!(speak(&mut lives, 3_500, 9, 100), None, "last words");
        for second in 4..600 {
            assert_eq!(speak(&mut lives, second * 1_000, 4, 200), None);
        }
        assert!(!lives.is_cloned(&NODE));
    }

    #[test]
    fn a_clone_that_counts_fewer_boots_is_told_too() {
        let mut lives = Lives::default();
        speak(&mut lives, 0, 9, 100);
        speak(&mut lives, 500, 5, 200);
        speak(&mut lives, 4_600, 9, 100);
        assert!(speak(&mut lives, 5_000, 5, 200).is_some());
    }

    #[test]
    fn a_node_that_restarts_every_few_seconds_is_no_clone() {
        let mut lives = Lives::default();
        for boot in 0..100 {
            for beat in 0..4 {
                let order_nonce = 1_000 - boot;
                assert_eq!(
                    speak(&mut lives, boot * 4_000 + beat * 900, boot, order_nonce),
                    None
                );
            }
        }
    }

    #[test]
    fn a_node_that_continues_above_its_old_boot_is_one_life() {
        let mut lives = Lives::default();
        speak(&mut lives, 0, 2, 100);
        speak(&mut lives, 1_000, 9, 100);
        assert_eq!(speak(&mut lives, 9_000, 9, 100), None);
    }

    #[test]
    fn a_clone_that_is_stopped_is_forgotten_after_a_minute() {
        let mut lives = Lives::default();
        for (millis, nonce) in [(0, 100), (500, 200), (4_600, 100), (4_700, 200)] {
            speak(&mut lives, millis, 5, nonce);
        }
        assert!(lives.is_cloned(&NODE));
        speak(&mut lives, 65_000, 5, 200);
        assert!(!lives.is_cloned(&NODE));
    }

    #[test]
    fn a_restored_node_continues_above_its_later_life() {
        let mut double = Double::default();
        let own = beat(3, 100, 1);
        let restart = Own::RestartAbove { boot: 9 };
        for second in 0..60 {
            let at = Instant::from_millis(second * 1_000);
            assert_eq!(double.hear(own, beat(9, 70, 4_000), at), restart);
        }
        let above = beat(10, 100, 1);
        assert_eq!(
            double.hear(above, beat(9, 70, 4_000), Instant::ZERO),
            Own::Agreed
        );
        assert!(!double.is_cloned());
    }

    #[test]
    fn two_clones_that_overtake_each_other_notice_within_seconds() {
        let (mut left, mut right) = (Double::default(), Double::default());
        let (mut a, mut b) = (beat(5, 100, 0), beat(5, 200, 0));
        for second in 0..15 {
            let at = Instant::from_millis(second * 1_000);
            a.counter += 1;
            b.counter += 1;
            if let Own::RestartAbove { boot } = left.hear(a, b, at) {
                a = beat(boot + 1, 100, 0);
            }
            if let Own::RestartAbove { boot } = right.hear(b, a, at) {
                b = beat(boot + 1, 200, 0);
            }
        }
        assert!(left.is_cloned() && right.is_cloned());
    }

    #[test]
    fn an_accusation_between_strangers_is_not_believed() {
        let mut double = Double::default();
        let own = beat(5, 100, 7);
        double.told(own, order(5, 1), order(5, 2));
        double.told(own, order(4, 100), order(5, 100));
        assert!(!double.is_cloned());
        double.told(own, order(5, 100), order(5, 2));
        assert!(double.is_cloned());
    }

    fn speak(lives: &mut Lives, millis: u64, boot: u64, nonce: u64) -> Option<Doubled> {
        lives.spoke(NODE, order(boot, nonce), Instant::from_millis(millis))
    }

    fn order(boot: u64, nonce: u64) -> ReportOrder {
        ReportOrder {
            boot,
            nonce,
            sequence: 0,
        }
    }

    fn beat(boot: u64, nonce: u64, counter: u64) -> Beat {
        Beat {
            boot,
            nonce,
            counter,
        }
    }
}
