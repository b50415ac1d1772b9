//! From a view to the peers that a node's data plane shall have.
//!
//! Pure: equal views give equal peers. Who is a member is a peer, fresh or not, from the moment in which
//! its admission is known; who is removed is none at once. Keys are not here: they follow from the
//! nodes' own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddr};

use crate::id::NodeId;
use crate::membership::admission::MAX_ADDRESSES;
use crate::network::addresses;
use crate::network::ipam::Subnet;
use crate::network::keys;
use crate::network::plan::Range;
use crate::network::sight::MAX_OUTER;
use crate::network::vpn::{Client, VpnKey, clients};
use crate::view::View;

/// The most places where one peer is tried: the data plane tries no more.
const MAX_ENDPOINTS: usize = 16;
/// The most members that are asked to carry what goes to a peer.
const MAX_RELAYS: usize = 4;

/// A node's network as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `None`: it takes part with its management address alone.
    pub subnet: Option<Subnet>,
    /// All that leads into the overlay.
    pub supernet: Range,
    /// This node's own, which needs no claim.
    pub management: Ipv6Addr,
    pub management_network: Ipv6Addr,
    pub peers: BTreeMap<NodeId, Peer>,
    /// VPN users that may enter here.
    pub clients: BTreeMap<VpnKey, Client>,
}

/// One member, as this node shall reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub subnet: Option<Subnet>,
    pub management: Ipv6Addr,
    /// Where it says that it is, and where it was admitted, best first.
    pub endpoints: Vec<SocketAddr>,
    /// Where others see it, beside these: behind a translator of addresses.
    pub outer: Vec<SocketAddr>,
    /// Who may carry packets to it, the preferred one first.
    pub relays: Vec<NodeId>,
}

/// What `me` shall set up; `None` where it is no member.
pub fn wanted(view: &View, me: NodeId) -> Option<Wanted> {
    let documents = &view.documents;
    let (grid, own) = (documents.grid.id?, documents.roster.get(&me)?);
    let carriers = carriers(view, me);
    let mut managed = BTreeSet::from([addresses::management(grid, me)]);
    let mut stems = BTreeSet::from([keys::stem(&me)]);
    let mut peers = BTreeMap::new();
    for (node, member) in documents.roster.iter().filter(|(node, _)| **node != me) {
        let management = addresses::management(grid, *node);
        // Two ids of one hash, or of one key, cannot be told apart: the lower one is the peer.
        if !managed.insert(management) || !stems.insert(keys::stem(node)) {
            continue;
        }
        let endpoints = endpoints(view, node);
        let peer = Peer {
            subnet: member.subnet,
            management,
            outer: outer(view, node, &endpoints),
            endpoints,
            relays: relays(view, &carriers, me, *node),
        };
        peers.insert(*node, peer);
    }
    Some(Wanted {
        subnet: own.subnet,
        supernet: documents.grid.plan.supernet(),
        management: addresses::management(grid, me),
        management_network: addresses::management_network(grid),
        peers,
        clients: clients(view, me),
    })
}

/// Where a member is by its own word, and where it was admitted.
fn endpoints(view: &View, node: &NodeId) -> Vec<SocketAddr> {
    let report = view.reports.get(node);
    let network = report.and_then(|report| report.network.as_ref());
    let said = report
        .map(|report| &report.addresses[..])
        .unwrap_or_default();
    let admitted = &view.documents.roster[node].addresses;
    // Whoever says more than one host can have is not listened to for longer.
    let said = said.iter().take(MAX_ADDRESSES);
    let ips = said
        .chain(admitted.iter().take(MAX_ADDRESSES))
        .filter_map(|text| text.parse().ok());
    // Until it reports another port, the data plane is taken to use the number that the node itself has.
    let at_port = |address: SocketAddr| match network {
        Some(network) if network.port != 0 => SocketAddr::new(address.ip(), network.port),
        Some(_) | None => address,
    };
    let mut endpoints = Vec::new();
    for endpoint in ips.map(at_port) {
        if is_usable(endpoint) && !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    // The others have their room too.
    endpoints.truncate(MAX_ENDPOINTS - MAX_OUTER);
    endpoints
}

fn outer(view: &View, node: &NodeId, endpoints: &[SocketAddr]) -> Vec<SocketAddr> {
    let network = view
        .reports
        .get(node)
        .and_then(|report| report.network.as_ref());
    let outer = network
        .into_iter()
        .flat_map(|network| &network.outer)
        .copied();
    let new = outer.filter(|endpoint| is_usable(*endpoint) && !endpoints.contains(endpoint));
    new.take(MAX_OUTER).collect()
}

/// What another node says may be anything: nothing is sent to everybody at once, or to ourselves.
fn is_usable(endpoint: SocketAddr) -> bool {
    addresses::is_one_host(endpoint.ip()) && endpoint.port() != 0
}

/// Fresh members with a data plane that this node reaches.
fn carriers(view: &View, me: NodeId) -> Vec<NodeId> {
    let unreachable = unreachable_from(view, &me);
    let carries = |node: &NodeId| {
        let has_plane = view
            .reports
            .get(node)
            .is_some_and(|report| report.network.is_some());
        let is_reached = unreachable.is_none_or(|unreachable| !unreachable.contains(node));
        *node != me && has_plane && is_reached && view.is_fresh(node)
    };
    let members = view.documents.roster.keys().copied();
    members.filter(carries).collect()
}

/// Some of those that both ends reach. Different pairs begin at different places of the roster, so that
/// no node carries for all.
fn relays(view: &View, carriers: &[NodeId], me: NodeId, to: NodeId) -> Vec<NodeId> {
    if carriers.is_empty() {
        return Vec::new();
    }
    let mixed = me.as_bytes().iter().zip(to.as_bytes()).take(4);
    let begin = mixed.fold(0_usize, |sum, (a, b)| (sum << 8) | usize::from(a ^ b));
    let reaches = |carrier: &NodeId| {
        let unreachable = unreachable_from(view, carrier);
        *carrier != to && unreachable.is_none_or(|unreachable| !unreachable.contains(&to))
    };
    let ring = carriers.iter().cycle().skip(begin % carriers.len());
    let ring = ring.take(carriers.len()).filter(|carrier| reaches(carrier));
    ring.take(MAX_RELAYS).copied().collect()
}

fn unreachable_from<'a>(view: &'a View, node: &NodeId) -> Option<&'a BTreeSet<NodeId>> {
    let network = view.reports.get(node)?.network.as_ref()?;
    Some(&network.unreachable)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::id::GridId;
    use crate::report::{Network, Report, ReportOrder};
    use crate::time::WallTime;
    use crate::view::{Availability, Documents, Freshness, Grid, Member, Standing};

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    /// A grid of so many nodes that all are fresh and reach each other.
    fn grid(nodes: u8) -> View {
        let member = |number: u8| Member {
            name: format!("n{number}").parse().unwrap(),
            sponsor: node(0),
            joined: WallTime(1),
            labels: Vec::new(),
            availability: Availability::Active,
            number: number.into(),
            addresses: vec![format!("10.0.0.{number}:8470")],
            subnet: format!("10.80.{number}.0/24").parse().ok(),
        };
        let documents = Documents {
            grid: Grid {
                id: Some(GridId([1; 32])),
                ..Grid::default()
            },
            roster: (0..nodes)
                .map(|number| (node(number), member(number)))
                .collect(),
            ..Documents::default()
        };
        let standing = Standing {
            freshness: Freshness::Fresh,
            since: WallTime(1),
        };
        View {
            documents: Arc::new(documents),
            reports: (0..nodes)
                .map(|number| (node(number), report(number, &[], &[])))
                .collect(),
            standings: (0..nodes).map(|number| (node(number), standing)).collect(),
            ..View::default()
        }
    }

    fn report(number: u8, addresses: &[&str], unreachable: &[u8]) -> Arc<Report> {
        Arc::new(Report {
            addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
            network: Some(Network {
                port: 51820,
                unreachable: unreachable.iter().map(|number| node(*number)).collect(),
                ..Network::default()
            }),
            ..Report::empty(node(number), ReportOrder::default())
        })
    }

    #[test]
    fn every_member_but_oneself_is_a_peer_and_who_is_removed_is_none() {
        let mut view = grid(3);
        let peers = wanted(&view, node(1)).unwrap().peers;
        assert_eq!(
            peers.keys().copied().collect::<Vec<_>>(),
            [node(0), node(2)]
        );
        Arc::make_mut(&mut view.documents).roster.remove(&node(2));
        assert_eq!(wanted(&view, node(1)).unwrap().peers.len(), 1);
        assert_eq!(wanted(&view, node(2)), None);
    }

    #[test]
    fn of_two_members_with_one_key_in_the_overlay_one_is_a_peer_and_all_others_stay() {
        let mut view = grid(4);
        let documents = Arc::make_mut(&mut view.documents);
        let mut negative = node(2);
        negative.0[31] ^= 0x80;
        let mut twin = documents.roster[&node(2)].clone();
        twin.name = "twin".parse().unwrap();
        documents.roster.insert(negative, twin);
        let peers = wanted(&view, node(1)).unwrap().peers;
        assert_eq!(
            peers.into_keys().collect::<Vec<_>>(),
            [node(0), node(2), node(3)]
        );
        // Who is the twin of somebody is no peer of it.
        let peers = wanted(&view, negative).unwrap().peers;
        assert!(!peers.contains_key(&node(2)));
    }

    #[test]
    fn a_peer_is_tried_where_it_says_it_is_and_where_it_was_admitted() {
        let mut view = grid(2);
        let said = [
            "192.0.2.1:8470",
            "[2001:db8::1]:8470",
            "nonsense",
            "255.255.255.255:1",
        ];
        view.reports.insert(node(0), report(0, &said, &[]));
        let endpoints = &wanted(&view, node(1)).unwrap().peers[&node(0)].endpoints;
        let expected = ["192.0.2.1:51820", "[2001:db8::1]:51820", "10.0.0.0:51820"];
        assert_eq!(*endpoints, expected.map(|text| text.parse().unwrap()));
        // Of one that never reported, the number of its own port is all that is known.
        view.reports.remove(&node(0));
        let endpoints = &wanted(&view, node(1)).unwrap().peers[&node(0)].endpoints;
        assert_eq!(*endpoints, ["10.0.0.0:8470".parse().unwrap()]);
    }

    #[test]
    fn a_peer_is_tried_where_others_see_it_too() {
        let mut view = grid(2);
        let mut seen = Report::clone(&view.reports[&node(0)]);
        let outer = ["198.51.100.1:40000", "10.0.0.0:51820", "224.0.0.1:1"];
        seen.network.as_mut().unwrap().outer = outer.map(|text| text.parse().unwrap()).to_vec();
        view.reports.insert(node(0), Arc::new(seen));
        let peer = &wanted(&view, node(1)).unwrap().peers[&node(0)];
        assert_eq!(peer.outer, ["198.51.100.1:40000".parse().unwrap()]);
    }

    #[test]
    fn a_relay_is_fresh_and_reached_by_both_ends() {
        let relays = |view: &View| {
            wanted(view, node(0)).unwrap().peers[&node(1)]
                .relays
                .clone()
        };
        let mut view = grid(5);
        assert_eq!(relays(&view).len(), 3);
        view.reports.insert(node(2), report(2, &[], &[1]));
        assert!(
            !relays(&view).contains(&node(2)),
            "it does not reach the other end"
        );
        view.reports.insert(node(0), report(0, &[], &[3]));
        assert!(
            !relays(&view).contains(&node(3)),
            "this node does not reach it"
        );
        view.standings.remove(&node(4));
        assert_eq!(relays(&view), [], "and an absent one carries nothing");
    }

    proptest! {
        #[test]
        fn relays_are_others_and_as_many_as_there_may_be(nodes in 3..20_u8, a: u8, b: u8) {
            let view = grid(nodes);
            let (a, b) = (a % nodes, b % nodes);
            prop_assume!(a != b);
            let from_a = wanted(&view, node(a)).unwrap().peers[&node(b)].relays.clone();
            prop_assert!(!from_a.contains(&node(a)) && !from_a.contains(&node(b)));
            prop_assert_eq!(from_a.len(), usize::from(nodes - 2).min(MAX_RELAYS));
        }
    }
}
