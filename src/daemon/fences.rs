//! Writes for the fence until when containers may run, and sees to it that there is a fence.
//!
//! It works on a thread of its own, because a disk may take long and the node's loop must not. The fence process outlives it:
//! whatever becomes of the daemon, what was written counts. Not here: what the fence does (`crate::fence`), and what follows
//! where there is none (the core, and `docker::fencing` before each start).

mod keeper;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use kontena_core::lease::FenceTag;
use kontena_core::node::Input;
use tokio::sync::mpsc;

use crate::fence::{Fences, Folder, Moment, Tag};

use keeper::Keeper;

/// In the data directory.
const FOLDER: &str = "fences";

/// What is wanted and not written yet: of each tag the last word.
#[derive(Debug, Default)]
struct Wanted {
    deadlines: Mutex<BTreeMap<Tag, Moment>>,
    has_ended: AtomicBool,
}

impl Wanted {
    fn set(&self, tag: Tag, until: Moment) {
        let mut deadlines = self
            .deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        deadlines.insert(tag, until);
    }

    fn take(&self) -> BTreeMap<Tag, Moment> {
        let mut deadlines = self
            .deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut deadlines)
    }
}

/// The thread that writes, from outside.
pub(super) struct Fencing {
    wanted: Arc<Wanted>,
    thread: JoinHandle<()>,
}

impl Fencing {
    /// # Errors
    /// Its folder cannot be used.
    pub(super) fn start(
        data_dir: &Path,
        inputs: mpsc::Sender<Input>,
    ) -> anyhow::Result<(Self, Fences)> {
        let folder = Folder::open(&data_dir.join(FOLDER))?;
        let dir = folder.path().to_owned();
        let (standing, fences) = Fences::channel();
        let mut keeper = Keeper::new(folder, Box::new(move || start_fence(&dir)), standing)?;
        let wanted = Arc::<Wanted>::default();
        let taken = Arc::clone(&wanted);
        let thread = thread::Builder::new().name("fences".to_owned());
        let thread = thread.spawn(move || {
            while !taken.has_ended.load(Ordering::Relaxed) {
                if let Some(told) = keeper.step(taken.take(), Moment::now()) {
                    // The daemon is stopping when nobody takes it.
                    drop(inputs.blocking_send(Input::Fenced(told)));
                }
                thread::park_timeout(keeper.pause());
            }
        });
        let thread = thread.context("failed to start the thread of the fence")?;
        Ok((Self { wanted, thread }, fences))
    }

    /// Nothing that carries the tag may run after this. The last word counts.
    pub(super) fn hold(&self, tag: FenceTag, until: Moment) {
        self.wanted.set(tag.into(), until);
        self.thread.thread().unpark();
    }
}

/// It does not matter when: whatever was written counts on, and the fence goes by it.
impl Drop for Fencing {
    fn drop(&mut self) {
        self.wanted.has_ended.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
    }
}

/// Starts a fence that nobody but the kernel ends with the daemon. Its program is this process's, also where the file was
/// replaced by another version.
fn start_fence(dir: &Path) -> anyhow::Result<()> {
    let program = PathBuf::from("/proc/self/exe");
    let mut command = Command::new(program);
    let command = std::os::unix::process::CommandExt::arg0(&mut command, "kontena");
    let command = command.args(["fence", "--dir"]).arg(dir);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.current_dir("/").spawn();
    let child = child.context("failed to start it")?;
    tracing::info!(process = child.id(), "Started the fence");
    let waiting = thread::Builder::new().name("fence".to_owned());
    // Where there can be no thread, what is left of it goes with the daemon.
    drop(waiting.spawn(move || wait_for(child)));
    Ok(())
}

/// Takes note of its end, so that nothing of it is left.
fn wait_for(mut child: Child) {
    let process = child.id();
    match child.wait() {
        Ok(status) => tracing::info!(process, %status, "The fence ended"),
        Err(problem) => tracing::debug!(process, %problem, "The end of the fence is not known"),
    }
}
