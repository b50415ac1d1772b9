//! Questions by UDP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::{BUFFER, Shared, Verdict, resolve};
use crate::limit::Limit;
use crate::query::{MAX_QUERY, Query};

/// Sockets of one address, between which the kernel divides its clients: two carried a fifth more than one
/// in a trial on two processors.
const SOCKETS: usize = 2;

/// What may wait in a socket while its task does not run: some 2,000 questions.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Questions that are answered before other tasks get their turn.
const BATCH: usize = 64;

/// After an error of a socket that is not about one client, before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// All sockets of an address, or none.
pub(super) fn open(address: SocketAddr) -> io::Result<Vec<UdpSocket>> {
    (0..SOCKETS).map(|_| open_one(address)).collect()
}

fn open_one(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

pub(super) async fn serve(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut limit = shared.limit();
    let mut buffer = [0; BUFFER];
    let mut out = Vec::with_capacity(BUFFER);
    loop {
        if let Err(error) = socket.readable().await {
            tracing::warn!(%error, "a socket for names fails");
            sleep(PAUSE).await;
            continue;
        }
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, client)) => {
                    handle(
                        &shared,
                        &socket,
                        &buffer[..length],
                        client,
                        &mut limit,
                        &mut out,
                    );
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An earlier answer did not arrive: the client is gone.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    tracing::warn!(%error, "a socket for names fails");
                    sleep(PAUSE).await;
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

fn handle(
    shared: &Arc<Shared>,
    socket: &Arc<UdpSocket>,
    message: &[u8],
    client: SocketAddr,
    limit: &mut Limit,
    out: &mut Vec<u8>,
) {
    if !shared.admits(client.ip(), limit) {
        return;
    }
    if message.len() > MAX_QUERY {
        shared.counters.garbage.add();
        return;
    }
    match shared.take(message, client.ip(), Query::payload, out) {
        Verdict::Answered => send(shared, socket, out, client),
        Verdict::Nothing => {}
        Verdict::Ask(leave, query) => {
            let (shared, socket) = (Arc::clone(shared), Arc::clone(socket));
            tokio::spawn(async move {
                let mut out = Vec::new();
                resolve(leave, *query, Query::payload, &mut out).await;
                send(&shared, &socket, &out, client);
            });
        }
    }
}

/// A client whose answer is lost asks again: nobody waits for a full socket.
fn send(shared: &Shared, socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if socket.try_send_to(answer, client).is_err() {
        shared.counters.unsent.add();
    }
}
