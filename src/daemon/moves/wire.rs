//! What two nodes say to each other while data moves.
//!
//! A frame is four bytes of length and one that says what it is: a word as JSON, or a piece of a copy's tar. The node that
//! has the data reads each copy from its beginning, compares it with what the other one has already, and goes on from there.

use std::io;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{FutureExt, SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

/// The longest piece of a copy.
pub(super) const PIECE: usize = 256 * 1024;
const MAX_FRAME: usize = PIECE + 64;

/// Whoever is at work says so; who says nothing for longer than [`SILENCE`] is gone.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(5);
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// For a word that takes no work.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// For a piece to be taken by a node that says meanwhile that it is at work: it writes what came before to a slow disk.
const TAKEN_WITHIN: Duration = Duration::from_secs(600);
/// For work on so many bytes, on a disk that is slow or has a great many small files. Who needs longer will need it for ever,
/// and an instance is down meanwhile.
const AT_LEAST: Duration = Duration::from_secs(600);
const SLOWEST: u64 = 256 * 1024;

/// How long the other end may be at work on so many bytes before it says so much as a word.
pub(super) fn time_for(bytes: u64) -> Duration {
    AT_LEAST + Duration::from_secs(bytes / SLOWEST)
}

const WORD: u8 = 0;
const DATA: u8 = 1;

/// The longest problem that is passed on.
const MAX_PROBLEM: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    Alive,
    /// What the one that asks has of each copy already, first of all.
    Has(Vec<Marks>),
    /// There is nothing to send: the answer to a question, or why there is none.
    Answer(Result<(), String>),
    /// About so many bytes follow, where that is known: the other node looks whether it has room for them.
    Size(Option<u64>),
    /// The other node has room, or has read again what it has of a copy: it takes what follows.
    Ready,
    /// This copy follows from there on, once the other node is ready; then its length and SHA-256.
    Copy {
        index: usize,
        from: u64,
    },
    End {
        length: u64,
        digest: String,
    },
    /// All copies are sent.
    All,
    /// All of it is on the disk, and is what was sent.
    Whole,
    Failed(String),
}

/// What a node has of a copy: its SHA-256 up to some places, rising.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks(pub(super) Vec<(u64, String)>);

impl Marks {
    /// As many as are told.
    const MAX: usize = 64;

    /// The newest half of the most, and the rest spread over what is before.
    pub(super) fn few(&self) -> Self {
        let half = Self::MAX / 2;
        let count = self.0.len();
        if count <= Self::MAX {
            return self.clone();
        }
        let older = count - half;
        let spread = (1..=half).map(|at| at * older / half - 1);
        let chosen = spread.chain(older..count);
        Self(chosen.filter_map(|at| self.0.get(at).cloned()).collect())
    }
}

#[derive(Debug)]
pub(super) enum Frame {
    Word(Word),
    Data(Bytes),
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Frames = Framed<Box<dyn Io>, LengthDelimitedCodec>;

/// One end of a stream.
pub(super) struct Link {
    sink: SplitSink<Frames, Bytes>,
    stream: SplitStream<Frames>,
    /// Heard while something was said, and not looked at yet.
    waiting: Option<Frame>,
    said: Instant,
}

impl Link {
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        let stream: Box<dyn Io> = Box::new(stream);
        let (sink, stream) = Framed::new(stream, codec).split();
        Self {
            sink,
            stream,
            waiting: None,
            said: Instant::now(),
        }
    }

    pub(super) async fn say(&mut self, word: &Word) -> anyhow::Result<()> {
        let mut frame = BytesMut::new();
        frame.put_u8(WORD);
        frame.extend_from_slice(&serde_json::to_vec(word)?);
        self.put(frame.freeze()).await
    }

    pub(super) async fn give(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        let mut frame = BytesMut::with_capacity(piece.len() + 1);
        frame.put_u8(DATA);
        frame.extend_from_slice(piece);
        self.put(frame.freeze()).await
    }

    /// The other end takes it, or says at least that it is at work.
    async fn put(&mut self, frame: Bytes) -> anyhow::Result<()> {
        const NOTHING: &str = "the other node takes nothing";
        let mut taking = pin!(timeout(TAKEN_WITHIN, self.sink.send(frame)));
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                biased;
                taken = &mut taking => {
                    taken.context(NOTHING)??;
                    break;
                }
                frame = self.stream.next(), if self.waiting.is_none() => {
                    heard = Instant::now();
                    self.waiting = beside_alive(next(frame)?);
                }
                () = sleep_until(heard + SILENCE) => bail!(NOTHING),
            }
        }
        self.said = Instant::now();
        Ok(())
    }

    /// Says that this end is at work, if it has not said anything for a while.
    pub(super) async fn keep_alive(&mut self) -> anyhow::Result<()> {
        if self.said.elapsed() >= ALIVE_EVERY {
            self.say(&Word::Alive).await?;
        }
        Ok(())
    }

    /// What the other end says next, but that it is at work. So long may it be at work.
    pub(super) async fn hear(&mut self, within: Duration) -> anyhow::Result<Frame> {
        let heard = timeout(within, self.hear_next()).await;
        heard.context("the other node says that it is at work, and nothing else")?
    }

    async fn hear_next(&mut self) -> anyhow::Result<Frame> {
        loop {
            if let Some(frame) = self.waiting.take() {
                return Ok(frame);
            }
            let frame = timeout(SILENCE, self.stream.next()).await;
            self.waiting = beside_alive(next(frame.context("the other node is silent")?)?);
        }
    }

    /// What the other end has said already, if anything.
    pub(super) fn heard(&mut self) -> anyhow::Result<Option<Word>> {
        loop {
            match self.waiting.take() {
                Some(Frame::Word(word)) => return Ok(Some(word)),
                Some(Frame::Data(_)) => bail!(UNASKED),
                None => {}
            }
            match self.stream.next().now_or_never() {
                Some(frame) => self.waiting = beside_alive(next(frame)?),
                None => return Ok(None),
            }
        }
    }

    /// Waits for the work, and says meanwhile that there is some. Where nobody hears that, `unheard` is cancelled, and the
    /// work waited for all the same: it may have something to remove.
    pub(super) async fn while_alive<T>(
        &mut self,
        work: impl Future<Output = T>,
        unheard: &CancellationToken,
    ) -> anyhow::Result<T> {
        // What asks an engine is large, and would be part of everything that waits for it.
        let mut work = Box::pin(work);
        loop {
            let said = tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                said = self.say_later() => said,
            };
            if let Err(problem) = said {
                unheard.cancel();
                work.await;
                return Err(problem);
            }
        }
    }

    async fn say_later(&mut self) -> anyhow::Result<()> {
        sleep_until(self.said + ALIVE_EVERY).await;
        self.say(&Word::Alive).await
    }

    /// Ends it so that the last word arrives: what the other end says meanwhile is not heard.
    pub(super) async fn end(mut self) {
        let ending = async {
            self.sink.close().await?;
            while let Some(Ok(_)) = self.stream.next().await {}
            io::Result::Ok(())
        };
        // It may be gone already.
        let _ = timeout(ALIVE_EVERY, ending).await;
    }
}

pub(super) const UNASKED: &str = "it sends what nobody asked for";

/// `None` for what only says that the other end is at work.
fn beside_alive(frame: Frame) -> Option<Frame> {
    match frame {
        Frame::Word(Word::Alive) => None,
        frame @ (Frame::Word(_) | Frame::Data(_)) => Some(frame),
    }
}

fn next(frame: Option<io::Result<BytesMut>>) -> anyhow::Result<Frame> {
    read(frame.context("the connection broke")??)
}

fn read(mut frame: BytesMut) -> anyhow::Result<Frame> {
    if frame.is_empty() {
        bail!("it says nothing");
    }
    let kind = frame.split_to(1)[0];
    match kind {
        WORD => Ok(Frame::Word(serde_json::from_slice(&frame)?)),
        DATA => Ok(Frame::Data(frame.freeze())),
        other => bail!("it says something of kind {other}"),
    }
}

/// A problem as the other node is told of it.
pub(super) fn told(problem: &str) -> String {
    problem[..problem.floor_char_boundary(MAX_PROBLEM)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_marks_the_newest_and_some_of_the_older_are_told() {
        let marks = Marks((1..=1_000).map(|at| (at, String::new())).collect());
        let few: Vec<u64> = marks.few().0.into_iter().map(|(at, _)| at).collect();
        assert_eq!(few.len(), Marks::MAX);
        assert!(few.is_sorted());
        assert_eq!(few[0], 30);
        assert_eq!(few[31..], (968..=1_000).collect::<Vec<u64>>());
        let marks = Marks(vec![(7, "a".to_owned())]);
        assert_eq!(marks.few(), marks);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert!(read(BytesMut::new()).is_err());
        assert!(read(BytesMut::from(&[7_u8, 1][..])).is_err());
        assert!(read(BytesMut::from(&b"\0nonsense"[..])).is_err());
        let whole = read(BytesMut::from(&b"\0\"whole\""[..])).unwrap();
        assert!(matches!(whole, Frame::Word(Word::Whole)));
    }

    /// Two ends with little room between them.
    fn ends() -> (Link, Link) {
        let (near, far) = tokio::io::duplex(1024);
        (Link::new(near), Link::new(far))
    }

    /// Says nothing but that it is at work.
    async fn only_alive(mut link: Link) {
        while link.say(&Word::Alive).await.is_ok() {
            tokio::time::sleep(ALIVE_EVERY).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_says_that_it_is_at_work_is_waited_for_as_long_as_it_may_take_and_no_longer() {
        let (mut near, far) = ends();
        let far = tokio::spawn(only_alive(far));
        let begin = Instant::now();
        assert!(near.hear(Duration::from_secs(300)).await.is_err());
        assert_eq!(begin.elapsed().as_secs(), 300);
        far.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_is_waited_for_as_long_as_the_other_end_is_at_work() {
        let (mut near, mut far) = ends();
        let begin = Instant::now();
        let slow = tokio::spawn(async move {
            let work = tokio::time::sleep(Duration::from_secs(200));
            far.while_alive(work, &CancellationToken::new())
                .await
                .unwrap();
            let frame = far.hear(SOON).await.unwrap();
            assert!(matches!(frame, Frame::Data(piece) if piece.len() == 5_000));
            far.say(&Word::Whole).await.unwrap();
        });
        near.give(&[7; 5_000]).await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 200);
        slow.await.unwrap();
        assert_eq!(near.heard().unwrap(), Some(Word::Whole));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_to_one_that_is_silent_or_never_takes_it_ends() {
        let (mut near, far) = ends();
        let begin = Instant::now();
        assert!(near.give(&[7; 5_000]).await.is_err());
        assert_eq!(begin.elapsed(), SILENCE);
        drop(far);
        let (mut near, far) = ends();
        let far = tokio::spawn(only_alive(far));
        let begin = Instant::now();
        assert!(near.give(&[7; 5_000]).await.is_err());
        assert_eq!(begin.elapsed(), TAKEN_WITHIN);
        far.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_nobody_hears_of_is_told_so_and_has_time_to_remove_what_it_made() {
        let (mut near, far) = ends();
        drop(far);
        let unheard = CancellationToken::new();
        let mut is_removed = false;
        let work = async {
            unheard.cancelled().await;
            tokio::time::sleep(SILENCE).await;
            is_removed = true;
        };
        assert!(near.while_alive(work, &unheard).await.is_err());
        assert!(is_removed);
    }
}
