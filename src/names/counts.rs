//! What the server did, in numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What the server did since it began.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same while it counts on.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counts {
            /// Each with its name, in the order in which they are shown.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Answers from the zone, errors included.
    answered,
    /// Answers from the cache.
    cached,
    /// Answers of the host's resolvers.
    forwarded,
    /// Questions that no resolver answered in time.
    failed,
    /// Messages that are no questions.
    garbage,
    /// Questions from outside of the networks that are served.
    strangers,
    /// Questions above what one client may ask, or above what can be under way.
    limited,
    /// Answers that the socket did not take.
    unsent,
    /// Resolvers that came back to this server, and are not asked any more.
    loops,
}

/// The counts of a server, for somebody who has not got the server.
#[derive(Clone, Debug)]
pub struct Meter(pub(crate) Arc<Counters>);

impl Meter {
    pub fn read(&self) -> Counts {
        self.0.read()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
