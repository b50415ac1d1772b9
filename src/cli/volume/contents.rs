//! `volume backup` and `volume restore`: what is in a copy of a volume, out to a tar and back.

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, IsTerminal, Read};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kontena_core::id::NodeName;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};
use tokio_util::codec::Framed;

use crate::api::paths;
use crate::api::types::exec::{ALIVE_EVERY, EXEC, Frames, Heard, SILENCE, Said, asking};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::text;

/// How often it is said how much there is until now.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// What is read of standard input at once, and how many of these wait until they are sent.
const BUFFER: usize = 128 * 1024;
const WAITING: usize = 4;

#[derive(Args, Debug)]
pub(super) struct Backup {
    /// A copy, as `volume ls --copies` has it, or a volume that has one copy
    volume: String,
    /// The node that has it, where several have
    #[arg(long)]
    node: Option<NodeName>,
    /// Though something may write to it meanwhile: what is read may be of several moments
    #[arg(long)]
    live: bool,
}

#[derive(Args, Debug)]
pub(super) struct Restore {
    /// A copy, as `volume ls --copies` has it, or a volume that has one copy
    volume: String,
    /// The node that has it, where several have
    #[arg(long)]
    node: Option<NodeName>,
    /// What is in it goes: nobody can be asked, because the tar comes on standard input
    #[arg(long)]
    force: bool,
}

type Connection = Framed<TokioIo<Upgraded>, Frames<Heard, Said>>;
type ToNode = SplitSink<Connection, Said>;
type FromNode = SplitStream<Connection>;

pub(super) async fn backup(session: &Session, asked: Backup) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::usage("a tar is no text for a terminal")
            .hint("write standard output to a file"));
    }
    if session.output.is_json() {
        return Err(Failure::usage("`--json` does not go with a backup")
            .hint("standard output is the tar, and the exit code says whether it is whole"));
    }
    let grid = session.grid().await?;
    let node = asked.node.as_ref();
    let path = paths::contents(&grid, &asked.volume, "backup", node, asked.live);
    let (to_node, from_node) = begin(session, &path).await?;
    let length = tokio::select! {
        length = take(from_node, &session.output) => length?,
        never = stay(to_node) => match never {},
    };
    let shown = text::bytes(length);
    session.output.talk(&format!(
        "wrote what is in `{}` to standard output ({shown})",
        asked.volume
    ));
    Ok(())
}

pub(super) async fn restore(session: &Session, asked: Restore) -> Result<(), Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("the tar is read from standard input")
            .hint("`kontena volume restore … < FILE`"));
    }
    if !asked.force {
        return Err(
            Failure::failed(format!("all that is in `{}` would go", asked.volume))
                .hint("use `--force` to replace it by what is in the tar"),
        );
    }
    let grid = session.grid().await?;
    let node = asked.node.as_ref();
    let path = paths::contents(&grid, &asked.volume, "restore", node, false);
    let (to_node, from_node) = begin(session, &path).await?;
    let read = read();
    let mut length = 0;
    let heard = tokio::select! {
        ended = take(from_node, &session.output) => ended.map(|_| ()),
        problem = feed(to_node, read, &mut length, &session.output) => Err(problem),
    };
    heard?;
    let said = format!(
        "replaced what is in `{}` ({} of a tar)",
        asked.volume,
        text::bytes(length)
    );
    match session.output.is_json() {
        true => session
            .output
            .json(&json!({"volume": asked.volume, "bytes": length})),
        false => {
            session.output.talk(&said);
            Ok(())
        }
    }
}

async fn begin(session: &Session, path: &str) -> Result<(ToNode, FromNode), Failure> {
    let connection = session.client.carried(path, EXEC).await?;
    Ok(asking(connection).split())
}

/// Writes what comes to standard output, until the node says that all went well.
async fn take(mut from: FromNode, output: &Output) -> Result<u64, Failure> {
    let (mut stdout, _) = output.streams();
    let mut tell = every(TELL_EVERY);
    let mut length = 0_u64;
    loop {
        let word = tokio::select! {
            word = timeout(SILENCE, from.next()) => word,
            _ = tell.tick(), if length > 0 => {
                output.talk(&format!("{} until now", text::bytes(length)));
                continue;
            }
        };
        match word {
            Ok(Some(Ok(Heard::Output(bytes)))) => {
                stdout.write_all(&bytes).await.map_err(not_written)?;
                length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            }
            Ok(Some(Ok(Heard::Errors(_) | Heard::News(_) | Heard::Alive))) => {}
            Ok(Some(Ok(Heard::Ended(0)))) => {
                stdout.flush().await.map_err(not_written)?;
                return Ok(length);
            }
            Ok(Some(Ok(Heard::Failed(_, problem)))) => return Err(failed(problem, length)),
            Ok(Some(Ok(Heard::Ended(_)) | Err(_)) | None) | Err(_) => return Err(gone()),
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn not_written(problem: io::Error) -> Failure {
    match problem.kind() == io::ErrorKind::BrokenPipe {
        true => Failure::ReaderGone,
        false => Failure::failed(format!("failed to write the tar: {problem}")),
    }
}

fn failed(problem: String, length: u64) -> Failure {
    match length {
        0 => Failure::failed(problem),
        _ => Failure::failed(problem).hint("what was written is no backup: throw it away"),
    }
}

fn gone() -> Failure {
    Failure::failed("the connection to the node broke off")
        .hint("a backup is not whole; what was to be restored changed nothing, unless all of it was sent: look")
}

/// Says that somebody is there.
async fn stay(mut to: ToNode) -> Infallible {
    let mut alive = interval(ALIVE_EVERY);
    loop {
        alive.tick().await;
        if to.send(Said::Alive).await.is_err() {
            // What it says last is still to be heard.
            return pending().await;
        }
    }
}

/// Sends the tar and, where it could be read to its end, says so. Answers only why it could not.
async fn feed(
    mut to: ToNode,
    mut read: mpsc::Receiver<io::Result<Bytes>>,
    length: &mut u64,
    output: &Output,
) -> Failure {
    let mut tell = every(TELL_EVERY);
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_open = true;
    loop {
        let word = tokio::select! {
            piece = read.recv(), if is_open => match piece {
                Some(Ok(bytes)) => {
                    *length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    Said::Input(bytes)
                }
                Some(Err(problem)) => {
                    return Failure::failed(format!("failed to read the tar: {problem}"));
                }
                None => {
                    is_open = false;
                    Said::InputEnds
                }
            },
            _ = tell.tick(), if is_open && *length > 0 => {
                output.talk(&format!("{} until now", text::bytes(*length)));
                continue;
            }
            _ = alive.tick() => Said::Alive,
        };
        if to.send(word).await.is_err() {
            // What it says last is still to be heard.
            return pending().await;
        }
    }
}

/// Standard input, read by a thread of its own: a read that waits must not keep this program from ending.
fn read() -> mpsc::Receiver<io::Result<Bytes>> {
    let (pieces, read) = mpsc::channel(WAITING);
    thread::spawn(move || {
        let mut buffer = vec![0; BUFFER];
        let mut input = io::stdin().lock();
        loop {
            let piece = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => continue,
                Err(problem) => Err(problem),
            };
            let is_last = piece.is_err();
            if pieces.blocking_send(piece).is_err() || is_last {
                return;
            }
        }
    });
    read
}
