//! The containers that members reported. What an absent node once ran is left out, as in Kontena.

use kontena_core::id::{InstanceId, NodeId, ServiceKey};
use kontena_core::network::zone::DOMAIN;
use kontena_core::report::{Health, Hold, InstanceState, OneOff};
use kontena_core::view::{Member, ServiceRecord};

use super::Snapshot;
use super::instances::revision_number;
use crate::api::answer::Refused;
use crate::api::types::Time;
use crate::api::types::instance::{Container, ContainerHealth, ContainerState};

/// All containers, by node and instance, each with its place in that order.
pub(in crate::api) fn of_grid(snapshot: &Snapshot) -> Vec<(String, Container)> {
    let mut containers = select(snapshot, |_| true);
    for (node, member, report) in snapshot.reports().filter(|it| !snapshot.is_absent(it.0)) {
        let one_offs = report.one_offs.iter();
        containers.extend(one_offs.map(|(name, told)| {
            let place = format!("{},{name}", place(node, &told.instance));
            (place, one_off(snapshot, node, member, name, told))
        }));
    }
    containers.sort_by(|(place, _), (other, _)| place.cmp(other));
    containers
}

/// The containers of one service, by instance number.
pub(in crate::api) fn of_service(snapshot: &Snapshot, key: &ServiceKey) -> Vec<Container> {
    let selected = select(snapshot, |id| id.service == *key).into_iter();
    let mut containers: Vec<Container> = selected.map(|(_, container)| container).collect();
    containers.sort_by_key(|container| container.instance_number);
    containers
}

/// A container that a node reported, by its name: Docker's id of it, and whether it runs.
pub(in crate::api) fn find(
    snapshot: &Snapshot,
    node: &NodeId,
    name: &str,
) -> Option<(String, InstanceState)> {
    if snapshot.is_absent(node) {
        return None;
    }
    let report = snapshot.view.reports.get(node)?;
    if let Some(one_off) = report.one_offs.get(name) {
        return Some((one_off.container.clone(), InstanceState::Running));
    }
    let mut holds = report.holds.iter();
    let (id, hold) = holds.find(|(id, _)| id.container_name() == name)?;
    Some((hold.container.clone()?, state_of(snapshot, id, hold)))
}

/// Whether a node has or had a container of this name, by what it said last: its log may be there still.
pub(in crate::api) fn is_known(snapshot: &Snapshot, node: &NodeId, name: &str) -> bool {
    let report = snapshot.view.reports.get(node);
    let mut holds = report.iter().flat_map(|report| report.holds.keys());
    holds.any(|id| id.container_name() == name)
        || report.is_some_and(|report| report.one_offs.contains_key(name))
}

/// That some node has or had a container of this name.
pub(in crate::api) fn check(snapshot: &Snapshot, name: &str) -> Result<(), Refused> {
    let mut nodes = snapshot.reports();
    match nodes.any(|(node, _, _)| is_known(snapshot, node, name)) {
        true => Ok(()),
        false => Err(Refused::not_found("container", name)),
    }
}

fn select(snapshot: &Snapshot, is_meant: impl Fn(&InstanceId) -> bool) -> Vec<(String, Container)> {
    let mut containers = Vec::new();
    for (node, member, report) in snapshot.reports() {
        if snapshot.is_absent(node) {
            continue;
        }
        let meant = report.holds.iter().filter(|(id, _)| is_meant(id));
        containers.extend(meant.filter_map(|(id, hold)| {
            Some((
                place(node, id),
                container(snapshot, node, member, id, hold)?,
            ))
        }));
    }
    containers
}

fn place(node: &NodeId, id: &InstanceId) -> String {
    let ServiceKey { stack, service } = &id.service;
    format!("{node},{stack},{service},{:010}", id.number)
}

fn container(
    snapshot: &Snapshot,
    node: &NodeId,
    member: &Member,
    id: &InstanceId,
    hold: &Hold,
) -> Option<Container> {
    let name = id.container_name();
    let record = snapshot.view.documents.services.get(&id.service);
    let service = record
        .and_then(|record| record.deployed.as_ref())
        .and_then(|deployed| deployed.revision.service.as_ref().ok());
    Some(Container {
        id: format!("{}/{}/{name}", snapshot.grid, member.name),
        container_id: hold.container.clone()?,
        instance_number: id.number,
        service_id: snapshot.service_id(&id.service),
        status: state_of(snapshot, id, hold).to_string(),
        node: snapshot.node_ref(node, &member.name),
        image: service.map(|service| service.image.clone()),
        cmd: service.and_then(|service| service.command.clone()),
        hostname: Some(format!("{}-{}", id.service.service, id.number)),
        domainname: Some(domainname(snapshot, &id.service)),
        ip_address: hold.address.map(|address| address.to_string()),
        created_at: Time::known(hold.since),
        deploy_rev: hold.generation,
        service_rev: record
            .and_then(|record: &ServiceRecord| revision_number(record, &hold.revision)),
        health_status: ContainerHealth {
            status: hold.health.to_string(),
            updated_at: Time::known(hold.since),
        },
        state: state(state_of(snapshot, id, hold), hold),
        name,
    })
}

/// What its container is: an instance of a job is well also while none of its runs is under way.
fn state_of(snapshot: &Snapshot, id: &InstanceId, hold: &Hold) -> InstanceState {
    let record = snapshot.view.documents.services.get(&id.service);
    let deployed = record.and_then(|record| record.deployed.as_ref());
    let service = deployed.and_then(|deployed| deployed.revision.service.as_ref().ok());
    let is_job = service.is_some_and(|service| service.is_job());
    match hold.exit_code {
        Some(_) if is_job => InstanceState::Stopped,
        Some(_) | None => hold.state,
    }
}

/// One that a person runs beside the instances. What it was told to do may hold a password: it is not told.
fn one_off(
    snapshot: &Snapshot,
    node: &NodeId,
    member: &Member,
    name: &str,
    told: &OneOff,
) -> Container {
    let InstanceId {
        service: key,
        number,
    } = &told.instance;
    let record = snapshot.view.documents.services.get(key);
    let deployed = record.and_then(|record| record.deployed.as_ref());
    let service = deployed.and_then(|deployed| deployed.revision.service.as_ref().ok());
    Container {
        id: format!("{}/{}/{name}", snapshot.grid, member.name),
        name: name.to_owned(),
        container_id: told.container.clone(),
        instance_number: *number,
        service_id: snapshot.service_id(key),
        status: InstanceState::Running.to_string(),
        node: snapshot.node_ref(node, &member.name),
        image: service.map(|service| service.image.clone()),
        cmd: None,
        hostname: None,
        domainname: Some(domainname(snapshot, key)),
        ip_address: None,
        created_at: Time::known(told.since),
        deploy_rev: deployed.map_or(0, |deployed| deployed.generation),
        service_rev: deployed.map(|deployed| deployed.revision.number),
        health_status: ContainerHealth {
            status: Health::Unknown.to_string(),
            updated_at: Time::known(told.since),
        },
        state: ContainerState {
            running: true,
            paused: false,
            restarting: false,
            oom_killed: false,
            dead: false,
            error: String::new(),
            exit_code: None,
        },
    }
}

/// The domain of its stack, in which its host name is.
fn domainname(snapshot: &Snapshot, key: &ServiceKey) -> String {
    match key.stack.is_null() {
        true => format!("{}.{DOMAIN}", snapshot.grid),
        false => format!("{}.{}.{DOMAIN}", key.stack, snapshot.grid),
    }
}

/// Kontena's flags. Docker's finer states are not reported.
fn state(state: InstanceState, hold: &Hold) -> ContainerState {
    let (running, dead) = match state {
        InstanceState::Running | InstanceState::Stopping => (true, false),
        InstanceState::Failed => (false, true),
        InstanceState::Pending | InstanceState::Creating | InstanceState::Stopped => (false, false),
    };
    ContainerState {
        running,
        paused: false,
        restarting: false,
        oom_killed: false,
        dead,
        error: hold.problem.clone().unwrap_or_default(),
        exit_code: hold.exit_code.filter(|_| !running),
    }
}
