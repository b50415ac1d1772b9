//! A Docker engine in memory: deterministic, and as forgiving as the contract of actions says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::reconcile::action::{
    Action, Container, ContainerId, ContainerSpec, ContainerState, Failure, Observed, Outcome,
    Success,
};
use crate::stack::FrozenImage;
use crate::time::WallTime;
use crate::volume::Copy;

#[derive(Clone, Debug, Default)]
pub(super) struct Engine {
    pub containers: BTreeMap<ContainerId, Container>,
    pub missing_images: BTreeSet<String>,
    pub taken_ports: BTreeSet<u16>,
    /// By something that is not ours.
    pub taken_addresses: BTreeSet<Ipv4Addr>,
    /// No port accepts a connection.
    pub deaf: bool,
    /// What health checks say of every container, if not that it is well.
    pub ill: Option<Failure>,
    pub failing_hooks: BTreeSet<String>,
    /// What every container writes.
    pub written: Vec<String>,
    pub volumes: BTreeMap<String, Copy>,
    /// No volume can be made.
    pub is_full: bool,
    created: u64,
}

impl Engine {
    pub(super) fn list(&self) -> Observed {
        Observed::Containers(self.containers.clone())
    }

    pub(super) fn carry_out(&mut self, action: &Action, wall: WallTime) -> Outcome {
        match action {
            Action::Fetch { image, frozen } => match frozen.as_ref().and_then(FrozenImage::id) {
                Some(id) => self.fetch(id.trim_start_matches("sha256:")),
                None => self.fetch(image),
            },
            Action::Run(spec) => self.run(spec, wall),
            Action::Start { container } => self.start(container, wall),
            Action::Stop { container, .. } => {
                self.exit(container, 0, wall);
                Ok(Success::Done)
            }
            Action::Remove { container } => {
                let found = self.containers.get(container);
                if found.is_some_and(|found| matches!(found.state, ContainerState::Running { .. }))
                {
                    let problem = "a running container cannot be removed".to_owned();
                    return Err(Failure::Refused { problem });
                }
                self.containers.remove(container);
                Ok(Success::Done)
            }
            Action::RemoveVolume { name, copy } => {
                if self.volumes.get(name) == Some(copy) {
                    self.volumes.remove(name);
                }
                Ok(Success::Done)
            }
            // Between nodes: whoever tests it says what comes of it.
            Action::Move(_) => Err(Failure::Unreachable {
                problem: "nobody is there".to_owned(),
            }),
            Action::Rename { container, name } => {
                let mut others = self.containers.values();
                if others.any(|other| other.name == *name && other.id != *container) {
                    return Err(Failure::Occupied { name: name.clone() });
                }
                let found = self.containers.get_mut(container).ok_or(Failure::Gone)?;
                name.clone_into(&mut found.name);
                Ok(Success::Done)
            }
            Action::Probe { .. } if self.deaf => Err(Failure::NotReady {
                problem: "connection refused".to_owned(),
            }),
            Action::Probe { .. } => Ok(Success::Done),
            Action::Hook { hook, .. } | Action::Command { hook, .. } => {
                match self.failing_hooks.contains(hook) {
                    true => Err(Failure::HookFailed {
                        hook: hook.clone(),
                        problem: "ended with 1: no disk".to_owned(),
                    }),
                    false => Ok(Success::Done),
                }
            }
            Action::LastLines { .. } => Ok(Success::Lines(self.written.clone())),
            Action::Check { .. } => match &self.ill {
                None => Ok(Success::Done),
                Some(failure) => Err(failure.clone()),
            },
        }
    }

    /// The container's process ends.
    pub(super) fn exit(&mut self, id: &ContainerId, code: i64, wall: WallTime) {
        if let Some(container) = self.containers.get_mut(id) {
            container.state = ContainerState::Exited { code, at: wall };
            container.address = None;
        }
    }

    fn fetch(&self, image: &str) -> Outcome {
        if self.missing_images.contains(image) {
            return Err(Failure::NoImage {
                image: image.to_owned(),
                problem: "not found".to_owned(),
            });
        }
        let pinned = format!("sha256:{image}");
        Ok(Success::Image { pinned })
    }

    fn run(&mut self, spec: &ContainerSpec, wall: WallTime) -> Outcome {
        let there = self
            .containers
            .values()
            .find(|found| found.name == spec.name);
        if let Some(found) = there {
            if found.owner != spec.labels {
                return Err(Failure::Occupied {
                    name: spec.name.clone(),
                });
            }
            let id = found.id.clone();
            self.start(&id, wall)?;
            return Ok(Success::Running(Box::new(self.containers[&id].clone())));
        }
        for mounted in spec
            .mounts
            .iter()
            .filter_map(|mount| mount.docker_volume.as_ref())
        {
            if self.is_full && !self.volumes.contains_key(&mounted.name) {
                let problem = "no space left on device".to_owned();
                return Err(Failure::Refused { problem });
            }
            self.volumes
                .insert(mounted.name.clone(), mounted.copy.clone());
        }
        if let Some(port) = spec
            .ports
            .iter()
            .find(|port| self.taken_ports.contains(&port.node_port))
        {
            return Err(Failure::PortTaken {
                port: port.node_port,
            });
        }
        if let Some(address) = spec.network.address()
            && self.is_taken(address)
        {
            return Err(Failure::AddressTaken { address });
        }
        if self.missing_images.contains(&spec.image) {
            return self.fetch(&spec.image);
        }
        self.created += 1;
        let container = Container {
            id: ContainerId(format!("{:064x}", self.created)),
            name: spec.name.clone(),
            owner: spec.labels.clone(),
            care: Box::new(spec.care.clone()),
            image: spec.image.clone(),
            state: ContainerState::Running { since: wall },
            address: Some(spec.network.address().map_or(self.address(), IpAddr::V4)),
            assigned: spec.network.address(),
            mounts: self.mounts(spec),
        };
        self.containers
            .insert(container.id.clone(), container.clone());
        Ok(Success::Running(Box::new(container)))
    }

    /// A volume without a name is a new one for each container.
    fn mounts(&self, spec: &ContainerSpec) -> BTreeMap<String, String> {
        let mut mounts = BTreeMap::new();
        for name in &spec.volumes_from {
            let mut sources = self.containers.values();
            let source = sources.find(|source| source.name == *name);
            mounts.extend(source.expect("it waits for its source").mounts.clone());
        }
        for mount in &spec.mounts {
            let anonymous = || format!("{:064x}", self.created);
            let volume = mount.docker_volume.as_ref();
            let volume = volume.map_or_else(anonymous, |volume| volume.name.clone());
            mounts.insert(mount.volume.path.clone(), volume);
        }
        mounts
    }

    fn start(&mut self, id: &ContainerId, wall: WallTime) -> Outcome {
        let address = self.address();
        let Some(container) = self.containers.get_mut(id) else {
            return Err(Failure::Gone);
        };
        if !matches!(container.state, ContainerState::Running { .. }) {
            container.state = ContainerState::Running { since: wall };
            container.address = Some(container.assigned.map_or(address, IpAddr::V4));
        }
        Ok(Success::Done)
    }

    fn is_taken(&self, address: Ipv4Addr) -> bool {
        let mut all = self.containers.values();
        self.taken_addresses.contains(&address) || all.any(|other| other.assigned == Some(address))
    }

    fn address(&self) -> IpAddr {
        let [.., high, low] = self.created.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(172, 17, high, low))
    }
}
