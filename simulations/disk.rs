//! A host's disk: what was saved is there after a crash; what was not, is not.

use std::collections::BTreeMap;

use kontena_core::document::SignedEnvelope;
use kontena_core::id::NodeId;
use kontena_core::node::{Record, SavedState};
use kontena_core::report::SignedReport;

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    envelopes: Vec<SignedEnvelope>,
    reports: BTreeMap<NodeId, SignedReport>,
    local: BTreeMap<String, Vec<u8>>,
    pub full: bool,
    /// How often a node was started from this disk.
    pub boots: u64,
}

impl Disk {
    pub fn save(&mut self, records: Vec<Record>) -> Result<(), String> {
        if self.full {
            return Err("no space left on device".to_owned());
        }
        for record in records {
            self.write(record);
        }
        Ok(())
    }

    fn write(&mut self, record: Record) {
        match record {
            Record::Envelope(envelope) => self.envelopes.push(envelope),
            Record::Report { node, report } => {
                self.reports.insert(node, report);
            }
            Record::Local { key, value } => {
                self.local.insert(key, value);
            }
            Record::Forget => {
                self.envelopes.clear();
                self.reports.clear();
                self.local.clear();
            }
        }
    }

    pub fn load(&self) -> SavedState {
        SavedState {
            envelopes: self.envelopes.clone(),
            reports: self.reports.values().cloned().collect(),
            local: self.local.clone(),
        }
    }
}
