//! A copy's tar, from the engine to the other node.
//!
//! It is looked at as it goes by: where the engine breaks off between two files, what was read so far would look whole to whoever
//! unpacks it.

use std::io;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::wire::{Link, Marks, PIECE, Word};
use crate::docker::Tar;

/// An engine that reads nothing for so long does not answer.
const ENGINE_SILENCE: Duration = Duration::from_secs(120);

const READ: &str = "what the engine reads";

/// Where it ended too early.
#[derive(Debug)]
pub(super) enum Broken {
    Link(anyhow::Error),
    There(String),
    Here(anyhow::Error),
}

/// Sends what the other node has not, and the end of it; how long all of it is.
pub(super) async fn pour(
    link: &mut Link,
    mut pieces: impl Stream<Item = io::Result<Bytes>> + Unpin,
    from: u64,
    meter: &mut Meter<'_>,
) -> Result<u64, Broken> {
    let (mut length, mut hash, mut tar) = (0_u64, Sha256::new(), Tar::default());
    while let Some(bytes) = next(link, &mut pieces).await? {
        tar.pass(&bytes).context(READ).map_err(Broken::Here)?;
        for piece in bytes.chunks(PIECE) {
            hash.update(piece);
            let fresh = after(piece, length, from);
            length += piece.len() as u64;
            meter.pass(piece.len(), fresh.len()).await;
            give(link, fresh).await?;
        }
    }
    tar.finish().context(READ).map_err(Broken::Here)?;
    let digest = HEXLOWER.encode(&hash.finalize());
    let word = Word::End { length, digest };
    link.say(&word).await.map_err(Broken::Link)?;
    Ok(length)
}

async fn give(link: &mut Link, fresh: &[u8]) -> Result<(), Broken> {
    let given = match fresh.is_empty() {
        true => link.keep_alive().await,
        false => link.give(fresh).await,
    };
    given.map_err(Broken::Link)?;
    match link.heard().map_err(Broken::Link)? {
        Some(Word::Failed(problem)) => Err(Broken::There(problem)),
        Some(_) | None => Ok(()),
    }
}

/// How much of what the other node has is what there is.
pub(super) async fn agreed(
    link: &mut Link,
    mut pieces: impl Stream<Item = io::Result<Bytes>> + Unpin,
    marks: &Marks,
) -> Result<u64, Broken> {
    let mut comparing = Comparing::new(marks);
    while let Some(bytes) = next(link, &mut pieces).await? {
        if comparing.is_over(&bytes) {
            break;
        }
        link.keep_alive().await.map_err(Broken::Link)?;
    }
    Ok(comparing.agreed)
}

/// What the engine reads next.
async fn next(
    link: &mut Link,
    pieces: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
) -> Result<Option<Bytes>, Broken> {
    let reading = timeout(ENGINE_SILENCE, pieces.next());
    let piece = link.while_alive(reading, &CancellationToken::new()).await;
    let piece = piece.map_err(Broken::Link)?;
    let piece = piece.context("the Docker engine does not answer");
    let piece = piece.map_err(Broken::Here)?.transpose();
    piece
        .context("failed to read the volume")
        .map_err(Broken::Here)
}

/// The part of a piece that begins at `at` which lies behind `from`.
fn after(piece: &[u8], at: u64, from: u64) -> &[u8] {
    let skipped = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
    piece.get(skipped..).unwrap_or_default()
}

/// What two nodes have of a copy, from its beginning on.
struct Comparing<'a> {
    marks: std::iter::Peekable<std::slice::Iter<'a, (u64, String)>>,
    hash: Sha256,
    at: u64,
    agreed: u64,
}

impl<'a> Comparing<'a> {
    fn new(marks: &'a Marks) -> Self {
        Self {
            marks: marks.0.iter().peekable(),
            hash: Sha256::new(),
            at: 0,
            agreed: 0,
        }
    }

    /// Goes on with these bytes; whether nothing more is to be learnt.
    fn is_over(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((place, digest)) = self.marks.peek() {
            let Some(ahead) = place.checked_sub(self.at) else {
                return true;
            };
            let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
            if ahead > bytes.len() {
                self.hash.update(bytes);
                self.at += bytes.len() as u64;
                return false;
            }
            let (before, rest) = bytes.split_at(ahead);
            self.hash.update(before);
            self.at = *place;
            bytes = rest;
            if HEXLOWER.encode(&self.hash.clone().finalize()) != *digest {
                return true;
            }
            self.agreed = *place;
            self.marks.next();
        }
        true
    }
}

/// Tells how far it has come, and keeps it from being too fast.
pub(super) struct Meter<'a> {
    total: Option<u64>,
    passed: u64,
    tell: &'a (dyn Fn(u8) + Send + Sync),
    bytes_a_second: Option<u64>,
    /// When the next piece may go.
    next: Instant,
}

impl<'a> Meter<'a> {
    pub(super) fn new(
        total: Option<u64>,
        megabits: Option<u32>,
        tell: &'a (dyn Fn(u8) + Send + Sync),
    ) -> Self {
        Self {
            total,
            passed: 0,
            tell,
            bytes_a_second: megabits.map(|megabits| u64::from(megabits.max(1)) * 125_000),
            next: Instant::now(),
        }
    }

    async fn pass(&mut self, read: usize, sent: usize) {
        self.passed += read as u64;
        if let Some(total) = self.total.filter(|total| *total > 0) {
            let hundredths = (self.passed.saturating_mul(100) / total).min(99);
            (self.tell)(u8::try_from(hundredths).unwrap_or(99));
        }
        let Some(rate) = self.bytes_a_second.filter(|_| sent > 0) else {
            return;
        };
        sleep_until(self.next).await;
        let takes = Duration::from_micros((sent as u64).saturating_mul(1_000_000) / rate);
        self.next = self.next.max(Instant::now()) + takes;
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Frame;
    use super::*;

    fn marks_of(bytes: &[u8], places: &[usize]) -> Marks {
        let mark = |place: &usize| {
            let digest = HEXLOWER.encode(&Sha256::digest(&bytes[..*place]));
            (*place as u64, digest)
        };
        Marks(places.iter().map(mark).collect())
    }

    fn agreed(has: &Marks, there: &[u8], piece: usize) -> u64 {
        let mut comparing = Comparing::new(has);
        let mut pieces = there.chunks(piece);
        while pieces.next().is_some_and(|piece| !comparing.is_over(piece)) {}
        comparing.agreed
    }

    #[test]
    fn two_nodes_agree_up_to_the_last_place_that_is_the_same() {
        let bytes: Vec<u8> = (0..1_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        let has = marks_of(&bytes, &[100, 250, 900]);
        for piece in [1, 7, 100, 5_000] {
            assert_eq!(agreed(&has, &bytes, piece), 900);
            let mut other = bytes.clone();
            other[300] ^= 1;
            assert_eq!(agreed(&has, &other, piece), 250);
            other[0] ^= 1;
            assert_eq!(agreed(&has, &other, piece), 0);
            assert_eq!(agreed(&has, &bytes[..120], piece), 100, "it is shorter now");
            assert_eq!(agreed(&Marks::default(), &bytes, piece), 0);
        }
    }

    #[test]
    fn marks_that_do_not_rise_end_the_comparison() {
        let bytes = [7_u8; 64];
        let mut has = marks_of(&bytes, &[32]);
        has.0.push((16, String::new()));
        assert_eq!(agreed(&has, &bytes, 64), 32);
    }

    #[test]
    fn only_what_lies_behind_the_place_is_sent() {
        assert_eq!(after(b"abcdef", 0, 0), b"abcdef");
        assert_eq!(after(b"abcdef", 10, 12), b"cdef");
        assert_eq!(after(b"abcdef", 10, 16), b"");
        assert_eq!(after(b"abcdef", 10, 90), b"");
        assert_eq!(after(b"abcdef", 10, 3), b"abcdef");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_no_faster_than_it_may_be() {
        let begin = Instant::now();
        let tell = |_| ();
        let mut meter = Meter::new(None, Some(8), &tell);
        for _ in 0..11 {
            meter.pass(1_000_000, 1_000_000).await;
        }
        assert_eq!(begin.elapsed().as_secs(), 10);
    }

    /// A tar with nothing in it.
    const EMPTY: [u8; 1024] = [0; 1024];

    fn reads(pieces: Vec<Vec<u8>>) -> impl Stream<Item = io::Result<Bytes>> + Unpin {
        futures::stream::iter(pieces.into_iter().map(|piece| Ok(piece.into())))
    }

    async fn poured(
        pieces: impl Stream<Item = io::Result<Bytes>> + Unpin,
        from: u64,
    ) -> (Result<u64, Broken>, Vec<Frame>) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (mut near, mut far) = (Link::new(near), Link::new(far));
        let tell = |_| ();
        let mut meter = Meter::new(None, None, &tell);
        let pouring = async move {
            let poured = pour(&mut near, pieces, from, &mut meter).await;
            near.end().await;
            poured
        };
        let hearing = async move {
            let mut heard = Vec::new();
            while let Ok(frame) = far.hear(Duration::from_secs(300)).await {
                heard.push(frame);
            }
            heard
        };
        tokio::join!(pouring, hearing)
    }

    fn is_end(frame: &Frame) -> bool {
        matches!(frame, Frame::Word(Word::End { .. }))
    }

    #[tokio::test(start_paused = true)]
    async fn what_breaks_off_between_two_files_is_not_said_to_be_all() {
        let (sent, heard) = poured(reads(vec![EMPTY.to_vec()]), 0).await;
        assert_eq!(sent.unwrap(), 1024);
        assert!(heard.last().is_some_and(is_end));
        let (sent, heard) = poured(reads(vec![EMPTY[..512].to_vec()]), 0).await;
        assert!(matches!(sent, Err(Broken::Here(_))), "{sent:?}");
        assert!(!heard.iter().any(is_end), "{heard:?}");
        let broken = futures::stream::iter([Err(io::Error::other("it broke"))]);
        let (sent, heard) = poured(broken, 0).await;
        assert!(matches!(sent, Err(Broken::Here(_))), "{sent:?}");
        assert!(heard.is_empty(), "{heard:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_takes_its_time_silences_nobody_and_one_that_says_nothing_is_given_up() {
        let slow = futures::stream::once(async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok(Bytes::from_static(&EMPTY))
        });
        let (sent, heard) = poured(Box::pin(slow), 0).await;
        assert_eq!(sent.unwrap(), 1024);
        assert_eq!(heard.len(), 2, "{heard:?}");
        let (sent, _) = poured(futures::stream::pending(), 0).await;
        assert!(matches!(sent, Err(Broken::Here(_))), "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_other_node_has_is_read_and_not_sent() {
        let (sent, heard) = poured(reads(vec![EMPTY.to_vec()]), 1_000).await;
        assert_eq!(sent.unwrap(), 1024);
        let [Frame::Data(fresh), Frame::Word(Word::End { length, .. })] = &heard[..] else {
            panic!("{heard:?}");
        };
        assert_eq!((fresh.len(), *length), (24, 1024));
    }
}
