//! What a container wrote, line by line, with the engine's time of each.
//!
//! Docker sends pieces of at most 16 KiB, each with a time in front; a line ends with the piece that
//! ends in a newline. Lines longer than [`MAX_LINE_BYTES`] are cut into several.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kontena_core::reconcile::action::ContainerId;
use kontena_core::time::WallTime;

use super::Docker;
use super::trouble::Trouble;

/// The longest line that is passed on whole.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Which lines to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    /// Go on with what is written from now on, until the container stops. Docker may then leave out a
    /// last line without a newline; a later reading has it.
    pub follow: bool,
    /// At most so many of the last lines; all where `None`.
    pub tail: Option<u32>,
    /// Only lines written at this time or later.
    pub since: Option<WallTime>,
}

/// One line, without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// When its beginning was written, in nanoseconds since the Unix epoch: two lines of one
    /// millisecond are told apart. 0 where the engine told no time.
    pub nanos: u64,
    pub stream: LogStream,
    /// As it was written: not necessarily UTF-8. At most [`MAX_LINE_BYTES`].
    pub text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogStream {
    Stdout,
    Stderr,
}

impl Docker {
    /// The lines of a container. Ends with the log, or with one error. Nothing is read ahead of
    /// whoever polls; dropping the stream ends the request.
    pub(crate) fn logs(
        &self,
        container: &ContainerId,
        options: LogOptions,
    ) -> impl Stream<Item = anyhow::Result<LogLine>> + Send + 'static {
        let docker = self.clone();
        let id = container.0.clone();
        futures::stream::once(async move {
            let client = docker
                .client()
                .await
                .map_err(|trouble| failed(&id, &trouble))?;
            let pieces = client.logs(&id, Some(query(options)));
            let pieces = pieces
                .map(move |piece| piece.map_err(|error| failed(&id, &Trouble::from(error))))
                .boxed();
            anyhow::Ok(lines(pieces, options.since))
        })
        .flat_map(|opened| match opened {
            Ok(lines) => lines,
            Err(error) => futures::stream::once(async move { Err(error) }).boxed(),
        })
    }
}

fn failed(id: &str, trouble: &Trouble) -> anyhow::Error {
    anyhow::anyhow!("{}", trouble.problem())
        .context(format!("failed to read the log of container `{id}`"))
}

fn query(options: LogOptions) -> LogsOptions {
    let since = options.since.unwrap_or_default().0 / 1000;
    LogsOptions {
        follow: options.follow,
        stdout: true,
        stderr: true,
        timestamps: true,
        since: i32::try_from(since).unwrap_or(i32::MAX),
        tail: options
            .tail
            .map_or_else(|| "all".to_owned(), |count| count.to_string()),
        ..LogsOptions::default()
    }
}

/// Docker's `since` has whole seconds; the rest is left out here.
fn lines(
    pieces: BoxStream<'static, anyhow::Result<LogOutput>>,
    since: Option<WallTime>,
) -> BoxStream<'static, anyhow::Result<LogLine>> {
    let reader = Reader {
        pieces: Some(pieces),
        assembly: Assembly::default(),
    };
    futures::stream::unfold(reader, Reader::next)
        .filter(move |line| {
            let wanted = match line {
                Ok(line) => since.is_none_or(|since| line.nanos / NANOS_PER_MILLI >= since.0),
                Err(_) => true,
            };
            std::future::ready(wanted)
        })
        .boxed()
}

struct Reader {
    /// `None` once it has ended.
    pieces: Option<BoxStream<'static, anyhow::Result<LogOutput>>>,
    assembly: Assembly,
}

impl Reader {
    async fn next(mut self) -> Option<(anyhow::Result<LogLine>, Self)> {
        loop {
            if let Some(line) = self.assembly.ready.pop_front() {
                return Some((Ok(line), self));
            }
            match self.pieces.as_mut()?.next().await {
                Some(Ok(piece)) => self.assembly.add(piece),
                Some(Err(error)) => {
                    self.pieces = None;
                    return Some((Err(error), self));
                }
                None => {
                    self.pieces = None;
                    self.assembly.finish();
                    let line = self.assembly.ready.pop_front()?;
                    // Both streams may have ended without a newline.
                    self.pieces = Some(futures::stream::empty().boxed());
                    return Some((Ok(line), self));
                }
            }
        }
    }
}

/// Pieces become lines.
#[derive(Default)]
struct Assembly {
    ready: VecDeque<LogLine>,
    stdout: Option<LogLine>,
    stderr: Option<LogLine>,
}

impl Assembly {
    fn add(&mut self, piece: LogOutput) {
        let stream = match &piece {
            LogOutput::StdErr { .. } => LogStream::Stderr,
            LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
                LogStream::Stdout
            }
        };
        let bytes = piece.into_bytes();
        let (nanos, mut text) = split_time(&bytes);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            self.extend(stream, nanos, &text[..end]);
            self.end(stream, nanos);
            text = &text[end + 1..];
        }
        if !text.is_empty() {
            self.extend(stream, nanos, text);
        }
    }

    fn finish(&mut self) {
        let left = [self.stdout.take(), self.stderr.take()];
        self.ready.extend(left.into_iter().flatten());
    }

    fn extend(&mut self, stream: LogStream, nanos: u64, mut text: &[u8]) {
        while !text.is_empty() {
            let line = self
                .open(stream)
                .get_or_insert_with(|| empty_line(stream, nanos));
            let room = MAX_LINE_BYTES - line.text.len();
            let (now, later) = text.split_at(room.min(text.len()));
            line.text.extend_from_slice(now);
            text = later;
            if !text.is_empty() {
                self.end(stream, nanos);
            }
        }
    }

    fn end(&mut self, stream: LogStream, nanos: u64) {
        let line = self.open(stream).take();
        self.ready
            .push_back(line.unwrap_or_else(|| empty_line(stream, nanos)));
    }

    fn open(&mut self, stream: LogStream) -> &mut Option<LogLine> {
        match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        }
    }
}

fn empty_line(stream: LogStream, nanos: u64) -> LogLine {
    LogLine {
        nanos,
        stream,
        text: Vec::new(),
    }
}

/// A piece starts with its time and one space; one that does not is text as a whole.
fn split_time(piece: &[u8]) -> (u64, &[u8]) {
    let split = piece.iter().position(|byte| *byte == b' ');
    let parsed = split.and_then(|at| {
        let text = std::str::from_utf8(&piece[..at]).ok()?;
        let time: jiff::Timestamp = text.parse().ok()?;
        // What is before 1970, as `0001-01-01`, stands for no time.
        let nanos = u64::try_from(time.as_nanosecond()).unwrap_or(0);
        Some((nanos, &piece[at + 1..]))
    });
    parsed.unwrap_or((0, piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> LogOutput {
        LogOutput::StdOut {
            message: format!("1970-01-01T00:00:00.005000000Z {text}").into(),
        }
    }

    fn texts(assembly: &Assembly) -> Vec<String> {
        let text = |line: &LogLine| String::from_utf8(line.text.clone()).unwrap();
        assembly.ready.iter().map(text).collect()
    }

    #[test]
    fn pieces_become_lines_and_the_streams_do_not_mix() {
        let mut assembly = Assembly::default();
        assembly.add(piece("one\n"));
        assembly.add(piece("tw"));
        assembly.add(LogOutput::StdErr {
            message: "1970-01-01T00:00:00.006Z oops\n".into(),
        });
        assembly.add(piece("o\n"));
        assembly.add(piece("\n"));
        assembly.add(piece("end"));
        assembly.finish();
        assert_eq!(texts(&assembly), ["one", "oops", "two", "", "end"]);
        assert_eq!(assembly.ready[1].stream, LogStream::Stderr);
        assert_eq!(assembly.ready[1].nanos, 6_000_000);
    }

    #[test]
    fn lines_of_one_millisecond_keep_their_own_times() {
        let mut assembly = Assembly::default();
        for nanos in ["000000001", "000000002"] {
            assembly.add(LogOutput::StdOut {
                message: format!("2026-01-02T03:04:05.{nanos}Z hello\n").into(),
            });
        }
        let nanos: Vec<u64> = assembly.ready.iter().map(|line| line.nanos).collect();
        assert_eq!(
            nanos,
            [1_767_323_045_000_000_001, 1_767_323_045_000_000_002]
        );
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut assembly = Assembly::default();
        for _ in 0..9 {
            assembly.add(piece(&"x".repeat(16 * 1024)));
        }
        assembly.add(piece("\n"));
        let lengths: Vec<usize> = assembly.ready.iter().map(|line| line.text.len()).collect();
        assert_eq!(lengths, [MAX_LINE_BYTES, MAX_LINE_BYTES, 16 * 1024]);
    }

    #[test]
    fn a_piece_without_a_time_is_text() {
        assert_eq!(split_time(b"hello world"), (0, &b"hello world"[..]));
    }
}
