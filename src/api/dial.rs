//! From this node to a service, over the grid's network, for whoever stands outside of it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kontena_core::id::ServiceKey;
use kontena_core::network::zone::{Target, Zone, Zones, service_name};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::answer::Refused;
use super::carry::carry_both;
use super::present::Snapshot;

/// Connections that are carried at a time: each keeps two sockets.
const MOST: usize = 256;
/// Instances that are tried.
const TRIES: usize = 4;
/// For each: a handshake of the overlay takes well below a second.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// An instance's host may die while nothing is said: its silence is looked into after this, and takes as long again
/// to be taken for an end. What was said and is not acknowledged waits no longer.
const SILENCE: Duration = Duration::from_secs(60);
const KEEPALIVE_PROBES: u32 = 4;

/// The connections that this node carries. They are cut when it is dropped.
#[derive(Debug)]
pub(crate) struct Dialer {
    places: Arc<Semaphore>,
    life: watch::Sender<()>,
    /// Made anew only when the view has changed, and not for each connection.
    zones: Mutex<Zones>,
}

/// A connection to an instance.
#[derive(Debug)]
pub(super) struct Dialed {
    stream: TcpStream,
    life: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
}

impl Default for Dialer {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            life: watch::Sender::new(()),
            zones: Mutex::default(),
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
        let place = self.place()?;
        let targets = targets(&self.zone(snapshot), snapshot, key, chance);
        let mut problem = None;
        for target in targets.iter().take(TRIES) {
            let address = SocketAddr::new(target.address, port);
            match connect(address).await {
                Ok(stream) => return Ok(self.dialed(stream, place)),
                Err(refused) => problem = Some((address, refused)),
            }
        }
        Err(match problem {
            Some((address, problem)) => {
                Refused::unreachable(&format!("`{key}` at {address}: {problem}"))
            }
            None => Refused::no_address(key),
        })
    }

    fn zone(&self, snapshot: &Snapshot) -> Arc<Zone> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        zones.of(&snapshot.view)
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| Refused::busy())
    }

    fn dialed(&self, stream: TcpStream, place: OwnedSemaphorePermit) -> Dialed {
        Dialed {
            stream,
            life: self.life.subscribe(),
            _place: place,
        }
    }
}

impl Dialed {
    /// Hands bytes on in both directions ([`carry_both`]), unless this node serves no more: it may have left the
    /// grid.
    pub(super) async fn carry(mut self, other: impl AsyncRead + AsyncWrite + Unpin) {
        let carried = tokio::select! {
            carried = carry_both(other, &mut self.stream) => carried,
            // Nothing is ever sent: it ends with the dialer.
            _ = self.life.changed() => return,
        };
        if let Err(problem) = carried {
            tracing::debug!(%problem, "A carried connection broke");
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    notice_its_end(&stream)?;
    Ok(stream)
}

/// Half-open connections would keep their places for ever.
fn notice_its_end(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, SILENCE / KEEPALIVE_PROBES)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    let millis = u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, millis)?;
    Ok(())
}

/// Where a service is, the better class first.
fn targets(zone: &Zone, snapshot: &Snapshot, key: &ServiceKey, chance: u8) -> Vec<Target> {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// A carried connection: the client's end, the instance's end, and who carries.
    async fn carried(dialer: &Dialer) -> (DuplexStream, TcpStream, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        let (instance, _) = listener.accept().await.unwrap();
        let dialed = dialer.dialed(stream, dialer.place().unwrap());
        let (client, other) = duplex(1024);
        (client, instance, tokio::spawn(dialed.carry(other)))
    }

    #[tokio::test]
    async fn what_a_client_ends_is_answered_to_the_end_and_gives_its_place_back() {
        let dialer = Dialer::default();
        let (mut client, mut instance, carrying) = carried(&dialer).await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = String::new();
        instance.read_to_string(&mut asked).await.unwrap();
        assert_eq!(asked, "question");
        instance.write_all(b"answer").await.unwrap();
        drop(instance);
        let mut answered = String::new();
        client.read_to_string(&mut answered).await.unwrap();
        assert_eq!(answered, "answer");
        timeout(SOON, carrying).await.unwrap().unwrap();
        assert_eq!(dialer.places.available_permits(), MOST);
    }

    #[tokio::test]
    async fn a_client_that_hangs_is_cut_when_this_node_serves_no_more() {
        let dialer = Dialer::default();
        let (_client, mut instance, carrying) = carried(&dialer).await;
        assert_eq!(dialer.places.available_permits(), MOST - 1);
        drop(dialer);
        timeout(SOON, carrying).await.unwrap().unwrap();
        let mut rest = Vec::new();
        assert_eq!(instance.read_to_end(&mut rest).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_kernel_notices_an_instance_that_died_in_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), SILENCE);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 60_000);
    }

    #[tokio::test]
    async fn there_are_so_many_places_and_no_more() {
        let dialer = Dialer::default();
        let taken: Vec<_> = (0..MOST).map(|_| dialer.place().unwrap()).collect();
        assert_eq!(dialer.place().unwrap_err(), Refused::busy());
        drop(taken);
        assert!(dialer.place().is_ok());
    }
}
