//! How the network of a node is: asked of the task here, or over a stream of the node that has it.
//!
//! On the wire the answer is one [`NodeNetwork`] as JSON.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kontena_core::id::NodeId;
use kontena_names::Meter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Questions;
use crate::api::backend::Networks;
use crate::api::types::network::NodeNetwork;
use crate::daemon::streams::Purpose;
use crate::p2p::{P2p, PeerStream};

/// About 4,000 peers of 300 bytes each.
const MAX_ANSWER: u64 = 2 * 1024 * 1024;
const LIMIT: Duration = Duration::from_secs(5);

/// The networks of all nodes, as this node can ask for them.
#[derive(Clone)]
pub(in crate::daemon) struct NodeNetworks {
    me: NodeId,
    questions: Questions,
    p2p: P2p,
    /// `None` where no names are served.
    names: Option<Meter>,
}

impl NodeNetworks {
    pub(in crate::daemon) fn new(
        me: NodeId,
        questions: Questions,
        p2p: P2p,
        names: Option<Meter>,
    ) -> Self {
        Self {
            me,
            questions,
            p2p,
            names,
        }
    }

    async fn here(&self) -> Result<NodeNetwork, String> {
        let gone = || "the daemon is stopping".to_owned();
        let (answer, answered) = oneshot::channel();
        self.questions.send(answer).await.map_err(|_| gone())?;
        let mut network = answered.await.map_err(|_| gone())?;
        let counts = self.names.iter().flat_map(|meter| meter.read().named());
        network.names = counts
            .map(|(what, count)| (what.to_owned(), count))
            .collect();
        Ok(network)
    }

    async fn there(&self, node: NodeId) -> Result<NodeNetwork, String> {
        let header = Purpose::Network(true).header()?;
        let stream = self.p2p.open_stream(node, &header).await;
        let stream = stream.map_err(|problem| format!("{problem:#}"))?;
        let mut bytes = Vec::new();
        let mut bounded = stream.take(MAX_ANSWER);
        bounded
            .read_to_end(&mut bytes)
            .await
            .map_err(|problem| problem.to_string())?;
        serde_json::from_slice(&bytes)
            .map_err(|problem| format!("its answer cannot be read: {problem}"))
    }

    /// Answers a member that asks for this node's network.
    pub(in crate::daemon) fn serve(&self, from: NodeId, stream: PeerStream) {
        let networks = self.clone();
        tokio::spawn(async move {
            if let Err(problem) = networks.answer(stream).await {
                tracing::debug!(node = %from.short(), problem = format!("{problem:#}"), "A question about the network was not answered");
            }
        });
    }

    async fn answer(&self, mut stream: PeerStream) -> anyhow::Result<()> {
        let answered = async {
            let network = self.here().await.map_err(anyhow::Error::msg)?;
            stream.write_all(&serde_json::to_vec(&network)?).await?;
            Ok(stream.shutdown().await?)
        };
        timeout(LIMIT, answered).await?
    }
}

impl Networks for NodeNetworks {
    fn of(&self, node: NodeId) -> BoxFuture<'_, Result<NodeNetwork, String>> {
        async move {
            let asking = async {
                match node == self.me {
                    true => self.here().await,
                    false => self.there(node).await,
                }
            };
            let silent = |_| format!("no answer in {} s", LIMIT.as_secs());
            timeout(LIMIT, asking).await.map_err(silent)?
        }
        .boxed()
    }
}
