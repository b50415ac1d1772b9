//! The address plan: which IPv4 ranges a grid has for itself. It is written when the grid is made, and stays.
//!
//! In: what people asked for, and where a host's addresses lead already. Out: a plan that is fit for use, or what
//! is wrong with it. Not here: which node gets which part ([`super::ipam`]).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where private addresses are: RFC 1918, and RFC 6598, which carriers and clouds use in the same way.
const PRIVATE: [Range; 4] = [
    Range::of([10, 0, 0, 0], 8),
    Range::of([172, 16, 0, 0], 12),
    Range::of([192, 168, 0, 0], 16),
    Range::of([100, 64, 0, 0], 10),
];

/// What is proposed instead of a range that is taken, in this order. The first is Kontena 1.x's.
const PROPOSED: [Range; 6] = [
    Range::of([10, 80, 0, 0], 12),
    Range::of([10, 160, 0, 0], 12),
    Range::of([10, 208, 0, 0], 12),
    Range::of([172, 20, 0, 0], 14),
    Range::of([100, 80, 0, 0], 12),
    Range::of([192, 168, 128, 0], 17),
];

/// A node's part has 24 bits: a shorter prefix has several of them.
pub(super) const NODE_PREFIX: u8 = 24;

/// A route that is shorter than this is the default route, whole or in halves: it gives way to any other.
const SHORTEST: u8 = 8;

/// The most routes that a host shows when it joins.
pub const MAX_ROUTES: usize = 64;
/// The longest name of an interface, in bytes (Linux's `IFNAMSIZ` less one).
const MAX_DEVICE: usize = 15;

/// Every IPv4 address that begins with the same bits. Written `10.80.0.0/12`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    /// Its other bits are zero.
    network: u32,
    prefix: u8,
}

/// The text is not a network and its length.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an IPv4 network and its length, as 10.80.0.0/12")]
pub struct InvalidRange(String);

impl Range {
    const fn of(network: [u8; 4], prefix: u8) -> Self {
        let network = u32::from_be_bytes(network);
        Self { network, prefix }
    }

    /// The range of this length that an address lies in; `None` if it is longer than an address.
    pub fn around(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self {
            network: address.to_bits() & mask(prefix),
            prefix,
        })
    }

    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network)
    }

    /// How many bits its addresses have in common: 0 to 32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.network
    }

    /// Whether all of the other is in it.
    pub fn covers(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.network())
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Whether nobody beyond has addresses in it.
    pub fn is_private(self) -> bool {
        PRIVATE.iter().any(|private| private.covers(self))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0)
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(raw: &str) -> Result<Self, InvalidRange> {
        let invalid = || InvalidRange(raw.chars().take(32).collect());
        let (network, length) = raw.split_once('/').ok_or_else(invalid)?;
        let network: Ipv4Addr = network.parse().map_err(|_| invalid())?;
        let prefix: u8 = length.parse().map_err(|_| invalid())?;
        let range = Self::around(network, prefix).ok_or_else(invalid)?;
        // Host bits, and `+8` or `08`, are slips.
        if range.to_string() != raw {
            return Err(invalid());
        }
        Ok(range)
    }
}

impl TryFrom<String> for Range {
    type Error = InvalidRange;

    fn try_from(raw: String) -> Result<Self, InvalidRange> {
        raw.parse()
    }
}

impl From<Range> for String {
    fn from(range: Range) -> Self {
        range.to_string()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.network(), self.prefix))
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The ranges of a grid. A register's value: unknown fields survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct AddressPlan {
    supernet: Range,
    subnet: Range,
}

/// As it stands in the document.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Written {
    supernet: Range,
    subnet: Range,
}

/// What is wrong with a plan.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPlan {
    #[error(
        "{0} is not within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10: such addresses are somebody's on the internet"
    )]
    Public(Range),
    #[error("{0} is too small: each node takes a /24 of it")]
    Small(Range),
    #[error("subnet {subnet} is not within supernet {supernet}")]
    Outside { subnet: Range, supernet: Range },
}

impl AddressPlan {
    /// Nodes get their subnets out of `subnet`, by default the whole supernet. What else there is of the supernet
    /// leads into the overlay too, and is nobody's yet (as Kontena's).
    pub fn new(supernet: Range, subnet: Option<Range>) -> Result<Self, InvalidPlan> {
        let subnet = subnet.unwrap_or(supernet);
        if !supernet.is_private() {
            return Err(InvalidPlan::Public(supernet));
        }
        if !supernet.covers(subnet) {
            return Err(InvalidPlan::Outside { subnet, supernet });
        }
        if subnet.prefix > NODE_PREFIX {
            return Err(InvalidPlan::Small(subnet));
        }
        Ok(Self { supernet, subnet })
    }

    /// All that leads into the overlay.
    pub fn supernet(self) -> Range {
        self.supernet
    }

    /// What the nodes' subnets come from.
    pub fn subnet(self) -> Range {
        self.subnet
    }

    /// How many nodes can have a subnet.
    pub fn room(self) -> u32 {
        1 << (NODE_PREFIX - self.subnet.prefix)
    }
}

impl Default for AddressPlan {
    /// 10.80.0.0/12, the range that Kontena 1.x used: 4,096 nodes.
    fn default() -> Self {
        let supernet = PROPOSED[0];
        Self {
            supernet,
            subnet: supernet,
        }
    }
}

impl TryFrom<Written> for AddressPlan {
    type Error = InvalidPlan;

    fn try_from(written: Written) -> Result<Self, InvalidPlan> {
        Self::new(written.supernet, Some(written.subnet))
    }
}

impl From<AddressPlan> for Written {
    fn from(plan: AddressPlan) -> Self {
        Self {
            supernet: plan.supernet,
            subnet: plan.subnet,
        }
    }
}

/// Where addresses of a host lead. Written `10.88.0.0/16 dev podman0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostRoute {
    pub to: Range,
    /// The interface.
    pub device: String,
}

impl fmt::Display for HostRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev {}", self.to, self.device)
    }
}

impl HostRoute {
    /// Whether it could stand in the way of any grid.
    fn matters(&self) -> bool {
        self.to.prefix >= SHORTEST && PRIVATE.iter().any(|private| private.overlaps(self.to))
    }

    /// Whether it is what a kernel could have.
    pub(crate) fn is_plausible(&self) -> bool {
        let device = &self.device;
        !device.is_empty()
            && device.len() <= MAX_DEVICE
            && device.chars().all(|c| c.is_ascii_graphic())
    }
}

/// Those of a host's routes that another node has to know before it admits the host: the widest, where there are
/// more than [`MAX_ROUTES`].
pub fn telling(mut routes: Vec<HostRoute>) -> Vec<HostRoute> {
    routes.retain(|route| route.matters() && route.is_plausible());
    routes.sort_by_key(|route| (route.to.prefix, route.to, route.device.clone()));
    routes.dedup();
    routes.truncate(MAX_ROUTES);
    routes
}

/// The first route that leads addresses of the range elsewhere.
pub fn in_the_way(range: Range, routes: &[HostRoute]) -> Option<&HostRoute> {
    let real = |route: &&HostRoute| route.to.prefix >= SHORTEST;
    routes
        .iter()
        .filter(real)
        .find(|route| route.to.overlaps(range))
}

/// A range that nothing is in the way of, for somebody who has to choose another.
pub fn proposal(routes: &[HostRoute]) -> Option<Range> {
    PROPOSED
        .into_iter()
        .find(|range| in_the_way(*range, routes).is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> Range {
        text.parse().unwrap()
    }

    fn route(to: &str, device: &str) -> HostRoute {
        HostRoute {
            to: range(to),
            device: device.to_owned(),
        }
    }

    #[test]
    fn a_range_is_read_as_it_is_written_and_a_slip_is_none() {
        for text in ["10.80.0.0/12", "0.0.0.0/0", "192.168.7.9/32"] {
            assert_eq!(range(text).to_string(), text);
        }
        for bad in [
            "",
            "10.80.0.0",
            "10.81.0.0/12",
            "10.80.0.0/33",
            "10.80.0.0/012",
            "10.80.0.0/+12",
            "fd00::/8",
            "10.80/12",
        ] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_plan_is_private_has_room_for_a_node_and_its_subnet_is_within_its_supernet() {
        let plan = |supernet: &str, subnet: Option<&str>| {
            AddressPlan::new(range(supernet), subnet.map(range))
        };
        assert_eq!(plan("10.80.0.0/12", None), Ok(AddressPlan::default()));
        assert_eq!(AddressPlan::default().room(), 4_096);
        let within = plan("10.128.0.0/9", Some("10.130.0.0/16")).unwrap();
        assert_eq!(within.room(), 256);
        assert_eq!(plan("192.168.7.0/24", None).unwrap().room(), 1);
        for (supernet, subnet) in [
            ("8.8.0.0/16", None),
            ("0.0.0.0/0", None),
            ("10.0.0.0/7", None),
            ("127.0.0.0/8", None),
        ] {
            let refused = plan(supernet, subnet);
            assert_eq!(refused, Err(InvalidPlan::Public(range(supernet))));
        }
        let small = plan("10.80.0.0/25", None);
        assert_eq!(small, Err(InvalidPlan::Small(range("10.80.0.0/25"))));
        assert!(matches!(
            plan("10.80.0.0/16", Some("10.81.0.0/16")),
            Err(InvalidPlan::Outside { .. })
        ));
        assert!(plan("10.80.0.0/16", Some("10.80.0.0/12")).is_err());
    }

    #[test]
    fn a_plan_is_checked_when_it_is_read() {
        let text = serde_json::to_string(&AddressPlan::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<AddressPlan>(&text).unwrap(),
            AddressPlan::default()
        );
        let public = text.replace("10.80.0.0/12", "8.0.0.0/8");
        assert!(serde_json::from_str::<AddressPlan>(&public).is_err());
    }

    #[test]
    fn a_wider_and_a_narrower_route_are_in_the_way_and_a_neighbour_and_the_default_are_not() {
        let supernet = AddressPlan::default().supernet();
        let found = |to: &str| in_the_way(supernet, &[route(to, "eth0")]).is_some();
        assert!(found("10.0.0.0/8") && found("10.88.0.0/16") && found("10.80.0.1/32"));
        assert!(!found("10.96.0.0/12") && !found("10.64.0.0/12"));
        // OpenVPN's two halves of everything are no more than a default route.
        assert!(!found("0.0.0.0/0") && !found("0.0.0.0/1"));
    }

    #[test]
    fn what_is_proposed_is_free() {
        assert_eq!(proposal(&[]), Some(range("10.80.0.0/12")));
        let taken = [
            route("10.0.0.0/8", "eth0"),
            route("172.17.0.0/16", "docker0"),
        ];
        assert_eq!(proposal(&taken), Some(range("172.20.0.0/14")));
        let all = [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
        ];
        let all: Vec<HostRoute> = all.iter().map(|to| route(to, "eth0")).collect();
        assert_eq!(proposal(&all), None);
    }

    #[test]
    fn every_proposal_is_a_plan() {
        for range in PROPOSED {
            assert!(AddressPlan::new(range, None).is_ok(), "{range}");
            assert_eq!(Range::around(range.network(), range.prefix), Some(range));
        }
    }

    #[test]
    fn a_host_tells_the_routes_that_matter_the_widest_first() {
        let mut routes: Vec<HostRoute> = (0..200_u8)
            .map(|number| route(&format!("10.9.{number}.0/24"), "eth1"))
            .collect();
        routes.extend([
            route("0.0.0.0/0", "eth0"),
            route("8.0.0.0/8", "eth0"),
            route("10.0.0.0/8", "eth2"),
            route("10.0.0.0/8", "eth2"),
        ]);
        let told = telling(routes);
        assert_eq!(told.len(), MAX_ROUTES);
        assert_eq!(told[0].to_string(), "10.0.0.0/8 dev eth2");
        assert!(told[1..].iter().all(|route| route.device == "eth1"));
    }

    proptest! {
        #[test]
        fn ranges_overlap_where_they_have_an_address_in_common(a: u32, b: u32, p in 0..=32_u8, q in 0..=32_u8) {
            let (a, b) = (Range::around(a.into(), p).unwrap(), Range::around(b.into(), q).unwrap());
            let common = a.contains(b.network()) || b.contains(a.network());
            prop_assert_eq!(a.overlaps(b), common);
            prop_assert_eq!(b.overlaps(a), common);
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }
    }
}
