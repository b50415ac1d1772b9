//! A [`ContainerSpec`] in Docker's words. Pure: the same spec always gives the same request.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount as DockerMount, MountType,
    NetworkingConfig, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};
use kontena_core::network::ipam::Subnet;
use kontena_core::reconcile::action::{Attachment, ContainerSpec, Mount};
use kontena_core::stack::{Logging, PidMode, Port, Resources, VolumeSource};

use super::labels::labels;
use super::network::endpoint;

/// What creates the container of `spec`. Docker never restarts it by itself: whether and where an
/// instance runs again is decided by the grid. `network`: what the grid's network is called here; `group`: the control
/// group above its own, unless the engine is to choose it.
pub(super) fn create_body(
    spec: &ContainerSpec,
    network: &str,
    group: Option<String>,
) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        hostname: some_text(&spec.hostname),
        domainname: some_text(&spec.domainname),
        entrypoint: spec.entrypoint.clone().map(|program| vec![program]),
        cmd: spec.command.clone(),
        user: spec.privileges.user.clone(),
        env: Some(spec.environment.clone()),
        labels: Some(labels(
            &spec.labels,
            &spec.care,
            spec.network.address(),
            &spec.extra_labels,
        )),
        exposed_ports: Some(spec.ports.iter().map(port_key).collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(i64::from(whole_seconds(spec.stop_grace))),
        networking_config: networking(spec.network, network),
        host_config: Some(host_config(spec, network, group)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec, network: &str, group: Option<String>) -> HostConfig {
    HostConfig {
        cgroup_parent: group,
        dns: server(spec.network).map(|server| vec![server.to_string()]),
        dns_search: server(spec.network).map(|_| search(&spec.domainname)),
        // Docker's own `ndots:0` would ask the world for `db` before the stack.
        dns_options: server(spec.network).map(|_| vec!["ndots:1".to_owned()]),
        network_mode: match spec.network {
            Attachment::Plain => None,
            Attachment::Host => Some("host".to_owned()),
            Attachment::Grid(_) | Attachment::Free(_) => Some(network.to_owned()),
        },
        port_bindings: Some(port_bindings(&spec.ports)),
        binds: Some(spec.mounts.iter().filter_map(bind).collect()),
        mounts: Some(spec.mounts.iter().filter_map(throw_away).collect()),
        volumes_from: some_list(&spec.volumes_from),
        restart_policy: Some(restarts_nothing()),
        log_config: log_config(&spec.logging),
        privileged: Some(spec.privileges.privileged),
        readonly_rootfs: Some(spec.privileges.read_only),
        cap_add: some_list(&spec.privileges.cap_add),
        cap_drop: some_list(&spec.privileges.cap_drop),
        pid_mode: spec.privileges.pid.map(|PidMode::Host| "host".to_owned()),
        ..limits(&spec.resources)
    }
}

/// Whoever starts a container again has to know of its crashes, and whether it is wanted.
fn restarts_nothing() -> RestartPolicy {
    RestartPolicy {
        name: Some(RestartPolicyNameEnum::NO),
        maximum_retry_count: None,
    }
}

/// The period of Linux' scheduler that Kontena set, in microseconds.
const CPU_PERIOD: i64 = 100_000;

fn limits(resources: &Resources) -> HostConfig {
    let thousandths = resources.cpus.map(|cpus| i64::from(cpus.thousandths()));
    HostConfig {
        cpu_period: thousandths.map(|_| CPU_PERIOD),
        cpu_quota: thousandths.map(|thousandths| thousandths * CPU_PERIOD / 1_000),
        cpu_shares: resources.cpu_shares.map(i64::from),
        memory: resources.memory.map(signed),
        memory_swap: resources.memory_swap.map(signed),
        shm_size: resources.shm_size.map(signed),
        ..HostConfig::default()
    }
}

/// Sizes beyond 63 bits are refused where they are read.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Without a driver Docker gives the options to its own default one.
fn log_config(logging: &Logging) -> Option<HostConfigLogConfig> {
    if logging.is_default() {
        return None;
    }
    Some(HostConfigLogConfig {
        typ: logging.driver.clone(),
        config: Some(logging.options.clone().into_iter().collect()),
    })
}

fn some_list(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn networking(attachment: Attachment, network: &str) -> Option<NetworkingConfig> {
    let endpoint = endpoint(attachment.address()?);
    Some(NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])),
    })
}

/// The node's own server of names, for containers in the grid's network.
fn server(attachment: Attachment) -> Option<Ipv4Addr> {
    match attachment {
        Attachment::Plain | Attachment::Host => None,
        Attachment::Grid(address) => Some(Subnet::of(address).gateway()),
        Attachment::Free(subnet) => Some(subnet.gateway()),
    }
}

/// Kontena's search domains: the stack's and the grid's, or the grid's and that of all grids.
fn search(domainname: &str) -> Vec<String> {
    let above = domainname.split_once('.').map(|(_, above)| above);
    let domains = [Some(domainname), above].into_iter().flatten();
    domains.map(ToOwned::to_owned).collect()
}

/// Docker counts a grace in whole seconds; a part of one becomes a whole one, so that it is never cut.
pub(super) fn whole_seconds(grace: std::time::Duration) -> i32 {
    let part = u64::from(grace.subsec_nanos() > 0);
    i32::try_from(grace.as_secs().saturating_add(part)).unwrap_or(i32::MAX)
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn port_key(port: &Port) -> String {
    format!("{}/{}", port.container_port, port.protocol)
}

fn port_bindings(ports: &[Port]) -> PortMap {
    let mut bindings: PortMap = HashMap::new();
    for port in ports {
        bindings
            .entry(port_key(port))
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: Some(port.ip.to_string()),
                host_port: Some(port.node_port.to_string()),
            });
    }
    bindings
}

/// `SOURCE:PATH[:FLAGS]` for a directory of the node and for a volume that has a name.
fn bind(mount: &Mount) -> Option<String> {
    let source = match (&mount.volume.source, &mount.docker_volume) {
        (VolumeSource::Bind(path), _) => path,
        (VolumeSource::Anonymous | VolumeSource::Named(_), Some(volume)) => &volume.name,
        (VolumeSource::Anonymous | VolumeSource::Named(_), None) => return None,
    };
    let flags = mount.volume.flags.as_deref().unwrap_or_default();
    let colon = if flags.is_empty() { "" } else { ":" };
    Some(format!("{source}:{}{colon}{flags}", mount.volume.path))
}

/// A volume without a name, which Docker makes for this container alone.
fn throw_away(mount: &Mount) -> Option<DockerMount> {
    if bind(mount).is_some() {
        return None;
    }
    let flags = mount.volume.flags.as_deref().unwrap_or_default();
    Some(DockerMount {
        typ: Some(MountType::VOLUME),
        target: Some(mount.volume.path.clone()),
        read_only: Some(flags.split(',').any(|flag| flag == "ro")),
        ..DockerMount::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use expect_test::expect;
    use kontena_core::id::EnvelopeHash;
    use kontena_core::stack::Volume;
    use kontena_core::volume::{Copy, Definition, Mounted, Scope};

    fn mounted(name: &str) -> Mounted {
        Mounted {
            name: name.to_owned(),
            definition: Definition::local(Scope::Instance),
            copy: Copy::Own {
                instance: "web-1".parse().unwrap(),
                creation: EnvelopeHash([1; 32]),
            },
        }
    }

    fn mount(source: VolumeSource, docker_volume: Option<&str>, flags: Option<&str>) -> Mount {
        Mount {
            volume: Volume {
                path: "/data".to_owned(),
                source,
                flags: flags.map(str::to_owned),
            },
            docker_volume: docker_volume.map(mounted),
        }
    }

    #[test]
    fn a_mount_is_a_bind_where_its_source_has_a_name() {
        let bind_of = |source, volume, flags| bind(&mount(source, volume, flags));
        let directory = || VolumeSource::Bind("/srv".to_owned());
        assert_eq!(bind_of(directory(), None, None).unwrap(), "/srv:/data");
        assert_eq!(
            bind_of(directory(), None, Some("ro,z")).unwrap(),
            "/srv:/data:ro,z"
        );
        assert_eq!(
            bind_of(VolumeSource::Anonymous, Some("web-1.data"), None).unwrap(),
            "web-1.data:/data"
        );
        assert_eq!(bind_of(VolumeSource::Anonymous, None, Some("ro")), None);
        let volume = throw_away(&mount(VolumeSource::Anonymous, None, Some("ro"))).unwrap();
        assert_eq!(volume.read_only, Some(true));
    }

    #[test]
    fn one_container_port_may_be_published_twice() {
        let port = |node_port| Port {
            ip: "0.0.0.0".parse().unwrap(),
            node_port,
            container_port: 80,
            protocol: kontena_core::stack::Protocol::Tcp,
        };
        let json = serde_json::to_string_pretty(&port_bindings(&[port(80), port(8080)])).unwrap();
        expect![[r#"
            {
              "80/tcp": [
                {
                  "HostIp": "0.0.0.0",
                  "HostPort": "80"
                },
                {
                  "HostIp": "0.0.0.0",
                  "HostPort": "8080"
                }
              ]
            }"#]]
        .assert_eq(&json);
    }

    #[test]
    fn a_container_of_the_grid_asks_its_node_and_searches_its_own_stack_first() {
        let address = "10.80.7.23".parse().unwrap();
        assert_eq!(
            server(Attachment::Grid(address)),
            Some("10.80.7.1".parse().unwrap())
        );
        assert_eq!(server(Attachment::Plain), None);
        assert_eq!(
            search("shop.demo.kontena.local"),
            ["shop.demo.kontena.local", "demo.kontena.local"]
        );
        assert_eq!(
            search("demo.kontena.local"),
            ["demo.kontena.local", "kontena.local"]
        );
    }

    #[test]
    fn cores_are_a_share_of_a_period() {
        let resources = Resources {
            cpus: Some("1.5".parse().unwrap()),
            ..Resources::default()
        };
        assert_eq!(limits(&resources).cpu_quota, Some(150_000));
        assert_eq!(limits(&resources).cpu_period, Some(100_000));
        assert_eq!(limits(&Resources::default()), HostConfig::default());
        assert_eq!(log_config(&Logging::default()), None);
    }

    #[test]
    fn a_grace_is_never_cut() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(10)), 10);
        assert_eq!(whole_seconds(Duration::MAX), i32::MAX);
    }
}
