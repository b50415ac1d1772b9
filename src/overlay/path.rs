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

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A path without an answer for so long carries nothing.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Configured,
    /// The peer was heard there.
    Observed,
}

#[derive(Clone, Debug)]
struct Path {
    via: Via,
    origin: Origin,
    probed: Option<Instant>,
    /// The first probe since the last answer.
    unanswered: Option<Instant>,
    answered: Option<Instant>,
    heard: Option<Instant>,
    in_a_row: u32,
    rtt: Option<Duration>,
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

/// The answer to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The size that the probe asked for.
    pub(crate) size: Option<u16>,
    /// Whether it came by the path in use.
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

/// What became of the latest probes on the path in use: one bit each, set if it was lost.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    bits: u32,
    count: u32,
}

impl Outcomes {
    fn push(&mut self, lost: bool) {
        self.bits = self.bits << 1 | u32::from(lost);
        self.count = (self.count + 1).min(u32::BITS);
    }

    fn lost_in_1000(self) -> Option<u16> {
        let lost = self.bits.count_ones();
        (lost * 1000)
            .checked_div(self.count)
            .map(|lost| lost as u16)
    }
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

    /// An answer to a probe; nothing if none was asked.
    pub(crate) fn answered(&mut self, sequence: u64, now: Instant) -> Option<Answer> {
        let at = self
            .outstanding
            .iter()
            .position(|probe| probe.sequence == sequence)?;
        let probe = self.outstanding.remove(at);
        let active = self.active == Some(probe.via);
        if probe.size > 0 {
            let size = Some(probe.size);
            return Some(Answer { size, active });
        }
        if active {
            self.outcomes.push(false);
        }
        self.path(probe.via).note_answer(now - probe.sent, now);
        if self.is_better(probe.via, now) {
            self.take(probe.via, now);
        }
        Some(Answer { size: None, active })
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

impl Path {
    fn new(via: Via) -> Self {
        Self {
            via,
            origin: Origin::Observed,
            probed: None,
            unanswered: None,
            answered: None,
            heard: None,
            in_a_row: 0,
            rtt: None,
        }
    }

    fn is_due(&self, pace: Option<Duration>, now: Instant) -> bool {
        pace.is_some_and(|pace| self.probed.is_none_or(|probed| now - probed >= pace))
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.unanswered.is_some_and(|since| now - since >= SILENCE)
    }

    /// Whether the peer was heard here after this path was last probed.
    fn is_doubted(&self) -> bool {
        self.heard.is_some() && self.probed.is_none()
    }

    fn note_answer(&mut self, rtt: Duration, now: Instant) {
        self.answered = Some(now);
        self.unanswered = None;
        self.in_a_row += 1;
        self.rtt = Some(self.rtt.map_or(rtt, |mean| (mean * 7 + rtt) / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: &str = "192.0.2.1:51820";
    const NEAR: &str = "10.0.0.1:51820";
    const OTHER_FAMILY: &str = "[2001:db8::1]:51820";

    fn direct(text: &str) -> Via {
        Via::Direct(text.parse().expect("an address"))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Two direct paths and two relays to a peer, in virtual time.
    struct Story {
        paths: Paths,
        now: Instant,
        /// Paths that answer.
        working: Vec<Via>,
        sent: Vec<Via>,
    }

    impl Story {
        fn new(working: &[Via]) -> Self {
            let now = Instant::now();
            let mut paths = Paths::new(true, now);
            let endpoints = [FAR, NEAR].map(|text| text.parse().expect("an address"));
            paths.configure(true, &endpoints, &[7, 8]);
            Self {
                paths,
                now,
                working: working.to_vec(),
                sent: Vec::new(),
            }
        }

        fn run(&mut self, time: Duration) -> Option<Via> {
            let end = self.now + time;
            while self.now < end {
                for order in self.paths.due(true, None, self.now) {
                    self.sent.push(order.via);
                    if self.working.contains(&order.via) {
                        let later = self.now + Duration::from_millis(20);
                        self.paths.answered(order.sequence, later);
                    }
                }
                self.now += Duration::from_millis(250);
            }
            self.paths.active()
        }
    }

    #[test]
    fn the_path_that_answers_is_used() {
        let mut story = Story::new(&[direct(NEAR)]);
        assert_eq!(story.run(seconds(1)), Some(direct(NEAR)));
        assert_eq!(story.paths.rtt(), Some(Duration::from_millis(20)));
    }

    #[test]
    fn relays_are_asked_after_five_seconds_without_an_answer_and_not_before() {
        let mut story = Story::new(&[Via::Relay(8)]);
        assert_eq!(story.run(SILENCE), None);
        assert!(!story.sent.iter().any(|via| via.is_relay()));
        assert_eq!(story.run(seconds(1)), Some(Via::Relay(8)));
    }

    #[test]
    fn a_path_that_falls_silent_is_left_for_a_relay_and_taken_back_when_it_answers_twice() {
        let mut story = Story::new(&[direct(FAR)]);
        assert_eq!(story.run(seconds(10)), Some(direct(FAR)));
        story.working = vec![Via::Relay(7)];
        assert_eq!(story.run(seconds(4)), Some(direct(FAR)));
        assert_eq!(story.run(seconds(5)), Some(Via::Relay(7)));
        story.working.push(direct(FAR));
        assert_eq!(story.run(seconds(7)), Some(direct(FAR)));
    }

    #[test]
    fn a_relay_that_falls_silent_is_left_for_the_other() {
        let mut story = Story::new(&[Via::Relay(7)]);
        story.run(seconds(8));
        story.working = vec![Via::Relay(8)];
        assert_eq!(story.run(seconds(9)), Some(Via::Relay(8)));
    }

    #[test]
    fn two_lost_probes_do_not_change_the_path() {
        let mut story = Story::new(&[direct(FAR), Via::Relay(7)]);
        story.run(seconds(60));
        story.working = vec![Via::Relay(7)];
        story.run(seconds(3));
        story.working = vec![direct(FAR), Via::Relay(7)];
        assert_eq!(story.run(seconds(10)), Some(direct(FAR)));
        assert!(story.paths.lost_in_1000().is_some_and(|lost| lost > 0));
    }

    #[test]
    fn a_member_that_moved_is_followed_at_once() {
        let mut story = Story::new(&[direct(FAR)]);
        story.run(seconds(2));
        let moved = direct("192.0.2.9:1");
        assert!(story.paths.heard(moved, Heard::InUse, story.now));
        assert_eq!(story.paths.active(), Some(moved));
    }

    #[test]
    fn a_member_that_only_tries_a_path_is_not_followed() {
        let mut story = Story::new(&[direct(FAR)]);
        story.run(seconds(2));
        story
            .paths
            .heard(direct("192.0.2.9:1"), Heard::Probe, story.now);
        assert_eq!(story.run(seconds(10)), Some(direct(FAR)));
    }

    #[test]
    fn a_member_heard_by_the_other_family_is_followed_only_if_its_path_owes_an_answer() {
        let mut story = Story::new(&[direct(FAR), direct(OTHER_FAMILY)]);
        story.run(seconds(2));
        story
            .paths
            .heard(direct(OTHER_FAMILY), Heard::InUse, story.now);
        assert_eq!(story.run(seconds(4)), Some(direct(FAR)));
        story.working = vec![direct(OTHER_FAMILY)];
        for _ in 0..8 {
            story.run(Duration::from_millis(250));
            story
                .paths
                .heard(direct(OTHER_FAMILY), Heard::InUse, story.now);
        }
        assert_eq!(story.paths.active(), Some(direct(OTHER_FAMILY)));
    }

    #[test]
    fn a_client_is_followed_wherever_it_was_last_heard_and_never_probed() {
        let now = Instant::now();
        let mut paths = Paths::new(false, now);
        for address in [FAR, OTHER_FAMILY, NEAR] {
            paths.heard(direct(address), Heard::InUse, now);
            assert_eq!(paths.active(), Some(direct(address)));
        }
        assert!(
            paths
                .due(true, Some(seconds(1)), now + seconds(20))
                .is_empty()
        );
    }

    #[test]
    fn strangers_addresses_do_not_pile_up() {
        let mut story = Story::new(&[direct(FAR)]);
        for port in 1..200 {
            let address: SocketAddr = ([10, 1, 1, 1], port).into();
            story
                .paths
                .heard(Via::Direct(address), Heard::InUse, story.now);
        }
        assert!(story.paths.paths.len() <= 4 + MOST_OBSERVED);
    }

    #[test]
    fn a_peer_at_rest_is_probed_as_often_as_it_is_kept_alive_and_else_not() {
        let mut story = Story::new(&[direct(FAR)]);
        story.run(seconds(2));
        let later = story.now + seconds(100);
        assert!(story.paths.due(false, None, later).is_empty());
        assert_eq!(story.paths.due(false, Some(seconds(25)), later).len(), 1);
    }
}
