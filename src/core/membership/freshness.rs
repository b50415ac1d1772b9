//! Freshness: how lately each member was heard of, by anybody.
//!
//! Each node bumps its own counter every *h* and push-pulls the vector of all counters every *p*
//! with one random member. A member whose counter stops rising decays: late, stale, absent, gone.
//! "I cannot reach it" never condemns: only "nobody has relayed anything newer of it" does. So a
//! one-way link, a slow pair or a cut to most peers makes nobody absent, and a split heals at the
//! first exchange across it.
//!
//! Exchanges carry the counters alone ([`Brief`]) as long as both know the same lives of the same
//! members; else everything is told once ([`Pulse::vector`]).
//!
//! In: the roster, vectors and counters that peers sent, time. Out: whom to send an [`Exchange`] to
//! ([`Pulse::tick`]), how each member stands ([`Pulse::standings`]), and whether this node should
//! doubt what it sees ([`Pulse::self_suspicion`]).
//!
//! Not here: what follows from a standing (`placement`, `reconcile`), and clones of peers
//! ([`super::clone::Lives`]). The bump happens in [`Pulse::tick`] alone: a wedged node looks dead.
//!
//! [`Exchange`]: crate::message::Exchange

mod members;
mod pace;
mod rounds;
mod silence;
mod suspicion;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::members::{Members, is_news};
pub use self::pace::Pace;
use self::rounds::Rounds;
use self::suspicion::Doubt;
pub use self::suspicion::{Cause, Suspicion};
use self::trace::Trace;
use crate::chance::Chance;
use crate::id::NodeId;
use crate::membership::clone::{Double, Own};
use crate::membership::vector::{Beat, Brief, Counters, Life, Vector};
use crate::message::Digest;
use crate::report::ReportOrder;
use crate::time::{Instant, Now};
use crate::view::{Freshness, Standing};

/// A loop that comes back this much later than it asked for has lagged.
const LAG: Duration = Duration::from_secs(1);

/// What was said while a loop stood still for longer may be untrue when it is read.
const STOOD_STILL: Duration = Duration::from_secs(5);

/// A node asks its peers for its own last report before it sends one; alone, it waits so long.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A relayed boot counter that leaps further than this was invented: no node boots so often. It
/// bounds how far a hostile member can push another's counter in one message.
const MAX_BOOT_LEAP: u64 = 1_000_000;

/// This node's heartbeat, and what it hears of the others'.
#[derive(Clone, Debug)]
pub struct Pulse {
    me: NodeId,
    own: Beat,
    since: Now,
    /// From when on peers hear of this life.
    life_since: Instant,
    members: Members,
    rounds: Rounds,
    next_bump: Instant,
    /// When settling will change something, at the earliest.
    next_change: Option<Instant>,
    /// When this was last called: a gap is a lag.
    awake: Instant,
    /// When it listened again after it had stood still, last.
    woken: Option<Instant>,
    /// When a peer last showed a newer counter of this node, and which.
    echo: (Instant, u64),
    echo_missed: bool,
    /// When no other member was online, last.
    alone: Option<Instant>,
    /// When a member first answered this boot.
    answered: Option<Instant>,
    version: u64,
    /// When a member last went stale, or the roster changed.
    staled: Instant,
    doubt: Doubt,
    double: Double,
}

impl Pulse {
    /// A node that starts. `boot` counts its starts and `nonce` is random for each; equal seeds
    /// choose equal partners.
    pub fn new(me: NodeId, boot: u64, nonce: u64, seed: u64, now: Now) -> Self {
        let own = Beat {
            boot,
            nonce,
            counter: 0,
        };
        Self {
            me,
            own,
            since: now,
            life_since: now.monotonic,
            members: Members::default(),
            rounds: Rounds::new(Chance::new(seed, "exchange partners"), now.monotonic),
            next_bump: now.monotonic,
            next_change: None,
            awake: now.monotonic,
            woken: None,
            echo: (now.monotonic, 0),
            echo_missed: false,
            alone: None,
            answered: None,
            version: 0,
            staled: now.monotonic,
            doubt: Doubt::default(),
            double: Double::default(),
        }
    }

    /// The members now. What is known of those who stay is kept.
    pub fn set_roster(&mut self, roster: &BTreeSet<NodeId>, now: Now) {
        let mut others = roster.clone();
        others.remove(&self.me);
        if self.members.set_roster(&others, now) {
            self.rounds.hurry(now.monotonic);
        }
        self.version += 1;
        self.staled = now.monotonic;
        self.settle(now);
    }

    /// What time does: bumps, lets silences act, and says whom to send an exchange that wants an
    /// answer. Call it at [`Pulse::next_wake`], or earlier.
    pub fn tick(&mut self, now: Now) -> Vec<NodeId> {
        self.notice_lag(now);
        let bumps = self.next_bump <= now.monotonic;
        if bumps {
            self.bump(now.monotonic);
        }
        if bumps
            || self
                .next_change
                .is_some_and(|change| change <= now.monotonic)
        {
            self.settle(now);
        }
        self.doubt_eyes(now.monotonic);
        if !self.rounds.is_due(now.monotonic) {
            return Vec::new();
        }
        let pace = self.pace();
        let candidates = self.members.candidates();
        let partner = self.rounds.due(candidates, &pace, now.monotonic);
        partner.into_iter().collect()
    }

    /// When [`Pulse::tick`] has something to do next.
    pub fn next_wake(&self) -> Instant {
        let due = self.next_bump.min(self.rounds.next_wake());
        self.next_change.map_or(due, |change| change.min(due))
    }

    /// `from` says something: nothing is heard of who is no member. `is_answer`: to what this node asked.
    pub fn spoke(&mut self, from: NodeId, is_answer: bool, now: Now) {
        self.notice_lag(now);
        let Some(speaker) = self.members.get_mut(&from) else {
            return;
        };
        speaker.note_speaking(now.monotonic);
        if is_answer {
            self.answered.get_or_insert(now.monotonic);
        }
        self.rounds.heard(from);
    }

    /// Merges what `from` knows: the higher beat wins. Who is no member is ignored, and so are the
    /// beats of those who are none. Returns what the peer knows of this node itself.
    pub fn hear(&mut self, from: NodeId, vector: &Vector, now: Now) -> Own {
        if self.members.find(&from).is_none() {
            return Own::Agreed;
        }
        self.hear_all(from, vector, now);
        match vector.get(&self.me) {
            Some(beat) => self.hear_own(*beat, now.monotonic),
            None => Own::Agreed,
        }
    }

    /// The same of counters. Says whether `from` knows the same lives: if not, only its news were heard.
    pub fn hear_brief(&mut self, from: NodeId, brief: &Brief, now: Now) -> (Own, bool) {
        let own = self.hear(from, &brief.news, now);
        let is_same = brief.lives == self.lives() && self.members.find(&from).is_some();
        let counters = brief.counters.as_slice();
        if own != Own::Agreed || !is_same || counters.len() != self.members.heard() + 1 {
            return (own, false);
        }
        (self.hear_counters(from, counters, now), true)
    }

    /// What a peer has as this node's newest report: it may be of a later life than this one.
    pub fn hear_own_report(&mut self, order: ReportOrder, now: Instant) -> Own {
        let life = Beat {
            boot: order.boot,
            nonce: order.nonce,
            counter: 0,
        };
        self.hear_life(life, now)
    }

    /// A peer says that two processes speak with this node's key.
    pub fn told_cloned(&mut self, first: ReportOrder, second: ReportOrder) {
        self.double.told(self.own, first, second);
    }

    /// Whether another process runs with this node's key. Such a node keeps what it runs and keeps
    /// beating, so that nobody takes that over; it acts no more.
    pub fn is_cloned(&self) -> bool {
        self.double.is_cloned()
    }

    /// Continues above a boot that was not this one. The caller saves the new boot counter, which is
    /// returned, and orders its reports by it.
    pub fn restart_above(&mut self, boot: u64, now: Instant) -> u64 {
        self.life_since = now;
        self.own.boot = self.own.boot.max(boot.saturating_add(1));
        self.own.counter = 0;
        self.echo.1 = 0;
        self.version += 1;
        self.own.boot
    }

    /// Whether a report may be sent: a peer was asked for this node's last one and has answered, or
    /// there is nobody who does.
    pub fn may_report(&self, now: Instant) -> bool {
        self.answered.is_some()
            || self.members.is_empty()
            || now.since(self.since.monotonic) >= FIRST_ANSWER_WITHIN
    }

    /// When a member answered this boot first.
    pub fn heard_since(&self) -> Option<Instant> {
        self.answered
    }

    /// `node` restarts and asks for patience.
    pub fn restarts(&mut self, node: NodeId, now: Now) {
        if let Some(trace) = self.members.get_mut(&node) {
            trace.grant_patience(now.monotonic);
        }
        self.version += 1;
        self.settle(now);
    }

    /// The host of `from` refused the connection: the daemon is down, the host and its containers
    /// are up.
    pub fn refused(&mut self, from: NodeId, now: Now) {
        if let Some(trace) = self.members.get_mut(&from) {
            trace.grant_patience(now.monotonic);
        }
        self.rounds.failed(from, now.monotonic);
        self.settle(now);
    }

    /// This node's loop stood still for so long. A tick that comes late is noticed without this.
    pub fn lagged(&mut self, lag: Duration, now: Instant) {
        if lag > LAG {
            self.doubt.raise(Cause::Lagged, now);
        }
        if lag > STOOD_STILL {
            self.woken = Some(now);
        }
    }

    /// When this node's loop went on after it had stood still for more than [`STOOD_STILL`] last: what it reads
    /// then was said at any time since.
    pub fn woken(&self) -> Option<Instant> {
        self.woken
    }

    /// The newest beat of each member, this node included.
    pub fn vector(&self) -> Vector {
        let others = self.members.beats();
        others.chain([(self.me, self.own)]).collect()
    }

    /// What an exchange carries for a peer that knows the same lives.
    pub fn brief(&self, now: Instant) -> Brief {
        let own = is_news(self.life_since, now).then_some((self.me, self.own));
        Brief {
            lives: self.lives(),
            news: self.members.news(now).chain(own).collect(),
            counters: self.counters(),
        }
    }

    /// The newest beat that is known of a member; `None` where none is.
    pub(crate) fn beat(&self, node: &NodeId) -> Option<Beat> {
        match *node == self.me {
            true => Some(self.own),
            false => self.members.beat(self.members.find(node)?),
        }
    }

    /// The life of a member that was heard of last.
    pub(crate) fn life(&self, node: &NodeId) -> Option<Life> {
        match *node == self.me {
            true => Some(self.own.life()),
            false => self.members.get(node)?.life,
        }
    }

    /// Of the life that is known of each member, this node included.
    fn lives(&self) -> Digest {
        let mut lives = self.members.lives();
        lives.toggle(self.own.life().digest(&self.me));
        lives
    }

    /// In the order of the members' keys, this node included, without those who were never heard of.
    fn counters(&self) -> Counters {
        let place = self.members.heard_before(&self.me);
        let all = self.members.counters();
        let mut counters = Vec::with_capacity(all.len() + 1);
        counters.extend(self.members.places_of_heard().map(|at| all[at]));
        counters.insert(place, self.own.counter);
        counters.into()
    }

    /// This node's own newest beat.
    pub fn own(&self) -> Beat {
        self.own
    }

    /// Rises with every change of a standing or of a life: what is derived from them is new only then.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How every member stood at the last call that was given the time. This node is always fresh
    /// to itself.
    pub fn standings(&self) -> BTreeMap<NodeId, Standing> {
        let mut standings: BTreeMap<NodeId, Standing> = self
            .members
            .iter()
            .map(|(node, trace)| (node, trace.standing()))
            .collect();
        standings.insert(self.me, self.own_standing());
        standings
    }

    /// How one member stands; `None` for who is no member.
    pub fn standing(&self, node: &NodeId) -> Option<Standing> {
        if *node == self.me {
            return Some(self.own_standing());
        }
        self.members.get(node).map(Trace::standing)
    }

    /// Until when this node shall take nothing over, because its own eyes may be the problem.
    pub fn self_suspicion(&self, now: Instant) -> Option<Suspicion> {
        self.doubt.current(now)
    }

    /// The pace that the roster's size asks for.
    pub fn pace(&self) -> Pace {
        Pace::of(self.size())
    }

    /// Of the roster, this node included.
    fn size(&self) -> usize {
        self.members.len() + 1
    }

    fn own_standing(&self) -> Standing {
        Standing {
            freshness: Freshness::Fresh,
            since: self.since.wall,
        }
    }

    fn bump(&mut self, now: Instant) {
        self.own.counter = self.own.counter.saturating_add(1);
        self.next_bump = now + self.pace().bump;
    }

    /// What a peer says of others, with their lives.
    fn hear_all(&mut self, from: NodeId, vector: &Vector, now: Now) {
        let listener = self.listener(now);
        for (node, beat) in vector.iter() {
            let Some(at) = self.members.find(node) else {
                continue;
            };
            let is_direct = *node == from;
            if is_direct || self.members.beat(at).is_none_or(|known| *beat > known) {
                self.hear_of(at, *beat, is_direct, &listener);
            }
        }
    }

    /// One counter for each life that is known here. Most did not rise.
    fn hear_counters(&mut self, from: NodeId, counters: &[u64], now: Now) -> Own {
        let listener = self.listener(now);
        let speaker = self.members.find(&from);
        let place = self.members.heard_before(&self.me);
        let Some((before, [own, after @ ..])) = counters.split_at_checked(place) else {
            return Own::Agreed;
        };
        let theirs = before.iter().chain(after).copied();
        let known = self.members.counters();
        let said = self.members.places_of_heard().zip(theirs);
        let news = said.filter(|(at, counter)| Some(*at) == speaker || *counter > known[*at]);
        for (at, counter) in news.collect::<Vec<_>>() {
            if let Some(life) = self.members.trace(at).life {
                self.hear_of(at, life.beat(counter), Some(at) == speaker, &listener);
            }
        }
        self.hear_own(self.own.life().beat(*own), now.monotonic)
    }

    fn listener(&self, now: Now) -> Listener {
        Listener {
            alone: self.alone,
            pace: self.pace(),
            now,
        }
    }

    /// Takes a beat that is not older than the known one; nothing follows from an older one.
    fn hear_of(&mut self, at: usize, beat: Beat, is_direct: bool, listener: &Listener) {
        let known = self.members.beat(at);
        let leap = beat
            .boot
            .saturating_sub(known.map_or(0, |known| known.boot));
        let is_invented = leap > MAX_BOOT_LEAP && !is_direct;
        if known.is_some_and(|known| beat < known) || is_invented {
            return;
        }
        let now = listener.now;
        self.members.set_beat(at, beat, now.monotonic);
        let trace = self.members.trace_mut(at);
        let heard = listener.hear(trace, known, beat, is_direct);
        self.version += u64::from(heard.is_change);
        if heard.is_return {
            self.doubt.raise(Cause::Returning, now.monotonic);
        }
        self.next_change = self.next_change.into_iter().chain(heard.next_change).min();
    }

    /// A counter of this life that rises on its way back shows that peers hear this node.
    fn hear_own(&mut self, beat: Beat, now: Instant) -> Own {
        let is_this_life = (beat.boot, beat.nonce) == (self.own.boot, self.own.nonce);
        if is_this_life && beat.counter > self.echo.1 && beat <= self.own {
            self.echo = (now, beat.counter);
            self.echo_missed = false;
        }
        self.hear_life(beat, now)
    }

    /// A life in this node's name that boots far ahead of it was invented: whoever followed it there
    /// would leave its peers behind, and at the last number for ever.
    fn hear_life(&mut self, life: Beat, now: Instant) -> Own {
        if life.boot.saturating_sub(self.own.boot) > MAX_BOOT_LEAP {
            return Own::Agreed;
        }
        self.double.hear(self.own, life, now)
    }
}

/// How this node hears.
struct Listener {
    /// When no other member was online, last.
    alone: Option<Instant>,
    pace: Pace,
    now: Now,
}

/// What became of a member that was heard of.
struct Heard {
    /// Its standing or its life is another than before.
    is_change: bool,
    /// It was absent, and is not any more.
    is_return: bool,
    next_change: Option<Instant>,
}

impl Listener {
    /// `beat` is what follows `known`.
    fn hear(&self, trace: &mut Trace, known: Option<Beat>, beat: Beat, is_direct: bool) -> Heard {
        let rose = known != Some(beat);
        let is_new_life = known.as_ref().map(Beat::life) != Some(beat.life());
        let before = trace.standing().freshness;
        if trace.is_sign_of_life(rose, is_direct, &self.pace, self.now.monotonic) {
            trace.hear(self.alone, is_new_life, self.now);
        }
        let after = trace.standing().freshness;
        Heard {
            is_change: is_new_life || after != before,
            is_return: before >= Freshness::Absent && after < before,
            next_change: trace.next_change(&self.pace),
        }
    }
}
