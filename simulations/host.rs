//! One machine: a node's process, a disk, an engine and clocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::keys::Keys;
use kontena_core::lease::FenceTag;
use kontena_core::network::peers::Wanted;
use kontena_core::node::{Node, Status};
use kontena_core::time::Instant;
use kontena_core::view::View;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::engine::Engine;

/// One machine.
#[derive(Debug)]
pub struct Host {
    pub key: SecretKey,
    pub node: Option<Node>,
    pub disk: Disk,
    pub engine: Engine,
    pub clock: Clock,
    /// Until when what carries these tags may run, by the world's clock: the fence is a process of its own, and knows it
    /// from a file.
    pub(crate) fences: BTreeMap<FenceTag, Instant>,
    /// Whether the node has been told in this life that the fence does its work.
    pub(crate) is_fence_told: bool,
    /// What its node showed last.
    pub view: Arc<View>,
    pub keys: Arc<Keys>,
    pub status: Status,
    /// Where it is found: `IP:PORT`.
    pub address: String,
    pub powered: bool,
    /// Its node's loop stands still until then.
    pub stalled_until: Instant,
    /// From when until when it stood still, each time.
    pub stalls: Vec<(Instant, Instant)>,
    /// Messages that its node has sent, ever.
    pub sent: u64,
    /// Raised at each crash: what was under way for an earlier life is lost.
    pub(crate) life: u64,
    /// What the reports of this boot carry.
    pub(crate) nonce: u64,
    /// Raised at each power cut: what the engine was doing is lost.
    pub(crate) power: u64,
    /// The wake-up that is queued.
    pub(crate) wake: Option<Instant>,
    pub(crate) peers: BTreeMap<NodeId, Vec<String>>,
    /// How its node wants its network to be.
    pub network: Option<Wanted>,
    /// When the disk is done with what it was given.
    pub(crate) disk_busy_until: Instant,
    /// Whether the engine has said what it is since it last hung.
    pub(crate) is_introduced: bool,
    pub(crate) chance: Chance,
}

impl Host {
    pub(crate) fn new(host: usize, seed: u64, address: String) -> Self {
        let mut chance = Chance::of(seed, "host", &[host]);
        Self {
            key: SecretKey::from_seed(chance.bytes()),
            node: None,
            disk: Disk::default(),
            engine: Engine::new(host),
            clock: Clock::default(),
            fences: BTreeMap::new(),
            is_fence_told: false,
            view: Arc::default(),
            keys: Arc::default(),
            status: Status::default(),
            address,
            powered: true,
            stalled_until: Instant::ZERO,
            stalls: Vec::new(),
            sent: 0,
            life: 0,
            nonce: 0,
            power: 0,
            wake: None,
            peers: BTreeMap::new(),
            network: None,
            disk_busy_until: Instant::ZERO,
            is_introduced: false,
            chance,
        }
    }

    pub fn id(&self) -> NodeId {
        self.key.node_id()
    }

    pub fn is_up(&self) -> bool {
        self.node.is_some()
    }

    /// When a save that is given to the disk now is done: after all that it was given before.
    pub(crate) fn save_ends(&mut self, now: Instant) -> Instant {
        let latency = self
            .chance
            .between(Duration::from_millis(1), Duration::from_millis(8));
        let begins = self.disk_busy_until.max(now);
        self.disk_busy_until = begins + latency + self.disk.trouble.slow;
        self.disk_busy_until
    }

    /// Containers of a node that has another subnet than before are moved over, as the shell does it.
    pub(crate) fn set_network(&mut self, wanted: Option<Wanted>) {
        let subnet = wanted.as_ref().and_then(|wanted| wanted.subnet);
        if let Some(subnet) = subnet {
            self.engine.renumber(subnet);
        }
        self.network = wanted;
    }

    /// Whether its node has heard where another host is found.
    pub(crate) fn knows_address(&self, of: NodeId, address: &str) -> bool {
        let known = self.peers.get(&of).into_iter().flatten();
        known.into_iter().any(|known| known == address)
    }
}
