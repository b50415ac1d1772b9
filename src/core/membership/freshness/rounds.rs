//! Whom to exchange with, and when: one random member a round, another if it does not answer.

use std::collections::BTreeSet;
use std::time::Duration;

use super::pace::Pace;
use crate::chance::Chance;
use crate::id::NodeId;
use crate::time::Instant;

/// Asked in one round at most: the first and two more, which is what fits into it.
const ATTEMPTS: usize = 3;

/// The rounds of this node, and the exchange that is open.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    chance: Chance,
    next: Instant,
    /// Asked in this round, and not heard from since.
    asked: BTreeSet<NodeId>,
    /// Who was heard last: the likeliest to answer.
    friend: Option<NodeId>,
    /// When to ask another; `None` once somebody answered or enough were asked.
    retry: Option<Instant>,
}

/// Who can be asked, by whether knowledge of it is recent.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates {
    pub(super) online: Vec<NodeId>,
    pub(super) stale: Vec<NodeId>,
}

impl Rounds {
    pub(super) fn new(chance: Chance, now: Instant) -> Self {
        Self {
            chance,
            next: now,
            asked: BTreeSet::new(),
            friend: None,
            retry: None,
        }
    }

    /// When [`Rounds::due`] has something to do.
    pub(super) fn next_wake(&self) -> Instant {
        self.retry.map_or(self.next, |retry| retry.min(self.next))
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_wake() <= now
    }

    /// Whom to ask now.
    pub(super) fn due(
        &mut self,
        candidates: Candidates,
        pace: &Pace,
        now: Instant,
    ) -> Option<NodeId> {
        if self.next <= now {
            self.asked.clear();
            self.next = self.after_about(pace, now);
        }
        let chosen = match self.asked.len() + 1 {
            ATTEMPTS => self
                .last_resort(&candidates)
                .or_else(|| self.choose(candidates)),
            _ => self.choose(candidates),
        };
        let more = chosen.is_some() && self.asked.len() + 1 < ATTEMPTS;
        self.retry = more.then(|| now + pace.patience());
        self.asked.extend(chosen);
        chosen
    }

    /// `from` was heard: the round has done its work if it was asked in it.
    pub(super) fn heard(&mut self, from: NodeId) {
        self.friend = Some(from);
        if self.asked.contains(&from) {
            self.retry = None;
        }
    }

    /// `peer` cannot be reached: another is asked at once, if this round asked it.
    pub(super) fn failed(&mut self, peer: NodeId, now: Instant) {
        if self.asked.contains(&peer) && self.retry.is_some() {
            self.retry = Some(now);
        }
    }

    /// Starts a round now: there is somebody new to ask.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next = self.next.min(now);
    }

    /// A round, give or take an eighth, so that nodes that start together do not stay in step. In
    /// whole milliseconds, because that is what timers count in.
    fn after_about(&mut self, pace: &Pace, now: Instant) -> Instant {
        let round = u64::try_from(pace.round.as_millis()).expect("a round is of seconds");
        let eighth = round / 8;
        let length = round - eighth + self.chance.below(2 * eighth + 1);
        now + Duration::from_millis(length)
    }

    /// A stale one as often as the share of the stale among all, and at most every other time: a
    /// heal then needs no special case, and a grid that is mostly off still gossips.
    fn choose(&mut self, candidates: Candidates) -> Option<NodeId> {
        let fresh = self.not_asked(candidates.online);
        let stale = self.not_asked(candidates.stale);
        let all = (fresh.len() + stale.len()) as u64;
        let share = (2 * stale.len() as u64).min(all);
        let wants_stale = self.chance.below(2 * all) < share;
        let (first, second) = match wants_stale {
            true => (stale, fresh),
            false => (fresh, stale),
        };
        let from = if first.is_empty() { second } else { first };
        self.chance.pick(&from).copied()
    }

    /// After two that did not answer: the one that spoke last, so that a node which is cut from most
    /// of its peers still reaches somebody in each round.
    fn last_resort(&self, candidates: &Candidates) -> Option<NodeId> {
        let friend = self.friend.filter(|friend| !self.asked.contains(friend))?;
        candidates.online.contains(&friend).then_some(friend)
    }

    fn not_asked(&self, mut nodes: Vec<NodeId>) -> Vec<NodeId> {
        nodes.retain(|node| !self.asked.contains(node));
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_is_followed_by_two_others_in_the_same_round() {
        let mut rounds = rounds();
        let mut asked = BTreeSet::new();
        for attempt in 0..3 {
            let now = Instant::from_millis(attempt * 200);
            assert!(rounds.is_due(now));
            asked.extend(rounds.due(candidates(5, 0), &Pace::of(6), now));
        }
        assert_eq!(asked.len(), 3);
        assert!(
            !rounds.is_due(Instant::from_millis(430)),
            "until the next round"
        );
        assert!(rounds.is_due(Instant::from_millis(563)));
    }

    #[test]
    fn the_last_attempt_of_a_round_goes_to_who_spoke_last() {
        let friend = NodeId([7; 32]);
        for round in 0..50_u64 {
            let mut rounds = rounds();
            rounds.heard(friend);
            let mut ask = |millis: u64| {
                let now = Instant::from_millis(round * 2_000 + millis);
                rounds.due(candidates(50, 0), &Pace::of(101), now).unwrap()
            };
            let asked = [ask(0), ask(200), ask(400)];
            assert!(asked.contains(&friend), "{asked:?}");
        }
    }

    #[test]
    fn an_answer_ends_the_round() {
        let mut rounds = rounds();
        let asked = rounds
            .due(candidates(5, 0), &Pace::of(6), Instant::ZERO)
            .unwrap();
        rounds.heard(asked);
        assert!(!rounds.is_due(Instant::from_millis(430)));
    }

    #[test]
    fn a_refusal_asks_another_at_once() {
        let mut rounds = rounds();
        let asked = rounds
            .due(candidates(5, 0), &Pace::of(6), Instant::ZERO)
            .unwrap();
        rounds.failed(asked, Instant::from_millis(3));
        assert!(rounds.is_due(Instant::from_millis(3)));
    }

    #[test]
    fn the_stale_are_asked_by_their_share_and_at_most_every_other_time() {
        for (online, stale, least, most) in [(9, 1, 60, 140), (5, 5, 440, 560), (1, 9, 440, 560)] {
            let mut rounds = rounds();
            let mut asked_stale = 0;
            for round in 0..1_000 {
                let now = Instant::from_millis(round * 1_000);
                let asked = rounds
                    .due(candidates(online, stale), &Pace::of(10), now)
                    .unwrap();
                rounds.heard(asked);
                asked_stale += u32::from(asked.0[0] >= 100);
            }
            assert!(
                (least..most).contains(&asked_stale),
                "{online} {stale}: {asked_stale}"
            );
        }
    }

    #[test]
    fn alone_there_is_nobody_to_ask() {
        let mut rounds = rounds();
        assert_eq!(
            rounds.due(candidates(0, 0), &Pace::of(1), Instant::ZERO),
            None
        );
        assert!(!rounds.is_due(Instant::from_millis(400)));
    }

    fn rounds() -> Rounds {
        Rounds::new(Chance::new(1, "rounds"), Instant::ZERO)
    }

    fn candidates(online: u8, stale: u8) -> Candidates {
        Candidates {
            online: (0..online).map(|n| NodeId([n; 32])).collect(),
            stale: (100..100 + stale).map(|n| NodeId([n; 32])).collect(),
        }
    }
}
