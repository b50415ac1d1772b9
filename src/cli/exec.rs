//! A command in a container: what is typed goes there, what it writes comes here byte for byte, and its exit code is
//! this program's.
//!
//! Not here: which container (`container`, `service/exec`, `service/run`).

mod beginning;
mod input;
mod terminal;

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, IsTerminal};

use bytes::Bytes;
use clap::Args;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::codec::Framed;

use self::beginning::Beginning;
use self::terminal::Terminal;
use super::failure::Failure;
use super::session::Session;
use crate::api::types::exec::{
    ALIVE_EVERY, EXEC, Frames, Heard, News, SILENCE, Said, Size, Start, asking,
};

/// The most that `--json` keeps of what a command writes.
const MAX_KEPT: usize = 64 << 20;

/// What every command in a container can be given.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Give the words to `/bin/sh -c`, with blanks between them
    #[arg(long)]
    shell: bool,
    /// Pass standard input on to the command
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal: this one
    #[arg(short, long)]
    tty: bool,
}

/// A command, and where it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// Of the API: one that hands a connection over.
    pub(crate) path: &'a str,
    pub(crate) options: &'a Options,
    pub(crate) command: &'a [String],
    /// `NAME=VALUE`, in place of what the container has.
    pub(crate) environment: &'a [String],
    /// Whether nothing is said of how the command comes to run.
    pub(crate) is_silent: bool,
}

/// How a command in a container ended, for `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    /// `NODE/CONTAINER`; none where it could not be started.
    pub(crate) container: Option<String>,
    pub(crate) exit_code: i64,
    /// What is no UTF-8 in it is U+FFFD.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Options {
    /// Options that cannot be had together, and a terminal that is none.
    pub(crate) fn check(
        &self,
        session: &Session,
        command: &[String],
        environment: &[String],
    ) -> Result<(), Failure> {
        let call = Call {
            path: "",
            options: self,
            command,
            environment,
            is_silent: false,
        };
        if session.output.is_json() && (self.interactive || self.tty) {
            return Err(Failure::usage("`--json` goes with neither `-i` nor `-t`")
                .hint("it prints what the command wrote once it has ended"));
        }
        if self.tty && !io::stdin().is_terminal() {
            return Err(Failure::usage("`-t` needs a terminal as standard input")
                .hint("leave `-t` out: `-i` alone passes input on as it is"));
        }
        match call.start(None).is_too_long() {
            true => Err(Failure::usage("the command is longer than 255 KiB")
                .hint("pass it as input: `-i … sh < FILE`")),
            false => Ok(()),
        }
    }
}

impl Call<'_> {
    fn start(&self, size: Option<Size>) -> Start {
        Start {
            command: self.command.to_vec(),
            shell: self.options.shell,
            tty: self.options.tty,
            stdin: self.options.interactive,
            size,
            environment: self.environment.to_vec(),
        }
    }
}

/// Runs a command, and answers its exit code.
pub(crate) async fn run(session: &Session, call: &Call<'_>) -> Result<i64, Failure> {
    let options = call.options;
    let size = terminal::size().filter(|_| options.tty);
    let (to_command, from_command) = begin(session, call.path, call.start(size)).await?;
    let resizes = options.tty.then(terminal::resizes);
    let input = options.interactive.then(input::read);
    // Where nothing is typed into it, the keys keep their meaning here.
    let is_typed = options.tty && options.interactive;
    let terminal = is_typed.then(Terminal::raw).transpose();
    let mut terminal = terminal.map_err(|problem| {
        Failure::failed(format!("failed to make the terminal ready: {problem}"))
    })?;
    let (output, errors) = session.output.streams();
    let mut beginning = Beginning::new(session, call.is_silent, is_typed);
    let note = |news| beginning.note(&news);
    tokio::select! {
        code = hear(from_command, output, errors, note) => code,
        signal = told_to_end(terminal.as_mut()) => Ok(signal),
        never = speak(to_command, input, resizes) => match never {},
    }
}

async fn told_to_end(terminal: Option<&mut Terminal>) -> i64 {
    match terminal {
        Some(terminal) => terminal.told_to_end().await,
        // They end this program at once.
        None => pending().await,
    }
}

/// Runs a command without input, and keeps what it wrote. `container`: where it is run, if that is known before.
pub(crate) async fn kept(
    session: &Session,
    call: &Call<'_>,
    container: Option<String>,
) -> Result<Ended, Failure> {
    let (to_command, from_command) = begin(session, call.path, call.start(None)).await?;
    let (mut output, mut errors) = (Kept::default(), Kept::default());
    let mut beginning = Beginning::new(session, call.is_silent, false);
    let note = |news| beginning.note(&news);
    let exit_code = tokio::select! {
        code = hear(from_command, &mut output, &mut errors, note) => code?,
        never = speak(to_command, None, None) => match never {},
    };
    Ok(Ended {
        container: container.or(beginning.container),
        exit_code,
        stdout: output.text(),
        stderr: errors.text(),
    })
}

/// A command's exit code as this program's: of what a shell can see, 255 is left for the rest.
pub(crate) fn exit(code: i64) -> Result<(), Failure> {
    match u8::try_from(code) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Ended(code)),
        Err(_) => Err(Failure::Ended(u8::MAX)),
    }
}

type Connection = Framed<TokioIo<Upgraded>, Frames<Heard, Said>>;
type ToCommand = SplitSink<Connection, Said>;
type FromCommand = SplitStream<Connection>;

async fn begin(
    session: &Session,
    path: &str,
    start: Start,
) -> Result<(ToCommand, FromCommand), Failure> {
    let connection = session.client.carried(path, EXEC).await?;
    let (mut to_command, from_command) = asking(connection).split();
    let said = to_command.send(Said::Start(start)).await;
    said.map_err(|_| gone())?;
    Ok((to_command, from_command))
}

fn gone() -> Failure {
    Failure::failed("the connection to the command broke off")
        .hint("it was ended if its node noticed: look before repeating it")
}

/// Says what is typed, how large the terminal is, and that somebody is there.
async fn speak(
    mut command: ToCommand,
    mut input: Option<mpsc::Receiver<Bytes>>,
    mut resizes: Option<mpsc::Receiver<Size>>,
) -> Infallible {
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let word = tokio::select! {
            bytes = next_of(&mut input) => match bytes {
                Some(bytes) => Said::Input(bytes),
                None => {
                    input = None;
                    Said::InputEnds
                }
            },
            size = next_of(&mut resizes) => match size {
                Some(size) => Said::Resize(size),
                None => {
                    resizes = None;
                    continue;
                }
            },
            _ = alive.tick() => Said::Alive,
        };
        if command.send(word).await.is_err() {
            // It listens no more: what it says last is still to be heard.
            return pending().await;
        }
    }
}

/// Waits for ever where there is nothing to wait for.
async fn next_of<T>(from: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match from {
        Some(from) => from.recv().await,
        None => pending().await,
    }
}

async fn hear(
    mut command: FromCommand,
    mut output: impl AsyncWrite + Unpin,
    mut errors: impl AsyncWrite + Unpin,
    mut note: impl FnMut(News),
) -> Result<i64, Failure> {
    loop {
        match timeout(SILENCE, command.next()).await {
            Ok(Some(Ok(Heard::Output(bytes)))) => write(&mut output, &bytes).await?,
            Ok(Some(Ok(Heard::Errors(bytes)))) => write(&mut errors, &bytes).await?,
            Ok(Some(Ok(Heard::News(news)))) => note(news),
            Ok(Some(Ok(Heard::Alive))) => {}
            Ok(Some(Ok(Heard::Ended(code)))) => return Ok(code),
            Ok(Some(Ok(Heard::Failed(_, problem)))) => return Err(Failure::failed(problem)),
            Ok(Some(Err(_)) | None) | Err(_) => return Err(gone()),
        }
    }
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Failure> {
    let written = async {
        to.write_all(bytes).await?;
        to.flush().await
    };
    written.await.map_err(|problem: io::Error| {
        if problem.kind() == io::ErrorKind::BrokenPipe {
            Failure::ReaderGone
        } else {
            Failure::failed(format!("failed to write what the command wrote: {problem}"))
        }
    })
}

/// What a command wrote, for later.
#[derive(Debug, Default)]
struct Kept(Vec<u8>);

impl Kept {
    fn text(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl AsyncWrite for Kept {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        if self.0.len() + bytes.len() > MAX_KEPT {
            let problem = format!("it is more than {} MiB", MAX_KEPT >> 20);
            return std::task::Poll::Ready(Err(io::Error::other(problem)));
        }
        self.0.extend_from_slice(bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_handed_on_as_far_as_a_shell_can_see_it() {
        let seen = |code| match exit(code) {
            Ok(()) => 0,
            Err(Failure::Ended(code)) => code,
            Err(other) => panic!("{other:?}"),
        };
        for (code, expected) in [
            (0, 0),
            (1, 1),
            (126, 126),
            (255, 255),
            (256, 255),
            (-1, 255),
        ] {
            assert_eq!(seen(code), expected, "{code}");
        }
    }
}
