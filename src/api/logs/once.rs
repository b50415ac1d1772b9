//! The lines that there are now.

use std::time::Duration;

use futures::{StreamExt, future, stream};
use tokio::time::{Instant, timeout_at};

use super::kept::Kept;
use super::selection::Found;
use super::{Range, Selection, Wanted};
use crate::api::backend::Logs;
use crate::api::present::Snapshot;
use crate::api::types::log::{Logs as Answer, MissingLog};

/// For all containers together: a node that does not answer must not hold up the others' lines.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Streams that are open at a time, so that one question does not load a whole grid.
const AT_ONCE: usize = 16;

/// Lines of all selected containers, merged: the last ones, or the first after a line.
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
    let none = Merged {
        kept: Kept::new(range),
        missing: away,
    };
    let merged = stream::iter(reading)
        .buffer_unordered(AT_ONCE)
        .fold(none, |merged, part| future::ready(merged.with(part)))
        .await;
    let Merged { kept, mut missing } = merged;
    missing.sort_by(|one, other| (&one.name, &one.node).cmp(&(&other.name, &other.node)));
    Answer {
        logs: kept.entries.into(),
        missing,
    }
}

type Part = (Kept, Option<MissingLog>);

async fn read_one(logs: &dyn Logs, wanted: Wanted, range: &Range, end: Instant) -> Part {
    let mut lines = logs.open(wanted.source.clone(), range.options(false));
    let mut kept = Kept::new(range);
    while !kept.is_cut() {
        match timeout_at(end, lines.next()).await {
            Ok(Some(Ok(line))) => kept.extend(wanted.entry(line, range)),
            Ok(Some(Err(problem))) => return (kept, Some(wanted.missing(problem))),
            Ok(None) => break,
            Err(_) => {
                let missing = wanted.missing("its lines did not arrive in time");
                return (kept, Some(missing));
            }
        }
    }
    (kept, None)
}

/// What was read so far.
struct Merged {
    kept: Kept,
    missing: Vec<MissingLog>,
}

impl Merged {
    fn with(mut self, (part, gap): Part) -> Self {
        self.kept = self.kept.merged(part);
        self.missing.extend(gap);
        self
    }
}
