//! The grid's network on this engine: a bridge with this node's subnet.
//!
//! It is made, kept and removed by its name, and only where it bears our label: a network of that name that
//! somebody else made stays untouched.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkDisconnectRequest, NetworkInspect,
};
use bollard::query_parameters::InspectNetworkOptions;

use super::trouble::{CONFLICT, FORBIDDEN, NOT_FOUND, Trouble};
use super::{CHANGE_LIMIT, Docker, READ_LIMIT};

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

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ensured {
    Ready,
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
    /// Makes the network what it shall be. Containers that are attached to one of another subnet are moved
    /// over, one at a time and without a restart; each keeps the last number of its address.
    pub(crate) async fn ensure_network(&self, wanted: &BridgeNetwork) -> Ensured {
        match self.try_ensure_network(wanted).await {
            Ok(()) => Ensured::Ready,
            Err(Trouble::Unreachable(_)) => Ensured::Unreachable,
            Err(Trouble::Refused { message, .. }) => Ensured::Failed(message),
        }
    }

    async fn try_ensure_network(&self, wanted: &BridgeNetwork) -> Result<(), Trouble> {
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
        self.renumber(wanted, &found).await
    }

    async fn renumber(&self, wanted: &BridgeNetwork, old: &NetworkInspect) -> Result<(), Trouble> {
        let attached = attached(old);
        for (container, _) in &attached {
            self.disconnect(&wanted.name, container).await?;
        }
        self.delete_network(&wanted.name).await?;
        self.create_network(wanted).await?;
        for (container, number) in attached {
            let octets = wanted.gateway.octets();
            let address = Ipv4Addr::new(octets[0], octets[1], octets[2], number);
            self.attach(&wanted.name, &container, address).await?;
        }
        Ok(())
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
        self.call(CHANGE_LIMIT, |client| async move {
            client.disconnect_network(&network, request).await
        })
        .await
    }

    async fn attach(&self, network: &str, container: &str, to: Ipv4Addr) -> Result<(), Trouble> {
        let network = network.to_owned();
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint(to)),
        };
        let attached = self.call(CHANGE_LIMIT, |client| async move {
            client.connect_network(&network, request).await
        });
        match attached.await {
            Ok(()) => Ok(()),
            // It went away meanwhile, or is there already.
            Err(trouble) if trouble.is_status(NOT_FOUND) || trouble.is_status(FORBIDDEN) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }
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

/// Each attached container, and the last number of its address.
fn attached(network: &NetworkInspect) -> Vec<(String, u8)> {
    let containers = network.containers.iter().flatten();
    let number = |text: &str| {
        let address: Ipv4Addr = text.split('/').next()?.parse().ok()?;
        Some(address.octets()[3])
    };
    let mut attached: Vec<(String, u8)> = containers
        .filter_map(|(id, endpoint)| Some((id.clone(), number(endpoint.ipv4_address.as_deref()?)?)))
        .collect();
    attached.sort();
    attached
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
