//! Since when nothing troubles a host: some promises are for calm times only.

use std::time::Duration;

use kontena_core::time::Instant;

use crate::plan::Touched;

/// What troubles each host now, and until when something did.
#[derive(Clone, Debug)]
pub struct Calm {
    hosts: Vec<Trouble>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    under_way: u32,
    last: Instant,
    /// How long it had been calm when what troubles it now began.
    before: Duration,
}

impl Calm {
    pub fn new(hosts: usize) -> Self {
        Self {
            hosts: vec![Trouble::default(); hosts],
        }
    }

    pub(super) fn trouble_begins(&mut self, touched: &Touched, now: Instant) {
        self.each(touched, |trouble| {
            trouble.before = match trouble.under_way {
                0 => now.since(trouble.last),
                _ => Duration::ZERO,
            };
            trouble.under_way += 1;
            trouble.last = trouble.last.max(now);
        });
    }

    /// `at` may be later than now: what was begun goes on until then.
    pub(super) fn trouble_ends(&mut self, touched: &Touched, at: Instant) {
        self.each(touched, |trouble| {
            trouble.under_way = trouble.under_way.saturating_sub(1);
            trouble.last = trouble.last.max(at);
        });
    }

    fn each(&mut self, touched: &Touched, change: impl Fn(&mut Trouble)) {
        match touched {
            Touched::Nobody => {}
            Touched::Hosts(hosts) => hosts.iter().for_each(|host| change(&mut self.hosts[*host])),
            Touched::All => self.hosts.iter_mut().for_each(change),
        }
    }

    /// How long nothing has troubled a host.
    pub fn of(&self, host: usize, now: Instant) -> Duration {
        let trouble = self.hosts[host];
        match trouble.under_way {
            0 => now.since(trouble.last),
            _ => Duration::ZERO,
        }
    }

    /// How long nothing had troubled a host when the only thing that troubles it now began; nothing if
    /// more than one does.
    pub fn before(&self, host: usize) -> Duration {
        match self.hosts[host].under_way {
            1 => self.hosts[host].before,
            _ => Duration::ZERO,
        }
    }

    /// How many things trouble a host now.
    pub fn under_way(&self, host: usize) -> u32 {
        self.hosts[host].under_way
    }

    /// How long nothing has begun or ended that troubles a host.
    pub fn steady(&self, host: usize, now: Instant) -> Duration {
        now.since(self.hosts[host].last)
    }

    /// How long nothing has troubled any host.
    pub fn of_all(&self, now: Instant) -> Duration {
        let hosts = 0..self.hosts.len();
        hosts
            .map(|host| self.of(host, now))
            .min()
            .unwrap_or_default()
    }
}
