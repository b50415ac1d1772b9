//! The last lines, and then every line as it is written; also of containers that come later.
//!
//! The first lines of several containers come as they arrive, not merged by time.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt, future, stream};
use kontena_core::view::View;
use tokio::sync::watch;

use super::selection::Found;
use super::{Range, Selection, Wanted};
use crate::api::backend::{LogOptions, LogSource, Logs};
use crate::api::present::Snapshot;
use crate::api::types::log::{FollowedLine, MissingLog};

/// Lines that a container which appears later may have written before it was seen.
const LATE_TAIL: u32 = 1_000;

/// What is open, and what else there may be.
struct Following {
    logs: Arc<dyn Logs>,
    view: watch::Receiver<Arc<View>>,
    selection: Selection,
    range: Range,
    /// What was opened once: it is not opened again.
    opened: BTreeSet<LogSource>,
    lines: SelectAll<BoxStream<'static, FollowedLine>>,
    started: bool,
}

/// Never ends by itself while the node runs.
pub(in crate::api) fn follow(
    logs: Arc<dyn Logs>,
    view: watch::Receiver<Arc<View>>,
    selection: Selection,
    range: Range,
) -> impl Stream<Item = FollowedLine> + Send + 'static {
    let following = Following {
        logs,
        view,
        selection,
        range,
        opened: BTreeSet::new(),
        lines: SelectAll::new(),
        started: false,
    };
    stream::unfold(following, |mut following| async move {
        let line = following.next().await?;
        Some((line, following))
    })
}

impl Following {
    async fn next(&mut self) -> Option<FollowedLine> {
        loop {
            if !self.started || self.view.has_changed().ok()? {
                self.open_new();
            }
            tokio::select! {
                biased;
                Some(line) = self.lines.next(), if !self.lines.is_empty() => return Some(line),
                changed = self.view.changed() => {
                    changed.ok()?;
                    self.view.mark_changed();
                }
            }
        }
    }

    fn open_new(&mut self) {
        let view = Arc::clone(&self.view.borrow_and_update());
        let Some(snapshot) = Snapshot::of(view) else {
            return;
        };
        let Found { readable, away } = self.selection.find(&snapshot);
        for wanted in readable {
            if self.opened.insert(wanted.source.clone()) {
                self.open(wanted);
            }
        }
        if !self.started {
            let missing = away.into_iter().map(missing);
            self.lines.push(stream::iter(missing).boxed());
        }
        self.started = true;
    }

    fn open(&mut self, wanted: Wanted) {
        let options = if self.started {
            LogOptions {
                tail: Some(LATE_TAIL),
                since: None,
                follow: true,
            }
        } else {
            self.range.options(true)
        };
        let range = self.range.clone();
        let lines = self.logs.open(wanted.source.clone(), options);
        let lines = lines.filter_map(move |line| {
            future::ready(match line {
                Ok(line) => wanted.entry(line, &range).map(FollowedLine::Entry),
                Err(problem) => Some(missing(wanted.missing(problem))),
            })
        });
        self.lines.push(lines.boxed());
    }
}

fn missing(missing: MissingLog) -> FollowedLine {
    FollowedLine::Missing { missing }
}
