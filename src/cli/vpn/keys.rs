//! Private keys of VPN users, on the machine where they were made: one file each, readable by its owner.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use data_encoding::BASE64;
use kontena_core::id::{GridName, VpnUserName};
use kontena_core::network::vpn::VpnKey;
use kontena_overlay::PrivateKey;

use super::super::failure::Failure;
use super::super::session::Environment;

const FOLDER: &str = ".kontena_vpn";

/// `~/.kontena_vpn/GRID/USER.key`: the private half in base64.
pub(super) struct KeyFile {
    path: PathBuf,
}

/// A key that is on the disk and not in its place yet; dropped, it is gone.
pub(super) struct NewKey<'a> {
    file: &'a KeyFile,
    path: PathBuf,
    is_kept: bool,
}

/// The public half, as the grid knows it.
pub(super) fn public(key: &PrivateKey) -> VpnKey {
    let text = BASE64.encode(&key.public_key().0);
    text.parse()
        .expect("the public half of a key is a multiple of the base point, which has a large order")
}

/// Reads a private key from a file that any tool of WireGuard wrote.
///
/// # Errors
/// Names the file, and never what is in it.
pub(super) fn read(path: &Path) -> anyhow::Result<PrivateKey> {
    let name = || format!("failed to read `{}`", path.display());
    let text = fs::read_to_string(path).with_context(name)?;
    let bytes = BASE64.decode(text.trim().as_bytes()).ok();
    let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(PrivateKey::new)
        .with_context(|| format!("`{}` holds no private key", path.display()))
}

impl KeyFile {
    pub(super) fn of(
        environment: Environment<'_>,
        grid: &GridName,
        name: &VpnUserName,
    ) -> Result<Self, Failure> {
        let home = environment("HOME").filter(|home| !home.is_empty());
        let home = home.ok_or_else(|| {
            Failure::failed("there is no place for keys: HOME is not set")
                .hint("make the key elsewhere, and give its public half with `--public-key`")
        })?;
        let folder = Path::new(&home).join(FOLDER).join(grid.as_str());
        let path = folder.join(format!("{name}.key"));
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    pub(super) fn write_new(&self, text: &str) -> Result<NewKey<'_>, Failure> {
        let path = self
            .path
            .with_extension(format!("{}.new", std::process::id()));
        write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(NewKey {
            file: self,
            path,
            is_kept: false,
        })
    }

    pub(super) fn remove(&self) -> anyhow::Result<()> {
        match fs::remove_file(&self.path) {
            Err(problem) if problem.kind() != ErrorKind::NotFound => {
                Err(problem).with_context(|| format!("failed to remove `{}`", self.path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl NewKey<'_> {
    /// Puts it in its place, over one that an earlier user of the name had.
    pub(super) fn keep(mut self) -> Result<(), Failure> {
        let place = &self.file.path;
        fs::rename(&self.path, place)
            .with_context(|| format!("failed to write `{}`", place.display()))?;
        self.is_kept = true;
        Ok(())
    }

    /// Puts it in its place where that is free: what is there may be in use. Returns where it is.
    pub(super) fn keep_in_doubt(mut self) -> PathBuf {
        let place = &self.file.path;
        // It must not take the place of one that came meanwhile.
        let linked = fs::hard_link(&self.path, place);
        self.is_kept = linked.is_err();
        match linked {
            Ok(()) => place.clone(),
            Err(_) => self.path.clone(),
        }
    }
}

impl Drop for NewKey<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            // What is left of the attempt, whose own error is told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_which_nobody_knows_whether_it_counts_is_kept_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile {
            path: folder.path().join("laptop.key"),
        };
        let first = file.write_new("first").unwrap().keep_in_doubt();
        assert_eq!(first, file.path);
        drop(file.write_new("refused").unwrap());
        let second = file.write_new("second").unwrap().keep_in_doubt();
        assert_ne!(second, first);
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!([read(&first), read(&second)], ["first\n", "second\n"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
