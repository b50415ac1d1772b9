//! Machines that run `foca`, one queue of events, virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use foca::{
    Config, Foca, Identity, Member, NoCustomBroadcast, Notification, PostcardCodec, Runtime, Timer,
};
use kontena_core::time::Instant;
use serde::{Deserialize, Serialize};

use super::super::observe::SAMPLE;
use crate::chance::Chance;
use crate::network::Network;

/// As large as one of ours: a key, an address, and which life of the node it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Id {
    key: [u8; 32],
    host: u16,
    port: u16,
    life: u32,
}

impl Id {
    fn of(host: usize) -> Self {
        let host = u16::try_from(host).expect("at most 1,000 hosts");
        let mut key = [0xA5; 32];
        key[..2].copy_from_slice(&host.to_le_bytes());
        Self {
            key,
            host,
            port: 8_470,
            life: 0,
        }
    }

    fn host(&self) -> usize {
        usize::from(self.host)
    }
}

impl Identity for Id {
    type Addr = u16;

    fn renew(&self) -> Option<Self> {
        Some(Self {
            life: self.life + 1,
            ..self.clone()
        })
    }

    fn addr(&self) -> u16 {
        self.host
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.life > adversary.life
    }
}

/// The numbers that a machine draws.
struct Draws(Chance);

impl rand_core::TryRng for Draws {
    type Error = rand_core::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.0.draw() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.0.draw().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
        Ok(())
    }
}

struct Machine {
    foca: Foca<Id, PostcardCodec, Draws, NoCustomBroadcast>,
    /// Whom it takes for down.
    down: BTreeSet<usize>,
    is_dead: bool,
    stalled_until: Instant,
}

enum Event {
    Packet(Vec<u8>),
    Timer(Timer<Id>),
}

/// What one call of `foca` wants done.
#[derive(Default)]
struct Effects {
    packets: Vec<(usize, Vec<u8>)>,
    timers: Vec<(Timer<Id>, Duration)>,
    /// Who went down, and who came up.
    changes: Vec<(usize, bool)>,
}

impl Runtime<Id> for &mut Effects {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::MemberUp(id) => self.changes.push((id.host(), true)),
            Notification::MemberDown(id) => self.changes.push((id.host(), false)),
            Notification::Rename(_, id) => self.changes.push((id.host(), true)),
            Notification::Active
            | Notification::Idle
            | Notification::Defunct
            | Notification::Rejoin(_) => {}
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.packets.push((to.host(), data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.timers.push((event, after));
    }
}

pub(super) struct Machines {
    machines: Vec<Machine>,
    pub(super) network: Network,
    pub(super) chance: Chance,
    now: Instant,
    queue: BTreeMap<(Instant, u64), (usize, Event)>,
    sequence: u64,
    /// Sent by all so far.
    pub(super) bytes: u64,
    /// How often one that lives was declared down by another.
    pub(super) downs: usize,
}

impl Machines {
    /// All know all from the beginning.
    pub(super) fn new(nodes: usize, seed: u64) -> Self {
        let size = u32::try_from(nodes).ok().and_then(NonZeroU32::new);
        let config = Config::new_lan(size.expect("from 1 to 1,000 nodes"));
        let machine = |host| Machine {
            foca: Foca::new(
                Id::of(host),
                config.clone(),
                Draws(Chance::of(seed, "swim", &[host])),
                PostcardCodec,
            ),
            down: BTreeSet::new(),
            is_dead: false,
            stalled_until: Instant::ZERO,
        };
        let mut machines = Self {
            machines: (0..nodes).map(machine).collect(),
            network: Network::new(seed),
            chance: Chance::new(seed, "story of swim"),
            now: Instant::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            bytes: 0,
            downs: 0,
        };
        machines.introduce();
        machines
    }

    fn introduce(&mut self) {
        let nodes = self.machines.len();
        for host in 0..nodes {
            let pause = Duration::from_millis(self.chance.below(1_000));
            let others = (0..nodes).filter(|other| *other != host);
            let members = others.map(|other| Member::alive(Id::of(other)));
            let mut effects = Effects::default();
            let foca = &mut self.machines[host].foca;
            // Nothing of this can be refused: all are alive, and none is this one.
            if foca.apply_many(members, false, &mut effects).is_ok() {
                effects
                    .timers
                    .iter_mut()
                    .for_each(|(_, after)| *after += pause);
                self.carry_out(host, effects);
            }
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self
            .queue
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= end)
        {
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        let Some(((at, _), (host, event))) = self.queue.pop_first() else {
            return;
        };
        self.now = at;
        let machine = &mut self.machines[host];
        if machine.is_dead {
            return;
        }
        if machine.stalled_until > at {
            let until = machine.stalled_until;
            return self.push(until, host, event);
        }
        let mut effects = Effects::default();
        let result = match event {
            Event::Packet(bytes) => machine.foca.handle_data(&bytes, &mut effects),
            Event::Timer(timer) => machine.foca.handle_timer(timer, &mut effects),
        };
        // What it refuses (a packet for an earlier life, say) has no effect, which is what is measured.
        drop(result);
        self.carry_out(host, effects);
    }

    fn push(&mut self, at: Instant, host: usize, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (host, event));
    }

    fn carry_out(&mut self, host: usize, effects: Effects) {
        for (to, packet) in effects.packets {
            self.bytes += packet.len() as u64;
            for delay in self.network.carry(host, to) {
                self.push(self.now + delay, to, Event::Packet(packet.clone()));
            }
        }
        for (timer, after) in effects.timers {
            self.push(self.now + after, host, Event::Timer(timer));
        }
        for (other, is_up) in effects.changes {
            self.note(host, other, is_up);
        }
    }

    fn note(&mut self, host: usize, other: usize, is_up: bool) {
        let is_false = !is_up && !self.machines[other].is_dead;
        let down = &mut self.machines[host].down;
        let is_new = match is_up {
            true => down.remove(&other),
            false => down.insert(other),
        };
        self.downs += usize::from(is_new && is_false);
    }

    pub(super) fn stall(&mut self, host: usize, lasts: Duration) {
        self.machines[host].stalled_until = self.now + lasts;
    }

    pub(super) fn all_know_all(&self) -> bool {
        self.machines.iter().all(|machine| machine.down.is_empty())
    }

    /// How long each of the others takes to know that this one died.
    pub(super) fn crash(&mut self, victim: usize, limit: Duration) -> Vec<Duration> {
        let pause = Duration::from_micros(self.chance.below(4_000_000));
        self.run_for(pause);
        self.machines[victim].is_dead = true;
        let start = self.now;
        let mut unknowing: Vec<usize> = (0..self.machines.len()).filter(|h| *h != victim).collect();
        let mut times = Vec::new();
        while !unknowing.is_empty() && self.now.since(start) < limit {
            self.run_for(SAMPLE);
            let before = unknowing.len();
            unknowing.retain(|host| !self.machines[*host].down.contains(&victim));
            let took = self.now.since(start);
            times.extend(std::iter::repeat_n(took, before - unknowing.len()));
        }
        times.extend(std::iter::repeat_n(limit, unknowing.len()));
        times
    }
}
