//! The end that has the data.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::StreamExt;
use kontena_core::reconcile::action::{Failure, Outcome, Success};
use kontena_core::volume::Mounted;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::wire::{ALIVE_EVERY, Frame, Link, Marks, PIECE, Word, told};
use super::{broke, refused};
use crate::docker::{Carrier, Docker, MountWatch};
use crate::p2p::PeerStream;

const UNWANTED: &str = "nobody waits for it any more";

/// What a node that asked is promised.
pub(super) enum Promise {
    Answer(Result<(), String>),
    /// The link itself goes to whoever sends.
    Data(oneshot::Sender<Link>),
}

/// A node that asked, and waits.
pub(super) struct Pending {
    link: Link,
    promised: oneshot::Receiver<Promise>,
}

impl Pending {
    pub(super) fn new(stream: PeerStream, promised: oneshot::Receiver<Promise>) -> Self {
        let link = Link::new(stream);
        Self { link, promised }
    }

    /// Tells it every few seconds that it is not forgotten, until the node has decided. Ends early if it is gone.
    pub(super) async fn run(mut self) {
        let mut alive = interval(ALIVE_EVERY);
        loop {
            tokio::select! {
                promise = &mut self.promised => return self.keep(promise).await,
                _ = alive.tick() => {
                    if self.link.say(&Word::Alive).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn keep(mut self, promise: Result<Promise, oneshot::error::RecvError>) {
        match promise {
            // Nobody answers: the daemon ends.
            Err(_) => {}
            Ok(Promise::Answer(answer)) => {
                let answer = answer.map_err(|problem| told(&problem));
                if self.link.say(&Word::Answer(answer)).await.is_ok() {
                    self.link.end().await;
                }
            }
            // Nobody sends any more.
            Ok(Promise::Data(link)) => drop(link.send(self.link)),
        }
    }
}

/// What is sent.
pub(super) struct Sending {
    pub(super) docker: Docker,
    pub(super) grid: String,
    pub(super) copies: Vec<Mounted>,
    pub(super) megabits: Option<u32>,
    pub(super) is_over: CancellationToken,
}

/// Sends to who asked, if it is there yet.
pub(super) async fn promise(
    waiting: oneshot::Sender<Promise>,
    sending: Sending,
    tell: &(dyn Fn(u8) + Send + Sync),
) -> Outcome {
    let (link, linked) = oneshot::channel();
    if waiting.send(Promise::Data(link)).is_err() {
        return Err(broke("nobody listens any more"));
    }
    let Ok(mut link) = linked.await else {
        return Err(broke("nobody listens any more"));
    };
    match sending.send(&mut link, tell).await {
        Ok(()) => {
            link.end().await;
            Ok(Success::Done)
        }
        Err(Broken::Link(problem)) => Err(broke(format!("{problem:#}"))),
        Err(Broken::There(problem)) => Err(Failure::Refused { problem }),
        Err(Broken::Here(problem)) => {
            let word = Word::Failed(told(&format!("{problem:#}")));
            if link.say(&word).await.is_ok() {
                link.end().await;
            }
            Err(refused(&problem))
        }
    }
}

/// Where it ended too early.
enum Broken {
    Link(anyhow::Error),
    There(String),
    Here(anyhow::Error),
}

impl Sending {
    async fn send(&self, link: &mut Link, tell: &(dyn Fn(u8) + Send + Sync)) -> Result<(), Broken> {
        let has = match link.hear().await.map_err(Broken::Link)? {
            Frame::Word(Word::Has(has)) => has,
            Frame::Word(Word::Failed(problem)) => return Err(Broken::There(problem)),
            Frame::Word(_) | Frame::Data(_) => {
                let problem = anyhow::anyhow!("it does not say what it has");
                return Err(Broken::Link(problem));
            }
        };
        let mut meter = Meter::new(self.total().await, self.megabits, tell);
        // Until the other node has all of it nobody else reads it, replaces it, or runs a program beside the instance.
        let names = self.copies.iter().map(|copy| copy.name.clone());
        let _copies = self.docker.claim(names.collect()).map_err(Broken::Here)?;
        for (index, copy) in self.copies.iter().enumerate() {
            let marks = has.get(index).cloned().unwrap_or_default();
            self.send_copy(link, index, copy, &marks, &mut meter)
                .await?;
        }
        link.say(&Word::All).await.map_err(Broken::Link)?;
        let heard = tokio::select! {
            heard = link.hear() => heard,
            () = self.is_over.cancelled() => Err(anyhow::anyhow!(UNWANTED)),
        };
        match heard.map_err(Broken::Link)? {
            Frame::Word(Word::Whole) => Ok(()),
            Frame::Word(Word::Failed(problem)) => Err(Broken::There(problem)),
            Frame::Word(_) | Frame::Data(_) => {
                let problem = anyhow::anyhow!("it does not say that it has everything");
                Err(Broken::Link(problem))
            }
        }
    }

    /// Through a container that mounts the copy, and is removed whatever becomes of it.
    async fn send_copy(
        &self,
        link: &mut Link,
        index: usize,
        copy: &Mounted,
        marks: &Marks,
        meter: &mut Meter<'_>,
    ) -> Result<(), Broken> {
        let made = self.docker.ensure_arrival(copy, &self.grid).await;
        made.map_err(|failure| Broken::Here(anyhow::anyhow!("{failure}")))?;
        let mounts = self.docker.watch_mounts(&copy.name).await;
        let mut mounts = mounts.map_err(Broken::Here)?;
        let users = self.docker.users(&copy.name).await.map_err(Broken::Here)?;
        if let Some(user) = users.first() {
            let name = &user.name;
            let problem = anyhow::anyhow!("the container `{name}` runs and mounts its data");
            return Err(Broken::Here(problem));
        }
        let carrier = self.docker.carrier(&copy.name, &self.grid, &[]).await;
        let carrier = carrier.map_err(Broken::Here)?;
        let sent = tokio::select! {
            sent = self.send_from(&carrier, link, index, marks, meter) => sent,
            () = self.is_over.cancelled() => Err(Broken::Link(anyhow::anyhow!(UNWANTED))),
        };
        let sent = match sent {
            Ok(reads) => Self::check_undisturbed(&mut mounts, &carrier, reads).await,
            Err(broken) => Err(broken),
        };
        self.docker.remove_carrier(carrier).await;
        sent
    }

    async fn check_undisturbed(
        mounts: &mut MountWatch,
        carrier: &Carrier,
        reads: usize,
    ) -> Result<(), Broken> {
        match mounts.was_undisturbed(carrier, reads).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Broken::Here(anyhow::anyhow!(
                "a container that mounts its data was started or has ended meanwhile"
            ))),
            Err(problem) => Err(Broken::Here(problem)),
        }
    }

    /// How often the copy was read.
    async fn send_from(
        &self,
        carrier: &Carrier,
        link: &mut Link,
        index: usize,
        marks: &Marks,
        meter: &mut Meter<'_>,
    ) -> Result<usize, Broken> {
        let (from, reads) = match marks.0.is_empty() {
            true => (0, 1),
            false => (self.agreed(carrier, link, marks).await?, 2),
        };
        let word = Word::Copy { index, from };
        link.say(&word).await.map_err(Broken::Link)?;
        let mut pieces = self.pieces(carrier).await?;
        let (mut length, mut hash) = (0_u64, Sha256::new());
        while let Some(bytes) = pieces.next().await {
            let bytes = bytes.context("failed to read the volume");
            for piece in bytes.map_err(Broken::Here)?.chunks(PIECE) {
                hash.update(piece);
                let fresh = after(piece, length, from);
                length += piece.len() as u64;
                meter.pass(piece.len(), fresh.len()).await;
                match fresh.is_empty() {
                    true => link.keep_alive().await.map_err(Broken::Link)?,
                    false => link.give(fresh).await.map_err(Broken::Link)?,
                }
                if let Some(Word::Failed(problem)) = link.heard().map_err(Broken::Link)? {
                    return Err(Broken::There(problem));
                }
            }
        }
        let digest = HEXLOWER.encode(&hash.finalize());
        let word = Word::End { length, digest };
        link.say(&word).await.map_err(Broken::Link)?;
        Ok(reads)
    }

    /// How much of what the other node has is what there is.
    async fn agreed(
        &self,
        carrier: &Carrier,
        link: &mut Link,
        marks: &Marks,
    ) -> Result<u64, Broken> {
        let mut pieces = self.pieces(carrier).await?;
        let mut comparing = Comparing::new(marks);
        while let Some(bytes) = pieces.next().await {
            let bytes = bytes.context("failed to read the volume");
            if comparing.is_over(&bytes.map_err(Broken::Here)?) {
                break;
            }
            link.keep_alive().await.map_err(Broken::Link)?;
        }
        Ok(comparing.agreed)
    }

    async fn pieces(
        &self,
        carrier: &Carrier,
    ) -> Result<futures::stream::BoxStream<'static, std::io::Result<Bytes>>, Broken> {
        let pieces = self.docker.read_contents(carrier).await;
        pieces.map_err(Broken::Here)
    }

    /// About how many bytes there are, where this host has the files.
    async fn total(&self) -> Option<u64> {
        let mut total = 0;
        for copy in &self.copies {
            let volume = self.docker.copy(&copy.name, &self.grid).await.ok()?;
            let place = PathBuf::from(volume.mountpoint);
            let size = tokio::task::spawn_blocking(move || size_of(&place)).await;
            total += size.ok()??;
        }
        Some(total)
    }
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
struct Meter<'a> {
    total: Option<u64>,
    passed: u64,
    tell: &'a (dyn Fn(u8) + Send + Sync),
    bytes_a_second: Option<u64>,
    /// When the next piece may go.
    next: Instant,
}

impl<'a> Meter<'a> {
    fn new(
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

/// As a tar has it: a head for each file, and whole blocks. `None` where this host has no such folder.
fn size_of(place: &Path) -> Option<u64> {
    const BLOCK: u64 = 512;
    let mut total = 0_u64;
    let mut folders = vec![place.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).ok()? {
            let entry = entry.ok()?;
            let about = entry.metadata().ok()?;
            total += BLOCK;
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.is_file() {
                use std::os::unix::fs::MetadataExt;
                if about.nlink() == 1 || seen.insert(about.ino()) {
                    total += about.len().div_ceil(BLOCK) * BLOCK;
                }
            }
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
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
}
