//! Which events a client that waits is told of.

use std::sync::Arc;

use kontena_core::keys::{Cleared, Event, Key, Keys};

/// What a client waits for, and how far that was looked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) key: Key,
    pub(super) recursive: bool,
    /// The next index that was not looked at. It goes on with what happens to other keys: a quiet key is waited for
    /// longer than events are remembered.
    pub(super) since: u64,
}

impl Wanted {
    /// The first event that is wanted and was not looked at.
    ///
    /// # Errors
    /// If some that were not looked at are forgotten.
    pub(super) fn look(&mut self, keys: &Keys) -> Result<Option<Arc<Event>>, Cleared> {
        while let Some(event) = keys.first_event(&self.key, self.recursive, self.since)? {
            self.since = event.index.saturating_add(1);
            if !self.is_hidden(&event.key) {
                return Ok(Some(event));
            }
        }
        self.since = self.since.max(keys.index().saturating_add(1));
        Ok(None)
    }

    /// Of what is below, nothing is told where a name on the way begins with `_`.
    fn is_hidden(&self, key: &Key) -> bool {
        let above = match self.key.is_root() {
            true => "",
            false => self.key.as_str(),
        };
        let below = key.as_str().strip_prefix(above);
        below.is_some_and(|below| below.contains("/_"))
    }
}

#[cfg(test)]
mod tests {
    use kontena_core::id::NodeId;
    use kontena_core::keys::{Change, Condition, Content, KeyWrite, Life, MAX_EVENTS};
    use kontena_core::time::Instant;

    use super::*;

    fn set(keys: &mut Keys, key: &str) {
        let write = KeyWrite {
            key: key.parse().unwrap(),
            change: Change::Set {
                content: Content::Value("1".into()),
                ttl: None,
            },
            condition: Condition::default(),
        };
        let life = Life {
            writer: NodeId([1; 32]),
            boot: 1,
            nonce: 1,
        };
        keys.write(&write, life, Instant::ZERO).unwrap();
    }

    fn wanted(key: &str, recursive: bool) -> Wanted {
        Wanted {
            key: key.parse().unwrap(),
            recursive,
            since: 1,
        }
    }

    #[test]
    fn a_wait_outlasts_more_events_of_others_than_are_remembered() {
        let mut keys = Keys::default();
        let mut wanted = wanted("/k", false);
        for _ in 0..2 {
            for _ in 0..MAX_EVENTS {
                set(&mut keys, "/other");
            }
            assert_eq!(wanted.look(&keys).unwrap(), None);
        }
        set(&mut keys, "/k");
        assert!(wanted.look(&keys).unwrap().is_some());
    }

    #[test]
    fn what_is_hidden_is_told_only_to_who_waits_for_it() {
        let mut keys = Keys::default();
        for key in ["/d/_a/b", "/d/_c", "/d/e"] {
            set(&mut keys, key);
        }
        for (key, told) in [
            ("/", "/d/e"),
            ("/d", "/d/e"),
            ("/d/_a", "/d/_a/b"),
            ("/d/_c", "/d/_c"),
        ] {
            let event = wanted(key, true).look(&keys).unwrap().unwrap();
            assert_eq!(event.key.as_str(), told, "{key}");
        }
    }
}
