//! The paths that the client asks for, so that no caller writes one by hand.
//!
//! They are made of validated names; what else may be in one is [`encoded`].

use kontena_core::external_registry::RegistryName;
use kontena_core::id::{GridName, NodeName, ServiceKey, StackName, VpnUserName};
use kontena_core::keys::Key;
use kontena_core::volume::VolumeName;

pub(crate) const PING: &str = "/v1/ping";
pub(crate) const STATUS: &str = "/v1/status";
pub(crate) const INIT: &str = "/v1/init";
pub(crate) const JOIN: &str = "/v1/join";
pub(crate) const LEAVE: &str = "/v1/leave";
pub(crate) const JOIN_TOKENS: &str = "/v1/join_tokens";
pub(crate) const GRIDS: &str = "/v1/grids";

pub(crate) fn grid(grid: &GridName) -> String {
    format!("/v1/grids/{grid}")
}

pub(crate) fn nodes(grid: &GridName) -> String {
    format!("/v1/grids/{grid}/nodes")
}

pub(crate) fn node(grid: &GridName, node: &NodeName) -> String {
    format!("/v1/nodes/{grid}/{node}")
}

/// What a node that drains still has.
pub(crate) fn departures(grid: &GridName, node: &NodeName) -> String {
    format!("/v1/nodes/{grid}/{node}/departures")
}

/// A person says that it is dead.
pub(crate) fn assume_dead(grid: &GridName, node: &NodeName) -> String {
    format!("/v1/nodes/{grid}/{node}/assume_dead")
}

pub(crate) fn plan(grid: &GridName) -> String {
    format!("/v1/grids/{grid}/plan")
}

pub(crate) fn node_network(grid: &GridName, node: &NodeName) -> String {
    format!("/v1/nodes/{grid}/{node}/network")
}

/// Listing and creating. To list one stack's, add `?stack=NAME`.
pub(crate) fn services(grid: &GridName) -> String {
    format!("/v1/grids/{grid}/services")
}

/// Add `/deploy`, `/abort`, `/promote`, `/scale`, `/start`, `/stop`, `/restart`, `/deploys`, `/deploys/ID`, `/instances`,
/// `/containers`, `/stats` or `/container_logs`.
pub(crate) fn service(grid: &GridName, key: &ServiceKey) -> String {
    format!("/v1/services/{grid}/{}/{}", key.stack, key.service)
}

pub(crate) fn stacks(grid: &GridName) -> String {
    format!("/v1/grids/{grid}/stacks")
}

/// Add `/deploy`, `/stop`, `/restart`, `/deploys/ID`, `/revisions`, `/diff`, `/plan`, `/rollback` or
/// `/container_logs`.
pub(crate) fn stack(grid: &GridName, stack: &StackName) -> String {
    format!("/v1/stacks/{grid}/{stack}")
}

pub(crate) fn keys(grid: &GridName) -> String {
    format!("/v1/etcd/{grid}")
}

/// As Kontena's command line asks for it: two slashes follow each other.
pub(crate) fn key(grid: &GridName, key: &Key) -> String {
    let segments = key.as_str().split('/').map(encoded);
    let path: Vec<String> = segments.collect();
    format!("/v1/etcd/{grid}/{}", path.join("/"))
}

/// Listing and adding.
pub(crate) fn backup(grid: &GridName) -> String {
    format!("/v1/grids/{grid}/backup")
}

pub(crate) fn volumes(grid: &GridName) -> String {
    format!("/v1/volumes/{grid}")
}

pub(crate) fn volume(grid: &GridName, volume: &VolumeName) -> String {
    format!("/v1/volumes/{grid}/{volume}")
}

/// Of copies of volumes on the nodes.
pub(crate) fn volume_copies(grid: &GridName) -> String {
    format!("/v1/grids/{grid}/volume_copies")
}

pub(crate) fn volume_copy(grid: &GridName, node: &str, copy: &str) -> String {
    format!("{}/{node}/{}", volume_copies(grid), encoded(copy))
}

/// Takes `Upgrade: kontena-exec`. `what` is `backup` or `restore`.
pub(crate) fn contents(
    grid: &GridName,
    copy: &str,
    what: &str,
    node: Option<&NodeName>,
    live: bool,
) -> String {
    let copy = encoded(copy);
    let node = node.map(|node| format!("node={node}"));
    let live = live.then(|| "live=1".to_owned());
    let query: Vec<String> = node.into_iter().chain(live).collect();
    match query.is_empty() {
        true => format!("/v1/volumes/{grid}/{copy}/{what}"),
        false => format!("/v1/volumes/{grid}/{copy}/{what}?{}", query.join("&")),
    }
}

/// Of a copy, or a volume of which there is one.
pub(crate) fn volume_move(grid: &GridName, volume: &str) -> String {
    format!("/v1/volumes/{grid}/{}/move", encoded(volume))
}

pub(crate) fn external_registries(grid: &GridName) -> String {
    format!("/v1/grids/{grid}/external_registries")
}

pub(crate) fn external_registry(grid: &GridName, registry: &RegistryName) -> String {
    format!("/v1/external_registries/{grid}/{registry}")
}

pub(crate) fn vpn(grid: &GridName) -> String {
    format!("/v1/vpn/{grid}")
}

pub(crate) fn vpn_entry(grid: &GridName, node: &NodeName) -> String {
    format!("/v1/vpn/{grid}/entries/{node}")
}

pub(crate) fn vpn_users(grid: &GridName) -> String {
    format!("/v1/vpn/{grid}/users")
}

pub(crate) fn vpn_user(grid: &GridName, user: &VpnUserName) -> String {
    format!("/v1/vpn/{grid}/users/{user}")
}

/// Takes `Upgrade: kontena-tcp`.
pub(crate) fn proxy(grid: &GridName, key: &ServiceKey, port: u16) -> String {
    format!("/v1/proxy/{grid}/{}/{}/{port}", key.stack, key.service)
}

pub(crate) fn containers(grid: &GridName, all: bool) -> String {
    match all {
        true => format!("/v1/containers/{grid}?all=1"),
        false => format!("/v1/containers/{grid}"),
    }
}

/// Of an id `GRID/NODE/CONTAINER`. Add `/exec`, which takes `Upgrade: kontena-exec`, `/inspect` or `/logs`.
pub(crate) fn container(id: &str) -> String {
    format!("/v1/containers/{id}")
}

/// Why an instance is where it is, or why it is nowhere. To ask for one, add `?instance=N`.
pub(crate) fn why(key: &ServiceKey) -> String {
    format!("/v1/why/{}/{}", key.stack, key.service)
}

/// Takes `Upgrade: kontena-exec`.
pub(crate) fn run(
    grid: &GridName,
    key: &ServiceKey,
    node: Option<&NodeName>,
    instance: Option<u32>,
) -> String {
    let node = node.map(|node| format!("node={node}"));
    let instance = instance.map(|number| format!("instance={number}"));
    let query: Vec<String> = node.into_iter().chain(instance).collect();
    match query.is_empty() {
        true => format!("{}/run", service(grid, key)),
        false => format!("{}/run?{}", service(grid, key), query.join("&")),
    }
}

/// As a URL wants it (RFC 3986).
pub(crate) fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
