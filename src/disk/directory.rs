//! The directory itself: ours alone, of a format that we know, and files that are written whole.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::at;

/// The version of everything in the directory. A newer daemon reads older ones; never the reverse.
const FORMAT: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "lock";

/// For the owner only.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A data directory that no other daemon uses.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Unlocked when it is closed, by the kernel if need be.
    _lock: File,
}

impl Directory {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        create(path)?;
        let path = at(path.canonicalize(), "find", path)?;
        check_is_ours(&path)?;
        let lock = lock(&path)?;
        let directory = Self { path, _lock: lock };
        make_private(&directory.path, FOLDER_MODE)?;
        directory.check_format()?;
        Ok(directory)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Like [`replace`], in here.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        replace(&self.path, name, content)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let path = self.file(from);
        match std::fs::rename(&path, self.file(to)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            renamed => at(renamed, "rename", &path),
        }?;
        self.sync()
    }

    /// Makes durable which files there are.
    fn sync(&self) -> anyhow::Result<()> {
        at(sync_folder(&self.path), "sync", &self.path)
    }

    fn check_format(&self) -> anyhow::Result<()> {
        let path = self.file(FORMAT_FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.write(FORMAT_FILE, format!("{FORMAT}\n").as_bytes());
            }
            read => at(read, "read", &path)?,
        };
        let found: u32 = text
            .trim()
            .parse()
            .ok()
            .with_context(|| format!("`{}` is damaged: it is not a number", path.display()))?;
        if found > FORMAT {
            bail!(
                "`{}` was written by a newer version of kontena (format {found}, this one knows {FORMAT}); install that version again",
                self.path.display()
            );
        }
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    let created = builder.recursive(true).mode(FOLDER_MODE).create(path);
    at(created, "create", path)?;
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => at(sync_folder(parent), "sync", parent),
        None => Ok(()),
    }
}

/// A directory with other things in it, and without a format, was named by mistake.
fn check_is_ours(path: &Path) -> anyhow::Result<()> {
    if path.join(FORMAT_FILE).exists() {
        return Ok(());
    }
    for entry in at(std::fs::read_dir(path), "read", path)? {
        let name = at(entry, "read", path)?.file_name();
        let harmless = [LOCK_FILE, "FORMAT.new", "lost+found"];
        if !harmless.iter().any(|known| name == *known) {
            bail!(
                "`{}` holds `{}` but no kontena data; give an empty directory",
                path.display(),
                name.display()
            );
        }
    }
    Ok(())
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = path.join(LOCK_FILE);
    let lock = at(open_private(&file, false), "open", &file)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            bail!("another daemon uses `{}`", path.display())
        }
        Err(TryLockError::Error(error)) => at(Err(error), "lock", &file),
    }
}

/// Takes away what others may do, and says so: somebody may have relied on it.
pub(super) fn make_private(path: &Path, mode: u32) -> anyhow::Result<()> {
    let found = at(std::fs::metadata(path), "look at", path)?;
    if found.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "Others could read this; now only its owner can");
    at(
        std::fs::set_permissions(path, Permissions::from_mode(mode)),
        "protect",
        path,
    )
}

pub(super) fn make_file_private(path: &Path) -> anyhow::Result<()> {
    make_private(path, FILE_MODE)
}

/// Opens for reading and writing, made for its owner only where it is not there.
pub(super) fn open_private(path: &Path, empty: bool) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(empty)
        .mode(FILE_MODE)
        .open(path)
}

/// Replaces a file: after a crash it has the old content or the new one.
pub(super) fn replace(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    let beside = folder.join(format!("{name}.new"));
    at(write_durably(&beside, content), "write", &beside)?;
    at(std::fs::rename(&beside, &path), "replace", &path)?;
    at(sync_folder(folder), "sync", folder)
}

fn write_durably(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = open_private(path, true)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
