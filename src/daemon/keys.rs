//! The key-value store for containers: a server on the address of their bridge, where names are served too.
//!
//! One task listens once the bridge is there, and elsewhere when its address changes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kontena_core::view::View;
use kontena_names::Prefix;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::naming::{clients, own_address, supernet};
use crate::api::backend::Backend;
use crate::api::server::limits::Limits;
use crate::api::server::serve_keys;

/// etcd's.
pub(super) const PORT: u16 = 2379;

/// How soon an address is listened on that appeared.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The task, from outside.
pub(super) struct KeyServing {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl KeyServing {
    pub(super) fn start(backend: Arc<Backend>) -> Self {
        let (end, ended) = oneshot::channel();
        let worker = Worker {
            backend,
            clients: Arc::default(),
            serving: None,
            problem: None,
        };
        Self {
            end,
            task: tokio::spawn(worker.run(ended)),
        }
    }

    pub(super) async fn end(self) {
        // The task may have ended by itself: it panicked, and has said so.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

struct Worker {
    backend: Arc<Backend>,
    /// Who may ask.
    clients: Arc<RwLock<Vec<Prefix>>>,
    serving: Option<Serving>,
    /// What was said last, so that it is said once.
    problem: Option<String>,
}

/// A server, and where it listens.
struct Serving {
    address: IpAddr,
    /// Dropping it ends the server.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Worker {
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut ended => break,
                _ = look.tick() => self.look().await,
            }
        }
        self.stop().await;
    }

    /// Listens where it has to.
    async fn look(&mut self) {
        let view: Arc<View> = Arc::clone(&self.backend.view.borrow());
        let known = clients(supernet(&view));
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = known;
        let wanted = own_address(&view, &self.backend.me);
        let is_served = self
            .serving
            .as_ref()
            .is_some_and(|serving| Some(serving.address) == wanted && !serving.task.is_finished());
        if is_served {
            return;
        }
        self.stop().await;
        if let Some(address) = wanted {
            let bound = TcpListener::bind(SocketAddr::new(address, PORT)).await;
            self.serve(address, bound);
        }
    }

    fn serve(&mut self, address: IpAddr, bound: io::Result<TcpListener>) {
        match bound {
            Ok(listener) => {
                self.problem = None;
                let (stop, stopped) = oneshot::channel::<()>();
                let clients = Arc::clone(&self.clients);
                let admits = move |from: IpAddr| {
                    let clients = clients.read().unwrap_or_else(PoisonError::into_inner);
                    clients.iter().any(|client| client.contains(from))
                };
                let backend = Arc::clone(&self.backend);
                let limits = Limits::default();
                let task = tokio::spawn(serve_keys(listener, backend, admits, limits, async {
                    // Dropping the sender means the same.
                    let _ = stopped.await;
                }));
                self.serving = Some(Serving {
                    address,
                    stop,
                    task,
                });
            }
            // It is there once the engine's network is made, which has problems of its own.
            Err(problem) if problem.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(problem) => self.tell(format!(
                "keys cannot be served on {address}:{PORT}: {problem}"
            )),
        }
    }

    async fn stop(&mut self) {
        if let Some(Serving { stop, task, .. }) = self.serving.take() {
            drop(stop);
            // It may have panicked, and has said so.
            let _ = task.await;
        }
    }

    fn tell(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!(%problem, "Containers do not find the key-value store");
            self.problem = Some(problem);
        }
    }
}
