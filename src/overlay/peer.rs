//! One peer: its keys, the ways to it, and what waits for it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};

use crate::config::{self, Reach};
use crate::drops::{Drop, Drops};
use crate::key::{PrivateKey, PublicKey};
use crate::mtu::PathMtu;
use crate::packet::header::Ip;
use crate::path::{Paths, PeerIndex, Via};
use crate::probe::Probe;
use crate::relay::{RelayId, RelayKey};
use crate::routes::Routes;
use crate::snapshot::Traffic;

/// What WireGuard adds to a packet.
pub(crate) const SEALED: usize = 32;

/// The longest message of a handshake.
pub(crate) const HANDSHAKE: usize = 148;

/// Packets that wait for a session: enough for the first moment of a few connections.
const MOST_WAITING: usize = 128;

/// And for so long: whoever sent them has sent others since.
const WAITS: Duration = Duration::from_secs(10);

/// A peer that is not there is sought for so long after the last packet for it; WireGuard's own time.
const SOUGHT: Duration = Duration::from_secs(90);

/// A peer without packets for so long is at rest.
const REST: Duration = Duration::from_secs(60);

/// How soon a handshake is begun again; WireGuard's own time.
const HANDSHAKE_AGAIN: Duration = Duration::from_secs(5);

/// The beginning of a handshake is repeated for so long, with each turn: both sides of a NAT have
/// to send until one of the packets gets through.
const PUNCH: Duration = Duration::from_millis(1100);

pub(crate) struct Peer {
    pub(crate) desired: config::Peer,
    /// What it may send to, as it is looked up.
    reach: Option<Routes<Option<u16>>>,
    pub(crate) tunn: Tunn,
    pub(crate) paths: Paths,
    pub(crate) mtu: PathMtu,
    pub(crate) relay_id: RelayId,
    pub(crate) relay_key: RelayKey,
    /// Whether there are keys to seal data with.
    pub(crate) session: bool,
    /// Packets for which there was no session yet, and since when they wait.
    waiting: VecDeque<(Vec<u8>, Instant)>,
    /// When the last packet began to wait.
    sought: Option<Instant>,
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
    pub(crate) forwarded: Traffic,
    pub(crate) drops: Drops,
    pub(crate) observed: Option<SocketAddr>,
    /// When data last passed, in either direction.
    pub(crate) data: Option<Instant>,
    /// What it may still have forwarded.
    pub(crate) allowance: Allowance,
    /// Handshakes of others that it may still bring.
    pub(crate) handshakes: Allowance,
    initiation: Option<(Vec<u8>, Instant)>,
    kept_alive: Option<Instant>,
}

fn reach(desired: &config::Peer) -> Option<Routes<Option<u16>>> {
    desired.reach.as_ref().map(|reaches| {
        let mut reach = Routes::default();
        for Reach { to, port } in reaches {
            reach.insert(*to, *port);
        }
        reach
    })
}

/// Something to be sent by a way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) via: Via,
    pub(crate) bytes: Vec<u8>,
    /// Whether it must not be fragmented.
    pub(crate) whole: bool,
}

impl Message {
    pub(crate) fn new(via: Via, bytes: Vec<u8>) -> Self {
        Self {
            via,
            bytes,
            whole: false,
        }
    }
}

impl Peer {
    pub(crate) fn new(
        desired: config::Peer,
        own: &PrivateKey,
        index: PeerIndex,
        limiter: Arc<RateLimiter>,
        mtu: u16,
        now: Instant,
    ) -> Self {
        let key = desired.key;
        Self {
            tunn: Tunn::new(
                own.secret().clone(),
                key.0.into(),
                desired.preshared_key,
                None,
                index,
                Some(limiter),
            ),
            paths: Paths::new(desired.kind == config::PeerKind::Member, now),
            mtu: PathMtu::new(mtu, now),
            relay_id: RelayId::of(key),
            relay_key: RelayKey::new(own, key),
            session: false,
            waiting: VecDeque::new(),
            sought: None,
            received: Traffic::default(),
            sent: Traffic::default(),
            forwarded: Traffic::default(),
            drops: Drops::default(),
            observed: None,
            data: None,
            allowance: Allowance::new(now),
            handshakes: Allowance::new(now),
            initiation: None,
            kept_alive: None,
            reach: reach(&desired),
            desired,
        }
    }

    /// Takes what is said of it anew.
    pub(crate) fn change(&mut self, desired: config::Peer) {
        self.reach = reach(&desired);
        self.desired = desired;
    }

    pub(crate) fn may_send(&self, packet: Ip<'_>) -> bool {
        let Some(reach) = &self.reach else {
            return true;
        };
        match reach.lookup(packet.destination()) {
            None => false,
            Some(None) => true,
            Some(port @ Some(_)) => packet.destination_port() == port,
        }
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.desired.key
    }

    pub(crate) fn is_member(&self) -> bool {
        self.desired.kind == config::PeerKind::Member
    }

    /// Keeps a packet until there is a session, and begins one. Tells whether there was room.
    pub(crate) fn wait(&mut self, packet: &[u8], now: Instant, out: &mut Vec<Message>) -> bool {
        let room = self.waiting.len() < MOST_WAITING;
        if room {
            self.waiting.push_back((packet.to_vec(), now));
        }
        self.sought = Some(now);
        self.begin_handshake(false, now, out);
        room
    }

    /// What waits, where it can be sent now.
    pub(crate) fn take_waiting(&mut self) -> Vec<Vec<u8>> {
        if !self.session || self.paths.active().is_none() {
            return Vec::new();
        }
        self.waiting.drain(..).map(|(packet, _)| packet).collect()
    }

    /// Lets go what has waited for too long.
    fn turn_waiting(&mut self, now: Instant) {
        while self
            .waiting
            .front()
            .is_some_and(|(_, since)| now - *since >= WAITS)
        {
            self.waiting.pop_front();
            self.drops.count(Drop::NoSession);
        }
    }

    /// Seals a packet for a cold path: a probe, a keepalive.
    fn seal(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut room = vec![0; (packet.len() + SEALED).max(HANDSHAKE)];
        to_network(self.tunn.encapsulate(packet, &mut room))
    }

    /// Seals a probe for a path; nothing if there is no session.
    pub(crate) fn probe(&mut self, via: Via, probe: Probe, size: usize) -> Option<Message> {
        let bytes = self.session.then(|| self.seal(&probe.packet(size)))??;
        let whole = size > 0;
        Some(Message { via, bytes, whole })
    }

    /// Begins a handshake unless one was begun just now; `anew` also if one is under way.
    pub(crate) fn begin_handshake(&mut self, anew: bool, now: Instant, out: &mut Vec<Message>) {
        let lately = |(_, begun): &(Vec<u8>, Instant)| now - *begun < HANDSHAKE_AGAIN;
        if self.initiation.as_ref().is_some_and(lately) {
            return;
        }
        let mut room = [0; HANDSHAKE];
        let begun = to_network(self.tunn.format_handshake_initiation(&mut room, anew));
        if let Some(initiation) = begun {
            self.send_initiation(initiation, now, out);
        }
    }

    fn send_initiation(&mut self, initiation: Vec<u8>, now: Instant, out: &mut Vec<Message>) {
        for via in self.paths.for_handshake(now) {
            out.push(Message::new(via, initiation.clone()));
        }
        self.initiation = Some((initiation, now));
    }

    /// There are new keys.
    pub(crate) fn note_session(&mut self) {
        self.session = self.tunn.time_since_last_handshake().is_some();
        if self.session {
            self.initiation = None;
        }
    }

    /// What is due by the clock.
    pub(crate) fn turn(&mut self, now: Instant, out: &mut Vec<Message>) {
        self.turn_keys(now, out);
        self.turn_waiting(now);
        if !self.session && self.is_wanted(now) {
            self.paths.search(now);
            self.begin_handshake(true, now, out);
            self.punch(now, out);
        }
        if self.session {
            self.turn_probes(now, out);
            self.turn_mtu(now, out);
            self.keep_alive(now, out);
        }
    }

    /// Lets WireGuard's timers act.
    fn turn_keys(&mut self, now: Instant, out: &mut Vec<Message>) {
        let mut room = [0; HANDSHAKE];
        match to_network(self.tunn.update_timers(&mut room)) {
            Some(message) if message[0] == 1 => self.send_initiation(message, now, out),
            Some(message) => out.extend(self.paths.active().map(|via| Message::new(via, message))),
            None => {}
        }
        self.session = self.tunn.time_since_last_handshake().is_some();
    }

    /// Whether there shall be a session. A client that left is not sought for ever where it once was.
    fn is_wanted(&self, now: Instant) -> bool {
        let is_sought = self.sought.is_some_and(|last| now - last < SOUGHT);
        self.desired.keepalive.is_some() || is_sought || self.is_busy(now)
    }

    fn is_busy(&self, now: Instant) -> bool {
        self.data.is_some_and(|data| now - data < REST)
    }

    /// Repeats the beginning of a handshake: the other side takes it once.
    fn punch(&mut self, now: Instant, out: &mut Vec<Message>) {
        let Some((initiation, begun)) = &self.initiation else {
            return;
        };
        if *begun < now && now - *begun < PUNCH {
            for via in self.paths.for_handshake(now) {
                out.push(Message::new(via, initiation.clone()));
            }
        }
    }

    fn turn_probes(&mut self, now: Instant, out: &mut Vec<Message>) {
        let orders = self
            .paths
            .due(self.is_busy(now), self.desired.keepalive, now);
        for order in orders {
            let probe = Probe::Request {
                sequence: order.sequence,
                active: order.active,
            };
            out.extend(self.probe(order.via, probe, 0));
        }
        // The keys may be what does not work: the other side may have been started anew.
        if self.is_member() && self.is_wanted(now) && !self.paths.works(now) {
            self.begin_handshake(true, now, out);
        }
    }

    /// Measures the path, while it answers.
    fn turn_mtu(&mut self, now: Instant, out: &mut Vec<Message>) {
        if !self.is_member() || !self.is_wanted(now) {
            return;
        }
        if !self.paths.answers(now) {
            self.mtu.forget(now);
            return;
        }
        if let Some(size) = self.mtu.due(now)
            && let Some(order) = self.paths.order_size(size, now)
        {
            let probe = Probe::Request {
                sequence: order.sequence,
                active: true,
            };
            out.extend(self.probe(order.via, probe, usize::from(size)));
        }
    }

    /// An empty packet now and then, to those that take no probes.
    fn keep_alive(&mut self, now: Instant, out: &mut Vec<Message>) {
        let Some(every) = self.desired.keepalive.filter(|_| !self.is_member()) else {
            return;
        };
        if self.kept_alive.is_none_or(|last| now - last >= every)
            && let Some(via) = self.paths.active()
        {
            self.kept_alive = Some(now);
            out.extend(self.seal(&[]).map(|bytes| Message::new(via, bytes)));
        }
    }
}

/// What boringtun wants to be sent. That it has nothing to say, or gave up for now, is told by the
/// session.
fn to_network(result: TunnResult<'_>) -> Option<Vec<u8>> {
    if let TunnResult::WriteToNetwork(message) = result {
        Some(message.to_vec())
    } else {
        None
    }
}

/// A bucket that fills with what a peer may have in a second: bytes forwarded, handshakes brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    left: u64,
    filled: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            left: 0,
            filled: now - Duration::from_millis(250),
        }
    }

    /// Takes some out; `limit` is what flows in within a second. A quarter of a second is saved up.
    pub(crate) fn take(&mut self, count: usize, limit: u64, now: Instant) -> bool {
        let gained = (now - self.filled).as_micros().min(1_000_000) as u64 * limit / 1_000_000;
        if gained > 0 {
            self.left = (self.left + gained).min(limit / 4);
            self.filled = now;
        }
        let enough = self.left >= count as u64;
        if enough {
            self.left -= count as u64;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_a_quarter_of_a_second_at_once_and_the_limit_in_the_long_run() {
        let mut now = Instant::now();
        let mut allowance = Allowance::new(now);
        let at_once = (0..10_000)
            .filter(|_| allowance.take(1000, 1_000_000, now))
            .count();
        assert_eq!(at_once, 250);
        let mut carried = 0;
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            carried += (0..5)
                .filter(|_| allowance.take(1000, 1_000_000, now))
                .count();
        }
        assert!((9_900..=10_250).contains(&carried), "{carried}");
    }
}
