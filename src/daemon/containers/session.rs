//! One command on this node, in a container that is there or of its own, from its first word to its end.
//!
//! It ends with the command, and the command with it: where whoever asked is gone, or this node stops, nothing of it
//! is left behind.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use kontena_core::id::NodeId;
use kontena_core::reconcile::action::ContainerId;
use kontena_core::stack::Service;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::codec::Framed;

use super::one_off::Maker;
use crate::api::types::exec::{
    ALIVE_EVERY, Failed, Frames, Heard, News, SILENCE, Said, Start, answering,
};
use crate::docker::{Docker, ExecOptions, NotStarted, Piece, Process, Running};

/// For the command to be named.
const START_LIMIT: Duration = Duration::from_secs(10);
/// For whoever asked, once he was told the end.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);
/// What a program may take for its last deeds where this node stops.
const HASTE: Duration = Duration::from_secs(1);
/// News that are not told yet: more of them are older ones.
const NEWS: usize = 8;

pub(super) struct Session {
    pub(super) docker: Docker,
    pub(super) errand: Errand,
    /// The node that was asked for it.
    pub(super) from: NodeId,
    /// `None` where too many run already.
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) life: watch::Receiver<bool>,
}

/// Where the command is to run.
pub(super) enum Errand {
    Exec {
        /// `None` where this node is in none.
        grid: Option<String>,
        container: ContainerId,
    },
    OneOff(Maker),
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
    /// This node serves no more, or is no member any more.
    Over,
}

impl End {
    /// For the program's last deeds, where it has not ended by itself.
    fn patience(&self) -> Duration {
        match self {
            Self::Code(_) | Self::Failed(..) | Self::Unheard => Duration::MAX,
            Self::Over => HASTE,
        }
    }
}

impl From<NotStarted> for End {
    fn from(problem: NotStarted) -> Self {
        match problem {
            NotStarted::Container(problem) => Self::Failed(Failed::NotNow, problem),
            NotStarted::Command(problem) => Self::Failed(Failed::Wrong, problem),
            NotStarted::Program { code, .. } => Self::Code(code),
            NotStarted::Engine(problem) => Self::Failed(Failed::Lost, problem),
        }
    }
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
        let ended = match self.started(&start, &mut asker).await {
            Ok(running) => self.attend(start, running, &mut asker, &mut words).await,
            Err(end) => end,
        };
        let last = match ended {
            End::Code(code) => Heard::Ended(code),
            End::Failed(failed, problem) => Heard::Failed(failed, problem),
            End::Over => Heard::Failed(Failed::Lost, "its node stops".to_owned()),
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

    async fn started<T: AsyncRead + AsyncWrite>(
        &self,
        start: &Start,
        asker: &mut Asker<T>,
    ) -> Result<Running, End> {
        let refused = |failed, problem: &str| End::Failed(failed, problem.to_owned());
        if *self.life.borrow() {
            return Err(refused(Failed::Busy, "its node stops"));
        }
        if self.place.is_none() {
            return Err(refused(Failed::Busy, "too many commands run on its node"));
        }
        let options = options_of(start).map_err(|problem| End::Failed(Failed::Wrong, problem))?;
        match &self.errand {
            Errand::Exec { grid, container } => {
                let grid = grid.as_deref();
                let grid = grid.ok_or_else(|| refused(Failed::NotNow, "its node is in no grid"))?;
                if options.command.is_empty() {
                    return Err(refused(Failed::Wrong, "no command is given"));
                }
                tracing::info!(container = container.0, asked = %self.from.short(), tty = start.tty, "A command is started in a container");
                // Whoever asked may be gone: what the engine has begun has to be known, so that it can be ended.
                let started = self.docker.exec(container, grid, &options).await;
                started.map_err(End::from)
            }
            Errand::OneOff(maker) => self.made(maker, &options, asker).await,
        }
    }

    /// A pull takes long. What is half done where nobody waits for it any more is removed with the next look at the engine.
    async fn made<T: AsyncRead + AsyncWrite>(
        &self,
        maker: &Maker,
        options: &ExecOptions,
        asker: &mut Asker<T>,
    ) -> Result<Running, End> {
        let (news, to_tell) = mpsc::channel(NEWS);
        let making = maker.make(self.from, options, news);
        let made = tokio::select! {
            made = telling(making, to_tell, asker) => made.map_err(|_| End::Unheard)?,
            () = self.is_over() => return Err(End::Over),
        };
        if let Err(NotStarted::Program { problem, .. }) = &made {
            let told = Heard::Errors(format!("{problem}\n").into());
            asker.send(told).await.map_err(|_| End::Unheard)?;
        }
        made.map_err(End::from)
    }

    /// Until this node serves no more, or has left the grid whose container it is.
    async fn is_over(&self) {
        let mut life = self.life.clone();
        let leaves = async {
            match &self.errand {
                Errand::Exec { .. } => std::future::pending().await,
                Errand::OneOff(maker) => maker.leaves().await,
            }
        };
        tokio::select! {
            // It never changes back, and lives as long as this node serves.
            _ = life.wait_for(|is_over| *is_over) => {}
            () = leaves => {}
        }
    }

    /// Hands on what both sides say until one of them ends.
    async fn attend<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        start: Start,
        running: Running,
        asker: &mut Asker<T>,
        words: &mut Words<T>,
    ) -> End {
        let Running {
            process,
            output,
            input,
        } = running;
        if let Some(size) = start.size.filter(|_| start.tty) {
            self.docker.resize(&process, size.width, size.height).await;
        }
        let told = async {
            let told = tell(output, asker).await?;
            match told {
                Ok(()) => wait(pin!(self.docker.ended(&process)), asker).await,
                Err(problem) => Ok(Err(problem)),
            }
        };
        let end = tokio::select! {
            told = told => match told {
                Ok(Ok(code)) => End::Code(code),
                Ok(Err(problem)) => End::Failed(Failed::Lost, problem),
                Err(_) => End::Unheard,
            },
            () = self.listen(&process, words, input) => End::Unheard,
            () = self.is_over() => End::Over,
        };
        if !matches!(end, End::Code(_)) {
            self.docker.end(&process, end.patience()).await;
        }
        self.docker.clear(&process).await;
        end
    }

    /// Carries what is said to the command, until nobody says anything any more.
    async fn listen<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        process: &Process,
        words: &mut Words<T>,
        mut input: impl AsyncWrite + Unpin,
    ) {
        // A command may close its input and go on: what is said then is for nobody.
        let mut is_read = true;
        while let Ok(Some(Ok(word))) = timeout(SILENCE, words.next()).await {
            match word {
                Said::Input(bytes) => is_read = is_read && input.write_all(&bytes).await.is_ok(),
                Said::InputEnds => is_read = is_read && input.shutdown().await.is_err(),
                Said::Resize(size) => self.docker.resize(process, size.width, size.height).await,
                Said::Alive => {}
                Said::Start(_) => return,
            }
        }
    }
}

/// What the engine is to run. What no words mean depends on where.
fn options_of(start: &Start) -> Result<ExecOptions, String> {
    for variable in &start.environment {
        Service::variable_name(variable).map_err(|problem| problem.to_string())?;
    }
    let words = start.command.clone();
    let command = match start.shell && !words.is_empty() {
        false => words,
        true => vec!["/bin/sh".to_owned(), "-c".to_owned(), words.join(" ")],
    };
    Ok(ExecOptions {
        command,
        environment: start.environment.clone(),
        tty: start.tty,
        stdin: start.stdin,
        size: start.size.map(|size| (size.width, size.height)),
    })
}

/// Tells the news of a beginning until it is over, and that this side is there.
///
/// # Errors
/// Nobody hears it.
async fn telling<T: AsyncRead + AsyncWrite, B>(
    beginning: impl Future<Output = B>,
    mut news: mpsc::Receiver<News>,
    asker: &mut Asker<T>,
) -> io::Result<B> {
    let mut beginning = pin!(beginning);
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            begun = &mut beginning => {
                while let Ok(last) = news.try_recv() {
                    asker.send(Heard::News(last)).await?;
                }
                return Ok(begun);
            }
            Some(news) = news.recv() => asker.send(Heard::News(news)).await?,
            _ = alive.tick() => asker.send(Heard::Alive).await?,
        }
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
