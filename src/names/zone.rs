//! The names that this server answers for itself.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::name::{Name, labels, suffixes};
use crate::prefix::Prefix;
use crate::query::{A, AAAA, ANY, PTR, SRV};

/// What a server answers for, whether or not it has the name that is asked for.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Every name below it.
    pub domain: Name,
    /// The reverse names of these, as far as they are of IPv4.
    pub networks: Vec<Prefix>,
    /// How long an answer may be kept, in whole seconds.
    pub ttl: Duration,
}

/// What one name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// By rank; within a rank every answer has another order.
    pub targets: Vec<Target>,
    pub ports: Vec<(u16, Transport)>,
}

/// One address behind a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The lower ones come first, and are the priority in SRV records.
    pub rank: u8,
    pub address: IpAddr,
    /// Its own name, for SRV records.
    pub name: Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
}

/// All names, immutable: another zone takes its place as a whole.
#[derive(Debug)]
pub struct Zone {
    entries: HashMap<Name, Entry>,
    apexes: HashSet<Name>,
    pub(crate) ttl: u32,
}

/// What is at a name. One without anything is there because there are names below it.
#[derive(Debug, Default)]
struct Entry {
    records: Records,
    pointer: Option<Name>,
}

/// What a question finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Addresses(&'a [Target]),
    Service {
        targets: &'a [Target],
        port: u16,
    },
    Pointer(&'a Name),
    /// The name exists, and has nothing of this type.
    NoData,
    /// It would be ours, and does not exist.
    NoName,
    /// Others know.
    Elsewhere,
}

impl Zone {
    /// Names that are not below what it answers for are left out: nobody would be answered with them.
    pub fn new(
        authority: &Authority,
        names: impl IntoIterator<Item = (Name, Records)>,
        reverse: impl IntoIterator<Item = (IpAddr, Name)>,
    ) -> Self {
        let reverse_apexes = authority
            .networks
            .iter()
            .filter_map(Prefix::v4)
            .flat_map(reverse_apexes);
        let apexes = reverse_apexes.chain([authority.domain.clone()]).collect();
        let ttl = u32::try_from(authority.ttl.as_secs()).unwrap_or(u32::MAX);
        let mut zone = Self {
            entries: HashMap::new(),
            apexes,
            ttl,
        };
        for apex in zone.apexes.clone() {
            zone.entries.insert(apex, Entry::default());
        }
        for (name, records) in names {
            if let Some(entry) = zone.entry(name) {
                entry.records = records;
            }
        }
        for (address, name) in reverse {
            if let Some(entry) = zone.entry(Name::of_address(address)) {
                entry.pointer = Some(name);
            }
        }
        zone
    }

    /// The entry of a name, with all that have to exist above it.
    fn entry(&mut self, name: Name) -> Option<&mut Entry> {
        let wire = name.as_wire();
        let apex = self.apex(wire)?;
        for at in suffixes(wire).skip(1).take_while(|at| *at < apex) {
            if self.entries.contains_key(&wire[at..]) {
                break;
            }
            self.entries
                .insert(Name::of_wire(&wire[at..]), Entry::default());
        }
        Some(self.entries.entry(name).or_default())
    }

    /// Where in a name the part begins that this zone answers for.
    pub(crate) fn apex(&self, name: &[u8]) -> Option<usize> {
        suffixes(name).find(|at| self.apexes.contains(&name[*at..]))
    }

    pub(crate) fn find(&self, name: &[u8], kind: u16) -> Found<'_> {
        if let Some(entry) = self.entries.get(name) {
            return entry.find(kind);
        }
        if self.apex(name).is_none() {
            return Found::Elsewhere;
        }
        self.service(name, kind).unwrap_or(Found::NoName)
    }

    /// `_PORT._PROTOCOL.NAME`, and `_PROTOCOL.NAME`, which exists and has nothing.
    fn service(&self, name: &[u8], kind: u16) -> Option<Found<'_>> {
        let starts: Vec<usize> = suffixes(name).take(3).collect();
        let words: Vec<&[u8]> = labels(name).take(2).collect();
        let owner = |depth: usize| {
            let entry = self.entries.get(name.get(*starts.get(depth)?..)?)?;
            let transport = Transport::of_label(words.get(depth - 1)?)?;
            Some((&entry.records, transport))
        };
        if let Some((records, transport)) = owner(2) {
            let port: u16 = std::str::from_utf8(words[0].strip_prefix(b"_")?)
                .ok()?
                .parse()
                .ok()?;
            let is_known = records.ports.contains(&(port, transport));
            return is_known.then_some(match kind {
                SRV | ANY if !records.targets.is_empty() => Found::Service {
                    targets: &records.targets,
                    port,
                },
                _ => Found::NoData,
            });
        }
        let (records, transport) = owner(1)?;
        let has_one = records.ports.iter().any(|(_, other)| *other == transport);
        has_one.then_some(Found::NoData)
    }
}

impl Entry {
    fn find(&self, kind: u16) -> Found<'_> {
        let targets = &self.records.targets;
        let has = |v4: bool| targets.iter().any(|target| target.address.is_ipv4() == v4);
        match (kind, &self.pointer) {
            (PTR | ANY, Some(name)) => Found::Pointer(name),
            (A, _) if has(true) => Found::Addresses(targets),
            (AAAA, _) if has(false) => Found::Addresses(targets),
            (ANY, _) if !targets.is_empty() => Found::Addresses(targets),
            _ => Found::NoData,
        }
    }
}

impl Transport {
    fn of_label(label: &[u8]) -> Option<Self> {
        match label {
            b"_tcp" => Some(Self::Tcp),
            b"_udp" => Some(Self::Udp),
            _ => None,
        }
    }
}

/// The reverse zones that make up a network: `80.10.in-addr.arpa` to `95.10.in-addr.arpa` for 10.80.0.0/12.
fn reverse_apexes((network, length): (Ipv4Addr, u8)) -> Vec<Name> {
    let octets = usize::from(length.div_ceil(8)).clamp(1, 4);
    let whole = 8 * octets as u32;
    let count = 1_u32 << (whole - u32::from(length)).min(8);
    let step = 1_u64 << (32 - whole);
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    let first = u64::from(network.to_bits() & mask);
    (0..u64::from(count))
        .filter_map(|index| u32::try_from(first + index * step).ok())
        .map(|bits| {
            let octets = &bits.to_be_bytes()[..octets];
            let labels: Vec<String> = octets.iter().rev().map(u8::to_string).collect();
            Name::of_labels(labels.iter().map(String::as_str).chain(["in-addr", "arpa"]))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// `web.demo.kontena.local` with two instances of rank 0 and one of rank 1, listening on 80.
    pub(crate) fn shop() -> Zone {
        let authority = Authority {
            domain: name("kontena.local"),
            networks: vec!["10.80.0.0/12".parse().unwrap()],
            ttl: Duration::from_secs(1),
        };
        let target = |rank, number: u8| Target {
            rank,
            address: [10, 80, 1, number].into(),
            name: name(&format!("web-{number}.demo.kontena.local")),
        };
        let web = Records {
            targets: vec![target(0, 1), target(0, 2), target(1, 3)],
            ports: vec![(80, Transport::Tcp)],
        };
        let one = |number| Records {
            targets: vec![target(0, number)],
            ports: Vec::new(),
        };
        let names = [
            (name("web.demo.kontena.local"), web),
            (name("web-1.demo.kontena.local"), one(1)),
            (name("idle.deep.demo.kontena.local"), Records::default()),
            (name("example.com"), one(9)),
        ];
        let reverse = [
            ([10, 80, 1, 1].into(), name("web-1.demo.kontena.local")),
            ([192, 168, 0, 1].into(), name("web-1.demo.kontena.local")),
        ];
        Zone::new(&authority, names, reverse)
    }

    fn found(text: &str, kind: u16) -> String {
        let zone = shop();
        match zone.find(name(text).as_wire(), kind) {
            Found::Addresses(targets) => format!("{} addresses", targets.len()),
            Found::Service { targets, port } => format!("{} at port {port}", targets.len()),
            Found::Pointer(name) => name.to_string(),
            other @ (Found::NoData | Found::NoName | Found::Elsewhere) => format!("{other:?}"),
        }
    }

    #[test]
    fn a_name_has_what_was_put_there_and_nothing_of_other_types() {
        assert_eq!(found("web.demo.kontena.local", A), "3 addresses");
        assert_eq!(found("web.demo.kontena.local", AAAA), "NoData");
        assert_eq!(found("web.demo.kontena.local", 15), "NoData");
        assert_eq!(found("idle.deep.demo.kontena.local", A), "NoData");
        assert_eq!(
            found("1.1.80.10.in-addr.arpa", PTR),
            "web-1.demo.kontena.local"
        );
        assert_eq!(found("1.1.80.10.in-addr.arpa", A), "NoData");
    }

    #[test]
    fn names_with_others_below_them_exist() {
        for text in [
            "kontena.local",
            "demo.kontena.local",
            "deep.demo.kontena.local",
            "1.80.10.in-addr.arpa",
            "95.10.in-addr.arpa",
        ] {
            assert_eq!(found(text, A), "NoData", "{text}");
        }
    }

    #[test]
    fn what_is_ours_and_does_not_exist_is_told_from_what_is_elsewhere() {
        assert_eq!(found("db.demo.kontena.local", A), "NoName");
        assert_eq!(found("2.1.80.10.in-addr.arpa", PTR), "NoName");
        for text in [
            "example.com",
            "local",
            "xkontena.local",
            "1.0.168.192.in-addr.arpa",
            "1.1.96.10.in-addr.arpa",
        ] {
            assert_eq!(found(text, A), "Elsewhere", "{text}");
        }
    }

    #[test]
    fn ports_that_are_known_have_services() {
        assert_eq!(
            found("_80._tcp.web.demo.kontena.local", SRV),
            "3 at port 80"
        );
        assert_eq!(found("_80._tcp.web.demo.kontena.local", A), "NoData");
        assert_eq!(found("_tcp.web.demo.kontena.local", SRV), "NoData");
        for text in [
            "_81._tcp.web.demo.kontena.local",
            "_80._udp.web.demo.kontena.local",
            "_udp.web.demo.kontena.local",
            "80._tcp.web.demo.kontena.local",
            "_80._tcp.demo.kontena.local",
            "x._80._tcp.web.demo.kontena.local",
        ] {
            assert_eq!(found(text, SRV), "NoName", "{text}");
        }
    }

    #[test]
    fn a_network_has_its_reverse_zones() {
        let zones = |network: [u8; 4], length| reverse_apexes((network.into(), length));
        assert_eq!(zones([10, 0, 0, 0], 8), [name("10.in-addr.arpa")]);
        assert_eq!(zones([10, 80, 0, 0], 12).len(), 16);
        assert_eq!(zones([10, 80, 0, 0], 12)[15], name("95.10.in-addr.arpa"));
        assert_eq!(zones([10, 80, 7, 0], 24), [name("7.80.10.in-addr.arpa")]);
        assert_eq!(zones([0, 0, 0, 0], 0).len(), 256);
    }
}
