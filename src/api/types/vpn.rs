//! The VPN on the wire. All *ours*: Kontena ran an OpenVPN server as a service.

use std::net::IpAddr;

use kontena_core::id::VpnUserName;
use kontena_core::network::vpn::{Target, VpnKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form::{AddressText, Name, ServiceText, VpnKeyText};

/// The answer of `GET /v1/vpn/{grid}`, and `kontena vpn ls --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Vpn {
    /// In the order of the nodes' numbers.
    pub(crate) entries: Vec<VpnEntry>,
    /// By name.
    pub(crate) users: Vec<VpnUser>,
    /// What lies behind the VPN, such as `10.80.0.0/12`.
    pub(crate) networks: Vec<String>,
    /// Domains in which short names are looked for.
    pub(crate) search: Vec<String>,
}

/// A node that lets users in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VpnEntry {
    pub(crate) node: String,
    /// `fresh`, `late`, `stale`, `absent` or `gone`, as of nodes.
    pub(crate) freshness: String,
    /// Where users find it, `IP:PORT`; null until it said that its network is up.
    pub(crate) endpoint: Option<String>,
    /// Its key in base64; null until it said that its network is up.
    pub(crate) public_key: Option<String>,
    /// Where it answers names; null while it has no subnet.
    pub(crate) dns: Option<IpAddr>,
}

/// The owner of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VpnUser {
    pub(crate) name: String,
    /// In base64.
    pub(crate) public_key: String,
    /// Stacks and services, as `shop` and `shop/web`; null is everything.
    pub(crate) only: Option<Vec<String>>,
    pub(crate) created_at: Option<Time>,
    /// Its address behind each entry.
    pub(crate) addresses: Vec<VpnAddress>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VpnAddress {
    pub(crate) node: String,
    pub(crate) address: IpAddr,
}

/// The body of `PUT /v1/vpn/{grid}/entries/{node}`; an empty one is right too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VpnEntryRequest {
    /// `None`: where other nodes find it.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub(crate) address: Option<IpAddr>,
}

/// The body of `POST /v1/vpn/{grid}/users`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VpnUserRequest {
    #[schemars(with = "Name")]
    pub(crate) name: VpnUserName,
    #[schemars(with = "VpnKeyText")]
    pub(crate) public_key: VpnKey,
    /// `None` is everything.
    #[serde(default)]
    #[schemars(with = "Option<Vec<ServiceText>>", length(min = 1))]
    pub(crate) only: Option<Vec<Target>>,
}

/// The body of `PUT /v1/vpn/{grid}/users/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["only"]))]
pub(crate) struct VpnLimit {
    /// `None` is everything. It has to be said.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(with = "Option<Vec<ServiceText>>", length(min = 1))]
    pub(crate) only: Option<Vec<Target>>,
}
