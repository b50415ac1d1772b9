//! Questions for the host's resolvers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::cache::Cache;
use crate::counts::Counters;
use crate::name::Name;
use crate::query::{MOST_PAYLOAD, Query, TXT};
use crate::reply::{Reply, question};
use crate::upstreams::Upstreams;

/// After so long without an answer the next resolver is asked as well. Most answers from far away come
/// within it; who waits for a resolver that is down waits no longer.
const HEDGE: Duration = Duration::from_millis(300);

/// One resolver gets so long for one question; together they get as long as a client's libc waits.
const ATTEMPT: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_millis(4_500);

/// Every resolver is asked twice, because a datagram may be lost, and no more than so often together.
const ATTEMPTS: usize = 6;

/// The share of what can be under way that one client may have.
const SHARE: usize = 8;

/// Asks the host's resolvers, and remembers what they said.
#[derive(Debug)]
pub(crate) struct Forwarder {
    upstreams: Mutex<Upstreams>,
    cache: Mutex<Cache>,
    /// Names that nobody but a resolver that leads back to us asks for, and which one that is.
    probes: Mutex<HashMap<Name, SocketAddr>>,
    /// Of each client, how many questions are under way.
    clients: Mutex<HashMap<IpAddr, usize>>,
    under_way: Arc<Semaphore>,
    most: usize,
    counters: Arc<Counters>,
}

/// Leave to ask, given back when it is dropped.
pub(crate) struct Leave {
    forwarder: Arc<Forwarder>,
    client: IpAddr,
    _under_way: OwnedSemaphorePermit,
}

impl Forwarder {
    pub(crate) fn new(most: usize, counters: Arc<Counters>) -> Self {
        Self {
            upstreams: Mutex::default(),
            cache: Mutex::default(),
            probes: Mutex::default(),
            clients: Mutex::default(),
            under_way: Arc::new(Semaphore::new(most)),
            most,
            counters,
        }
    }

    /// Other resolvers than before may say something else, and may lead back to us.
    pub(crate) fn set_upstreams(self: &Arc<Self>, addresses: &[SocketAddr]) {
        if locked(&self.upstreams).replace(addresses) {
            tracing::info!(?addresses, "other names are asked for at these resolvers");
            locked(&self.cache).clear();
            locked(&self.probes).clear();
            for upstream in self.upstreams() {
                tokio::spawn(Arc::clone(self).probe(upstream));
            }
        }
    }

    /// Asks for a name that nobody else knows. If it comes back to this server, so does every question.
    async fn probe(self: Arc<Self>, upstream: SocketAddr) {
        let Ok(secret) = random_bytes::<8>() else {
            return;
        };
        let label = format!("{:016x}", u64::from_be_bytes(secret));
        let name = Name::of_labels([label.as_str(), "kontena", "test"].into_iter());
        let query = Query::of(&name, TXT);
        locked(&self.probes).insert(name, upstream);
        // Whatever it says, or whether it answers, is no matter.
        drop(timeout(ATTEMPT, exchange(&query, upstream)).await);
    }

    /// Whether a question is one of our own, that came back.
    pub(crate) fn came_back(&self, query: &Query) -> bool {
        let upstream = locked(&self.probes).remove(query.name.as_wire());
        upstream
            .inspect(|upstream| self.give_up(*upstream))
            .is_some()
    }

    pub(crate) fn upstreams(&self) -> Vec<SocketAddr> {
        locked(&self.upstreams).order(Instant::now())
    }

    /// It leads back to this server.
    fn give_up(&self, upstream: SocketAddr) {
        tracing::warn!(%upstream, "this resolver asks us what we ask it, and is not asked any more");
        self.counters.loops.add();
        locked(&self.upstreams).give_up(upstream);
    }

    pub(crate) fn remembered(&self, query: &Query) -> Option<(Arc<Reply>, u32)> {
        locked(&self.cache).get(query, Instant::now())
    }

    /// `None` if too much is under way, of this client or of all.
    pub(crate) fn leave(self: &Arc<Self>, client: IpAddr) -> Option<Leave> {
        let under_way = Arc::clone(&self.under_way).try_acquire_owned().ok()?;
        let mut clients = locked(&self.clients);
        let count = clients.entry(client).or_default();
        if *count >= self.most.div_ceil(SHARE) {
            return None;
        }
        *count += 1;
        Some(Leave {
            forwarder: Arc::clone(self),
            client,
            _under_way: under_way,
        })
    }

    /// The first helpful answer, else the last unhelpful one; `None` if there is none in time.
    async fn ask(self: &Arc<Self>, query: Arc<Query>) -> Option<Reply> {
        let mut waiting = self.upstreams().repeat(2).into_iter().take(ATTEMPTS);
        let mut attempts = JoinSet::new();
        let mut unhelpful = None;
        loop {
            if let Some(upstream) = waiting.next() {
                attempts.spawn(Arc::clone(self).attempt(Arc::clone(&query), upstream));
            }
            tokio::select! {
                joined = attempts.join_next() => match joined {
                    Some(Ok(Some(reply))) if !reply.is_unhelpful() => {
                        // The others go on, to learn who does not answer.
                        attempts.detach_all();
                        return Some(reply);
                    }
                    Some(Ok(Some(reply))) => unhelpful = Some(reply),
                    Some(Ok(None) | Err(_)) => {}
                    None if waiting.len() == 0 => return unhelpful,
                    None => {}
                },
                () = sleep(HEDGE), if waiting.len() > 0 => {}
            }
        }
    }

    async fn attempt(self: Arc<Self>, query: Arc<Query>, upstream: SocketAddr) -> Option<Reply> {
        let asked = timeout(ATTEMPT, exchange(&query, upstream)).await;
        let mut upstreams = locked(&self.upstreams);
        match asked {
            Ok(Ok(reply)) => {
                upstreams.answered(upstream);
                Some(reply)
            }
            Ok(Err(error)) => {
                tracing::debug!(%upstream, %error, "a resolver cannot be asked");
                upstreams.failed(upstream, Instant::now());
                None
            }
            Err(_) => {
                tracing::debug!(%upstream, "a resolver does not answer");
                upstreams.failed(upstream, Instant::now());
                None
            }
        }
    }
}

impl Leave {
    /// Asks, and remembers the answer.
    pub(crate) async fn resolve(self, query: Query) -> Option<Arc<Reply>> {
        let query = Arc::new(query);
        let asked = timeout(DEADLINE, self.forwarder.ask(Arc::clone(&query))).await;
        let Ok(Some(reply)) = asked else {
            self.forwarder.counters.failed.add();
            return None;
        };
        let reply = Arc::new(reply);
        locked(&self.forwarder.cache).insert(&query, &reply, Instant::now());
        self.forwarder.counters.forwarded.add();
        Some(reply)
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut clients = locked(&self.forwarder.clients);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// One question to one resolver, from a port of its own so that nobody can guess both port and id.
async fn exchange(query: &Query, upstream: SocketAddr) -> io::Result<Reply> {
    let any: IpAddr = match upstream {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(upstream).await?;
    let id = random_id()?;
    socket.send(&question(query, id)).await?;
    let mut buffer = [0; MOST_PAYLOAD + 1];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What is no answer to this question is somebody's try.
        match Reply::read(&buffer[..length], query, id) {
            Some(reply) if reply.is_truncated => return exchange_by_tcp(query, upstream).await,
            Some(reply) => return Ok(reply),
            None => {}
        }
    }
}

async fn exchange_by_tcp(query: &Query, upstream: SocketAddr) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(upstream).await?;
    let id = random_id()?;
    let message = question(query, id);
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes()[..], &message].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Reply::read(&answer, query, id).ok_or_else(|| io::Error::other("it answered something else"))
}

fn random_id() -> io::Result<u16> {
    random_bytes().map(u16::from_be_bytes)
}

fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

/// What is locked here is whole after every statement, so that a panic elsewhere spoils nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
