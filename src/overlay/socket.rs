//! The UDP socket of one address family: many datagrams in one call, in both directions, and what
//! to do where the kernel or the path does not take them that way.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{
    IpRecvTos, Ipv4PacketInfo, Ipv6DontFrag, Ipv6RecvPacketInfo, Ipv6RecvTClass, ReceiveTimestampns,
};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    set_ipv6_v6only, set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use crate::outbox::Batch;

/// Room for bursts in the kernel: about 20 ms at 3 Gbit/s. Larger than `net.core.rmem_max` allows,
/// which root may.
const KERNEL_BUFFER: usize = 8 << 20;

/// Datagrams taken in one call: where the kernel has merged them each is a whole batch of its own.
const RECEIVED_AT_ONCE: usize = 16;

/// Room for a merged batch. Odd on purpose, so that beginnings of buffers do not fall on the same
/// lines of the cache.
const RECEIVE_BUFFER: usize = 65_536 + 192;

/// How long to wait for room in a full send buffer before a batch is given up.
const PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

#[derive(Debug)]
pub(crate) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    v6: bool,
    /// Whether batches are sent in one piece (`UDP_SEGMENT`).
    segmentation: Cell<bool>,
}

/// Memory for what is received.
pub(crate) struct Received {
    buffers: Vec<Vec<u8>>,
    metas: [RecvMeta; RECEIVED_AT_ONCE],
}

/// Why a datagram did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The kernel or the device takes no datagram of this size.
    TooBig,
    /// The device cannot make checksums, which a batch takes.
    NoChecksums,
    /// The buffer stayed full.
    Congested,
    /// No route, or a firewall of this host.
    Unreachable,
}

impl Socket {
    /// Binds the port on all addresses of a family; 0 lets the kernel choose.
    pub(crate) fn bind(v6: bool, port: u16, segmentation: bool) -> io::Result<Self> {
        let socket = if v6 { bind_v6(port)? } else { bind_v4(port)? };
        let state = UdpSocketState::new((&socket).into())?;
        // Without the right to it the default has to do.
        let _ = set_socket_recv_buffer_size_force(&socket, KERNEL_BUFFER);
        let _ = set_socket_send_buffer_size_force(&socket, KERNEL_BUFFER);
        forget_details(&socket, v6);
        let socket = Self {
            socket,
            segmentation: Cell::new(segmentation && state.max_gso_segments() > 1),
            state,
            v6,
        };
        socket.forbid_fragments(false)?;
        Ok(socket)
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Whether this socket is of an address's family.
    pub(crate) fn takes(&self, to: SocketAddr) -> bool {
        to.is_ipv6() == self.v6
    }

    /// Receives what is there; nothing if there is nothing now.
    pub(crate) fn receive(&self, into: &mut Received) -> io::Result<usize> {
        let mut slices = into
            .buffers
            .iter_mut()
            .map(|buffer| IoSliceMut::new(buffer));
        let mut slices: [IoSliceMut<'_>; RECEIVED_AT_ONCE] =
            std::array::from_fn(|_| slices.next().expect("there is a buffer for each"));
        match self
            .state
            .recv((&self.socket).into(), &mut slices, &mut into.metas)
        {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            // An answer of some host to something that was sent.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sends a batch, and waits a little where the kernel's buffer is full. Tells of each datagram
    /// that did not leave.
    pub(crate) fn send(&self, batch: &Batch, mut lost: impl FnMut(Unsent)) {
        if batch.whole {
            return self.send_whole(batch).unwrap_or_else(lost);
        }
        if self.sends_in_one_piece(batch, &mut lost) {
            return;
        }
        // What does not fit may be fragmented, each for itself.
        for datagram in batch.datagrams() {
            self.transmit(batch, datagram, None)
                .unwrap_or_else(&mut lost);
        }
    }

    /// Whether a batch is done with: it left in one piece, or could not leave at all.
    fn sends_in_one_piece(&self, batch: &Batch, mut lost: impl FnMut(Unsent)) -> bool {
        if batch.count() == 1 || !self.segmentation.get() {
            return false;
        }
        match self.transmit(batch, batch.bytes(), Some(batch.segment)) {
            Ok(()) => true,
            Err(Unsent::TooBig) => false,
            Err(Unsent::NoChecksums) => {
                tracing::info!("the network takes no batches: datagrams leave one by one");
                self.segmentation.set(false);
                false
            }
            Err(unsent @ (Unsent::Congested | Unsent::Unreachable)) => {
                (0..batch.count()).for_each(|_| lost(unsent));
                true
            }
        }
    }

    /// Sends a probe, which must not be fragmented on its way.
    fn send_whole(&self, batch: &Batch) -> Result<(), Unsent> {
        self.forbid_fragments(true).map_err(|_| Unsent::TooBig)?;
        let sent = self.transmit(batch, batch.bytes(), None);
        if let Err(error) = self.forbid_fragments(false) {
            tracing::warn!(%error, "datagrams cannot be fragmented any more");
        }
        sent
    }

    fn transmit(
        &self,
        batch: &Batch,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> Result<(), Unsent> {
        let transmit = Transmit {
            destination: batch.to,
            ecn: None,
            contents,
            segment_size,
            src_ip: None,
        };
        loop {
            let error = match self.state.try_send((&self.socket).into(), &transmit) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.kind() != ErrorKind::WouldBlock {
                return Err(unsent(&error));
            }
            let mut room = [PollFd::new(&self.socket, PollFlags::OUT)];
            if !poll(&mut room, Some(&PATIENCE)).is_ok_and(|ready| ready > 0) {
                return Err(Unsent::Congested);
            }
        }
    }

    /// Data may be fragmented until its path is known, so that nothing is lost meanwhile; probes
    /// may not.
    fn forbid_fragments(&self, forbid: bool) -> io::Result<()> {
        if self.v6 {
            let mode = if forbid {
                Ipv6PathMtuDiscovery::PROBE
            } else {
                Ipv6PathMtuDiscovery::WANT
            };
            return Ok(set_ipv6_mtu_discover(&self.socket, mode)?);
        }
        let mode = if forbid {
            Ipv4PathMtuDiscovery::PROBE
        } else {
            Ipv4PathMtuDiscovery::DONT
        };
        Ok(set_ip_mtu_discover(&self.socket, mode)?)
    }
}

impl Received {
    pub(crate) fn new() -> Self {
        Self {
            buffers: vec![vec![0; RECEIVE_BUFFER]; RECEIVED_AT_ONCE],
            metas: [RecvMeta::default(); RECEIVED_AT_ONCE],
        }
    }

    /// The first `count` datagrams that were received, merged ones apart, with their senders.
    pub(crate) fn datagrams(&self, count: usize) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let received = self.metas.iter().zip(&self.buffers).take(count);
        received.flat_map(|(meta, buffer)| {
            buffer[..meta.len]
                .chunks(meta.stride.max(1))
                .map(|datagram| (meta.addr, datagram))
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Takes back what `quinn_udp` asks the kernel for and is not used here: each detail of a datagram
/// costs, and an IPv6 socket would refuse what has to be fragmented.
fn forget_details(socket: &UdpSocket, v6: bool) {
    let _ = setsockopt(socket, ReceiveTimestampns, &false);
    if v6 {
        let _ = setsockopt(socket, Ipv6RecvPacketInfo, &false);
        let _ = setsockopt(socket, Ipv6RecvTClass, &false);
        let _ = setsockopt(socket, Ipv6DontFrag, &false);
    } else {
        let _ = setsockopt(socket, Ipv4PacketInfo, &false);
        let _ = setsockopt(socket, IpRecvTos, &false);
    }
}

fn unsent(error: &io::Error) -> Unsent {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        // The kernel says the latter of a batch whose datagrams do not fit.
        Some(Errno::MSGSIZE | Errno::INVAL) => Unsent::TooBig,
        Some(Errno::IO) => Unsent::NoChecksums,
        Some(Errno::NOBUFS | Errno::NOMEM) => Unsent::Congested,
        _ => Unsent::Unreachable,
    }
}

fn bind_v4(port: u16) -> io::Result<UdpSocket> {
    UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
}

/// The standard library binds before one could say that the socket is for IPv6 alone.
fn bind_v6(port: u16) -> io::Result<UdpSocket> {
    let socket = socket_with(
        AddressFamily::INET6,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    set_ipv6_v6only(&socket, true)?;
    bind(
        &socket,
        &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0),
    )?;
    Ok(socket.into())
}
