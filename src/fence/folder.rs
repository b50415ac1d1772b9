//! What the daemon and the fence tell each other: a folder of files, each of which is replaced as a whole.
//!
//! A file for each tag, written by the daemon alone, and one by which the fence says that it is alive. What was written
//! before the kernel started is nothing: all that ran then is gone, and its clock began anew.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Beat, Moment, Tag};

/// Which start of the kernel this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const BEAT_FILE: &str = "alive";

/// Until when something may run, as its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    At(Moment),
    /// Nobody knows, so it is over: why not.
    Unreadable(String),
}

/// The content of a tag's file.
#[derive(Serialize, Deserialize)]
struct Written {
    boot: String,
    until_nanos: Moment,
}

/// The content of the fence's file.
#[derive(Serialize, Deserialize)]
struct WrittenBeat {
    boot: String,
    #[serde(flatten)]
    beat: Beat,
}

#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    boot: String,
}

impl Folder {
    /// Makes it where there is none.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("failed to make `{}`", path.display()))?;
        let path = path.canonicalize();
        let path = path.context("failed to find the folder of the fence")?;
        let boot = std::fs::read_to_string(BOOT_ID);
        let boot = boot.with_context(|| format!("failed to read `{BOOT_ID}`"))?;
        let boot = boot.trim().to_owned();
        Ok(Self { path, boot })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Of each tag, until when what carries it may run, in this life of the kernel.
    pub(crate) fn deadlines(&self) -> anyhow::Result<BTreeMap<Tag, Deadline>> {
        let failed = || format!("failed to read `{}`", self.path.display());
        let mut deadlines = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path).with_context(failed)? {
            let name = entry.with_context(failed)?.file_name();
            let tag = name.to_str().and_then(Tag::read);
            if let Some((tag, deadline)) =
                tag.and_then(|tag| Some((tag.clone(), self.deadline(&tag)?)))
            {
                deadlines.insert(tag, deadline);
            }
        }
        Ok(deadlines)
    }

    /// `None` for a file that is gone, or of another life of the kernel.
    fn deadline(&self, tag: &Tag) -> Option<Deadline> {
        let path = self.path.join(tag.to_string());
        match read::<Written>(&path) {
            Ok(written) => {
                let written = written.filter(|written| written.boot == self.boot)?;
                Some(Deadline::At(written.until_nanos))
            }
            Err(problem) => Some(Deadline::Unreadable(format!("{problem:#}"))),
        }
    }

    pub(crate) fn write(&self, tag: &Tag, until: Moment) -> anyhow::Result<()> {
        let written = Written {
            boot: self.boot.clone(),
            until_nanos: until,
        };
        self.replace(&tag.to_string(), &written)
    }

    pub(crate) fn remove(&self, tag: &Tag) -> anyhow::Result<()> {
        self.remove_file(&tag.to_string())
    }

    /// Removes the files of other lives of the kernel, and those that were not put in their place.
    pub(crate) fn remove_old(&self) -> anyhow::Result<()> {
        let known = self.deadlines()?;
        let failed = || format!("failed to read `{}`", self.path.display());
        for entry in std::fs::read_dir(&self.path).with_context(failed)? {
            let name = entry.with_context(failed)?.file_name();
            let name = name.to_string_lossy();
            let is_old = match Tag::read(&name) {
                Some(tag) => !known.contains_key(&tag),
                None => name.contains('.'),
            };
            if is_old {
                self.remove_file(&name)?;
            }
        }
        Ok(())
    }

    /// The last sign of life of a fence in this life of the kernel.
    pub(crate) fn beat(&self) -> anyhow::Result<Option<Beat>> {
        let written = read::<WrittenBeat>(&self.path.join(BEAT_FILE))?;
        let written = written.filter(|written| written.boot == self.boot);
        Ok(written.map(|written| written.beat))
    }

    pub(crate) fn write_beat(&self, beat: &Beat) -> anyhow::Result<()> {
        let written = WrittenBeat {
            boot: self.boot.clone(),
            beat: beat.clone(),
        };
        self.replace(BEAT_FILE, &written)
    }

    pub(crate) fn remove_beat(&self) -> anyhow::Result<()> {
        self.remove_file(BEAT_FILE)
    }

    /// Nobody finds half a file. It need not survive a power cut: nothing that it is about does. Each process writes beside
    /// it under a name of its own, for there may be two fences.
    fn replace(&self, name: &str, content: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_vec(content).context("failed to spell a file of the fence")?;
        let path = self.path.join(name);
        let beside = self.path.join(format!("{name}.{}", std::process::id()));
        let written = write_new(&beside, &text).and_then(|()| std::fs::rename(&beside, &path));
        written.with_context(|| format!("failed to write `{}`", path.display()))
    }

    fn remove_file(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        match std::fs::remove_file(&path) {
            Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("failed to remove `{}`", path.display())),
        }
    }
}

fn write_new(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text)
}

/// `None` where there is none.
fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let text = match std::fs::read(path) {
        Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("failed to read `{}`", path.display()))?,
    };
    let read = serde_json::from_slice(&text);
    read.with_context(|| format!("`{}` is damaged", path.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tag(digit: char) -> Tag {
        Tag::read(&digit.to_string().repeat(32)).unwrap()
    }

    fn folder() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&place.path().join("fences")).unwrap();
        (place, folder)
    }

    #[test]
    fn a_deadline_is_read_as_it_was_written_and_the_last_one_counts() {
        let (_place, folder) = folder();
        let later = Moment::at(Duration::from_nanos(7));
        folder
            .write(&tag('a'), later.after(Duration::from_secs(1)))
            .unwrap();
        folder.write(&tag('a'), later).unwrap();
        folder.write(&tag('b'), Moment::default()).unwrap();
        let expected = BTreeMap::from([
            (tag('a'), Deadline::At(later)),
            (tag('b'), Deadline::At(Moment::default())),
        ]);
        assert_eq!(folder.deadlines().unwrap(), expected);
        let text = std::fs::read_to_string(folder.path().join("a".repeat(32))).unwrap();
        assert_eq!(
            text,
            format!(r#"{{"boot":"{}","until_nanos":7}}"#, folder.boot)
        );
        for digit in ['a', 'b', 'b'] {
            folder.remove(&tag(digit)).unwrap();
        }
        assert_eq!(folder.deadlines().unwrap(), BTreeMap::new());
    }

    #[test]
    fn what_was_written_before_the_kernel_started_is_nothing_and_is_removed() {
        let (_place, folder) = folder();
        let before = Folder {
            boot: "another".to_owned(),
            ..folder.clone()
        };
        before.write(&tag('a'), Moment::now()).unwrap();
        before.write_beat(&Beat::default()).unwrap();
        folder.write(&tag('b'), Moment::now()).unwrap();
        assert_eq!(folder.beat().unwrap(), None);
        assert_eq!(folder.deadlines().unwrap().len(), 1);
        folder.remove_old().unwrap();
        assert!(!folder.path().join("a".repeat(32)).exists());
        assert_eq!(folder.deadlines().unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_what_is_no_tag_is_not_looked_at() {
        let (_place, folder) = folder();
        for (name, text) in [("a".repeat(32), "{"), ("README".to_owned(), "?")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("b".repeat(32))).unwrap();
        let deadlines = folder.deadlines().unwrap();
        assert_eq!(deadlines.len(), 2);
        let is_unreadable = |deadline: &Deadline| matches!(deadline, Deadline::Unreadable(_));
        assert!(deadlines.values().all(is_unreadable), "{deadlines:?}");
    }

    #[test]
    fn a_fence_is_as_alive_as_it_wrote_last() {
        let (_place, folder) = folder();
        assert_eq!(folder.beat().unwrap(), None);
        let beat = Beat {
            pid: 7,
            ..Beat::default()
        };
        folder.write_beat(&beat).unwrap();
        assert_eq!(folder.beat().unwrap(), Some(beat));
        assert_eq!(folder.deadlines().unwrap(), BTreeMap::new());
        folder.remove_beat().unwrap();
        folder.remove_beat().unwrap();
        assert_eq!(folder.beat().unwrap(), None);
    }
}
