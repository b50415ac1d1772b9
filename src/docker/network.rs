//! The grid's network on this engine: a bridge with this node's subnet.
//!
//! It is made, kept and removed by its name, and only where it bears our label: a network of that name that
//! somebody else made stays untouched.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerSummary, EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig,
    NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest, NetworkInspect,
};
use bollard::query_parameters::{InspectNetworkOptions, ListContainersOptions};

use super::container::plain_name;
use super::labels::{GRID, number};
use super::trouble::{CONFLICT, FORBIDDEN, NOT_FOUND, Trouble};
use super::{CHANGE_LIMIT, Docker, READ_LIMIT};

/// A container that was being created while the network is replaced keeps the old one busy once; two of them
/// in a row are chance.
const REPLACE_TRIES: u32 = 3;

/// A network of ours: its value is the overlay's interface that it belongs to.
const OURS: &str = "io.kontena.network.interface";

/// The network as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BridgeNetwork {
    pub(crate) name: String,
    /// Name of the bridge.
    pub(crate) bridge: String,
    /// The overlay's interface, from where packets come for containers that publish nothing.
    pub(crate) interface: String,
    /// `10.80.7.0/24`.
    pub(crate) subnet: String,
    pub(crate) gateway: Ipv4Addr,
    /// What the engine hands out by itself, to containers that are not ours.
    pub(crate) by_hand: String,
    pub(crate) mtu: u16,
}

impl BridgeNetwork {
    fn address(&self, number: u8) -> Ipv4Addr {
        let [first, second, third, _] = self.gateway.octets();
        Ipv4Addr::new(first, second, third, number)
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ensured {
    Ready,
    /// It is there, and some of our containers could not be attached to it.
    Incomplete(String),
    /// The engine does not answer: nothing is known.
    Unreachable,
    Failed(String),
}

/// What became of its removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    Gone,
    /// Containers are attached, or the engine does not answer.
    NotYet(String),
}

impl Docker {
    /// Makes the network what it shall be, with all running containers that belong in it: those of one of another
    /// subnet are moved over without a restart, each with the last number of its address. It may be dropped at
    /// any time; the next call completes it.
    pub(crate) async fn ensure_network(&self, wanted: &BridgeNetwork) -> Ensured {
        let ensured = match self.make_network(wanted).await {
            Ok(()) => self.attach_all(wanted).await,
            Err(trouble) => Err(trouble),
        };
        match ensured {
            Ok(problems) if problems.is_empty() => Ensured::Ready,
            Ok(problems) => Ensured::Incomplete(problems.join("; ")),
            Err(Trouble::Unreachable(_)) => Ensured::Unreachable,
            Err(Trouble::Refused { message, .. }) => Ensured::Failed(message),
        }
    }

    async fn make_network(&self, wanted: &BridgeNetwork) -> Result<(), Trouble> {
        let Some(found) = self.inspect_network(&wanted.name).await? else {
            return self.create_network(wanted).await;
        };
        if !is_ours(&found, wanted) {
            return Err(refused(format!(
                "a network named `{}` is there that is not ours: remove or rename it",
                wanted.name
            )));
        }
        if subnet_of(&found) == Some(&wanted.subnet) {
            return Ok(());
        }
        tracing::warn!(
            before = subnet_of(&found),
            now = %wanted.subnet,
            "This node has another subnet: its containers are moved over"
        );
        self.replace_network(wanted).await
    }

    /// Takes the network of another subnet away and makes the new one. Whatever was attached is attached again by
    /// [`Docker::attach_all`], by this call or after an interruption by any later one.
    async fn replace_network(&self, wanted: &BridgeNetwork) -> Result<(), Trouble> {
        let mut tries = REPLACE_TRIES;
        while let Some(old) = self.inspect_network(&wanted.name).await? {
            for container in old.containers.iter().flatten().map(|(id, _)| id) {
                self.disconnect(&wanted.name, container).await?;
            }
            tries -= 1;
            match self.delete_network(&wanted.name).await {
                // One that was being created is attached now.
                Err(trouble) if trouble.is_status(FORBIDDEN) && tries > 0 => {}
                deleted => {
                    unless(deleted, |trouble| trouble.is_status(NOT_FOUND))?;
                    break;
                }
            }
        }
        self.create_network(wanted).await
    }

    /// Attaches each running container of the grid that shall be in the network and is not. What was wrong with
    /// whom: one that is refused keeps nobody else out.
    async fn attach_all(&self, wanted: &BridgeNetwork) -> Result<Vec<String>, Trouble> {
        let mut problems = Vec::new();
        for left_out in self.left_out(&wanted.name).await? {
            let address = left_out.number.map(|number| wanted.address(number));
            match self.attach(&wanted.name, &left_out.id, address).await {
                Ok(()) => {
                    tracing::info!(
                        container = left_out.name,
                        ?address,
                        "A container is attached"
                    );
                }
                Err(Trouble::Refused { message, .. }) => {
                    let name = &left_out.name;
                    problems.push(format!("container `{name}` is in no network: {message}"));
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(problems)
    }

    async fn left_out(&self, network: &str) -> Result<Vec<LeftOut>, Trouble> {
        let options = ListContainersOptions {
            filters: Some(HashMap::from([("label".to_owned(), vec![GRID.to_owned()])])),
            ..ListContainersOptions::default()
        };
        let listed = self.call(READ_LIMIT, |client| async move {
            client.list_containers(Some(options)).await
        });
        let listed = listed.await?;
        Ok(listed
            .into_iter()
            .filter_map(|summary| left_out(summary, network))
            .collect())
    }

    /// Removes the network, if it is there and ours.
    pub(crate) async fn remove_network(&self, name: &str, interface: &str) -> Removed {
        let found = match self.inspect_network(name).await {
            Ok(found) => found,
            Err(trouble) => return Removed::NotYet(trouble.problem().to_owned()),
        };
        let is_ours = |network: &NetworkInspect| label(network) == Some(interface);
        if !found.as_ref().is_some_and(is_ours) {
            return Removed::Gone;
        }
        match self.delete_network(name).await {
            Ok(()) => Removed::Gone,
            Err(trouble) if trouble.is_status(NOT_FOUND) => Removed::Gone,
            Err(trouble) => Removed::NotYet(trouble.problem().to_owned()),
        }
    }

    /// The subnet that the grid's network has on this engine now; `None` where it is not there.
    pub(super) async fn network_subnet(&self) -> Result<Option<String>, Trouble> {
        let found = self.inspect_network(&self.network).await?;
        Ok(found.as_ref().and_then(subnet_of).cloned())
    }

    async fn inspect_network(&self, name: &str) -> Result<Option<NetworkInspect>, Trouble> {
        let name = name.to_owned();
        let inspected = self.call(READ_LIMIT, |client| async move {
            client
                .inspect_network(&name, None::<InspectNetworkOptions>)
                .await
        });
        match inspected.await {
            Ok(found) => Ok(Some(found)),
            Err(trouble) if trouble.is_status(NOT_FOUND) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    async fn create_network(&self, wanted: &BridgeNetwork) -> Result<(), Trouble> {
        let request = create_request(wanted);
        let created = self.call(CHANGE_LIMIT, |client| async move {
            client.create_network(request).await
        });
        match created.await {
            Ok(_) => Ok(()),
            // Two looks at once: it is looked at again.
            Err(trouble) if trouble.is_status(CONFLICT) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    async fn delete_network(&self, name: &str) -> Result<(), Trouble> {
        let name = name.to_owned();
        self.call(CHANGE_LIMIT, |client| async move {
            client.remove_network(&name).await
        })
        .await
    }

    async fn disconnect(&self, network: &str, container: &str) -> Result<(), Trouble> {
        let (network, container) = (network.to_owned(), container.to_owned());
        let request = NetworkDisconnectRequest {
            container,
            force: Some(true),
        };
        let disconnected = self.call(CHANGE_LIMIT, |client| async move {
            client.disconnect_network(&network, request).await
        });
        unless(disconnected.await, |trouble| trouble.is_status(NOT_FOUND))
    }

    /// Without an address the engine chooses one.
    async fn attach(
        &self,
        network: &str,
        container: &str,
        to: Option<Ipv4Addr>,
    ) -> Result<(), Trouble> {
        let network = network.to_owned();
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: to.map(endpoint),
        };
        let attached = self.call(CHANGE_LIMIT, |client| async move {
            client.connect_network(&network, request).await
        });
        unless(attached.await, |trouble| {
            trouble.is_status(NOT_FOUND) || trouble.is_status(CONFLICT) || is_there_already(trouble)
        })
    }
}

/// The engine forbids with one status what is done already, and an address that something else has.
fn is_there_already(trouble: &Trouble) -> bool {
    trouble.is_status(FORBIDDEN) && trouble.problem().contains("already exists")
}

/// Such a refusal is as good as success: it went away meanwhile, or is as it shall be.
fn unless(
    done: Result<(), Trouble>,
    is_harmless: impl FnOnce(&Trouble) -> bool,
) -> Result<(), Trouble> {
    match done {
        Err(trouble) if is_harmless(&trouble) => Ok(()),
        done => done,
    }
}

/// A running container that shall be in the network and is not.
struct LeftOut {
    id: String,
    name: String,
    /// The last one of its address.
    number: Option<u8>,
}

fn left_out(summary: ContainerSummary, network: &str) -> Option<LeftOut> {
    let mode = summary.host_config?.network_mode?;
    let attached = summary
        .network_settings
        .and_then(|settings| settings.networks);
    if mode != network || attached.is_some_and(|attached| attached.contains_key(network)) {
        return None;
    }
    let names = summary.names.unwrap_or_default();
    Some(LeftOut {
        id: summary.id?,
        name: names
            .first()
            .map(|name| plain_name(name))
            .unwrap_or_default(),
        number: number(&summary.labels.unwrap_or_default()),
    })
}

/// How a container is attached with a fixed address.
pub(super) fn endpoint(address: Ipv4Addr) -> EndpointSettings {
    EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(address.to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    }
}

fn create_request(wanted: &BridgeNetwork) -> NetworkCreateRequest {
    let option = |key: &str, value: String| (format!("com.docker.network.{key}"), value);
    NetworkCreateRequest {
        name: wanted.name.clone(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(wanted.subnet.clone()),
                ip_range: Some(wanted.by_hand.clone()),
                gateway: Some(wanted.gateway.to_string()),
                auxiliary_addresses: None,
            }]),
            ..Ipam::default()
        }),
        options: Some(HashMap::from([
            option("bridge.name", wanted.bridge.clone()),
            option("driver.mtu", wanted.mtu.to_string()),
            // Since 28.2 the engine drops what comes from elsewhere for a container's own address.
            // Older ones take the option and ignore it.
            option("bridge.trusted_host_interfaces", wanted.interface.clone()),
        ])),
        labels: Some(HashMap::from([(OURS.to_owned(), wanted.interface.clone())])),
        ..NetworkCreateRequest::default()
    }
}

fn label(network: &NetworkInspect) -> Option<&str> {
    network.labels.as_ref()?.get(OURS).map(String::as_str)
}

fn is_ours(found: &NetworkInspect, wanted: &BridgeNetwork) -> bool {
    label(found) == Some(&wanted.interface)
}

fn subnet_of(network: &NetworkInspect) -> Option<&String> {
    let ipam = network.ipam.as_ref()?;
    ipam.config.as_ref()?.first()?.subnet.as_ref()
}

fn refused(message: String) -> Trouble {
    Trouble::Refused {
        status: CONFLICT,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_somebody_else_is_not_ours() {
        let wanted = wanted();
        let labelled = |interface: &str| NetworkInspect {
            labels: Some(HashMap::from([(OURS.to_owned(), interface.to_owned())])),
            ..NetworkInspect::default()
        };
        assert!(is_ours(&labelled("kontena0"), &wanted));
        assert!(
            !is_ours(&labelled("kontena7"), &wanted),
            "of another daemon"
        );
        assert!(!is_ours(&NetworkInspect::default(), &wanted));
    }

    #[test]
    fn an_address_that_is_taken_is_not_taken_for_a_container_that_is_there() {
        let forbidden = |message: &str| Trouble::Refused {
            status: FORBIDDEN,
            message: message.to_owned(),
        };
        assert!(is_there_already(&forbidden(
            "endpoint with name shop.web-1 already exists in network kontena"
        )));
        assert!(!is_there_already(&forbidden("Address already in use")));
    }

    #[test]
    fn the_engine_is_told_everything_that_a_network_needs() {
        let request = create_request(&wanted());
        let options = request.options.unwrap();
        let option = |key: &str| options[&format!("com.docker.network.{key}")].as_str();
        assert_eq!(option("bridge.name"), "kontena-br");
        assert_eq!(option("driver.mtu"), "1396");
        assert_eq!(option("bridge.trusted_host_interfaces"), "kontena0");
        let range = request.ipam.unwrap().config.unwrap().remove(0).ip_range;
        assert_eq!(range.as_deref(), Some("10.80.7.240/28"));
    }

    fn wanted() -> BridgeNetwork {
        BridgeNetwork {
            name: "kontena".to_owned(),
            bridge: "kontena-br".to_owned(),
            interface: "kontena0".to_owned(),
            subnet: "10.80.7.0/24".to_owned(),
            gateway: Ipv4Addr::new(10, 80, 7, 1),
            by_hand: "10.80.7.240/28".to_owned(),
            mtu: 1396,
        }
    }
}
