//! What can be wrong with a service as a whole, whoever made it: a file, an API call, an update.

use std::collections::BTreeSet;

use super::{
    Deploy, Hooks, OnReturn, Order, Port, Resources, Service, Strategy, Takeover, Volume, size_text,
};

/// One thing wrong with a service, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub field: ServiceField,
    /// The place in the field's list, from 0.
    pub index: usize,
    pub cause: InvalidService,
}

/// The fields whose items can contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceField {
    Environment,
    Ports,
    Links,
    Volumes,
    VolumesFrom,
    Labels,
    /// Has no items: the index is 0, as for those that follow.
    MemorySwap,
    Spread,
    MaxPerNode,
    Rebalance,
    Takeover,
    /// What only a service that is kept running can have, by its path in the API.
    OfServers(&'static str),
    /// What a singleton with a lease cannot have, by its path in the API.
    OfLease(&'static str),
}

/// Why a service cannot be run as it is.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidService {
    #[error("`{port}` publishes a host port that `{first}` publishes already")]
    PortTwice { port: Port, first: Port },
    #[error("the path `{0}` is mounted twice")]
    MountTwice(String),
    #[error("the volumes of `{0}` are mounted twice")]
    VolumesFromTwice(String),
    #[error(
        "a stateful service cannot use `volumes_from`: it is bound to its own data, and they may be elsewhere"
    )]
    VolumesFromOfStateful,
    #[error("the environment variable `{0}` is given twice")]
    VariableTwice(String),
    #[error("`{0}` is linked twice")]
    LinkTwice(String),
    #[error("the label `{0}` is reserved: `io.kontena.` belongs to Kontena")]
    ReservedLabel(String),
    #[error("memory and swap together are limited, and memory is not")]
    SwapWithoutMemory,
    #[error("{swap} of memory and swap together is less than {memory} of memory alone", swap = size_text(*.swap), memory = size_text(*.memory))]
    SwapBelowMemory { swap: u64, memory: u64 },
    #[error("only the strategy `ha` spreads, and the strategy is `{0}`")]
    SpreadWithoutHa(Strategy),
    #[error("the strategy `daemon` has `instances` on each node")]
    MaxPerNodeOfDaemon,
    #[error("only stateless services with the strategy `ha` can be rebalanced")]
    RebalanceWithoutHa,
    #[error(
        "what is bound to its node is taken over by nobody: the service is stateful, or a `daemon`"
    )]
    TakeoverOfBound,
    #[error("a job is not kept running: {0}")]
    OfServers(&'static str),
    #[error("not with `singleton: lease`: {0}")]
    OfLease(&'static str),
}

impl InvalidService {
    /// What to do about it, where that is not obvious.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::MaxPerNodeOfDaemon => Some("remove `max_per_node`, and set `instances`"),
            Self::SpreadWithoutHa(_) => Some("remove `spread`, or use the strategy `ha`"),
            Self::PortTwice { .. }
            | Self::MountTwice(_)
            | Self::VolumesFromTwice(_)
            | Self::VariableTwice(_)
            | Self::LinkTwice(_)
            | Self::ReservedLabel(_)
            | Self::SwapWithoutMemory
            | Self::SwapBelowMemory { .. }
            | Self::RebalanceWithoutHa => None,
            Self::VolumesFromOfStateful => {
                Some("remove `stateful`, or mount a volume of the grid in both")
            }
            Self::TakeoverOfBound => Some("remove `takeover`"),
            Self::OfServers(_) => Some("remove it, or remove `schedule`"),
            Self::OfLease(_) => Some("remove it, or remove `singleton` and `witnesses`"),
        }
    }
}

impl Service {
    /// Labels with this prefix are Kontena's own.
    pub const RESERVED_LABEL_PREFIX: &str = "io.kontena.";

    /// Everything that contradicts itself in this service; nothing for one that can be run.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        variable_faults(&self.environment, &mut faults);
        port_faults(&self.ports, &mut faults);
        link_faults(self, &mut faults);
        volume_faults(&self.volumes, &mut faults);
        volumes_from_faults(self, &mut faults);
        label_faults(self, &mut faults);
        faults.extend(swap_fault(&self.resources));
        faults.extend(spread_fault(&self.deploy));
        faults.extend(max_per_node_fault(&self.deploy));
        faults.extend(rebalance_fault(self));
        faults.extend(takeover_fault(self));
        job_faults(self, &mut faults);
        lease_faults(self, &mut faults);
        faults
    }
}

fn variable_faults(environment: &[String], faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (index, variable) in environment.iter().enumerate() {
        let name = variable.split('=').next().unwrap_or_default();
        if !seen.insert(name) {
            faults.push(Fault {
                field: ServiceField::Environment,
                index,
                cause: InvalidService::VariableTwice(name.to_owned()),
            });
        }
    }
}

fn port_faults(ports: &[Port], faults: &mut Vec<Fault>) {
    for (index, port) in ports.iter().enumerate() {
        let Some(first) = ports[..index]
            .iter()
            .find(|first| first.collides_with(port))
        else {
            continue;
        };
        faults.push(Fault {
            field: ServiceField::Ports,
            index,
            cause: InvalidService::PortTwice {
                port: port.clone(),
                first: first.clone(),
            },
        });
    }
}

fn link_faults(service: &Service, faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (index, link) in service.links.iter().enumerate() {
        if !seen.insert((&link.stack, &link.service)) {
            faults.push(Fault {
                field: ServiceField::Links,
                index,
                cause: InvalidService::LinkTwice(link.target()),
            });
        }
    }
}

fn volume_faults(volumes: &[Volume], faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let mut fault = |cause| {
            faults.push(Fault {
                field: ServiceField::Volumes,
                index,
                cause,
            });
        };
        if !seen.insert(volume.normal_path()) {
            fault(InvalidService::MountTwice(volume.path.clone()));
        }
    }
}

fn volumes_from_faults(service: &Service, faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    let twice = service.volumes_from.iter().enumerate();
    let twice = twice.filter(|(_, from)| !seen.insert(*from));
    let twice =
        twice.map(|(index, from)| (index, InvalidService::VolumesFromTwice(from.to_string())));
    let of_stateful = service.stateful && !service.volumes_from.is_empty();
    let of_stateful = of_stateful.then_some((0, InvalidService::VolumesFromOfStateful));
    faults.extend(twice.chain(of_stateful).map(|(index, cause)| Fault {
        field: ServiceField::VolumesFrom,
        index,
        cause,
    }));
}

fn label_faults(service: &Service, faults: &mut Vec<Fault>) {
    for (index, key) in service.labels.keys().enumerate() {
        if key.starts_with(Service::RESERVED_LABEL_PREFIX) {
            faults.push(Fault {
                field: ServiceField::Labels,
                index,
                cause: InvalidService::ReservedLabel(key.clone()),
            });
        }
    }
}

/// Docker refuses both, but only where the container is made.
fn swap_fault(resources: &Resources) -> Option<Fault> {
    let swap = resources.memory_swap?;
    let cause = match resources.memory {
        None => InvalidService::SwapWithoutMemory,
        Some(memory) if swap < memory => InvalidService::SwapBelowMemory { swap, memory },
        Some(_) => return None,
    };
    Some(Fault {
        field: ServiceField::MemorySwap,
        index: 0,
        cause,
    })
}

fn spread_fault(deploy: &Deploy) -> Option<Fault> {
    let is_spread = deploy.strategy == Strategy::Ha || deploy.spread.is_empty();
    (!is_spread).then_some(Fault {
        field: ServiceField::Spread,
        index: 0,
        cause: InvalidService::SpreadWithoutHa(deploy.strategy),
    })
}

fn rebalance_fault(service: &Service) -> Option<Fault> {
    let can = service.deploy.strategy == Strategy::Ha && !service.is_bound();
    (service.deploy.rebalance && !can).then_some(Fault {
        field: ServiceField::Rebalance,
        index: 0,
        cause: InvalidService::RebalanceWithoutHa,
    })
}

fn takeover_fault(service: &Service) -> Option<Fault> {
    let takeover = service.deploy.schedule.as_ref()?.takeover;
    let is_bound = service.stateful || service.deploy.strategy == Strategy::Daemon;
    (takeover && is_bound).then_some(Fault {
        field: ServiceField::Takeover,
        index: 0,
        cause: InvalidService::TakeoverOfBound,
    })
}

/// What makes no sense of a job.
fn job_faults(service: &Service, faults: &mut Vec<Fault>) {
    if !service.is_job() {
        return;
    }
    let deploy = &service.deploy;
    let is_default = deploy.min_health == Deploy::default_min_health();
    let of_servers = [
        (
            "health_check",
            service.health_check.is_some(),
            "how it ends says whether it did its work, not a health check",
        ),
        (
            "hooks",
            service.hooks != Hooks::default(),
            "what hooks do belongs into its command",
        ),
        (
            "volumes_from",
            !service.volumes_from.is_empty(),
            "it is bound to its node, and follows nobody: name the volumes in `volumes`",
        ),
        (
            "deploy_opts.wait_for_port",
            deploy.wait_for_port.is_some(),
            "a deploy waits for none of its ports",
        ),
        (
            "deploy_opts.min_health",
            !is_default,
            "none of its instances has to stay healthy in a deploy",
        ),
        (
            "deploy_opts.order",
            deploy.order == Order::StartFirst,
            "nothing of it is replaced by a deploy",
        ),
        (
            "deploy_opts.canary",
            deploy.canary.is_some(),
            "nothing of it is replaced by a deploy",
        ),
    ];
    let faulty = of_servers.into_iter().filter(|(_, is_said, _)| *is_said);
    faults.extend(faulty.map(|(key, _, why)| Fault {
        field: ServiceField::OfServers(key),
        index: 0,
        cause: InvalidService::OfServers(why),
    }));
}

/// What makes no sense of what runs once, and wherever its witnesses let it.
fn lease_faults(service: &Service, faults: &mut Vec<Fault>) {
    if !service.is_leased() {
        return;
    }
    let contradictions = contradictions_of_lease(service).into_iter();
    let faulty = contradictions.filter(|(_, is_said, _)| *is_said);
    faults.extend(faulty.map(|(key, _, why)| Fault {
        field: ServiceField::OfLease(key),
        index: 0,
        cause: InvalidService::OfLease(why),
    }));
}

fn contradictions_of_lease(service: &Service) -> [(&'static str, bool, &'static str); 8] {
    let deploy = &service.deploy;
    [
        (
            "stateful",
            service.stateful,
            "data that stays on one node keeps it there",
        ),
        (
            "strategy",
            deploy.strategy == Strategy::Daemon,
            "a `daemon` runs on every node",
        ),
        (
            "deploy_opts.schedule",
            service.is_job(),
            "a job is not kept running, so that nobody takes it over",
        ),
        (
            "deploy_opts.order",
            deploy.order == Order::StartFirst,
            "two of it would run beside each other",
        ),
        (
            "deploy_opts.offline.takeover",
            deploy.offline.takeover != Takeover::default(),
            "the witnesses say who takes it over",
        ),
        (
            "deploy_opts.offline.on_return",
            deploy.offline.on_return != OnReturn::default(),
            "whoever has the lease keeps it",
        ),
        (
            "deploy_opts.rebalance",
            deploy.rebalance,
            "there is one instance, which has nothing to be spread from",
        ),
        (
            "deploy_opts.canary",
            deploy.canary.is_some(),
            "there is no other instance that could wait",
        ),
    ]
}

fn max_per_node_fault(deploy: &Deploy) -> Option<Fault> {
    let is_daemon = deploy.strategy == Strategy::Daemon;
    (is_daemon && deploy.max_per_node.is_some()).then_some(Fault {
        field: ServiceField::MaxPerNode,
        index: 0,
        cause: InvalidService::MaxPerNodeOfDaemon,
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::stack::{Schedule, Spread, Witnesses};

    #[test]
    fn swap_is_limited_together_with_memory_or_not_at_all() {
        let mut service = Service::new("a:1");
        service.resources.memory_swap = Some(1 << 20);
        let faults = service.faults();
        let messages: Vec<String> = faults.iter().map(|it| it.cause.to_string()).collect();
        assert_eq!(
            messages,
            ["memory and swap together are limited, and memory is not"]
        );
    }

    #[test]
    fn what_keeps_a_server_running_makes_no_sense_of_a_job() {
        let mut service = Service::new("a:1");
        service.deploy.schedule = Some(Schedule::new("@daily".parse().unwrap()));
        assert_eq!(service.faults(), []);
        service.deploy.wait_for_port = Some(80);
        service.deploy.min_health = 500;
        service.deploy.canary = NonZeroU32::new(1);
        service.deploy.strategy = Strategy::Daemon;
        if let Some(schedule) = &mut service.deploy.schedule {
            schedule.takeover = true;
        }
        let messages: Vec<String> = service
            .faults()
            .iter()
            .map(|it| it.cause.to_string())
            .collect();
        assert_eq!(
            messages,
            [
                "what is bound to its node is taken over by nobody: the service is stateful, or a `daemon`",
                "a job is not kept running: a deploy waits for none of its ports",
                "a job is not kept running: none of its instances has to stay healthy in a deploy",
                "a job is not kept running: nothing of it is replaced by a deploy",
            ]
        );
    }

    #[test]
    fn what_would_run_twice_or_stay_on_one_node_gets_no_lease() {
        let names = ["a", "b", "c"].map(|name| name.parse().unwrap());
        let mut service = Service::new("a:1");
        service.deploy.lease = Some(Witnesses::new(names.into()).unwrap());
        service.deploy.offline.replace_after_millis = 60_000;
        assert_eq!(service.faults(), []);
        service.stateful = true;
        service.deploy.strategy = Strategy::Daemon;
        service.deploy.order = Order::StartFirst;
        service.deploy.canary = NonZeroU32::new(1);
        service.deploy.offline.takeover = Takeover::Never;
        service.deploy.offline.on_return = OnReturn::KeepReplacement;
        let keys = service.faults().into_iter().map(|fault| fault.field);
        assert_eq!(
            keys.collect::<Vec<_>>(),
            [
                "stateful",
                "strategy",
                "deploy_opts.order",
                "deploy_opts.offline.takeover",
                "deploy_opts.offline.on_return",
                "deploy_opts.canary",
            ]
            .map(ServiceField::OfLease)
        );
    }

    #[test]
    fn a_service_that_contradicts_itself_is_found_out() {
        let mut service = Service::new("a:1");
        assert_eq!(service.faults(), []);
        service.environment = vec!["A=1".into(), "A=2".into()];
        service.ports = vec!["80:1".parse().unwrap(), "127.0.0.1:80:2".parse().unwrap()];
        service.links = vec!["db".parse().unwrap(), "db:other".parse().unwrap()];
        service.volumes = vec!["/data".parse().unwrap(), "cache:/data/".parse().unwrap()];
        service.labels = [("io.kontena.grid.name".to_owned(), "x".to_owned())].into();
        service.resources.memory_swap = Some(1 << 20);
        service.resources.memory = Some(2 << 20);
        service.deploy.strategy = Strategy::Daemon;
        service.deploy.max_per_node = NonZeroU32::new(2);
        service.deploy.rebalance = true;
        let rack = "label=rack".parse().unwrap();
        service.deploy.spread = Spread::new(vec![rack]).unwrap();
        let messages: Vec<String> = service
            .faults()
            .iter()
            .map(|f| f.cause.to_string())
            .collect();
        assert_eq!(
            messages,
            [
                "the environment variable `A` is given twice",
                "`127.0.0.1:80:2/tcp` publishes a host port that `0.0.0.0:80:1/tcp` publishes already",
                "`db` is linked twice",
                "the path `/data/` is mounted twice",
                "the label `io.kontena.grid.name` is reserved: `io.kontena.` belongs to Kontena",
                "1m of memory and swap together is less than 2m of memory alone",
                "only the strategy `ha` spreads, and the strategy is `daemon`",
                "the strategy `daemon` has `instances` on each node",
                "only stateless services with the strategy `ha` can be rebalanced",
            ]
        );
    }
}
