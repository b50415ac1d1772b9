//! What people ask of a grid in a run.

use std::num::NonZeroU32;

use kontena_core::command::{Command, StackInput};
use kontena_core::id::{InstanceId, RevisionHash, ServiceKey, ServiceName, StackName};
use kontena_core::stack::{
    Deploy, HealthCheck, Hook, Hooks, Link, OnFailure, OnReturn, Order, Port, Protocol, Question,
    Service, Spread, Strategy, Takeover, Witnesses,
};
use kontena_core::view::Availability;
use kontena_core::volume::{Definition, Scope, VolumeName};

use crate::engine::Engine;
use crate::world::World;

/// Versions of each service's image, from 1.
pub const VERSIONS: u32 = 4;

/// Services have numbers below this.
pub const SERVICES: usize = 10;

/// Of these any may be among the first services of a plan; the others are drawn apart.
pub const COMMON_SERVICES: usize = 9;

/// The service that runs under a lease, of the first three nodes.
pub const LEASED: usize = 9;

/// Labels of zones, of which a host gets one.
const ZONES: [&str; 2] = ["az=a", "az=b"];

/// Services and nodes are numbers here: of service 3 the name is `s3`, of host 0 the node `n1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Makes the service and deploys it.
    Create {
        service: usize,
        instances: u32,
    },
    Update {
        service: usize,
        version: u32,
    },
    Scale {
        service: usize,
        instances: u32,
    },
    Deploy {
        service: usize,
        force: bool,
    },
    /// Right or wrong: there may be nothing to abort, and nothing to go back to.
    Abort {
        service: usize,
        rollback: Option<bool>,
    },
    /// Right or wrong.
    Promote {
        service: usize,
    },
    Stop {
        service: usize,
    },
    Start {
        service: usize,
    },
    Restart {
        service: usize,
    },
    Remove {
        service: usize,
    },
    Drain {
        node: usize,
    },
    Activate {
        node: usize,
    },
    Zone {
        node: usize,
        zone: usize,
    },
    RemoveNode {
        node: usize,
        force: bool,
    },
    /// Right or wrong.
    AssumeDead {
        node: usize,
    },
    Leave {
        force: bool,
    },
    /// Installs the one stack of a run with the services of these bits.
    Install {
        services: u8,
        version: u32,
    },
    /// Gives it another revision.
    Upgrade {
        services: u8,
        version: u32,
    },
    /// Runs its newest revision, right or wrong.
    DeployStack,
    /// The volume that a service of this number may mount; right or wrong.
    CreateVolume {
        service: usize,
    },
    /// Right or wrong.
    RemoveVolume {
        service: usize,
    },
    /// Right or wrong: there may be nothing to move.
    ForceMove {
        service: usize,
        instance: u32,
        node: usize,
    },
    /// Right or wrong.
    Move {
        service: usize,
        instance: u32,
        node: usize,
    },
    /// Right or wrong.
    CancelMove {
        service: usize,
        instance: u32,
    },
    /// Settles as it is what two sides of a split gave it.
    Resolve,
    /// Scales what does not exist, by more than is allowed.
    Nonsense {
        kind: usize,
    },
}

impl Ask {
    pub fn commands(&self, world: &World) -> Vec<Command> {
        match *self {
            Self::Create { service, instances } => vec![
                Command::CreateService {
                    key: key(service),
                    service: Box::new(Shape::of(service).service(service, 1)),
                    instances,
                },
                deploy(service, false),
            ],
            Self::ForceMove {
                service,
                instance,
                node,
            } => vec![Command::ForceMove {
                instance: InstanceId::new(key(service), instance),
                node: world.id(node),
                data_loss: true,
            }],
            Self::Move {
                service,
                instance,
                node,
            } => vec![Command::MoveInstance {
                instance: InstanceId::new(key(service), instance),
                node: world.id(node),
                megabits: None,
            }],
            Self::CancelMove { service, instance } => {
                vec![Command::CancelMove(InstanceId::new(key(service), instance))]
            }
            Self::CreateVolume { service } => vec![Command::CreateVolume {
                name: volume(service),
                definition: Definition::local(Scope::Instance),
            }],
            Self::RemoveVolume { service } => vec![Command::RemoveVolume(volume(service))],
            Self::Update { service, version } => vec![Command::UpdateService {
                key: key(service),
                service: Box::new(Shape::of(service).service(service, version)),
                instances: None,
            }],
            Self::Scale { service, instances } => vec![Command::ScaleService {
                key: key(service),
                instances,
            }],
            Self::Deploy { service, force } => vec![deploy(service, force)],
            Self::Abort { service, rollback } => vec![Command::AbortDeploy {
                key: key(service),
                rollback,
            }],
            Self::Promote { service } => vec![Command::PromoteDeploy(key(service))],
            Self::Stop { service } => vec![Command::StopService(key(service))],
            Self::Start { service } => vec![Command::StartService(key(service))],
            Self::Restart { service } => vec![Command::RestartService(key(service))],
            Self::Remove { service } => vec![Command::RemoveService(key(service))],
            Self::Drain { node } => vec![availability(world, node, Availability::Drain)],
            Self::Activate { node } => vec![availability(world, node, Availability::Active)],
            Self::Zone { node, zone } => vec![Command::UpdateNode {
                node: world.id(node),
                labels: Some(vec![ZONES[zone % ZONES.len()].to_owned()]),
                availability: None,
            }],
            Self::RemoveNode { node, force } => vec![Command::RemoveNode {
                node: world.id(node),
                force,
            }],
            Self::AssumeDead { node } => vec![Command::AssumeDead(world.id(node))],
            Self::Leave { force } => vec![Command::Leave { force }],
            Self::Install { services, version } => vec![Command::InstallStack {
                name: stack(),
                stack: input(services, version),
            }],
            Self::Upgrade { services, version } => vec![Command::UpgradeStack {
                name: stack(),
                stack: input(services, version),
            }],
            Self::DeployStack => vec![Command::DeployStack(stack())],
            Self::Resolve => vec![Command::ResolveStack {
                name: stack(),
                take: None,
            }],
            Self::Nonsense { kind } => vec![nonsense(kind)],
        }
    }

    /// Whether no answer but a refusal is right.
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Nonsense { .. })
    }
}

pub fn key(service: usize) -> ServiceKey {
    format!("s{service}").parse().expect("a service key")
}

fn stack() -> StackName {
    "shop".parse().expect("a stack name")
}

/// The image of service `pN` of the stack.
fn stack_image(bit: u32, version: u32) -> String {
    format!("p{bit}:{version}")
}

/// Every image that the stack may run.
pub fn stack_images() -> impl Iterator<Item = String> {
    (0..u8::BITS).flat_map(|bit| (1..=VERSIONS).map(move |version| stack_image(bit, version)))
}

/// What an image's name means when it was built anew.
pub fn rebuilt(image: &str) -> String {
    format!("{image}.rebuilt")
}

fn input(services: u8, version: u32) -> StackInput {
    let bits = (0..u8::BITS).filter(|bit| services >> bit & 1 == 1);
    let services = bits.map(|bit| {
        let name: ServiceName = format!("p{bit}").parse().expect("a service name");
        let mut service = Service::new(stack_image(bit, version));
        service.links = links(services, bit, version);
        (name, (service, Some(version)))
    });
    StackInput {
        stack: "shop".to_owned(),
        version: version.to_string(),
        services: services.collect(),
        ..StackInput::default()
    }
}

/// In most revisions a service links to the one before it: none ever to one after it, so that no merge makes a circle.
fn links(services: u8, bit: u32, version: u32) -> Vec<Link> {
    let before = (0..bit).rev().find(|before| services >> before & 1 == 1);
    let before = before.filter(|_| version != 2);
    let link = |before| format!("p{before}").parse().expect("a link");
    before.map(link).into_iter().collect()
}

/// The volume of the grid that a service mounts, if it mounts any.
fn volume(service: usize) -> VolumeName {
    format!("v{service}").parse().expect("a volume name")
}

fn deploy(service: usize, force: bool) -> Command {
    Command::DeployService {
        key: key(service),
        force,
    }
}

fn availability(world: &World, node: usize, availability: Availability) -> Command {
    Command::UpdateNode {
        node: world.id(node),
        labels: None,
        availability: Some(availability),
    }
}

fn nonsense(kind: usize) -> Command {
    let missing: ServiceKey = "no-such-service".parse().expect("a service key");
    match kind % 3 {
        0 => Command::StopService(missing),
        1 => Command::ScaleService {
            key: missing,
            instances: 1,
        },
        _ => Command::Join {
            address: "10.77.0.1:8470".to_owned(),
            token: "nonsense".to_owned(),
            name: "stranger".parse().expect("a label"),
            labels: Vec::new(),
            routes: Vec::new(),
        },
    }
}

/// What kind of service it is. It follows from the service's number, so that a plan needs no more
/// than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Plain,
    /// Healthy once its port answers; taken over only after a while, and left to whoever took it over.
    Waiting,
    Stateful,
    Daemon,
    /// Half of its instances may be down in a rollout; spread over zones and racks, two on a node at most, and
    /// rebalanced. Their health is checked; hooks run before and after they start and before they stop.
    Relaxed,
    /// Only on nodes of the first zone; taken over by every side of a split.
    Zoned,
    /// Has a port of the host, so each instance needs a node of its own; taken over by nobody.
    Published,
    /// Has data in a volume of the grid.
    Kept,
    /// One instance, under a lease.
    Leased,
    /// Placed by the scores alone; no more than two have the memory that they set aside on one host. Where two
    /// have it after a split, the longer running one stays.
    Random,
}

impl Shape {
    const ALL: [Self; SERVICES] = [
        Self::Plain,
        Self::Stateful,
        Self::Waiting,
        Self::Daemon,
        Self::Relaxed,
        Self::Zoned,
        Self::Published,
        Self::Random,
        Self::Kept,
        Self::Leased,
    ];

    pub fn of(service: usize) -> Self {
        Self::ALL[service % Self::ALL.len()]
    }

    /// Whether its instances are bound to nodes one by one.
    pub fn is_bound(self) -> bool {
        matches!(self, Self::Stateful | Self::Kept)
    }

    pub fn service(self, number: usize, version: u32) -> Service {
        let mut service = Service::new(format!("s{number}:{version}"));
        match self {
            Self::Plain => {}
            Self::Waiting => {
                service.deploy.wait_for_port = Some(80);
                service.deploy.offline.replace_after_millis = 45_000;
                service.deploy.offline.on_return = OnReturn::KeepReplacement;
            }
            Self::Stateful => service.stateful = true,
            Self::Kept => {
                service.stateful = true;
                let mount = format!("{}:/data", volume(number));
                service.volumes = vec![mount.parse().expect("a mount")];
            }
            Self::Leased => service.deploy.lease = Some(witnesses()),
            Self::Daemon => service.deploy.strategy = Strategy::Daemon,
            Self::Relaxed => {
                service.deploy.min_health = 500;
                service.deploy.max_per_node = NonZeroU32::new(2);
                service.deploy.rebalance = true;
                service.deploy.standby_images = 1;
                let labels = ["label=az", "label=rack"].map(|label| label.parse());
                let labels: Result<_, _> = labels.into_iter().collect();
                let spread = labels.and_then(Spread::new);
                service.deploy.spread = spread.expect("two labels");
                service.health_check = Some(health_check());
                service.hooks = hooks();
            }
            Self::Zoned => {
                let zone = format!("label=={}", ZONES[0]);
                service.affinity = vec![zone.parse().expect("an affinity")];
                service.deploy.offline.takeover = Takeover::Always;
            }
            Self::Published => {
                service.ports = vec![published(number)];
                service.deploy.offline.takeover = Takeover::Never;
            }
            Self::Random => {
                service.deploy.strategy = Strategy::Random;
                service.deploy.offline.on_return = OnReturn::LongestRunning;
            }
        }
        service.resources.memory = self.memory();
        self.roll_out(&mut service.deploy);
        service.deploy.order = self.order(version);
        service
    }

    /// Some go from one order to the other with a deploy; what cannot start first asks for it in vain.
    fn order(self, version: u32) -> Order {
        let starts_first = match self {
            Self::Plain | Self::Relaxed => version.is_multiple_of(2),
            Self::Waiting | Self::Published => version.is_multiple_of(3),
            Self::Random => true,
            Self::Stateful | Self::Kept | Self::Daemon | Self::Zoned | Self::Leased => false,
        };
        if starts_first {
            Order::StartFirst
        } else {
            Order::StopFirst
        }
    }

    /// Of some a deploy that fails is taken back, of some it waits to be promoted.
    fn roll_out(self, deploy: &mut Deploy) {
        match self {
            Self::Waiting | Self::Relaxed => deploy.on_failure = OnFailure::Rollback,
            Self::Zoned => deploy.canary = NonZeroU32::new(1),
            Self::Plain
            | Self::Stateful
            | Self::Kept
            | Self::Daemon
            | Self::Published
            | Self::Leased
            | Self::Random => {}
        }
    }

    /// Bytes that each instance sets aside.
    pub fn memory(self) -> Option<u64> {
        match self {
            Self::Random => Some(Engine::MEMORY * 2 / 5),
            Self::Plain
            | Self::Waiting
            | Self::Stateful
            | Self::Kept
            | Self::Daemon
            | Self::Relaxed
            | Self::Zoned
            | Self::Leased
            | Self::Published => None,
        }
    }

    /// Every revision that anybody can have written of a service, with the images that its name means at times.
    pub fn revisions(number: usize) -> impl Iterator<Item = (RevisionHash, [String; 2])> {
        (1..=VERSIONS).map(move |version| {
            let service = Self::of(number).service(number, version);
            let images = [service.image.clone(), rebuilt(&service.image)];
            (
                service.hash(),
                images.map(|image| format!("sha256:{image}")),
            )
        })
    }
}

fn witnesses() -> Witnesses {
    let names = ["n1", "n2", "n3"].map(|name| name.parse().expect("a node's name"));
    Witnesses::new(names.to_vec()).expect("three, none twice")
}

fn hooks() -> Hooks {
    let hook = |name: &str, oneshot| Hook {
        name: name.to_owned(),
        command: "true".to_owned(),
        instances: Default::default(),
        oneshot,
    };
    Hooks {
        pre_start: vec![hook("migrate", true), hook("warm", false)],
        post_start: vec![hook("announce", false)],
        pre_stop: vec![hook("drain", false)],
        ..Hooks::default()
    }
}

fn health_check() -> HealthCheck {
    let uri = "/up".to_owned();
    HealthCheck {
        interval: 5,
        timeout: 2,
        initial_delay: 5,
        ..HealthCheck::new(Question::Http { port: 80, uri })
    }
}

fn published(number: usize) -> Port {
    Port {
        ip: [0, 0, 0, 0].into(),
        node_port: 8000 + u16::try_from(number).expect("a few services"),
        container_port: 80,
        protocol: Protocol::Tcp,
    }
}
