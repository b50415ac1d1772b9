//! What this daemon has set up on its host, remembered so that whatever becomes of it, a later one knows what it
//! has to take away.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::at;
use super::directory::replace;

const FILE: &str = "footprint.json";

/// Interfaces whose names everything else on the host follows from, and ranges of addresses that are held back.
///
/// Something is added before it is made, and removed when it is gone for certain. It is on the disk when the call
/// returns: such calls are rare.
#[derive(Debug)]
pub(crate) struct Footprint {
    folder: PathBuf,
    known: Mutex<Known>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    interfaces: BTreeSet<String>,
    held: BTreeSet<String>,
}

impl Footprint {
    /// That of the data directory `folder`, which is open.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let known = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("`{}` is damaged", path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Known::default(),
            Err(error) => return at(Err(error), "read", &path),
        };
        Ok(Self {
            folder: folder.to_owned(),
            known: Mutex::new(known),
        })
    }

    pub(crate) fn interfaces(&self) -> BTreeSet<String> {
        self.known().interfaces.clone()
    }

    /// Ranges as text.
    pub(crate) fn held(&self) -> BTreeSet<String> {
        self.known().held.clone()
    }

    /// # Errors
    /// It is not on the disk.
    pub(crate) fn add(&self, interface: &str, held: &[String]) -> anyhow::Result<()> {
        self.change(|known| {
            known.interfaces.insert(interface.to_owned());
            known.held.extend(held.iter().cloned());
        })
    }

    /// # Errors
    /// It is still on the disk.
    pub(crate) fn remove_interface(&self, interface: &str) -> anyhow::Result<()> {
        self.change(|known| {
            known.interfaces.remove(interface);
        })
    }

    /// # Errors
    /// They are still on the disk.
    pub(crate) fn remove_held(&self) -> anyhow::Result<()> {
        self.change(|known| known.held.clear())
    }

    fn change(&self, change: impl FnOnce(&mut Known)) -> anyhow::Result<()> {
        let mut known = self.known();
        let mut changed = known.clone();
        change(&mut changed);
        if *known != changed {
            let bytes =
                serde_json::to_vec(&changed).context("failed to write down what is set up")?;
            replace(&self.folder, FILE, &bytes)?;
            *known = changed;
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_up_is_known_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let read = || Footprint::read(folder.path()).unwrap();
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let first = read();
        assert_eq!(first.interfaces(), BTreeSet::new());
        let held = ["10.80.0.0/12".to_owned()];
        first.add("kontena0", &held).unwrap();
        first.add("kontena7", &held).unwrap();
        let second = read();
        assert_eq!(second.interfaces(), set(&["kontena0", "kontena7"]));
        assert_eq!(second.held(), set(&["10.80.0.0/12"]));
        second.remove_interface("kontena0").unwrap();
        second.remove_held().unwrap();
        assert_eq!(read().interfaces(), set(&["kontena7"]));
        assert_eq!(read().held(), BTreeSet::new());
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        let problem = Footprint::read(folder.path()).unwrap_err().to_string();
        assert!(problem.contains(FILE), "{problem}");
    }
}
