//! What is in a backup: a node's memory, and its identity.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use kontena_core::document::SignedEnvelope;
use kontena_core::identity::SecretKey;
use kontena_core::node::{Record, SavedState};
use kontena_core::report::SignedReport;
use serde::{Deserialize, Serialize};

/// All that a node remembers of its grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// The node's secret key is made of it.
    seed: [u8; 32],
    /// Which boot of the node made it: the next one is above it.
    boot: u64,
    /// Each after what it builds on.
    envelopes: Vec<SignedEnvelope>,
    reports: Vec<SignedReport>,
    local: BTreeMap<String, Vec<u8>>,
    /// Of the key-value store.
    keys: BTreeMap<String, Vec<u8>>,
}

impl Contents {
    pub(crate) fn of(key: &SecretKey, boot: u64, state: SavedState) -> Self {
        let SavedState {
            envelopes,
            reports,
            local,
            keys,
        } = state;
        Self {
            seed: key.seed(),
            boot,
            envelopes,
            reports,
            local,
            keys,
        }
    }

    pub(crate) fn key(&self) -> SecretKey {
        SecretKey::from_seed(self.seed)
    }

    pub(crate) fn boot(&self) -> u64 {
        self.boot
    }

    pub(crate) fn changes(&self) -> usize {
        self.envelopes.len()
    }

    /// What an empty disk has to be given.
    pub(crate) fn into_records(self) -> anyhow::Result<Vec<Record>> {
        let envelopes = self.envelopes.into_iter().map(Record::Envelope);
        let local = self.local.into_iter();
        let local = local.map(|(key, value)| Record::Local { key, value });
        let keys = self.keys.into_iter();
        let keys = keys.map(|(key, value)| Record::Key {
            key,
            value: Some(value),
        });
        let mut records: Vec<Record> = envelopes.chain(local).chain(keys).collect();
        for report in self.reports {
            let opened = report.open().context("a report in it is not signed")?;
            records.push(Record::Report {
                node: opened.node,
                report,
            });
        }
        Ok(records)
    }

    pub(super) fn encode(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).context("failed to write its contents")?;
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> anyhow::Result<Self> {
        let contents: Self = ciborium::from_reader(bytes).context("its contents cannot be read")?;
        ensure!(!contents.envelopes.is_empty(), "there is no grid in it");
        Ok(contents)
    }
}
