//! A host's disk: what was saved is there after a crash; what was not, is not.
//!
//! A save is made durable in order and as a whole, as `kontena`'s own disk does it: a power cut in
//! its middle leaves all or nothing of it. A disk may also go bad afterwards: its end damaged, all of
//! it wiped, cloned, or replaced by an older copy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::document::SignedEnvelope;
use kontena_core::id::{EnvelopeHash, NodeId};
use kontena_core::node::{Record, SavedState};
use kontena_core::report::SignedReport;

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    envelopes: Vec<SignedEnvelope>,
    hashes: BTreeSet<EnvelopeHash>,
    reports: BTreeMap<NodeId, SignedReport>,
    local: BTreeMap<String, Vec<u8>>,
    keys: BTreeMap<String, Vec<u8>>,
    pub full: bool,
    /// What is wrong with it for a time.
    pub trouble: Trouble,
    /// How often a node was started from this disk.
    pub boots: u64,
}

/// What is wrong with a disk for a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    pub full: bool,
    /// How much longer each save takes.
    pub slow: Duration,
}

impl Disk {
    pub fn is_full(&self) -> bool {
        self.full || self.trouble.full
    }

    pub fn save(&mut self, records: Vec<Record>) -> Result<(), String> {
        if self.is_full() {
            return Err("no space left on device".to_owned());
        }
        for record in records {
            self.write(record);
        }
        Ok(())
    }

    fn write(&mut self, record: Record) {
        match record {
            Record::Envelope(envelope) => {
                self.hashes.insert(envelope.hash());
                self.envelopes.push(envelope);
            }
            Record::Report { node, report } => {
                self.reports.insert(node, report);
            }
            Record::Local { key, value } => {
                self.local.insert(key, value);
            }
            Record::Key { key, value } => match value {
                Some(value) => drop(self.keys.insert(key, value)),
                None => drop(self.keys.remove(&key)),
            },
            Record::Forget => self.wipe(),
        }
    }

    /// What is on another disk is on this one; how well it works is its own.
    pub fn take_over(&mut self, copy: Self) {
        let (full, trouble) = (self.full, self.trouble);
        *self = Self {
            full,
            trouble,
            ..copy
        };
    }

    /// Everything is gone but the count of starts.
    pub fn wipe(&mut self) {
        self.envelopes.clear();
        self.hashes.clear();
        self.reports.clear();
        self.local.clear();
        self.keys.clear();
    }

    /// The last envelope cannot be read any more. Gives which one that was.
    pub fn damage_end(&mut self) -> Option<EnvelopeHash> {
        let last = self.envelopes.last_mut()?;
        let hash = last.hash();
        last.bytes.truncate(last.bytes.len() / 2);
        self.hashes.remove(&hash);
        Some(hash)
    }

    pub fn has(&self, envelope: &EnvelopeHash) -> bool {
        self.hashes.contains(envelope)
    }

    pub fn hashes(&self) -> &BTreeSet<EnvelopeHash> {
        &self.hashes
    }

    pub fn load(&self) -> SavedState {
        SavedState {
            envelopes: self.envelopes.clone(),
            reports: self.reports.values().cloned().collect(),
            local: self.local.clone(),
            keys: self.keys.clone(),
            ..SavedState::default()
        }
    }
}
