//! What a user can ask for: stacks and services, as validated values.
//!
//! A [`Service`] is what becomes an immutable *revision*: its canonical bytes ([`Service::encode`])
//! are stored, addressed by their hash, and run as they are. The number of instances is not part of
//! it, so scaling never restarts a container. Fields that this version does not know survive in
//! `unknown`, and make the revision unreadable for placement (rules of the mesh 4: a node that
//! cannot read a revision keeps what it runs and takes nothing over).

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{RevisionHash, ServiceName, StackName};
use crate::volume::VolumeName;

mod affinity;
mod command;
mod difference;
mod environment;
mod fault;
mod frozen;
mod health_check;
mod hooks;
mod image;
mod image_mark;
mod lease;
mod link;
mod logging;
mod network_mode;
mod offline;
mod on_failure;
mod order;
mod platforms;
mod port;
mod privileges;
mod relations;
mod resources;
mod schedule;
mod spread;
mod stack_label;
mod stop;
mod volume;
mod volumes_from;

pub use affinity::{Affinity, AffinityKey, AffinityValue, InvalidAffinity};
pub use command::{InvalidCommand, split_command};
pub use difference::{Fate, KeyDifference, ServiceDifference, Side, difference};
pub use environment::{InvalidLabel, InvalidVariable};
pub use fault::{Fault, InvalidService, ServiceField};
pub use frozen::FrozenImage;
pub use health_check::{HealthCheck, InvalidHealthCheck, Question, Written as WrittenHealthCheck};
pub use hooks::{Hook, Hooks, InvalidHook, Stage};
pub use image::{InvalidImage, has_digest, image_reference, repository};
pub use image_mark::{ImageMark, InvalidImageMark};
pub use lease::{InvalidSingleton, InvalidWitnesses, Singleton, Witnesses};
pub use link::InvalidLink;
pub use logging::{InvalidLogging, Logging, log_driver, log_option};
pub use network_mode::NetworkMode;
pub use offline::{NotOneOf, Offline, OnReturn, Takeover};
pub use on_failure::OnFailure;
pub use order::Order;
pub use platforms::Platforms;
pub use port::InvalidPort;
pub use privileges::{InvalidPrivilege, PidMode, Privileges, capability, user};
pub use relations::{
    InvalidStack, LongHostName, MAX_HOST_NAME, Need, StackFault, UnknownExposed, check_host_name,
    stack_faults,
};
pub use resources::{Cpus, InvalidCpus, InvalidSize, Resources, size_bytes, size_text};
pub use schedule::{Concurrency, InvalidConcurrency, Schedule};
pub use spread::{InvalidSpread, Spread, SpreadLabel};
pub use stack_label::{InvalidStackLabel, StackLabel};
pub use stop::{InvalidGrace, InvalidSignal, grace_millis, stop_signal};
pub use volume::InvalidVolume;
pub use volumes_from::{InvalidVolumesFrom, SourceNumber, VolumesFrom};

/// A stack file's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The name in the file, `name` or `user/name`.
    pub stack: String,
    /// What it is installed as unless the user says otherwise: the last part of `stack`.
    pub default_name: StackName,
    /// The stack's own version; `0.0.1` where the file gives none (as Kontena).
    pub version: String,
    pub description: Option<String>,
    /// The service that has the stack's own name in DNS too; one of `services`.
    pub expose: Option<ServiceName>,
    pub services: BTreeMap<ServiceName, Declared>,
}

/// A service as a stack file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub service: Service,
    /// `None` where the file is silent: 1 when the service is new, else unchanged.
    pub instances: Option<u32>,
}

/// One revision of a service: everything that makes a container, but how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// With a tag or digest: `nginx` is stored as `nginx:latest`.
    pub image: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub stateful: bool,
    /// The program, replacing the image's ENTRYPOINT: one word (as Kontena).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// The argument vector, replacing the image's CMD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// `NAME=VALUE`, in the order given, each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Whose volumes it mounts besides: each of its instances runs where these do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<VolumesFrom>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affinity: Vec<Affinity>,
    /// Docker's spelling, `SIGTERM` or a number; `None` is the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Milliseconds between the stop signal and SIGKILL; `None` is [`Service::STOP_GRACE_MILLIS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "NetworkMode::is_bridge")]
    pub network_mode: NetworkMode,
    #[serde(default, skip_serializing_if = "Resources::is_default")]
    pub resources: Resources,
    #[serde(default, skip_serializing_if = "Privileges::is_default")]
    pub privileges: Privileges,
    #[serde(default, skip_serializing_if = "Logging::is_default")]
    pub logging: Logging,
    #[serde(default)]
    pub deploy: Deploy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    #[serde(default, skip_serializing_if = "Hooks::is_default")]
    pub hooks: Hooks,
    /// Container labels that the user adds, sorted by key; `io.kontena.` is ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl Service {
    /// Docker's and Kontena's default time between the stop signal and SIGKILL.
    pub const STOP_GRACE_MILLIS: u64 = 10_000;

    /// The most instances (for `daemon`: per node) that can be asked for: far above what a few
    /// hundred machines can run, and small enough that a typing error does not drown them.
    pub const MAX_INSTANCES: u32 = 10_000;

    /// A service with nothing but an image.
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            stateful: false,
            entrypoint: None,
            command: None,
            environment: Vec::new(),
            ports: Vec::new(),
            links: Vec::new(),
            volumes: Vec::new(),
            volumes_from: Vec::new(),
            affinity: Vec::new(),
            stop_signal: None,
            stop_grace_millis: None,
            network_mode: NetworkMode::default(),
            resources: Resources::default(),
            privileges: Privileges::default(),
            logging: Logging::default(),
            deploy: Deploy::default(),
            health_check: None,
            hooks: Hooks::default(),
            labels: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Whether the new container of an instance is started before its old one stops: it is asked for, and two can run
    /// beside each other, which a host port, the host's network, data that stays, data of others and a directory of the
    /// host that is written to forbid.
    pub fn starts_first(&self) -> bool {
        let is_shared = |volume: &Volume| match volume.source {
            VolumeSource::Anonymous => false,
            VolumeSource::Bind(_) => !volume.is_read_only(),
            VolumeSource::Named(_) => true,
        };
        self.deploy.order == Order::StartFirst
            && !self.is_bound()
            && self.ports.is_empty()
            && self.network_mode != NetworkMode::Host
            && !self.volumes.iter().any(is_shared)
            && self.volumes_from.is_empty()
    }

    /// Whether it is a job: run at each slot of a schedule, and not kept running.
    pub fn is_job(&self) -> bool {
        self.deploy.schedule.is_some()
    }

    /// Whether an instance is bound to one node, and runs there or nowhere: it has data there, or it is a job, which must not
    /// run twice for one slot.
    pub fn is_bound(&self) -> bool {
        let schedule = self.deploy.schedule.as_ref();
        self.stateful || schedule.is_some_and(|schedule| !schedule.takeover)
    }

    /// Whether it runs only while it holds a lease, and is taken over without anybody's word.
    pub fn is_leased(&self) -> bool {
        self.deploy.lease.is_some()
    }

    /// The volumes of the grid that it mounts.
    pub fn named_volumes(&self) -> impl Iterator<Item = &VolumeName> {
        self.volumes.iter().filter_map(|mount| match &mount.source {
            VolumeSource::Named(name) => Some(name),
            VolumeSource::Anonymous | VolumeSource::Bind(_) => None,
        })
    }

    /// The files of a host that it mounts and may write to.
    pub fn written_on_host(&self) -> impl Iterator<Item = &str> {
        let written = self.volumes.iter().filter(|mount| !mount.is_read_only());
        written.filter_map(|mount| match &mount.source {
            VolumeSource::Bind(path) => Some(path.as_str()),
            VolumeSource::Anonymous | VolumeSource::Named(_) => None,
        })
    }

    /// The canonical bytes of this revision: JSON, fields in this order, empty ones left out.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a service holds only text keys, text and numbers")
    }

    /// The hash that names this revision.
    pub fn hash(&self) -> RevisionHash {
        Self::hash_of(&self.encode())
    }

    /// The hash of canonical bytes as they were received, known fields or not.
    pub fn hash_of(encoded: &[u8]) -> RevisionHash {
        RevisionHash(Sha256::digest(encoded).into())
    }

    /// Whether a field of a newer version is present, so that this version must not place it.
    pub fn is_from_the_future(&self) -> bool {
        let parts = [
            &self.unknown,
            &self.deploy.unknown,
            &self.deploy.offline.unknown,
            &self.resources.unknown,
            &self.privileges.unknown,
            &self.logging.unknown,
            &self.hooks.unknown,
        ];
        let check = self.health_check.as_ref().map(|check| &check.unknown);
        let schedule = self.deploy.schedule.as_ref();
        parts
            .into_iter()
            .chain(check)
            .chain(schedule.map(|schedule| &schedule.unknown))
            .any(|unknown| !unknown.is_empty())
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How instances are spread and replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    #[serde(default)]
    pub strategy: Strategy,
    /// A container port that must accept a TCP connection before the instance counts as healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for_port: Option<u16>,
    /// Share of instances that stays healthy during a deploy, in thousandths. Kontena's default is 0.8.
    #[serde(default = "Deploy::default_min_health")]
    pub min_health: u16,
    /// With `ha` alone.
    #[serde(default, skip_serializing_if = "Spread::is_empty")]
    pub spread: Spread,
    /// The most instances that one node may have; not with `daemon`, which says it by `instances`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_node: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Offline::is_default")]
    pub offline: Offline,
    /// Whether what runs is moved to where fewer of it run; with `ha` alone, and not if stateful.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rebalance: bool,
    /// Whether the new container is started before the old one stops.
    #[serde(default, skip_serializing_if = "Order::is_stop_first")]
    pub order: Order,
    /// What becomes of a deploy that fails.
    #[serde(default, skip_serializing_if = "OnFailure::is_halt")]
    pub on_failure: OnFailure,
    /// So many instances, those with the lowest numbers, are replaced first; the others wait until somebody
    /// promotes the deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<NonZeroU32>,
    /// So many of the nodes that come next keep the image ready.
    #[serde(
        default = "Deploy::default_standby_images",
        skip_serializing_if = "Deploy::is_default_standby_images"
    )]
    pub standby_images: u8,
    /// It is a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// It is a singleton that runs only while a majority of these grants it a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Witnesses>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl Deploy {
    /// The most nodes that keep an image ready, and as many as do unless somebody says otherwise.
    pub const MAX_STANDBY_IMAGES: u8 = 2;

    /// A share from 0 to 1 in thousandths, or `None` if it is not one.
    pub fn thousandths(share: f64) -> Option<u16> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the share is between 0 and 1"
        )]
        let thousandths = (share * 1000.0).round() as u16;
        (0.0..=1.0).contains(&share).then_some(thousandths)
    }

    fn default_min_health() -> u16 {
        800
    }

    fn default_standby_images() -> u8 {
        Self::MAX_STANDBY_IMAGES
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference to what it may skip"
    )]
    fn is_default_standby_images(images: &u8) -> bool {
        *images == Self::MAX_STANDBY_IMAGES
    }
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            wait_for_port: None,
            min_health: Self::default_min_health(),
            spread: Spread::default(),
            max_per_node: None,
            offline: Offline::default(),
            rebalance: false,
            order: Order::StopFirst,
            on_failure: OnFailure::Halt,
            canary: None,
            standby_images: Self::default_standby_images(),
            schedule: None,
            lease: None,
            unknown: BTreeMap::new(),
        }
    }
}

/// Kontena's deploy strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Spread over availability zones (label `az`), then over nodes.
    #[default]
    Ha,
    /// `instances` on every eligible node.
    Daemon,
    /// Any eligible node, fixed by the scores alone.
    Random,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ha => "ha",
            Self::Daemon => "daemon",
            Self::Random => "random",
        })
    }
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// The host address it is bound to.
    pub ip: IpAddr,
    pub node_port: u16,
    pub container_port: u16,
    pub protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A dependency on another service: orders deploys and guards removal (Kontena 1.x; no alias in DNS).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// `None` is the same stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackName>,
    pub service: ServiceName,
    /// Stored and shown only, as in Kontena.
    pub alias: String,
}

/// One mount. `path` is absolute and unique in its service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Volume {
    /// Where it appears in the container.
    pub path: String,
    pub source: VolumeSource,
    /// Docker's mount flags (`ro`, `z` …), as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
}

impl Volume {
    /// Whether the container cannot write to it.
    pub fn is_read_only(&self) -> bool {
        let flags = self.flags.as_deref().unwrap_or_default();
        flags.split(',').any(|flag| flag == "ro")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeSource {
    /// `/path`: a volume of this instance's own. Kept over updates when the service is stateful.
    Anonymous,
    /// `/host:/path`: a directory of the node.
    Bind(String),
    /// `name:/path`: a volume of the grid.
    Named(VolumeName),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_keeps_the_fields_of_a_newer_version() {
        let newer = br#"{"image":"a:1","deploy":{"strategy":"ha","min_health":800,"colour":"blue"},"gpu":2}"#;
        let service: Service = serde_json::from_slice(newer).unwrap();
        assert!(service.is_from_the_future());
        let again: Service = serde_json::from_slice(&service.encode()).unwrap();
        assert_eq!(again, service);
    }

    #[test]
    fn a_limit_of_a_newer_version_is_not_taken_for_none() {
        let newer = br#"{"image":"a:1","resources":{"mem_limit":4096,"gpus":2}}"#;
        let service: Service = serde_json::from_slice(newer).unwrap();
        assert_eq!(service.resources.memory, Some(4_096));
        assert!(service.is_from_the_future());
    }

    #[test]
    fn what_nobody_said_is_as_in_kontena() {
        let deploy = Service::new("a:1").deploy;
        assert_eq!(deploy.min_health, 800, "thousandths");
        assert_eq!(deploy.strategy, Strategy::Ha);
        assert_eq!((deploy.wait_for_port, deploy.canary), (None, None));
    }

    #[test]
    fn a_lease_is_part_of_a_revision_under_its_own_key() {
        let names = ["b", "a", "c"].map(|name| name.parse().unwrap());
        let mut service = Service::new("a:1");
        service.deploy.lease = Some(Witnesses::new(names.into()).unwrap());
        let encoded = String::from_utf8(service.encode()).unwrap();
        assert_eq!(
            encoded,
            r#"{"image":"a:1","deploy":{"strategy":"ha","min_health":800,"lease":["b","a","c"]}}"#
        );
        let read: Service = serde_json::from_str(&encoded).unwrap();
        assert_eq!(read, service);
        assert!(read.is_leased() && !read.is_from_the_future());
    }

    #[test]
    fn what_is_not_said_is_not_part_of_a_revision() {
        let encoded = String::from_utf8(Service::new("a:1").encode()).unwrap();
        assert_eq!(
            encoded,
            r#"{"image":"a:1","deploy":{"strategy":"ha","min_health":800}}"#
        );
    }
}
