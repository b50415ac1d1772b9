//! `grid.redb`: five tables, one transaction for each save, durable before it is answered.
//!
//! Envelopes and reports are written in the encoding in which they travel, with its version in front.
//! After any error the database is closed and opened anew by the next save, because redb refuses to
//! go on after a failed write; opening repairs what a crash left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use kontena_core::document::SignedEnvelope;
use kontena_core::id::NodeId;
use kontena_core::message;
use kontena_core::node::Record;
use kontena_core::report::SignedReport;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::at;
use super::directory::{make_file_private, open_private};

/// By a number that rises with each: the log.
const ENVELOPES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("envelopes");
/// By node id.
const REPORTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("reports");
const LOCAL: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("local");
/// The key-value store, by key.
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
/// What outlives the grid: [`BOOT`] and [`FORGOTTEN`].
const NODE: TableDefinition<'_, &str, u64> = TableDefinition::new("node");

const BOOT: &str = "boot";
/// There while the node's key has to be set aside because the grid was left.
const FORGOTTEN: &str = "forgotten";

/// The database, or where it will be opened again.
pub(super) struct Store {
    path: PathBuf,
    /// `None` after an error.
    open: Option<Database>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish()
    }
}

/// Everything of the grid that was saved.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) envelopes: Vec<SignedEnvelope>,
    pub(super) reports: BTreeMap<NodeId, SignedReport>,
    pub(super) local: BTreeMap<String, Vec<u8>>,
    pub(super) keys: BTreeMap<String, Vec<u8>>,
}

impl Store {
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let open = Some(open_database(&path)?);
        Ok(Self { path, open })
    }

    /// Whether the last save of an earlier boot was a [`Record::Forget`] that a crash cut short.
    pub(super) fn is_forgotten(&mut self) -> anyhow::Result<bool> {
        Ok(self.number(FORGOTTEN)?.is_some())
    }

    pub(super) fn has_booted(&mut self) -> anyhow::Result<bool> {
        Ok(self.number(BOOT)?.is_some())
    }

    /// The boots start over: the next identity has had none. What was saved after
    /// [`Record::Forget`] belongs to nobody.
    pub(super) fn end_forgetting(&mut self) -> anyhow::Result<()> {
        self.write(|transaction| {
            forget(transaction)?;
            let mut node = transaction.open_table(NODE)?;
            node.remove(FORGOTTEN)?;
            node.remove(BOOT)?;
            Ok(())
        })
    }

    /// Counts this boot, durably, and returns its number, from 1.
    pub(super) fn count_boot(&mut self) -> anyhow::Result<u64> {
        self.write(|transaction| {
            let mut node = transaction.open_table(NODE)?;
            let last = node.get(BOOT)?.map_or(0, |found| found.value());
            let boot = last.saturating_add(1);
            node.insert(BOOT, boot)?;
            Ok(boot)
        })
    }

    /// All of it and the last boot, or none. What was left of another grid is not there any more, nor is it known that it was
    /// forgotten.
    pub(super) fn restore(&mut self, boot: u64, records: &[Record]) -> anyhow::Result<()> {
        self.write(|transaction| {
            forget(transaction)?;
            for record in records {
                save_one(transaction, record)?;
            }
            let mut node = transaction.open_table(NODE)?;
            node.remove(FORGOTTEN)?;
            node.insert(BOOT, boot)?;
            Ok(())
        })
    }

    pub(super) fn save(&mut self, records: &[Record]) -> anyhow::Result<()> {
        self.write(|transaction| {
            for record in records {
                save_one(transaction, record)?;
            }
            Ok(())
        })
    }

    /// Fails on an envelope that cannot be read, because the log would have a hole. Reports come
    /// again by themselves.
    pub(super) fn load(&mut self) -> anyhow::Result<Contents> {
        let path = self.path.clone();
        let database = self.database()?;
        at(load(database), "read", &path)
    }

    fn number(&mut self, key: &str) -> anyhow::Result<Option<u64>> {
        self.write(|transaction| {
            let node = transaction.open_table(NODE)?;
            let found = node.get(key)?;
            Ok(found.map(|value| value.value()))
        })
    }

    /// One durable transaction. An error closes the database; nothing of it is kept then.
    fn write<T>(
        &mut self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> anyhow::Result<T> {
        let path = self.path.clone();
        let result = write(self.database()?, change);
        if result.is_err() {
            self.open = None;
        }
        at(result, "write", &path)
    }

    fn database(&mut self) -> anyhow::Result<&Database> {
        let database = match self.open.take() {
            Some(database) => database,
            None => open_database(&self.path)?,
        };
        Ok(self.open.insert(database))
    }
}

fn open_database(path: &Path) -> anyhow::Result<Database> {
    // Made by us first, because redb would let everybody read it.
    at(open_private(path, false), "open", path)?;
    make_file_private(path)?;
    let created = Database::builder().set_cache_size(CACHE_BYTES).create(path);
    at(created.map_err(redb::Error::from), "open", path)
}

/// Everything is read once, at the start; after that the log is only appended to.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

fn write<T>(
    database: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let value = change(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn save_one(transaction: &WriteTransaction, record: &Record) -> Result<(), redb::Error> {
    match record {
        Record::Envelope(envelope) => {
            let mut envelopes = transaction.open_table(ENVELOPES)?;
            let next = envelopes.last()?.map_or(0, |(key, _)| key.value() + 1);
            envelopes.insert(next, message::encode(envelope).as_slice())?;
        }
        Record::Report { node, report } => {
            let bytes = message::encode(report);
            let mut reports = transaction.open_table(REPORTS)?;
            reports.insert(node.as_bytes(), bytes.as_slice())?;
        }
        Record::Local { key, value } => {
            let mut local = transaction.open_table(LOCAL)?;
            local.insert(key.as_str(), value.as_slice())?;
        }
        Record::Key { key, value } => {
            let mut keys = transaction.open_table(KEYS)?;
            match value {
                Some(value) => drop(keys.insert(key.as_str(), value.as_slice())?),
                None => drop(keys.remove(key.as_str())?),
            }
        }
        Record::Forget => forget(transaction)?,
    }
    Ok(())
}

fn forget(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.delete_table(ENVELOPES)?;
    transaction.delete_table(REPORTS)?;
    transaction.delete_table(LOCAL)?;
    transaction.delete_table(KEYS)?;
    transaction.open_table(NODE)?.insert(FORGOTTEN, 1)?;
    Ok(())
}

fn load(database: &Database) -> anyhow::Result<Contents> {
    // A table that was never written to is not there; opening it for writing makes it.
    write(database, |transaction| {
        transaction.open_table(ENVELOPES)?;
        transaction.open_table(REPORTS)?;
        transaction.open_table(LOCAL)?;
        transaction.open_table(KEYS)?;
        Ok(())
    })?;
    let transaction = database.begin_read()?;
    let mut contents = Contents::default();
    for row in transaction.open_table(ENVELOPES)?.iter()? {
        let (number, bytes) = row?;
        let envelope = message::decode(bytes.value())
            .map_err(|error| anyhow!(error))
            .with_context(|| format!("envelope {} cannot be read", number.value()))?;
        contents.envelopes.push(envelope);
    }
    for row in transaction.open_table(REPORTS)?.iter()? {
        let (node, bytes) = row?;
        let node = NodeId(*node.value());
        match message::decode(bytes.value()) {
            Ok(report) => drop(contents.reports.insert(node, report)),
            Err(error) => tracing::warn!(?node, %error, "A saved report cannot be read"),
        }
    }
    contents.local = texts(&transaction.open_table(LOCAL)?)?;
    contents.keys = texts(&transaction.open_table(KEYS)?)?;
    Ok(contents)
}

/// All rows of a table.
fn texts(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<BTreeMap<String, Vec<u8>>, redb::Error> {
    let mut texts = BTreeMap::new();
    for row in table.iter()? {
        let (key, value) = row?;
        texts.insert(key.value().to_owned(), value.value().to_vec());
    }
    Ok(texts)
}
