//! What nodes tell each other of their keys.
//!
//! A write is told at once ([`KeyNews`]). Where two nodes differ, each says what it has ([`KeysHeld`]), and
//! is told what it lacks and what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::message::Digest;
use crate::report::ReportOrder;
use crate::time::Instant;

use super::{Content, Dot, Effect, Entry, Key, Keys, Seen};

/// What the sender has, without the contents: dots by start of their writers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysHeld {
    pub seen: Seen,
    pub live: BTreeMap<NodeId, Vec<LiveOfLife>>,
}

/// What is there of one start of a node: boot, nonce, and the sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveOfLife(u64, u64, Vec<u64>);

/// Writes, and dots that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyNews {
    /// Of each writer: all that it wrote in this span and that is still there is among `entries`.
    pub spans: BTreeMap<NodeId, Span>,
    pub entries: Vec<SharedEntry>,
    pub removed: Vec<Dot>,
    /// How often this was passed on already.
    pub hops: u8,
}

/// The writes of a node after one and up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub after: ReportOrder,
    pub upto: ReportOrder,
}

/// An entry on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedEntry {
    pub key: Key,
    pub content: Content,
    pub stamp: u64,
    pub dot: Dot,
    /// How long it lasts yet, in milliseconds: the clocks of two nodes have nothing in common.
    pub left: Option<u64>,
}

/// What an entry takes in a message beside its key and value, at most.
const OVERHEAD: usize = 128;

impl SharedEntry {
    pub(super) fn of(key: &Key, entry: &Entry, now: Instant) -> Self {
        Self {
            key: key.clone(),
            content: entry.content.clone(),
            stamp: entry.stamp,
            dot: entry.dot.clone(),
            left: entry.until.map(|until| millis(until.since(now))),
        }
    }

    fn weight(&self) -> usize {
        self.key.as_str().len() + self.content.bytes() + OVERHEAD
    }
}

/// At least one: what is over already is for its holder to end.
fn millis(left: Duration) -> u64 {
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Keys {
    /// Says whether two nodes have the same; `None` where nothing was ever written.
    pub fn digest(&self) -> Option<Digest> {
        if self.seen.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        ciborium::into_writer(&self.held(), &mut bytes).expect("numbers are written to memory");
        Some(Digest::of([bytes.as_slice()]))
    }

    pub fn held(&self) -> KeysHeld {
        let dots: BTreeSet<&Dot> = self.entries.values().map(|entry| &entry.dot).collect();
        let mut live: BTreeMap<NodeId, Vec<LiveOfLife>> = BTreeMap::new();
        for Dot { writer, order } in dots {
            let lives = live.entry(*writer).or_default();
            match lives.last_mut() {
                Some(LiveOfLife(boot, nonce, sequences))
                    if (*boot, *nonce) == (order.boot, order.nonce) =>
                {
                    sequences.push(order.sequence);
                }
                Some(_) | None => {
                    lives.push(LiveOfLife(order.boot, order.nonce, vec![order.sequence]));
                }
            }
        }
        KeysHeld {
            seen: self.seen.clone(),
            live,
        }
    }

    /// What this node wrote and removed in a span of its writes. It may have written more since: that is told
    /// with the next span.
    pub fn news(&self, writer: NodeId, span: Span, effect: Effect, now: Instant) -> KeyNews {
        let is_told = |dot: &Dot| dot.writer == writer && dot.order <= span.upto;
        let own = effect.touched.iter().filter_map(|key| {
            let entry = self.entries.get(key)?;
            is_told(&entry.dot).then(|| SharedEntry::of(key, entry, now))
        });
        let spans = (span.upto > span.after).then_some((writer, span));
        KeyNews {
            entries: own.collect(),
            spans: spans.into_iter().collect(),
            removed: effect.removed,
            hops: 0,
        }
    }

    /// What a node lacks that has this, at most so many bytes and at least one entry; nothing, if it lacks
    /// nothing.
    pub fn missing(&self, theirs: &KeysHeld, limit: usize, now: Instant) -> Option<KeyNews> {
        let mut news = KeyNews::default();
        let mut left = limit;
        let mut by_writer = self.unseen(&theirs.seen);
        let behind = self.seen.iter().filter_map(|(writer, upto)| {
            let after = theirs.seen.of(writer);
            (*upto > after).then_some((*writer, Span { after, upto: *upto }))
        });
        for (writer, span) in behind {
            let entries = by_writer.remove(&writer).unwrap_or_default();
            let wanted = entries.len();
            let fitting = fitting(entries, &mut left, now, news.entries.is_empty());
            let is_whole = fitting.len() == wanted;
            let upto = match fitting.last() {
                Some(last) if !is_whole => last.dot.order,
                None if !is_whole => break,
                Some(_) | None => span.upto,
            };
            news.entries.extend(fitting);
            news.spans.insert(writer, Span { upto, ..span });
            if !is_whole {
                return Some(news);
            }
        }
        // What took the place of something that is gone is told before, or with it.
        news.removed = self.gone(theirs);
        (!news.spans.is_empty() || !news.removed.is_empty()).then_some(news)
    }

    /// The entries that were not seen, by writer, in the order in which they were written.
    fn unseen(&self, seen: &Seen) -> BTreeMap<NodeId, BTreeMap<ReportOrder, (&Key, &Entry)>> {
        let mut unseen: BTreeMap<NodeId, BTreeMap<_, _>> = BTreeMap::new();
        for (key, entry) in &self.entries {
            let Dot { writer, order } = &entry.dot;
            if !seen.contains(&entry.dot) {
                let of_writer = unseen.entry(*writer).or_default();
                of_writer.insert(*order, (key, &**entry));
            }
        }
        unseen
    }

    /// Of what a node has: what was seen here and is no more.
    fn gone(&self, theirs: &KeysHeld) -> Vec<Dot> {
        let live: BTreeSet<&Dot> = self.entries.values().map(|entry| &entry.dot).collect();
        let dots = theirs.live.iter().flat_map(|(writer, lives)| {
            lives.iter().flat_map(|LiveOfLife(boot, nonce, sequences)| {
                sequences.iter().map(|sequence| Dot {
                    writer: *writer,
                    order: ReportOrder {
                        boot: *boot,
                        nonce: *nonce,
                        sequence: *sequence,
                    },
                })
            })
        });
        dots.filter(|dot| self.seen.contains(dot) && !live.contains(dot))
            .collect()
    }
}

/// As many as fit, in their order; one in any case where nothing was taken before.
fn fitting(
    entries: BTreeMap<ReportOrder, (&Key, &Entry)>,
    left: &mut usize,
    now: Instant,
    is_first: bool,
) -> Vec<SharedEntry> {
    let mut taken = Vec::new();
    for (key, entry) in entries.into_values() {
        let shared = SharedEntry::of(key, entry, now);
        let is_forced = is_first && taken.is_empty();
        if shared.weight() > *left && !is_forced {
            break;
        }
        *left = left.saturating_sub(shared.weight());
        taken.push(shared);
    }
    taken
}
