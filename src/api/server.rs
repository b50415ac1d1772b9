//! Answers HTTP/1 on the unix socket and, where it is asked for, on TCP behind the
//! administrator's token.
//!
//! Not here: what is answered (`routes`), who may open the socket ([`socket`]).

mod auth;
mod guests;
pub(crate) mod limits;
mod patience;
pub(crate) mod socket;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use guests::{Guest, Guests};
use limits::Limits;
use patience::Patient;

use super::answer::Refused;
use super::backend::Backend;
use super::{etcd, routes};

/// What is read ahead of one connection, and with it the longest head.
const READ_AHEAD: usize = 128 << 10;
/// Silence before the kernel asks whether the other side is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// After an accept that failed for want of something, e.g. file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bound and ready: nothing that follows can fail for a port that is taken.
pub(crate) struct Listeners {
    unix: UnixListener,
    socket: PathBuf,
    tcp: Option<TcpListener>,
}

impl Listeners {
    /// Whether both can be bound now; nothing stays bound.
    ///
    /// # Errors
    /// Of each what [`Self::bind`] would say.
    pub(crate) async fn check(
        socket: &Path,
        tcp: Option<SocketAddr>,
    ) -> Result<(), Vec<anyhow::Error>> {
        let problems: Vec<_> = [socket::check(socket).await.err(), bind_tcp(tcp).await.err()]
            .into_iter()
            .flatten()
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// # Errors
    /// A daemon is alive on the socket, the socket's path is something else, or a port is taken.
    pub(crate) async fn bind(socket: &Path, tcp: Option<SocketAddr>) -> anyhow::Result<Self> {
        let tcp = bind_tcp(tcp).await?;
        Ok(Self {
            unix: socket::bind(socket).await?,
            socket: socket.to_owned(),
            tcp,
        })
    }

    /// Where TCP is answered, with the port that was chosen for port 0.
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }
}

async fn bind_tcp(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    listener
        .map(Some)
        .with_context(|| format!("failed to listen on `{address}` for the API"))
}

/// Answers until `stop` is over; then finishes what is under way and removes the socket.
pub(crate) async fn serve(
    listeners: Listeners,
    backend: Arc<Backend>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let Listeners { unix, socket, tcp } = listeners;
    let (stopping, stopped) = watch::channel(false);
    let mut accepting = JoinSet::new();
    let [local, remote] = doors(&backend).map(|router| Door {
        router,
        farewell: farewell(limits),
        limits,
    });
    accepting.spawn(accept_unix(unix, local, stopped.clone()));
    if let Some(tcp) = tcp {
        accepting.spawn(accept_tcp(tcp, remote, |_| true, stopped));
    }
    stop.await;
    stopping.send_replace(true);
    while accepting.join_next().await.is_some() {}
    socket::remove(&socket);
}

/// Answers programs in containers that ask for keys as they would ask etcd, until `stop` is over: whom `admits` lets
/// in, and nothing else than keys.
pub(crate) async fn serve_keys(
    listener: TcpListener,
    backend: Arc<Backend>,
    admits: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let door = Door {
        router: etcd::router(&backend),
        farewell: etcd::farewell(limits.of_one_host),
        limits,
    };
    let accepting = accept_tcp(listener, door, admits, stopped);
    let stop = async {
        stop.await;
        stopping.send_replace(true);
    };
    tokio::join!(accepting, stop);
}

/// The version whose API this is, for Kontena's own clients: they warn of any that is further away than 1.6.
const KONTENA_VERSION: HeaderValue = HeaderValue::from_static("1.6.0");

/// What answers on a listener.
struct Door {
    router: Router,
    /// Answers those who are too many.
    farewell: Router,
    limits: Limits,
}

/// For whoever may open the socket; and for whoever has the administrator's token, where the rest learns the version.
fn doors(backend: &Arc<Backend>) -> [Router; 2] {
    let (open, protected) = (routes::open(), routes::protected());
    let auth = middleware::from_fn_with_state(Arc::clone(backend), auth::check);
    let local = open.clone().merge(protected.clone());
    let remote = open.merge(protected.layer(auth));
    [local, remote].map(|router| {
        router
            .layer(middleware::map_response(with_version))
            .with_state(Arc::clone(backend))
    })
}

fn farewell(limits: Limits) -> Router {
    let answer = move || async move {
        let close = [(CONNECTION, "close")];
        (close, Refused::too_many_of_one_host(limits.of_one_host))
    };
    Router::new()
        .fallback(answer)
        .layer(middleware::map_response(with_version))
}

async fn with_version(mut response: Response) -> Response {
    let name = HeaderName::from_static("x-kontena-version");
    response.headers_mut().insert(name, KONTENA_VERSION);
    response
}

type Stopped = watch::Receiver<bool>;

/// Waits until the daemon stops.
async fn is_over(stopped: &mut Stopped) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        tracing::trace!("API server is gone");
    }
}

/// Who has connected.
enum Arrival<I, G> {
    Guest(I, G),
    /// Of a host that has too many connections.
    Excess(I),
}

async fn accept_unix(listener: UnixListener, door: Door, stopped: Stopped) {
    let accept = || async {
        let (stream, _) = listener.accept().await?;
        Ok(Arrival::Guest(stream, ()))
    };
    accept_all(accept, door, stopped).await;
}

async fn accept_tcp(
    listener: TcpListener,
    door: Door,
    admits: impl Fn(IpAddr) -> bool,
    stopped: Stopped,
) {
    let guests = Guests::new(door.limits.of_one_host);
    let accept = || async {
        let (stream, guest) = next_guest(&listener, &guests, &admits).await?;
        // Answers are small and wanted at once.
        stream.set_nodelay(true)?;
        // A follower of logs that vanished would keep its place for ever.
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
        Ok(match guest {
            Some(guest) => Arrival::Guest(stream, guest),
            None => Arrival::Excess(stream),
        })
    };
    accept_all(accept, door, stopped).await;
}

/// No guest where its host has too many connections. Who is not admitted at all hears nothing.
async fn next_guest(
    listener: &TcpListener,
    guests: &Guests,
    admits: &impl Fn(IpAddr) -> bool,
) -> std::io::Result<(TcpStream, Option<Guest>)> {
    loop {
        let (stream, from) = listener.accept().await?;
        if !admits(from.ip()) {
            continue;
        }
        let guest = guests.admit(from.ip());
        if guest.is_none() {
            tracing::debug!(from = %from.ip(), "An address has too many API connections");
        }
        return Ok((stream, guest));
    }
}

async fn accept_all<I, G, A>(accept: impl Fn() -> A, door: Door, mut stopped: Stopped)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Send + 'static,
    A: Future<Output = std::io::Result<Arrival<I, G>>>,
{
    let Door {
        router,
        farewell,
        limits,
    } = door;
    let places = Arc::new(Semaphore::new(limits.connections));
    let farewells = Arc::new(Semaphore::new(limits.farewells));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = is_over(&mut stopped) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok(Arrival::Guest(stream, guest)) => {
                let answering = answer(stream, router.clone(), limits, stopped.clone());
                // What is handed over to something else than HTTP counts no more.
                connections.spawn(async move {
                    answering.await;
                    drop((place, guest));
                });
            }
            Ok(Arrival::Excess(stream)) => {
                // Where too many are told already, it is closed without a word.
                if let Ok(place) = Arc::clone(&farewells).try_acquire_owned() {
                    let answering = answer(stream, farewell.clone(), limits, stopped.clone());
                    connections.spawn(async move {
                        if timeout(limits.farewell, answering).await.is_err() {
                            tracing::debug!("Who was one too many asked for nothing");
                        }
                        drop(place);
                    });
                }
            }
            Err(problem) => {
                tracing::warn!(%problem, "API connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.stop, finish).await.is_err() {
        tracing::debug!("API connections were cut");
    }
}

async fn answer<I>(stream: I, router: Router, limits: Limits, mut stopped: Stopped)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Patient::new(stream);
    let handed_over = stream.handed_over();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(READ_AHEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = is_over(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    handed_over.store(true, Ordering::Relaxed);
    if let Err(problem) = ended {
        tracing::debug!(%problem, "API connection ended");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    /// What is answered to the beginning of a request, and after how long the connection is closed.
    async fn closed(begun: &[u8]) -> (String, Duration) {
        let (near, mut far) = duplex(1 << 20);
        let (_stopping, stopped) = watch::channel(false);
        let began = Instant::now();
        far.write_all(begun).await.unwrap();
        let mut answer = String::new();
        let answering = super::answer(near, Router::new(), Limits::default(), stopped);
        let (read, ()) = tokio::join!(far.read_to_string(&mut answer), answering);
        read.unwrap();
        (answer, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_stays_half_way_through_a_head_is_cut_off() {
        for begun in ["", "GE", "GET / HTTP/1.1\r\nHost: a\r\nX-"] {
            let (answer, after) = closed(begun.as_bytes()).await;
            assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
            assert_eq!(
                after.as_secs(),
                Limits::default().head.as_secs(),
                "{begun:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_not_longer_than_what_is_read_ahead() {
        let head = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(READ_AHEAD + 1));
        let (answer, after) = closed(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(after < Limits::default().head);
    }
}
