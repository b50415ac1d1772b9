//! What is in a backup: a node's memory, and its identity.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use kontena_core::document::SignedEnvelope;
use kontena_core::identity::SecretKey;
use kontena_core::node::{Record, SavedState};
use kontena_core::report::SignedReport;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

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
    local: BTreeMap<String, ByteBuf>,
    /// Of the key-value store.
    keys: BTreeMap<String, ByteBuf>,
}

impl Contents {
    pub(crate) fn of(key: &SecretKey, boot: u64, state: SavedState) -> Self {
        let SavedState {
            envelopes,
            reports,
            local,
            keys,
            // What has not arrived is no part of the grid.
            arrivals: _,
        } = state;
        Self {
            seed: key.seed(),
            boot,
            envelopes,
            reports,
            local: bytes(local),
            keys: bytes(keys),
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

    /// What an empty disk has to be given. `writer`: 32 random bytes, by which the node's writes to the key-value store are known
    /// from now on.
    pub(crate) fn into_records(mut self, writer: [u8; 32]) -> anyhow::Result<Vec<Record>> {
        let writer = ByteBuf::from(writer);
        self.local
            .insert(SavedState::KEYS_WRITER.to_owned(), writer);
        let envelopes = self.envelopes.into_iter().map(Record::Envelope);
        let local = self.local.into_iter();
        let local = local.map(|(key, value)| Record::Local {
            key,
            value: value.into_vec(),
        });
        let keys = self.keys.into_iter();
        let keys = keys.map(|(key, value)| Record::Key {
            key,
            value: Some(value.into_vec()),
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
        ensure!(
            !self.envelopes.is_empty(),
            "this node has no grid on its disk"
        );
        ciborium::into_writer(self, &mut bytes).context("failed to write its contents")?;
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> anyhow::Result<Self> {
        let contents: Self = ciborium::from_reader(bytes).context("its contents cannot be read")?;
        ensure!(!contents.envelopes.is_empty(), "there is no grid in it");
        Ok(contents)
    }
}

fn bytes(values: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, ByteBuf> {
    let values = values.into_iter();
    values
        .map(|(key, value)| (key, ByteBuf::from(value)))
        .collect()
}
