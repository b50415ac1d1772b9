//! What is in a copy of a volume, read while nobody writes to it; or nothing is said to be whole.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::docker::{Docker, Tar, User, Users};

/// Reads the copy into `out`.
///
/// A container that runs and mounts it has to have hooks for that, or `live` says that it does not matter.
///
/// # Errors
/// What was read is not whole, or not of one moment.
pub(super) async fn read(
    docker: Docker,
    grid: String,
    copy: String,
    live: bool,
    out: mpsc::Sender<Bytes>,
) -> anyhow::Result<()> {
    docker.copy(&copy, &grid).await?;
    let users = docker.users(&copy).await?;
    if !live {
        check_are_ready(&users)?;
    }
    let read = match prepare(&docker, &users).await {
        Ok(()) => read_prepared(&docker, &grid, &copy, &users, live, &out).await,
        Err(problem) => Err(problem),
    };
    // Whatever became of it: a database goes on writing.
    let released = release(&docker, &users).await;
    read.and(released)
}

fn check_are_ready(users: &Users) -> anyhow::Result<()> {
    let writes = |user: &&User| user.care.pre_backup.is_empty();
    match users.running.iter().find(writes) {
        None => Ok(()),
        Some(User { name, .. }) => bail!(
            "the container `{name}` runs and may write to it: stop its service, give it hooks `pre_backup`, or ask \
             with `--live` for what may be of several moments"
        ),
    }
}

async fn prepare(docker: &Docker, users: &Users) -> anyhow::Result<()> {
    for user in &users.running {
        for hook in &user.care.pre_backup {
            docker.hook_of_backup(&user.container, hook).await?;
        }
    }
    Ok(())
}

/// All of them, though one fails.
async fn release(docker: &Docker, users: &Users) -> anyhow::Result<()> {
    let mut released = Ok(());
    for user in &users.running {
        for hook in &user.care.post_backup {
            let ran = docker.hook_of_backup(&user.container, hook).await;
            released = released.and(ran.context("after the backup"));
        }
    }
    released
}

async fn read_prepared(
    docker: &Docker,
    grid: &str,
    copy: &str,
    users: &Users,
    live: bool,
    out: &mpsc::Sender<Bytes>,
) -> anyhow::Result<()> {
    let carrier = docker.carrier(copy, grid).await?;
    let handed = match docker.read_contents(&carrier).await {
        Ok(pieces) => hand_on(pieces, out).await,
        Err(problem) => Err(problem),
    };
    docker.remove_carrier(carrier).await;
    handed?;
    let now = docker.users(copy).await?;
    ensure!(
        live || now.are_those_of(users),
        "a container that mounts it was started meanwhile: what was read may be of several moments"
    );
    Ok(())
}

async fn hand_on(
    mut pieces: impl futures::Stream<Item = std::io::Result<Bytes>> + Unpin,
    out: &mpsc::Sender<Bytes>,
) -> anyhow::Result<()> {
    let mut tar = Tar::default();
    while let Some(piece) = pieces.next().await {
        let piece = piece.context("the Docker engine broke off")?;
        tar.pass(&piece).context("what the engine reads")?;
        out.send(piece).await.context("nobody hears it any more")?;
    }
    tar.finish().context("what the engine reads")
}
