//! How much of us a stranger may use. Pure: time and addresses are arguments.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

/// Strangers that are connected or asking at once.
pub(super) const STRANGERS: usize = 16;

/// Of these from one address, so that one host cannot keep all others out.
const STRANGERS_PER_ADDRESS: usize = 8;

/// How long a stranger may stay connected before it asks, and how long its question stands.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Questions from one address in [`WINDOW`].
const QUESTIONS_PER_ADDRESS: usize = 16;
const WINDOW: Duration = Duration::from_secs(10);

/// Whether one more stranger from `address` may connect, beside those at `others`.
pub(super) fn may_connect(address: IpAddr, others: &[IpAddr]) -> bool {
    let same = others.iter().filter(|other| **other == address).count();
    others.len() < STRANGERS && same < STRANGERS_PER_ADDRESS
}

/// The questions that are open, and how often each address asked lately.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeMap<u64, (PeerId, Instant)>,
    lately: BTreeMap<IpAddr, VecDeque<Instant>>,
    last_id: u64,
}

impl Questions {
    /// The number of a new question; `None` where it is one too many.
    pub(super) fn ask(&mut self, peer: PeerId, from: IpAddr, now: Instant) -> Option<u64> {
        self.forget_old(now);
        let asks_already = self.open.values().any(|(asking, _)| *asking == peer);
        let lately = self.lately.entry(from).or_default();
        if asks_already || self.open.len() >= STRANGERS || lately.len() >= QUESTIONS_PER_ADDRESS {
            return None;
        }
        lately.push_back(now);
        self.last_id += 1;
        self.open.insert(self.last_id, (peer, now));
        Some(self.last_id)
    }

    pub(super) fn close(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// The questions that nobody answered in time, which are closed.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<u64> {
        let is_old = |asked: Instant| now.saturating_duration_since(asked) >= ANSWER_LIMIT;
        let old = self.open.iter().filter(|(_, (_, asked))| is_old(*asked));
        let old: Vec<u64> = old.map(|(id, _)| *id).collect();
        for id in &old {
            self.open.remove(id);
        }
        old
    }

    /// Whose questions are open.
    pub(super) fn asking(&self) -> impl Iterator<Item = PeerId> {
        self.open.values().map(|(peer, _)| *peer)
    }

    fn forget_old(&mut self, now: Instant) {
        self.lately.retain(|_, times| {
            times.retain(|time| now.saturating_duration_since(*time) < WINDOW);
            !times.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_cannot_keep_the_others_out() {
        let crowd = [ip(1); STRANGERS_PER_ADDRESS];
        assert!(!may_connect(ip(1), &crowd));
        assert!(may_connect(ip(2), &crowd));
        assert!(!may_connect(ip(2), &[crowd, crowd].concat()));
    }

    #[test]
    fn a_peer_asks_one_question_at_a_time() {
        let (mut questions, now, peer) = (Questions::default(), Instant::now(), PeerId::random());
        let first = questions.ask(peer, ip(1), now).unwrap();
        assert_eq!(questions.ask(peer, ip(1), now), None);
        questions.close(first);
        assert!(questions.ask(peer, ip(1), now).is_some());
    }

    #[test]
    fn an_address_asks_so_often_and_again_after_a_while() {
        let (mut questions, now) = (Questions::default(), Instant::now());
        let mut ask = |now| {
            let id = questions.ask(PeerId::random(), ip(1), now);
            id.inspect(|id| questions.close(*id)).is_some()
        };
        assert!((0..QUESTIONS_PER_ADDRESS).all(|_| ask(now)));
        assert!(!ask(now));
        assert!(ask(now + WINDOW));
    }

    #[test]
    fn a_question_expires_once() {
        let (mut questions, now) = (Questions::default(), Instant::now());
        let id = questions.ask(PeerId::random(), ip(1), now).unwrap();
        assert!(questions.expired(now).is_empty());
        assert_eq!(questions.expired(now + ANSWER_LIMIT), [id]);
        assert!(questions.expired(now + ANSWER_LIMIT).is_empty());
    }
}
