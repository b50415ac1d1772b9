//! What lies in a volume, looked at before it is read: how much it is, and whether a tar can carry it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::{UNWANTED, on_disk};

/// The unit of a tar.
const BLOCK: u64 = 512;
/// The most that the kernel has of the names of one file's attributes.
const MAX_NAMES: usize = 64 * 1024;
/// The engine's tar has the first, and the others are the host's word on the file, not the program's.
const NO_LOSS: [&[u8]; 4] = [
    b"security.capability",
    b"security.selinux",
    b"security.ima",
    b"security.evm",
];

/// Attributes of files that the engine's tar does not carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attributes {
    /// They would be lost.
    Refused,
    Ignored,
}

/// About how long a tar of it is. `None` where this host has no such folder.
///
/// # Errors
/// It cannot be read, or has what would be lost.
pub(super) async fn survey(
    place: PathBuf,
    stop: CancellationToken,
    attributes: Attributes,
) -> anyhow::Result<Option<u64>> {
    on_disk(move || Survey { stop, attributes }.of(&place)).await
}

struct Survey {
    stop: CancellationToken,
    attributes: Attributes,
}

impl Survey {
    /// As a tar has it: a head for each file, and whole blocks.
    fn of(&self, place: &Path) -> anyhow::Result<Option<u64>> {
        match fs::read_dir(place) {
            Ok(_) => {}
            Err(problem) if is_elsewhere(&problem) => return Ok(None),
            Err(problem) => return Err(problem).context("failed to look at the volume"),
        }
        self.check(place, place)?;
        let mut total = BLOCK;
        let mut folders = vec![place.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).context("failed to look at the volume")?;
            for entry in entries {
                ensure!(!self.stop.is_cancelled(), UNWANTED);
                let entry = entry.context("failed to look at the volume")?;
                let about = entry.metadata().context("failed to look at the volume")?;
                self.check(&entry.path(), place)?;
                total += BLOCK + data(&about, &mut seen);
                if about.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        Ok(Some(total))
    }

    fn check(&self, file: &Path, place: &Path) -> anyhow::Result<()> {
        if self.attributes == Attributes::Ignored {
            return Ok(());
        }
        let lost = lost(file).context("failed to look at the attributes of a file")?;
        let Some(name) = lost else { return Ok(()) };
        let file = file.strip_prefix(place).unwrap_or(file);
        bail!(
            "`./{}` has the attribute `{name}`, and a move carries no extended attributes or access lists: take them away \
             (`setfattr -x`, `setfacl -b`), or move the data by a program that keeps them",
            file.display()
        );
    }
}

/// The engine is on another host, or this daemon may not look at its files.
fn is_elsewhere(problem: &io::Error) -> bool {
    let kind = problem.kind();
    matches!(
        kind,
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

/// Of a file with several names once.
fn data(about: &Metadata, seen: &mut BTreeSet<u64>) -> u64 {
    let is_new = about.is_file() && (about.nlink() == 1 || seen.insert(about.ino()));
    match is_new {
        true => about.len().div_ceil(BLOCK) * BLOCK,
        false => 0,
    }
}

/// The first attribute of a file that a tar would leave behind.
fn lost(file: &Path) -> io::Result<Option<String>> {
    let length = match rustix::fs::llistxattr_query(file) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(None),
        Ok(length) => length,
        Err(problem) => return Err(problem.into()),
    };
    let mut names = vec![0; length.min(MAX_NAMES)];
    let length = rustix::fs::llistxattr(file, &mut names[..])?;
    let mut names = names[..length].split(|byte| *byte == 0);
    let lost = names.find(|name| !name.is_empty() && !NO_LOSS.contains(name));
    Ok(lost.map(|name| OsStr::from_bytes(name).display().to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::fs::XattrFlags;

    use super::*;

    fn look(attributes: Attributes) -> Survey {
        Survey {
            stop: CancellationToken::new(),
            attributes,
        }
    }

    #[test]
    fn it_is_as_long_as_a_tar_of_it_and_a_file_with_two_names_counts_once() {
        let host = tempfile::tempdir().unwrap();
        let place = host.path();
        fs::create_dir(place.join("folder")).unwrap();
        fs::write(place.join("folder/file"), [7; 600]).unwrap();
        fs::hard_link(place.join("folder/file"), place.join("other")).unwrap();
        let survey = look(Attributes::Ignored);
        assert_eq!(survey.of(place).unwrap(), Some(4 * 512 + 1024));
        assert_eq!(survey.of(&place.join("nowhere")).unwrap(), None);
        survey.stop.cancel();
        assert!(survey.of(place).is_err(), "nobody waits for it");
    }

    #[test]
    fn what_has_attributes_that_a_tar_leaves_behind_is_refused_by_its_path() {
        let host = tempfile::tempdir().unwrap();
        let place = host.path();
        fs::create_dir(place.join("folder")).unwrap();
        let file = File::create(place.join("folder/file")).unwrap();
        let set = rustix::fs::fsetxattr(&file, "user.colour", b"red", XattrFlags::empty());
        if set == Err(Errno::OPNOTSUPP) {
            // Not every file system for temporary files has them.
            return;
        }
        set.unwrap();
        let problem = look(Attributes::Refused).of(place).unwrap_err().to_string();
        assert!(
            problem.starts_with("`./folder/file` has the attribute `user.colour`"),
            "{problem}"
        );
        assert!(look(Attributes::Ignored).of(place).is_ok());
        rustix::fs::fremovexattr(&file, "user.colour").unwrap();
        assert!(look(Attributes::Refused).of(place).is_ok());
    }
}
