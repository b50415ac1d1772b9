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

/// Who can be asked, and whether it is online. They are gone through and not copied: there may be a thousand.
pub(super) trait Candidates<'a>: Iterator<Item = (&'a NodeId, bool)> + Clone {}

impl<'a, T: Iterator<Item = (&'a NodeId, bool)> + Clone> Candidates<'a> for T {}

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
    pub(super) fn due<'a>(
        &mut self,
        candidates: impl Candidates<'a>,
        pace: &Pace,
        now: Instant,
    ) -> Option<NodeId> {
        if self.next <= now {
            self.asked.clear();
            self.next = self.after_about(pace, now);
        }
        let chosen = match self.asked.len() + 1 {
            ATTEMPTS => self
                .last_resort(candidates.clone())
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
    fn choose<'a>(&mut self, candidates: impl Candidates<'a>) -> Option<NodeId> {
        let Self { asked, chance, .. } = self;
        let open = candidates.filter(|(node, _)| !asked.contains(node));
        let (mut fresh, mut stale) = (0, 0);
        for (_, is_online) in open.clone() {
            match is_online {
                true => fresh += 1,
                false => stale += 1,
            }
        }
        let all = (fresh + stale) as u64;
        let share = (2 * stale as u64).min(all);
        let wants_stale = chance.below(2 * all) < share;
        // Where there is none of them, one of the others.
        let (is_sought, count) = match wants_stale && stale > 0 || fresh == 0 {
            true => (false, stale),
            false => (true, fresh),
        };
        let mut sought = open.filter(|(_, is_online)| *is_online == is_sought);
        sought.nth(chance.index(count)).map(|(node, _)| *node)
    }

    /// After two that did not answer: the one that spoke last, so that a node which is cut from most
    /// of its peers still reaches somebody in each round.
    fn last_resort<'a>(&self, mut candidates: impl Candidates<'a>) -> Option<NodeId> {
        let friend = self.friend.filter(|friend| !self.asked.contains(friend))?;
        let is_friend = |(node, is_online): (&NodeId, bool)| is_online && *node == friend;
        candidates.any(is_friend).then_some(friend)
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
            asked.extend(rounds.due(each(&candidates(5, 0)), &Pace::of(6), now));
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
                rounds
                    .due(each(&candidates(50, 0)), &Pace::of(101), now)
                    .unwrap()
            };
            let asked = [ask(0), ask(200), ask(400)];
            assert!(asked.contains(&friend), "{asked:?}");
        }
    }

    #[test]
    fn an_answer_ends_the_round() {
        let mut rounds = rounds();
        let asked = rounds
            .due(each(&candidates(5, 0)), &Pace::of(6), Instant::ZERO)
            .unwrap();
        rounds.heard(asked);
        assert!(!rounds.is_due(Instant::from_millis(430)));
    }

    #[test]
    fn a_refusal_asks_another_at_once() {
        let mut rounds = rounds();
        let asked = rounds
            .due(each(&candidates(5, 0)), &Pace::of(6), Instant::ZERO)
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
                    .due(each(&candidates(online, stale)), &Pace::of(10), now)
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
            rounds.due(each(&candidates(0, 0)), &Pace::of(1), Instant::ZERO),
            None
        );
        assert!(!rounds.is_due(Instant::from_millis(400)));
    }

    fn rounds() -> Rounds {
        Rounds::new(Chance::new(1, "rounds"), Instant::ZERO)
    }

    fn candidates(online: u8, stale: u8) -> Vec<(NodeId, bool)> {
        let online = (0..online).map(|n| (NodeId([n; 32]), true));
        let stale = (100..100 + stale).map(|n| (NodeId([n; 32]), false));
        online.chain(stale).collect()
    }

    fn each(candidates: &[(NodeId, bool)]) -> impl Candidates<'_> {
        candidates
            .iter()
            .map(|(node, is_online)| (node, *is_online))
    }
}
