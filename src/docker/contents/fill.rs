//! A volume that is nobody's yet, filled by a tar: with the owner and the mode that this has for the directory itself.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use rustix::fs::syncfs;
use tokio_util::sync::CancellationToken;

use super::tar::{Root, Tar, TarProblem, owning};
use super::{Carrier, carrier};
use crate::docker::Docker;

/// Each time that the engine writes to the volume it mounts that: once for what is in it, once for whose it is.
const WRITES: usize = 2;

impl Docker {
    /// Fills a volume that is there, durably as far as this host has its files, until `stop`.
    ///
    /// # Errors
    /// What is in it is a part of the tar, or somebody else may have written to it.
    pub(crate) async fn fill_volume(
        &self,
        volume: &str,
        grid: &str,
        tar: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut mounts = self.watch_mounts(volume).await?;
        let carrier = self.carrier(volume, grid, &[]).await?;
        let filled = tokio::select! {
            filled = self.fill(&carrier, tar) => filled,
            () = stop.cancelled() => Err(anyhow::anyhow!("nobody waits for it any more")),
        };
        let undisturbed = match filled {
            Ok(()) => mounts.was_undisturbed(&carrier, WRITES).await,
            Err(problem) => Err(problem),
        };
        self.remove_carrier(carrier).await;
        ensure!(
            undisturbed?,
            "a container that mounts the volume `{volume}` was started or has ended while it was filled"
        );
        self.sync_volume(volume).await
    }

    async fn fill(
        &self,
        carrier: &Carrier,
        tar: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let seen = Seen::default();
        let passing = seen.clone();
        let tar = tar.map(move |piece| passing.pass(piece?));
        let written = self.write_contents(carrier, tar).await;
        // The engine only says that something is wrong with it.
        let (tar, problem) = std::mem::take(&mut *seen.lock());
        if let Some(problem) = problem {
            bail!(problem);
        }
        written?;
        tar.finish()?;
        let root = tar.root();
        let root = root.context("the tar does not say whose the directory is")?;
        self.give(carrier, root).await
    }

    /// The engine leaves a directory that is there as it is if that is the one it unpacks in; seen from above, it is one in a tar
    /// like any other. So it is told in users as containers see them, wherever the engine is.
    async fn give(&self, carrier: &Carrier, root: Root) -> anyhow::Result<()> {
        let tar = owning(carrier::PLACE, root);
        let tar = futures::stream::iter([Ok(Bytes::from(tar))]);
        let given = self.write_at("/", carrier, tar).await;
        given.context("failed to give the volume its owner")
    }

    /// On another host it cannot be told to write to its disk now.
    async fn sync_volume(&self, volume: &str) -> anyhow::Result<()> {
        let files = self.files_of(volume).await?;
        let files = files.with_context(|| format!("there is no Docker volume `{volume}`"))?;
        let synced = tokio::task::spawn_blocking(move || sync_files(&files)).await;
        synced.context("failed to write the files to the disk")?
    }
}

fn sync_files(files: &Path) -> anyhow::Result<()> {
    let folder = match File::open(files) {
        Ok(folder) => folder,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(problem) => return Err(problem).context("failed to open the volume"),
    };
    syncfs(&folder).context("failed to write the files to the disk")
}

/// A tar as it goes by, and what is wrong with it.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<(Tar, Option<TarProblem>)>>);

impl Seen {
    fn lock(&self) -> MutexGuard<'_, (Tar, Option<TarProblem>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, piece: Bytes) -> io::Result<Bytes> {
        let mut seen = self.lock();
        match seen.0.pass(&piece) {
            Ok(()) => Ok(piece),
            Err(problem) => {
                seen.1 = Some(problem.clone());
                Err(io::Error::other(problem))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_to_a_disk_of_this_host_and_an_error_of_it_is_told() {
        let host = tempfile::tempdir().unwrap();
        sync_files(host.path()).unwrap();
        sync_files(&host.path().join("elsewhere")).unwrap();
        let file = host.path().join("file");
        std::fs::write(&file, "no folder").unwrap();
        assert!(sync_files(&file.join("below")).is_err());
    }
}
