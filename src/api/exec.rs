//! Commands in containers for those who do not speak our frames: Kontena's clients over a WebSocket, and whoever asks
//! for one answer.
//!
//! Kontena's words are JSON texts. Whoever asks says `{"cmd":[…]}` first (with `"env":["NAME=VALUE"]`, ours), then `{"stdin":"text"}`, `{"stdin":null}` at
//! the end and `{"tty_size":{"width":…,"height":…}}`; hears `{"stream":"stdout"|"stderr","chunk":"text"}`, and at the
//! end `{"exit":code}` (close 1000) or `{"error":"text"}` (close 4000). A text has no other bytes than UTF-8: what is
//! none becomes U+FFFD, and a character that comes in two pieces is put together.

mod text;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{Sink, SinkExt, Stream, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout, timeout_at};
use tokio_util::codec::Framed;

use self::text::Text;
use super::answer::Refused;
use super::backend::Carried;
use super::types::exec::{ALIVE_EVERY, Frames, Heard, Said, Size, Start, asking};

/// The longest text of a client: a paste.
pub(super) const MAX_MESSAGE: usize = 1 << 20;
/// Input that a client sends at once is handed on in pieces of this many bytes.
const PIECE: usize = 64 * 1024;
/// For the first words of a client.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How often a silent client is asked whether it is there, and how long it may be silent.
const PING_EVERY: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(75);
/// For the last words to be taken.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Kontena's close codes.
const NORMAL: u16 = 1000;
const FAILED: u16 = 4000;

/// For a command that is waited for: its time, and what it may write.
const RUN_LIMIT: Duration = Duration::from_secs(60);
const MAX_OUTPUT: usize = 8 << 20;
const TOO_LONG: &str = "the command is longer than 255 KiB";

/// What the client asked for beside the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) interactive: bool,
    pub(super) shell: bool,
    pub(super) tty: bool,
}

/// What a client says, one or more of it in a text. Unknown keys are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Words {
    cmd: Option<Vec<String>>,
    /// `NAME=VALUE`, said with the command.
    env: Vec<String>,
    /// `Some(None)` is the end of the input.
    #[serde(deserialize_with = "spoken")]
    stdin: Option<Option<String>>,
    tty_size: Option<Size>,
}

/// Tells `null` from nothing.
#[expect(
    clippy::option_option,
    reason = "whether it is spoken of, and whether there is any"
)]
fn spoken<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

type Command = Framed<Box<dyn Carried>, Frames<Heard, Said>>;
type ToClient = SplitSink<WebSocket, Message>;
type FromClient = SplitStream<WebSocket>;

/// Speaks for a client with the node that has the container. It ends with the command, or with the client.
pub(super) async fn speak(socket: WebSocket, command: Box<dyn Carried>, flags: Flags) {
    let (mut to_client, mut from_client) = socket.split();
    let mut command = asking(command);
    let start = timeout(START_LIMIT, first_words(&mut from_client, flags)).await;
    let Ok(Some(start)) = start else {
        return close(
            &mut to_client,
            Err("the first word has to be `cmd`".to_owned()),
        )
        .await;
    };
    if start.is_too_long() {
        return close(&mut to_client, Err(TOO_LONG.to_owned())).await;
    }
    if command.send(Said::Start(start)).await.is_err() {
        return close(
            &mut to_client,
            Err("the node of the container is gone".to_owned()),
        )
        .await;
    }
    let (to_command, from_command) = command.split();
    let is_reading = AtomicBool::new(true);
    let ended = tokio::select! {
        ended = hear(from_command, &mut to_client, &is_reading) => ended,
        () = say(&mut from_client, to_command, flags, &is_reading) => return,
    };
    if let Some(ended) = ended {
        close(&mut to_client, ended).await;
    }
}

/// The command; the size of the terminal may come before it.
async fn first_words(client: &mut FromClient, flags: Flags) -> Option<Start> {
    let mut size = None;
    let mut environment = Vec::new();
    loop {
        let words = next_words(client).await?;
        size = words.tty_size.or(size);
        environment.extend(words.env);
        if let Some(command) = words.cmd {
            return Some(Start {
                command,
                shell: flags.shell,
                tty: flags.tty,
                stdin: flags.interactive,
                size,
                environment,
            });
        }
    }
}

/// `None` once the client has left, or says what nobody understands.
async fn next_words<E>(
    client: &mut (impl Stream<Item = Result<Message, E>> + Unpin),
) -> Option<Words> {
    match client.next().await?.ok()? {
        Message::Text(text) => serde_json::from_str(&text).ok(),
        Message::Binary(_) | Message::Close(_) => None,
        // The answer to a ping is the library's; both say that somebody is there.
        Message::Ping(_) | Message::Pong(_) => Some(Words::default()),
    }
}

/// Hands on what the client says, until it has left or is silent for too long.
async fn say<E>(
    client: &mut (impl Stream<Item = Result<Message, E>> + Unpin),
    mut command: impl Sink<Said> + Unpin,
    flags: Flags,
    is_reading: &AtomicBool,
) {
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent_until = Instant::now() + SILENCE;
    loop {
        let words = tokio::select! {
            // What was said while the command did not read comes first: nobody was silent.
            biased;
            words = next_words(client) => words,
            _ = alive.tick() => {
                let before = Instant::now();
                if command.send(Said::Alive).await.is_err() {
                    return;
                }
                silent_until += before.elapsed();
                continue;
            }
            // Who does not read what is there is asked nothing, and says nothing.
            () = sleep_until(silent_until) => match is_reading.load(Ordering::Relaxed) {
                true => return,
                false => {
                    silent_until = Instant::now() + SILENCE;
                    continue;
                }
            },
        };
        let Some(words) = words else { return };
        for word in said(words, flags) {
            if command.send(word).await.is_err() {
                return;
            }
        }
        // A command that does not read keeps its client waiting here, who is not silent for that.
        silent_until = Instant::now() + SILENCE;
    }
}

fn said(words: Words, flags: Flags) -> Vec<Said> {
    let mut said: Vec<Said> = words.tty_size.map(Said::Resize).into_iter().collect();
    match words.stdin.filter(|_| flags.interactive) {
        Some(Some(text)) => {
            let pieces = text.as_bytes().chunks(PIECE);
            said.extend(pieces.map(|piece| Said::Input(piece.to_vec().into())));
        }
        Some(None) => said.push(Said::InputEnds),
        None => {}
    }
    said
}

/// Hands on what the command writes. `None` where nobody hears it any more.
async fn hear(
    mut command: SplitStream<Command>,
    client: &mut ToClient,
    is_reading: &AtomicBool,
) -> Option<Result<i64, String>> {
    let mut ping = interval(PING_EVERY);
    let (mut output, mut errors) = (Text::default(), Text::default());
    loop {
        let heard = tokio::select! {
            heard = command.next() => heard,
            _ = ping.tick() => {
                client.send(Message::Ping(Default::default())).await.ok()?;
                continue;
            }
        };
        let (stream, chunk) = match heard {
            Some(Ok(Heard::Output(bytes))) => ("stdout", output.add(&bytes)),
            Some(Ok(Heard::Errors(bytes))) => ("stderr", errors.add(&bytes)),
            Some(Ok(Heard::Alive | Heard::News(_))) => continue,
            Some(Ok(Heard::Ended(code))) => {
                for (stream, rest) in [("stdout", output.end()), ("stderr", errors.end())] {
                    tell(client, stream, rest).await?;
                }
                return Some(Ok(code));
            }
            Some(Ok(Heard::Failed(_, problem))) => return Some(Err(problem)),
            Some(Err(_)) | None => {
                return Some(Err("the node of the container is gone".to_owned()));
            }
        };
        is_reading.store(false, Ordering::Relaxed);
        tell(client, stream, chunk).await?;
        is_reading.store(true, Ordering::Relaxed);
    }
}

async fn tell(client: &mut ToClient, stream: &str, chunk: String) -> Option<()> {
    if chunk.is_empty() {
        return Some(());
    }
    let text = json!({"stream": stream, "chunk": chunk}).to_string();
    client.send(Message::Text(text.into())).await.ok()
}

async fn close(client: &mut ToClient, ended: Result<i64, String>) {
    let (last, code) = match ended {
        Ok(code) => (json!({"exit": code}), NORMAL),
        Err(problem) => (json!({"error": problem}), FAILED),
    };
    let frame = CloseFrame {
        code,
        reason: Default::default(),
    };
    let closed = async {
        client.send(Message::Text(last.to_string().into())).await?;
        client.send(Message::Close(Some(frame))).await
    };
    if !matches!(timeout(CLOSE_LIMIT, closed).await, Ok(Ok(()))) {
        tracing::debug!("A client did not hear how its command ended");
    }
}

/// What a command wrote, in pieces, and its exit code: `[[stdout …], [stderr …], code]`.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "CommandOutput")]
pub(super) struct Output(Vec<String>, Vec<String>, i64);

/// Runs a command without input to its end.
///
/// # Errors
/// It cannot be started, takes too long, or writes too much; then it is ended.
pub(super) async fn run_to_the_end(
    command: Box<dyn Carried>,
    start: Start,
) -> Result<Output, Refused> {
    let until = Instant::now() + RUN_LIMIT;
    match timeout_at(until, collect(asking(command), start)).await {
        Ok(collected) => collected,
        Err(_) => Err(Refused::late(RUN_LIMIT)),
    }
}

/// Waits until what is under way has ended, which needs no word but that somebody is there.
pub(super) async fn ended(work: Box<dyn Carried>) -> Result<(), Refused> {
    run_to_the_end(work, Start::default()).await.map(|_| ())
}

async fn collect(mut command: Command, start: Start) -> Result<Output, Refused> {
    let gone = || Refused::unreachable("the node of the container: it is gone");
    if start.is_too_long() {
        return Err(Refused::invalid(TOO_LONG));
    }
    command.send(Said::Start(start)).await.map_err(|_| gone())?;
    let mut alive = interval(ALIVE_EVERY);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    loop {
        let heard = tokio::select! {
            heard = command.next() => heard,
            _ = alive.tick() => {
                command.send(Said::Alive).await.map_err(|_| gone())?;
                continue;
            }
        };
        match heard {
            Some(Ok(Heard::Output(bytes))) => output.extend_from_slice(&bytes),
            Some(Ok(Heard::Errors(bytes))) => errors.extend_from_slice(&bytes),
            Some(Ok(Heard::Alive | Heard::News(_))) => {}
            Some(Ok(Heard::Ended(code))) => {
                return Ok(Output(pieces(&output), pieces(&errors), code));
            }
            Some(Ok(Heard::Failed(failed, problem))) => {
                return Err(Refused::command_failed(failed, problem));
            }
            Some(Err(_)) | None => return Err(gone()),
        }
        if output.len() + errors.len() > MAX_OUTPUT {
            return Err(Refused::invalid(format!(
                "the command writes more than {} MiB: ask for a connection to it",
                MAX_OUTPUT >> 20
            )));
        }
    }
}

fn pieces(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    Some(text)
        .filter(|text| !text.is_empty())
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::channel::mpsc;
    use tokio::time::sleep;

    use super::*;

    const TYPED: Flags = Flags {
        interactive: true,
        shell: false,
        tty: false,
    };

    fn typed(text: &str) -> Result<Message, Infallible> {
        let text = json!({"stdin": text}).to_string();
        Ok(Message::Text(text.into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_does_not_read_for_long_is_not_taken_for_a_silent_client() {
        let (client, mut from_client) = mpsc::unbounded();
        let (to_command, mut command) = mpsc::channel(0);
        let is_reading = AtomicBool::new(true);
        let speaking = say(&mut from_client, to_command, TYPED, &is_reading);
        let working = async {
            for _ in 0..20 {
                client.unbounded_send(typed("a")).unwrap();
                client.unbounded_send(typed("b")).unwrap();
                client.unbounded_send(typed("c")).unwrap();
                sleep(SILENCE * 2).await;
                let mut read = 0;
                while read < 3 {
                    match command.next().await {
                        Some(Said::Input(_)) => read += 1,
                        Some(Said::Alive) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        };
        tokio::select! {
            () = speaking => panic!("the command was given up"),
            () = working => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_given_up() {
        let (_client, mut from_client) = mpsc::unbounded::<Result<Message, Infallible>>();
        let (to_command, command) = mpsc::channel(0);
        let is_reading = AtomicBool::new(true);
        let began = Instant::now();
        let speaking = say(&mut from_client, to_command, TYPED, &is_reading);
        tokio::join!(speaking, command.collect::<Vec<_>>());
        assert!(began.elapsed() < SILENCE + PING_EVERY);
    }
}
