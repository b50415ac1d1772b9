//! The beginning of a boot: a node that was a member before looks before it acts, because its disk may
//! have been copied, and the other copy may run ([decision 7]).
//!
//! While it only looks it takes no command and starts no container; what is stopped and removed does no
//! harm, and what waits for its turn waits a little longer. Peers tell both copies.
//!
//! [decision 7]: docs/design/decisions/0007-a-start-looks-first.md

use std::time::Duration;

use crate::time::Instant;

use super::{Node, Phase};

/// How long it looks from when the first member spoke to it. Peers hear both copies within two rounds,
/// wait 4 s, and tell them; nothing may run twice meanwhile, least of all what has a volume.
const TWIN_SHOWS_WITHIN: Duration = Duration::from_secs(8);

/// How long it waits for a member to speak: a network that comes up after the daemon takes some
/// seconds. Whoever is really cut off has to go on with what it has.
pub(super) const HEARD_WITHIN: Duration = Duration::from_secs(15);

/// The longest that a node only looks, and lets commands wait.
pub(super) const LOOKS_AT_MOST: Duration = HEARD_WITHIN.saturating_add(TWIN_SHOWS_WITHIN);

impl Node {
    /// When this boot may act.
    pub(super) fn acts_from(&self) -> Instant {
        let Some(since) = self.own.looks_since else {
            return Instant::ZERO;
        };
        let unheard = since + HEARD_WITHIN;
        match self.pulse.heard_since() {
            Some(heard) if heard <= unheard => heard + TWIN_SHOWS_WITHIN,
            Some(_) | None => unheard,
        }
    }

    pub(super) fn only_looks(&self, now: Instant) -> bool {
        self.phase == Phase::Member && now < self.acts_from()
    }
}
