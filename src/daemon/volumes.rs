//! What is in copies of volumes: here, or over a stream from the node that has them.
//!
//! On the wire: frames of [`crate::api::types::exec`]. Of a backup the tar is the output; for one that is put back it is the
//! input, and its end is said. The exit code 0 says that all went well, and nothing else does.

mod attending;
mod backup;
mod remove;
mod restore;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kontena_core::id::NodeId;
use kontena_core::view::View;
use tokio::io::{AsyncRead, AsyncWrite, duplex};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use self::attending::Attending;
use self::backup::Backup;
use super::streams::Purpose;
use crate::api::backend::{Carried, Contents, Volumes};
use crate::docker::Docker;
use crate::p2p::{P2p, PeerStream};

/// Backups of volumes, and those put back, at a time on a node: each keeps a disk busy.
const MOST: usize = 4;
/// On its way between the API here and the copy here.
const PIPE: usize = 256 * 1024;
/// For what is to be removed when the daemon stops; what is left is removed when it starts.
const END_LIMIT: Duration = Duration::from_secs(4);

/// The copies on all nodes, as this node can reach them.
#[derive(Clone)]
pub(super) struct NodeVolumes {
    me: NodeId,
    docker: Docker,
    p2p: P2p,
    view: watch::Receiver<Arc<View>>,
    places: Arc<Semaphore>,
    /// Changed once this node serves no more.
    life: watch::Sender<bool>,
}

impl NodeVolumes {
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
            life: watch::Sender::new(false),
        }
    }

    /// Ends all that is under way.
    pub(super) async fn end(&self) {
        self.life.send_replace(true);
        let most = u32::try_from(MOST).unwrap_or(u32::MAX);
        let ended = timeout(END_LIMIT, self.places.acquire_many(most)).await;
        if ended.is_err() {
            tracing::warn!("Backups of volumes were left behind");
        }
    }

    /// Carries it out for a member that asks for it.
    pub(super) fn serve(&self, from: NodeId, contents: Contents, stream: PeerStream) {
        self.carry_out(from, contents, stream);
    }

    fn carry_out<T>(&self, from: NodeId, contents: Contents, io: T)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let attending = Attending {
            place: Arc::clone(&self.places).try_acquire_owned().ok(),
            life: self.life.subscribe(),
        };
        let (docker, me) = (self.docker.clone(), self.me);
        let view = Arc::clone(&self.view.borrow());
        tracing::info!(?contents, asked = %from.short(), "What is in a volume is asked for");
        tokio::spawn(async move {
            let Some(grid) = view.documents.grid.id.map(|grid| grid.to_string()) else {
                return attending.refuse(io, "its node is in no grid").await;
            };
            match contents {
                Contents::Read { copy, live } => {
                    let reading = |out, unheard| async move {
                        let backup = Backup {
                            docker,
                            grid,
                            copy,
                            live,
                        };
                        backup.read(&out, &unheard).await
                    };
                    attending.reading(io, reading).await;
                }
                Contents::Write { copy } if is_moving(&view, &copy) => {
                    let problem = "its instance is being moved: `kontena volume move --cancel` takes that back";
                    attending.refuse(io, problem).await;
                }
                Contents::Write { copy } => {
                    let writing = |fed, unheard| restore::write(docker, grid, copy, fed, unheard);
                    attending.writing(io, writing).await;
                }
                Contents::Remove { copy } => {
                    let removing = remove::remove(docker, view, me, grid, copy);
                    attending.doing(io, removing).await;
                }
            }
        });
    }
}

/// What is copied to another node now must not change.
fn is_moving(view: &View, copy: &str) -> bool {
    let instance = view.bound_user(copy).ok();
    instance.is_some_and(|instance| {
        let record = view.documents.services.get(&instance.service);
        record.is_some_and(|record| record.moving(instance.number).is_some())
    })
}

impl Volumes for NodeVolumes {
    fn open(
        &self,
        node: NodeId,
        contents: Contents,
    ) -> BoxFuture<'_, Result<Box<dyn Carried>, String>> {
        async move {
            if node == self.me {
                let (near, far) = duplex(PIPE);
                self.carry_out(node, contents, far);
                return Ok(Box::new(near) as Box<dyn Carried>);
            }
            let header = Purpose::Contents(contents).header()?;
            let stream = self.p2p.open_stream(node, &header).await;
            let stream = stream.map_err(|problem| format!("{problem:#}"))?;
            Ok(Box::new(stream) as Box<dyn Carried>)
        }
        .boxed()
    }
}
