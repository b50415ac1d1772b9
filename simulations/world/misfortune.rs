//! What may befall a host: its daemon, its power, its disk, its address.

use std::collections::BTreeSet;
use std::time::Duration;

use kontena_core::identity::SecretKey;
use kontena_core::network::sight::{Containers, Plane, Sight};
use kontena_core::node::{Input, Node, NodeConfig, SavedState};

use super::World;
use crate::chance::Chance;
use crate::disk::Disk;
use crate::fact::Fact;
use crate::host::Host;
use crate::queue::{Event, What};

impl World {
    /// Starts the node from its disk; the engine goes on as it was.
    pub fn boot(&mut self, host: usize) {
        let seed = self.seed;
        let machine = &mut self.hosts[host];
        machine.disk.boots += 1;
        machine.life += 1;
        machine.wake = None;
        machine.view = Default::default();
        machine.status = Default::default();
        machine.powered = true;
        machine.is_introduced = false;
        machine.is_fence_told = false;
        machine.disk_busy_until = self.now;
        let life = usize::try_from(machine.life).expect("fewer boots than an index");
        let mut chance = Chance::of(seed, "boot", &[host, life]);
        machine.nonce = chance.draw();
        let config = NodeConfig {
            key: machine.key.clone(),
            boot: machine.disk.boots,
            nonce: machine.nonce,
            seed: chance.draw(),
            version: "2.0.0".to_owned(),
        };
        let now = machine.clock.read(self.now);
        let saved = SavedState {
            arrivals: machine.engine.arrivals(),
            ..machine.disk.load()
        };
        machine.node = Some(Node::new(config, saved, now));
        let address = machine.address.clone();
        self.index_keys();
        self.tell(host, || Fact::Booted);
        self.handle(host, Input::Addresses(vec![address]));
        self.see_network(host);
        self.list_regularly(host);
    }

    /// The node left its grid: its identity is spent, and the daemon begins anew with another.
    pub(super) fn begin_anew(&mut self, host: usize) {
        self.kill_node(host);
        let machine = &mut self.hosts[host];
        let life = usize::try_from(machine.life).expect("fewer boots than an index");
        let mut chance = Chance::of(self.seed, "identity", &[host, life]);
        machine.key = SecretKey::from_seed(chance.bytes());
        machine.peers.clear();
        machine.engine.forget_landings();
        self.boot(host);
    }

    fn index_keys(&mut self) {
        self.by_id.clear();
        for (index, host) in self.hosts.iter().enumerate() {
            self.by_id.entry(host.id()).or_default().push(index);
        }
    }

    /// From now on no way in the data plane leads to or from these hosts, and to all others again.
    pub fn seclude(&mut self, hosts: BTreeSet<usize>) {
        if self.secluded == hosts {
            return;
        }
        self.secluded = hosts;
        for (host, machine) in self.hosts.iter().enumerate() {
            let (life, what) = (machine.life, What::Glance);
            self.queue.push(self.now, Event { host, life, what });
        }
    }

    /// A network whose ways are the messages' here, and whose containers are the engine's.
    pub(super) fn see_network(&mut self, host: usize) {
        let others = (0..self.hosts.len()).filter(|other| *other != host);
        let is_secluded = |at: &usize| self.secluded.contains(at);
        let lost = others.filter(|other| is_secluded(&host) || is_secluded(other));
        let plane = Plane {
            port: 8470,
            mtu: 1396,
            unreached: lost.map(|other| self.id(other)).collect(),
            ..Plane::default()
        };
        let sight = Sight {
            containers: Containers::Attached,
            plane: Some(plane),
            problem: None,
        };
        self.handle(host, Input::Network(sight));
    }

    /// `kill -9` of the daemon: containers run on.
    pub fn kill_node(&mut self, host: usize) {
        let machine = &mut self.hosts[host];
        machine.node = None;
        machine.network = None;
        machine.life += 1;
        self.tell(host, || Fact::Died { power: false });
    }

    /// The power goes: node and containers.
    pub fn kill_host(&mut self, host: usize) {
        let machine = &mut self.hosts[host];
        machine.node = None;
        machine.network = None;
        machine.life += 1;
        machine.power += 1;
        machine.powered = false;
        machine.fences.clear();
        let wall = machine.clock.read(self.now).wall;
        machine.engine.power_cut(wall);
        self.tell(host, || Fact::Died { power: true });
        self.tell_changes(host);
    }

    /// The daemon is told to stop: it answers whoever waits, asks its peers for patience, and ends by
    /// itself.
    pub fn stop_node(&mut self, host: usize) {
        if self.hosts[host].is_up() {
            self.after(Duration::ZERO, host, What::Stop);
        }
    }

    pub fn crash_container(&mut self, host: usize, name: &str) {
        let machine = &mut self.hosts[host];
        let wall = machine.clock.read(self.now).wall;
        machine.engine.crash(name, wall);
        self.tell_changes(host);
        self.observe_soon(host);
    }

    /// Runs of jobs that have taken so many milliseconds end with 0.
    pub fn end_runs(&mut self, host: usize, after: u64) {
        let machine = &mut self.hosts[host];
        let wall = machine.clock.read(self.now).wall;
        if machine.engine.end_runs(wall, after) {
            self.tell_changes(host);
            self.observe_soon(host);
        }
    }

    /// Containers of a host whose health is checked do not do their work any more, the first or all, until they are
    /// started again.
    pub fn sicken(&mut self, host: usize, all: bool) {
        let count = if all { usize::MAX } else { 1 };
        self.hosts[host].engine.sicken(count);
        self.tell_changes(host);
    }

    /// All containers of a host are removed behind its node's back.
    pub fn lose_containers(&mut self, host: usize) {
        let machine = &mut self.hosts[host];
        let wall = machine.clock.read(self.now).wall;
        machine.engine.lose_containers(wall);
        self.tell_changes(host);
        self.observe_soon(host);
    }

    /// The node's loop stands still, as long as the longest stall that has begun; what comes in waits.
    pub fn stall(&mut self, host: usize, lasts: Duration) {
        let until = self.now + lasts;
        let machine = &mut self.hosts[host];
        // Another stall may be under way, which this one does not shorten.
        machine.stalled_until = machine.stalled_until.max(until);
        machine.stalls.push((self.now, machine.stalled_until));
    }

    /// The host gets another address, and its node is told.
    pub fn move_host(&mut self, host: usize, number: usize) {
        let address = format!("10.78.{number}.{}:8470", host + 1);
        let machine = &mut self.hosts[host];
        machine.address.clone_from(&address);
        let (life, what) = (machine.life, What::Moved { address });
        self.queue.push(self.now, Event { host, life, what });
    }

    /// The machine is replaced by an empty one of the same name, which is off.
    pub fn replace_host(&mut self, host: usize) {
        self.kill_host(host);
        let mut chance = self.hosts[host].chance.clone();
        let key = SecretKey::from_seed(chance.bytes());
        self.lose_disk(host);
        self.lose_containers(host);
        let machine = &mut self.hosts[host];
        machine.key = key;
        machine.chance = chance;
        machine.disk = Disk::default();
        machine.engine.images.clear();
        machine.engine.forget_landings();
        machine.view = Default::default();
        machine.status = Default::default();
        machine.peers.clear();
        self.index_keys();
    }

    fn lose_disk(&mut self, host: usize) {
        let lost = self.hosts[host].disk.hashes().iter().copied().collect();
        self.tell(host, || Fact::Lost(lost));
    }

    /// The power goes, and the last thing that was written cannot be read any more.
    pub fn damage_disk(&mut self, host: usize) {
        self.kill_host(host);
        if let Some(lost) = self.hosts[host].disk.damage_end() {
            self.tell(host, || Fact::Lost(vec![lost]));
        }
    }

    /// An older copy of the disk is put in place while the host is off.
    pub fn restore_disk(&mut self, host: usize, copy: Disk) {
        let now = self.hosts[host].disk.hashes();
        let lost = now.difference(copy.hashes()).copied().collect();
        self.hosts[host].disk.take_over(copy);
        self.tell(host, || Fact::Lost(lost));
    }

    /// `to` becomes a copy of `from`, key and disk; both are off then.
    pub fn clone_host(&mut self, from: usize, to: usize) {
        self.kill_host(to);
        self.kill_node(from);
        let (key, disk) = (self.hosts[from].key.clone(), self.hosts[from].disk.clone());
        let twin: &mut Host = &mut self.hosts[to];
        twin.key = key;
        twin.disk.take_over(disk);
    }
}
