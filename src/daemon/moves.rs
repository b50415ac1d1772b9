//! Data of instances that move: between this node and others, and between the disk and the engine.
//!
//! The node decides who may ask for what and when (`core/reconcile/moving.rs`); here it is carried. What another node asks waits
//! until the node answers, and hears every few seconds that it is not forgotten.

mod arrival;
mod bring;
mod send;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kontena_core::id::{InstanceId, NodeId};
use kontena_core::node::Input;
use kontena_core::reconcile::action::{Failure, MoveStep, Outcome, Success};
use kontena_core::reconcile::{Arrival, AskId, MoveAsk};
use kontena_core::view::View;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::docker::Docker;
use crate::p2p::{P2p, PeerStream};

use arrival::{Arrivals, Landing};
use send::{Pending, Promise, Sending};

/// Of other nodes, that wait for an answer or for data.
const MAX_ASKS: usize = 64;

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
}

/// What came to the data directory in earlier lives.
///
/// # Errors
/// It cannot be read.
pub(super) fn arrivals(data: &Path) -> anyhow::Result<BTreeMap<InstanceId, Arrival>> {
    Arrivals::of(data).list()
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
            MoveStep::Accept { instance, epoch } => done(self.arrivals.accept(&instance, epoch)),
            MoveStep::Discard { instance } => self.discard(&instance).await,
        }
    }

    /// What came is removed from the engine, and then from the disk.
    async fn discard(&self, instance: &InstanceId) -> Outcome {
        let made = self.arrivals.made(instance);
        for (name, copy) in made.map_err(|problem| refused(&problem))? {
            self.docker.remove_arrival(&name, &copy).await?;
        }
        done(self.arrivals.remove(instance))
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

fn done(result: anyhow::Result<()>) -> Outcome {
    match result {
        Ok(()) => Ok(Success::Done),
        Err(problem) => Err(refused(&problem)),
    }
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
