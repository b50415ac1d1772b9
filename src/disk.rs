//! The data directory: the one place where this node remembers anything.
//!
//! | file | what |
//! |---|---|
//! | `FORMAT` | the version of all the rest, in decimal |
//! | `lock` | held by the daemon that uses the directory |
//! | `node.key` | the node's secret key, 64 hexadecimal digits, for its owner only |
//! | `grid.redb` | envelopes, reports, local values, the key-value store and the boot counter |
//! | `footprint.json` | what this daemon has set up on its host |
//! | `node.key.removed` | the key that the node had in the grid that it left last |
//!
//! In: [`Record`]s, made durable in order and as a whole ([`Disk::save`], or [`Disk::start`] for a
//! thread of its own). Out: what the last boot left behind ([`Loaded`]). A full or failing disk is an
//! answer, not an end: the next save is tried afresh.
//!
//! Not here: what the records mean.

mod database;
mod directory;
mod footprint;
mod identity;
mod saver;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use kontena_core::document::SignedEnvelope;
use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::node::{Record, SavedState};
use kontena_core::report::SignedReport;

pub(crate) use footprint::Footprint;
pub(crate) use saver::{Reader, Saved, Saver};

use database::Store;
use directory::Directory;

/// An open data directory. No other daemon can open it until this is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    store: Store,
    /// Last, so that the database is closed before the lock is given up.
    directory: Directory,
}

/// What the directory held when it was opened, and which boot of the node this is.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) key: SecretKey,
    /// Counts the openings of this directory from 1; already on disk.
    pub(crate) boot: u64,
    /// Random, new in each boot: tells a cloned disk from a restarted daemon.
    pub(crate) nonce: u64,
    /// In the order in which they were saved.
    pub(crate) envelopes: Vec<SignedEnvelope>,
    pub(crate) reports: BTreeMap<NodeId, SignedReport>,
    pub(crate) local: BTreeMap<String, Vec<u8>>,
    /// Of the key-value store.
    pub(crate) keys: BTreeMap<String, Vec<u8>>,
}

impl Disk {
    /// Whether `path` can be opened now; it is made if it is not there.
    pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
        Directory::open(path).map(drop)
    }

    /// Opens `path`, which is made if it is not there. Fails if another daemon uses it, if a newer
    /// version wrote it, if it holds something else, or if it cannot be written: a boot that cannot
    /// be counted must not speak for the node.
    pub(crate) fn open(path: &Path) -> anyhow::Result<(Self, Loaded)> {
        let directory = Directory::open(path)?;
        let mut store = Store::open(directory.file("grid.redb"))?;
        if store.is_forgotten()? {
            identity::set_aside(&directory)?;
            store.end_forgetting()?;
        }
        let key = identity::load_or_create(&directory, store.has_booted()?)?;
        let boot = store.count_boot()?;
        let nonce = u64::from_le_bytes(identity::random()?);
        let contents = store.load()?;
        let loaded = Loaded {
            key,
            boot,
            nonce,
            envelopes: contents.envelopes,
            reports: contents.reports,
            local: contents.local,
            keys: contents.keys,
        };
        Ok((Self { store, directory }, loaded))
    }

    /// Makes an empty directory that of a node again whose memory was kept elsewhere. Fails where there is a grid already.
    pub(crate) fn restore(
        path: &Path,
        key: &SecretKey,
        boot: u64,
        records: &[Record],
    ) -> anyhow::Result<()> {
        let directory = Directory::open(path)?;
        let mut store = Store::open(directory.file("grid.redb"))?;
        let is_empty = store.load()?.envelopes.is_empty();
        anyhow::ensure!(
            is_empty,
            "`{}` holds a node of a grid: leave that first, or give an empty directory",
            path.display()
        );
        // First the key: without the rest it is the key of nobody, and this can be done again.
        identity::write(&directory, key)?;
        store.restore(boot, records)
    }

    /// Everything of the grid that is saved.
    fn read(&mut self) -> anyhow::Result<SavedState> {
        let contents = self.store.load()?;
        Ok(SavedState {
            envelopes: contents.envelopes,
            reports: contents.reports.into_values().collect(),
            local: contents.local,
            keys: contents.keys,
            ..SavedState::default()
        })
    }

    /// Makes these durable, in this order, all or none. After [`Record::Forget`] the directory has to
    /// be opened anew before another grid is joined: [`Disk::open`] then starts empty, without what
    /// was still saved after it, and with a new identity, because a removed one never comes back.
    pub(crate) fn save(&mut self, records: &[Record]) -> anyhow::Result<()> {
        self.store.save(records)?;
        if records
            .iter()
            .any(|record| matches!(record, Record::Forget))
        {
            identity::set_aside(&self.directory)?;
        }
        Ok(())
    }
}

/// Adds what was tried and where.
fn at<T, E>(result: Result<T, E>, what: &str, path: &Path) -> anyhow::Result<T>
where
    Result<T, E>: Context<T, E>,
{
    result.with_context(|| format!("failed to {what} `{}`", path.display()))
}
