//! Reading: what is under a key, and in a directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Content, Entry, Key, Keys};

/// What is under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    Value(&'a Arc<Entry>),
    /// With its own entry if somebody made it: any other is there as long as something is in it.
    ///
    /// Where one side of a split made a value of what the other put keys into, the keys are seen, and the
    /// value once they are gone.
    Directory(Option<&'a Arc<Entry>>),
}

impl<'a> Found<'a> {
    pub fn entry(self) -> Option<&'a Arc<Entry>> {
        match self {
            Self::Value(entry) => Some(entry),
            Self::Directory(entry) => entry,
        }
    }

    /// The text of a value.
    pub fn value(self) -> Option<&'a str> {
        match self {
            Self::Value(entry) => match &entry.content {
                Content::Value(text) => Some(text),
                Content::Directory => None,
            },
            Self::Directory(_) => None,
        }
    }
}

impl Keys {
    /// What is under a key; the root is always there.
    pub fn find(&self, key: &Key) -> Option<Found<'_>> {
        let entry = self.entries.get(key);
        let is_full = self.below(key).next().is_some();
        match entry.map(|entry| (&entry.content, entry)) {
            Some((Content::Directory, entry)) => Some(Found::Directory(Some(entry))),
            Some((Content::Value(_), _)) if is_full => Some(Found::Directory(None)),
            Some((Content::Value(_), entry)) => Some(Found::Value(entry)),
            None if is_full || key.is_root() => Some(Found::Directory(None)),
            None => None,
        }
    }

    /// The index at which the first thing below a directory came to be.
    pub fn first_created(&self, directory: &Key) -> Option<u64> {
        self.below(directory).map(|(_, entry)| entry.created).min()
    }

    /// What is in a directory itself, by name. Names that begin with `_` are hidden, as etcd's.
    pub fn children(&self, directory: &Key) -> Vec<(Key, Found<'_>)> {
        let towards = self
            .below(directory)
            .filter_map(|(key, _)| directory.child_towards(key));
        let children: BTreeMap<Key, Found<'_>> = towards
            .filter(|child| !child.is_hidden())
            .filter_map(|child| {
                let found = self.find(&child)?;
                Some((child, found))
            })
            .collect();
        children.into_iter().collect()
    }

    /// All entries below a key, in the order of their keys.
    pub(super) fn below(&self, key: &Key) -> impl Iterator<Item = (&Key, &Arc<Entry>)> {
        let (first, end) = key.bounds();
        let is_root = key.is_root();
        self.entries
            .range(first..end)
            .filter(move |(below, _)| !(is_root && below.is_root()))
    }
}
