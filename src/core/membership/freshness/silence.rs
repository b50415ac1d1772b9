//! What silence does: members decay, and this node doubts itself where the silence may be its own.

use std::time::Duration;

use super::pace::Pace;
use super::trace::Trace;
use super::{Cause, LAG, Pulse};
use crate::time::{Instant, Now};
use crate::view::Freshness;

/// What [`Cause::ManyStale`] looks at.
const MANY_STALE_WITHIN: Duration = Duration::from_secs(10);

impl Pulse {
    /// Silence counts only while this node listens: what was sent meanwhile has not been read yet.
    pub(super) fn notice_lag(&mut self, now: Now) {
        let lag = now.monotonic.since(self.awake.max(self.next_wake()));
        self.awake = self.awake.max(now.monotonic);
        if lag <= LAG {
            return;
        }
        self.lagged(lag, now.monotonic);
        self.echo.0 = (self.echo.0 + lag).min(now.monotonic);
        for trace in self.members.traces_mut() {
            trace.forgive(lag, now.monotonic);
        }
        self.next_change = self.earliest_change();
    }

    pub(super) fn settle(&mut self, now: Now) {
        let pace = self.pace();
        let is_witnessed = self.witnesses(&pace, now.monotonic) >= 2;
        for trace in self.members.traces_mut() {
            if trace.settle(&pace, is_witnessed, now) {
                self.version += 1;
                if trace.standing().freshness >= Freshness::Stale {
                    self.staled = now.monotonic;
                }
            }
        }
        if !self.members.traces().any(Trace::is_online)
            && self.went_stale_lately(now.monotonic) >= 2
        {
            self.alone = Some(now.monotonic);
        }
        self.next_change = self.earliest_change();
    }

    /// How many online members have kept this node informed for long enough to know that the
    /// counter of a third stands still.
    fn witnesses(&self, pace: &Pace, now: Instant) -> usize {
        let informs = |trace: &&Trace| trace.is_online() && trace.spoke_for(now) >= pace.absent;
        self.members.traces().filter(informs).count()
    }

    fn went_stale_lately(&self, now: Instant) -> usize {
        let lately = |trace: &&Trace| trace.went_stale_within(MANY_STALE_WITHIN, now);
        self.members.traces().filter(lately).count()
    }

    pub(super) fn doubt_eyes(&mut self, now: Instant) {
        // Every exchange comes by here: the members are looked through only if one may have gone stale.
        let is_quiet = now.since(self.staled) > MANY_STALE_WITHIN;
        if !is_quiet && self.size() >= 4 && self.went_stale_lately(now) * 3 > self.size() {
            self.doubt.raise(Cause::ManyStale, now);
        }
        let is_unheard = now.since(self.echo.0) >= self.pace().stale;
        if self.size() >= 3 && is_unheard && !self.echo_missed {
            self.echo_missed = true;
            self.doubt.raise(Cause::Unheard, now);
        }
    }

    fn earliest_change(&self) -> Option<Instant> {
        let pace = self.pace();
        let changes = self
            .members
            .traces()
            .filter_map(|trace| trace.next_change(&pace));
        changes.min()
    }
}
