//! A container leaves the names before it is stopped (rules of the mesh 3).
//!
//! What this node says of it comes first: that it stops, or is about to be replaced. It goes when the nodes that may
//! lead somebody to it have taken note, and what they answered before is no longer kept anywhere: a TTL later. Whoever
//! takes note late is not waited for.

use std::time::Duration;

use crate::network::zone::TTL;
use crate::time::Instant;

use super::action::ContainerId;

/// How long others are waited for.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// Which container of an instance leaves the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaves {
    /// That which is the instance.
    Itself,
    /// That which was it before.
    Former,
}

/// One container on its way out of the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parting {
    container: ContainerId,
    /// Since when this node says so.
    since: Instant,
    /// When all who are waited for had taken note.
    heard: Option<Instant>,
}

impl Parting {
    pub(super) fn of(container: &ContainerId, now: Instant) -> Self {
        Self {
            container: container.clone(),
            since: now,
            heard: None,
        }
    }

    pub(super) fn is_of(&self, container: &ContainerId) -> bool {
        self.container == *container
    }

    /// Whether somebody may be led still to what was said to be ready then.
    pub(super) fn leads_on(ready: Instant, now: Instant) -> bool {
        now.since(ready) < HEARD_WITHIN + TTL
    }

    /// Everybody who is waited for has taken note. Says whether that is news.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        let is_news = self.heard.is_none();
        self.heard.get_or_insert(now);
        is_news
    }

    /// From when on nobody is led to the container any more.
    pub(super) fn over(&self) -> Instant {
        let at_most = self.since + HEARD_WITHIN;
        self.heard.map_or(at_most, |heard| heard.min(at_most)) + TTL
    }
}
