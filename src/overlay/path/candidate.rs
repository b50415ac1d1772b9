//! One way to a peer, and what is known of it.

use std::time::{Duration, Instant};

use super::{SILENCE, Via};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Configured,
    /// The peer was heard there.
    Observed,
}

#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) via: Via,
    pub(super) origin: Origin,
    pub(super) probed: Option<Instant>,
    /// The first probe since the last answer.
    pub(super) unanswered: Option<Instant>,
    pub(super) answered: Option<Instant>,
    pub(super) heard: Option<Instant>,
    pub(super) in_a_row: u32,
    pub(super) rtt: Option<Duration>,
}

impl Path {
    pub(super) fn new(via: Via) -> Self {
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

    pub(super) fn is_due(&self, pace: Option<Duration>, now: Instant) -> bool {
        pace.is_some_and(|pace| self.probed.is_none_or(|probed| now - probed >= pace))
    }

    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.unanswered.is_some_and(|since| now - since >= SILENCE)
    }

    /// Whether the peer was heard here after this path was last probed.
    pub(super) fn is_doubted(&self) -> bool {
        self.heard.is_some() && self.probed.is_none()
    }

    pub(super) fn note_answer(&mut self, rtt: Duration, now: Instant) {
        self.answered = Some(now);
        self.unanswered = None;
        self.in_a_row += 1;
        self.rtt = Some(self.rtt.map_or(rtt, |mean| (mean * 7 + rtt) / 8));
    }
}
