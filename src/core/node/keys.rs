//! The key-value store of this node: writes become durable and are told, and what others wrote is taken in.
//!
//! A write is found on this node at once, answered when it is on this disk, and told to others then. What
//! comes while the disk is busy goes with the next save: one at a time, whatever is written meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::command::CommandId;
use crate::id::NodeId;
use crate::keys::{
    Change, Content, Effect, KeyNews, KeyRefusal, KeyReply, KeyWrite, Keys, KeysHeld, Life,
    SavedHead, SavedKey, Span,
};
use crate::message::{Digest, Message};
use crate::report::ReportOrder;
use crate::time::{Instant, Now};

use super::gossip::{MAX_ANSWER_BYTES, MAX_HOPS, TOLD_DIRECTLY};
use super::saving::Purpose;
use super::{Node, Output, Phase, Record, SavedState};

/// Writes that wait for their turn, or to be saved.
const MAX_QUEUED: usize = 256;

/// What one save takes of writes, so that they are told in one message.
const MAX_SAVED: usize = MAX_ANSWER_BYTES;

/// How soon a disk that refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What disks and messages need beside the value of a write.
const OVERHEAD: usize = 1024;

/// The store, and what is under way for it.
#[derive(Debug, Default)]
pub(super) struct KeyStore {
    keys: Arc<Keys>,
    queue: VecDeque<(CommandId, KeyWrite)>,
    /// Carried out, and not handed to the disk yet.
    written: Written,
    /// What has to be saved that nobody waits for.
    unsaved: Effect,
    /// On its way to the disk.
    saving: Option<Batch>,
    retry_at: Option<Instant>,
    digest: Option<Digest>,
    is_shown: bool,
    /// Of a node that was restored ([`SavedState::KEYS_WRITER`]).
    writer: Option<NodeId>,
}

/// Writes that go to the disk together.
#[derive(Debug, Default)]
struct Written {
    answers: Vec<(CommandId, KeyReply)>,
    effect: Effect,
    /// Which of this node's writes these are.
    span: Option<Span>,
    bytes: usize,
}

/// What one save takes: writes, and what else changed.
#[derive(Debug, Default)]
struct Batch {
    written: Written,
    others: Effect,
}

impl KeyStore {
    /// The store as the disk has it. What cannot be read comes again from others, if they have it.
    pub(super) fn restore(
        local: &BTreeMap<String, Vec<u8>>,
        saved: &BTreeMap<String, Vec<u8>>,
        now: Instant,
    ) -> Self {
        let writer = local.get(SavedState::KEYS_WRITER);
        let writer = writer.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        let head = local.get(KEYS_HEAD);
        let head: SavedHead = head
            .and_then(|bytes| read(bytes, "head"))
            .unwrap_or_default();
        let entries = saved
            .iter()
            .filter_map(|(key, bytes)| read::<SavedKey>(bytes, key));
        let keys = Keys::restore(head, entries, now);
        Self {
            digest: keys.digest(),
            keys: Arc::new(keys),
            writer: writer.map(NodeId),
            ..Self::default()
        }
    }

    pub(super) fn owes_answers(&self) -> bool {
        !self.queue.is_empty() || !self.written.is_empty() || self.saving.is_some()
    }

    /// `acts_from`: no write is taken before.
    pub(super) fn next_wake(&self, acts_from: Instant) -> Option<Instant> {
        let waits = !self.queue.is_empty() && self.written.has_room();
        let saves = self.needs_save().then_some(self.retry_at).flatten();
        [self.keys.next_deadline(), waits.then_some(acts_from), saves]
            .into_iter()
            .flatten()
            .min()
    }

    fn needs_save(&self) -> bool {
        let nothing = self.written.is_empty() && self.unsaved.is_empty();
        !nothing && self.saving.is_none()
    }

    fn records(&self, batch: &Batch, now: Instant) -> Vec<Record> {
        let touched = batch.written.effect.touched.union(&batch.others.touched);
        let entries = touched.map(|key| Record::Key {
            key: key.as_str().to_owned(),
            value: self.keys.saved(key, now).map(|saved| written(&saved)),
        });
        let head = Record::Local {
            key: KEYS_HEAD.to_owned(),
            value: written(&self.keys.head()),
        };
        entries.chain([head]).collect()
    }

    /// What happened is to be saved, shown, and compared with others.
    fn changed(&mut self, effect: Effect) {
        self.unsaved.add(effect);
        self.digest = self.keys.digest();
        self.is_shown = false;
    }
}

impl Written {
    fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    fn has_room(&self) -> bool {
        self.bytes < MAX_SAVED
    }
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Option<T> {
    ciborium::from_reader(bytes)
        .inspect_err(|problem| tracing::warn!(what, %problem, "A saved key cannot be read"))
        .ok()
}

fn written<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("keys are written to memory");
    bytes
}

impl Node {
    pub(super) fn write_key(&mut self, id: CommandId, write: KeyWrite) {
        if self.is_stopping() {
            return self.answer_key(id, Err(KeyRefusal::Stopping));
        }
        let store = &self.key_store;
        if store.queue.len() + store.written.answers.len() >= MAX_QUEUED {
            return self.answer_key(id, Err(KeyRefusal::Busy));
        }
        self.key_store.queue.push_back((id, write));
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> &Keys {
        &self.key_store.keys
    }

    pub(super) fn keys_digest(&self) -> Option<Digest> {
        self.key_store.digest
    }

    /// Ends what has had its time, carries out what waits, and has it saved and shown.
    pub(super) fn keep_keys(&mut self, now: Now) {
        if !self.in_grid() {
            return self.refuse_keys(&KeyRefusal::NoGrid);
        }
        self.expire_keys(now);
        if !self.only_looks(now.monotonic) {
            self.carry_out_keys(now);
        }
        self.save_keys(now);
        self.show_keys();
    }

    fn expire_keys(&mut self, now: Now) {
        let deadline = self.key_store.keys.next_deadline();
        if deadline.is_some_and(|deadline| deadline <= now.monotonic) {
            let effect = Arc::make_mut(&mut self.key_store.keys).expire(now.monotonic);
            self.key_store.changed(effect);
        }
    }

    fn carry_out_keys(&mut self, now: Now) {
        while self.key_store.written.has_room()
            && let Some((id, write)) = self.key_store.queue.pop_front()
        {
            let done = match self.may_write_keys() {
                Ok(()) => self.carry_out_key(&write, now),
                Err(refusal) => Err(refusal),
            };
            match done {
                Ok(event) => self.key_store.written.answers.push((id, Ok(event))),
                Err(refusal) => self.answer_key(id, Err(refusal)),
            }
        }
    }

    fn may_write_keys(&self) -> Result<(), KeyRefusal> {
        match self.phase {
            Phase::Member => Ok(()),
            Phase::Alone | Phase::Joining | Phase::Leaving | Phase::Removed => {
                Err(KeyRefusal::NoGrid)
            }
            Phase::Cloned => Err(KeyRefusal::Overtaken),
        }
    }

    /// By whom this node's writes are.
    fn keys_writer(&self) -> NodeId {
        self.key_store.writer.unwrap_or(self.me)
    }

    fn carry_out_key(&mut self, write: &KeyWrite, now: Now) -> KeyReply {
        let ReportOrder { boot, nonce, .. } = self.own.order();
        let writer = self.keys_writer();
        let life = Life {
            writer,
            boot,
            nonce,
        };
        let store = &mut self.key_store;
        let after = store.keys.newest_of(&writer);
        let keys = Arc::make_mut(&mut store.keys);
        let (event, effect) = keys.write(write, life, now.monotonic)?;
        let upto = store.keys.newest_of(&writer);
        let span = store.written.span.get_or_insert(Span { after, upto });
        span.upto = upto;
        store.written.effect.add(effect);
        store.written.bytes += weight(write);
        store.changed(Effect::default());
        Ok(event)
    }

    /// Hands the disk what changed since the last save, one save at a time.
    fn save_keys(&mut self, now: Now) {
        let store = &mut self.key_store;
        if !store.needs_save() || store.retry_at.is_some_and(|at| now.monotonic < at) {
            return;
        }
        let batch = Batch {
            written: std::mem::take(&mut store.written),
            others: std::mem::take(&mut store.unsaved),
        };
        let records = store.records(&batch, now.monotonic);
        store.saving = Some(batch);
        store.retry_at = None;
        self.save(Purpose::Keys, records);
    }

    /// The batch is on disk, or is not: then it is tried again, and nobody waits for that.
    pub(super) fn keys_saved(&mut self, result: Result<(), String>, now: Now) {
        let Batch { written, others } = self.key_store.saving.take().unwrap_or_default();
        match result {
            Ok(()) => {
                self.tell_keys(written.span, written.effect, now);
                for (id, reply) in written.answers {
                    self.answer_key(id, reply);
                }
            }
            Err(problem) => {
                self.key_store.unsaved.add(written.effect);
                self.key_store.unsaved.add(others);
                self.key_store.retry_at = Some(now.monotonic + RETRY);
                for (id, _) in written.answers {
                    let problem = problem.clone();
                    self.answer_key(id, Err(KeyRefusal::Disk { problem }));
                }
            }
        }
    }

    /// Tells others what was written, if anything was.
    fn tell_keys(&mut self, span: Option<Span>, effect: Effect, now: Now) {
        if let Some(span) = span {
            let keys = &self.key_store.keys;
            let news = keys.news(self.keys_writer(), span, effect, now.monotonic);
            self.tell(Message::Keys(news), None);
        }
    }

    fn show_keys(&mut self) {
        if !self.key_store.is_shown {
            self.key_store.is_shown = true;
            let keys = Arc::clone(&self.key_store.keys);
            self.push(Output::ShowKeys(keys));
        }
    }

    /// A member says what its keys come to: if they are not these, it is told what is here.
    pub(super) fn compare_keys(&mut self, from: NodeId, theirs: Option<Digest>) {
        if self.key_store.digest != theirs {
            let message = Message::KeysHeld(self.key_store.keys.held());
            self.push(Output::Send { to: from, message });
        }
    }

    /// A member has these: it is sent what it lacks.
    pub(super) fn send_missing_keys(&mut self, from: NodeId, theirs: &KeysHeld, now: Now) {
        let keys = &self.key_store.keys;
        if let Some(news) = keys.missing(theirs, MAX_ANSWER_BYTES, now.monotonic) {
            // Asked for: nobody else needs it from the receiver at once.
            let message = Message::Keys(KeyNews {
                hops: MAX_HOPS,
                ..news
            });
            self.push(Output::Send { to: from, message });
        }
    }

    pub(super) fn told_keys(&mut self, from: NodeId, news: KeyNews, now: Now) {
        if !self.key_store.keys.is_news(&news) {
            return;
        }
        let merged = Arc::make_mut(&mut self.key_store.keys).merge(&news, now.monotonic);
        match merged {
            Ok(effect) => self.key_store.changed(effect),
            Err(problem) => {
                tracing::warn!(node = %from.short(), %problem, "Keys were refused");
                return;
            }
        }
        if self.view.documents.roster.len() > TOLD_DIRECTLY && news.hops < MAX_HOPS {
            let hops = news.hops + 1;
            self.tell(Message::Keys(KeyNews { hops, ..news }), Some(from));
        }
    }

    /// Whoever waits for its turn is told why it does not come.
    pub(super) fn refuse_keys(&mut self, refusal: &KeyRefusal) {
        for (id, _) in std::mem::take(&mut self.key_store.queue) {
            self.answer_key(id, Err(refusal.clone()));
        }
    }

    /// Whoever waits for the disk is told that nobody knows how it ends.
    pub(super) fn leave_keys_unconfirmed(&mut self) {
        let saving = self.key_store.saving.take().unwrap_or_default();
        let written = std::mem::take(&mut self.key_store.written);
        for (id, _) in saving.written.answers.into_iter().chain(written.answers) {
            self.answer_key(id, Err(KeyRefusal::Unconfirmed));
        }
    }

    pub(super) fn answer_key(&mut self, id: CommandId, reply: KeyReply) {
        self.push(Output::KeysReply { id, reply });
    }
}

/// The local value with what the store has seen.
pub(super) const KEYS_HEAD: &str = "keys-head";

fn weight(write: &KeyWrite) -> usize {
    let content = match &write.change {
        Change::Set { content, .. } | Change::Append { content, .. } => Some(content),
        Change::Refresh { .. } | Change::Remove { .. } => None,
    };
    let bytes = content.map_or(0, |content| match content {
        Content::Value(text) => text.len(),
        Content::Directory => 0,
    });
    OVERHEAD + bytes
}
