//! A tar put in place of what is in a copy of a volume: all of it, or nothing.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;
use bytes::Bytes;
use futures::{Stream, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attending::Fed;
use crate::docker::{Carrier, Docker, Staged, Tar, TarProblem};

/// Puts what it is fed in place of what is in the copy, unless it is `unheard` before its end.
///
/// # Errors
/// Nothing changed in there.
pub(super) async fn write(
    docker: Docker,
    grid: String,
    copy: String,
    fed: mpsc::Receiver<Fed>,
    unheard: CancellationToken,
) -> anyhow::Result<()> {
    let _copy = docker.claim(vec![copy.clone()])?;
    let found = docker.copy(&copy, &grid).await?;
    if let Some(user) = docker.users(&copy).await?.first() {
        bail!(
            "the container `{}` runs and mounts it: stop its service first",
            user.name
        );
    }
    let staged = docker.stage(&found, &grid).await?;
    let written = replace(&docker, &grid, &staged, fed, &unheard).await;
    docker.unstage(staged).await;
    written
}

async fn replace(
    docker: &Docker,
    grid: &str,
    staged: &Staged,
    fed: mpsc::Receiver<Fed>,
    unheard: &CancellationToken,
) -> anyhow::Result<()> {
    // Until all is over it keeps the volume from being removed.
    let carrier = docker.carrier(&staged.name, grid, &[]).await?;
    let replaced = match fill(docker, &carrier, fed, unheard).await {
        Ok(tar) => docker.put_in_place(staged, tar.root()).await,
        Err(problem) => Err(problem),
    };
    docker.remove_carrier(carrier).await;
    replaced
}

async fn fill(
    docker: &Docker,
    carrier: &Carrier,
    fed: mpsc::Receiver<Fed>,
    unheard: &CancellationToken,
) -> anyhow::Result<Tar> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let tar = passing(fed, Arc::clone(&seen));
    let written = tokio::select! {
        written = docker.write_contents(carrier, tar) => written,
        () = unheard.cancelled() => bail!("whoever sent it is gone"),
    };
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    // The engine only says that something is wrong with it.
    if let Some(problem) = seen.problem {
        bail!(problem);
    }
    written?;
    seen.tar.finish()?;
    Ok(seen.tar)
}

#[derive(Debug, Default)]
struct Seen {
    tar: Tar,
    problem: Option<TarProblem>,
}

impl Seen {
    fn pass(&mut self, piece: &[u8]) -> io::Result<()> {
        self.note(|tar| tar.pass(piece))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.note(|tar| tar.finish())
    }

    fn breaks_off(&mut self) -> io::Error {
        self.problem = Some(TarProblem::BreaksOff);
        io::Error::other(TarProblem::BreaksOff)
    }

    fn note(&mut self, look: impl FnOnce(&mut Tar) -> Result<(), TarProblem>) -> io::Result<()> {
        look(&mut self.tar).map_err(|problem| {
            self.problem = Some(problem.clone());
            io::Error::other(problem)
        })
    }
}

/// What is fed, looked at as it goes by. It breaks off where its end is not said.
fn passing(
    fed: mpsc::Receiver<Fed>,
    seen: Arc<Mutex<Seen>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(Some((fed, seen)), |state| async move {
        let (mut fed, seen) = state?;
        let next = fed.recv().await;
        let mut looking = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = match next {
            Some(Fed::Piece(piece)) => looking.pass(&piece).map(|()| Some(piece)),
            Some(Fed::End) => looking.finish().map(|()| None),
            None => Err(looking.breaks_off()),
        };
        drop(looking);
        match passed {
            Ok(Some(piece)) => Some((Ok(piece), Some((fed, seen)))),
            Ok(None) => None,
            Err(problem) => Some((Err(problem), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn passed(words: Vec<Fed>) -> (Vec<io::Result<Bytes>>, Seen) {
        let (feed, fed) = mpsc::channel(8);
        for word in words {
            feed.send(word).await.unwrap();
        }
        drop(feed);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let pieces = passing(fed, Arc::clone(&seen)).collect().await;
        let seen = Arc::try_unwrap(seen).unwrap().into_inner().unwrap();
        (pieces, seen)
    }

    #[tokio::test]
    async fn a_tar_goes_by_as_it_is_and_one_whose_end_is_not_said_breaks() {
        let empty = || Fed::Piece(Bytes::from_static(&[0; 1024]));
        let (pieces, seen) = passed(vec![empty(), Fed::End]).await;
        assert!(pieces.len() == 1 && pieces[0].is_ok(), "{pieces:?}");
        assert_eq!(seen.problem, None);
        let (pieces, seen) = passed(vec![empty()]).await;
        assert!(pieces.len() == 2 && pieces[1].is_err(), "{pieces:?}");
        assert_eq!(seen.problem, Some(TarProblem::BreaksOff));
    }

    #[tokio::test]
    async fn what_is_none_is_handed_to_no_engine() {
        let piece = Fed::Piece(Bytes::from_static(&[b'x'; 2_000]));
        let (pieces, seen) = passed(vec![piece, Fed::End]).await;
        assert!(pieces.len() == 1 && pieces[0].is_err(), "{pieces:?}");
        assert_eq!(seen.problem, Some(TarProblem::None));
    }
}
