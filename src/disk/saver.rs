//! A thread that saves: in order, several saves at a time where they have queued up. It also reads all that is there.

use std::thread::JoinHandle;

use anyhow::Context;
use kontena_core::node::{Record, SaveId, SavedState};
use tokio::sync::{mpsc, oneshot};

use super::Disk;

/// Saves that wait at once. A sync takes 1 to 20 ms; whoever fills this is faster than the disk, and
/// waits.
const QUEUE: usize = 256;

/// Saves in one transaction: they share one sync, and one fate.
const TOGETHER: usize = 64;

/// What became of a save: everything up to it is on disk, or why not.
pub(crate) type Saved = (SaveId, Result<(), String>);

/// Something for the disk's thread to do.
#[derive(Debug)]
enum Work {
    Save(SaveId, Vec<Record>),
    Read(oneshot::Sender<anyhow::Result<SavedState>>),
}

/// Hands saves to the disk's thread.
#[derive(Debug)]
pub(crate) struct Saver {
    queue: mpsc::Sender<Work>,
    thread: JoinHandle<()>,
}

/// Reads what is on the disk, as long as its thread runs.
#[derive(Clone, Debug)]
pub(crate) struct Reader(mpsc::WeakSender<Work>);

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
        let queued = self.queue.send(Work::Save(id, records)).await;
        queued.ok().context("the disk's thread has ended")
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader(self.queue.downgrade())
    }

    /// Waits until everything that was queued is saved and the directory is free again. Blocks.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        drop(self.queue);
        let ended = self.thread.join();
        ended.ok().context("the disk's thread panicked")
    }
}

impl Reader {
    /// Everything of the grid that is saved, once what was queued before is.
    pub(crate) async fn read(&self) -> anyhow::Result<SavedState> {
        let ended = "the disk's thread has ended";
        let (answer, answered) = oneshot::channel();
        let queue = self.0.upgrade().context(ended)?;
        queue.send(Work::Read(answer)).await.ok().context(ended)?;
        // It must not keep the thread from ending.
        drop(queue);
        answered.await.context(ended)?
    }
}

fn save_all(
    mut disk: Disk,
    mut work: mpsc::Receiver<Work>,
    answers: &mpsc::UnboundedSender<Saved>,
) {
    let mut batch = Vec::new();
    let mut trouble = None;
    while work.blocking_recv_many(&mut batch, TOGETHER) > 0 {
        let mut ids = Vec::new();
        let mut records = Vec::new();
        let mut readers = Vec::new();
        for wanted in batch.drain(..) {
            match wanted {
                Work::Save(id, wanted) => {
                    ids.push(id);
                    records.extend(wanted);
                }
                Work::Read(answer) => readers.push(answer),
            }
        }
        if !ids.is_empty() {
            let result = disk.save(&records).map_err(|error| format!("{error:#}"));
            trouble = tell(trouble, result.as_ref().err());
            for id in ids {
                // Nobody listens any more: the daemon is ending, and what it queued is still saved.
                drop(answers.send((id, result.clone())));
            }
        }
        for reader in readers {
            // Whoever asked may be gone.
            drop(reader.send(disk.read()));
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
