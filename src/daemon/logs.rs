//! Logs of containers on any node: read from the engine here, or over a stream from the node that
//! has them.
//!
//! On the wire: the header is a [`Wanted`] as JSON; the answer is one [`Line`] as JSON for each line
//! of text. It ends with the log, or with an [`Line::Failed`].

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kontena_core::id::NodeId;
use kontena_core::reconcile::action::ContainerId;
use kontena_core::time::WallTime;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::api::backend::{LogLine, LogOptions, LogSource, LogStream, Logs};
use crate::docker::{self, Docker};
use crate::p2p::{P2p, PeerStream};

/// The longest line of the wire: a log line of 64 KiB, escaped.
const MAX_WIRE_LINE: u64 = 512 * 1024;

/// What a node asks another for.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wanted {
    container: String,
    tail: Option<u32>,
    since: Option<WallTime>,
    follow: bool,
}

/// One line of the answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Stdout { nanos: u64, text: String },
    Stderr { nanos: u64, text: String },
    Failed(String),
}

/// The logs of all containers of the grid, as this node can read them.
pub(super) struct NodeLogs {
    me: NodeId,
    docker: Docker,
    p2p: P2p,
}

type Lines = BoxStream<'static, Result<LogLine, String>>;

impl NodeLogs {
    pub(super) fn new(me: NodeId, docker: Docker, p2p: P2p) -> Self {
        Self { me, docker, p2p }
    }

    fn local(&self, wanted: &Wanted) -> Lines {
        let options = docker::LogOptions {
            follow: wanted.follow,
            tail: wanted.tail,
            since: wanted.since,
        };
        let lines = self
            .docker
            .logs(&ContainerId(wanted.container.clone()), options);
        lines
            .map_ok(log_line)
            .map_err(|error| format!("{error:#}"))
            .boxed()
    }

    fn remote(&self, node: NodeId, wanted: Wanted) -> Lines {
        let p2p = self.p2p.clone();
        let opening = async move {
            let header = serde_json::to_vec(&wanted).map_err(|error| error.to_string())?;
            let stream = p2p
                .open_stream(node, &header)
                .await
                .map_err(|error| format!("{error:#}"))?;
            Ok::<_, String>(read_lines(stream))
        };
        futures::stream::once(opening).try_flatten().boxed()
    }

    /// Answers a member that asks for logs of this node's containers.
    pub(super) fn serve(self: &Arc<Self>, from: NodeId, header: Vec<u8>, stream: PeerStream) {
        let logs = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(problem) = logs.answer(&header, stream).await {
                tracing::debug!(node = %from.short(), problem = format!("{problem:#}"), "A log was not read to its end");
            }
        });
    }

    async fn answer(&self, header: &[u8], stream: PeerStream) -> anyhow::Result<()> {
        let wanted: Wanted = serde_json::from_slice(header)?;
        let (mut gone, mut out) = tokio::io::split(stream);
        let mut lines = self.local(&wanted);
        let mut byte = [0; 1];
        loop {
            tokio::select! {
                line = lines.next() => match line {
                    Some(line) => write_line(&mut out, &wire_line(line)).await?,
                    None => break,
                },
                // The reader says nothing: it can only go.
                _ = gone.read(&mut byte) => return Ok(()),
            }
        }
        out.shutdown().await?;
        Ok(())
    }
}

impl Logs for NodeLogs {
    fn open(&self, source: LogSource, options: LogOptions) -> Lines {
        let LogOptions {
            tail,
            since,
            follow,
        } = options;
        let wanted = Wanted {
            container: source.container,
            tail,
            since,
            follow,
        };
        if source.node == self.me {
            self.local(&wanted)
        } else {
            self.remote(source.node, wanted)
        }
    }
}

async fn write_line(out: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> anyhow::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    out.write_all(&bytes).await?;
    out.flush().await?;
    Ok(())
}

fn read_lines(stream: PeerStream) -> impl futures::Stream<Item = Result<LogLine, String>> {
    futures::stream::try_unfold(BufReader::new(stream), |mut reader| async move {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(MAX_WIRE_LINE);
        let read = bounded
            .read_until(b'\n', &mut line)
            .await
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(None);
        }
        let line: Line = serde_json::from_slice(&line)
            .map_err(|error| format!("the answer cannot be read: {error}"))?;
        Ok(Some((of_wire(line)?, reader)))
    })
}

fn log_line(line: docker::LogLine) -> LogLine {
    LogLine {
        nanos: line.nanos,
        stream: match line.stream {
            docker::LogStream::Stdout => LogStream::Stdout,
            docker::LogStream::Stderr => LogStream::Stderr,
        },
        text: String::from_utf8_lossy(&line.text).into_owned(),
    }
}

fn wire_line(line: Result<LogLine, String>) -> Line {
    match line {
        Ok(LogLine {
            nanos,
            stream: LogStream::Stdout,
            text,
        }) => Line::Stdout { nanos, text },
        Ok(LogLine {
            nanos,
            stream: LogStream::Stderr,
            text,
        }) => Line::Stderr { nanos, text },
        Err(problem) => Line::Failed(problem),
    }
}

fn of_wire(line: Line) -> Result<LogLine, String> {
    match line {
        Line::Stdout { nanos, text } => Ok(LogLine {
            nanos,
            stream: LogStream::Stdout,
            text,
        }),
        Line::Stderr { nanos, text } => Ok(LogLine {
            nanos,
            stream: LogStream::Stderr,
            text,
        }),
        Line::Failed(problem) => Err(problem),
    }
}
