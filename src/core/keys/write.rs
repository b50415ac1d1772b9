//! Writing: what a client of this node asks for, by the rules of etcd's version 2.
//!
//! A condition is held against what this node has. Another node may take another write at the same moment:
//! then the one with the higher stamp stays, and the other is overwritten without having been seen.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Instant;

use super::{
    Content, Effect, Entry, Event, Found, InvalidKey, Key, KeyAction, Keys, Life, MAX_BYTES,
    MAX_KEYS, MAX_TTL, MAX_VALUE,
};

/// What a client wants of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWrite {
    pub key: Key,
    pub change: Change,
    pub condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on this; for so long only, if that is said.
    Set {
        content: Content,
        ttl: Option<Duration>,
    },
    /// What is there is to last from now on for so long, or for ever. Nobody is told that it changed.
    Refresh { ttl: Option<Duration> },
    /// A new key in this directory, whose name is above those of all that were appended before.
    Append {
        content: Content,
        ttl: Option<Duration>,
    },
    /// `directory`: an empty one may go too; `recursive`: with all that is in it.
    Remove { directory: bool, recursive: bool },
}

/// What must be so, as far as this node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub exists: Option<bool>,
    pub value: Option<Box<str>>,
    pub index: Option<u64>,
}

/// What was done, once it is on this node's disk.
pub type KeyReply = Result<Arc<Event>, KeyRefusal>;

/// Why a write was not carried out.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyRefusal {
    #[error("there is no key `{key}`")]
    NotFound { key: Key },
    #[error("`{key}` exists already")]
    Exists { key: Key },
    #[error("`{key}` is a directory")]
    IsDirectory { key: Key },
    #[error("`{key}` is no directory")]
    IsValue { key: Key },
    #[error("the directory `{key}` is not empty")]
    NotEmpty { key: Key },
    #[error("the root cannot be written")]
    Root,
    #[error("`{key}` is not as expected: {cause}")]
    Differs { key: Key, cause: String },
    #[error("{0}")]
    Key(#[from] InvalidKey),
    #[error("a value of {0} bytes is too long: {MAX_VALUE} are allowed")]
    TooLong(usize),
    #[error("a key lasts from a second to ten years")]
    Ttl,
    /// With the figures at the time.
    #[error(
        "the store is full: it has {keys} of {MAX_KEYS} keys, and {bytes} of {MAX_BYTES} bytes"
    )]
    Full { keys: usize, bytes: usize },
    /// A copy of this node writes too, or wrote before the disk was set back.
    #[error("another life of this node has written meanwhile")]
    Overtaken,
    #[error("this node belongs to no grid")]
    NoGrid,
    #[error("this node has too many keys to write")]
    Busy,
    #[error("this node's daemon is stopping")]
    Stopping,
    /// It may be found on this node all the same, and on others.
    #[error("it could not be saved: {problem}")]
    Disk { problem: String },
    #[error("this node's daemon is stopping: it may have been saved")]
    Unconfirmed,
}

impl Keys {
    /// Carries out a write: what happened, and what is left to do.
    ///
    /// # Errors
    /// If the store refuses it, which is then as before.
    pub fn write(
        &mut self,
        write: &KeyWrite,
        life: Life,
        now: Instant,
    ) -> Result<(Arc<Event>, Effect), KeyRefusal> {
        if write.key.is_root() && !matches!(write.change, Change::Append { .. }) {
            return Err(KeyRefusal::Root);
        }
        match &write.change {
            Change::Set { content, ttl } => self.set(write, content, *ttl, life, now),
            Change::Refresh { ttl } => self.refresh(write, *ttl, life, now),
            Change::Append { content, ttl } => {
                let write = self.appended(&write.key, content, *ttl, life)?;
                self.set(&write, content, *ttl, life, now)
            }
            Change::Remove {
                directory,
                recursive,
            } => self.remove(write, *directory, *recursive),
        }
    }

    fn set(
        &mut self,
        write: &KeyWrite,
        content: &Content,
        ttl: Option<Duration>,
        life: Life,
        now: Instant,
    ) -> Result<(Arc<Event>, Effect), KeyRefusal> {
        let key = &write.key;
        self.check_condition(key, &write.condition)?;
        self.check_place(key, content, &write.condition)?;
        self.check_room(key, content)?;
        let action = action_of_set(&write.condition);
        self.place(key, content.clone(), ttl, action, life, now)
    }

    /// The same content with another end.
    fn refresh(
        &mut self,
        write: &KeyWrite,
        ttl: Option<Duration>,
        life: Life,
        now: Instant,
    ) -> Result<(Arc<Event>, Effect), KeyRefusal> {
        let key = &write.key;
        self.check_condition(key, &write.condition)?;
        let entry = self.entry_of(key)?;
        let content = entry.content.clone();
        let action = action_of_set(&write.condition);
        let (event, effect) = self.place(key, content, ttl, action, life, now)?;
        self.unsay(&event);
        Ok((event, effect))
    }

    /// Puts content under a key, as a new write of this node.
    fn place(
        &mut self,
        key: &Key,
        content: Content,
        ttl: Option<Duration>,
        action: KeyAction,
        life: Life,
        now: Instant,
    ) -> Result<(Arc<Event>, Effect), KeyRefusal> {
        let until = deadline(ttl, now)?;
        let dot = self.seen.next(life).ok_or(KeyRefusal::Overtaken)?;
        self.seen.extend(dot.writer, dot.order);
        let index = self.next_index(0);
        let created = self
            .entries
            .get(key)
            .map_or(index, |previous| previous.created);
        let created = match action {
            KeyAction::Set => index,
            KeyAction::Create
            | KeyAction::Update
            | KeyAction::CompareAndSwap
            | KeyAction::Delete
            | KeyAction::CompareAndDelete
            | KeyAction::Expire => created,
        };
        let (entry, previous) = self.put(
            key.clone(),
            Entry {
                content,
                created,
                modified: index,
                until,
                stamp: index,
                dot,
            },
        );
        let event = self.happened(Event {
            action,
            key: key.clone(),
            index,
            is_directory: entry.content == Content::Directory,
            entry: Some(entry),
            previous: previous.clone(),
        });
        let effect = Effect {
            touched: [key.clone()].into(),
            removed: previous
                .map(|entry| entry.dot.clone())
                .into_iter()
                .collect(),
            extends: true,
        };
        Ok((event, effect))
    }

    /// The write that an append comes to. Names are of 20 digits, as etcd's, and rise on each node; the
    /// last of them tell nodes apart that append at the same moment.
    fn appended(
        &self,
        directory: &Key,
        content: &Content,
        ttl: Option<Duration>,
        life: Life,
    ) -> Result<KeyWrite, KeyRefusal> {
        if let Some(Found::Value(_)) = self.find(directory) {
            return Err(KeyRefusal::IsValue {
                key: directory.clone(),
            });
        }
        let [first, second, third, ..] = life.writer.0;
        let node = u64::from_be_bytes([0, 0, 0, 0, 0, first, second, third]);
        let number = (self.index.saturating_add(1) << 24) | node;
        let content = content.clone();
        Ok(KeyWrite {
            key: directory.child(&format!("{number:020}"))?,
            change: Change::Set { content, ttl },
            condition: Condition {
                exists: Some(false),
                ..Condition::default()
            },
        })
    }

    fn remove(
        &mut self,
        write: &KeyWrite,
        directory: bool,
        recursive: bool,
    ) -> Result<(Arc<Event>, Effect), KeyRefusal> {
        let key = &write.key;
        let Some(found) = self.find(key) else {
            return Err(KeyRefusal::NotFound { key: key.clone() });
        };
        let is_conditional = write.condition.value.is_some() || write.condition.index.is_some();
        match found {
            Found::Directory(_) if is_conditional || !(directory || recursive) => {
                return Err(KeyRefusal::IsDirectory { key: key.clone() });
            }
            Found::Directory(_) if !recursive && self.below(key).next().is_some() => {
                return Err(KeyRefusal::NotEmpty { key: key.clone() });
            }
            Found::Directory(_) | Found::Value(_) => {}
        }
        self.check_condition(key, &write.condition)?;
        let action = match is_conditional {
            true => KeyAction::CompareAndDelete,
            false => KeyAction::Delete,
        };
        Ok(self.drop_tree(key, action))
    }

    fn check_condition(&self, key: &Key, condition: &Condition) -> Result<(), KeyRefusal> {
        let Condition {
            exists,
            value,
            index,
        } = condition;
        let found = self.find(key);
        match (exists, found.is_some()) {
            (Some(false), true) => return Err(KeyRefusal::Exists { key: key.clone() }),
            (Some(true), false) => return Err(KeyRefusal::NotFound { key: key.clone() }),
            (Some(_) | None, _) => {}
        }
        if value.is_none() && index.is_none() {
            return Ok(());
        }
        let entry = self.entry_of(key)?;
        let Content::Value(text) = &entry.content else {
            return Err(KeyRefusal::IsDirectory { key: key.clone() });
        };
        let other_value = value.as_ref().filter(|value| *value != text);
        let other_index = index.filter(|index| *index != entry.modified);
        if other_value.is_none() && other_index.is_none() {
            return Ok(());
        }
        let causes = [
            other_value.map(|value| format!("[{value} != {text}]")),
            other_index.map(|index| format!("[{index} != {}]", entry.modified)),
        ];
        Err(KeyRefusal::Differs {
            key: key.clone(),
            cause: causes.into_iter().flatten().collect::<Vec<_>>().join(" "),
        })
    }

    fn entry_of(&self, key: &Key) -> Result<&Arc<Entry>, KeyRefusal> {
        match self.find(key) {
            Some(Found::Value(entry) | Found::Directory(Some(entry))) => Ok(entry),
            Some(Found::Directory(None)) => Err(KeyRefusal::IsDirectory { key: key.clone() }),
            None => Err(KeyRefusal::NotFound { key: key.clone() }),
        }
    }

    /// Whether such content can be there: directories keep what is in them, and only they have something.
    fn check_place(
        &self,
        key: &Key,
        content: &Content,
        condition: &Condition,
    ) -> Result<(), KeyRefusal> {
        let value = key
            .ancestors()
            .find(|above| matches!(self.find(above), Some(Found::Value(_))));
        if let Some(key) = value {
            return Err(KeyRefusal::IsValue { key });
        }
        match (self.find(key), content) {
            (Some(Found::Directory(_)), Content::Directory) if condition.exists == Some(true) => {
                Ok(())
            }
            (Some(Found::Directory(_)), _) => Err(KeyRefusal::IsDirectory { key: key.clone() }),
            (Some(Found::Value(_)) | None, _) => Ok(()),
        }
    }

    fn check_room(&self, key: &Key, content: &Content) -> Result<(), KeyRefusal> {
        if content.bytes() > MAX_VALUE {
            return Err(KeyRefusal::TooLong(content.bytes()));
        }
        let old = self.entries.get(key);
        let bytes = match old {
            Some(old) => self.bytes - old.content.bytes(),
            None => self.bytes + key.as_str().len(),
        };
        let keys = self.len() + usize::from(old.is_none());
        // What does not grow is taken by a full store too.
        let grows = old.is_none_or(|old| content.bytes() > old.content.bytes());
        if grows && (keys > MAX_KEYS || bytes + content.bytes() > MAX_BYTES) {
            return Err(KeyRefusal::Full {
                keys: self.len(),
                bytes: self.bytes,
            });
        }
        Ok(())
    }

    /// Takes back that something happened which happened last.
    fn unsay(&mut self, event: &Arc<Event>) {
        if self.events.back() == Some(event) {
            self.events.pop_back();
        }
    }
}

fn action_of_set(condition: &Condition) -> KeyAction {
    match condition.exists {
        _ if condition.value.is_some() || condition.index.is_some() => KeyAction::CompareAndSwap,
        Some(true) => KeyAction::Update,
        Some(false) => KeyAction::Create,
        None => KeyAction::Set,
    }
}

fn deadline(ttl: Option<Duration>, now: Instant) -> Result<Option<Instant>, KeyRefusal> {
    match ttl {
        Some(ttl) if ttl.is_zero() || ttl > MAX_TTL => Err(KeyRefusal::Ttl),
        Some(ttl) => Ok(Some(now + ttl)),
        None => Ok(None),
    }
}
