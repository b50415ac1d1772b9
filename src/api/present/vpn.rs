//! The VPN as wire types.

use std::net::{IpAddr, SocketAddr};

use data_encoding::BASE64;
use kontena_core::id::NodeId;
use kontena_core::network::ipam::Subnet;
use kontena_core::network::keys;
use kontena_core::network::vpn::{Entry, Reach, Target, User, VpnKey};

use super::{Snapshot, node};
use crate::api::types::Time;
use crate::api::types::vpn::{Vpn, VpnAddress, VpnEntry, VpnUser};

pub(in crate::api) fn vpn(snapshot: &Snapshot) -> Vpn {
    let entries = snapshot.members().filter_map(|(id, _)| entry(snapshot, id));
    let users = snapshot.view.documents.vpn.users.iter();
    let users = users.map(|(key, user)| present(snapshot, key, user));
    let mut users: Vec<VpnUser> = users.collect();
    users.sort_by(|a, b| (&a.name, &a.public_key).cmp(&(&b.name, &b.public_key)));
    Vpn {
        entries: entries.collect(),
        users,
        networks: vec![snapshot.view.documents.grid.plan.supernet().to_string()],
        search: vec![
            format!("{}.kontena.local", snapshot.grid),
            "kontena.local".to_owned(),
        ],
    }
}

/// A node, if it lets users in.
pub(in crate::api) fn entry(snapshot: &Snapshot, id: &NodeId) -> Option<VpnEntry> {
    let documents = &snapshot.view.documents;
    let entry = documents.vpn.entries.get(id)?;
    let member = documents.roster.get(id)?;
    let public_key = keys::public(id).map(|key| BASE64.encode(&key));
    Some(VpnEntry {
        node: member.name.to_string(),
        freshness: snapshot.view.freshness(id).to_string(),
        endpoint: endpoint(snapshot, id, *entry).map(|endpoint| endpoint.to_string()),
        public_key,
        dns: member.subnet.map(|subnet| IpAddr::V4(subnet.gateway())),
    })
}

/// The owner of a key, if it counts.
pub(in crate::api) fn user(snapshot: &Snapshot, key: &VpnKey) -> Option<VpnUser> {
    let user = snapshot.view.documents.vpn.users.get(key)?;
    Some(present(snapshot, key, user))
}

fn present(snapshot: &Snapshot, key: &VpnKey, user: &User) -> VpnUser {
    let only = match &user.reach {
        Reach::Everything => None,
        Reach::Only(targets) => Some(targets.iter().map(Target::to_string).collect()),
    };
    VpnUser {
        name: user.name.to_string(),
        public_key: key.to_string(),
        only,
        created_at: Time::known(user.created),
        addresses: addresses(snapshot, user),
    }
}

fn addresses(snapshot: &Snapshot, user: &User) -> Vec<VpnAddress> {
    let entries = &snapshot.view.documents.vpn.entries;
    let members = snapshot
        .members()
        .filter(|(id, _)| entries.contains_key(*id));
    let address = |subnet: Subnet| user.host.map(|host| IpAddr::V4(subnet.address(host)));
    members
        .filter_map(|(_, member)| {
            Some(VpnAddress {
                node: member.name.to_string(),
                address: member.subnet.and_then(address)?,
            })
        })
        .collect()
}

/// Where it was said to be found, else at a public address of its own, else at any.
fn endpoint(snapshot: &Snapshot, id: &NodeId, entry: Entry) -> Option<SocketAddr> {
    let network = snapshot.view.reports.get(id)?.network.as_ref()?;
    if let Some(address) = entry.address {
        return Some(SocketAddr::new(address, network.port));
    }
    let addresses = node::addresses(snapshot, id);
    let own = addresses.public?.parse().ok()?;
    Some(SocketAddr::new(own, network.port))
}
