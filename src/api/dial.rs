//! From this node to a service, over the grid's network, for whoever stands outside of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::ServiceKey;
use kontena_core::network::zone::{Target, service_name, zone};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer::Refused;
use super::present::Snapshot;

/// Connections that are carried at a time: each keeps two sockets.
const MOST: usize = 256;
/// Instances that are tried.
const TRIES: usize = 4;
/// For each: a handshake of the overlay takes well below a second.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// The connections that this node carries.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    places: Arc<Semaphore>,
}

/// A connection to an instance.
#[derive(Debug)]
pub(super) struct Dialed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Default for Dialer {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
        }
    }
}

impl Dialer {
    /// Connects to an instance, those first that are healthy; among equals `chance` says where to begin.
    ///
    /// # Errors
    /// Nobody has that name, nobody has an address, or nobody answers.
    pub(super) async fn dial(
        &self,
        snapshot: &Snapshot,
        key: &ServiceKey,
        port: u16,
        chance: u8,
    ) -> Result<Dialed, Refused> {
        snapshot.service(key)?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Refused::busy())?;
        let targets = targets(snapshot, key, chance);
        let mut problem = None;
        for target in targets.iter().take(TRIES) {
            let address = SocketAddr::new(target.address, port);
            match connect(address).await {
                Ok(stream) => {
                    return Ok(Dialed {
                        stream,
                        _place: place,
                    });
                }
                Err(refused) => problem = Some((address, refused)),
            }
        }
        Err(match problem {
            Some((address, problem)) => {
                Refused::unreachable(&format!("`{key}` at {address}: {problem}"))
            }
            None => Refused::unreachable(&format!("no instance of `{key}` has an address")),
        })
    }
}

impl Dialed {
    /// Hands bytes on in both directions until both have ended.
    pub(super) async fn carry(mut self, mut other: impl AsyncRead + AsyncWrite + Unpin) {
        if let Err(problem) = copy_bidirectional(&mut other, &mut self.stream).await {
            tracing::debug!(%problem, "A carried connection broke");
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Where a service is, the better class first.
fn targets(snapshot: &Snapshot, key: &ServiceKey, chance: u8) -> Vec<Target> {
    let zone = zone(&snapshot.view);
    let records = zone.get(&service_name(&snapshot.grid, key));
    let mut targets: Vec<Target> = records
        .map(|found| found.targets.to_vec())
        .unwrap_or_default();
    for class in targets.chunk_by_mut(|a, b| a.class == b.class) {
        let begin = usize::from(chance) % class.len();
        class.rotate_left(begin);
    }
    targets
}
