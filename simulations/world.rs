//! The world: hosts, one queue of events, virtual time.

mod carry;
mod fencing;
mod happen;
mod misfortune;
mod moving;
mod people;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::command::{CommandId, Reply};
use kontena_core::id::{InstanceId, NodeId, ServiceKey};
use kontena_core::time::{Instant, Now};

use self::moving::Stream;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::digest::Digest;
use crate::fact::Fact;
use crate::host::Host;
use crate::meter::Meter;
use crate::network::Network;
use crate::queue::{Event, Queue, What};

/// A grid of hosts.
#[derive(Debug)]
pub struct World {
    pub hosts: Vec<Host>,
    pub network: Network,
    /// Hosts that forge the reports of others.
    pub forgers: BTreeSet<usize>,
    /// Hosts whose data plane carries nothing.
    secluded: BTreeSet<usize>,
    /// For whoever tells a story.
    pub chance: Chance,
    seed: u64,
    now: Instant,
    queue: Queue,
    /// Who answers to a key: several hosts where a disk was cloned.
    by_id: BTreeMap<NodeId, Vec<usize>>,
    replies: BTreeMap<CommandId, Reply>,
    commands: u64,
    /// Of services that were created, what their image is called.
    created: BTreeMap<ServiceKey, String>,
    /// Instances that somebody bound to a node where their data is not.
    pub forced: BTreeSet<InstanceId>,
    /// Who asked to be admitted, with which command: a call's number is its place here.
    joins: Vec<(usize, CommandId)>,
    /// Streams of data that moves, by the number of their question.
    streams: Vec<Stream>,
    /// How long a member's answer takes on its way to a stranger.
    pub join_latency: Duration,
    /// Whose message is handled now.
    asker: Option<usize>,
    /// Messages carried so far.
    pub messages: u64,
    /// What each host sends, while it is measured.
    pub meter: Option<Meter>,
    /// Events so far.
    pub events: u64,
    facts: Option<Vec<(usize, Fact)>>,
    digest: Digest,
}

impl World {
    /// `hosts` machines that run a node each, in no grid yet.
    pub fn new(hosts: usize, seed: u64) -> Self {
        let mut world = Self {
            hosts: Vec::new(),
            network: Network::new(seed),
            forgers: BTreeSet::new(),
            secluded: BTreeSet::new(),
            chance: Chance::new(seed, "story"),
            seed,
            now: Instant::from_millis(1000),
            queue: Queue::default(),
            by_id: BTreeMap::new(),
            replies: BTreeMap::new(),
            commands: 0,
            created: BTreeMap::new(),
            forced: BTreeSet::new(),
            joins: Vec::new(),
            streams: Vec::new(),
            join_latency: Duration::from_millis(1),
            asker: None,
            messages: 0,
            meter: None,
            events: 0,
            facts: None,
            digest: Digest::default(),
        };
        for host in 0..hosts {
            let address = Self::address(host);
            world.hosts.push(Host::new(host, seed, address));
            world.boot(host);
        }
        world
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    /// What a true clock shows.
    pub fn clock(&self) -> Now {
        Clock::default().read(self.now)
    }

    pub fn id(&self, host: usize) -> NodeId {
        self.hosts[host].id()
    }

    /// Where a host is found at the beginning: hosts are told apart by address.
    pub fn address(host: usize) -> String {
        format!("10.77.{}.{}:8470", host / 250, host % 250 + 1)
    }

    /// The host that has an address now.
    pub(crate) fn host_at(&self, address: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.address == address)
    }

    // --- time ---

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.wait_until(end);
    }

    /// When the next event happens.
    pub fn next_at(&self) -> Option<Instant> {
        self.queue.next_at()
    }

    /// Lets time pass until a moment before which nothing happens.
    pub(crate) fn wait_until(&mut self, at: Instant) {
        self.now = self.now.max(at);
    }

    /// Runs until `holds`; gives how long it took, or panics with what it waited for.
    #[track_caller]
    pub fn until(
        &mut self,
        limit: Duration,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) -> Duration {
        let start = self.now;
        while !holds(self) {
            assert!(
                self.now.since(start) < limit,
                "not within {limit:?}: {what}\n{}",
                self.summary()
            );
            self.step();
        }
        self.now.since(start)
    }

    /// Lets the next event happen.
    pub fn step(&mut self) {
        let Some((at, event)) = self.queue.pop() else {
            self.now = self.now + Duration::from_secs(1);
            return;
        };
        self.now = at;
        self.events += 1;
        self.digest.event(at, event.host, event.what.kind());
        self.happen(event);
    }

    fn after(&mut self, delay: Duration, host: usize, what: What) {
        self.at(self.now + delay, host, what);
    }

    fn at(&mut self, at: Instant, host: usize, what: What) {
        let life = self.hosts[host].life;
        self.queue.push(at, Event { host, life, what });
    }

    /// Events that are foreseen: what is under way.
    pub fn foreseen(&self) -> usize {
        self.queue.len()
    }

    // --- what is told ---

    /// From now on facts are kept until they are taken.
    pub fn watch(&mut self) {
        self.facts = Some(Vec::new());
    }

    /// What happened since this was last asked, and on which host.
    pub fn take_facts(&mut self) -> Vec<(usize, Fact)> {
        self.facts.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn tell(&mut self, host: usize, fact: impl FnOnce() -> Fact) {
        if let Some(facts) = &mut self.facts {
            facts.push((host, fact()));
        }
    }

    /// A number that follows from every event so far: equal runs have equal ones.
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }
}
