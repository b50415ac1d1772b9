//! Where a backup is kept, and where it is brought back to.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;

use super::Contents;
use crate::disk::Disk;
use crate::entropy::entropy;

/// A file that a backup can be kept in.
#[derive(Debug)]
pub(crate) struct Place {
    /// Through links: they stay what they are.
    path: PathBuf,
}

impl Place {
    /// Fails where there is something else than a file, and, unless `may_replace`, where there is a file with anything in
    /// it: an earlier backup may be of a recovery code that opens nothing else.
    pub(crate) fn find(path: &Path, may_replace: bool) -> anyhow::Result<Self> {
        let name = path.display();
        let found = match fs::metadata(path) {
            Err(problem) if problem.kind() == ErrorKind::NotFound => {
                let path = path.to_owned();
                return Ok(Self { path });
            }
            found => found.with_context(|| format!("failed to look at `{name}`"))?,
        };
        ensure!(found.is_file(), "`{name}` is no file");
        ensure!(
            may_replace || found.len() == 0,
            "`{name}` is there already, and would not be opened by its recovery code any more"
        );
        let path = fs::canonicalize(path).with_context(|| format!("failed to find `{name}`"))?;
        Ok(Self { path })
    }

    /// Keeps a backup there, whole or not at all, for its owner alone to read.
    pub(crate) fn keep(&self, backup: &[u8]) -> anyhow::Result<()> {
        let name = self.path.display();
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let mut file = NamedTempFile::new_in(folder)
            .with_context(|| format!("failed to make a file in `{}`", folder.display()))?;
        file.write_all(backup)
            .and_then(|()| file.as_file().sync_all())
            .with_context(|| format!("failed to write `{name}`"))?;
        file.persist(&self.path)
            .with_context(|| format!("failed to put `{name}` in its place"))?;
        // It is there and can be read. Some file systems sync no folders.
        if let Err(problem) = fs::File::open(folder).and_then(|folder| folder.sync_all()) {
            tracing::debug!(%problem, "The folder of a backup is not synced");
        }
        Ok(())
    }
}

/// Makes the empty data directory of a daemon that does not run that of the node that made the backup.
pub(crate) fn bring_back(directory: &Path, contents: Contents) -> anyhow::Result<()> {
    let (key, boot) = (contents.key(), contents.boot());
    let writer = entropy().context("the kernel gives no random bytes")?;
    let records = contents.into_records(writer)?;
    Disk::restore(directory, &key, boot, &records)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_backup_takes_no_place_of_anything_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.backup");
        Place::find(&path, false).unwrap().keep(b"first").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let there = Place::find(&path, false).unwrap_err().to_string();
        assert!(there.contains("is there already"), "{there}");
        let link = folder.path().join("latest");
        symlink("grid.backup", &link).unwrap();
        Place::find(&link, true).unwrap().keep(b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        for other in [Path::new("/dev/null"), folder.path()] {
            let refused = Place::find(other, true).unwrap_err().to_string();
            assert!(refused.contains("is no file"), "{refused}");
        }
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2, "nothing is left beside it");
    }
}
