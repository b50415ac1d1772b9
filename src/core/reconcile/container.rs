//! A service's instance → everything that makes its container.
//!
//! Names, environment and labels are Kontena 1.x's: third-party stacks read them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::id::{EnvelopeHash, InstanceId};
use crate::lease::Fenced;
use crate::stack::{Hook, NetworkMode, Question, Service, Volume, VolumeSource};
use crate::volume::{Copy, Definition, Mounted, Scope};

use super::action::{Attachment, Care, ContainerSpec, Mount, Ownership};
use super::instances::Identity;
use super::wanted::Wanted;

/// The part of a label's key that is ours: what a user sets there is dropped.
pub(super) const OUR_LABELS: &str = "io.kontena.";

/// The container of `wanted` on this node, from the image that `pinned` names. All volumes that it mounts are known
/// ([`Wanted::lacks`]).
pub fn spec(
    wanted: &Wanted,
    identity: &Identity,
    epoch: u64,
    network: Attachment,
    pinned: &str,
) -> ContainerSpec {
    let service = &*wanted.service;
    let instance = &wanted.instance;
    ContainerSpec {
        labels: Ownership {
            grid: identity.grid.to_string(),
            instance: instance.clone(),
            epoch,
            generation: wanted.generation,
            revision: wanted.revision,
            slot: None,
        },
        care: care(service, instance.number),
        name: instance.container_name(),
        image: pinned.to_owned(),
        entrypoint: service.entrypoint.clone(),
        command: service.command.clone(),
        environment: environment(service, instance, identity),
        ports: service.ports.clone(),
        mounts: mounts(wanted),
        volumes_from: wanted
            .sources
            .iter()
            .map(InstanceId::container_name)
            .collect(),
        stop_signal: service.stop_signal.clone(),
        stop_grace: stop_grace(service),
        network,
        resources: service.resources.clone(),
        privileges: service.privileges.clone(),
        logging: service.logging.clone(),
        fence: None,
        hostname: hostname(instance),
        domainname: domainname(instance, identity),
        extra_labels: labels(wanted, identity),
    }
}

/// What a program is told of the lease that it runs under: a number that rises from holder to holder.
const TOKEN_VARIABLE: &str = "KONTENA_FENCE=";

/// The same container, under a lease.
pub(super) fn fenced(mut spec: ContainerSpec, fence: Option<Fenced>) -> ContainerSpec {
    let token = fence.map(|fence| format!("{TOKEN_VARIABLE}{}", fence.token));
    spec.environment.extend(token);
    ContainerSpec { fence, ..spec }
}

/// The container of a hook before the start of the instance whose container is made as `spec` says.
pub fn hook_spec(spec: ContainerSpec, network: Attachment) -> ContainerSpec {
    let kind = format!("{OUR_LABELS}container.type");
    let mut extra_labels = spec.extra_labels;
    extra_labels.insert(kind, "service_hook".to_owned());
    ContainerSpec {
        name: format!("{}-hook", spec.name),
        // Nobody is to find it, and the ports are the instance's.
        ports: Vec::new(),
        care: Care::default(),
        network,
        extra_labels,
        ..spec
    }
}

fn care(service: &Service, number: u32) -> Care {
    let for_it = |hooks: &[Hook]| {
        let hooks = hooks.iter().filter(|hook| hook.is_for(number));
        hooks.cloned().collect::<Vec<_>>()
    };
    Care {
        post_start: for_it(&service.hooks.post_start),
        pre_stop: for_it(&service.hooks.pre_stop),
        pre_backup: for_it(&service.hooks.pre_backup),
        post_backup: for_it(&service.hooks.post_backup),
        health_check: service.health_check.clone(),
        leased: service.is_leased(),
        made_with: BTreeSet::new(),
        on_host: service.network_mode == NetworkMode::Host,
        wait_for_port: service.deploy.wait_for_port,
    }
}

/// The time between the stop signal and SIGKILL.
pub fn stop_grace(service: &Service) -> Duration {
    Duration::from_millis(
        service
            .stop_grace_millis
            .unwrap_or(Service::STOP_GRACE_MILLIS),
    )
}

fn hostname(instance: &InstanceId) -> String {
    format!("{}-{}", instance.service.service, instance.number)
}

fn domainname(instance: &InstanceId, identity: &Identity) -> String {
    let stack = &instance.service.stack;
    if stack.is_null() {
        format!("{}.kontena.local", identity.grid_name)
    } else {
        format!("{stack}.{}.kontena.local", identity.grid_name)
    }
}

/// Kontena's id of a service: unique among all grids.
fn service_id(instance: &InstanceId, identity: &Identity) -> String {
    let key = &instance.service;
    format!("{}/{}/{}", identity.grid_name, key.stack, key.service)
}

/// The user's variables, then ours. One of ours that the user set too is ours.
fn environment(service: &Service, instance: &InstanceId, identity: &Identity) -> Vec<String> {
    let ours = [
        ("KONTENA_SERVICE_ID", service_id(instance, identity)),
        ("KONTENA_SERVICE_NAME", instance.service.service.to_string()),
        ("KONTENA_GRID_NAME", identity.grid_name.to_string()),
        ("KONTENA_PLATFORM_NAME", identity.grid_name.to_string()),
        ("KONTENA_STACK_NAME", instance.service.stack.to_string()),
        ("KONTENA_NODE_NAME", identity.node_name.to_string()),
        (
            "KONTENA_SERVICE_INSTANCE_NUMBER",
            instance.number.to_string(),
        ),
    ];
    let is_ours = |line: &&String| {
        let name = line.split('=').next().unwrap_or_default();
        ours.iter().any(|(key, _)| *key == name)
    };
    let users = service.environment.iter().filter(|line| !is_ours(line));
    let injected = ours.iter().map(|(key, value)| format!("{key}={value}"));
    users.cloned().chain(injected).collect()
}

fn labels(wanted: &Wanted, identity: &Identity) -> BTreeMap<String, String> {
    let instance = &wanted.instance;
    let grace = stop_grace(&wanted.service).as_secs();
    let ours = [
        ("service.id", service_id(instance, identity)),
        ("service.name", instance.service.service.to_string()),
        ("service.instance_number", instance.number.to_string()),
        ("stack.name", instance.service.stack.to_string()),
        ("grid.name", identity.grid_name.to_string()),
        ("platform.name", identity.grid_name.to_string()),
        ("container.type", "container".to_owned()),
        ("container.name", instance.container_name()),
        ("container.deploy_rev", wanted.generation.to_string()),
        (
            "container.service_revision",
            wanted.revision_number.to_string(),
        ),
        ("container.stop_grace_period", grace.to_string()),
    ];
    let check = health_check_labels(&wanted.service);
    let users = wanted.service.labels.iter();
    let users = users.filter(|(key, _)| !key.starts_with(OUR_LABELS));
    let ours = ours.map(|(key, value)| (format!("{OUR_LABELS}{key}"), value));
    users
        .map(|(key, value)| (key.clone(), value.clone()))
        .chain(ours)
        .chain(check)
        .collect()
}

/// Kontena's, which its balancer read.
fn health_check_labels(service: &Service) -> Vec<(String, String)> {
    let Some(check) = &service.health_check else {
        return Vec::new();
    };
    let mut labels = vec![
        ("protocol", check.protocol().to_owned()),
        ("interval", check.interval.to_string()),
        ("timeout", check.timeout.to_string()),
        ("initial_delay", check.initial_delay.to_string()),
    ];
    match &check.question {
        Question::Http { port, uri } => {
            labels.extend([("port", port.to_string()), ("uri", uri.clone())]);
        }
        Question::Tcp { port } => labels.push(("port", port.to_string())),
        Question::Exec { .. } => {}
    }
    let key = |key: &str| format!("{OUR_LABELS}health_check.{key}");
    let labels = labels.into_iter();
    labels.map(|(name, value)| (key(name), value)).collect()
}

fn mounts(wanted: &Wanted) -> Vec<Mount> {
    let mount = |volume: &Volume| Mount {
        docker_volume: docker_volume(volume, wanted),
        volume: volume.clone(),
    };
    wanted.service.volumes.iter().map(mount).collect()
}

/// The Docker volumes that an instance mounts.
pub(super) fn mounted(wanted: &Wanted) -> impl Iterator<Item = Mounted> {
    let mounts = wanted.service.volumes.iter();
    mounts.filter_map(|volume| docker_volume(volume, wanted))
}

/// The Docker volume behind a mount. An anonymous one of a stateful instance has a name of its own.
fn docker_volume(volume: &Volume, wanted: &Wanted) -> Option<Mounted> {
    let instance = &wanted.instance;
    match &volume.source {
        VolumeSource::Anonymous if wanted.service.stateful => Some(Mounted {
            name: own_volume(&volume.path, &wanted.creation, instance),
            definition: Definition::local(Scope::Instance),
            copy: Copy::Own {
                instance: instance.clone(),
                creation: wanted.creation,
            },
        }),
        VolumeSource::Anonymous | VolumeSource::Bind(_) => None,
        VolumeSource::Named(name) => {
            let known = wanted.volumes.get(name)?;
            Some(Mounted {
                name: known.definition.copy_of(name, instance),
                definition: known.definition.clone(),
                copy: Copy::Volume {
                    volume: name.clone(),
                    creation: known.creation,
                },
            })
        }
    }
}

/// `CONTAINER.CREATION.PATH`, the last two shortened to eight hexadecimal digits: the same after every update
/// and move, and another one once the service was removed and created anew.
fn own_volume(path: &str, creation: &EnvelopeHash, instance: &InstanceId) -> String {
    let digest = Sha256::digest(path.as_bytes());
    let path = HEXLOWER.encode(&digest[..4]);
    let creation = HEXLOWER.encode(&creation.as_bytes()[..4]);
    format!("{}.{creation}.{path}", instance.container_name())
}
