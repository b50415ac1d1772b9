//! The VPN as wire types.

use std::net::{IpAddr, SocketAddr};

use kontena_core::id::NodeId;
use kontena_core::network::vpn::{Entry, Reach, User, VpnKey};

use super::{Snapshot, node};
use crate::api::types::Time;
use crate::api::types::vpn::{Vpn, VpnAddress, VpnEntry, VpnUser};

pub(in crate::api) fn vpn(snapshot: &Snapshot) -> Vpn {
    let known = &snapshot.view.documents.vpn;
    let entries = snapshot.members().filter_map(|(id, _)| entry(snapshot, id));
    let users = known.users.iter();
    let users = users.map(|(key, user)| self::present_user(snapshot, key, user));
    let mut users: Vec<VpnUser> = users.collect();
    users.sort_by(|a, b| (&a.name, &a.public_key).cmp(&(&b.name, &b.public_key)));
    Vpn {
        entries: entries.collect(),
        users,
        networks: networks(snapshot),
        search: vec![
            format!("{}.kontena.local", snapshot.grid),
            "kontena.local".to_owned(),
        ],
    }
}

/// A node, if it lets users in.
pub(in crate::api) fn entry(snapshot: &Snapshot, id: &NodeId) -> Option<VpnEntry> {
    let entry = snapshot.view.documents.vpn.entries.get(id)?;
    let member = snapshot.view.documents.roster.get(id)?;
    Some(VpnEntry {
        node: member.name.to_string(),
        freshness: snapshot.view.freshness(id).to_string(),
        endpoint: endpoint(snapshot, id, *entry),
        public_key: None,
        dns: None,
    })
}
