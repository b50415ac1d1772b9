//! What the engine says of a container, in the core's words.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{
    ContainerInspectResponse, ContainerState as DockerState, ContainerStateStatusEnum,
    EndpointSettings, MountPoint,
};
use kontena_core::reconcile::action::{Container, ContainerId, ContainerState};
use kontena_core::time::WallTime;

use super::labels::{care, owner};

/// The network that a container is on unless it is told otherwise.
const DEFAULT_NETWORK: &str = "bridge";

/// An inspected container as one of ours; `None` where it carries not all of our labels. `grid`: what the
/// grid's network is called.
pub(super) fn container(inspected: ContainerInspectResponse, grid: &str) -> Option<Container> {
    let config = inspected.config.unwrap_or_default();
    let networks = inspected.network_settings.unwrap_or_default().networks;
    let labels = config.labels.unwrap_or_default();
    Some(Container {
        owner: owner(&labels)?,
        care: Box::new(care(&labels)),
        id: ContainerId(inspected.id.unwrap_or_default()),
        name: plain_name(&inspected.name.unwrap_or_default()),
        image: inspected.image.unwrap_or_default(),
        state: state(&inspected.state.unwrap_or_default()),
        address: address(networks.as_ref(), grid),
        assigned: assigned(networks.as_ref(), grid),
        mounts: mounts(inspected.mounts.unwrap_or_default()),
    })
}

/// By their paths in the container: a volume by its name, a directory of the host by its path. Those are what another
/// container gets that mounts the volumes of this one.
fn mounts(points: Vec<MountPoint>) -> BTreeMap<String, String> {
    let shared = points.into_iter().filter_map(|point| {
        let mounted = match point.typ.as_deref()? {
            "volume" => point.name,
            "bind" => point.source,
            _ => None,
        };
        Some((point.destination?, mounted?))
    });
    shared.collect()
}

/// Docker writes names with a slash in front.
pub(super) fn plain_name(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

pub(super) fn state(state: &DockerState) -> ContainerState {
    use ContainerStateStatusEnum as Status;
    match state.status.unwrap_or(Status::EMPTY) {
        Status::CREATED => ContainerState::Created,
        Status::RUNNING | Status::STOPPING => ContainerState::Running {
            since: wall_time(state.started_at.as_deref()),
        },
        Status::PAUSED => ContainerState::Paused,
        Status::RESTARTING => ContainerState::Restarting,
        Status::EXITED => ContainerState::Exited {
            code: state.exit_code.unwrap_or_default(),
            at: wall_time(state.finished_at.as_deref()),
        },
        Status::REMOVING | Status::DEAD | Status::EMPTY => ContainerState::Dead,
    }
}

/// The fixed address in the grid's network, whether it runs or not.
pub(super) fn assigned(
    networks: Option<&HashMap<String, EndpointSettings>>,
    grid: &str,
) -> Option<Ipv4Addr> {
    let fixed = networks?.get(grid)?.ipam_config.as_ref()?;
    fixed.ipv4_address.as_ref()?.parse().ok()
}

/// The address in the grid's network, else on the default one, else on any other; none unless it runs.
pub(super) fn address(
    networks: Option<&HashMap<String, EndpointSettings>>,
    grid: &str,
) -> Option<IpAddr> {
    let address_on = |endpoint: &EndpointSettings| endpoint.ip_address.as_deref()?.parse().ok();
    let networks = networks?;
    [grid, DEFAULT_NETWORK]
        .iter()
        .find_map(|name| networks.get(*name).and_then(address_on))
        .or_else(|| networks.values().filter_map(address_on).min())
}

/// Milliseconds since the epoch of Docker's RFC 3339 text; 0 where it is missing or `0001-01-01`.
pub(super) fn wall_time(text: Option<&str>) -> WallTime {
    let millis = text
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .and_then(|time| u64::try_from(time.as_millisecond()).ok());
    WallTime(millis.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_time_becomes_milliseconds() {
        assert_eq!(
            wall_time(Some("1970-01-01T00:00:01.234567891Z")),
            WallTime(1234)
        );
        assert_eq!(wall_time(Some("0001-01-01T00:00:00Z")), WallTime(0));
        assert_eq!(wall_time(None), WallTime(0));
    }

    #[test]
    fn the_address_in_the_grid_s_network_comes_first_and_then_the_default_one_s() {
        let on = |ip: &str| EndpointSettings {
            ip_address: Some(ip.to_owned()),
            ..EndpointSettings::default()
        };
        let mut networks = HashMap::from([
            ("apps".to_owned(), on("10.0.0.2")),
            ("bridge".to_owned(), on("172.17.0.2")),
        ]);
        let address_of = |networks: &HashMap<_, _>| address(Some(networks), "kontena");
        assert_eq!(address_of(&networks), "172.17.0.2".parse().ok());
        networks.insert("bridge".to_owned(), on(""));
        assert_eq!(address_of(&networks), "10.0.0.2".parse().ok());
        networks.insert("kontena".to_owned(), on("10.80.7.9"));
        assert_eq!(address_of(&networks), "10.80.7.9".parse().ok());
        assert_eq!(address(None, "kontena"), None);
    }
}
