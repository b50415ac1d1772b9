//! The sockets of the server, and what becomes of each message.

mod tcp;
mod udp;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::answer::{Code, answer, error, flawed, mixed};
use crate::counts::{Counters, Counts, Meter};
use crate::forward::{Forwarder, Leave};
use crate::limit::Limit;
use crate::prefix::Prefix;
use crate::query::{MAX_QUERY, Query};
use crate::zone::Zone;

/// What a server is told when it begins.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who is answered; everybody else is not even refused.
    pub clients: Vec<Prefix>,
    pub limits: Limits,
}

/// What one client, or all together, may ask of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Questions of one client in a second, for each of the two sockets of an address.
    pub questions: u32,
    /// Questions that wait for resolvers at one time; an eighth of them for one client.
    pub under_way: usize,
    /// TCP connections at one time; an eighth of them for one client.
    pub connections: usize,
}

impl Default for Limits {
    /// A question costs some 8 µs of a processor, so that one client can take less than a tenth of one; 512
    /// questions that wait hold some 4 MB.
    fn default() -> Self {
        Self {
            questions: 5_000,
            under_way: 512,
            connections: 128,
        }
    }
}

/// A DNS server. It has to be made and changed within a tokio runtime, and ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: BTreeMap<SocketAddr, Listener>,
}

/// What all sockets have in common.
#[derive(Debug)]
struct Shared {
    zone: ArcSwap<Zone>,
    clients: ArcSwap<Vec<Prefix>>,
    forwarder: Arc<Forwarder>,
    counters: Arc<Counters>,
    limits: Limits,
    connections: Arc<Semaphore>,
    seed: AtomicU64,
}

/// The tasks of one address.
#[derive(Debug)]
struct Listener {
    tasks: Vec<AbortHandle>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Server {
    /// Listens nowhere yet.
    pub fn new(zone: Zone, settings: Settings) -> Self {
        let counters = Arc::new(Counters::default());
        let forwarder = Forwarder::new(settings.limits.under_way, Arc::clone(&counters));
        let connections = Arc::new(Semaphore::new(settings.limits.connections));
        let shared = Shared {
            zone: ArcSwap::from_pointee(zone),
            clients: ArcSwap::from_pointee(settings.clients),
            forwarder: Arc::new(forwarder),
            counters,
            limits: settings.limits,
            connections,
            seed: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            listeners: BTreeMap::new(),
        }
    }

    /// Reads what it did, as long as anybody wants to know.
    pub fn meter(&self) -> Meter {
        Meter(Arc::clone(&self.shared.counters))
    }

    /// Answers from this zone from now on.
    pub fn set_zone(&self, zone: Zone) {
        self.shared.zone.store(Arc::new(zone));
    }

    /// Answers these from now on, and nobody else.
    pub fn set_clients(&self, clients: Vec<Prefix>) {
        self.shared.clients.store(Arc::new(clients));
    }

    /// Asks these for all other names, in this order. Those that it listens on itself are left out.
    pub fn set_upstreams(&self, upstreams: &[SocketAddr]) {
        let others = upstreams
            .iter()
            .filter(|upstream| !self.listeners.contains_key(upstream));
        let others: Vec<SocketAddr> = others.copied().collect();
        self.shared.forwarder.set_upstreams(&others);
    }

    /// Who is asked for all other names.
    pub fn upstreams(&self) -> Vec<SocketAddr> {
        self.shared.forwarder.upstreams()
    }

    /// Listens on these addresses by UDP and TCP, and on no others. One that cannot be listened on, because it
    /// is not there yet or taken, is said with its reason; call again to try again.
    pub fn listen(&mut self, addresses: &BTreeSet<SocketAddr>) -> Vec<(SocketAddr, io::Error)> {
        self.listeners
            .retain(|address, _| addresses.contains(address));
        let mut failed = Vec::new();
        for address in addresses {
            if self.listeners.contains_key(address) {
                continue;
            }
            match Listener::open(*address, &self.shared) {
                Ok(listener) => drop(self.listeners.insert(*address, listener)),
                Err(error) => failed.push((*address, error)),
            }
        }
        failed
    }

    /// Where it listens now.
    pub fn listens_on(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.keys().copied()
    }

    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }
}

impl Listener {
    fn open(address: SocketAddr, shared: &Arc<Shared>) -> io::Result<Self> {
        let sockets = udp::open(address)?;
        let listener = tcp::open(address)?;
        let mut tasks = Vec::new();
        for socket in sockets {
            let task = udp::serve(Arc::clone(shared), Arc::new(socket));
            tasks.push(tokio::spawn(task).abort_handle());
        }
        let task = tcp::serve(Arc::clone(shared), listener);
        tasks.push(tokio::spawn(task).abort_handle());
        Ok(Self { tasks })
    }
}

/// What becomes of a message.
enum Verdict {
    /// The answer is written.
    Answered,
    /// Resolvers are asked first.
    Ask(Leave, Box<Query>),
    /// Nobody is told anything.
    Nothing,
}

impl Shared {
    fn limit(&self) -> Limit {
        Limit::new(self.limits.questions, Instant::now())
    }

    /// Whether this client is served, now.
    fn admits(&self, client: IpAddr, limit: &mut Limit) -> bool {
        let clients = self.clients.load();
        let is_known = clients.iter().any(|prefix| prefix.contains(client));
        if !is_known {
            self.counters.strangers.add();
            return false;
        }
        let is_admitted = limit.admit(client, Instant::now());
        if !is_admitted {
            self.counters.limited.add();
        }
        is_admitted
    }

    /// Answers what can be answered at once into `out`, in at most as many bytes as `limit` makes of the
    /// question.
    fn take(
        &self,
        message: &[u8],
        client: IpAddr,
        limit: fn(&Query) -> usize,
        out: &mut Vec<u8>,
    ) -> Verdict {
        let query = match Query::read(message) {
            Ok(query) => query,
            Err(flaw) => {
                self.counters.garbage.add();
                return if flawed(flaw, out) {
                    Verdict::Answered
                } else {
                    Verdict::Nothing
                };
            }
        };
        if answer(
            &self.zone.load(),
            &query,
            limit(&query),
            self.next_seed(),
            out,
        ) {
            self.counters.answered.add();
            return Verdict::Answered;
        }
        self.look_elsewhere(query, client, limit, out)
    }

    fn look_elsewhere(
        &self,
        query: Query,
        client: IpAddr,
        limit: fn(&Query) -> usize,
        out: &mut Vec<u8>,
    ) -> Verdict {
        if self.forwarder.came_back(&query) {
            error(&query, Code::Refused, out);
            return Verdict::Answered;
        }
        if let Some((reply, age)) = self.forwarder.remembered(&query) {
            self.counters.cached.add();
            reply.write(&query, age, limit(&query), out);
            return Verdict::Answered;
        }
        if let Some(leave) = self.forwarder.leave(client) {
            return Verdict::Ask(leave, Box::new(query));
        }
        self.counters.limited.add();
        error(&query, Code::Failure, out);
        Verdict::Answered
    }

    fn next_seed(&self) -> u64 {
        mixed(self.seed.fetch_add(1, Ordering::Relaxed))
    }
}

/// Asks resolvers and writes what they say, or that they say nothing.
async fn resolve(leave: Leave, query: Query, limit: fn(&Query) -> usize, out: &mut Vec<u8>) {
    match leave.resolve(query.clone()).await {
        Some(reply) => reply.write(&query, 0, limit(&query), out),
        None => error(&query, Code::Failure, out),
    }
}

/// A message may be one byte longer than a question can be, so that a longer one is told.
const BUFFER: usize = MAX_QUERY + 1;
