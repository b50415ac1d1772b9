//! The lines that there are now.

use std::time::Duration;

use futures::{StreamExt, future, stream};
use tokio::time::{Instant, timeout_at};

use super::selection::Found;
use super::{Range, Selection, Wanted};
use crate::api::backend::Logs;
use crate::api::present::Snapshot;
use crate::api::types::log::{LogEntry, Logs as Answer, MissingLog};

/// For all containers together: a node that does not answer must not hold up the others' lines.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Streams that are open at a time, so that one question does not load a whole grid.
const AT_ONCE: usize = 16;
/// Text of all lines together; the client refuses 64 MiB, and JSON may write a byte with six.
const MAX_BYTES: usize = 8 << 20;

/// The last lines of all selected containers, merged.
pub(in crate::api) async fn read(
    logs: &dyn Logs,
    snapshot: &Snapshot,
    selection: &Selection,
    range: &Range,
) -> Answer {
    let Found { readable, away } = selection.find(snapshot);
    let end = Instant::now() + READ_LIMIT;
    let reading = readable
        .into_iter()
        .map(|wanted| read_one(logs, wanted, range, end));
    let none = Answer {
        logs: Vec::new(),
        missing: away,
    };
    let mut answer = stream::iter(reading)
        .buffer_unordered(AT_ONCE)
        .fold(none, |answer, part| {
            future::ready(merge(answer, part, range.limit as usize))
        })
        .await;
    let gaps = &mut answer.missing;
    gaps.sort_by(|one, other| (&one.name, &one.node).cmp(&(&other.name, &other.node)));
    answer
}

type Part = (Vec<LogEntry>, Option<MissingLog>);

async fn read_one(logs: &dyn Logs, wanted: Wanted, range: &Range, end: Instant) -> Part {
    let mut lines = logs.open(wanted.source.clone(), range.options(false));
    let mut kept = Kept::new(range.limit as usize);
    loop {
        match timeout_at(end, lines.next()).await {
            Ok(Some(Ok(line))) => kept.extend(wanted.entry(line, range)),
            Ok(Some(Err(problem))) => return (kept.entries.into(), Some(wanted.missing(problem))),
            Ok(None) => return (kept.entries.into(), None),
            Err(_) => {
                let missing = wanted.missing("its lines did not arrive in time");
                return (kept.entries.into(), Some(missing));
            }
        }
    }
}

/// The last lines of one container, bounded in number and size.
struct Kept {
    entries: std::collections::VecDeque<LogEntry>,
    bytes: usize,
    limit: usize,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self {
            entries: std::collections::VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    fn extend(&mut self, entry: Option<LogEntry>) {
        let Some(entry) = entry else { return };
        self.bytes += entry.data.len();
        self.entries.push_back(entry);
        while self.entries.len() > self.limit || self.bytes > MAX_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= oldest.data.len();
        }
    }
}

/// The last lines of both.
fn merge(mut answer: Answer, (entries, gap): Part, limit: usize) -> Answer {
    let logs = &mut answer.logs;
    logs.extend(entries);
    logs.sort_by(|one, other| one.id.cmp(&other.id));
    logs.drain(..first_kept(logs, limit));
    answer.missing.extend(gap);
    answer
}

/// How many of the oldest lines to leave out.
fn first_kept(logs: &[LogEntry], limit: usize) -> usize {
    let mut bytes = 0;
    let newest_first = logs.iter().rev().take(limit);
    let kept = newest_first.take_while(|entry| {
        bytes += entry.data.len();
        bytes <= MAX_BYTES
    });
    logs.len() - kept.count()
}
