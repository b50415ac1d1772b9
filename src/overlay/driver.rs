//! The loop: one thread that waits for the interface, the sockets, the clock and the control side,
//! and carries packets between them and the [`Engine`].
//!
//! One thread, because a packet then needs no lock and no hand-over, and because that was measured
//! to be enough (docs/design/decisions/0008).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::{Errno, read};

use crate::config::{self, Applied, Config, PeersError};
use crate::drops::Drop;
use crate::engine::{Engine, TURN};
use crate::netlink::Interface;
use crate::outbox::{Batch, LONGEST};
use crate::packet::coalesce::Coalescer;
use crate::snapshot::Snapshot;
use crate::socket::{Received, Socket, Unsent};
use crate::tun::{FRAME, Tun};

/// The longest segment taken from the kernel in one piece: sealed, its packets still fit one batch.
const LONGEST_SEGMENT: u32 = 60_000;

/// Frames taken from the interface before what they became is sent and others have their turn.
const FRAMES_IN_A_ROW: usize = 32;

/// Bytes that may gather before they are sent.
const GATHERED: usize = 4 * LONGEST;

/// Calls for datagrams before others have their turn.
const RECEIVES_IN_A_ROW: usize = 4;

/// What the control side asks.
pub(crate) enum Command {
    Apply(Vec<config::Peer>, Sender<Result<Applied, PeersError>>),
    Snapshot(Sender<Snapshot>),
    Stop,
}

pub(crate) struct Driver {
    engine: Engine,
    tun: Tun,
    interface: Interface,
    sockets: Vec<Socket>,
    commands: Receiver<Command>,
    wake: Arc<OwnedFd>,
    epoll: OwnedFd,
    received: Received,
    frame: Box<[u8]>,
    port: u16,
    mtu: u16,
    stopped: bool,
}

/// What an event of the loop belongs to.
#[derive(Clone, Copy)]
enum Source {
    Tun,
    Wake,
    Socket(usize),
}

impl Source {
    fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Self::Tun => 0,
            Self::Wake => 1,
            Self::Socket(at) => 2 + at as u64,
        })
    }

    fn of(data: epoll::EventData) -> Self {
        match data.u64() {
            0 => Self::Tun,
            1 => Self::Wake,
            at => Self::Socket(at as usize - 2),
        }
    }
}

impl Driver {
    /// Makes the interface and the sockets. Nothing of them outlives the driver.
    pub(crate) fn new(
        config: &Config,
        commands: Receiver<Command>,
    ) -> Result<(Self, Arc<OwnedFd>), StartError> {
        let tun = Tun::create(&config.interface, config.offload)
            .map_err(|error| StartError::Interface(config.interface.clone(), error.into()))?;
        let (sockets, port) = bind(config)?;
        let interface = set_up(config)?;
        let offloads = tun.offloads();
        let inbox = Coalescer::new(offloads.tcp, offloads.udp);
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let driver = Self {
            engine: Engine::new(config, inbox),
            epoll: watch(&tun, &wake, &sockets)?,
            tun,
            interface,
            sockets,
            commands,
            wake: wake.clone(),
            received: Received::new(),
            frame: vec![0; FRAME].into_boxed_slice(),
            port,
            mtu: config.mtu,
            stopped: false,
        };
        Ok((driver, wake))
    }

    /// Runs until it is told to stop, or nobody can tell it any more.
    pub(crate) fn run(mut self) {
        let mut events = Vec::with_capacity(8);
        let mut turn = Instant::now() + TURN;
        while !self.stopped {
            let now = Instant::now();
            if now >= turn {
                turn = now + TURN;
                self.turn(now);
            }
            let timeout = timespec(turn.saturating_duration_since(now));
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return tracing::error!(%error, "the overlay cannot wait any more"),
            }
            for event in events.drain(..) {
                self.attend(Source::of(event.data));
            }
        }
    }

    fn attend(&mut self, source: Source) {
        match source {
            Source::Tun => self.take_frames(),
            Source::Socket(at) => self.take_datagrams(at),
            Source::Wake => self.take_commands(),
        }
    }

    fn turn(&mut self, now: Instant) {
        self.engine.turn(now);
        self.flush();
        let mtu = self.engine.interface_mtu();
        if mtu != self.mtu {
            match self.interface.set_mtu(mtu) {
                Ok(()) => tracing::info!(mtu, before = self.mtu, "the interface has another MTU"),
                Err(error) => tracing::warn!(%error, mtu, "the interface keeps its MTU"),
            }
            self.mtu = mtu;
        }
    }

    fn take_frames(&mut self) {
        let now = Instant::now();
        for _ in 0..FRAMES_IN_A_ROW {
            match self.tun.receive(&mut self.frame) {
                Ok(Some(length)) => self.engine.outbound(&self.frame[..length], now),
                Ok(None) => break,
                Err(Errno::BADFD) => {
                    tracing::error!("somebody removed the interface of the overlay");
                    self.stopped = true;
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "no frame from the interface");
                    break;
                }
            }
            if self.engine.outbox.bytes() >= GATHERED {
                self.flush();
            }
        }
        self.flush();
    }

    fn take_datagrams(&mut self, at: usize) {
        for _ in 0..RECEIVES_IN_A_ROW {
            let count = match self.sockets[at].receive(&mut self.received) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    tracing::debug!(%error, "no datagrams from the socket");
                    break;
                }
            };
            let now = Instant::now();
            for (from, datagram) in self.received.datagrams(count) {
                self.engine.inbound(from, datagram, now);
            }
            self.flush();
        }
    }

    fn take_commands(&mut self) {
        // The counter only says that there is something.
        let _ = read(&self.wake, &mut [0_u8; 8]);
        let now = Instant::now();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Apply(peers, reply) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.engine.apply(peers, now));
                }
                Command::Snapshot(reply) => {
                    let _ = reply.send(self.snapshot(now));
                }
                Command::Stop => self.stopped = true,
            }
        }
        self.flush();
    }

    fn snapshot(&self, now: Instant) -> Snapshot {
        let offloads = self.tun.offloads();
        Snapshot {
            port: self.port,
            mtu: self.mtu,
            offload: (offloads.tcp, offloads.udp),
            peers: self.engine.peers(now),
            drops: self.engine.drops(),
        }
    }

    /// Sends what is ready, to both sides.
    fn flush(&mut self) {
        let mut outbox = std::mem::take(&mut self.engine.outbox);
        outbox.flush(|batch| self.send(batch));
        self.engine.outbox = outbox;
        let mut refused = 0;
        let tun = &self.tun;
        self.engine
            .inbox
            .flush(|frame| refused += usize::from(tun.send(frame).is_err()));
        (0..refused).for_each(|_| self.engine.note_lost(Drop::Interface));
    }

    fn send(&mut self, batch: &Batch) {
        let engine = &mut self.engine;
        let mut lost = |unsent| match unsent {
            // A probe that is too large has its answer in that none comes.
            Unsent::TooBig if batch.whole => {}
            Unsent::Congested => engine.note_lost(Drop::Congested),
            Unsent::TooBig | Unsent::NoChecksums | Unsent::Unreachable => {
                engine.note_lost(Drop::Unreachable);
            }
        };
        match self.sockets.iter().find(|socket| socket.takes(batch.to)) {
            Some(socket) => socket.send(batch, lost),
            None => (0..batch.count()).for_each(|_| lost(Unsent::Unreachable)),
        }
    }
}

/// Why the overlay did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error("failed to create the interface `{0}`")]
    Interface(String, #[source] io::Error),
    #[error("failed to set {0} of the interface")]
    Setting(String, #[source] io::Error),
    #[error("failed to bind UDP port {0}")]
    Port(u16, #[source] io::Error),
    #[error("failed to start the overlay's loop")]
    Loop(#[from] io::Error),
}

impl From<Errno> for StartError {
    fn from(error: Errno) -> Self {
        Self::Loop(error.into())
    }
}

/// One socket for each family that the host has, on one port.
fn bind(config: &Config) -> Result<(Vec<Socket>, u16), StartError> {
    let error = |error| StartError::Port(config.port, error);
    let v4 = Socket::bind(false, config.port, config.offload).map_err(error)?;
    let port = v4.port().map_err(error)?;
    let v6 = Socket::bind(true, port, config.offload)
        .inspect_err(|error| tracing::info!(%error, "no IPv6 for the overlay"));
    Ok(([Some(v4), v6.ok()].into_iter().flatten().collect(), port))
}

fn set_up(config: &Config) -> Result<Interface, StartError> {
    let set = |what: &str, result: rustix::io::Result<()>| {
        result.map_err(|error| StartError::Setting(what.to_owned(), error.into()))
    };
    let interface = Interface::open(&config.interface)
        .map_err(|error| StartError::Interface(config.interface.clone(), error.into()))?;
    // Older kernels refuse this, hosts without IPv6 that; neither is needed.
    let _ = interface.set_longest_segment(LONGEST_SEGMENT);
    let _ = interface.forbid_own_addresses();
    set("the MTU", interface.set_mtu(config.mtu))?;
    for address in &config.addresses {
        set(
            &format!("the address {address}"),
            interface.add_address(*address),
        )?;
    }
    set("the state", interface.set_up())?;
    for route in &config.routes {
        let own = config.addresses.iter().map(|prefix| prefix.address());
        let source = own
            .into_iter()
            .find(|own| own.is_ipv4() == route.address().is_ipv4());
        set(
            &format!("the route to {route}"),
            interface.add_route(*route, source),
        )?;
    }
    Ok(interface)
}

fn watch(tun: &Tun, wake: &OwnedFd, sockets: &[Socket]) -> rustix::io::Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let add = |fd: &dyn AsFd, source: Source| {
        epoll::add(&epoll, fd.as_fd(), source.data(), epoll::EventFlags::IN)
    };
    add(tun, Source::Tun)?;
    add(wake, Source::Wake)?;
    for (at, socket) in sockets.iter().enumerate() {
        add(socket, Source::Socket(at))?;
    }
    Ok(epoll)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs() as i64,
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
