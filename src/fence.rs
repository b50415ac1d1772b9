//! The fence: a process that outlives the daemon, and kills what may run no longer.
//!
//! The daemon writes, for each tag, until when containers that carry it may run (`folder`). The fence reads that and
//! kills everything in the tag's control groups once the time is over (`process`, `carriers`): when the daemon is stopped
//! or dead, and nobody moves the time on, too. It is alive as long as it says so (`beat`). Between the two are files
//! alone: there is nothing to connect to, and either may be replaced at any time.
//!
//! Not here: until when (`kontena_core::lease`), and who starts it and writes the files (`daemon::fences`).

mod beat;
mod board;
mod carriers;
mod folder;
mod groups;
mod moment;
mod process;
mod standing;
mod tag;

use std::time::Duration;

pub(crate) use beat::Beat;
pub(crate) use carriers::is_carried;
pub(crate) use folder::{Deadline, Folder};
pub(crate) use groups::remove_groups;
pub(crate) use moment::Moment;
pub(crate) use process::{Fence, IDLE_LIMIT};
pub(crate) use standing::{Fences, Standing};
pub(crate) use tag::Tag;

/// So long after its deadline something with the tag is still looked for: an engine that hung may start what it was told
/// to start long ago.
pub(crate) const WATCHED_AFTER: Duration = Duration::from_secs(10 * 60);
