//! The end that has the data.

use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::Bytes;
use futures::stream::BoxStream;
use kontena_core::reconcile::action::{Failure, Outcome, Success};
use kontena_core::volume::Mounted;
use tokio::sync::oneshot;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::pour::{Broken, Meter, agreed, pour};
use super::survey::{Attributes, survey};
use super::wire::{ALIVE_EVERY, Frame, Link, Marks, SOON, UNASKED, Word, time_for, told};
use super::{UNWANTED, broke, refused};
use crate::docker::{Carrier, Docker, MountWatch};
use crate::p2p::PeerStream;

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
    match linked.await {
        Ok(link) => Box::pin(sending.give(link, tell)).await,
        Err(_) => Err(broke("nobody listens any more")),
    }
}

impl Sending {
    /// All of it, and tells how that ended.
    pub(super) async fn give(&self, mut link: Link, tell: &(dyn Fn(u8) + Send + Sync)) -> Outcome {
        match self.send(&mut link, tell).await {
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

    async fn send(&self, link: &mut Link, tell: &(dyn Fn(u8) + Send + Sync)) -> Result<(), Broken> {
        let Word::Has(has) = self.hear(link, SOON).await? else {
            return Err(unlike("what it has"));
        };
        // Until the other node has all of it nobody else reads it, replaces it, or runs a program beside the instance.
        let names = self.copies.iter().map(|copy| copy.name.clone());
        let _copies = self.docker.claim(names.collect()).map_err(Broken::Here)?;
        let total = self.survey(link).await?;
        let word = Word::Size(total);
        link.say(&word).await.map_err(Broken::Link)?;
        self.hear_ready(link, total.unwrap_or_default()).await?;
        let mut meter = Meter::new(total, self.megabits, tell);
        let mut sent = 0;
        for (index, copy) in self.copies.iter().enumerate() {
            let marks = has.get(index).cloned().unwrap_or_default();
            sent += self
                .send_copy(link, index, copy, &marks, &mut meter)
                .await?;
        }
        link.say(&Word::All).await.map_err(Broken::Link)?;
        match self.hear(link, time_for(sent)).await? == Word::Whole {
            true => Ok(()),
            false => Err(unlike("that it has everything")),
        }
    }

    /// The other node has that many bytes to look at first.
    async fn hear_ready(&self, link: &mut Link, bytes: u64) -> Result<(), Broken> {
        match self.hear(link, time_for(bytes)).await? == Word::Ready {
            true => Ok(()),
            false => Err(unlike("that it is ready")),
        }
    }

    async fn hear(&self, link: &mut Link, within: Duration) -> Result<Word, Broken> {
        let heard = tokio::select! {
            heard = link.hear(within) => heard,
            () = self.is_over.cancelled() => Err(anyhow::anyhow!(UNWANTED)),
        };
        match heard.map_err(Broken::Link)? {
            Frame::Word(Word::Failed(problem)) => Err(Broken::There(problem)),
            Frame::Word(word) => Ok(word),
            Frame::Data(_) => Err(Broken::Link(anyhow::anyhow!(UNASKED))),
        }
    }

    /// About how many bytes there are. What cannot be sent is found here, before anything is.
    async fn survey(&self, link: &mut Link) -> Result<Option<u64>, Broken> {
        let stop = self.is_over.child_token();
        let surveying = self.survey_each(&stop);
        let surveyed = link.while_alive(surveying, &stop).await;
        let surveyed = surveyed.map_err(Broken::Link)?;
        surveyed.map_err(|problem| self.here(problem))
    }

    /// What is broken off because nobody waits for it says nothing of this node.
    fn here(&self, problem: anyhow::Error) -> Broken {
        match self.is_over.is_cancelled() {
            true => Broken::Link(problem),
            false => Broken::Here(problem),
        }
    }

    async fn survey_each(&self, stop: &CancellationToken) -> anyhow::Result<Option<u64>> {
        let mut total = Some(0);
        for copy in &self.copies {
            let files = self.docker.files_of(&copy.name).await?;
            let bytes = match files {
                Some(files) => survey(files, stop.clone(), Attributes::Refused).await?,
                // Nobody has written to it yet.
                None => Some(0),
            };
            total = total.zip(bytes).map(|(total, bytes)| total + bytes);
        }
        Ok(total)
    }

    /// Through a container that mounts the copy, and is removed whatever becomes of it. How long the copy is.
    async fn send_copy(
        &self,
        link: &mut Link,
        index: usize,
        copy: &Mounted,
        marks: &Marks,
        meter: &mut Meter<'_>,
    ) -> Result<u64, Broken> {
        let stop = self.is_over.child_token();
        let preparing = self.prepare(copy, &stop);
        let prepared = link.while_alive(preparing, &stop).await;
        let prepared = prepared.map_err(Broken::Link)?;
        let (carrier, mounts) = prepared.map_err(|problem| self.here(problem))?;
        let sending = Box::pin(self.send_from(&carrier, link, index, marks, meter));
        let sent = tokio::select! {
            sent = sending => sent,
            () = self.is_over.cancelled() => Err(Broken::Link(anyhow::anyhow!(UNWANTED))),
        };
        let reads = sent.as_ref().ok().map(|sent| sent.reads);
        let ending = self.end_reading(carrier, mounts, reads);
        let ended = link.while_alive(ending, &stop).await;
        let sent = sent?;
        ended.map_err(Broken::Link)?.map_err(Broken::Here)?;
        Ok(sent.length)
    }

    /// Nothing is left of it where nobody waits for it any more.
    async fn prepare(
        &self,
        copy: &Mounted,
        stop: &CancellationToken,
    ) -> anyhow::Result<(Carrier, MountWatch)> {
        let made = self.docker.ensure_arrival(copy, &self.grid).await;
        made.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let mounts = self.docker.watch_mounts(&copy.name).await?;
        if let Some(user) = self.docker.users(&copy.name).await?.first() {
            bail!("the container `{}` runs and mounts its data", user.name);
        }
        let carrier = self.docker.carrier(&copy.name, &self.grid, &[]).await?;
        if stop.is_cancelled() {
            self.docker.remove_carrier(carrier).await;
            bail!(UNWANTED);
        }
        Ok((carrier, mounts))
    }

    /// `reads`: how often all of it was read.
    async fn end_reading(
        &self,
        carrier: Carrier,
        mut mounts: MountWatch,
        reads: Option<usize>,
    ) -> anyhow::Result<()> {
        let undisturbed = match reads {
            Some(reads) => mounts.was_undisturbed(&carrier, reads).await,
            None => Ok(true),
        };
        self.docker.remove_carrier(carrier).await;
        ensure!(
            undisturbed?,
            "a container that mounts its data was started or has ended meanwhile"
        );
        Ok(())
    }

    async fn send_from(
        &self,
        carrier: &Carrier,
        link: &mut Link,
        index: usize,
        marks: &Marks,
        meter: &mut Meter<'_>,
    ) -> Result<Sent, Broken> {
        let (from, reads) = match marks.0.is_empty() {
            true => (0, 1),
            false => (agreed(link, self.pieces(carrier).await?, marks).await?, 2),
        };
        let word = Word::Copy { index, from };
        link.say(&word).await.map_err(Broken::Link)?;
        // It reads again what it has.
        self.hear_ready(link, from).await?;
        let pieces = self.pieces(carrier).await?;
        let length = pour(link, pieces, from, meter).await?;
        Ok(Sent { length, reads })
    }

    async fn pieces(
        &self,
        carrier: &Carrier,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Broken> {
        let pieces = self.docker.read_contents(carrier).await;
        pieces.map_err(Broken::Here)
    }
}

/// What was sent of a copy.
struct Sent {
    length: u64,
    /// How often the copy was read.
    reads: usize,
}

fn unlike(what: &str) -> Broken {
    Broken::Link(anyhow::anyhow!("it does not say {what}"))
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Of nothing.
    fn sending(is_over: &CancellationToken) -> Sending {
        Sending {
            docker: Docker::connect(Some("/nowhere/docker.sock"), "kontena").unwrap(),
            grid: "0123".to_owned(),
            copies: Vec::new(),
            megabits: None,
            is_over: is_over.clone(),
        }
    }

    fn ends() -> (Link, Link) {
        let (near, far) = tokio::io::duplex(1024);
        (Link::new(near), Link::new(far))
    }

    async fn only_alive(mut link: Link) {
        while link.say(&Word::Alive).await.is_ok() {
            sleep(ALIVE_EVERY).await;
        }
    }

    /// How long an instance is held down for one that does not say what it has.
    async fn held_down(is_over: CancellationToken) -> Duration {
        let (near, far) = ends();
        let begin = Instant::now();
        let sending = sending(&is_over);
        let (sent, ()) = tokio::join!(sending.give(near, &|_| ()), only_alive(far));
        assert!(matches!(sent, Err(Failure::Unreachable { .. })), "{sent:?}");
        begin.elapsed().min(SOON)
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_and_does_not_say_what_it_has_holds_nothing_down() {
        let is_over = CancellationToken::new();
        assert_eq!(held_down(is_over.clone()).await, SOON);
        let cancels = async {
            sleep(Duration::from_secs(7)).await;
            is_over.cancel();
        };
        let (held, ()) = tokio::join!(held_down(is_over.clone()), cancels);
        assert!(held < Duration::from_secs(15), "{held:?}");
    }

    async fn sent(answers: Vec<Word>) -> (Outcome, Vec<Word>) {
        let (near, mut far) = ends();
        let hears = async move {
            let mut heard = Vec::new();
            for answer in answers {
                far.say(&answer).await.unwrap();
                if let Ok(Frame::Word(word)) = far.hear(SOON).await {
                    heard.push(word);
                }
            }
            heard
        };
        let sending = sending(&CancellationToken::new());
        tokio::join!(sending.give(near, &|_| ()), hears)
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_before_the_other_node_has_looked_whether_it_has_room() {
        let has = Word::Has(Vec::new());
        let refusal = Word::Failed("it has no room".to_owned());
        let (outcome, heard) = sent(vec![has.clone(), refusal]).await;
        let problem = "it has no room".to_owned();
        assert_eq!(outcome, Err(Failure::Refused { problem }));
        assert_eq!(heard, [Word::Size(Some(0))]);
        let (outcome, heard) = sent(vec![has, Word::Ready, Word::Whole]).await;
        assert_eq!(outcome, Ok(Success::Done));
        assert_eq!(heard, [Word::Size(Some(0)), Word::All]);
    }
}
