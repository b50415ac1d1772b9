//! Data of instances that move: between this node and others, and between the disk and the engine.
//!
//! The node decides who may ask for what and when (`core/reconcile/moving.rs`); here it is carried. What another node asks waits
//! until the node answers, and hears every few seconds that it is not forgotten.

mod arrival;
mod bring;
mod pour;
mod room;
mod send;
mod survey;
mod unpack;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use kontena_core::id::{InstanceId, NodeId};
use kontena_core::node::Input;
use kontena_core::reconcile::action::{Failure, MoveStep, Outcome, Success};
use kontena_core::reconcile::{Arrival, AskId, MoveAsk};
use kontena_core::view::View;
use tokio::sync::{RwLock, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::docker::Docker;
use crate::p2p::{P2p, PeerStream};

use arrival::{Arrivals, Landing};
use send::{Pending, Promise, Sending};

/// Of other nodes, that wait for an answer or for data.
const MAX_ASKS: usize = 64;
/// For what is to be removed when the daemon stops; what is left is removed when it starts.
const END_LIMIT: Duration = Duration::from_secs(4);

const UNWANTED: &str = "nobody waits for it any more";

/// What carries data. Clones share what is under way.
#[derive(Clone)]
pub(super) struct NodeMoves {
    docker: Docker,
    p2p: P2p,
    views: watch::Receiver<Arc<View>>,
    inputs: mpsc::Sender<Input>,
    arrivals: Arrivals,
    /// What other nodes are promised, by their questions.
    asks: Arc<Mutex<BTreeMap<AskId, oneshot::Sender<Promise>>>>,
    last: Arc<AtomicU64>,
    under_way: UnderWay,
}

/// What came to the data directory in earlier lives. What is nobody's is removed meanwhile, which may take minutes.
///
/// # Errors
/// It cannot be read.
pub(super) fn arrivals(data: &Path) -> anyhow::Result<BTreeMap<InstanceId, Arrival>> {
    let (found, gone) = Arrivals::of(data).list()?;
    // No task: the daemon would wait for it when it stops.
    std::thread::spawn(move || gone.iter().for_each(|folder| remove(folder)));
    Ok(found)
}

fn remove(folder: &Path) {
    if let Err(problem) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%problem, path = %folder.display(), "What is left of a move could not be removed");
    }
}

impl NodeMoves {
    pub(super) fn new(
        docker: Docker,
        p2p: P2p,
        views: watch::Receiver<Arc<View>>,
        inputs: mpsc::Sender<Input>,
        data: &Path,
    ) -> Self {
        Self {
            docker,
            p2p,
            views,
            inputs,
            arrivals: Arrivals::of(data),
            asks: Arc::default(),
            last: Arc::default(),
            under_way: UnderWay::default(),
        }
    }

    /// Ends all that is under way.
    pub(super) async fn end(&self) {
        if !self.under_way.end().await {
            tracing::warn!("Steps of moves were left behind");
        }
    }

    /// Another node asks.
    pub(super) fn serve(&self, from: NodeId, asked: MoveAsk, stream: PeerStream) {
        let id = AskId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let (promise, promised) = oneshot::channel();
        {
            let mut asks = self.asks();
            asks.retain(|_, waiting| !waiting.is_closed());
            if asks.len() >= MAX_ASKS {
                tracing::debug!(node = %from.short(), "Too many nodes ask for data");
                return;
            }
            asks.insert(id, promise);
        }
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let input = Input::MoveAsked { id, from, asked };
            // The daemon is stopping when nobody takes it.
            if inputs.send(input).await.is_ok() {
                Pending::new(stream, promised).run().await;
            }
        });
    }

    /// The node's answer to another one that asked.
    pub(super) fn answer(&self, id: AskId, answer: Result<(), String>) {
        if let Some(waiting) = self.asks().remove(&id) {
            // It may have gone.
            let _ = waiting.send(Promise::Answer(answer));
        }
    }

    /// Carries a step out, until `is_over`: then nobody waits for it any more.
    pub(super) async fn carry_out(
        &self,
        step: MoveStep,
        is_over: CancellationToken,
        tell: &(dyn Fn(u8) + Send + Sync),
    ) -> Outcome {
        let work = self.go_through(step, is_over.clone(), tell);
        self.under_way.until_end(work, &is_over).await
    }

    async fn go_through(
        &self,
        step: MoveStep,
        is_over: CancellationToken,
        tell: &(dyn Fn(u8) + Send + Sync),
    ) -> Outcome {
        match step {
            MoveStep::Send {
                ask,
                copies,
                megabits,
                ..
            } => {
                let Some(waiting) = self.asks().remove(&ask) else {
                    return Err(broke("nobody listens any more"));
                };
                let sending = Sending {
                    docker: self.docker.clone(),
                    grid: self.grid()?,
                    copies,
                    megabits,
                    is_over,
                };
                send::promise(waiting, sending, tell).await
            }
            MoveStep::Bring {
                instance,
                from,
                epoch,
                copies,
                ..
            } => {
                let landing = Landing::new(instance, epoch, copies);
                self.bring(from, landing, is_over).await
            }
            MoveStep::Release {
                instance,
                epoch,
                from,
            } => self.release(from, instance, epoch).await,
            MoveStep::Accept { instance, epoch } => self.accept(instance, epoch, is_over).await,
            MoveStep::Discard { instance } => self.discard(instance).await,
        }
    }

    /// What came is removed from the engine, and then from the disk.
    async fn discard(&self, instance: InstanceId) -> Outcome {
        let (arrivals, id) = (self.arrivals.clone(), instance.clone());
        let made = on_disk(move || arrivals.made(&id)).await;
        for (name, copy) in made.map_err(|problem| refused(&problem))? {
            self.docker.remove_arrival(&name, &copy).await?;
        }
        let arrivals = self.arrivals.clone();
        match on_disk(move || arrivals.remove(&instance)).await {
            Ok(()) => Ok(Success::Done),
            Err(problem) => Err(refused(&problem)),
        }
    }

    fn grid(&self) -> Result<String, Failure> {
        let grid = self.views.borrow().documents.grid.id;
        let problem = || Failure::Refused {
            problem: "this node is in no grid".to_owned(),
        };
        grid.map(|grid| grid.to_string()).ok_or_else(problem)
    }

    fn asks(&self) -> MutexGuard<'_, BTreeMap<AskId, oneshot::Sender<Promise>>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Steps that are carried out, until this node serves no more.
#[derive(Clone, Debug, Default)]
struct UnderWay {
    steps: Arc<RwLock<()>>,
    life: CancellationToken,
}

impl UnderWay {
    /// A step, which is told by `is_over` to end, and waited for.
    async fn until_end<T>(&self, step: impl Future<Output = T>, is_over: &CancellationToken) -> T {
        let _step = self.steps.read().await;
        let mut step = std::pin::pin!(step);
        tokio::select! {
            done = &mut step => return done,
            () = self.life.cancelled() => is_over.cancel(),
        }
        step.await
    }

    /// Whether all of them ended in time.
    async fn end(&self) -> bool {
        self.life.cancel();
        timeout(END_LIMIT, self.steps.write()).await.is_ok()
    }
}

/// Work that waits for the disk, which other tasks do not.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.context("failed to wait for the disk")?
}

/// It failed for a reason that the next attempt may well meet again.
fn refused(problem: &anyhow::Error) -> Failure {
    let problem = format!("{problem:#}");
    Failure::Refused { problem }
}

/// The other node is gone, or nobody waits any more: nothing follows from it.
fn broke(problem: impl ToString) -> Failure {
    let problem = problem.to_string();
    Failure::Unreachable { problem }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_told_to_end_and_has_time_to_remove_what_it_made() {
        let under_way = UnderWay::default();
        let is_over = CancellationToken::new();
        let (steps, over) = (under_way.clone(), is_over.clone());
        let step = tokio::spawn(async move {
            let work = async {
                over.cancelled().await;
                sleep(Duration::from_secs(2)).await;
                "removed"
            };
            steps.until_end(work, &over).await
        });
        tokio::task::yield_now().await;
        let begin = Instant::now();
        assert!(under_way.end().await);
        assert_eq!(begin.elapsed().as_secs(), 2);
        assert_eq!(step.await.unwrap(), "removed");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_for_what_does_not_end() {
        let under_way = UnderWay::default();
        let steps = under_way.clone();
        let is_over = CancellationToken::new();
        let step = tokio::spawn(async move {
            steps
                .until_end(std::future::pending::<()>(), &is_over)
                .await;
        });
        tokio::task::yield_now().await;
        let begin = Instant::now();
        assert!(!under_way.end().await);
        assert_eq!(begin.elapsed(), END_LIMIT);
        step.abort();
    }
}
