//! One command in a container of this node, from its first word to its end.
//!
//! It ends with the command, and the command with it: where whoever asked is gone, or this node stops, nothing of it
//! is left in the container.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use kontena_core::id::NodeId;
use kontena_core::reconcile::action::ContainerId;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::codec::Framed;

use crate::api::types::exec::{
    ALIVE_EVERY, Failed, Frames, Heard, SILENCE, Said, Start, answering,
};
use crate::docker::{Docker, ExecOptions, NotStarted, Piece, Running};

/// For the command to be named.
const START_LIMIT: Duration = Duration::from_secs(10);
/// For whoever asked, once he was told the end.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Session {
    pub(super) docker: Docker,
    /// `None` where this node is in none.
    pub(super) grid: Option<String>,
    pub(super) container: ContainerId,
    /// The node that was asked for it.
    pub(super) from: NodeId,
    /// `None` where too many run already.
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) life: watch::Receiver<bool>,
}

type Asker<T> = SplitSink<Framed<T, Frames<Said, Heard>>, Heard>;
type Words<T> = SplitStream<Framed<T, Frames<Said, Heard>>>;

/// How a command came to its end.
enum End {
    /// With this exit code.
    Code(i64),
    /// There is no code.
    Failed(Failed, String),
    /// Whoever asked is gone.
    Unheard,
}

impl Session {
    /// Carries out what is said over `io`.
    pub(super) async fn run<T: AsyncRead + AsyncWrite + Unpin>(self, io: T) {
        let (mut asker, mut words) = answering(io).split();
        let mut life = self.life.clone();
        let first = tokio::select! {
            first = timeout(START_LIMIT, words.next()) => first,
            _ = life.wait_for(|is_over| *is_over) => return,
        };
        let Ok(Some(Ok(Said::Start(start)))) = first else {
            return;
        };
        let ended = match self.started(&start).await {
            Ok(running) => self.attend(start, running, &mut asker, &mut words).await,
            Err((failed, problem)) => End::Failed(failed, problem),
        };
        let last = match ended {
            End::Code(code) => Heard::Ended(code),
            End::Failed(failed, problem) => Heard::Failed(failed, problem),
            End::Unheard => return,
        };
        let said = async {
            asker.send(last).await?;
            asker.close().await
        };
        if !matches!(timeout(SILENCE, said).await, Ok(Ok(()))) {
            tracing::debug!("Nobody heard how a command ended");
        }
        // What is still on its way here would be answered with a break, before the last words are read.
        let leaves = async { while let Some(Ok(_)) = words.next().await {} };
        if timeout(LEAVES_WITHIN, leaves).await.is_err() {
            tracing::debug!("Whoever asked for a command stays though it has ended");
        }
    }

    async fn started(&self, start: &Start) -> Result<Running, (Failed, String)> {
        let refused = |failed, problem: &str| (failed, problem.to_owned());
        if *self.life.borrow() {
            return Err(refused(Failed::Busy, "its node stops"));
        }
        if self.place.is_none() {
            return Err(refused(Failed::Busy, "too many commands run on its node"));
        }
        let grid = self.grid.as_deref();
        let grid = grid.ok_or_else(|| refused(Failed::NotNow, "its node is in no grid"))?;
        let options = ExecOptions {
            command: words_of(start).map_err(|problem| (Failed::Wrong, problem))?,
            tty: start.tty,
            stdin: start.stdin,
            size: start.size.map(|size| (size.width, size.height)),
        };
        tracing::info!(container = self.container.0, asked = %self.from.short(), tty = start.tty, "A command is started in a container");
        let started = self.docker.exec(&self.container, grid, &options).await;
        started.map_err(|problem| match problem {
            NotStarted::Container(problem) => (Failed::NotNow, problem),
            NotStarted::Command(problem) => (Failed::Wrong, problem),
            NotStarted::Engine(problem) => (Failed::Lost, problem),
        })
    }

    /// Hands on what both sides say until one of them ends.
    async fn attend<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        start: Start,
        running: Running,
        asker: &mut Asker<T>,
        words: &mut Words<T>,
    ) -> End {
        let Running { id, output, input } = running;
        if let Some(size) = start.size.filter(|_| start.tty) {
            self.docker.resize_exec(&id, size.width, size.height).await;
        }
        let mut life = self.life.clone();
        let told = async {
            let told = tell(output, asker).await?;
            match told {
                Ok(()) => wait(pin!(self.docker.exec_ended(&id)), asker).await,
                Err(problem) => Ok(Err(problem)),
            }
        };
        let end = tokio::select! {
            told = told => match told {
                Ok(Ok(code)) => End::Code(code),
                Ok(Err(problem)) => End::Failed(Failed::Lost, problem),
                Err(_) => End::Unheard,
            },
            () = self.listen(&id, words, input) => End::Unheard,
            // It never changes back, and lives as long as this node serves.
            _ = life.wait_for(|is_over| *is_over) => End::Failed(Failed::Lost, "its node stops".to_owned()),
        };
        if !matches!(end, End::Code(_)) {
            self.docker.end_exec(&self.container, &id).await;
        }
        end
    }

    /// Carries what is said to the command, until nobody says anything any more.
    async fn listen<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        id: &crate::docker::ExecId,
        words: &mut Words<T>,
        mut input: impl AsyncWrite + Unpin,
    ) {
        // A command may close its input and go on: what is said then is for nobody.
        let mut is_read = true;
        while let Ok(Some(Ok(word))) = timeout(SILENCE, words.next()).await {
            match word {
                Said::Input(bytes) => is_read = is_read && input.write_all(&bytes).await.is_ok(),
                Said::InputEnds => is_read = is_read && input.shutdown().await.is_err(),
                Said::Resize(size) => self.docker.resize_exec(id, size.width, size.height).await,
                Said::Alive => {}
                Said::Start(_) => return,
            }
        }
    }
}

/// What the engine is to run.
fn words_of(start: &Start) -> Result<Vec<String>, String> {
    let words = start.command.clone();
    match (words.is_empty(), start.shell) {
        (true, _) => Err("no command is given".to_owned()),
        (false, false) => Ok(words),
        (false, true) => Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), words.join(" ")]),
    }
}

/// Hands on what a command writes, and says that this side is there.
///
/// # Errors
/// Outside: nobody hears it. Inside: the engine broke off.
async fn tell<T: AsyncRead + AsyncWrite>(
    mut output: impl futures::Stream<Item = io::Result<Piece>> + Unpin,
    asker: &mut Asker<T>,
) -> io::Result<Result<(), String>> {
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let word = tokio::select! {
            piece = output.next() => match piece {
                Some(Ok(Piece::Output(bytes))) => Heard::Output(bytes),
                Some(Ok(Piece::Errors(bytes))) => Heard::Errors(bytes),
                Some(Err(problem)) => return Ok(Err(format!("the Docker engine broke off: {problem}"))),
                None => return Ok(Ok(())),
            },
            _ = alive.tick() => Heard::Alive,
        };
        asker.send(word).await?;
    }
}

/// Waits for the exit code of a command that writes no more.
async fn wait<T: AsyncRead + AsyncWrite>(
    mut ended: std::pin::Pin<&mut impl Future<Output = Result<i64, String>>>,
    asker: &mut Asker<T>,
) -> io::Result<Result<i64, String>> {
    let mut alive = interval(ALIVE_EVERY);
    loop {
        tokio::select! {
            ended = &mut ended => return Ok(ended),
            _ = alive.tick() => asker.send(Heard::Alive).await?,
        }
    }
}
