//! Questions by TCP: each behind its length in two bytes (RFC 1035, 4.2.2; RFC 7766).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Shared, Verdict, resolve};
use crate::limit::Limit;
use crate::query::{MAX_QUERY, Query};

/// A connection without a question for so long is closed (RFC 7766 wants seconds).
const IDLE: Duration = Duration::from_secs(10);

/// A client that does not take its answer is let go.
const SEND: Duration = Duration::from_secs(5);

/// Connections that wait to be taken.
const BACKLOG: u32 = 64;

const PAUSE: Duration = Duration::from_millis(50);

/// The share of all connections that one client may have.
const SHARE: usize = 8;

pub(super) fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let mut limit = shared.limit();
    let clients = Arc::new(Clients::default());
    // Dropped with the listener: whoever still asks is not answered from what was.
    let mut conversations = JoinSet::new();
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection for names is not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        if !shared.admits(client.ip(), &mut limit) {
            continue;
        }
        let most = shared.limits.connections.div_ceil(SHARE);
        let place = clients.enter(client.ip(), most);
        let permit = Arc::clone(&shared.connections).try_acquire_owned();
        let (Some(place), Ok(permit)) = (place, permit) else {
            shared.counters.limited.add();
            continue;
        };
        while conversations.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        conversations.spawn(async move {
            let _held = (place, permit);
            if let Err(error) = converse(&shared, stream, client.ip()).await {
                tracing::trace!(%client, %error, "a connection for names ended");
            }
        });
    }
}

/// How many connections each client has.
#[derive(Debug, Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// One of them, until it is dropped.
struct Place {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    fn enter(self: &Arc<Self>, client: IpAddr, most: usize) -> Option<Place> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place {
            clients: Arc::clone(self),
            client,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self
            .clients
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// One question after the other, until the client is silent or breaks the rules.
async fn converse(shared: &Shared, mut stream: TcpStream, client: IpAddr) -> io::Result<()> {
    let mut limit: Limit = shared.limit();
    let mut message = Vec::new();
    let mut out = Vec::new();
    while timeout(IDLE, read(&mut stream, &mut message))
        .await
        .map_err(io::Error::other)??
    {
        if !shared.admits(client, &mut limit) {
            return Ok(());
        }
        match shared.take(&message, client, longest, &mut out) {
            Verdict::Answered => {}
            Verdict::Ask(leave, query) => resolve(leave, *query, longest, &mut out).await,
            Verdict::Nothing => return Ok(()),
        }
        let length = u16::try_from(out.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &out].concat();
        timeout(SEND, stream.write_all(&framed))
            .await
            .map_err(io::Error::other)??;
    }
    Ok(())
}

fn longest(_: &Query) -> usize {
    usize::from(u16::MAX)
}

/// `false` at the end of the connection.
async fn read(stream: &mut TcpStream, message: &mut Vec<u8>) -> io::Result<bool> {
    let length = match stream.read_u16().await {
        Ok(length) => usize::from(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    };
    if length > MAX_QUERY {
        return Err(io::Error::other("no question is so long"));
    }
    message.resize(length, 0);
    stream.read_exact(message).await?;
    Ok(true)
}
