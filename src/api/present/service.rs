//! A service as a wire type.

use kontena_core::id::ServiceKey;
use kontena_core::network::zone::service_name;
use kontena_core::schedule::Slot;
use kontena_core::stack::{
    Cpus, Deploy, HealthCheck as CoreHealthCheck, Hooks as CoreHooks, Link, PidMode,
    Port as CorePort, Privileges as CorePrivileges, Resources, Schedule, Service as CoreService,
    Singleton, Stage, Witnesses, WrittenHealthCheck,
};
use kontena_core::view::{Lifecycle, ServiceRecord};

use super::instances::{counts, instances};
use super::{Snapshot, deploys, runs};
use crate::api::types::Time;
use crate::api::types::service::{
    Definition, DeployOptions, Deployed, HealthCheck, HealthStatus, Hook, InstanceCounts, JobTimes,
    Limits, LinkRef, OfflineOptions, Port, Privileges, Service, ServiceState, StackRef,
    Unsupported,
};

/// As it is listed.
pub(in crate::api) fn listed(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> Service {
    let definition = record.latest.service.as_ref();
    let counts = counts(snapshot, key);
    let stack = snapshot.view.documents.stacks.get(&key.stack);
    Service {
        id: snapshot.service_id(key),
        name: key.service.to_string(),
        stack: StackRef {
            id: format!("{}/{}", snapshot.grid, key.stack),
            name: key.stack.to_string(),
        },
        created_at: Time::known(record.created),
        updated_at: Time::known(record.updated),
        state: state(snapshot, key, record),
        revision: record.latest.number,
        stack_revision: stack.map(|stack| stack.revision),
        instances: record.instances,
        dns: Some(service_name(&snapshot.grid, key).to_string()),
        health_status: HealthStatus {
            healthy: counts.healthy,
            total: counts.desired,
        },
        instance_counts: InstanceCounts {
            total: counts.desired,
            running: counts.running,
        },
        definition: definition
            .map(|service| defined(snapshot, key, service))
            .unwrap_or_default(),
        revision_id: record.latest.hash.to_string(),
        counts,
        deployed: record.deployed.as_ref().map(|deployed| Deployed {
            image: deployed.revision.image.as_ref().map(ToString::to_string),
            revision: deployed.revision.number,
            revision_id: deployed.revision.hash.to_string(),
            deploy: deployed.generation.to_string(),
            at: Time::known(deployed.at),
        }),
        problem: record.latest.service.as_ref().err().cloned(),
        job: job(snapshot, key, record),
        witnesses: witnesses(snapshot, record),
        instance_rows: None,
    }
}

/// As it is shown alone: with its instances.
pub(in crate::api) fn shown(
    snapshot: &Snapshot,
    key: &ServiceKey,
    record: &ServiceRecord,
) -> Service {
    Service {
        instance_rows: Some(instances(snapshot, key, record)),
        ..listed(snapshot, key, record)
    }
}

fn state(snapshot: &Snapshot, key: &ServiceKey, record: &ServiceRecord) -> ServiceState {
    match (&record.deployed, record.state) {
        (None, _) => ServiceState::Initialized,
        (Some(_), Lifecycle::Stopped) => ServiceState::Stopped,
        (Some(_), Lifecycle::Running) => {
            if deploys::is_under_way(snapshot, key, record) {
                ServiceState::Deploying
            } else if schedule(record).is_some() {
                ServiceState::Scheduled
            } else {
                ServiceState::Running
            }
        }
    }
}

/// What runs of it is a job.
fn schedule(record: &ServiceRecord) -> Option<&Schedule> {
    let deployed = record.deployed.as_ref()?;
    let service = deployed.revision.service.as_ref().ok()?;
    service.deploy.schedule.as_ref()
}

/// By name: people write and look for them in that order.
fn witnesses(snapshot: &Snapshot, record: &ServiceRecord) -> Vec<String> {
    let witnesses = record.witnesses.iter();
    let mut names: Vec<String> = witnesses.map(|node| snapshot.view.called(node)).collect();
    names.sort_unstable();
    names
}

fn job(snapshot: &Snapshot, key: &ServiceKey, record: &ServiceRecord) -> Option<JobTimes> {
    let schedule = schedule(record)?;
    let decided = runs::decided_until(snapshot, key, record);
    let decided = decided.filter(|_| record.state == Lifecycle::Running);
    let next = decided.and_then(|decided| schedule.calendar().next(decided));
    let last = runs::last_run(snapshot, key, record);
    let time = |slot: Slot| Time::known(slot.time());
    Some(JobTimes {
        last_run: last.and_then(time),
        next_run: next.and_then(time),
    })
}

fn defined(snapshot: &Snapshot, key: &ServiceKey, service: &CoreService) -> Definition {
    let grace = service.stop_grace_millis;
    Definition {
        image: Some(service.image.clone()),
        stateful: service.stateful,
        strategy: service.deploy.strategy.to_string(),
        affinity: texts(&service.affinity),
        entrypoint: service.entrypoint.clone(),
        cmd: service.command.clone(),
        env: service.environment.clone(),
        ports: service.ports.iter().map(port).collect(),
        links: service
            .links
            .iter()
            .map(|target| link(snapshot, key, target))
            .collect(),
        volumes: texts(&service.volumes),
        volumes_from: texts(&service.volumes_from),
        stop_signal: service.stop_signal.clone(),
        stop_grace_period: grace
            .unwrap_or(CoreService::STOP_GRACE_MILLIS)
            .div_ceil(1_000),
        deploy_opts: deploy_options(&service.deploy),
        labels: service.labels.clone(),
        net: service.network_mode.as_str().to_owned(),
        limits: limits(&service.resources),
        privileges: privileges(&service.privileges),
        log_driver: service.logging.driver.clone(),
        log_opts: service.logging.options.clone(),
        hooks: hooks(&service.hooks),
        health_check: service.health_check.as_ref().map(health_check),
        unsupported: Unsupported::default(),
    }
}

fn hooks(hooks: &CoreHooks) -> Vec<Hook> {
    let of = |stage: Stage| {
        let hooks = hooks.of(stage).iter();
        hooks.map(move |hook| Hook {
            stage: stage.as_str().to_owned(),
            name: hook.name.clone(),
            cmd: hook.command.clone(),
            instances: hook.numbers_text(),
            oneshot: hook.oneshot,
        })
    };
    Stage::ALL.into_iter().flat_map(of).collect()
}

fn health_check(check: &CoreHealthCheck) -> HealthCheck {
    let asked = WrittenHealthCheck::from(check.clone());
    HealthCheck {
        protocol: asked.protocol,
        port: asked.port,
        uri: asked.uri,
        interval: check.interval,
        timeout: check.timeout,
        initial_delay: check.initial_delay,
        cmd: asked.cmd,
    }
}

fn limits(resources: &Resources) -> Limits {
    Limits {
        cpus: resources.cpus.map(Cpus::cores),
        cpu_shares: resources.cpu_shares,
        memory: resources.memory,
        memory_swap: resources.memory_swap,
        shm_size: resources.shm_size,
    }
}

fn privileges(privileges: &CorePrivileges) -> Privileges {
    Privileges {
        user: privileges.user.clone(),
        privileged: privileges.privileged,
        read_only: privileges.read_only,
        cap_add: privileges.cap_add.clone(),
        cap_drop: privileges.cap_drop.clone(),
        pid: privileges.pid.map(|PidMode::Host| "host".to_owned()),
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn port(port: &CorePort) -> Port {
    Port {
        ip: port.ip.to_string(),
        node_port: port.node_port,
        container_port: port.container_port,
        protocol: port.protocol.to_string(),
    }
}

fn link(snapshot: &Snapshot, key: &ServiceKey, link: &Link) -> LinkRef {
    let stack = link.stack.as_ref().unwrap_or(&key.stack);
    let target = ServiceKey::new(stack.clone(), link.service.clone());
    LinkRef {
        id: snapshot.service_id(&target),
        alias: link.alias.clone(),
    }
}

fn deploy_options(deploy: &Deploy) -> DeployOptions {
    let schedule = deploy.schedule.as_ref();
    let named = deploy.lease.as_ref().map_or(&[][..], Witnesses::names);
    DeployOptions {
        min_health: f64::from(deploy.min_health) / 1_000.0,
        wait_for_port: deploy.wait_for_port,
        interval: None,
        spread: texts(deploy.spread.labels()),
        max_per_node: deploy.max_per_node,
        offline: OfflineOptions {
            replace_after: deploy.offline.replace_after_millis.div_ceil(1_000),
            takeover: deploy.offline.takeover,
            on_return: deploy.offline.on_return,
        },
        rebalance: deploy.rebalance,
        standby_images: Some(deploy.standby_images),
        order: deploy.order,
        on_failure: deploy.on_failure,
        canary: deploy.canary,
        schedule: schedule.map(|schedule| schedule.cron.to_string()),
        time_zone: schedule.map(|schedule| schedule.time_zone.to_string()),
        concurrency: schedule.map(|schedule| schedule.concurrency),
        time_limit: schedule.map(|schedule| schedule.time_limit().as_secs()),
        takeover: schedule.map(|schedule| schedule.takeover),
        singleton: deploy.lease.as_ref().map(|_| Singleton::Lease),
        witnesses: texts(named),
    }
}
