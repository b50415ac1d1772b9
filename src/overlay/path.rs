//! By which way a peer is reached: which addresses are tried, which one is used, and when another
//! node has to carry its packets.
//!
//! A *member* answers probes, so that a path counts as working only if it works in both
//! directions. The path in use is probed; after five seconds without an answer all others are
//! tried, relays too, and the first to answer is used. While a relay is used the direct paths are
//! tried on, and one that answers twice is taken back. Any other peer (a stock WireGuard client) is
//! reached where it was last heard.
//!
//! Nothing here reads a clock or sends anything.

mod candidate;
mod outcomes;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use candidate::{Origin, Path};
use outcomes::Outcomes;

/// A path without an answer for so long carries nothing.
const SILENCE: Duration = Duration::from_secs(5);

/// How soon an unanswered probe is repeated.
const REPEAT: Duration = Duration::from_secs(1);

/// How often the path of a peer with traffic is probed.
const BUSY: Duration = Duration::from_secs(2);

/// How often direct paths are tried while a relay is used, and all paths once a search has taken
/// longer than [`EAGER`].
const PATIENT: Duration = Duration::from_secs(5);

/// How long a search tries all paths each second.
const EAGER: Duration = Duration::from_secs(30);

/// How long the path of a peer that was heard elsewhere may owe an answer before it is left for
/// one of another address family that answers.
const DOUBT: Duration = Duration::from_millis(500);

/// So many answers in a row bring a direct path back.
const RETURN: u32 = 2;

/// A probe without an answer for so long is lost.
const LOST: Duration = Duration::from_secs(2);

/// Bounds of what is remembered for a peer.
const MOST_CONFIGURED: usize = 16;
const MOST_OBSERVED: usize = 4;
const MOST_RELAYS: usize = 4;
const MOST_OUTSTANDING: usize = 64;

/// The number by which a peer is known on this node.
pub(crate) type PeerIndex = u32;

/// A way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Via {
    Direct(SocketAddr),
    /// Through this peer.
    Relay(PeerIndex),
}

impl Via {
    fn is_relay(self) -> bool {
        matches!(self, Self::Relay(_))
    }
}

/// What came by a path, proved to be the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message of a handshake.
    Handshake,
    /// Data, or a probe on the path that the peer uses.
    InUse,
    /// A probe on a path that the peer tries, or the answer to one.
    Probe,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    sequence: u64,
    via: Via,
    sent: Instant,
    /// Length of the probe's packet; zero if it asks for no size.
    size: u16,
}

/// A probe to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) via: Via,
    pub(crate) sequence: u64,
    /// Whether it is the path in use.
    pub(crate) active: bool,
}

/// The ways to one peer.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    member: bool,
    paths: Vec<Path>,
    active: Option<Via>,
    /// When the active path was taken up.
    since: Instant,
    /// Since when no path has worked.
    searching: Option<Instant>,
    outstanding: Vec<Outstanding>,
    sequence: u64,
    outcomes: Outcomes,
}

impl Paths {
    pub(crate) fn new(member: bool, now: Instant) -> Self {
        Self {
            member,
            paths: Vec::new(),
            active: None,
            since: now,
            searching: None,
            outstanding: Vec::new(),
            sequence: 0,
            outcomes: Outcomes::default(),
        }
    }

    /// Sets the paths that were given from outside; what was learned of others is kept.
    pub(crate) fn configure(
        &mut self,
        member: bool,
        endpoints: &[SocketAddr],
        relays: &[PeerIndex],
    ) {
        self.member = member;
        let direct = endpoints
            .iter()
            .take(MOST_CONFIGURED)
            .map(|to| Via::Direct(*to));
        let relays = relays
            .iter()
            .take(MOST_RELAYS)
            .map(|through| Via::Relay(*through));
        let given: Vec<_> = direct.chain(relays).collect();
        let active = self.active;
        for path in &mut self.paths {
            path.origin = Origin::Observed;
        }
        for via in &given {
            self.path(*via).origin = Origin::Configured;
        }
        self.paths.retain(|path| {
            let heard = path.heard.or(path.answered).is_some();
            let known = heard && !path.via.is_relay();
            known || path.origin == Origin::Configured || Some(path.via) == active
        });
        self.forget_observed();
    }

    /// A peer is gone that others were reached through.
    pub(crate) fn remove_relay(&mut self, relay: PeerIndex) {
        self.paths.retain(|path| path.via != Via::Relay(relay));
        if self.active == Some(Via::Relay(relay)) {
            self.active = None;
            // The direct paths were silent when the relay was taken.
            self.searching = Some(self.since);
        }
    }

    pub(crate) fn active(&self) -> Option<Via> {
        self.active
    }

    /// Whether the active path answers, as far as is known.
    pub(crate) fn works(&self, now: Instant) -> bool {
        let Some(active) = self.active_path() else {
            return false;
        };
        if self.member {
            !active.is_silent(now)
        } else {
            active.heard.is_some()
        }
    }

    /// Whether the peer answered by the active path lately: lost probes then say something.
    pub(crate) fn answers(&self, now: Instant) -> bool {
        self.active_path().is_some_and(|path| {
            path.answered
                .is_some_and(|answered| now - answered < BUSY + REPEAT)
                || path.unanswered.is_none_or(|since| now - since < REPEAT)
        })
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.active_path()?.rtt
    }

    pub(crate) fn lost_in_1000(&self) -> Option<u16> {
        self.outcomes.lost_in_1000()
    }

    /// Whether a direct path was given from outside.
    pub(crate) fn is_configured(&self, to: SocketAddr) -> bool {
        let wanted = Via::Direct(to);
        self.paths
            .iter()
            .any(|path| path.via == wanted && path.origin == Origin::Configured)
    }

    /// Where the beginning of a handshake is sent: by the path in use while it is known to work,
    /// else by all, by relays once the direct ones were silent for long enough.
    pub(crate) fn for_handshake(&self, now: Instant) -> Vec<Via> {
        if let Some(active) = self.active.filter(|_| self.member && self.works(now)) {
            return vec![active];
        }
        let relays = self.is_silent(now);
        let wanted = |path: &&Path| relays || !path.via.is_relay();
        self.paths
            .iter()
            .filter(wanted)
            .map(|path| path.via)
            .collect()
    }

    /// Says that the peer is wanted and no path to it works.
    pub(crate) fn search(&mut self, now: Instant) {
        self.searching.get_or_insert(now);
    }

    /// Something of the peer's came by a path. Tells whether the path in use is another one now.
    pub(crate) fn heard(&mut self, via: Via, what: Heard, now: Instant) -> bool {
        if self.active == Some(via) && what != Heard::Handshake && self.member {
            // The common case; that a member works is told by its answers.
            return false;
        }
        self.path(via).heard = Some(now);
        if self.active == Some(via) {
            return false;
        }
        let takes = match (self.active, via) {
            _ if !self.member => what != Heard::Probe,
            _ if what == Heard::Probe => false,
            (Some(Via::Direct(old)), Via::Direct(new)) if what == Heard::InUse => {
                // It has moved. Of another family it may only prefer another of its addresses.
                old.is_ipv4() == new.is_ipv4() || !self.works(now)
            }
            _ => !self.works(now),
        };
        if takes {
            self.take(via, now);
        } else if what == Heard::InUse {
            self.doubt(via);
        }
        self.forget_observed();
        takes
    }

    /// The peer uses another path than we do: both are probed with the next turn.
    fn doubt(&mut self, via: Via) {
        for path in &mut self.paths {
            if path.via == via || Some(path.via) == self.active {
                path.probed = None;
            }
        }
    }

    /// The probes to be sent now. `rest` is how often a peer without traffic is probed, if at all.
    pub(crate) fn due(&mut self, busy: bool, rest: Option<Duration>, now: Instant) -> Vec<Order> {
        self.expire(now);
        let Some(interval) = (if busy { Some(BUSY) } else { rest }).filter(|_| self.member) else {
            return Vec::new();
        };
        let works = self.works(now);
        if works {
            self.searching = None;
        } else {
            self.search(now);
        }
        let vias: Vec<_> = self
            .paths
            .iter()
            .filter(|path| path.is_due(self.pace(path, works, interval, now), now))
            .map(|path| path.via)
            .collect();
        vias.into_iter()
            .map(|via| self.order(via, 0, now))
            .collect()
    }

    /// How often a path is probed; nothing if not at all.
    fn pace(&self, path: &Path, works: bool, interval: Duration, now: Instant) -> Option<Duration> {
        if Some(path.via) == self.active && works {
            return Some(if path.unanswered.is_some() {
                REPEAT
            } else {
                interval
            });
        }
        if works {
            // Beside a path that works: direct ones while it is a relay, and where the peer was
            // heard elsewhere.
            let returning = self.active.is_some_and(Via::is_relay) && !path.via.is_relay();
            let pace = if path.in_a_row > 0 { REPEAT } else { PATIENT };
            return (returning || path.is_doubted()).then_some(pace);
        }
        let eager = self.searching.is_none_or(|since| now - since < EAGER);
        let pace = if eager { REPEAT } else { PATIENT };
        (!path.via.is_relay() || self.is_silent(now)).then_some(pace)
    }

    /// Notes a probe of the active path that asks for a size.
    pub(crate) fn order_size(&mut self, size: u16, now: Instant) -> Option<Order> {
        let active = self.active?;
        Some(self.order(active, size, now))
    }

    fn order(&mut self, via: Via, size: u16, now: Instant) -> Order {
        self.sequence += 1;
        let sequence = self.sequence;
        if self.outstanding.len() == MOST_OUTSTANDING {
            self.outstanding.remove(0);
        }
        self.outstanding.push(Outstanding {
            sequence,
            via,
            sent: now,
            size,
        });
        if size == 0 {
            let path = self.path(via);
            path.probed = Some(now);
            path.unanswered.get_or_insert(now);
        }
        Order {
            via,
            sequence,
            active: self.active == Some(via),
        }
    }

    /// Takes the answer to a probe. Tells the size that the probe asked for, if it asked for one of
    /// the path in use.
    pub(crate) fn answered(&mut self, sequence: u64, now: Instant) -> Option<u16> {
        let asked = |probe: &Outstanding| probe.sequence == sequence;
        let at = self.outstanding.iter().position(asked)?;
        let probe = self.outstanding.remove(at);
        if probe.size > 0 {
            return (self.active == Some(probe.via)).then_some(probe.size);
        }
        if self.active == Some(probe.via) {
            self.outcomes.push(false);
        }
        self.path(probe.via).note_answer(now - probe.sent, now);
        if self.is_better(probe.via, now) {
            self.take(probe.via, now);
        }
        None
    }

    /// Whether a path that just answered is to be used from now on.
    fn is_better(&self, via: Via, now: Instant) -> bool {
        let Some(active) = self.active_path() else {
            return true;
        };
        let in_a_row = self.find(via).map_or(0, |path| path.in_a_row);
        let owes = |for_long: Duration| {
            active
                .unanswered
                .is_some_and(|since| now - since >= for_long)
        };
        if active.via == via {
            false
        } else if owes(SILENCE) {
            true
        } else if active.via.is_relay() {
            let just_taken = now - self.since < REPEAT * 2;
            !via.is_relay() && (in_a_row >= RETURN || just_taken)
        } else {
            !via.is_relay() && owes(DOUBT)
        }
    }

    fn take(&mut self, via: Via, now: Instant) {
        self.active = Some(via);
        self.since = now;
        self.searching = None;
        self.outcomes = Outcomes::default();
        // It is judged by what it answers from now on.
        let path = self.path(via);
        path.unanswered = None;
        path.probed = None;
    }

    /// Gives up probes without an answer.
    fn expire(&mut self, now: Instant) {
        let (kept, lost): (Vec<_>, Vec<_>) = std::mem::take(&mut self.outstanding)
            .into_iter()
            .partition(|probe| now - probe.sent < LOST);
        self.outstanding = kept;
        for probe in lost.into_iter().filter(|probe| probe.size == 0) {
            self.path(probe.via).in_a_row = 0;
            if self.active == Some(probe.via) {
                self.outcomes.push(true);
            }
        }
    }

    /// Whether nothing has answered for long enough to ask a relay.
    fn is_silent(&self, now: Instant) -> bool {
        let silent = |since: Instant| now - since >= SILENCE;
        self.searching.is_some_and(silent)
            || self.active_path().is_some_and(|path| path.is_silent(now))
    }

    fn active_path(&self) -> Option<&Path> {
        self.find(self.active?)
    }

    fn find(&self, via: Via) -> Option<&Path> {
        self.paths.iter().find(|path| path.via == via)
    }

    /// The path, which is remembered as observed if it is new.
    fn path(&mut self, via: Via) -> &mut Path {
        let at = self.paths.iter().position(|path| path.via == via);
        let at = at.unwrap_or_else(|| {
            self.paths.push(Path::new(via));
            self.paths.len() - 1
        });
        &mut self.paths[at]
    }

    /// Keeps the number of observed paths bounded; the ones heard longest ago go first.
    fn forget_observed(&mut self) {
        loop {
            let observed = self
                .paths
                .iter()
                .filter(|path| path.origin == Origin::Observed);
            if observed.count() <= MOST_OBSERVED {
                return;
            }
            let active = self.active;
            let oldest = self
                .paths
                .iter()
                .enumerate()
                .filter(|(_, path)| path.origin == Origin::Observed && Some(path.via) != active)
                .min_by_key(|(_, path)| path.heard)
                .map(|(at, _)| at);
            let Some(at) = oldest else { return };
            self.paths.remove(at);
        }
    }
}
