//! The fence itself: two threads, of which one reads files and beats, and the other kills.
//!
//! It has no other parts: no runtime, no connections, and nothing that it waits for before it kills.

mod hardening;
mod words;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::beat::{self, Beat};
use super::board::{Board, LOOKS_EVERY};
use super::carriers::kill;
use super::{Folder, Moment, Tag};

/// One that has nothing to do for so long ends.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A fence of one folder.
pub(crate) struct Fence {
    folder: Folder,
    board: Arc<Board>,
    own: Beat,
    idle_limit: Duration,
    /// Since when it has nothing to do.
    idle_since: Option<Moment>,
    beaten: Option<Moment>,
}

/// Why a fence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Idle,
    Replaced,
}

impl Fence {
    /// Takes the process for its own.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(crate) fn begin(dir: &Path, idle_limit: Duration) -> anyhow::Result<Self> {
        hardening::harden();
        let now = Moment::now();
        Ok(Self {
            folder: Folder::open(dir)?,
            board: Arc::default(),
            own: Beat {
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_nanos: now,
                at_nanos: now,
            },
            idle_limit,
            idle_since: None,
            beaten: None,
        })
    }

    /// Until there is nothing to do, or another one does it.
    ///
    /// # Errors
    /// There can be no second thread.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        self.read(Moment::now());
        let board = Arc::clone(&self.board);
        let killer = thread::Builder::new().name("killer".to_owned());
        let killer = killer.spawn(move || kill_for_ever(&board));
        killer.context("failed to start the thread that kills")?;
        while self.step(Moment::now()).is_none() {
            thread::sleep(LOOKS_EVERY);
        }
        Ok(())
    }

    fn step(&mut self, now: Moment) -> Option<End> {
        if self.is_replaced(now) {
            return Some(End::Replaced);
        }
        self.read(now);
        let end = self.rest(now);
        if end.is_none() {
            self.beat(now);
        }
        self.board
            .take_words()
            .iter()
            .for_each(|text| words::say(text));
        end
    }

    /// A fence that was stopped finds another in its place when it goes on.
    fn is_replaced(&self, now: Moment) -> bool {
        match self.folder.beat() {
            Ok(beat) => beat.is_some_and(|beat| beat.replaces(&self.own, now)),
            Err(problem) => {
                self.board.say(format!("{problem:#}"));
                false
            }
        }
    }

    /// What was known before stays where nothing can be read.
    fn read(&self, now: Moment) {
        match self.folder.deadlines() {
            Ok(deadlines) => self.board.renew(deadlines, now),
            Err(problem) => self.board.say(format!("{problem:#}")),
        }
    }

    /// Ends where there was nothing to do for long. Whoever writes a file looks afterwards whether a fence beats: this
    /// one stops beating first, and looks for files afterwards. So one of the two sees the other.
    fn rest(&mut self, now: Moment) -> Option<End> {
        if self.board.has_work(now) {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert(now);
        if now.since(since) < self.idle_limit {
            return None;
        }
        if let Err(problem) = self.folder.remove_beat() {
            self.board.say(format!("{problem:#}"));
        }
        self.beaten = None;
        self.read(now);
        (!self.board.has_work(now)).then_some(End::Idle)
    }

    /// Says when it was looked last: a fence that does not kill is none.
    fn beat(&mut self, now: Moment) {
        let is_early = self
            .beaten
            .is_some_and(|last| now.since(last) < beat::EVERY);
        let looked = self.board.last_look();
        if is_early || looked < self.own.started_nanos {
            return;
        }
        self.own.at_nanos = looked;
        match self.folder.write_beat(&self.own) {
            Ok(()) => self.beaten = Some(now),
            Err(problem) => self.board.say(format!("{problem:#}")),
        }
    }
}

/// Looks once before anything is over: what it takes to kill is in memory then, whatever becomes of the disk.
fn kill_for_ever(board: &Board) {
    let mut tags = BTreeSet::from_iter(Tag::read(&"0".repeat(32)));
    loop {
        let killed = if tags.is_empty() {
            Default::default()
        } else {
            kill(&tags)
        };
        killed.problems.into_iter().for_each(|text| board.say(text));
        let now = Moment::now();
        thread::sleep(board.looked(&killed.living, now));
        tags = board.over(Moment::now());
    }
}
