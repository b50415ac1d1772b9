//! A pretend Docker engine: it carries out actions, and its containers outlive the node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::reconcile::action::{
    Action, Container, ContainerId, ContainerSpec, ContainerState, Failure, Observed, Outcome,
    Success,
};
use kontena_core::report::{Engine as About, EngineState};
use kontena_core::time::WallTime;

use crate::chance::Chance;

/// One host's engine.
#[derive(Clone, Debug)]
pub struct Engine {
    containers: BTreeMap<ContainerId, Container>,
    pub images: BTreeSet<String>,
    created: u64,
    host: usize,
    /// It does not answer; containers go on running.
    pub hung: bool,
    /// Images whose containers exit at once.
    pub broken_images: BTreeSet<String>,
    /// Containers started, ever: what must not rise when nothing changed.
    pub starts: u64,
    pub stops: u64,
}

impl Engine {
    pub fn new(host: usize) -> Self {
        Self {
            containers: BTreeMap::new(),
            images: BTreeSet::new(),
            created: 0,
            host,
            hung: false,
            broken_images: BTreeSet::new(),
            starts: 0,
            stops: 0,
        }
    }

    /// How long an action takes: the lab's Docker took 364 ms for create and start.
    pub fn latency(action: &Action, chance: &mut Chance) -> Duration {
        let millis = |low, high| (Duration::from_millis(low), Duration::from_millis(high));
        let (low, high) = match action {
            Action::Fetch { .. } => millis(2, 10),
            Action::Run(_) => millis(250, 500),
            Action::Start { .. } => millis(150, 300),
            Action::Stop { .. } => millis(50, 400),
            Action::Remove { .. } => millis(30, 100),
            Action::Probe { .. } => millis(1, 50),
        };
        chance.between(low, high)
    }

    pub fn carry_out(&mut self, action: Action, wall: WallTime) -> Outcome {
        if self.hung {
            return Err(Failure::Unreachable {
                problem: "the engine hangs".to_owned(),
            });
        }
        match action {
            Action::Fetch { image } => self.fetch(image),
            Action::Run(spec) => self.run(*spec, wall),
            Action::Start { container } => self.start(&container, wall),
            Action::Stop { container, .. } => self.stop(&container, wall),
            Action::Remove { container } => {
                self.containers.remove(&container);
                Ok(Success::Done)
            }
            Action::Probe { address, .. } => self.probe(address),
        }
    }

    fn fetch(&self, image: String) -> Outcome {
        if self.images.contains(&image) {
            return Ok(Success::Image {
                pinned: format!("sha256:{image}"),
            });
        }
        Err(Failure::NoImage {
            image,
            problem: "not found".to_owned(),
        })
    }

    fn run(&mut self, spec: ContainerSpec, wall: WallTime) -> Outcome {
        let same_name = self
            .containers
            .values()
            .find(|container| container.name == spec.name);
        if let Some(there) = same_name {
            if there.owner != spec.labels {
                return Err(Failure::Occupied { name: spec.name });
            }
            let id = there.id.clone();
            self.start(&id, wall)?;
            return Ok(Success::Running(Box::new(self.containers[&id].clone())));
        }
        let id = self.create(spec);
        self.start(&id, wall)?;
        Ok(Success::Running(Box::new(self.containers[&id].clone())))
    }

    fn create(&mut self, spec: ContainerSpec) -> ContainerId {
        self.created += 1;
        let id = ContainerId(format!("{:04x}{:060x}", self.host, self.created));
        let octet = u8::try_from(self.created % 250 + 2).expect("below 252");
        let container = Container {
            id: id.clone(),
            name: spec.name,
            owner: spec.labels,
            image: spec.image,
            state: ContainerState::Created,
            address: Some([172, 17, 0, octet].into()),
        };
        self.containers.insert(id.clone(), container);
        id
    }

    fn start(&mut self, id: &ContainerId, wall: WallTime) -> Outcome {
        let container = self.containers.get_mut(id).ok_or(Failure::Gone)?;
        if matches!(container.state, ContainerState::Running { .. }) {
            return Ok(Success::Done);
        }
        self.starts += 1;
        let broken = self
            .broken_images
            .iter()
            .any(|image| container.image.ends_with(image.as_str()));
        container.state = if broken {
            ContainerState::Exited { code: 1, at: wall }
        } else {
            ContainerState::Running { since: wall }
        };
        Ok(Success::Done)
    }

    fn stop(&mut self, id: &ContainerId, wall: WallTime) -> Outcome {
        if let Some(container) = self.containers.get_mut(id)
            && matches!(container.state, ContainerState::Running { .. })
        {
            self.stops += 1;
            container.state = ContainerState::Exited { code: 0, at: wall };
        }
        Ok(Success::Done)
    }

    fn probe(&self, address: std::net::IpAddr) -> Outcome {
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

    /// A power cut: everything stops, nothing is lost.
    pub fn power_cut(&mut self, wall: WallTime) {
        for container in self.containers.values_mut() {
            if matches!(container.state, ContainerState::Running { .. }) {
                container.state = ContainerState::Exited {
                    code: 137,
                    at: wall,
                };
            }
        }
    }

    /// A container dies by itself.
    pub fn crash(&mut self, name: &str, wall: WallTime) {
        for container in self
            .containers
            .values_mut()
            .filter(|container| container.name == name)
        {
            container.state = ContainerState::Exited { code: 1, at: wall };
        }
    }

    pub fn observed(&self) -> Observed {
        if self.hung {
            return Observed::EngineTrouble {
                problem: "the engine hangs".to_owned(),
            };
        }
        Observed::Containers(self.containers.clone())
    }

    pub fn about(&self) -> Observed {
        Observed::Engine(About {
            state: EngineState::Working,
            version: "20.10.24".to_owned(),
            cpus: 2,
            memory_bytes: 8 << 30,
            architecture: "x86_64".to_owned(),
            operating_system: "Debian GNU/Linux 12".to_owned(),
            kernel: "6.1".to_owned(),
        })
    }

    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers
            .values()
            .filter(|container| matches!(container.state, ContainerState::Running { .. }))
    }

    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }
}
