//! The VPN: people's machines in the overlay, each under a WireGuard key of its own.
//!
//! A user's key and limits are written in the document `grid`, by members; which nodes let users in is
//! too. Users have no subnet: behind the entry A a user has the address that A's subnet gives to the
//! user's *host*, so that every node finds the way back without knowing where anybody entered.
//!
//! The private half of a key never comes here. Not here: how clients are configured and carried (the
//! shell), and who may write (`access`).

mod clients;
mod key;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{InvalidId, NodeId, ServiceKey, StackName, VpnUserName};
use crate::time::WallTime;

pub use super::addresses::VPN as HOSTS;
pub use clients::{Client, clients, limits_clients};
pub use key::{InvalidVpnKey, VpnKey};

/// Who may come in, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vpn {
    pub entries: BTreeMap<NodeId, Entry>,
    pub users: BTreeMap<VpnKey, User>,
    /// Keys that never count again.
    pub revoked: BTreeSet<VpnKey>,
}

/// A node that lets users in. A register's value: unknown fields survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where users find it; without it, where the node is found by other nodes.
    #[serde(default)]
    pub address: Option<IpAddr>,
}

/// What is written of a user when its key is made known. A register's value: unknown fields survive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    pub name: VpnUserName,
    pub host: u8,
}

/// The owner of a key that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: VpnUserName,
    /// The last number of its addresses: one of [`HOSTS`], and no other user's. `None` where two sides
    /// of a split together let in more users than there are.
    pub host: Option<u8>,
    pub reach: Reach,
    pub created: WallTime,
}

/// What a user may send to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<BTreeSet<Target>>", into = "Option<BTreeSet<Target>>")]
pub enum Reach {
    #[default]
    Everything,
    /// The instances of these, and names.
    Only(BTreeSet<Target>),
}

impl From<Option<BTreeSet<Target>>> for Reach {
    fn from(targets: Option<BTreeSet<Target>>) -> Self {
        targets.map_or(Self::Everything, Self::Only)
    }
}

impl From<Reach> for Option<BTreeSet<Target>> {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::Everything => None,
            Reach::Only(targets) => Some(targets),
        }
    }
}

impl Reach {
    pub fn covers(&self, service: &ServiceKey) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(targets) => targets.iter().any(|target| target.covers(service)),
        }
    }
}

/// A stack, written `shop`, or one service, written `shop/web`; `null/web` if it has no stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    Stack(StackName),
    Service(ServiceKey),
}

impl Target {
    fn covers(&self, service: &ServiceKey) -> bool {
        match self {
            Self::Stack(stack) => service.stack == *stack,
            Self::Service(key) => service == key,
        }
    }
}

impl FromStr for Target {
    type Err = InvalidId;

    fn from_str(raw: &str) -> Result<Self, InvalidId> {
        match raw.contains('/') {
            true => raw.parse().map(Self::Service),
            false => raw.parse().map(Self::Stack),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidId;

    fn try_from(raw: String) -> Result<Self, InvalidId> {
        raw.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stack(stack) => write!(f, "{stack}"),
            Self::Service(ServiceKey { stack, service }) => write!(f, "{stack}/{service}"),
        }
    }
}

impl Vpn {
    /// The users of a name: more than one where two sides of a split gave it to two keys.
    pub fn named(&self, name: &VpnUserName) -> impl Iterator<Item = (&VpnKey, &User)> {
        self.users
            .iter()
            .filter(move |(_, user)| user.name == *name)
    }

    /// A host that no user has. Where to begin follows from the key, so that two sides of a split seldom
    /// choose the same.
    pub fn free_host(&self, key: &VpnKey) -> Option<u8> {
        let taken: BTreeSet<u8> = self.users.values().filter_map(|user| user.host).collect();
        hosts_from(preferred(key)).find(|host| !taken.contains(host))
    }
}

/// Gives each user a host of its own: the one that was written, to the first in `order`; whoever comes later
/// and finds it taken gets the next one that nobody was given.
pub(crate) fn settle_hosts(users: &mut BTreeMap<VpnKey, User>, order: &[VpnKey]) {
    let mut taken = BTreeSet::new();
    let mut late = Vec::new();
    for key in order {
        match users.get(key).and_then(|user| user.host) {
            Some(host) if HOSTS.contains(&host) && taken.insert(host) => {}
            wanted => late.push((key, wanted.unwrap_or_else(|| preferred(key)))),
        }
    }
    for (key, wanted) in late {
        let host = hosts_from(wanted).find(|host| taken.insert(*host));
        if let Some(user) = users.get_mut(key) {
            user.host = host;
        }
    }
}

fn preferred(key: &VpnKey) -> u8 {
    let count = HOSTS.end() - HOSTS.start() + 1;
    HOSTS.start() + key.as_bytes()[0] % count
}

/// Every host once, from one of them on.
fn hosts_from(first: u8) -> impl Iterator<Item = u8> {
    let first = first.clamp(*HOSTS.start(), *HOSTS.end());
    (first..=*HOSTS.end()).chain(*HOSTS.start()..first)
}
