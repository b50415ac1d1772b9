//! Answers that go back on the stream that a message came on.
//!
//! A message to a node goes to whichever process has its key. Where a disk was cloned there are two,
//! and the one that spoke has to hear the answer: it, and no other, shall learn that it is one of two.

use std::io;

use bytes::Bytes;
use futures::AsyncWrite;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::frames::{ACKNOWLEDGED, ANSWER, BUSY, chunk_count, write_byte, write_chunk};
use super::link::PROGRESS_LIMIT;

/// What waits to be written to one sender: an acknowledgement or an answer each. Who sends faster
/// than it reads is slowed down.
const WAITING: usize = 16;

/// What is said to the sender of messages.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Acknowledged,
    Busy,
    Answer(Bytes),
}

/// Where the sender of one message can be answered. Of an answer itself: nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Option<mpsc::Sender<Word>>);

impl Answers {
    /// Queues an answer and returns at once; gives it back if the sender cannot be answered any more.
    pub(crate) fn answer(&self, bytes: Bytes) -> Result<(), Bytes> {
        let Some(words) = &self.0 else {
            return Err(bytes);
        };
        match words.try_reserve() {
            Ok(place) => {
                place.send(Word::Answer(bytes));
                Ok(())
            }
            Err(_) => Err(bytes),
        }
    }
}

/// The end at which words are put in, and the one at which they are written from.
pub(super) fn channel() -> (Mouth, mpsc::Receiver<Word>) {
    let (words, waiting) = mpsc::channel(WAITING);
    (Mouth(words), waiting)
}

/// Speaks to the sender of messages.
#[derive(Debug)]
pub(super) struct Mouth(mpsc::Sender<Word>);

impl Mouth {
    /// Waits while too much is to be written; an error if nothing is written any more.
    pub(super) async fn say(&self, word: Word) -> io::Result<()> {
        let said = self.0.send(word).await;
        said.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    pub(super) fn answers(&self) -> Answers {
        Answers(Some(self.0.clone()))
    }
}

/// Writes what is said, until nobody can say anything any more.
pub(super) async fn write<T>(writer: &mut T, words: &mut mpsc::Receiver<Word>) -> io::Result<()>
where
    T: AsyncWrite + Unpin,
{
    while let Some(word) = words.recv().await {
        match word {
            Word::Acknowledged => byte(writer, ACKNOWLEDGED).await?,
            Word::Busy => byte(writer, BUSY).await?,
            Word::Answer(bytes) => answer(writer, &bytes).await?,
        }
    }
    Ok(())
}

async fn answer<T: AsyncWrite + Unpin>(writer: &mut T, bytes: &[u8]) -> io::Result<()> {
    byte(writer, ANSWER).await?;
    for number in 0..chunk_count(bytes.len()) {
        timeout(PROGRESS_LIMIT, write_chunk(writer, bytes, number)).await??;
    }
    Ok(())
}

async fn byte<T: AsyncWrite + Unpin>(writer: &mut T, byte: u8) -> io::Result<()> {
    timeout(PROGRESS_LIMIT, write_byte(writer, byte)).await?
}
