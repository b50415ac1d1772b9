//! The order of links: what an instance waits for before it begins with a deploy.
//!
//! Of the services of a stack that are deployed together those that others link to come first (Kontena 1.x), and those
//! whose volumes others mount: the first
//! instance of a service waits until they are healthy, and so does its update. Once any instance of it has begun
//! nobody waits any more: a linked service that fails later holds up nothing.

use std::fmt;
use std::time::Duration;

use crate::id::ServiceName;
use crate::time::Instant;

/// How long a linked service is waited for, in one life of the daemon: Kontena's limit for each service of a stack's deploy.
const AWAITED_FOR: Duration = Duration::from_secs(600);

/// What a service is to one that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// It is linked to.
    Link,
    /// Its volumes are mounted.
    Volumes,
}

impl Tie {
    fn words(self) -> &'static str {
        match self {
            Self::Link => "which it links to",
            Self::Volumes => "whose volumes it mounts",
        }
    }
}

/// A service of the same stack that is not healthy at its own deploy yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    pub service: ServiceName,
    pub tie: Tie,
    /// Its deploy failed, was aborted or is to be promoted: it does not go on by itself. An update waits for it without
    /// a limit, because what is to follow it runs as it was before.
    pub is_held: bool,
    /// Who waits was never deployed before: nothing of it runs.
    pub is_first: bool,
}

impl Awaited {
    fn has_limit(&self) -> bool {
        self.is_first || !self.is_held
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, tie) = (&self.service, self.tie.words());
        match self.is_held {
            true => write!(
                f,
                "waits because the deploy of `{service}`, {tie}, does not go on"
            ),
            false => write!(f, "waits for `{service}`, {tie}"),
        }
    }
}

/// How one instance waits for its turn in the order of links.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// Since when, at the wanted deploy.
    since: Option<Instant>,
    awaited: Option<Awaited>,
}

impl Order {
    /// Takes note of what is to be awaited now. Says when to look again, if that ends by itself.
    pub(super) fn look(&mut self, awaited: Option<&Awaited>, now: Instant) -> Option<Instant> {
        self.awaited = None;
        let Some(awaited) = awaited.filter(|awaited| awaited.has_limit()) else {
            self.awaited = awaited.cloned();
            self.since = None;
            return None;
        };
        let over = *self.since.get_or_insert(now) + AWAITED_FOR;
        if over <= now {
            return None;
        }
        self.awaited = Some(awaited.clone());
        Some(over)
    }

    pub(super) fn awaited(&self) -> Option<&Awaited> {
        self.awaited.as_ref()
    }
}
