//! A pretend Docker engine: it carries out actions, and its containers outlive the node.

mod landing;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use kontena_core::id::{GridId, InstanceId};
use kontena_core::lease::FenceTag;
use kontena_core::network::ipam::Subnet;
use kontena_core::reconcile::action::{
    Action, Care, CheckTarget, Container, ContainerId, ContainerSpec, ContainerState, Failure,
    Observed, Outcome, Ownership, Success,
};
use kontena_core::report::{Engine as About, EngineState};
use kontena_core::stack::{FrozenImage, Platforms, Port, Service};
use kontena_core::time::WallTime;
use kontena_core::volume::Copy;

pub use self::landing::{Data, Landing};
pub use self::trouble::{Illness, Trouble};
use crate::chance::Chance;

/// One host's engine.
#[derive(Clone, Debug)]
pub struct Engine {
    containers: BTreeMap<ContainerId, Container>,
    ports: BTreeMap<ContainerId, Vec<Port>>,
    /// Docker volumes, and those that each container mounts: they outlive containers.
    volumes: BTreeMap<String, Copy>,
    mounted: BTreeMap<ContainerId, BTreeSet<String>>,
    /// What is in volumes, and what containers found there when they were started.
    data: BTreeMap<String, Data>,
    found: BTreeMap<ContainerId, BTreeMap<String, Data>>,
    writes: u64,
    landings: BTreeMap<InstanceId, Landing>,
    /// By what the fence knows a container.
    fenced: BTreeMap<ContainerId, FenceTag>,
    /// Containers of another grid, which people run here too: by name.
    foreign: BTreeMap<String, Container>,
    /// On this engine.
    pub images: BTreeSet<String>,
    /// Where images are pulled from.
    pub registry: BTreeSet<String>,
    /// What a name means here and now, if not what it says.
    pub tags: BTreeMap<String, String>,
    created: u64,
    host: usize,
    /// It does not answer; containers go on running.
    pub hung: bool,
    /// What is wrong with it for a time.
    pub trouble: Trouble,
    /// Containers that run and do not do their work, until they are started again.
    ill: BTreeSet<ContainerId>,
    /// Images whose containers never do their work.
    pub ill_images: BTreeSet<String>,
    /// Images whose containers exit at once.
    pub broken_images: BTreeSet<String>,
    /// Containers started, ever: what must not rise when nothing changed.
    pub starts: u64,
    pub stops: u64,
    /// Hooks that ran to their end, ever.
    pub hooks: u64,
    /// Cores of its host.
    pub cpus: u32,
    /// What its kernel calls its processor.
    pub machine: &'static str,
    /// The images of the registry that were not built for every processor.
    pub built_for: BTreeMap<String, Platforms>,
    /// Bytes that its host has.
    pub memory: u64,
    changes: Vec<Change>,
}

/// Something that became of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Started(Container),
    /// It ran, and does so no more: stopped by its node, or ended by itself.
    Ended {
        container: Container,
        by_node: bool,
    },
    Removed(Container),
    /// It runs on, and does not do its work.
    FellIll(Container),
}

impl Engine {
    /// Cores of a host that nobody says otherwise of.
    pub const CPUS: u32 = 2;
    /// And the bytes that it has.
    pub const MEMORY: u64 = 8 << 30;

    pub fn new(host: usize) -> Self {
        Self {
            containers: BTreeMap::new(),
            ports: BTreeMap::new(),
            volumes: BTreeMap::new(),
            mounted: BTreeMap::new(),
            data: BTreeMap::new(),
            found: BTreeMap::new(),
            writes: 0,
            landings: BTreeMap::new(),
            fenced: BTreeMap::new(),
            foreign: BTreeMap::new(),
            images: BTreeSet::new(),
            registry: BTreeSet::new(),
            tags: BTreeMap::new(),
            created: 0,
            host,
            hung: false,
            trouble: Trouble::default(),
            ill: BTreeSet::new(),
            ill_images: BTreeSet::new(),
            broken_images: BTreeSet::new(),
            starts: 0,
            stops: 0,
            hooks: 0,
            cpus: Self::CPUS,
            machine: "x86_64",
            built_for: BTreeMap::new(),
            memory: Self::MEMORY,
            changes: Vec::new(),
        }
    }

    /// How long an action takes: the lab's Docker took 364 ms for create and start.
    pub fn latency(&self, action: &Action, chance: &mut Chance) -> Duration {
        let millis = |low, high| (Duration::from_millis(low), Duration::from_millis(high));
        let (low, high) = match action {
            // A registry that is there and has it not says so at once.
            Action::Fetch { image, frozen }
                if self.trouble.no_pulls && !self.has(image, frozen) =>
            {
                millis(50, 300)
            }
            Action::Fetch { image, frozen } if !self.has(image, frozen) => {
                let pull = self.trouble.pull.unwrap_or(Duration::from_secs(4));
                (pull / 2, pull)
            }
            Action::Fetch { .. } => millis(2, 10),
            Action::Run(_) => millis(250, 500),
            Action::Start { .. } => millis(150, 300),
            Action::Stop { grace, .. } if self.trouble.ignores_stop => (*grace, *grace),
            Action::Stop { .. } => millis(50, 400),
            Action::Remove { .. } | Action::RemoveVolume { .. } | Action::Move(_) => {
                millis(30, 100)
            }
            Action::Rename { .. } => millis(5, 30),
            Action::Hook { limit, .. } | Action::Command { limit, .. }
                if self.trouble.hangs_hooks =>
            {
                (*limit, *limit)
            }
            Action::Hook { .. } | Action::Command { .. } => millis(50, 3000),
            Action::Check { limit, .. } if self.trouble.sickens == Some(Illness::Hangs) => {
                (*limit, *limit)
            }
            Action::Probe { .. } | Action::Check { .. } | Action::LastLines { .. } => millis(1, 50),
        };
        chance.between(low, high)
    }

    /// What comes of a hook that begins now and does not end by itself.
    pub fn hangs_in(&self, action: &Action) -> Option<Failure> {
        let (Action::Hook { hook, limit, .. } | Action::Command { hook, limit, .. }) = action
        else {
            return None;
        };
        let problem = format!("did not end within {limit:?}");
        let hook = hook.clone();
        let failure = Failure::HookFailed { hook, problem };
        self.trouble.hangs_hooks.then_some(failure)
    }

    pub fn is_hung(&self) -> bool {
        self.hung || self.trouble.hangs
    }

    pub fn carry_out(&mut self, action: Action, wall: WallTime) -> Outcome {
        if let Action::Check { target, .. } = action {
            return self.check(&target);
        }
        if self.is_hung() {
            return Err(Failure::Unreachable {
                problem: "the engine hangs".to_owned(),
            });
        }
        match action {
            Action::Fetch { image, frozen } => self.fetch(image, &frozen),
            Action::Run(spec) => self.run(*spec, wall),
            Action::Start { container } => self.start(&container, wall),
            Action::Stop { container, .. } => self.stop(&container, wall),
            Action::Remove { container } => self.remove_stopped(&container),
            Action::RemoveVolume { name, copy } => self.remove_volume(name, &copy),
            Action::Move(step) => self.settle_in(&step),
            Action::Rename { container, name } => self.rename(&container, name),
            Action::Probe { address, .. } => self.probe(address),
            Action::Check { target, .. } => self.check(&target),
            Action::LastLines { container } => match self.containers.contains_key(&container) {
                true => Ok(Success::Lines(vec!["its last words".to_owned()])),
                false => Err(Failure::Gone),
            },
            Action::Hook { hook, .. } => self.hook(hook),
            Action::Command {
                container, hook, ..
            } => match self.containers.get(&container).is_some_and(is_running) {
                true => self.hook(hook),
                false => Err(Failure::Gone),
            },
        }
    }

    /// What a name means now, to a registry or else here.
    pub fn meaning(&self, image: &str) -> Option<FrozenImage> {
        let meant = self.meant(image, &None);
        let is_here = self.images.contains(&meant) && !self.is_hung();
        let known = format!("sha256:{meant}");
        // Where the registry is silent the engine remembers what the name meant when it was pulled.
        let said = !self.trouble.no_pulls;
        if self.registry.contains(&meant) && !self.is_hung() && (said || is_here) {
            let platforms = match said {
                true => self.platforms(&meant),
                false => Platforms::default(),
            };
            return Some(FrozenImage::Digest {
                id: is_here.then(|| known.clone()),
                digest: known,
                platforms,
                said,
            });
        }
        is_here.then_some(FrozenImage::Id { id: known })
    }

    fn platforms(&self, meant: &str) -> Platforms {
        self.built_for.get(meant).cloned().unwrap_or_default()
    }

    /// What the engine takes an image for: an id is `sha256:` and what its name says.
    fn meant(&self, image: &str, frozen: &Option<FrozenImage>) -> String {
        let by_name = || {
            self.tags
                .get(image)
                .map_or(image, String::as_str)
                .to_owned()
        };
        let Some(frozen) = frozen else {
            return by_name();
        };
        let known = frozen.to_string();
        let known = known.trim_start_matches("sha256:");
        match frozen {
            FrozenImage::Id { .. } if !self.images.contains(known) => by_name(),
            FrozenImage::Id { .. } | FrozenImage::Digest { .. } => known.to_owned(),
        }
    }

    /// Whether an image is here, as a deploy asks for it.
    pub fn has(&self, image: &str, frozen: &Option<FrozenImage>) -> bool {
        self.images.contains(&self.meant(image, frozen))
    }

    fn fetch(&mut self, image: String, frozen: &Option<FrozenImage>) -> Outcome {
        let meant = self.meant(&image, frozen);
        if self.registry.contains(&meant) && !self.trouble.no_pulls {
            if !self.platforms(&meant).run_on(self.machine) {
                let problem = format!("no matching manifest for {}", self.machine);
                return Err(Failure::NoImage { image, problem });
            }
            self.images.insert(meant.clone());
        }
        if self.images.contains(&meant) {
            return Ok(Success::Image {
                pinned: format!("sha256:{meant}"),
            });
        }
        Err(Failure::NoImage {
            image,
            problem: "not found".to_owned(),
        })
    }

    /// What its containers mount that another one is made with; one that is not there is Docker's to refuse.
    fn shared_mounts(&self, spec: &ContainerSpec) -> Result<BTreeMap<String, String>, Failure> {
        let mut mounts = BTreeMap::new();
        for name in &spec.volumes_from {
            let mut all = self.containers.values();
            let Some(source) = all.find(|source| source.name == *name) else {
                let problem = format!("No such container: {name}");
                return Err(Failure::Refused { problem });
            };
            mounts.extend(source.mounts.clone());
        }
        Ok(mounts)
    }

    fn run(&mut self, spec: ContainerSpec, wall: WallTime) -> Outcome {
        let shared = self.shared_mounts(&spec)?;
        if self.foreign.contains_key(&spec.name) {
            return Err(Failure::Occupied { name: spec.name });
        }
        let same_name = self
            .containers
            .values()
            .find(|container| container.name == spec.name);
        let same_name = same_name.map(|there| (there.id.clone(), there.owner.clone()));
        self.make_volumes(&spec)?;
        let id = match same_name {
            Some((_, owner)) if owner != spec.labels => {
                return Err(Failure::Occupied { name: spec.name });
            }
            Some((there, _)) => there,
            None => self.create(spec, shared),
        };
        self.start(&id, wall)?;
        Ok(Success::Running(Box::new(self.containers[&id].clone())))
    }

    fn create(&mut self, spec: ContainerSpec, shared: BTreeMap<String, String>) -> ContainerId {
        self.created += 1;
        let id = ContainerId(format!("{:04x}{:060x}", self.host, self.created));
        let assigned = spec.network.address();
        let octet = u8::try_from(self.created % 250 + 2).expect("below 252");
        let container = Container {
            id: id.clone(),
            name: spec.name,
            owner: spec.labels,
            care: Box::new(spec.care),
            image: spec.image,
            state: ContainerState::Created,
            address: Some(assigned.map_or([172, 17, 0, octet].into(), IpAddr::V4)),
            assigned,
            mounts: shared,
        };
        let mut mounts = container.mounts.clone();
        for mount in spec.mounts {
            let path = mount.volume.path;
            let without_name = || format!("{}{path}", id.0);
            let volume = mount.docker_volume.map(|volume| volume.name);
            mounts.insert(path.clone(), volume.unwrap_or_else(without_name));
        }
        let volumes = mounts
            .values()
            .filter(|name| self.volumes.contains_key(*name));
        self.mounted.insert(id.clone(), volumes.cloned().collect());
        let container = Container {
            mounts,
            ..container
        };
        self.ports.insert(id.clone(), spec.ports);
        if let Some(fence) = spec.fence {
            self.fenced.insert(id.clone(), fence.tag);
        }
        self.containers.insert(id.clone(), container);
        id
    }

    fn start(&mut self, id: &ContainerId, wall: WallTime) -> Outcome {
        if let Some(port) = self.taken_port(id) {
            return Err(Failure::PortTaken { port });
        }
        if let Some(address) = self.taken_address(id) {
            return Err(Failure::AddressTaken { address });
        }
        let container = self.containers.get(id).ok_or(Failure::Gone)?;
        if is_running(container) {
            return Ok(Success::Done);
        }
        self.starts += 1;
        self.ill.remove(id);
        self.look_into_volumes(id);
        self.write(id);
        let container = self.containers.get_mut(id).ok_or(Failure::Gone)?;
        container.state = ContainerState::Running { since: wall };
        self.changes.push(Change::Started(container.clone()));
        let image = &container.image;
        let is_broken = self
            .broken_images
            .iter()
            .any(|broken| image.ends_with(broken.as_str()));
        if is_broken || self.trouble.fails_starts {
            self.end(id, 1, false, wall);
        }
        Ok(Success::Done)
    }

    /// A host port that this container wants and another one has.
    fn taken_port(&self, id: &ContainerId) -> Option<u16> {
        let wanted = self.ports.get(id)?;
        let others = self.running().filter(|other| other.id != *id);
        let taken: BTreeSet<u16> = others
            .flat_map(|other| self.ports.get(&other.id).into_iter().flatten())
            .map(|port| port.node_port)
            .collect();
        wanted
            .iter()
            .map(|port| port.node_port)
            .find(|port| taken.contains(port))
    }

    /// The grid's network has this subnet from now on: each container keeps the last number of its address.
    pub fn renumber(&mut self, subnet: Subnet) {
        for container in self.containers.values_mut() {
            if let Some(assigned) = &mut container.assigned {
                *assigned = subnet.address(assigned.octets()[3]);
                container.address = Some(IpAddr::V4(*assigned));
            }
        }
    }

    /// Docker gives no address twice: a container that wants one which another has does not start.
    fn taken_address(&self, id: &ContainerId) -> Option<Ipv4Addr> {
        let wanted = self.containers.get(id)?.assigned?;
        let mut others = self.running().filter(|other| other.id != *id);
        others
            .find(|other| other.assigned == Some(wanted))
            .map(|_| wanted)
    }

    fn stop(&mut self, id: &ContainerId, wall: WallTime) -> Outcome {
        if self.containers.get(id).is_some_and(is_running) {
            self.stops += 1;
            self.end(id, 0, true, wall);
        }
        Ok(Success::Done)
    }

    fn end(&mut self, id: &ContainerId, code: i64, by_node: bool, wall: WallTime) {
        if let Some(container) = self.containers.get_mut(id)
            && is_running(container)
        {
            container.state = ContainerState::Exited { code, at: wall };
            let container = container.clone();
            self.changes.push(Change::Ended { container, by_node });
            self.write(id);
        }
    }

    /// Docker refuses to remove a container that runs, unless it is forced.
    fn remove_stopped(&mut self, id: &ContainerId) -> Outcome {
        if self.containers.get(id).is_some_and(is_running) {
            let problem = "stop the container before removing it".to_owned();
            return Err(Failure::Refused { problem });
        }
        self.remove(id);
        Ok(Success::Done)
    }

    fn make_volumes(&mut self, spec: &ContainerSpec) -> Result<(), Failure> {
        for mount in &spec.mounts {
            let Some(mounted) = &mount.docker_volume else {
                continue;
            };
            if self.trouble.no_room && !self.volumes.contains_key(&mounted.name) {
                let problem = "no space left on device".to_owned();
                return Err(Failure::Refused { problem });
            }
            let made = self.volumes.entry(mounted.name.clone());
            made.or_insert_with(|| mounted.copy.clone());
        }
        Ok(())
    }

    /// Docker refuses to remove what a container has, whether it runs or not.
    fn remove_volume(&mut self, name: String, copy: &Copy) -> Outcome {
        if self.volumes.get(&name) != Some(copy) {
            return Ok(Success::Done);
        }
        if self.mounted.values().any(|volumes| volumes.contains(&name)) {
            let problem = "volume is in use".to_owned();
            return Err(Failure::Refused { problem });
        }
        self.volumes.remove(&name);
        self.data.remove(&name);
        Ok(Success::Done)
    }

    /// The copies of volumes that it has, by name.
    pub fn volumes(&self) -> &BTreeMap<String, Copy> {
        &self.volumes
    }

    /// `None` while it does not answer.
    pub fn observed_volumes(&self) -> Option<Observed> {
        let is_there = !self.is_hung();
        is_there.then(|| Observed::Volumes(self.volumes.clone()))
    }

    fn rename(&mut self, id: &ContainerId, name: String) -> Outcome {
        let mut others = self.containers.values().filter(|other| other.id != *id);
        if others.any(|other| other.name == name) || self.foreign.contains_key(&name) {
            return Err(Failure::Occupied { name });
        }
        let container = self.containers.get_mut(id).ok_or(Failure::Gone)?;
        container.name = name;
        Ok(Success::Done)
    }

    fn remove(&mut self, id: &ContainerId) {
        self.ports.remove(id);
        self.fenced.remove(id);
        self.mounted.remove(id);
        self.found.remove(id);
        self.ill.remove(id);
        if let Some(container) = self.containers.remove(id) {
            self.changes.push(Change::Removed(container));
        }
    }

    fn probe(&self, address: IpAddr) -> Outcome {
        let answers = self
            .running()
            .any(|container| container.address == Some(address));
        if answers {
            Ok(Success::Done)
        } else {
            Err(Failure::NotReady {
                problem: "refused".to_owned(),
            })
        }
    }

    fn hook(&mut self, hook: String) -> Outcome {
        self.hooks += 1;
        if self.trouble.fails_hooks {
            let problem = "ended with 1".to_owned();
            return Err(Failure::HookFailed { hook, problem });
        }
        Ok(Success::Done)
    }

    /// A container is asked over the network, whatever the engine does.
    fn check(&self, target: &CheckTarget) -> Outcome {
        let answers = self.running().any(|container| {
            let is_asked = match target {
                CheckTarget::Http { address, .. } | CheckTarget::Tcp { address, .. } => {
                    container.address == Some(*address)
                }
                CheckTarget::Exec { container: id, .. } => container.id == *id,
            };
            let image = &container.image;
            let mut never = self.ill_images.iter();
            let is_never_well = never.any(|ill| image.ends_with(ill.as_str()));
            is_asked && !is_never_well && !self.is_ill(&container.id)
        });
        if answers && self.trouble.sickens.is_none() {
            return Ok(Success::Done);
        }
        let problem = "status 503".to_owned();
        Err(Failure::NotReady { problem })
    }

    /// So many running containers whose health is checked do not do their work any more.
    pub fn sicken(&mut self, count: usize) {
        let checked = self
            .running()
            .filter(|container| container.care.health_check.is_some());
        let ids: Vec<ContainerId> = checked.map(|container| container.id.clone()).collect();
        for id in ids.into_iter().take(count) {
            self.changes
                .push(Change::FellIll(self.containers[&id].clone()));
            self.ill.insert(id);
        }
    }

    /// Whether it runs and does not do its work, until it is started again.
    pub fn is_ill(&self, id: &ContainerId) -> bool {
        self.ill.contains(id)
    }

    /// A power cut: everything stops, nothing is lost.
    pub fn power_cut(&mut self, wall: WallTime) {
        for id in self.ids(|_| true) {
            self.end(&id, 137, false, wall);
        }
    }

    /// By what the fence knows a container, if it runs under a lease.
    pub fn fence_of(&self, container: &ContainerId) -> Option<FenceTag> {
        self.fenced.get(container).copied()
    }

    /// The fence kills whatever runs with this tag. Says whether there was anything.
    pub fn kill_fenced(&mut self, tag: FenceTag, wall: WallTime) -> bool {
        let fenced = self.fenced.iter().filter(|(_, other)| **other == tag);
        let ids: Vec<ContainerId> = fenced.map(|(id, _)| id.clone()).collect();
        let running = ids.iter().filter(|id| self.get(id).is_some_and(is_running));
        let is_any = running.count() > 0;
        for id in ids {
            self.end(&id, 137, false, wall);
        }
        is_any
    }

    /// A container dies by itself.
    pub fn crash(&mut self, name: &str, wall: WallTime) {
        for id in self.ids(|container| container.name == name) {
            self.end(&id, 1, false, wall);
        }
    }

    /// Runs of jobs that have taken so many milliseconds end by themselves. Says whether there were any.
    pub fn end_runs(&mut self, wall: WallTime, after: u64) -> bool {
        let has_ended = |container: &Container| {
            let ContainerState::Running { since } = container.state else {
                return false;
            };
            container.owner.slot.is_some() && wall.0.abs_diff(since.0) >= after
        };
        let ended = self.ids(has_ended);
        for id in &ended {
            self.end(id, 0, false, wall);
        }
        !ended.is_empty()
    }

    /// Somebody ran `docker rm -f` on everything.
    pub fn lose_containers(&mut self, wall: WallTime) {
        self.power_cut(wall);
        for id in self.ids(|_| true) {
            self.remove(&id);
        }
    }

    fn ids(&self, wanted: impl Fn(&Container) -> bool) -> Vec<ContainerId> {
        let containers = self.containers.values();
        containers
            .filter(|container| wanted(container))
            .map(|container| container.id.clone())
            .collect()
    }

    pub fn observed(&self) -> Observed {
        if self.is_hung() {
            return Observed::EngineTrouble {
                problem: "the engine hangs".to_owned(),
            };
        }
        let ours = self.containers.clone().into_iter();
        let foreign = self.foreign.values();
        let foreign = foreign.map(|container| (container.id.clone(), container.clone()));
        Observed::Containers(ours.chain(foreign).collect())
    }

    /// Another grid runs an instance of its own here, and has the name first.
    pub fn squat(&mut self, instance: InstanceId, wall: WallTime) {
        let name = instance.container_name();
        let id = ContainerId(format!("foreign-{:04x}-{name}", self.host));
        let owner = Ownership {
            grid: GridId([0xff; 32]).to_string(),
            instance,
            epoch: 1,
            generation: 1,
            revision: Service::hash_of(b"of another grid"),
            slot: None,
        };
        let container = Container {
            id,
            name: name.clone(),
            owner,
            care: Box::new(Care::default()),
            image: "sha256:of-another-grid".to_owned(),
            state: ContainerState::Running { since: wall },
            address: Some([172, 18, 0, 2].into()),
            assigned: None,
            mounts: BTreeMap::new(),
        };
        self.foreign.insert(name, container);
    }

    pub fn end_squat(&mut self, name: &str) {
        self.foreign.remove(name);
    }

    pub fn about(&self) -> Observed {
        Observed::Engine(About {
            state: EngineState::Working,
            version: "20.10.24".to_owned(),
            cpus: self.cpus,
            memory_bytes: self.memory,
            architecture: self.machine.to_owned(),
            operating_system: "Debian GNU/Linux 12".to_owned(),
            kernel: "6.1".to_owned(),
            volume_drivers: vec!["local".to_owned()],
        })
    }

    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers
            .values()
            .filter(|container| is_running(container))
    }

    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }

    pub fn get(&self, id: &ContainerId) -> Option<&Container> {
        self.containers.get(id)
    }

    pub fn ports(&self, id: &ContainerId) -> &[Port] {
        self.ports.get(id).map_or(&[], Vec::as_slice)
    }

    /// What became of containers since this was last asked.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}

pub fn is_running(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running { .. })
}
