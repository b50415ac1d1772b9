//! Which network a new container is created in, and with which address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::id::InstanceId;
use crate::network::addresses;
use crate::network::ipam::Subnet;
use crate::stack::NetworkMode;

use super::action::Attachment;

/// What this node has for its containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wiring {
    /// The engine's own bridge.
    #[default]
    Plain,
    /// The grid's network is being set up: no container is created before.
    Pending,
    /// The grid's network, with the addresses of this subnet.
    Grid(Subnet),
}

/// Why a container cannot be created now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unattached {
    #[error("the network is not set up yet")]
    Pending,
    #[error("all {} addresses of this node are taken", addresses::INSTANCES.len())]
    Full,
}

/// Attaches the next container of `instance`. `taken`: what other containers have or are about to have;
/// `avoided`: what the engine refused.
pub(super) fn attach(
    wiring: Wiring,
    mode: NetworkMode,
    instance: &InstanceId,
    before: Option<Ipv4Addr>,
    avoided: &BTreeSet<Ipv4Addr>,
    taken: &BTreeSet<Ipv4Addr>,
) -> Result<Attachment, Unattached> {
    if mode == NetworkMode::Host {
        return Ok(Attachment::Host);
    }
    match wiring {
        Wiring::Plain => Ok(Attachment::Plain),
        Wiring::Pending => Err(Unattached::Pending),
        Wiring::Grid(subnet) => {
            let taken = taken.union(avoided).copied().collect();
            let address = addresses::choose(subnet, instance, before, &taken);
            address.map(Attachment::Grid).ok_or(Unattached::Full)
        }
    }
}
