//! Commands in containers and one-off ones, and what engines say of containers: here, or over a stream from the node that has them.
//!
//! On the wire: frames of [`crate::api::types::exec`] for a command; one JSON value for what the engine says, or counts.

mod one_off;
mod session;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kontena_core::id::NodeId;
use kontena_core::reconcile::action::ContainerId;
use kontena_core::view::View;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use self::one_off::Maker;
use self::session::{Errand, Session};
use super::streams::{OfContainer, Purpose};
use crate::api::backend::{Carried, Containers, OneOffAsked};
use crate::api::client::READ_LIMIT;
use crate::api::types::usage::{CpuUse, MemoryUse, NetworkUse, Usage};
use crate::docker::{self, Docker};
use crate::p2p::{P2p, PeerStream};

/// Commands that run in this node's containers at a time, whoever asked for them.
const MOST: usize = 128;
/// One-off containers at a time: each has one of the 15 addresses that the engine hands out itself, and people attach
/// containers by hand.
const MOST_ONE_OFFS: usize = 12;

/// On its way between the API here and the command here.
const PIPE: usize = 256 * 1024;

const MAX_ANSWER: u64 = 8 << 20;
const LIMIT: Duration = Duration::from_secs(10);
/// Whoever asked this node hears of a silent one, and not silence.
const _: () = assert!(LIMIT.as_secs() < READ_LIMIT.as_secs());
/// A command that is told to end has two seconds.
const END_LIMIT: Duration = Duration::from_secs(4);

/// The containers of all nodes, as this node can reach them.
#[derive(Clone)]
pub(super) struct NodeContainers {
    me: NodeId,
    docker: Docker,
    p2p: P2p,
    view: watch::Receiver<Arc<View>>,
    places: Arc<Semaphore>,
    one_off_places: Arc<Semaphore>,
    /// Changed once this node serves no more.
    life: watch::Sender<bool>,
}

impl NodeContainers {
    pub(super) fn new(
        me: NodeId,
        docker: Docker,
        p2p: P2p,
        view: watch::Receiver<Arc<View>>,
    ) -> Self {
        Self {
            me,
            docker,
            p2p,
            view,
            places: Arc::new(Semaphore::new(MOST)),
            one_off_places: Arc::new(Semaphore::new(MOST_ONE_OFFS)),
            life: watch::Sender::new(false),
        }
    }

    /// Ends every command that somebody waits for.
    pub(super) async fn end(&self) {
        self.life.send_replace(true);
        let all = |most: usize| u32::try_from(most).unwrap_or(u32::MAX);
        let ended = async {
            drop(self.places.acquire_many(all(MOST)).await);
            drop(self.one_off_places.acquire_many(all(MOST_ONE_OFFS)).await);
        };
        if timeout(END_LIMIT, ended).await.is_err() {
            tracing::warn!("Commands in containers were left behind");
        }
    }

    /// Of this grid: what carries another one's labels is not there.
    fn grid(&self) -> Option<String> {
        let grid = self.view.borrow().documents.grid.id;
        grid.map(|grid| grid.to_string())
    }

    fn exec_session(&self, from: NodeId, container: String) -> Session {
        let errand = Errand::Exec {
            grid: self.grid(),
            container: ContainerId(container),
        };
        self.session(from, errand, &self.places)
    }

    fn one_off_session(&self, from: NodeId, asked: OneOffAsked) -> Session {
        let maker = Maker {
            docker: self.docker.clone(),
            me: self.me,
            view: self.view.clone(),
            asked,
        };
        self.session(from, Errand::OneOff(maker), &self.one_off_places)
    }

    fn session(&self, from: NodeId, errand: Errand, places: &Arc<Semaphore>) -> Session {
        Session {
            docker: self.docker.clone(),
            errand,
            from,
            place: Arc::clone(places).try_acquire_owned().ok(),
            life: self.life.subscribe(),
        }
    }

    /// Carries a command out for a member that asks for it.
    pub(super) fn serve_exec(&self, from: NodeId, container: String, stream: PeerStream) {
        tokio::spawn(self.exec_session(from, container).run(stream));
    }

    /// Makes a container for a member that asks for it, and carries its command out.
    pub(super) fn serve_one_off(&self, from: NodeId, asked: OneOffAsked, stream: PeerStream) {
        tokio::spawn(self.one_off_session(from, asked).run(stream));
    }

    /// Tells a member what the engine says.
    pub(super) fn serve_inspect(&self, from: NodeId, container: String, stream: PeerStream) {
        let containers = self.clone();
        serve(from, stream, async move {
            containers.told_here(container).await
        });
    }

    /// Tells a member what a container uses.
    pub(super) fn serve_usage(&self, from: NodeId, container: String, stream: PeerStream) {
        let containers = self.clone();
        serve(from, stream, async move {
            containers.used_here(container).await
        });
    }

    async fn told_here(&self, container: String) -> Result<Value, String> {
        let grid = self.grid().ok_or("this node is in no grid")?;
        self.docker
            .inspect_whole(&ContainerId(container), &grid)
            .await
    }

    async fn used_here(&self, container: String) -> Result<Usage, String> {
        let grid = self.grid().ok_or("this node is in no grid")?;
        let used = self.docker.usage(&ContainerId(container), &grid).await?;
        Ok(on_the_wire(used))
    }

    /// A command on another node.
    async fn there(&self, node: NodeId, asked: Purpose) -> Result<Box<dyn Carried>, String> {
        let stream = self.p2p.open_stream(node, &asked.header()?).await;
        let stream = stream.map_err(|problem| format!("{problem:#}"))?;
        Ok(Box::new(stream))
    }

    /// What another node answers to a question that is all in its header.
    async fn ask<T: DeserializeOwned>(&self, node: NodeId, asked: Purpose) -> Result<T, String> {
        let stream = self.p2p.open_stream(node, &asked.header()?).await;
        let stream = stream.map_err(|problem| format!("{problem:#}"))?;
        let mut bytes = Vec::new();
        let read = stream.take(MAX_ANSWER).read_to_end(&mut bytes).await;
        read.map_err(|problem| problem.to_string())?;
        let told: Result<Result<T, String>, _> = serde_json::from_slice(&bytes);
        told.map_err(|problem| format!("its answer cannot be read: {problem}"))?
    }
}

/// A command on this node.
fn here(session: Session) -> Box<dyn Carried> {
    let (near, far) = duplex(PIPE);
    tokio::spawn(session.run(far));
    Box::new(near)
}

/// Answers a member, and ends the stream.
fn serve<T: Serialize + Send + 'static>(
    from: NodeId,
    stream: PeerStream,
    told: impl Future<Output = Result<T, String>> + Send + 'static,
) {
    tokio::spawn(async move {
        let answered = async { answer(told.await, stream).await };
        if let Ok(Err(problem)) = timeout(LIMIT, answered).await {
            tracing::debug!(node = %from.short(), problem = format!("{problem:#}"), "What the engine says of a container was not told");
        }
    });
}

async fn answer<T: Serialize>(
    told: Result<T, String>,
    mut stream: PeerStream,
) -> anyhow::Result<()> {
    stream.write_all(&serde_json::to_vec(&told)?).await?;
    Ok(stream.shutdown().await?)
}

fn on_the_wire(used: docker::Usage) -> Usage {
    let network = used.received_bytes.zip(used.sent_bytes);
    Usage {
        cpu: used.cpu_percent.map(|usage| CpuUse { usage }),
        memory: used.memory_bytes.map(|usage| MemoryUse {
            usage,
            limit: used.memory_limit,
        }),
        network: network.map(|(rx_bytes, tx_bytes)| NetworkUse { rx_bytes, tx_bytes }),
    }
}

/// Nobody is waited for for ever.
async fn in_time<T>(asking: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let silent = |_| format!("no answer in {} s", LIMIT.as_secs());
    timeout(LIMIT, asking).await.map_err(silent)?
}

impl Containers for NodeContainers {
    fn exec(
        &self,
        node: NodeId,
        container: String,
    ) -> BoxFuture<'_, Result<Box<dyn Carried>, String>> {
        if node == self.me {
            return ready(Ok(here(self.exec_session(node, container)))).boxed();
        }
        self.there(node, Purpose::Exec(OfContainer { container }))
            .boxed()
    }

    fn run(
        &self,
        node: NodeId,
        asked: OneOffAsked,
    ) -> BoxFuture<'_, Result<Box<dyn Carried>, String>> {
        if node == self.me {
            return ready(Ok(here(self.one_off_session(node, asked)))).boxed();
        }
        self.there(node, Purpose::OneOff(asked)).boxed()
    }

    fn inspect(&self, node: NodeId, container: String) -> BoxFuture<'_, Result<Value, String>> {
        let asking = async move {
            match node == self.me {
                true => self.told_here(container).await,
                false => {
                    self.ask(node, Purpose::Inspect(OfContainer { container }))
                        .await
                }
            }
        };
        in_time(asking).boxed()
    }

    fn usage(&self, node: NodeId, container: String) -> BoxFuture<'_, Result<Usage, String>> {
        let asking = async move {
            match node == self.me {
                true => self.used_here(container).await,
                false => {
                    self.ask(node, Purpose::Usage(OfContainer { container }))
                        .await
                }
            }
        };
        in_time(asking).boxed()
    }
}
