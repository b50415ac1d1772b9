//! What two nodes say to each other while data moves.
//!
//! A frame is four bytes of length and one that says what it is: a word as JSON, or a piece of a copy's tar. The node that
//! has the data reads each copy from its beginning, compares it with what the other one has already, and goes on from there.

use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{FutureExt, SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::p2p::PeerStream;

/// The longest piece of a copy.
pub(super) const PIECE: usize = 256 * 1024;
const MAX_FRAME: usize = PIECE + 64;

/// Whoever is at work says so; who says nothing for longer than [`SILENCE`] is gone.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(5);
pub(super) const SILENCE: Duration = Duration::from_secs(30);

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
    /// This copy follows, from there on; then its length and SHA-256.
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

/// One end of a stream.
pub(super) struct Link {
    frames: Framed<PeerStream, LengthDelimitedCodec>,
    said: Instant,
}

impl Link {
    pub(super) fn new(stream: PeerStream) -> Self {
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        Self {
            frames: Framed::new(stream, codec),
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

    async fn put(&mut self, frame: Bytes) -> anyhow::Result<()> {
        let put = timeout(SILENCE, self.frames.send(frame)).await;
        put.context("the other node takes nothing")??;
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

    /// What the other end says next, but that it is at work.
    pub(super) async fn hear(&mut self) -> anyhow::Result<Frame> {
        loop {
            let frame = timeout(SILENCE, self.frames.next()).await;
            let frame = frame.context("the other node is silent")?;
            match read(frame.context("the connection broke")??)? {
                Frame::Word(Word::Alive) => {}
                frame @ (Frame::Word(_) | Frame::Data(_)) => return Ok(frame),
            }
        }
    }

    /// What the other end has said already, if anything.
    pub(super) fn heard(&mut self) -> anyhow::Result<Option<Word>> {
        while let Some(frame) = self.frames.next().now_or_never() {
            match read(frame.context("the connection broke")??)? {
                Frame::Word(Word::Alive) => {}
                Frame::Word(word) => return Ok(Some(word)),
                Frame::Data(_) => bail!("it sends what nobody asked for"),
            }
        }
        Ok(None)
    }

    /// Waits for the work, and says meanwhile that there is some.
    pub(super) async fn while_alive<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> anyhow::Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            match timeout(ALIVE_EVERY, &mut work).await {
                Ok(done) => return Ok(done),
                Err(_) => self.say(&Word::Alive).await?,
            }
        }
    }

    /// Ends it so that the last word arrives: what the other end says meanwhile is not heard.
    pub(super) async fn end(mut self) {
        let ending = async {
            SinkExt::<Bytes>::close(&mut self.frames).await?;
            while let Some(Ok(_)) = self.frames.next().await {}
            io::Result::Ok(())
        };
        // It may be gone already.
        let _ = timeout(ALIVE_EVERY, ending).await;
    }
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
}
