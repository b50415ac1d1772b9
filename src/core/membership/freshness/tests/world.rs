//! A world of pulses alone: vectors, delays, losses and cut links in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::*;
use crate::time::WallTime;

pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;

enum Event {
    Wake,
    Deliver {
        from: usize,
        wants_reply: bool,
        vector: Vector,
    },
}

pub(super) struct World {
    now: u64,
    sequence: u64,
    pulses: Vec<Option<Pulse>>,
    queue: BTreeMap<(u64, u64), (usize, Event)>,
    wakes: Vec<u64>,
    versions: Vec<u64>,
    chance: Chance,
    loss_percent: u64,
    /// Ordered pairs that hear nothing of each other: (from, to).
    cut: BTreeSet<(usize, usize)>,
    /// The worst standing seen of each node that was running, since the last [`World::forget`].
    worst: BTreeMap<usize, Freshness>,
}

impl World {
    pub(super) fn new(nodes: usize, seed: u64) -> Self {
        let mut world = Self {
            now: 0,
            sequence: 0,
            pulses: (0..nodes).map(|_| None).collect(),
            queue: BTreeMap::new(),
            wakes: vec![0; nodes],
            versions: vec![0; nodes],
            chance: Chance::new(seed, "world"),
            loss_percent: 0,
            cut: BTreeSet::new(),
            worst: BTreeMap::new(),
        };
        for node in 0..nodes {
            world.start(node);
        }
        world
    }

    /// A world whose nodes have all heard of each other.
    pub(super) fn settled(nodes: usize, seed: u64) -> Self {
        let mut world = Self::new(nodes, seed);
        world.run(30 * SECOND);
        assert_eq!(world.worst_now(), Freshness::Fresh, "after 30 s");
        world.forget();
        world
    }

    pub(super) fn with_loss(mut self, percent: u64) -> Self {
        self.loss_percent = percent;
        self
    }

    pub(super) fn start(&mut self, node: usize) {
        let (nonce, seed) = (self.chance.draw(), self.chance.draw());
        let boot = self.now + 1;
        let mut pulse = Pulse::new(id(node), boot, nonce, seed, self.time());
        pulse.set_roster(&(0..self.pulses.len()).map(id).collect(), self.time());
        self.pulses[node] = Some(pulse);
        self.schedule_wake(node);
    }

    pub(super) fn crash(&mut self, node: usize) {
        self.pulses[node] = None;
    }

    pub(super) fn pulse(&mut self, node: usize) -> &mut Pulse {
        self.pulses[node].as_mut().expect("the node runs")
    }

    pub(super) fn time(&self) -> Now {
        Now {
            monotonic: Instant::from_millis(self.now),
            wall: WallTime(1_700_000_000_000 + self.now),
        }
    }

    /// Cuts what these nodes send to those.
    pub(super) fn cut(&mut self, from: &[usize], to: &[usize]) {
        for from in from {
            self.cut.extend(to.iter().map(|to| (*from, *to)));
        }
    }

    pub(super) fn split(&mut self, left: &[usize], right: &[usize]) {
        self.cut(left, right);
        self.cut(right, left);
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn forget(&mut self) {
        self.worst.clear();
    }

    pub(super) fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        self.run_until(end, |_| false);
    }

    /// Runs until `done`, asked each 50 ms; says how long that took, or `None` if not in time.
    pub(super) fn run_for_at_most(
        &mut self,
        millis: u64,
        done: impl Fn(&Self) -> bool,
    ) -> Option<u64> {
        let start = self.now;
        self.run_until(start + millis, &done);
        done(self).then_some(self.now - start)
    }

    fn run_until(&mut self, end: u64, done: impl Fn(&Self) -> bool) {
        let mut next_look = self.now;
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > next_look {
                if done(self) {
                    return;
                }
                next_look = at + 50;
            }
            if at > end {
                break;
            }
            let ((at, _), (node, event)) = self.queue.pop_first().expect("it was seen");
            self.now = at;
            self.happen(node, event);
        }
        self.now = end;
    }

    fn happen(&mut self, node: usize, event: Event) {
        let time = self.time();
        let Some(pulse) = self.pulses[node].as_mut() else {
            return;
        };
        match event {
            Event::Wake if self.wakes[node] != self.now => return,
            Event::Wake => {
                let partners = pulse.tick(time);
                let vector = pulse.vector();
                for partner in partners {
                    self.send(node, number(partner), true, vector.clone());
                }
            }
            Event::Deliver {
                from,
                wants_reply,
                vector,
            } => {
                pulse.spoke(id(from), !wants_reply, time);
                let own = pulse.hear(id(from), &vector, time);
                if let Own::RestartAbove { boot } = own {
                    pulse.restart_above(boot, time.monotonic);
                }
                let vector = pulse.vector();
                if wants_reply {
                    self.send(node, from, false, vector);
                }
            }
        }
        self.schedule_wake(node);
        self.observe(node);
    }

    fn send(&mut self, from: usize, to: usize, wants_reply: bool, vector: Vector) {
        let is_lost = self.chance.below(100) < self.loss_percent;
        let delay = 1 + self.chance.below(20);
        if is_lost || self.cut.contains(&(from, to)) {
            return;
        }
        let event = Event::Deliver {
            from,
            wants_reply,
            vector,
        };
        self.enqueue(self.now + delay, to, event);
    }

    fn schedule_wake(&mut self, node: usize) {
        let Some(pulse) = &self.pulses[node] else {
            return;
        };
        let wake = pulse.next_wake().since_start();
        let wake = u64::try_from(wake.as_millis())
            .expect("short")
            .max(self.now);
        self.wakes[node] = wake;
        self.enqueue(wake, node, Event::Wake);
    }

    fn enqueue(&mut self, at: u64, node: usize, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (node, event));
    }

    fn observe(&mut self, viewer: usize) {
        let Some(pulse) = &self.pulses[viewer] else {
            return;
        };
        if self.versions[viewer] == pulse.version() {
            return;
        }
        self.versions[viewer] = pulse.version();
        for (node, standing) in pulse.standings() {
            let node = number(node);
            if self.pulses[node].is_some() {
                let worst = self.worst.entry(node).or_insert(Freshness::Fresh);
                *worst = standing.freshness.max(*worst);
            }
        }
    }

    /// The worst standing that any running node had to any other since [`World::forget`].
    pub(super) fn worst(&self) -> Freshness {
        self.worst
            .values()
            .max()
            .copied()
            .unwrap_or(Freshness::Fresh)
    }

    pub(super) fn worst_now(&self) -> Freshness {
        let views = self.pulses.iter().flatten();
        let all = views.flat_map(|pulse| pulse.standings().into_values());
        all.map(|standing| standing.freshness).max().expect("nodes")
    }

    /// How `subject` stands to each running node.
    pub(super) fn seen(&self, subject: usize) -> Vec<Freshness> {
        let viewers = self
            .pulses
            .iter()
            .enumerate()
            .filter(|(node, _)| *node != subject);
        viewers
            .filter_map(|(_, pulse)| pulse.as_ref()?.standing(&id(subject)))
            .map(|standing| standing.freshness)
            .collect()
    }

    pub(super) fn all_see(&self, subject: usize, freshness: Freshness) -> bool {
        self.seen(subject).iter().all(|seen| *seen == freshness)
    }

    pub(super) fn suspicion(&self, node: usize) -> Option<Cause> {
        let pulse = self.pulses[node].as_ref().expect("the node runs");
        let now = self.time().monotonic;
        pulse.self_suspicion(now).map(|suspicion| suspicion.why)
    }

    /// The node's process stands still; what is sent to it waits and arrives when it goes on.
    pub(super) fn stop_for(&mut self, node: usize, pause: Duration) {
        let end = self.now + u64::try_from(pause.as_millis()).expect("short");
        self.run_paused(node, end);
        self.wakes[node] = end;
        self.enqueue(end, node, Event::Wake);
    }

    fn run_paused(&mut self, node: usize, end: u64) {
        let mut held = Vec::new();
        while let Some((at, _)) = self.queue.keys().next().copied().filter(|key| key.0 <= end) {
            let (_, (to, event)) = self.queue.pop_first().expect("it was seen");
            self.now = at;
            match (&event, to == node) {
                (Event::Wake, true) => {}
                (Event::Deliver { .. }, true) => held.push(event),
                (Event::Wake | Event::Deliver { .. }, false) => self.happen(to, event),
            }
        }
        self.now = end;
        for event in held {
            self.enqueue(end, node, event);
        }
    }
}

pub(super) fn id(node: usize) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(node as u64).to_be_bytes());
    NodeId(bytes)
}

fn number(node: NodeId) -> usize {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&node.0[..8]);
    usize::try_from(u64::from_be_bytes(bytes)).expect("it was a usize")
}
