//! What is to be written for the fence, whether one is needed, and whether it is alive: one step after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use crate::fence::{
    Beat, Deadline, Folder, Moment, Standing, Tag, WATCHED_AFTER, is_carried, remove_groups,
};

/// Between two looks at the fence.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// The same, while one is being started.
const LOOKS_AT_STARTING: Duration = Duration::from_millis(50);

/// A fence that was started, and does not beat after so long, does not run.
const STARTS_WITHIN: Duration = Duration::from_secs(3);

/// What has less time left is stopped where that cannot be moved on: so long it takes in order.
const TOO_LITTLE: Duration = Duration::from_secs(8);

/// Starts a fence.
type Start = Box<dyn FnMut() -> anyhow::Result<()> + Send>;

pub(super) struct Keeper {
    folder: Folder,
    start: Start,
    standing: watch::Sender<Standing>,
    /// What the files say.
    written: BTreeMap<Tag, Moment>,
    /// What could not be written yet.
    unwritten: BTreeMap<Tag, Moment>,
    /// When a fence was started last of which nothing was heard yet.
    starting: Option<Moment>,
    /// What the node was told last.
    told: Option<Result<(), String>>,
}

/// Whether a fence runs.
enum Pulse {
    Beats(Moment),
    Starts,
    Fails(String),
}

impl Keeper {
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn new(
        folder: Folder,
        start: Start,
        standing: watch::Sender<Standing>,
    ) -> anyhow::Result<Self> {
        folder.remove_old()?;
        let now = Moment::now();
        let deadlines = folder.deadlines()?.into_iter();
        let written = deadlines.map(|(tag, deadline)| match deadline {
            Deadline::At(until) => (tag, until),
            Deadline::Unreadable(_) => (tag, now),
        });
        Ok(Self {
            written: written.collect(),
            unwritten: BTreeMap::new(),
            folder,
            start,
            standing,
            starting: None,
            told: None,
        })
    }

    /// Writes what is wanted and looks after the fence. Answers what the node is to be told.
    pub(super) fn step(
        &mut self,
        wanted: BTreeMap<Tag, Moment>,
        now: Moment,
    ) -> Option<Result<(), String>> {
        self.unwritten.extend(wanted);
        let written = self.write(now);
        self.forget(now);
        if !self.is_needed(now) {
            self.starting = None;
            self.show(None);
            return None;
        }
        let pulse = match (self.look(now), written) {
            (Pulse::Beats(_) | Pulse::Starts, Err(problem)) => Pulse::Fails(format!("{problem:#}")),
            (pulse, _) => pulse,
        };
        let tells = match &pulse {
            Pulse::Beats(_) => Some(Ok(())),
            Pulse::Starts => None,
            Pulse::Fails(why) => Some(Err(why.clone())),
        };
        self.show(Some(pulse));
        tells.filter(|told| self.told.replace(told.clone()).as_ref() != Some(told))
    }

    /// How long nothing happens unless something is wanted.
    pub(super) fn pause(&self) -> Duration {
        match self.starting {
            Some(_) => LOOKS_AT_STARTING,
            None => LOOKS_EVERY,
        }
    }

    /// Writes what it can. A failure counts once what the fence knows of that tag is over soon: until then it may be written yet.
    fn write(&mut self, now: Moment) -> anyhow::Result<()> {
        let mut result = Ok(());
        for (tag, until) in std::mem::take(&mut self.unwritten) {
            match self.folder.write(&tag, until) {
                Ok(()) => {
                    self.written.insert(tag, until);
                }
                Err(problem) => {
                    let known = self.written.get(&tag);
                    if known.is_none_or(|known| known.since(now) < TOO_LITTLE) {
                        result = Err(problem);
                    }
                    self.unwritten.insert(tag, until);
                }
            }
        }
        result
    }

    /// Removes the files of what was over long ago, unless something runs all the same.
    fn forget(&mut self, now: Moment) {
        let is_old = |until: &Moment| until.after(WATCHED_AFTER) < now;
        let old = self.written.iter().filter(|(_, until)| is_old(until));
        let old: Vec<Tag> = old.map(|(tag, _)| tag.clone()).collect();
        for tag in old {
            if let Err(problem) = self.forget_one(&tag) {
                tracing::debug!(%tag, %problem, "The file of a fence is left over");
            }
        }
    }

    fn forget_one(&mut self, tag: &Tag) -> anyhow::Result<()> {
        let is_carried = is_carried(tag).context("failed to list processes")?;
        if !is_carried {
            self.folder.remove(tag)?;
            self.written.remove(tag);
            remove_groups(tag);
        }
        Ok(())
    }

    /// While something may run, or is to be; and while the last word was that there is no fence, which may be over.
    fn is_needed(&self, now: Moment) -> bool {
        let runs = self.written.values().any(|until| *until > now);
        runs || !self.unwritten.is_empty() || matches!(self.told, Some(Err(_)))
    }

    fn look(&mut self, now: Moment) -> Pulse {
        let beat = match self.folder.beat() {
            Ok(beat) => beat.filter(|beat| is_ours(beat, now)),
            // A power cut may leave half a file: a fence that is started writes it anew.
            Err(problem) => {
                tracing::debug!(%problem, "The sign of life of the fence cannot be read");
                None
            }
        };
        match (beat, self.starting) {
            (Some(beat), _) => {
                self.starting = None;
                Pulse::Beats(beat.at_nanos)
            }
            (None, Some(since)) if now.since(since) < STARTS_WITHIN => match &self.told {
                // What was told stays true until it is not.
                Some(Err(why)) => Pulse::Fails(why.clone()),
                Some(Ok(())) | None => Pulse::Starts,
            },
            (None, before) => self.start(before, now),
        }
    }

    fn start(&mut self, before: Option<Moment>, now: Moment) -> Pulse {
        self.starting = Some(now);
        match ((self.start)(), before) {
            (Err(problem), _) => Pulse::Fails(format!("{problem:#}")),
            (Ok(()), Some(_)) => {
                Pulse::Fails("it was started, and gives no sign of life".to_owned())
            }
            (Ok(()), None) => Pulse::Starts,
        }
    }

    fn show(&self, pulse: Option<Pulse>) {
        let process = pulse.map(|pulse| match pulse {
            Pulse::Beats(last) => Ok(last),
            Pulse::Starts => Err("it is only being started".to_owned()),
            Pulse::Fails(why) => Err(why),
        });
        self.standing.send_if_modified(|known| {
            let process = process.unwrap_or_else(|| known.process.clone());
            let deadlines = self.written.clone();
            let new = Standing { deadlines, process };
            let is_news = *known != new;
            *known = new;
            is_news
        });
    }
}

/// Of this version: one that was upgraded starts a fence of its own, and the former leaves.
fn is_ours(beat: &Beat, now: Moment) -> bool {
    beat.is_fresh(now) && beat.version == env!("CARGO_PKG_VERSION")
}

#[cfg(test)]
mod tests;
