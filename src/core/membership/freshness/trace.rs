//! What this node knows of one other member: when it was last heard of, and how it stands since.
//!
//! Between two hearings a member only decays: fresh, late, stale, absent, gone. Being heard of makes
//! it fresh again. Not here: which beat counts as hearing ([`super`]).

use std::time::Duration;

use super::pace::Pace;
use crate::membership::vector::Life;
use crate::time::{Instant, Now};
use crate::view::{Freshness, Standing};

/// Somebody who was never heard in this boot is not absent before this much of it has passed.
const COLD_START: Duration = Duration::from_secs(60);

/// The grace of a daemon that announced a restart, or whose host answers while it does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// A grace never doubles beyond this.
const LONGEST_GRACE: Duration = Duration::from_secs(15 * 60);

/// Absent for longer is gone.
const GONE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A strike is forgotten for each hour without another.
const STRIKE_LASTS: Duration = Duration::from_secs(60 * 60);

/// Eight doublings of seven seconds are beyond the longest grace.
const MAX_STRIKES: u32 = 8;

/// What is said within this of asking for patience was on its way already.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Trace {
    /// Its newest life that is known.
    pub(super) life: Option<Life>,
    /// The last rise of its beat that counts as a sign of life; `None` if there was none in this boot.
    heard: Option<Instant>,
    /// From when its silence counts while it was never heard.
    known: Instant,
    /// When a single rise was relayed while it was absent or unheard: one is no sign of life yet,
    /// because it may be what another side of a split knew of a node that is dead since.
    hinted: Option<Instant>,
    /// Since when it has spoken to this node directly, if it has in this boot.
    spoke: Option<Instant>,
    standing: Standing,
    /// When it went stale, while it is.
    stale_at: Option<Instant>,
    absent_at: Option<Instant>,
    /// When patience was asked for, while it is granted.
    patience: Option<Instant>,
    /// How often it came back from being stale, and when last; fades.
    strikes: u32,
    struck: Instant,
}

impl Trace {
    pub(super) fn new(now: Now) -> Self {
        Self {
            life: None,
            heard: None,
            known: now.monotonic,
            hinted: None,
            spoke: None,
            standing: Standing {
                freshness: Freshness::Stale,
                since: now.wall,
            },
            stale_at: Some(now.monotonic),
            absent_at: None,
            patience: None,
            strikes: 0,
            struck: Instant::ZERO,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn is_online(&self) -> bool {
        self.standing.freshness.is_online()
    }

    /// It said something itself, over a connection that proves its key.
    pub(super) fn note_speaking(&mut self, now: Instant) {
        self.spoke.get_or_insert(now);
    }

    /// For how long it has been speaking to this node in this boot.
    pub(super) fn spoke_for(&self, now: Instant) -> Duration {
        self.spoke.map_or(Duration::ZERO, |spoke| now.since(spoke))
    }

    /// Went stale this lately, after it had been heard, and still is.
    pub(super) fn went_stale_within(&self, window: Duration, now: Instant) -> bool {
        let is_lately = |at: Instant| now.since(at) <= window;
        self.heard.is_some() && self.stale_at.is_some_and(is_lately)
    }

    /// Whether a beat that is no older than the known one shows that the member lives now.
    ///
    /// A rise does; from one who was absent or never heard, the second of two, because the first
    /// may be what another side of a split knew of a node that is dead since. Speaking itself
    /// always does.
    pub(super) fn is_sign_of_life(
        &mut self,
        rose: bool,
        is_direct: bool,
        pace: &Pace,
        now: Instant,
    ) -> bool {
        let is_known_alive = self.heard.is_some() && self.standing.freshness < Freshness::Absent;
        if is_known_alive || is_direct {
            return rose || !is_known_alive;
        }
        if !rose {
            return false;
        }
        let before = self.hinted.replace(now);
        before.is_some_and(|hint| now.since(hint) < pace.stale)
    }

    /// It lives. `alone_at`: when this node last heard of nobody at all; a silence that spans such a
    /// moment was this node's own, and is not held against the member.
    pub(super) fn hear(&mut self, alone_at: Option<Instant>, is_new_life: bool, now: Now) {
        if let Some(stale_at) = self.stale_at {
            let was_mine = alone_at.is_some_and(|alone| alone >= stale_at);
            if self.heard.is_some() && !was_mine && self.patience.is_none() {
                self.strike(now.monotonic);
            }
        }
        let waited = |asked: Instant| now.monotonic.since(asked) > ON_ITS_WAY;
        if is_new_life || self.patience.is_some_and(waited) {
            self.patience = None;
        }
        self.heard = Some(now.monotonic);
        self.hinted = None;
        self.absent_at = None;
        self.stale_at = None;
        self.turn(Freshness::Fresh, now);
    }

    /// Lets the silence act. Returns whether the standing changed.
    pub(super) fn settle(&mut self, pace: &Pace, is_witnessed: bool, now: Now) -> bool {
        let before = self.standing.freshness;
        // An absent member does not become merely stale because its grace grew.
        let after = self.decayed(pace, is_witnessed, now.monotonic).max(before);
        self.turn(after, now);
        if after >= Freshness::Stale {
            self.stale_at.get_or_insert(now.monotonic);
        }
        if after >= Freshness::Absent {
            self.absent_at.get_or_insert(now.monotonic);
        }
        after != before
    }

    /// When [`Trace::settle`] will change something next, if nothing is heard; `None` if never.
    pub(super) fn next_change(&self, pace: &Pace) -> Option<Instant> {
        let since = self.heard.unwrap_or(self.known);
        match self.standing.freshness {
            Freshness::Fresh => Some(since + pace.late),
            Freshness::Late => Some(since + pace.stale),
            Freshness::Stale => Some(since + self.grace(pace)),
            Freshness::Absent => self.absent_at.map(|at| at + GONE_AFTER),
            Freshness::Gone => None,
        }
    }

    /// It restarts, or its host refuses connections in its name.
    pub(super) fn grant_patience(&mut self, now: Instant) {
        self.patience = Some(now);
    }

    /// This node did not listen for so long: that silence was its own.
    pub(super) fn forgive(&mut self, deafness: Duration, now: Instant) {
        let later = |at: Instant| (at + deafness).min(now);
        if self.standing.freshness < Freshness::Absent {
            self.heard = self.heard.map(later);
            self.known = later(self.known);
        }
    }

    fn decayed(&self, pace: &Pace, is_witnessed: bool, now: Instant) -> Freshness {
        let silence = now.since(self.heard.unwrap_or(self.known));
        let gone = |at| now.since(at) >= GONE_AFTER;
        if self.absent_at.is_some_and(gone) {
            Freshness::Gone
        } else if silence >= self.grace(pace) || (is_witnessed && self.stands_still(pace, now)) {
            Freshness::Absent
        } else if silence >= pace.stale || self.heard.is_none() {
            Freshness::Stale
        } else if silence >= pace.late {
            Freshness::Late
        } else {
            Freshness::Fresh
        }
    }

    /// It was never heard in this boot, but others knew a beat of it, which does not rise.
    fn stands_still(&self, pace: &Pace, now: Instant) -> bool {
        let long_ago = |hint: Instant| now.since(hint) >= pace.absent;
        self.heard.is_none() && self.hinted.is_some_and(long_ago)
    }

    /// How long a silence is borne before the member is absent.
    fn grace(&self, pace: &Pace) -> Duration {
        let Some(heard) = self.heard else {
            return COLD_START;
        };
        let doubled = pace.absent.saturating_mul(1 << self.strikes_at(heard));
        let usual = doubled.min(LONGEST_GRACE).max(pace.absent);
        match self.patience {
            Some(_) => usual.max(PATIENCE),
            None => usual,
        }
    }

    fn strike(&mut self, now: Instant) {
        self.strikes = (self.strikes_at(now) + 1).min(MAX_STRIKES);
        self.struck = now;
    }

    fn strikes_at(&self, moment: Instant) -> u32 {
        let quiet_hours = moment.since(self.struck).as_secs() / STRIKE_LASTS.as_secs();
        let faded = u32::try_from(quiet_hours).unwrap_or(u32::MAX);
        self.strikes.saturating_sub(faded)
    }

    fn turn(&mut self, freshness: Freshness, now: Now) {
        if self.standing.freshness != freshness {
            self.standing = Standing {
                freshness,
                since: now.wall,
            };
        }
    }
}
