//! Which of the host's resolvers is asked first.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a resolver that did not answer is asked last; doubled each time, up to a minute. Then a question
/// tries it again, which costs that question the wait for a second one at most.
const REST: Duration = Duration::from_secs(1);
const REST_DOUBLES: u32 = 6;

/// Resolvers beyond these are not used; resolv.conf knows three, systemd-resolved one or two for each link.
const MOST: usize = 8;

/// In the order of the host's configuration.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    all: Vec<Upstream>,
}

#[derive(Debug)]
struct Upstream {
    address: SocketAddr,
    failures: u32,
    rests_until: Option<Instant>,
    /// It asks us what we ask it, and is not asked. It stays in the list: that one is compared with the host's.
    leads_back: bool,
}

impl Upstreams {
    /// What is known of those that stay is kept, but for whether they lead back to us: among others they may not.
    /// `true` if they are others than before.
    pub(crate) fn replace(&mut self, addresses: &[SocketAddr]) -> bool {
        let mut wanted: Vec<SocketAddr> = Vec::new();
        for address in addresses {
            if !wanted.contains(address) && wanted.len() < MOST {
                wanted.push(*address);
            }
        }
        if self
            .all
            .iter()
            .map(|upstream| upstream.address)
            .eq(wanted.iter().copied())
        {
            return false;
        }
        let mut before = std::mem::take(&mut self.all);
        for address in wanted {
            let known = before
                .iter()
                .position(|upstream| upstream.address == address);
            let upstream = known.map(|at| before.swap_remove(at));
            let new = Upstream {
                address,
                failures: 0,
                rests_until: None,
                leads_back: false,
            };
            self.all.push(Upstream {
                leads_back: false,
                ..upstream.unwrap_or(new)
            });
        }
        true
    }

    /// Those that answer, in the host's order; those that did not lately behind them, because even they are
    /// better than nobody.
    pub(crate) fn order(&self, now: Instant) -> Vec<SocketAddr> {
        let rests = |upstream: &&Upstream| upstream.rests_until.filter(|until| now < *until);
        let asked = self.all.iter().filter(|upstream| !upstream.leads_back);
        let mut order: Vec<&Upstream> = asked.collect();
        order.sort_by_key(|upstream| rests(upstream));
        order.into_iter().map(|upstream| upstream.address).collect()
    }

    pub(crate) fn answered(&mut self, address: SocketAddr) {
        if let Some(upstream) = self.find(address) {
            upstream.failures = 0;
            upstream.rests_until = None;
        }
    }

    pub(crate) fn failed(&mut self, address: SocketAddr, now: Instant) {
        let Some(upstream) = self.find(address) else {
            return;
        };
        // Questions that were under way together count once.
        if upstream.rests_until.is_none_or(|until| until <= now) {
            upstream.rests_until = Some(now + REST * 2_u32.pow(upstream.failures));
            upstream.failures = (upstream.failures + 1).min(REST_DOUBLES);
        }
    }

    /// It leads back to us: it is not asked until the host names others.
    pub(crate) fn give_up(&mut self, address: SocketAddr) {
        if let Some(upstream) = self.find(address) {
            upstream.leads_back = true;
        }
    }

    fn find(&mut self, address: SocketAddr) -> Option<&mut Upstream> {
        self.all
            .iter_mut()
            .find(|upstream| upstream.address == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> SocketAddr {
        ([192, 0, 2, number], 53).into()
    }

    fn three() -> Upstreams {
        let mut upstreams = Upstreams::default();
        assert!(upstreams.replace(&[address(1), address(2), address(1), address(3)]));
        upstreams
    }

    #[test]
    fn who_does_not_answer_is_asked_last_and_tried_again_ever_more_seldom() {
        let (mut upstreams, now) = (three(), Instant::now());
        upstreams.failed(address(1), now);
        assert_eq!(upstreams.order(now), [2, 3, 1].map(address));
        upstreams.failed(address(1), now);
        assert_eq!(
            upstreams.order(now + REST),
            [1, 2, 3].map(address),
            "failing twice at once counts once"
        );
        let mut now = now + REST;
        for _ in 0..20 {
            upstreams.failed(address(1), now);
            now += Duration::from_secs(64);
        }
        upstreams.failed(address(1), now);
        assert_eq!(
            upstreams.order(now + Duration::from_secs(63)),
            [2, 3, 1].map(address)
        );
        assert_eq!(
            upstreams.order(now + Duration::from_secs(64)),
            [1, 2, 3].map(address)
        );
        upstreams.answered(address(1));
        assert_eq!(upstreams.order(now), [1, 2, 3].map(address));
    }

    #[test]
    fn nobody_is_left_out_when_all_fail() {
        let (mut upstreams, now) = (three(), Instant::now());
        for number in 1..=3 {
            upstreams.failed(address(number), now);
        }
        assert_eq!(upstreams.order(now).len(), 3);
    }

    #[test]
    fn what_is_known_of_a_resolver_outlives_a_change_of_the_others() {
        let (mut upstreams, now) = (three(), Instant::now());
        upstreams.failed(address(2), now);
        assert!(!upstreams.replace(&[1, 2, 3].map(address)));
        assert!(upstreams.replace(&[2, 4].map(address)));
        assert_eq!(upstreams.order(now), [4, 2].map(address));
    }

    #[test]
    fn who_leads_back_is_not_asked_until_the_host_names_others() {
        let (mut upstreams, now) = (three(), Instant::now());
        upstreams.give_up(address(2));
        assert_eq!(upstreams.order(now), [1, 3].map(address));
        assert!(
            !upstreams.replace(&[1, 2, 3].map(address)),
            "the host says the same as before"
        );
        assert_eq!(upstreams.order(now), [1, 3].map(address));
        assert!(upstreams.replace(&[2, 3].map(address)));
        assert_eq!(upstreams.order(now), [2, 3].map(address));
    }
}
