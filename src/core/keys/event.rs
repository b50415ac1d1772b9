//! What happened to keys, for those who wait for it.

use std::fmt;
use std::sync::Arc;

use super::{Entry, Key, Keys};

/// So many are kept, as etcd does. A daemon that starts has none.
pub const MAX_EVENTS: usize = 1000;

/// One change, as this node saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub action: KeyAction,
    pub key: Key,
    /// No two have the same on one node. On others the same change may have another.
    pub index: u64,
    pub is_directory: bool,
    /// What is there since; nothing, where it was removed.
    pub entry: Option<Arc<Entry>>,
    /// What was there before.
    pub previous: Option<Arc<Entry>>,
}

/// What was done, in etcd's words. What another node did is [`KeyAction::Set`] or [`KeyAction::Delete`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    Set,
    Create,
    Update,
    CompareAndSwap,
    Delete,
    CompareAndDelete,
    Expire,
}

impl fmt::Display for KeyAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Set => "set",
            Self::Create => "create",
            Self::Update => "update",
            Self::CompareAndSwap => "compareAndSwap",
            Self::Delete => "delete",
            Self::CompareAndDelete => "compareAndDelete",
            Self::Expire => "expire",
        })
    }
}

/// Events from that index on are not all here any more: they begin at `oldest`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the events before {oldest} are forgotten: {asked} was asked for")]
pub struct Cleared {
    pub oldest: u64,
    pub asked: u64,
}

impl Event {
    /// Whether who waits for `key`, or for all below it, waits for this. A directory that goes takes what is
    /// in it along.
    pub fn concerns(&self, key: &Key, recursive: bool) -> bool {
        self.key == *key
            || (recursive && key.contains(&self.key))
            || (self.entry.is_none() && self.key.contains(key))
    }
}

impl Keys {
    /// The first event from `index` on that concerns `key`; nothing, if it is still to come.
    ///
    /// # Errors
    /// If some since `index` are forgotten.
    pub fn first_event(
        &self,
        key: &Key,
        recursive: bool,
        index: u64,
    ) -> Result<Option<Arc<Event>>, Cleared> {
        if index <= self.forgotten {
            return Err(Cleared {
                oldest: self.forgotten.saturating_add(1),
                asked: index,
            });
        }
        let since = self.events.iter().filter(|event| event.index >= index);
        let mut concerned = since.filter(|event| event.concerns(key, recursive));
        Ok(concerned.next().map(Arc::clone))
    }

    pub(super) fn happened(&mut self, event: Event) -> Arc<Event> {
        let event = Arc::new(event);
        if self.events.len() == MAX_EVENTS
            && let Some(oldest) = self.events.pop_front()
        {
            self.forgotten = oldest.index;
        }
        self.events.push_back(Arc::clone(&event));
        event
    }
}
