//! What an API call says about a service. Only what it says changes.

use std::collections::BTreeMap;

use super::field::FieldProblem;
use super::job::JobChange;
use super::lease::LeaseChange;
use super::logging::LoggingChange;
use super::placing::PlacingChange;
use super::privileges::PrivilegesChange;
use super::resources::ResourcesChange;
use super::rollout::RolloutChange;
use super::set;
use crate::id::ServiceName;
use crate::stack::{
    Affinity, Declared, Fault, HealthCheck, Hooks, Link, NetworkMode, Port, Service, ServiceField,
    Strategy, Volume, VolumesFrom,
};

/// The fields of a service that are to be set; `None` leaves one as it is. An empty list clears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// For `create`; an update says in its path which service it means.
    pub name: Option<ServiceName>,
    pub image: Option<String>,
    /// Cannot be changed once the service exists.
    pub stateful: Option<bool>,
    /// `Some(None)`, in JSON the empty text, is the image's own.
    pub entrypoint: Option<Option<String>>,
    /// Empty is the image's own.
    pub command: Option<Vec<String>>,
    pub environment: Option<Vec<String>>,
    pub ports: Option<Vec<Port>>,
    pub links: Option<Vec<Link>>,
    pub volumes: Option<Vec<Volume>>,
    pub volumes_from: Option<Vec<VolumesFrom>>,
    pub affinity: Option<Vec<Affinity>>,
    /// Not part of the revision: the caller sets it.
    pub instances: Option<u32>,
    pub strategy: Option<Strategy>,
    /// `Some(None)`, in JSON 0, waits for none.
    pub wait_for_port: Option<Option<u16>>,
    /// In thousandths.
    pub min_health: Option<u16>,
    pub placing: PlacingChange,
    pub rollout: RolloutChange,
    pub job: JobChange,
    pub lease: LeaseChange,
    /// `Some(None)`, in JSON the empty text, is the image's own.
    pub stop_signal: Option<Option<String>>,
    /// In milliseconds.
    pub stop_grace_millis: Option<u64>,
    pub network_mode: Option<NetworkMode>,
    pub resources: ResourcesChange,
    pub privileges: PrivilegesChange,
    pub logging: LoggingChange,
    /// `Some(None)`, in JSON a check without a protocol, asks nothing.
    pub health_check: Option<Option<HealthCheck>>,
    /// All stages at once.
    pub hooks: Option<Hooks>,
    pub labels: Option<BTreeMap<String, String>>,
}

impl ServiceChange {
    /// The change that makes exactly this service.
    pub fn from_declared(declared: &Declared) -> Self {
        let service = declared.service.clone();
        Self {
            name: None,
            image: Some(service.image),
            stateful: Some(service.stateful),
            entrypoint: service.entrypoint.map(Some),
            command: service.command,
            environment: Some(service.environment),
            ports: Some(service.ports),
            links: Some(service.links),
            volumes: Some(service.volumes),
            volumes_from: Some(service.volumes_from).filter(|from| !from.is_empty()),
            affinity: Some(service.affinity),
            instances: declared.instances,
            strategy: Some(service.deploy.strategy),
            wait_for_port: service.deploy.wait_for_port.map(Some),
            min_health: Some(service.deploy.min_health),
            placing: PlacingChange::from(&service.deploy),
            rollout: RolloutChange::from(&service.deploy),
            job: JobChange::from(&service.deploy),
            lease: LeaseChange::from(&service.deploy),
            stop_signal: service.stop_signal.map(Some),
            stop_grace_millis: service.stop_grace_millis,
            network_mode: Some(service.network_mode).filter(|mode| *mode != NetworkMode::default()),
            resources: ResourcesChange::from(&service.resources),
            privileges: PrivilegesChange::from(&service.privileges),
            logging: LoggingChange::from(&service.logging),
            health_check: service.health_check.map(Some),
            hooks: Some(service.hooks).filter(|hooks| !hooks.is_default()),
            labels: Some(service.labels),
        }
    }

    /// A new service.
    ///
    /// # Errors
    /// A missing image, or what contradicts itself.
    pub fn create(&self) -> Result<Service, Vec<FieldProblem>> {
        let Some(image) = &self.image else {
            return Err(vec![FieldProblem::new("image", "is missing")]);
        };
        let new = Service {
            stateful: self.stateful.unwrap_or_default(),
            ..Service::new(image)
        };
        self.checked(self.set_on(&new))
    }

    /// `service` with this change.
    ///
    /// # Errors
    /// A change of `stateful`, which would strand the data, or what contradicts itself.
    pub fn apply(&self, service: &Service) -> Result<Service, Vec<FieldProblem>> {
        if self
            .stateful
            .is_some_and(|stateful| stateful != service.stateful)
        {
            let message = "cannot be changed; create the service anew";
            return Err(vec![FieldProblem::new("stateful", message)]);
        }
        self.checked(self.set_on(service))
    }

    fn checked(&self, service: Service) -> Result<Service, Vec<FieldProblem>> {
        let mut problems = self.job.problems(&service.deploy);
        problems.extend(self.lease.problems(&service, self.instances));
        match checked(service) {
            Ok(service) if problems.is_empty() => return Ok(service),
            Ok(_) => {}
            Err(faults) => problems.extend(faults),
        }
        Err(problems)
    }

    /// Everything but `stateful`.
    fn set_on(&self, service: &Service) -> Service {
        let mut service = service.clone();
        let change = self.clone();
        set(&mut service.image, change.image);
        set(&mut service.entrypoint, change.entrypoint);
        if let Some(command) = change.command {
            service.command = Some(command).filter(|command| !command.is_empty());
        }
        set(&mut service.environment, change.environment);
        set(&mut service.ports, change.ports);
        set(&mut service.links, change.links);
        set(&mut service.volumes, change.volumes);
        set(&mut service.volumes_from, change.volumes_from);
        set(&mut service.affinity, change.affinity);
        set(&mut service.deploy.strategy, change.strategy);
        set(&mut service.deploy.wait_for_port, change.wait_for_port);
        set(&mut service.deploy.min_health, change.min_health);
        change.placing.set_on(&mut service.deploy);
        change.rollout.set_on(&mut service.deploy);
        change.job.set_on(&mut service.deploy);
        change.lease.set_on(&mut service.deploy);
        set(&mut service.stop_signal, change.stop_signal);
        if change.stop_grace_millis.is_some() {
            service.stop_grace_millis = change.stop_grace_millis;
        }
        set(&mut service.network_mode, change.network_mode);
        change.resources.set_on(&mut service.resources);
        change.privileges.set_on(&mut service.privileges);
        change.logging.set_on(&mut service.logging);
        set(&mut service.health_check, change.health_check);
        set(&mut service.hooks, change.hooks);
        set(&mut service.labels, change.labels);
        service
    }
}

fn checked(service: Service) -> Result<Service, Vec<FieldProblem>> {
    let faults = service.faults();
    if faults.is_empty() {
        return Ok(service);
    }
    Err(faults.into_iter().map(problem).collect())
}

fn problem(fault: Fault) -> FieldProblem {
    let item = |list: &str| format!("{list}[{}]", fault.index);
    let path = match fault.field {
        ServiceField::Environment => item("env"),
        ServiceField::Ports => item("ports"),
        ServiceField::Links => item("links"),
        ServiceField::Volumes => item("volumes"),
        ServiceField::VolumesFrom => item("volumes_from"),
        ServiceField::Labels => item("labels"),
        ServiceField::MemorySwap => "memory_swap".to_owned(),
        ServiceField::Spread => "deploy_opts.spread".to_owned(),
        ServiceField::MaxPerNode => "deploy_opts.max_per_node".to_owned(),
        ServiceField::Rebalance => "deploy_opts.rebalance".to_owned(),
        ServiceField::Takeover => "deploy_opts.takeover".to_owned(),
        ServiceField::OfServers(key) | ServiceField::OfLease(key) => key.to_owned(),
    };
    FieldProblem::new(path, fault.cause)
}
