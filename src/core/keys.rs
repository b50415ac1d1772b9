//! The key-value store: short texts under paths, the same on every node, for programs in containers.
//!
//! In: what a client asks for ([`KeyWrite`]) and what other nodes have ([`KeyNews`], [`KeysHeld`]). Out: the
//! store as it is then, what happened to it ([`Event`]), and what others are to be told. Nobody is asked
//! first: a node answers with what it has, and takes every write, alone or not.
//!
//! Every write has a *dot*: its author and a number that rises. A node knows which dots it has seen; a dot
//! that it has seen and does not have is one that was removed or overwritten. So nothing is left of what is
//! removed, however long a node was away (an optimized OR-map: Bieniusa et al., *An optimized conflict-free
//! replicated set*, 2012). Of two writes of one key that did not know each other the one with the higher
//! stamp stays: [Lamport's clock][lamport], which is the store's index.
//!
//! Not here: HTTP, the disk, who is told when ([`crate::node`]).
//!
//! [lamport]: https://doi.org/10.1145/359545.359563

mod dot;
mod entry;
mod event;
mod key;
mod limits;
mod merge;
mod read;
mod saved;
mod share;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::id::NodeId;
use crate::report::ReportOrder;
use crate::time::Instant;

pub use dot::{Dot, Life, Seen};
pub use entry::{Content, Entry};
pub use event::{Cleared, Event, KeyAction, MAX_EVENTS};
pub use key::{InvalidKey, Key};
pub use limits::{MAX_BYTES, MAX_KEYS, MAX_TTL, MAX_VALUE};
pub use merge::Refused;
pub use read::Found;
pub use saved::{SavedHead, SavedKey};
pub use share::{KeyNews, KeysHeld, LiveOfLife, SharedEntry, Span};
pub use write::{Change, Condition, KeyRefusal, KeyReply, KeyWrite};

/// All keys, as one node has them now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    entries: BTreeMap<Key, Arc<Entry>>,
    /// When the next ones end.
    deadlines: BTreeSet<(Instant, Key)>,
    seen: Seen,
    /// Counts what happened here, and is never below the stamp of anything that was seen.
    index: u64,
    /// What happened last, oldest first.
    events: VecDeque<Arc<Event>>,
    /// What happened up to this index is not among them.
    forgotten: u64,
    /// Of keys and values.
    bytes: usize,
}

/// What a change of the store leaves to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// What is to be saved anew.
    pub touched: BTreeSet<Key>,
    /// Dots that are gone, and are to be told.
    pub removed: Vec<Dot>,
    /// More was seen than before, whether or not anything of it is left.
    pub extends: bool,
}

impl Effect {
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.removed.is_empty() && !self.extends
    }

    /// What both leave to do.
    pub fn add(&mut self, other: Self) {
        self.touched.extend(other.touched);
        self.removed.extend(other.removed);
        self.extends |= other.extends;
    }
}

impl Keys {
    /// What happened here so far: in a grid of one node, the number of its changes.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The newest write of a node that was seen.
    pub fn newest_of(&self, writer: &NodeId) -> ReportOrder {
        self.seen.of(writer)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What keys and values take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When something ends by itself next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// Ends what has lasted as long as it was to last. Each node does so by itself, and tells nobody: who
    /// hears of a dot that is gone here lets it go too.
    pub fn expire(&mut self, now: Instant) -> Effect {
        let mut effect = Effect::default();
        while let Some((_, key)) = self.deadlines.first().filter(|(until, _)| *until <= now) {
            let key = key.clone();
            if self.is_made_directory(&key) {
                effect.add(self.drop_tree(&key, KeyAction::Expire).1);
            } else {
                self.drop_one(&key, KeyAction::Expire, false, &mut effect);
            }
        }
        // Who has the rest of its time to go is not hurried.
        effect.removed.clear();
        effect
    }

    /// Removes a key and all below it, as one thing that happened.
    fn drop_tree(&mut self, key: &Key, action: KeyAction) -> (Arc<Event>, Effect) {
        let mut effect = Effect::default();
        let below: Vec<Key> = self.below(key).map(|(key, _)| key.clone()).collect();
        let is_directory = !below.is_empty() || self.is_made_directory(key);
        for key in below {
            self.take(&key, &mut effect);
        }
        let event = self.drop_one(key, action, is_directory, &mut effect);
        (event, effect)
    }

    /// Removes what is under a key itself.
    fn drop_one(
        &mut self,
        key: &Key,
        action: KeyAction,
        is_directory: bool,
        effect: &mut Effect,
    ) -> Arc<Event> {
        let previous = self.take(key, effect);
        let index = self.next_index(0);
        self.happened(Event {
            action,
            key: key.clone(),
            index,
            is_directory,
            entry: None,
            previous,
        })
    }

    fn is_made_directory(&self, key: &Key) -> bool {
        let entry = self.entries.get(key);
        entry.is_some_and(|entry| entry.content == Content::Directory)
    }

    fn next_index(&mut self, stamp: u64) -> u64 {
        self.index = self.index.saturating_add(1).max(stamp);
        self.index
    }

    /// Puts an entry in, in place of what was there.
    fn put(&mut self, key: Key, entry: Entry) -> (Arc<Entry>, Option<Arc<Entry>>) {
        let previous = self.cut(&key);
        let entry = Arc::new(entry);
        self.bytes += key.as_str().len() + entry.content.bytes();
        if let Some(until) = entry.until {
            self.deadlines.insert((until, key.clone()));
        }
        self.entries.insert(key, Arc::clone(&entry));
        (entry, previous)
    }

    /// Takes an entry out, and notes its dot as gone.
    fn take(&mut self, key: &Key, effect: &mut Effect) -> Option<Arc<Entry>> {
        let entry = self.cut(key)?;
        effect.removed.push(entry.dot.clone());
        effect.touched.insert(key.clone());
        Some(entry)
    }

    fn cut(&mut self, key: &Key) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(key)?;
        self.bytes -= key.as_str().len() + entry.content.bytes();
        if let Some(until) = entry.until {
            self.deadlines.remove(&(until, key.clone()));
        }
        Some(entry)
    }
}
