//! Whoever asked for what is in a volume, and the work that is done for him.
//!
//! The work is a task of its own and ends by itself, with all that it made removed, once nobody hears it or feeds it: it is
//! told so.

use std::io;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use crate::api::types::exec::{
    ALIVE_EVERY, Failed, Frames, Heard, MAX_FRAME, SILENCE, Said, answering,
};

/// On their way between the engine and whoever asked.
const PIECES: usize = 4;
/// A frame has a byte more.
const PIECE: usize = MAX_FRAME / 2;

type Asker<T> = SplitSink<Framed<T, Frames<Said, Heard>>, Heard>;
type Words<T> = SplitStream<Framed<T, Frames<Said, Heard>>>;

/// What the one who asked says of a tar. Where no end is said it is not whole.
pub(super) enum Fed {
    Piece(Bytes),
    End,
}

pub(super) struct Attending {
    /// `None` where too much is under way already.
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) life: watch::Receiver<bool>,
}

impl Attending {
    /// Hands on what `work` reads.
    pub(super) async fn reading<T, W>(
        self,
        io: T,
        work: impl FnOnce(mpsc::Sender<Bytes>, CancellationToken) -> W,
    ) where
        T: AsyncRead + AsyncWrite + Unpin,
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        if let Some(why) = self.hindrance() {
            return self.refuse(io, why).await;
        }
        let (pieces, read) = mpsc::channel(PIECES);
        let unheard = CancellationToken::new();
        let work = tokio::spawn(work(pieces, unheard.clone()));
        self.attend(io, work, read, None, unheard).await;
    }

    /// Tells how `work` ends.
    pub(super) async fn doing<T, W>(self, io: T, work: W)
    where
        T: AsyncRead + AsyncWrite + Unpin,
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.writing(io, |_, _| work).await;
    }

    /// Feeds `work`.
    pub(super) async fn writing<T, W>(
        self,
        io: T,
        work: impl FnOnce(mpsc::Receiver<Fed>, CancellationToken) -> W,
    ) where
        T: AsyncRead + AsyncWrite + Unpin,
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        if let Some(why) = self.hindrance() {
            return self.refuse(io, why).await;
        }
        let (feed, fed) = mpsc::channel(PIECES);
        let (_, nothing) = mpsc::channel(1);
        let unheard = CancellationToken::new();
        let work = tokio::spawn(work(fed, unheard.clone()));
        self.attend(io, work, nothing, Some(feed), unheard).await;
    }

    fn hindrance(&self) -> Option<&'static str> {
        match (&self.place, *self.life.borrow()) {
            (_, true) => Some("its node stops"),
            (None, false) => Some("its node reads or writes too many volumes already"),
            (Some(_), false) => None,
        }
    }

    pub(super) async fn refuse<T: AsyncRead + AsyncWrite + Unpin>(self, io: T, why: &str) {
        let (asker, words) = answering(io).split();
        end(asker, words, Heard::Failed(Failed::Busy, why.to_owned())).await;
    }

    async fn attend<T: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        io: T,
        mut work: JoinHandle<anyhow::Result<()>>,
        mut read: mpsc::Receiver<Bytes>,
        mut feed: Option<mpsc::Sender<Fed>>,
        unheard: CancellationToken,
    ) {
        let (mut asker, mut words) = answering(io).split();
        let last = tokio::select! {
            told = tell(&mut read, &mut work, &mut asker) => told.ok(),
            () = listen(&mut words, &mut feed) => None,
            // It never changes back, and lives as long as this node serves.
            _ = self.life.wait_for(|is_over| *is_over) => {
                Some(Heard::Failed(Failed::Lost, "its node stops".to_owned()))
            }
        };
        // Nobody hears it, or feeds it, any more: it cleans up, and its place is taken for so long.
        unheard.cancel();
        drop((read, feed));
        if !work.is_finished() {
            let ended = work.await;
            tracing::debug!(?ended, "Reading or writing a volume was broken off");
        }
        drop(self.place);
        if let Some(last) = last {
            end(asker, words, last).await;
        }
    }
}

/// Hands on what the work reads, says that this side is there, and answers its end.
///
/// # Errors
/// Nobody hears it.
async fn tell<T: AsyncRead + AsyncWrite + Unpin>(
    read: &mut mpsc::Receiver<Bytes>,
    work: &mut JoinHandle<anyhow::Result<()>>,
    asker: &mut Asker<T>,
) -> io::Result<Heard> {
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_open = true;
    loop {
        tokio::select! {
            piece = read.recv(), if is_open => match piece {
                Some(mut bytes) => while !bytes.is_empty() {
                    let piece = bytes.split_to(bytes.len().min(PIECE));
                    asker.send(Heard::Output(piece)).await?;
                },
                None => is_open = false,
            },
            ended = &mut *work, if !is_open => return Ok(match ended {
                Ok(Ok(())) => Heard::Ended(0),
                Ok(Err(problem)) => Heard::Failed(Failed::NotNow, format!("{problem:#}")),
                Err(problem) => Heard::Failed(Failed::Lost, problem.to_string()),
            }),
            _ = alive.tick() => asker.send(Heard::Alive).await?,
        }
    }
}

/// Feeds the work, until nobody says anything any more.
async fn listen<T: AsyncRead + AsyncWrite + Unpin>(
    words: &mut Words<T>,
    feed: &mut Option<mpsc::Sender<Fed>>,
) {
    while let Ok(Some(Ok(word))) = timeout(SILENCE, words.next()).await {
        let fed = match word {
            Said::Input(bytes) => Fed::Piece(bytes),
            Said::InputEnds => Fed::End,
            Said::Alive | Said::Resize(_) | Said::Start(_) => continue,
        };
        // One that has ended reads no more; what it says last is still to be told.
        if let Some(open) = feed
            && open.send(fed).await.is_err()
        {
            *feed = None;
        }
    }
}

/// Says the last word, and hears whoever asked out: what is still on its way here would be answered with a break, before that
/// word is read.
async fn end<T: AsyncRead + AsyncWrite + Unpin>(
    mut asker: Asker<T>,
    mut words: Words<T>,
    last: Heard,
) {
    let said = async {
        asker.send(last).await?;
        asker.close().await
    };
    if !matches!(timeout(SILENCE, said).await, Ok(Ok(()))) {
        tracing::debug!("Nobody heard how reading or writing a volume ended");
    }
    let leaves = async { while let Some(Ok(_)) = words.next().await {} };
    if timeout(SILENCE, leaves).await.is_err() {
        tracing::debug!("Whoever asked for what is in a volume stays though that has ended");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{DuplexStream, duplex};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::api::types::exec::asking;

    type Asking = Framed<DuplexStream, Frames<Heard, Said>>;

    fn attending(places: &Arc<Semaphore>) -> (Attending, watch::Sender<bool>) {
        let (life, living) = watch::channel(false);
        let attending = Attending {
            place: Arc::clone(places).try_acquire_owned().ok(),
            life: living,
        };
        (attending, life)
    }

    fn connection() -> (Asking, DuplexStream) {
        let (near, far) = duplex(64 * 1024);
        (asking(near), far)
    }

    async fn heard(asking: &mut Asking) -> (usize, Option<Heard>) {
        let mut bytes = 0;
        while let Some(Ok(word)) = asking.next().await {
            match word {
                Heard::Output(piece) => bytes += piece.len(),
                Heard::News(_) | Heard::Alive => {}
                last @ (Heard::Ended(_) | Heard::Failed(..) | Heard::Errors(_)) => {
                    return (bytes, Some(last));
                }
            }
        }
        (bytes, None)
    }

    #[tokio::test]
    async fn all_that_is_read_comes_before_its_end_in_pieces_that_fit() {
        let places = Arc::new(Semaphore::new(1));
        let (attending, _life) = attending(&places);
        let (mut asking, io) = connection();
        let work = |out: mpsc::Sender<Bytes>, _| async move {
            for _ in 0..10 {
                out.send(vec![7; 300_000].into()).await?;
            }
            anyhow::Ok(())
        };
        let served = tokio::spawn(attending.reading(io, work));
        assert_eq!(heard(&mut asking).await, (3_000_000, Some(Heard::Ended(0))));
        drop(asking);
        served.await.unwrap();
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn work_that_nobody_hears_ends_by_itself_and_keeps_its_place_until_then() {
        let places = Arc::new(Semaphore::new(1));
        let (attending, _life) = attending(&places);
        let (asking, io) = connection();
        // One that waits for an engine which says nothing hears of it all the same.
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (end, may_end) = tokio::sync::oneshot::channel::<()>();
        let work = |_, unheard: CancellationToken| async move {
            begun.send(()).unwrap();
            unheard.cancelled().await;
            may_end.await?;
            anyhow::bail!("nobody hears it")
        };
        let served = tokio::spawn(attending.reading(io, work));
        has_begun.await.unwrap();
        drop(asking);
        assert_eq!(places.available_permits(), 0);
        end.send(()).unwrap();
        served.await.unwrap();
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_tar_whose_end_is_not_said_is_not_whole_and_one_too_many_is_refused() {
        let places = Arc::new(Semaphore::new(1));
        let (attending_one, _life) = attending(&places);
        let (mut asking, io) = connection();
        let (told, mut was_whole) = mpsc::channel(1);
        let work = |mut fed: mpsc::Receiver<Fed>, _| async move {
            let mut is_whole = false;
            while let Some(fed) = fed.recv().await {
                is_whole |= matches!(fed, Fed::End);
            }
            told.send(is_whole).await?;
            anyhow::Ok(())
        };
        let served = tokio::spawn(attending_one.writing(io, work));
        let piece = Said::Input(Bytes::from_static(b"a part"));
        asking.send(piece).await.unwrap();
        let (one_more, _life) = attending(&places);
        let (mut other, io) = connection();
        let refused = tokio::spawn(one_more.reading(io, |_, _| async { anyhow::Ok(()) }));
        let (_, last) = heard(&mut other).await;
        assert!(
            matches!(last, Some(Heard::Failed(Failed::Busy, _))),
            "{last:?}"
        );
        drop((asking, other));
        served.await.unwrap();
        refused.await.unwrap();
        assert_eq!(was_whole.recv().await, Some(false));
    }

    #[tokio::test]
    async fn a_node_that_stops_says_so() {
        let places = Arc::new(Semaphore::new(1));
        let (attending, life) = attending(&places);
        let (mut asking, io) = connection();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let work = |out: mpsc::Sender<Bytes>, _| async move {
            begun.send(()).unwrap();
            out.closed().await;
            anyhow::bail!("it is broken off")
        };
        let served = tokio::spawn(attending.reading(io, work));
        has_begun.await.unwrap();
        life.send_replace(true);
        let (_, last) = heard(&mut asking).await;
        let stops = Heard::Failed(Failed::Lost, "its node stops".to_owned());
        assert_eq!(last, Some(stops));
        drop(asking);
        served.await.unwrap();
    }
}
