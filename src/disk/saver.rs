//! A thread that saves: in order, several saves at a time where they have queued up.

use std::thread::JoinHandle;

use anyhow::Context;
use kontena_core::node::{Record, SaveId};
use tokio::sync::mpsc;

use super::Disk;

/// Saves that wait at once. A sync takes 1 to 20 ms; whoever fills this is faster than the disk, and
/// waits.
const QUEUE: usize = 256;

/// Saves in one transaction: they share one sync, and one fate.
const TOGETHER: usize = 64;

/// What became of a save: everything up to it is on disk, or why not.
pub(crate) type Saved = (SaveId, Result<(), String>);

/// Hands saves to the disk's thread.
#[derive(Debug)]
pub(crate) struct Saver {
    queue: mpsc::Sender<(SaveId, Vec<Record>)>,
    thread: JoinHandle<()>,
}

impl Disk {
    /// Saves from now on in a thread of its own. Each save is answered once, in order. The answers
    /// are not bounded: the thread must never wait for whoever waits for the thread, and there are
    /// no more of them than saves, a few bytes each.
    pub(crate) fn start(self) -> anyhow::Result<(Saver, mpsc::UnboundedReceiver<Saved>)> {
        let (queue, work) = mpsc::channel(QUEUE);
        let (answers, answered) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || save_all(self, work, &answers))
            .context("failed to start the disk's thread")?;
        Ok((Saver { queue, thread }, answered))
    }
}

impl Saver {
    /// Queues a save; waits while the queue is full.
    pub(crate) async fn save(&self, id: SaveId, records: Vec<Record>) -> anyhow::Result<()> {
        let queued = self.queue.send((id, records)).await;
        queued.ok().context("the disk's thread has ended")
    }

    /// Waits until everything that was queued is saved and the directory is free again. Blocks.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        drop(self.queue);
        let ended = self.thread.join();
        ended.ok().context("the disk's thread panicked")
    }
}

fn save_all(
    mut disk: Disk,
    mut work: mpsc::Receiver<(SaveId, Vec<Record>)>,
    answers: &mpsc::UnboundedSender<Saved>,
) {
    let mut batch = Vec::new();
    let mut trouble = None;
    while work.blocking_recv_many(&mut batch, TOGETHER) > 0 {
        let mut ids = Vec::new();
        let mut records = Vec::new();
        for (id, wanted) in batch.drain(..) {
            ids.push(id);
            records.extend(wanted);
        }
        let result = disk.save(&records).map_err(|error| format!("{error:#}"));
        trouble = tell(trouble, result.as_ref().err());
        for id in ids {
            // Nobody listens any more: the daemon is ending, and what it queued is still saved.
            drop(answers.send((id, result.clone())));
        }
    }
}

/// Says once that saving fails, and why, and once that it works again: a full disk is tried every second,
/// and its log may be on it. Returns what was said last.
fn tell(before: Option<String>, now: Option<&String>) -> Option<String> {
    match now {
        Some(problem) if before.as_ref() != now => tracing::warn!(%problem, "Saving fails"),
        None if before.is_some() => tracing::info!("Saving works again"),
        Some(_) | None => {}
    }
    now.cloned()
}
