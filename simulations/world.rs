//! The world: hosts, one queue of events, virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kontena_core::command::{Command, CommandId, Reply};
use kontena_core::id::{InstanceId, NodeId};
use kontena_core::identity::SecretKey;
use kontena_core::message::{JoinAnswer, JoinCall, Message};
use kontena_core::node::{Input, Node, NodeConfig, Output, Record, SaveId};
use kontena_core::reconcile::action::{Action, ActionId, Outcome};
use kontena_core::time::{Instant, Now, WallTime};
use kontena_core::view::View;

use crate::chance::Chance;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::meter::Meter;
use crate::network::Network;

/// Wall time at the start of every run: 2026-01-01, in milliseconds.
const EPOCH: u64 = 1_767_225_600_000;

/// How long the engine's event stream takes to show a change.
const OBSERVATION_DELAY: Duration = Duration::from_millis(20);

/// A grid of hosts.
#[derive(Debug)]
pub struct World {
    pub hosts: Vec<Host>,
    pub network: Network,
    pub chance: Chance,
    now: Instant,
    queue: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    replies: BTreeMap<CommandId, Reply>,
    commands: u64,
    /// Messages carried so far.
    pub messages: u64,
    /// What each host sends, while it is measured.
    pub meter: Option<Meter>,
    /// One line for every thing that happened, if wanted.
    pub trace: Option<Vec<String>>,
}

/// One machine.
#[derive(Debug)]
pub struct Host {
    pub key: SecretKey,
    pub node: Option<Node>,
    pub disk: Disk,
    pub engine: Engine,
    pub view: Arc<View>,
    /// Raised at each crash: what was under way for an earlier life is lost.
    life: u64,
    /// The wake-up that is queued.
    wake: Option<Instant>,
    /// The whole machine stands still until then.
    stalled: Instant,
    peers: BTreeMap<NodeId, Vec<String>>,
}

#[derive(Debug)]
enum Event {
    Deliver {
        from: usize,
        to: usize,
        message: Message,
    },
    Wake {
        host: usize,
        life: u64,
    },
    Carry {
        host: usize,
        life: u64,
        id: ActionId,
        action: Action,
    },
    Done {
        host: usize,
        life: u64,
        id: ActionId,
        outcome: Outcome,
    },
    Observe {
        host: usize,
        life: u64,
    },
    Save {
        host: usize,
        life: u64,
        id: SaveId,
        records: Vec<Record>,
    },
    JoinAsked {
        from: usize,
        to: usize,
        call: JoinCall,
    },
    JoinAnswered {
        to: usize,
        answer: Result<JoinAnswer, String>,
    },
}

impl Event {
    /// Where it happens.
    fn host(&self) -> usize {
        match self {
            Self::Deliver { to, .. }
            | Self::JoinAsked { to, .. }
            | Self::JoinAnswered { to, .. } => *to,
            Self::Wake { host, .. }
            | Self::Carry { host, .. }
            | Self::Done { host, .. }
            | Self::Observe { host, .. }
            | Self::Save { host, .. } => *host,
        }
    }
}

impl World {
    /// `hosts` machines that run a node each, in no grid yet.
    pub fn new(hosts: usize, seed: u64) -> Self {
        let mut world = Self {
            hosts: Vec::new(),
            network: Network::default(),
            chance: Chance::new(seed),
            now: Instant::from_millis(1000),
            queue: BTreeMap::new(),
            sequence: 0,
            replies: BTreeMap::new(),
            commands: 0,
            messages: 0,
            meter: None,
            trace: None,
        };
        for host in 0..hosts {
            world.add_host(host);
        }
        world
    }

    fn add_host(&mut self, host: usize) {
        let key = SecretKey::from_seed(self.chance.bytes());
        self.hosts.push(Host {
            key,
            node: None,
            disk: Disk::default(),
            engine: Engine::new(host),
            view: Arc::default(),
            life: 0,
            wake: None,
            stalled: Instant::ZERO,
            peers: BTreeMap::new(),
        });
        self.boot(host);
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn clock(&self) -> Now {
        Now {
            monotonic: self.now,
            wall: self.wall(),
        }
    }

    fn wall(&self) -> WallTime {
        WallTime(
            EPOCH
                + u64::try_from(self.now.since_start().as_millis())
                    .expect("a run is shorter than the universe"),
        )
    }

    pub fn id(&self, host: usize) -> NodeId {
        self.hosts[host].key.node_id()
    }

    /// Where a host is found: hosts are told apart by address.
    pub fn address(host: usize) -> String {
        format!("10.77.{}.{}:8470", host / 250, host % 250 + 1)
    }

    fn host_at(&self, address: &str) -> Option<usize> {
        (0..self.hosts.len()).find(|host| Self::address(*host) == address)
    }

    /// Whoever answers to a node's key: one of several where a disk was cloned.
    fn host_of(&mut self, id: NodeId, from: usize) -> Option<usize> {
        let hosts = (0..self.hosts.len()).filter(|host| *host != from && self.id(*host) == id);
        let hosts: Vec<usize> = hosts.collect();
        match hosts.as_slice() {
            [] => None,
            [only] => Some(*only),
            several => Some(several[self.chance.below(several.len() as u64) as usize]),
        }
    }

    // --- what may happen to a host ---

    /// Starts the node from its disk; the engine goes on as it was.
    pub fn boot(&mut self, host: usize) {
        let now = self.clock();
        let nonce = self.chance.draw();
        let seed = self.chance.draw();
        let machine = &mut self.hosts[host];
        machine.disk.boots += 1;
        let config = NodeConfig {
            key: machine.key.clone(),
            boot: machine.disk.boots,
            nonce,
            seed,
            version: "2.0.0".to_owned(),
        };
        machine.life += 1;
        machine.wake = None;
        machine.node = Some(Node::new(config, machine.disk.load(), now));
        self.handle(host, Input::Addresses(vec![Self::address(host)]));
        let about = self.hosts[host].engine.about();
        self.handle(host, Input::Observed(about));
        self.observe_soon(host);
    }

    /// `kill -9` of the daemon: containers run on.
    pub fn kill_node(&mut self, host: usize) {
        self.hosts[host].node = None;
        self.hosts[host].life += 1;
    }

    /// The power goes: node and containers.
    pub fn kill_host(&mut self, host: usize) {
        self.kill_node(host);
        let wall = self.wall();
        self.hosts[host].engine.power_cut(wall);
    }

    /// The machine stands still: what comes in meanwhile is handled when it goes on.
    pub fn stall(&mut self, host: usize, duration: Duration) {
        self.hosts[host].stalled = self.now + duration;
    }

    pub fn crash_container(&mut self, host: usize, name: &str) {
        let wall = self.wall();
        self.hosts[host].engine.crash(name, wall);
        self.observe_soon(host);
    }

    /// Tells the node what the engine shows now.
    pub fn observe_soon(&mut self, host: usize) {
        let life = self.hosts[host].life;
        self.after(OBSERVATION_DELAY, Event::Observe { host, life });
    }

    /// Gives every host an image.
    pub fn load_image(&mut self, image: &str) {
        for host in &mut self.hosts {
            host.engine.images.insert(image.to_owned());
        }
    }

    // --- what people do ---

    /// Gives a command to a host's node and waits for the answer.
    pub fn command(&mut self, host: usize, command: Command) -> Reply {
        let id = self.give(host, command);
        let deadline = self.now + Duration::from_secs(60);
        while self.now < deadline {
            if let Some(reply) = self.replies.remove(&id) {
                return reply;
            }
            self.step();
        }
        panic!("no answer within 60 s");
    }

    /// Gives a command without waiting.
    pub fn give(&mut self, host: usize, command: Command) -> CommandId {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.handle(host, Input::Command { id, command });
        id
    }

    pub fn reply(&mut self, id: CommandId) -> Option<Reply> {
        self.replies.remove(&id)
    }

    /// A grid of all hosts.
    pub fn form_grid(&mut self) {
        let token = self.init(0);
        for host in 1..self.hosts.len() {
            self.join(host, 0, &token)
                .expect("a fresh host with a good token is admitted");
        }
    }

    /// Makes a host the first of a grid; gives the join token.
    pub fn init(&mut self, host: usize) -> String {
        let command = Command::Init {
            grid: "demo".parse().expect("a label"),
            name: Self::name(host),
            labels: Vec::new(),
            grid_seed: self.chance.bytes(),
            token_seed: self.chance.bytes(),
            admin_token: self.chance.bytes(),
        };
        let accepted = self
            .command(host, command)
            .expect("a fresh node can be the first");
        accepted.join_token.expect("init gives a token")
    }

    pub fn join(&mut self, host: usize, sponsor: usize, token: &str) -> Reply {
        let command = Command::Join {
            address: Self::address(sponsor),
            token: token.to_owned(),
            name: Self::name(host),
            labels: Vec::new(),
        };
        self.command(host, command)
    }

    fn name(host: usize) -> kontena_core::id::NodeName {
        format!("n{}", host + 1).parse().expect("a label")
    }

    // --- time ---

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self
            .queue
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= end)
        {
            self.step();
        }
        self.now = end;
    }

    /// Runs until `holds`; gives how long it took, or panics with what it waited for.
    #[track_caller]
    pub fn until(
        &mut self,
        limit: Duration,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) -> Duration {
        let start = self.now;
        while !holds(self) {
            assert!(
                self.now.since(start) < limit,
                "not within {limit:?}: {what}\n{}",
                self.summary()
            );
            self.step();
        }
        self.now.since(start)
    }

    /// Lets the next event happen.
    pub fn step(&mut self) {
        let Some(((at, _), event)) = self.queue.pop_first() else {
            self.now = self.now + Duration::from_secs(1);
            return;
        };
        self.now = at;
        match self.hosts[event.host()].stalled {
            later if later > at => self.at(later, event),
            _ => self.happen(event),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, message),
            Event::Wake { host, life } if self.hosts[host].life == life => {
                self.hosts[host].wake = None;
                self.handle(host, Input::Wake);
            }
            Event::Carry {
                host,
                life,
                id,
                action,
            } => self.carry(host, life, id, action),
            Event::Done {
                host,
                life,
                id,
                outcome,
            } if self.hosts[host].life == life => {
                self.handle(host, Input::Done { id, outcome });
            }
            Event::Observe { host, life } if self.hosts[host].life == life => {
                let observed = self.hosts[host].engine.observed();
                self.handle(host, Input::Observed(observed));
            }
            Event::Save {
                host,
                life,
                id,
                records,
            } if self.hosts[host].life == life => {
                let result = self.hosts[host].disk.save(records);
                self.handle(host, Input::Saved { id, result });
            }
            Event::JoinAsked { from, to, call } => self.join_asked(from, to, call),
            Event::JoinAnswered { to, answer } => self.handle(to, Input::JoinAnswered { answer }),
            Event::Wake { .. }
            | Event::Done { .. }
            | Event::Observe { .. }
            | Event::Save { .. } => {}
        }
    }

    /// A message arrives if both ends live and the receiver lets the sender speak.
    fn deliver(&mut self, from: usize, to: usize, message: Message) {
        let sender = self.id(from);
        if self.hosts[to].peers.contains_key(&sender) {
            self.handle(
                to,
                Input::Received {
                    from: sender,
                    message,
                },
            );
        }
    }

    /// The engine carries an action out even if the node that asked for it has died meanwhile.
    fn carry(&mut self, host: usize, life: u64, id: ActionId, action: Action) {
        let wall = self.wall();
        let outcome = self.hosts[host].engine.carry_out(action, wall);
        self.after(
            Duration::from_millis(1),
            Event::Done {
                host,
                life,
                id,
                outcome,
            },
        );
        self.observe_soon(host);
    }

    fn join_asked(&mut self, from: usize, to: usize, call: JoinCall) {
        let id = from as u64;
        let stranger = self.id(from);
        self.handle(
            to,
            Input::JoinAsked {
                id,
                from: stranger,
                seen: Self::address(from)
                    .parse::<std::net::SocketAddr>()
                    .ok()
                    .map(|socket| socket.ip()),
                call,
            },
        );
    }

    fn handle(&mut self, host: usize, input: Input) {
        let now = self.clock();
        let Some(node) = self.hosts[host].node.as_mut() else {
            return;
        };
        if let Some(trace) = &mut self.trace {
            trace.push(format!(
                "{:>9.3} n{} {input:?}",
                now.monotonic.since_start().as_secs_f64(),
                host + 1
            ));
        }
        node.handle(input, now);
        let mut outputs = VecDeque::new();
        while let Some(output) = node.poll_output() {
            outputs.push_back(output);
        }
        for output in outputs {
            self.carry_output(host, output);
        }
        self.set_wake(host);
    }

    fn carry_output(&mut self, host: usize, output: Output) {
        let life = self.hosts[host].life;
        match output {
            Output::Send { to, message } => self.send(host, to, &message),
            Output::SetPeers(peers) => self.hosts[host].peers = peers,
            Output::AskJoin { address, call } => self.ask_join(host, &address, call),
            Output::AnswerJoin { id, answer } => {
                let to = usize::try_from(id).expect("a host's index");
                if !self.network.is_cut(host, to) {
                    self.after(
                        Duration::from_millis(1),
                        Event::JoinAnswered {
                            to,
                            answer: Ok(answer),
                        },
                    );
                }
            }
            Output::Save { id, records } => {
                let latency = self
                    .chance
                    .between(Duration::from_millis(1), Duration::from_millis(8));
                self.after(
                    latency,
                    Event::Save {
                        host,
                        life,
                        id,
                        records,
                    },
                );
            }
            Output::Run { id, action } => {
                let latency = Engine::latency(&action, &mut self.chance);
                self.after(
                    latency,
                    Event::Carry {
                        host,
                        life,
                        id,
                        action,
                    },
                );
            }
            Output::Reply { id, reply } => {
                self.replies.insert(id, reply);
            }
            Output::Show { view, .. } => {
                let was_member = self.hosts[host].view.documents.grid.id.is_some();
                if !was_member && view.documents.grid.id.is_some() {
                    self.observe_soon(host);
                }
                self.hosts[host].view = view;
            }
        }
    }

    fn send(&mut self, from: usize, to: NodeId, message: &Message) {
        let Some(to) = self.host_of(to, from) else {
            return;
        };
        self.messages += 1;
        if let Some(meter) = &mut self.meter {
            meter.sent(from, message);
        }
        for delay in self.network.carry(from, to, &mut self.chance) {
            self.after(
                delay,
                Event::Deliver {
                    from,
                    to,
                    message: message.clone(),
                },
            );
        }
    }

    fn ask_join(&mut self, from: usize, address: &str, call: JoinCall) {
        let reachable = self
            .host_at(address)
            .filter(|to| !self.network.is_cut(from, *to));
        match reachable.filter(|to| self.hosts[*to].node.is_some()) {
            Some(to) => self.after(
                Duration::from_millis(2),
                Event::JoinAsked { from, to, call },
            ),
            None => {
                let answer = Err("connection refused".to_owned());
                self.after(
                    Duration::from_millis(2),
                    Event::JoinAnswered { to: from, answer },
                );
            }
        }
    }

    fn set_wake(&mut self, host: usize) {
        let Some((at, _)) = self.hosts[host].node.as_ref().and_then(Node::poll_timeout) else {
            return;
        };
        let at = at.max(self.now + Duration::from_micros(1));
        if self.hosts[host].wake.is_none_or(|queued| at < queued) {
            self.hosts[host].wake = Some(at);
            let life = self.hosts[host].life;
            self.at(at, Event::Wake { host, life });
        }
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    // --- what is true ---

    /// Where each instance really runs, by the engines of all hosts.
    pub fn running(&self) -> BTreeMap<InstanceId, Vec<usize>> {
        let mut running: BTreeMap<InstanceId, Vec<usize>> = BTreeMap::new();
        for (index, host) in self.hosts.iter().enumerate() {
            for container in host.engine.running() {
                running
                    .entry(container.owner.instance.clone())
                    .or_default()
                    .push(index);
            }
        }
        running
    }

    /// Whether exactly these many instances of a service run, each once.
    pub fn runs_exactly(&self, service: &str, instances: usize) -> bool {
        let running = self.running();
        let of_service: Vec<_> = running
            .iter()
            .filter(|(id, _)| id.service.to_string() == service)
            .collect();
        of_service.len() == instances && of_service.iter().all(|(_, hosts)| hosts.len() == 1)
    }

    pub fn starts(&self) -> u64 {
        self.hosts.iter().map(|host| host.engine.starts).sum()
    }

    /// For a failing check: each host, what it runs and what it knows.
    pub fn summary(&self) -> String {
        let line = |(index, host): (usize, &Host)| {
            let running: Vec<_> = host
                .engine
                .running()
                .map(|container| container.name.clone())
                .collect();
            let up = if host.node.is_some() { "up" } else { "down" };
            let standings: Vec<_> = host
                .view
                .standings
                .values()
                .map(|s| s.freshness.to_string())
                .collect();
            format!("n{} {up} runs {running:?} sees {standings:?}", index + 1)
        };
        let lines: Vec<_> = self.hosts.iter().enumerate().map(line).collect();
        format!("at {:?}\n{}", self.now.since_start(), lines.join("\n"))
    }
}
