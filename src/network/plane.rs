//! The running data plane, with the names of nodes instead of keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::network::addresses::{MANAGEMENT_PREFIX, VPN_PREFIXES};
use kontena_core::network::ipam::Subnet;
use kontena_core::network::peers::{Peer as WantedPeer, Wanted};
use kontena_core::network::plan::Range;
use kontena_core::network::sight::{self, MAX_OUTER};
use kontena_core::network::vpn::{Client, VpnKey};
use kontena_overlay::{
    Config, Drops, Overlay, Peer, Prefix, PublicKey, Reach, Snapshot, StartError, Way,
};

use super::key;

/// How often members hear of us at rest: keeps the way through translators of addresses open, which forget
/// after 30 s at the earliest.
const KEEPALIVE: Duration = Duration::from_secs(25);

const SUBNET_PREFIX: u8 = 24;

/// RFC 1035.
const NAMES_PORT: u16 = 53;

/// The overlay of this node. Its interface is gone once this is dropped.
pub(crate) struct Plane {
    overlay: Overlay,
    own: PublicKey,
    subnet: Option<Subnet>,
    supernet: Range,
    applied: Option<Wanted>,
    nodes: BTreeMap<PublicKey, NodeId>,
    /// Where others saw us last.
    outer: Vec<SocketAddr>,
}

/// How this node reaches another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) node: NodeId,
    pub(crate) route: Route,
    pub(crate) handshake_age: Option<Duration>,
    pub(crate) rtt: Option<Duration>,
    pub(crate) lost_in_1000: Option<u16>,
    pub(crate) mtu: u16,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) forwarded_bytes: u64,
    /// Packets of or for it that were dropped, by reason.
    pub(crate) drops: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// None works.
    None,
    /// At an address that it says it has.
    Direct(SocketAddr),
    /// At an address where it was found: through a translator of addresses, or after a move.
    Punched(SocketAddr),
    Relayed(NodeId),
}

impl Plane {
    /// Makes the interface. Where `port` is taken, the kernel chooses another.
    ///
    /// # Errors
    /// No TUN device, no right to make one, or an interface of this name is there.
    pub(crate) fn start(
        interface: &str,
        identity: &SecretKey,
        port: u16,
        wanted: &Wanted,
    ) -> anyhow::Result<Self> {
        let mut config = Config {
            port,
            ..Config::new(interface, key::private(identity))
        };
        set_addresses(&mut config, wanted)?;
        let overlay = start(config).context("failed to start the overlay")?;
        Ok(Self {
            overlay,
            own: key::private(identity).public_key(),
            subnet: wanted.subnet,
            supernet: wanted.supernet,
            applied: None,
            nodes: BTreeMap::new(),
            outer: Vec::new(),
        })
    }

    /// Whether it has the addresses that are wanted now; else it has to be started anew.
    pub(crate) fn fits(&self, wanted: &Wanted) -> bool {
        self.subnet == wanted.subnet && self.supernet == wanted.supernet
    }

    /// Makes the peers those that are wanted.
    ///
    /// # Errors
    /// The overlay has ended by itself, or refuses the peers.
    pub(crate) fn apply(&mut self, wanted: &Wanted) -> anyhow::Result<()> {
        if self.applied.as_ref() == Some(wanted) {
            return Ok(());
        }
        let keys: BTreeMap<NodeId, PublicKey> = wanted
            .peers
            .keys()
            .filter_map(|node| Some((*node, key::public(node)?)))
            .collect();
        let peers = wanted.peers.iter();
        let peers = peers.filter_map(|(node, peer)| peer_of(*keys.get(node)?, peer, &keys));
        let members: BTreeSet<PublicKey> = keys.values().copied().chain([self.own]).collect();
        let clients = wanted.clients.iter();
        let names = wanted.subnet.map(names_at);
        let grid = grid_of(wanted.supernet)?;
        let carried: Vec<Reach> = [grid].into_iter().chain(names).collect();
        let clients = clients.filter_map(|(key, client)| {
            let reach = client.reach.as_ref();
            let reach = reach.map_or_else(
                || carried.clone(),
                |reach| reach.iter().copied().map(wholly).chain(names).collect(),
            );
            client_of(*key, client, reach, &members)
        });
        let applied = self.overlay.apply(peers.chain(clients).collect())?;
        let applied = applied.context("failed to set the peers of the overlay")?;
        tracing::debug!(?applied, "The peers of the overlay are set");
        self.nodes = keys.into_iter().map(|(node, key)| (key, node)).collect();
        self.applied = Some(wanted.clone());
        Ok(())
    }

    /// What others hear of it.
    ///
    /// # Errors
    /// The overlay has ended by itself.
    pub(crate) fn sight(&mut self) -> anyhow::Result<sight::Plane> {
        let snapshot = self.overlay.snapshot()?;
        let observed = observed(&snapshot);
        // Who is cut off from everybody is still where it was seen.
        if !observed.is_empty() {
            self.outer = chosen(&observed, &self.outer);
        }
        let lost = snapshot.peers.iter().filter(|peer| peer.way == Way::None);
        Ok(sight::Plane {
            port: snapshot.port,
            mtu: snapshot.mtu,
            outer: self.outer.clone(),
            unreached: lost
                .filter_map(|peer| self.nodes.get(&peer.key).copied())
                .collect(),
        })
    }

    /// How each member is reached.
    ///
    /// # Errors
    /// The overlay has ended by itself.
    pub(crate) fn pairs(&self) -> anyhow::Result<Vec<Pair>> {
        let snapshot = self.overlay.snapshot()?;
        let mut pairs: Vec<Pair> = snapshot
            .peers
            .iter()
            .filter_map(|peer| Some(self.pair(*self.nodes.get(&peer.key)?, peer)))
            .collect();
        pairs.sort_by_key(|pair| pair.node);
        Ok(pairs)
    }

    /// Packets of everybody that were dropped, by reason.
    ///
    /// # Errors
    /// The overlay has ended by itself.
    pub(crate) fn drops(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let snapshot = self.overlay.snapshot()?;
        let of_peers = snapshot.peers.iter().map(|peer| &peer.drops);
        let mut all = BTreeMap::new();
        for (reason, count) in of_peers.chain([&snapshot.drops]).flat_map(Drops::iter) {
            if count > 0 {
                *all.entry(spelt(&format!("{reason:?}"))).or_default() += count;
            }
        }
        Ok(all)
    }

    /// Whether the other says that it is there.
    fn is_own_address(&self, node: &NodeId, endpoint: SocketAddr) -> bool {
        let wanted = self
            .applied
            .as_ref()
            .and_then(|wanted| wanted.peers.get(node));
        wanted.is_some_and(|peer| peer.endpoints.contains(&endpoint))
    }

    fn pair(&self, node: NodeId, peer: &kontena_overlay::PeerStatus) -> Pair {
        let route = match peer.way {
            Way::None => Route::None,
            Way::Direct { endpoint, .. } if self.is_own_address(&node, endpoint) => {
                Route::Direct(endpoint)
            }
            Way::Direct { endpoint, .. } => Route::Punched(endpoint),
            Way::Relayed { through } => self
                .nodes
                .get(&through)
                .copied()
                .map_or(Route::None, Route::Relayed),
        };
        Pair {
            node,
            route,
            handshake_age: peer.handshake_age,
            rtt: peer.rtt,
            lost_in_1000: peer.lost_in_1000,
            mtu: peer.mtu,
            received_bytes: peer.received.bytes,
            sent_bytes: peer.sent.bytes,
            forwarded_bytes: peer.forwarded.bytes,
            drops: peer
                .drops
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| (spelt(&format!("{reason:?}")), count))
                .collect(),
        }
    }
}

/// A host without IPv6 does without the management address; a port that is taken is no reason to have no network.
fn start(mut config: Config) -> Result<Overlay, StartError> {
    match Overlay::start(&config) {
        Err(StartError::Setting(what, problem)) if config.addresses.iter().any(is_ipv6) => {
            tracing::info!(what, %problem, "The overlay goes without IPv6 inside");
            config.addresses.retain(|prefix| !is_ipv6(prefix));
            config.routes.retain(|prefix| !is_ipv6(prefix));
            start(config)
        }
        Err(StartError::Port(port, problem)) if port != 0 => {
            tracing::warn!(port, %problem, "The overlay takes another UDP port");
            config.port = 0;
            start(config)
        }
        started => started,
    }
}

fn is_ipv6(prefix: &Prefix) -> bool {
    prefix.address().is_ipv6()
}

fn set_addresses(config: &mut Config, wanted: &Wanted) -> anyhow::Result<()> {
    config
        .addresses
        .push(Prefix::host(wanted.management.into()));
    let managed = Prefix::new(wanted.management_network.into(), MANAGEMENT_PREFIX)?;
    config.routes.push(managed);
    if let Some(subnet) = wanted.subnet {
        config.addresses.push(Prefix::host(subnet.gateway().into()));
        let supernet = wanted.supernet;
        let all = Prefix::new(IpAddr::V4(supernet.network()), supernet.prefix())?;
        config.routes.push(all);
        // The rest of the node's own subnet lies on the bridge of its containers.
        for (first, length) in VPN_PREFIXES {
            let users = Prefix::new(IpAddr::V4(subnet.address(first)), length)?;
            config.routes.push(users);
        }
    }
    Ok(())
}

fn peer_of(
    key: PublicKey,
    wanted: &WantedPeer,
    keys: &BTreeMap<NodeId, PublicKey>,
) -> Option<Peer> {
    let subnet = wanted
        .subnet
        .map(|subnet| Prefix::new(IpAddr::V4(subnet.network()), SUBNET_PREFIX))
        .transpose()
        .ok()?;
    let relays = wanted
        .relays
        .iter()
        .filter_map(|relay| keys.get(relay).copied());
    Some(Peer {
        allowed: subnet
            .into_iter()
            .chain([Prefix::host(wanted.management.into())])
            .collect(),
        endpoints: [&wanted.endpoints[..], &wanted.outer].concat(),
        keepalive: Some(KEEPALIVE),
        relays: relays.collect(),
        ..Peer::member(key)
    })
}

fn wholly(address: Ipv4Addr) -> Reach {
    let to = Prefix::host(address.into());
    Reach { to, port: None }
}

/// Where the node of a subnet answers names; whatever else it listens on there is no service's.
fn names_at(subnet: Subnet) -> Reach {
    let to = Prefix::host(subnet.gateway().into());
    let port = Some(NAMES_PORT);
    Reach { to, port }
}

/// What a user without limits may send to: the grid's network, and nothing else that the entry's host leads to.
fn grid_of(supernet: Range) -> anyhow::Result<Reach> {
    let to = Prefix::new(IpAddr::V4(supernet.network()), supernet.prefix())?;
    Ok(Reach { to, port: None })
}

/// A user whose key is a member's is none: the member would be cut off.
fn client_of(
    key: VpnKey,
    client: &Client,
    reach: Vec<Reach>,
    members: &BTreeSet<PublicKey>,
) -> Option<Peer> {
    let key = PublicKey(*key.as_bytes());
    (!members.contains(&key)).then(|| Peer {
        allowed: vec![Prefix::host(client.address.into())],
        reach: Some(reach),
        ..Peer::client(key)
    })
}

/// `ForeignSource` as `foreign source`.
fn spelt(name: &str) -> String {
    let mut spelt = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !spelt.is_empty() {
            spelt.push(' ');
        }
        spelt.push(letter.to_ascii_lowercase());
    }
    spelt
}

/// Our addresses as members see them, with how many do.
fn observed(snapshot: &Snapshot) -> BTreeMap<SocketAddr, usize> {
    let mut counts = BTreeMap::new();
    for address in snapshot.peers.iter().filter_map(|peer| peer.observed) {
        *counts.entry(address).or_default() += 1;
    }
    counts
}

/// Those that most see, where what was told before stays as long as somebody sees it: what is told shall seldom
/// change.
fn chosen(observed: &BTreeMap<SocketAddr, usize>, before: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut ranked: Vec<(bool, usize, SocketAddr)> = observed
        .iter()
        .map(|(address, count)| (before.contains(address), *count, *address))
        .collect();
    ranked.sort_by_key(|(is_told, count, address)| (!is_told, usize::MAX - count, *address));
    let chosen: BTreeSet<SocketAddr> = ranked
        .into_iter()
        .take(MAX_OUTER)
        .map(|(_, _, address)| address)
        .collect();
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn what_was_told_stays_while_somebody_sees_it() {
        let observed: BTreeMap<SocketAddr, usize> = (1..=9)
            .map(|port| (address(port), usize::from(port)))
            .collect();
        let first = chosen(&observed, &[]);
        assert_eq!(first, (6..=9).map(address).collect::<Vec<_>>());
        let told = [address(1), address(2), address(100)];
        let then = chosen(&observed, &told);
        assert_eq!(then, [1, 2, 8, 9].map(address));
    }
}
