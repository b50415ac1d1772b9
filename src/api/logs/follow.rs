//! The last lines, and then every line as it is written; also of containers that come later, and of those that stop
//! and start again.
//!
//! The first lines of several containers come as they arrive, not merged by time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt, future, stream};
use kontena_core::view::View;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::selection::Found;
use super::source::Source;
use super::{Range, Selection, Wanted};
use crate::api::backend::{LogLine, LogOptions, LogSource, Logs};
use crate::api::present::Snapshot;
use crate::api::types::log::{FollowedLine, MissingLog};

/// Lines that a container which appears later may have written before it was seen.
const LATE_TAIL: u32 = 1_000;
/// More than a grid has containers: beyond it those that are gone are forgotten.
const MOST_KNOWN: usize = 10_000;

/// What is open, and what else there may be.
struct Following {
    logs: Arc<dyn Logs>,
    view: watch::Receiver<Arc<View>>,
    selection: Selection,
    range: Range,
    /// What was opened once.
    sources: BTreeMap<Arc<LogSource>, Source>,
    lines: SelectAll<BoxStream<'static, (Arc<LogSource>, Heard)>>,
    /// Whose log could not be read at first, still to be told.
    away: VecDeque<MissingLog>,
    /// When one of those that ended is opened again.
    again: Option<Instant>,
    started: bool,
}

/// Of one log.
enum Heard {
    Line(LogLine),
    Failed(String),
    Ended,
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
        sources: BTreeMap::new(),
        lines: SelectAll::new(),
        away: VecDeque::new(),
        again: None,
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
            let is_due = self.again.is_some_and(|again| again <= Instant::now());
            if !self.started || is_due || self.view.has_changed().ok()? {
                self.look();
            }
            if let Some(missing) = self.away.pop_front() {
                return Some(FollowedLine::Missing { missing });
            }
            let again = self.again;
            tokio::select! {
                biased;
                Some((source, heard)) = self.lines.next(), if !self.lines.is_empty() => {
                    if let Some(line) = self.hear(&source, heard) {
                        return Some(line);
                    }
                }
                changed = self.view.changed() => {
                    changed.ok()?;
                    self.view.mark_changed();
                }
                () = until(again) => {}
            }
        }
    }

    /// Opens what is new, and what ended and runs again.
    fn look(&mut self) {
        self.again = None;
        let view = Arc::clone(&self.view.borrow_and_update());
        let Some(snapshot) = Snapshot::of(view) else {
            return;
        };
        let Found { readable, away } = self.selection.find(&snapshot);
        self.sources.values_mut().for_each(Source::unseen);
        for wanted in readable {
            self.see(wanted);
        }
        if self.sources.len() > MOST_KNOWN {
            self.sources.retain(|_, source| !source.is_over());
        }
        if !self.started {
            self.away = away.into();
        }
        self.started = true;
        self.plan();
    }

    fn see(&mut self, wanted: Wanted) {
        let name = wanted.source.clone();
        let Some(source) = self.sources.get_mut(&name) else {
            let options = self.first_options();
            let name = Arc::new(name);
            let source = Source::new(wanted, options);
            self.sources.insert(Arc::clone(&name), source);
            return self.open(name, options);
        };
        source.seen(wanted);
        if source.again_at().is_some_and(|at| at <= Instant::now()) {
            let options = source.reopen(&self.range);
            self.open(Arc::new(name), options);
        }
    }

    fn first_options(&self) -> LogOptions {
        match self.started {
            true => LogOptions {
                tail: Some(LATE_TAIL),
                since: None,
                follow: true,
            },
            false => self.range.options(true),
        }
    }

    fn open(&mut self, name: Arc<LogSource>, options: LogOptions) {
        let lines = self.logs.open(LogSource::clone(&name), options);
        let heard = lines.map(|line| line.map_or_else(Heard::Failed, Heard::Line));
        let to_the_end = heard.chain(stream::once(future::ready(Heard::Ended)));
        let named = to_the_end.map(move |heard| (Arc::clone(&name), heard));
        self.lines.push(named.boxed());
    }

    fn hear(&mut self, name: &LogSource, heard: Heard) -> Option<FollowedLine> {
        let source = self.sources.get_mut(name)?;
        match heard {
            Heard::Line(line) => source.line(line, &self.range).map(FollowedLine::Entry),
            Heard::Failed(problem) => {
                let missing = source.fail(problem)?;
                Some(FollowedLine::Missing { missing })
            }
            Heard::Ended => {
                source.end(Instant::now());
                self.plan();
                None
            }
        }
    }

    /// Those whose container does not run wait for a view in which it does.
    fn plan(&mut self) {
        self.again = self.sources.values().filter_map(Source::again_at).min();
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => future::pending().await,
    }
}
