//! The end that the data comes to.

use std::time::Duration;

use anyhow::ensure;
use kontena_core::id::{InstanceId, NodeId};
use kontena_core::reconcile::action::{Failure, Outcome, Success};
use kontena_core::reconcile::{MoveAsk, MoveWord};
use tokio_util::sync::CancellationToken;

use super::arrival::{Arrivals, Landing, Receiving, Spool};
use super::room::{self, Needed};
use super::survey::{Attributes, survey};
use super::unpack::Unpacking;
use super::wire::{Frame, Link, SOON, Word, time_for, told};
use super::{NodeMoves, UNWANTED, broke, on_disk, refused};
use crate::daemon::streams::Purpose;

/// The other node stops the instance first, which may have to finish its work. Nothing is held up here meanwhile.
const DECIDED_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Why it did not come.
#[derive(Debug)]
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
        let (arrivals, opened) = (self.arrivals.clone(), landing.clone());
        let mut spool = match on_disk(move || arrivals.open(&opened)).await {
            Ok(spool) => spool,
            Err(problem) => return self.cannot(from, &landing, format!("{problem:#}")).await,
        };
        let copies = landing.copies.iter().map(|copy| copy.name.clone());
        let word = MoveWord::Bring {
            copies: copies.collect(),
        };
        let mut link = self.ask(from, &landing, word).await?;
        let unpacking = self.unpacking(&is_over)?;
        let came = Box::pin(receive(&mut link, &unpacking, &mut spool, &landing)).await;
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
                if room::is_want_of_it(&problem) {
                    make_room(&unpacking, spool).await;
                }
                Err(refused(&problem))
            }
        }
    }

    fn unpacking(&self, is_over: &CancellationToken) -> Result<Unpacking<'_>, Failure> {
        Ok(Unpacking {
            docker: &self.docker,
            grid: self.grid()?,
            stop: is_over.child_token(),
        })
    }

    /// What came is the instance's own from now on. Who has removed one of its volumes meanwhile gets it once more.
    pub(super) async fn accept(
        &self,
        instance: InstanceId,
        epoch: u64,
        is_over: CancellationToken,
    ) -> Outcome {
        let unpacking = self.unpacking(&is_over)?;
        let accepting = accept(&self.arrivals, &unpacking, instance, epoch);
        let accepted = Box::pin(accepting).await;
        accepted.map_err(|problem| refused(&problem))
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
        match link.hear(SOON).await {
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
        let (arrivals, instance) = (self.arrivals.clone(), landing.instance.clone());
        let made = on_disk(move || arrivals.made(&instance)).await;
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
}

async fn accept(
    arrivals: &Arrivals,
    unpacking: &Unpacking<'_>,
    instance: InstanceId,
    epoch: u64,
) -> anyhow::Result<Success> {
    let (arrivals, id) = (arrivals.clone(), instance.clone());
    let removing = arrivals.clone();
    // An earlier life of the daemon accepted it, and did not come to say so.
    let Some(mut spool) = on_disk(move || arrivals.spool(&id)).await? else {
        return Ok(Success::Done);
    };
    let is_whole = spool.note.epoch == epoch && spool.note.whole.is_some();
    ensure!(is_whole, "not all of its data is here");
    unpacking.mend(&mut spool).await?;
    on_disk(move || removing.remove(&instance)).await?;
    Ok(Success::Done)
}

/// There is none for others either.
async fn make_room(unpacking: &Unpacking<'_>, spool: Spool) {
    unpacking.make_room(&spool.note).await;
    if let Err(problem) = on_disk(move || spool.clear()).await {
        let problem = format!("{problem:#}");
        tracing::warn!(problem, "What came of an instance is left over");
    }
}

async fn receive(
    link: &mut Link,
    unpacking: &Unpacking<'_>,
    spool: &mut Spool,
    landing: &Landing,
) -> Result<(), Failed> {
    let stop = &unpacking.stop;
    let mut coming = Coming::new(link, spool, stop.clone());
    let total = coming.begin().await?;
    let looking = check_room(unpacking, coming.spool, total);
    alive(coming.link, looking, stop).await?;
    let ready = coming.link.say(&Word::Ready).await;
    ready.map_err(Failed::Link)?;
    let digests = coming.take(landing.copies.len()).await?;
    let making = make_whole(unpacking, spool, landing, digests);
    alive(link, making, stop).await?;
    link.say(&Word::Whole).await.map_err(Failed::Link)
}

/// Does it while the other node hears that it is done.
async fn alive<T>(
    link: &mut Link,
    work: impl Future<Output = anyhow::Result<T>>,
    stop: &CancellationToken,
) -> Result<T, Failed> {
    let done = link.while_alive(work, stop).await.map_err(Failed::Link)?;
    // What is broken off because nobody waits for it says nothing of this node.
    done.map_err(|problem| match stop.is_cancelled() {
        true => Failed::Link(problem),
        false => Failed::Here(problem),
    })
}

/// What is here of it already takes no more.
async fn check_room(
    unpacking: &Unpacking<'_>,
    spool: &Spool,
    total: Option<u64>,
) -> anyhow::Result<()> {
    let Some(total) = total else { return Ok(()) };
    let parts = &spool.note.copies;
    let mut volumes = total;
    for part in parts.iter().filter(|part| part.made) {
        if let Some(files) = unpacking.docker.files_of(&part.name).await? {
            let stop = unpacking.stop.clone();
            let made = survey(files, stop, Attributes::Ignored).await?;
            volumes = volumes.saturating_sub(made.unwrap_or_default());
        }
    }
    let spooled: u64 = (0..parts.len()).map(|index| spool.length(index)).sum();
    let needed = Needed {
        spool: total.saturating_sub(spooled),
        volumes,
    };
    let root = unpacking.docker.data_root().await?;
    let folder = spool.folder().to_owned();
    on_disk(move || room::check(&folder, root.as_deref(), needed)).await
}

/// After that all of it is on the disk, is what was sent, and is nobody else's.
async fn make_whole(
    unpacking: &Unpacking<'_>,
    spool: &mut Spool,
    landing: &Landing,
    digests: Vec<String>,
) -> anyhow::Result<()> {
    let is_made = spool.note.whole.as_ref() == Some(&digests);
    if !is_made || !unpacking.are_here(&spool.note).await? {
        let copies = &landing.copies;
        unpacking.make_all(spool, copies, digests).await?;
    }
    unpacking.check_are_nobodys(&spool.note).await
}

/// Copies on their way to the disk.
struct Coming<'a> {
    link: &'a mut Link,
    spool: &'a mut Spool,
    is_over: CancellationToken,
    /// For the other node to look at what is here already, and find out where to go on.
    within: Duration,
}

impl<'a> Coming<'a> {
    fn new(link: &'a mut Link, spool: &'a mut Spool, is_over: CancellationToken) -> Self {
        Self {
            link,
            spool,
            is_over,
            within: time_for(0),
        }
    }

    /// Says what is here; about how much is to come.
    async fn begin(&mut self) -> Result<Option<u64>, Failed> {
        let spool = self.spool.clone();
        let has = on_disk(move || {
            let marks = (0..spool.note.copies.len()).map(|index| Ok(spool.marks(index)?.few()));
            marks.collect::<anyhow::Result<Vec<_>>>()
        });
        let has = has.await.map_err(Failed::Here)?;
        let last = has.iter().filter_map(|marks| marks.0.last());
        self.within = time_for(last.map(|(place, _)| *place).sum());
        self.link.say(&Word::Has(has)).await.map_err(Failed::Link)?;
        match self.hear(DECIDED_WITHIN).await? {
            Frame::Word(Word::Size(total)) => Ok(total),
            Frame::Word(_) | Frame::Data(_) => Err(unexpected()),
        }
    }

    /// All of them; the SHA-256 of each.
    async fn take(&mut self, count: usize) -> Result<Vec<String>, Failed> {
        let mut digests = Vec::new();
        while digests.len() < count {
            match self.hear(self.within).await? {
                Frame::Word(Word::Copy { index, from }) if index == digests.len() => {
                    digests.push(self.take_one(index, from).await?);
                }
                Frame::Word(_) | Frame::Data(_) => return Err(unexpected()),
            }
        }
        match self.hear(self.within).await? {
            Frame::Word(Word::All) => Ok(digests),
            Frame::Word(_) | Frame::Data(_) => Err(unexpected()),
        }
    }

    async fn take_one(&mut self, index: usize, from: u64) -> Result<String, Failed> {
        let mut receiving = self.go_on(index, from).await?;
        self.link.say(&Word::Ready).await.map_err(Failed::Link)?;
        loop {
            match self.hear(self.within).await? {
                Frame::Data(piece) => {
                    self.is_whole_no_more().await?;
                    receiving = self.put(receiving, piece).await?;
                }
                Frame::Word(Word::End { length, digest }) => {
                    self.end(receiving, length, digest.clone()).await?;
                    return Ok(digest);
                }
                Frame::Word(_) => return Err(unexpected()),
            }
        }
    }

    async fn is_whole_no_more(&mut self) -> Result<(), Failed> {
        if self.spool.note.whole.is_none() {
            return Ok(());
        }
        let mut spool = self.spool.clone();
        self.spool.note.whole = None;
        self.work(move || spool.is_whole_no_more()).await
    }

    /// What has come is read again, which may take minutes.
    async fn go_on(&mut self, index: usize, from: u64) -> Result<Receiving, Failed> {
        let (spool, stop) = (self.spool.clone(), self.is_over.clone());
        self.work(move || spool.go_on(index, from, &stop)).await
    }

    async fn put(
        &mut self,
        mut receiving: Receiving,
        piece: bytes::Bytes,
    ) -> Result<Receiving, Failed> {
        self.work(move || {
            receiving.take(&piece)?;
            Ok(receiving)
        })
        .await
    }

    async fn end(
        &mut self,
        receiving: Receiving,
        length: u64,
        digest: String,
    ) -> Result<(), Failed> {
        self.work(move || receiving.end(length, &digest)).await
    }

    /// On the disk, which may be slow.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Failed> {
        alive(self.link, on_disk(work), &self.is_over).await
    }

    async fn hear(&mut self, within: Duration) -> Result<Frame, Failed> {
        let heard = tokio::select! {
            heard = self.link.hear(within) => heard,
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

#[cfg(test)]
mod tests {
    use kontena_core::reconcile::action::Outcome;
    use kontena_core::volume::Mounted;
    use sha2::{Digest, Sha256};

    use super::super::arrival::tests::landing;
    use super::super::send::Sending;
    use super::super::wire::ALIVE_EVERY;
    use super::*;
    use crate::docker::Docker;
    use crate::docker::engine_tests::engine::{IMAGE, TestEngine};

    const GRID: &str = "0123";

    fn ends() -> (Link, Link) {
        let (near, far) = tokio::io::duplex(256 * 1024);
        (Link::new(near), Link::new(far))
    }

    async fn word(link: &mut Link) -> Word {
        match link.hear(SOON).await.unwrap() {
            Frame::Word(word) => word,
            Frame::Data(_) => panic!("it is data"),
        }
    }

    #[tokio::test]
    async fn it_says_that_it_is_ready_after_it_has_read_again_what_is_here_and_goes_on_from_there()
    {
        let data = tempfile::tempdir().unwrap();
        let arrivals = Arrivals::of(data.path());
        let mut spool = arrivals.open(&landing(3)).unwrap();
        let bytes = vec![7; 17 << 20];
        let mut receiving = spool.go_on(0, 0, &CancellationToken::new()).unwrap();
        receiving.take(&bytes).unwrap();
        let (mut near, mut far) = ends();
        let coming = async {
            let mut coming = Coming::new(&mut near, &mut spool, CancellationToken::new());
            let total = coming.begin().await.unwrap();
            let digests = coming.take(1).await.unwrap();
            (total, digests, coming.within)
        };
        let digest =
            data_encoding::HEXLOWER.encode(&Sha256::digest([&bytes[..], b"more"].concat()));
        let sending = async {
            let Word::Has(has) = word(&mut far).await else {
                panic!("it says what it has");
            };
            let [(from, _)] = has[0].0[..] else {
                panic!("{has:?}");
            };
            assert_eq!(from, 17 << 20);
            far.say(&Word::Size(Some(9))).await.unwrap();
            far.say(&Word::Copy { index: 0, from }).await.unwrap();
            assert_eq!(word(&mut far).await, Word::Ready);
            far.give(b"more").await.unwrap();
            let digest = digest.clone();
            let length = from + 4;
            far.say(&Word::End { length, digest }).await.unwrap();
            far.say(&Word::All).await.unwrap();
        };
        let ((total, digests, within), ()) = tokio::join!(coming, sending);
        assert_eq!((total, &digests[..]), (Some(9), &[digest][..]));
        assert_eq!(within, time_for(17 << 20));
    }

    #[tokio::test]
    async fn a_node_that_only_says_that_it_is_at_work_is_given_up() {
        let data = tempfile::tempdir().unwrap();
        let mut spool = Arrivals::of(data.path()).open(&landing(3)).unwrap();
        let (mut near, mut far) = ends();
        tokio::time::pause();
        let mut coming = Coming::new(&mut near, &mut spool, CancellationToken::new());
        let idle = async {
            while far.say(&Word::Alive).await.is_ok() {
                tokio::time::sleep(ALIVE_EVERY).await;
            }
        };
        tokio::select! {
            taken = coming.take(1) => assert!(matches!(taken, Err(Failed::Link(_))), "{taken:?}"),
            () = idle => panic!("it is heard yet"),
        }
    }

    /// Two engines, and what is on the disk between them.
    struct Two {
        there: TestEngine,
        here: TestEngine,
        data: tempfile::TempDir,
    }

    impl Two {
        async fn start() -> Option<Self> {
            Some(Self {
                there: TestEngine::start().await?,
                here: TestEngine::start().await?,
                data: tempfile::tempdir().unwrap(),
            })
        }

        fn copy() -> Mounted {
            landing(3).copies.remove(0)
        }

        fn arrivals(&self) -> Arrivals {
            Arrivals::of(self.data.path())
        }

        fn unpacking(&self) -> Unpacking<'_> {
            Unpacking {
                docker: &self.here.docker,
                grid: GRID.to_owned(),
                stop: CancellationToken::new(),
            }
        }

        /// Runs a script in the volume of one of the engines.
        fn in_volume(engine: &TestEngine, script: &str) -> String {
            let mount = format!("{}:/data", Self::copy().name);
            engine.cli(&["run", "--rm", "-v", &mount, IMAGE, "/bin/sh", "-c", script])
        }

        async fn files(docker: &Docker) -> std::path::PathBuf {
            let files = docker.files_of(&Self::copy().name).await;
            files.unwrap().expect("there is a volume")
        }

        /// Once over.
        async fn moves(&self) -> (Outcome, Result<(), Failed>) {
            let sending = Sending {
                docker: self.there.docker.clone(),
                grid: GRID.to_owned(),
                copies: vec![Self::copy()],
                megabits: None,
                is_over: CancellationToken::new(),
            };
            let (mut near, far) = ends();
            let sends = sending.give(far, &|_| ());
            let unpacking = self.unpacking();
            let mut spool = self.arrivals().open(&landing(3)).unwrap();
            let brings = async {
                let landing = landing(3);
                let came = Box::pin(receive(&mut near, &unpacking, &mut spool, &landing)).await;
                if let Err(Failed::Here(problem)) = &came {
                    let word = Word::Failed(told(&format!("{problem:#}")));
                    near.say(&word).await.unwrap();
                }
                near.end().await;
                came
            };
            tokio::join!(Box::pin(sends), Box::pin(brings))
        }

        async fn accepts(&self) -> anyhow::Result<Success> {
            let (arrivals, unpacking) = (self.arrivals(), self.unpacking());
            Box::pin(accept(&arrivals, &unpacking, landing(3).instance, 3)).await
        }
    }

    fn problem(came: &Result<(), Failed>) -> String {
        match came {
            Err(Failed::Here(problem)) => format!("{problem:#}"),
            other => panic!("{other:?}"),
        }
    }

    /// Owner, group and mode.
    fn whose(files: &std::path::Path) -> (u32, u32, u32) {
        use std::os::unix::fs::MetadataExt;
        let about = std::fs::metadata(files).unwrap();
        (about.uid(), about.gid(), about.mode() & 0o7777)
    }

    fn give(files: &std::path::Path, user: u32, group: u32, mode: u32) {
        use std::os::unix::fs::{PermissionsExt, chown};
        chown(files, Some(user), Some(group)).unwrap();
        std::fs::set_permissions(files, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn a_volume_is_on_the_other_engine_as_it_was_and_whose_it_was() {
        let Some(two) = Two::start().await else {
            return;
        };
        let there = &two.there.docker;
        there.ensure_arrival(&Two::copy(), GRID).await.unwrap();
        let from = Two::files(there).await;
        std::fs::write(from.join("row"), "1").unwrap();
        give(&from.join("row"), 999, 998, 0o640);
        for (user, group, mode) in [(999, 998, 0o1700), (3_000_000, 7, 0o2750)] {
            give(&from, user, group, mode);
            let (sent, came) = two.moves().await;
            came.unwrap();
            sent.unwrap();
            let to = Two::files(&two.here.docker).await;
            assert_eq!(whose(&to), (user, group, mode));
            assert_eq!(whose(&to.join("row")), (999, 998, 0o640));
        }

        // Who removes what is said to be here, before the instance may use it, gets it once more.
        let name = Two::copy().name;
        two.here.cli(&["volume", "rm", &name]);
        let (sent, came) = two.moves().await;
        came.unwrap();
        sent.unwrap();
        assert_eq!(Two::in_volume(&two.here, "cat /data/row"), "1");
        two.here.cli(&["volume", "rm", &name]);
        two.here.cli(&["volume", "create", &name]);
        let problem = format!("{:#}", two.accepts().await.unwrap_err());
        assert!(problem.contains("has a Docker volume"), "{problem}");
        two.here.cli(&["volume", "rm", &name]);
        two.accepts().await.unwrap();
        assert_eq!(Two::in_volume(&two.here, "cat /data/row"), "1");
        assert_eq!(
            whose(&Two::files(&two.here.docker).await),
            (3_000_000, 7, 0o2750)
        );
        assert!(two.arrivals().note(&landing(3).instance).unwrap().is_none());
        two.accepts().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_nowhere_any_more_is_not_accepted() {
        let Some(two) = Two::start().await else {
            return;
        };
        let (sent, came) = two.moves().await;
        came.unwrap();
        sent.unwrap();
        let name = Two::copy().name;
        two.here.cli(&["volume", "rm", &name]);
        two.arrivals().open(&landing(3)).unwrap().clear().unwrap();
        let problem = format!("{:#}", two.accepts().await.unwrap_err());
        assert!(problem.contains("was removed"), "{problem}");
        assert!(!two.here.docker.has_volume(&name).await.unwrap());
    }

    #[tokio::test]
    async fn what_another_container_mounts_is_not_whole() {
        let Some(two) = Two::start().await else {
            return;
        };
        let (sent, came) = two.moves().await;
        came.unwrap();
        sent.unwrap();
        let mount = format!("{}:/data", Two::copy().name);
        two.here
            .cli(&["create", "--name", "other", "-v", &mount, IMAGE, "/bin/sh"]);
        let (sent, came) = two.moves().await;
        assert!(
            problem(&came).contains("the container `other` mounts"),
            "{came:?}"
        );
        assert!(
            sent.unwrap_err()
                .to_string()
                .contains("the container `other` mounts")
        );
        // Not even to make it anew.
        Two::in_volume(&two.there, "echo 2 > /data/row");
        let (_, came) = two.moves().await;
        assert!(
            problem(&came).contains("the container `other` mounts"),
            "{came:?}"
        );
        two.here.cli(&["rm", "other"]);
        let (sent, came) = two.moves().await;
        came.unwrap();
        sent.unwrap();
        assert_eq!(Two::in_volume(&two.here, "cat /data/row"), "2\n");
    }
}
