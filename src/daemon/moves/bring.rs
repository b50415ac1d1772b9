//! The end that the data comes to.

use anyhow::{Context, ensure};
use kontena_core::id::{InstanceId, NodeId};
use kontena_core::reconcile::action::{Failure, Outcome, Success};
use kontena_core::reconcile::{MoveAsk, MoveWord};
use kontena_core::volume::Mounted;
use tokio::fs::File;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::arrival::{Landing, Receiving, Spool};
use super::wire::{Frame, Link, PIECE, Word, told};
use super::{NodeMoves, broke, refused};
use crate::daemon::streams::Purpose;

const UNWANTED: &str = "nobody waits for it any more";

/// Why it did not come.
enum Failed {
    /// The other node has nothing to send, or could not.
    There(String),
    Link(anyhow::Error),
    /// For a reason of this node: the other one is told.
    Here(anyhow::Error),
}

impl NodeMoves {
    pub(super) async fn bring(
        &self,
        from: NodeId,
        landing: Landing,
        is_over: CancellationToken,
    ) -> Outcome {
        if let Some(problem) = self.hindrance(&landing).await? {
            return self.cannot(from, &landing, problem).await;
        }
        let spool = match self.arrivals.open(&landing) {
            Ok(spool) => spool,
            Err(problem) => return self.cannot(from, &landing, format!("{problem:#}")).await,
        };
        let copies = landing.copies.iter().map(|copy| copy.name.clone());
        let word = MoveWord::Bring {
            copies: copies.collect(),
        };
        let mut link = self.ask(from, &landing, word).await?;
        let came = self.receive(&mut link, spool, &landing, &is_over).await;
        match came {
            Ok(()) => {
                link.end().await;
                Ok(Success::Done)
            }
            Err(Failed::There(problem)) => Err(Failure::Refused { problem }),
            Err(Failed::Link(problem)) => Err(broke(format!("{problem:#}"))),
            Err(Failed::Here(problem)) => {
                let word = Word::Failed(told(&format!("{problem:#}")));
                if link.say(&word).await.is_ok() {
                    link.end().await;
                }
                Err(refused(&problem))
            }
        }
    }

    /// The other node is told that what came will be removed.
    pub(super) async fn release(&self, from: NodeId, instance: InstanceId, epoch: u64) -> Outcome {
        let landing = Landing::new(instance, epoch, Vec::new());
        self.question(from, &landing, MoveWord::Release).await
    }

    async fn cannot(&self, from: NodeId, landing: &Landing, problem: String) -> Outcome {
        let word = MoveWord::Cannot {
            problem: told(&problem),
        };
        self.question(from, landing, word).await?;
        Err(Failure::Refused { problem })
    }

    /// Asks what is answered in a word.
    async fn question(&self, from: NodeId, landing: &Landing, word: MoveWord) -> Outcome {
        let mut link = self.ask(from, landing, word).await?;
        match link.hear().await {
            Ok(Frame::Word(Word::Answer(Ok(())))) => Ok(Success::Done),
            Ok(Frame::Word(Word::Answer(Err(problem)))) => Err(Failure::Refused { problem }),
            Ok(_) => Err(broke("it answers another question")),
            Err(problem) => Err(broke(format!("{problem:#}"))),
        }
    }

    async fn ask(&self, from: NodeId, landing: &Landing, word: MoveWord) -> Result<Link, Failure> {
        let asked = Purpose::Move(MoveAsk {
            instance: landing.instance.clone(),
            epoch: landing.epoch,
            word,
        });
        let header = asked.header().map_err(broke)?;
        let stream = self.p2p.open_stream(from, &header).await;
        let stream = stream.map_err(|problem| broke(format!("{problem:#}")))?;
        Ok(Link::new(stream))
    }

    /// A volume that is no part of the arrival, with the name of one that comes.
    async fn hindrance(&self, landing: &Landing) -> Result<Option<String>, Failure> {
        let made = self.arrivals.made(&landing.instance);
        let made = made.map_err(|problem| refused(&problem))?;
        for copy in &landing.copies {
            let is_its = made.iter().any(|(name, _)| *name == copy.name);
            if !is_its && self.docker.has_volume(&copy.name).await? {
                return Ok(Some(format!(
                    "it has a Docker volume `{}` already",
                    copy.name
                )));
            }
        }
        Ok(None)
    }

    async fn receive(
        &self,
        link: &mut Link,
        mut spool: Spool,
        landing: &Landing,
        is_over: &CancellationToken,
    ) -> Result<(), Failed> {
        let mut has = Vec::new();
        for index in 0..landing.copies.len() {
            has.push(spool.marks(index).map_err(Failed::Here)?.few());
        }
        link.say(&Word::Has(has)).await.map_err(Failed::Link)?;
        let coming = Coming {
            link,
            spool: &mut spool,
            is_over,
        };
        let digests = coming.take(landing.copies.len()).await?;
        if spool.note.whole.as_ref() != Some(&digests) {
            self.unpack(link, &mut spool, &landing.copies, digests, is_over)
                .await?;
        }
        link.say(&Word::Whole).await.map_err(Failed::Link)
    }

    /// Makes Docker volumes of what came, durably. What was made of an earlier attempt goes first.
    async fn unpack(
        &self,
        link: &mut Link,
        spool: &mut Spool,
        copies: &[Mounted],
        digests: Vec<String>,
        is_over: &CancellationToken,
    ) -> Result<(), Failed> {
        spool.is_whole_no_more().map_err(Failed::Here)?;
        for (index, copy) in copies.iter().enumerate() {
            let unpacked = link.while_alive(self.unpack_one(spool, index, copy, is_over));
            unpacked
                .await
                .map_err(Failed::Link)?
                .map_err(Failed::Here)?;
        }
        let synced = tokio::task::spawn_blocking(rustix::fs::sync);
        let synced = link.while_alive(synced).await.map_err(Failed::Link)?;
        let synced = synced.context("failed to make the volumes durable");
        synced.map_err(Failed::Here)?;
        spool.note.whole = Some(digests);
        spool.write_note().map_err(Failed::Here)
    }

    async fn unpack_one(
        &self,
        spool: &mut Spool,
        index: usize,
        copy: &Mounted,
        is_over: &CancellationToken,
    ) -> anyhow::Result<()> {
        let grid = self.grid().map_err(said)?;
        if spool.note.copies[index].made {
            let removed = self.docker.remove_arrival(&copy.name, &copy.copy).await;
            removed.map_err(said)?;
        } else {
            let is_there = self.docker.has_volume(&copy.name).await;
            ensure!(
                !is_there.map_err(said)?,
                "it has a Docker volume `{}` already",
                copy.name
            );
            spool.note.copies[index].made = true;
            spool.write_note()?;
        }
        self.docker
            .ensure_arrival(copy, &grid)
            .await
            .map_err(said)?;
        let tar = File::open(spool.tar(index)).await;
        let tar = tar.context("failed to read what has come")?;
        let carrier = self.docker.carrier(&copy.name, &grid, &[]).await?;
        let tar = ReaderStream::with_capacity(tar, PIECE);
        let written = tokio::select! {
            written = self.docker.write_contents(&carrier, tar) => written,
            () = is_over.cancelled() => Err(anyhow::anyhow!(UNWANTED)),
        };
        self.docker.remove_carrier(carrier).await;
        written
    }
}

fn said(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}

/// Copies on their way to the disk.
struct Coming<'a> {
    link: &'a mut Link,
    spool: &'a mut Spool,
    is_over: &'a CancellationToken,
}

impl Coming<'_> {
    /// All of them; the SHA-256 of each.
    async fn take(mut self, count: usize) -> Result<Vec<String>, Failed> {
        let mut digests = Vec::new();
        while digests.len() < count {
            match self.hear().await? {
                Frame::Word(Word::Copy { index, from }) if index == digests.len() => {
                    digests.push(self.take_one(index, from).await?);
                }
                Frame::Word(_) | Frame::Data(_) => return Err(unexpected()),
            }
        }
        match self.hear().await? {
            Frame::Word(Word::All) => Ok(digests),
            Frame::Word(_) | Frame::Data(_) => Err(unexpected()),
        }
    }

    async fn take_one(&mut self, index: usize, from: u64) -> Result<String, Failed> {
        let mut receiving = self.go_on(index, from).await?;
        loop {
            match self.hear().await? {
                Frame::Data(piece) => {
                    self.spool.is_whole_no_more().map_err(Failed::Here)?;
                    receiving = self.put(receiving, piece).await?;
                }
                Frame::Word(Word::End { length, digest }) => {
                    receiving.end(length, &digest).map_err(Failed::Here)?;
                    return Ok(digest);
                }
                Frame::Word(_) => return Err(unexpected()),
            }
        }
    }

    /// What has come is read again, which may take minutes.
    async fn go_on(&mut self, index: usize, from: u64) -> Result<Receiving, Failed> {
        let spool = self.spool.clone();
        let opening = tokio::task::spawn_blocking(move || spool.go_on(index, from));
        let opened = self.link.while_alive(opening).await.map_err(Failed::Link)?;
        let opened = opened.context("failed to read what has come");
        opened.and_then(|opened| opened).map_err(Failed::Here)
    }

    async fn put(
        &mut self,
        mut receiving: Receiving,
        piece: bytes::Bytes,
    ) -> Result<Receiving, Failed> {
        let putting = tokio::task::spawn_blocking(move || {
            let taken = receiving.take(&piece);
            taken.map(|()| receiving)
        });
        let put = self.link.while_alive(putting).await.map_err(Failed::Link)?;
        let put = put.context("failed to write what comes");
        put.and_then(|put| put).map_err(Failed::Here)
    }

    async fn hear(&mut self) -> Result<Frame, Failed> {
        let heard = tokio::select! {
            heard = self.link.hear() => heard,
            () = self.is_over.cancelled() => Err(anyhow::anyhow!(UNWANTED)),
        };
        match heard.map_err(Failed::Link)? {
            Frame::Word(Word::Failed(problem) | Word::Answer(Err(problem))) => {
                Err(Failed::There(problem))
            }
            frame @ (Frame::Word(_) | Frame::Data(_)) => Ok(frame),
        }
    }
}

fn unexpected() -> Failed {
    Failed::Link(anyhow::anyhow!("it says something else than what follows"))
}
