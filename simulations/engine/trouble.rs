//! What may be wrong with an engine for a time.

use std::time::Duration;

/// All that is wrong with one engine now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// It does not answer; containers go on running.
    pub hangs: bool,
    /// Containers exit as soon as they are started.
    pub fails_starts: bool,
    /// Its disk is full: no volume can be made.
    pub no_room: bool,
    /// No image can be pulled.
    pub no_pulls: bool,
    /// How long a pull takes, if not as usual.
    pub pull: Option<Duration>,
    /// Containers ignore the stop signal, and are killed when their grace is over.
    pub ignores_stop: bool,
    /// Hooks fail.
    pub fails_hooks: bool,
    /// Hooks go on until they are ended, and fail.
    pub hangs_hooks: bool,
    /// All containers that are asked how they are do not do their work.
    pub sickens: Option<Illness>,
    /// Thousandths of the answers that are lost, though the thing was done.
    pub loses_answers: u64,
}

/// How a container that runs answers when it does not do its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Illness {
    #[default]
    Fails,
    /// Not at all.
    Hangs,
}
