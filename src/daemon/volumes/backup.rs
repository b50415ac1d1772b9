//! What is in a copy of a volume, read while nobody writes to it; or nothing is said to be whole.

use std::io;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::docker::{Carrier, Docker, Tar, User};

/// An engine that reads nothing for so long does not answer.
const SILENCE: Duration = Duration::from_secs(120);

/// A backup that was asked for.
pub(super) struct Backup {
    pub(super) docker: Docker,
    pub(super) grid: String,
    pub(super) copy: String,
    /// Though somebody may write to it meanwhile.
    pub(super) live: bool,
}

impl Backup {
    /// Reads the copy into `out`, until it is `unheard`.
    ///
    /// A container that runs and mounts it has to have hooks for that, or `live` says that it does not matter.
    ///
    /// # Errors
    /// What was read is not whole, or not of one moment.
    pub(super) async fn read(
        self,
        out: &mpsc::Sender<Bytes>,
        unheard: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Self { docker, copy, .. } = &self;
        let _copy = docker.claim(vec![copy.clone()])?;
        docker.copy(copy, &self.grid).await?;
        let mut mounts = docker.watch_mounts(copy).await?;
        let users = docker.users(copy).await?;
        if !self.live {
            check_are_ready(&users)?;
        }
        // Another backup of theirs would let them go in the middle of this one.
        let held = users.iter().map(|user| user.container.0.clone());
        let _held = docker.claim(held.collect())?;
        let carrier = docker.carrier(copy, &self.grid, &users).await?;
        let read = match self.prepare(&users, unheard).await {
            Ok(()) => self.hand_on(&carrier, out, unheard).await,
            Err(problem) => Err(problem),
        };
        let undisturbed = match read {
            Ok(()) if !self.live => mounts.was_undisturbed(&carrier, 1).await,
            Ok(()) => Ok(true),
            Err(problem) => Err(problem),
        };
        // Whatever became of it: a database goes on writing.
        let released = self.release(&users).await;
        docker.remove_carrier(carrier).await;
        ensure!(
            undisturbed?,
            "a container that mounts it was started or has ended meanwhile: what was read may be of several moments"
        );
        released
    }

    async fn prepare(&self, users: &[User], unheard: &CancellationToken) -> anyhow::Result<()> {
        for User {
            container, care, ..
        } in users
        {
            for hook in &care.pre_backup {
                let unheard = unheard.cancelled();
                let ran = self.docker.hook_of_backup(container, hook, unheard);
                ran.await?;
            }
        }
        Ok(())
    }

    /// All of them, though one fails.
    async fn release(&self, users: &[User]) -> anyhow::Result<()> {
        let mut released = Ok(());
        for User {
            container, care, ..
        } in users
        {
            for hook in &care.post_backup {
                let for_ever = std::future::pending();
                let ran = self.docker.hook_of_backup(container, hook, for_ever).await;
                released = released.and(ran.context("after the backup"));
            }
        }
        released
    }

    async fn hand_on(
        &self,
        carrier: &Carrier,
        out: &mpsc::Sender<Bytes>,
        unheard: &CancellationToken,
    ) -> anyhow::Result<()> {
        let pieces = self.docker.read_contents(carrier).await?;
        tokio::select! {
            handed = hand_on(pieces, out) => handed,
            () = unheard.cancelled() => bail!("nobody hears it any more"),
        }
    }
}

fn check_are_ready(users: &[User]) -> anyhow::Result<()> {
    let writes = |user: &&User| user.care.pre_backup.is_empty();
    match users.iter().find(writes) {
        None => Ok(()),
        Some(User { name, .. }) => bail!(
            "the container `{name}` runs and may write to it: stop its service, give it hooks `pre_backup`, or ask \
             with `--live` for what may be of several moments"
        ),
    }
}

async fn hand_on(
    mut pieces: impl Stream<Item = io::Result<Bytes>> + Unpin,
    out: &mpsc::Sender<Bytes>,
) -> anyhow::Result<()> {
    let mut tar = Tar::default();
    while let Some(piece) = timeout(SILENCE, pieces.next())
        .await
        .context("the Docker engine does not answer")?
    {
        let piece = piece.context("the Docker engine broke off")?;
        tar.pass(&piece).context("what the engine reads")?;
        out.send(piece).await.context("nobody hears it any more")?;
    }
    tar.finish().context("what the engine reads")
}
