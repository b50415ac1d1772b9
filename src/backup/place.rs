//! Where a backup is kept, and where it is brought back to.

use std::path::Path;

use super::Contents;
use crate::disk::{self, Disk};

/// Keeps a backup in a file that only its owner can read.
pub(crate) fn keep(path: &Path, file: &[u8]) -> anyhow::Result<()> {
    disk::write_private(path, file)
}

/// Makes the empty data directory of a daemon that does not run that of the node that made the backup.
pub(crate) fn bring_back(directory: &Path, contents: Contents) -> anyhow::Result<()> {
    let (key, boot) = (contents.key(), contents.boot());
    let records = contents.into_records()?;
    Disk::restore(directory, &key, boot, &records)
}
