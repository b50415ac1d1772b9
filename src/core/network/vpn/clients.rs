//! From a view to the clients that an entry's data plane shall have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::{Reach, User, VpnKey};
use crate::id::NodeId;
use crate::view::View;

/// A user's machine, as an entry carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its own, in the entry's subnet.
    pub address: Ipv4Addr,
    /// The instances that it may send to, beside asking for names; `None` is everything.
    pub reach: Option<BTreeSet<Ipv4Addr>>,
}

/// Who may come in at `me`; nobody where it lets nobody in, or has no subnet.
pub fn clients(view: &View, me: NodeId) -> BTreeMap<VpnKey, Client> {
    let vpn = &view.documents.vpn;
    let member = view.documents.roster.get(&me);
    let subnet = member.and_then(|member| member.subnet);
    let Some(subnet) = subnet.filter(|_| vpn.entries.contains_key(&me)) else {
        return BTreeMap::new();
    };
    let client = |(key, user): (&VpnKey, &User)| {
        let address = user.host.map(|host| subnet.address(host))?;
        let reach = reach(view, &user.reach);
        Some((*key, Client { address, reach }))
    };
    vpn.users.iter().filter_map(client).collect()
}

/// Whether somebody may come in at `me` who may not send to everything: what is carried follows from every
/// report then.
pub fn limits_clients(view: &View, me: NodeId) -> bool {
    let vpn = &view.documents.vpn;
    let mut users = vpn.users.values();
    vpn.entries.contains_key(&me) && users.any(|user| user.reach != Reach::Everything)
}

/// The addresses of the instances that a user may send to.
fn reach(view: &View, reach: &Reach) -> Option<BTreeSet<Ipv4Addr>> {
    if *reach == Reach::Everything {
        return None;
    }
    let mut addresses = BTreeSet::new();
    for (node, member) in &view.documents.roster {
        if let (Some(subnet), Some(report)) = (member.subnet, view.reports.get(node)) {
            let covered = report.holds.iter();
            let covered = covered.filter(|(instance, _)| reach.covers(&instance.service));
            let said = covered.filter_map(|(_, hold)| hold.address);
            // A node speaks for the addresses of its own subnet alone.
            addresses.extend(said.filter_map(|address| match address {
                IpAddr::V4(address) => Some(address).filter(|address| subnet.contains(*address)),
                IpAddr::V6(_) => None,
            }));
        }
    }
    Some(addresses)
}
