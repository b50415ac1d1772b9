//! Taking in what another node has.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::id::NodeId;
use crate::time::Instant;

use super::limits::{MAX_STAMP, SIDES};
use super::{
    Content, Dot, Effect, Entry, Event, Key, KeyAction, KeyNews, Keys, MAX_BYTES, MAX_KEYS,
    MAX_TTL, MAX_VALUE, SharedEntry, Span,
};

/// Why another node's news are not taken.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    #[error("`{0}` is larger, or newer, than any entry can be")]
    NoEntry(Key),
    #[error("it would come to {keys} keys of {bytes} bytes, more than a node holds")]
    TooMuch { keys: usize, bytes: usize },
}

impl Keys {
    /// Takes in news: all of it, but the writes of whom this node has heard less than they build on.
    ///
    /// # Errors
    /// If no honest node says such a thing, or there is more of it than a node holds: nothing was taken.
    pub fn merge(&mut self, news: &KeyNews, now: Instant) -> Result<Effect, Refused> {
        self.check(news)?;
        let mut effect = Effect::default();
        let mut entries: Vec<&SharedEntry> = news
            .entries
            .iter()
            .filter(|entry| self.is_next(news, entry))
            .collect();
        // So that events come in the order of the stamps.
        entries.sort_by_key(|entry| entry.stamp);
        for (writer, span) in &news.spans {
            if self.is_further(writer, span) {
                self.seen.extend(*writer, span.upto);
                effect.extends = true;
            }
        }
        for entry in entries {
            self.merge_entry(entry, now, &mut effect);
        }
        self.merge_removals(&news.removed, &mut effect);
        // Whoever told this tells the others too, or passes it on.
        effect.removed.clear();
        Ok(effect)
    }

    /// Whether anything of it is not known here. Most news come more than once.
    pub fn is_news(&self, news: &KeyNews) -> bool {
        let mut spans = news.spans.iter();
        if spans.any(|(writer, span)| self.is_further(writer, span)) {
            return true;
        }
        let removed: BTreeSet<&Dot> = news.removed.iter().collect();
        let mut held = self.entries.values();
        !removed.is_empty() && held.any(|entry| removed.contains(&entry.dot))
    }

    /// Whether it goes beyond what was seen of a writer, and leaves nothing out before that.
    fn is_further(&self, writer: &NodeId, span: &Span) -> bool {
        let seen = self.seen.of(writer);
        seen >= span.after && seen < span.upto
    }

    /// Whether an entry is new here, and nothing of its writer's before it was missed.
    fn is_next(&self, news: &KeyNews, entry: &SharedEntry) -> bool {
        let writer = &entry.dot.writer;
        let seen = self.seen.of(writer);
        let span = news.spans.get(writer);
        let is_in = |span: &Span| seen >= span.after && entry.dot.order <= span.upto;
        span.is_some_and(is_in) && entry.dot.order > seen
    }

    fn merge_entry(&mut self, shared: &SharedEntry, now: Instant, effect: &mut Effect) {
        let entry = Entry {
            content: shared.content.clone(),
            created: 0,
            modified: 0,
            until: shared.left.map(|left| now + Duration::from_millis(left)),
            stamp: shared.stamp,
            dot: shared.dot.clone(),
        };
        let held = self.entries.get(&shared.key);
        if held.is_some_and(|held| held.rank() > entry.rank()) {
            self.index = self.index.max(shared.stamp);
            return;
        }
        let index = self.next_index(shared.stamp);
        let created = self
            .entries
            .get(&shared.key)
            .map_or(index, |held| held.created);
        let entry = Entry {
            created,
            modified: index,
            ..entry
        };
        let (entry, previous) = self.put(shared.key.clone(), entry);
        effect.touched.insert(shared.key.clone());
        self.happened(Event {
            action: KeyAction::Set,
            key: shared.key.clone(),
            index,
            is_directory: entry.content == Content::Directory,
            entry: Some(entry),
            previous,
        });
    }

    fn merge_removals(&mut self, removed: &[Dot], effect: &mut Effect) {
        if removed.is_empty() {
            return;
        }
        let removed: BTreeSet<&Dot> = removed.iter().collect();
        let held = self.entries.iter();
        let gone: Vec<(Key, bool)> = held
            .filter(|(_, entry)| removed.contains(&entry.dot))
            .map(|(key, entry)| (key.clone(), entry.content == Content::Directory))
            .collect();
        for (key, is_directory) in gone {
            self.drop_one(&key, KeyAction::Delete, is_directory, effect);
        }
    }

    fn check(&self, news: &KeyNews) -> Result<(), Refused> {
        let is_right = |entry: &&SharedEntry| {
            let lasts = entry.left.map(Duration::from_millis);
            !entry.key.is_root()
                && entry.content.bytes() <= MAX_VALUE
                && entry.stamp <= MAX_STAMP
                && lasts.is_none_or(|lasts| !lasts.is_zero() && lasts <= MAX_TTL)
        };
        if let Some(wrong) = news.entries.iter().find(|entry| !is_right(entry)) {
            return Err(Refused::NoEntry(wrong.key.clone()));
        }
        let weight = |entry: &SharedEntry| entry.key.as_str().len() + entry.content.bytes();
        let bytes = self.bytes + news.entries.iter().map(weight).sum::<usize>();
        let keys = self.len() + news.entries.len();
        if keys > SIDES * MAX_KEYS || bytes > SIDES * MAX_BYTES {
            return Err(Refused::TooMuch { keys, bytes });
        }
        Ok(())
    }
}
