//! What is kept of the store over a restart: its entries, and what it has seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Instant;

use super::{Entry, Key, Keys, Seen, SharedEntry};

/// An entry on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedKey {
    #[serde(flatten)]
    entry: SharedEntry,
    created: u64,
    modified: u64,
}

/// What there is beside the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHead {
    seen: Seen,
    index: u64,
}

impl Keys {
    pub fn head(&self) -> SavedHead {
        SavedHead {
            seen: self.seen.clone(),
            index: self.index,
        }
    }

    /// What is to be kept of a key now; `None` where it is gone.
    pub fn saved(&self, key: &Key, now: Instant) -> Option<SavedKey> {
        let entry = self.entries.get(key)?;
        Some(SavedKey {
            entry: SharedEntry::of(key, entry, now),
            created: entry.created,
            modified: entry.modified,
        })
    }

    /// The store as it was saved. The time in between does not count for what was to last for a while.
    pub fn restore(
        head: SavedHead,
        entries: impl IntoIterator<Item = SavedKey>,
        now: Instant,
    ) -> Self {
        let mut keys = Self {
            seen: head.seen,
            index: head.index,
            forgotten: head.index,
            ..Self::default()
        };
        for SavedKey {
            entry,
            created,
            modified,
        } in entries
        {
            let until = entry.left.map(|left| now + Duration::from_millis(left));
            keys.put(
                entry.key,
                Entry {
                    content: entry.content,
                    created,
                    modified,
                    until,
                    stamp: entry.stamp,
                    dot: entry.dot,
                },
            );
        }
        keys
    }
}
