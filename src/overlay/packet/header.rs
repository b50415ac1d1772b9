//! Where the fields of IP, TCP and UDP headers are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::Sum;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

pub(crate) const IPV4_HEADER: usize = 20;
pub(crate) const IPV6_HEADER: usize = 40;
pub(crate) const TCP_HEADER: usize = 20;
pub(crate) const UDP_HEADER: usize = 8;

/// The flags of a TCP header, and where they are in it.
pub(crate) const TCP_FLAGS: usize = 13;
pub(crate) const FIN: u8 = 0x01;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const CWR: u8 = 0x80;

const DONT_FRAGMENT: u8 = 0x40;

/// An IP packet whose header is whole and whose length is that of its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ip<'a> {
    bytes: &'a [u8],
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

impl<'a> Ip<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let version = match bytes.first()? >> 4 {
            4 if bytes.len() >= IPV4_HEADER => Version::V4,
            6 if bytes.len() >= IPV6_HEADER => Version::V6,
            _ => return None,
        };
        let packet = Self { bytes, version };
        let header = packet.header_length();
        let fits = (IPV4_HEADER..=bytes.len()).contains(&header);
        (fits && packet.stated_length() == bytes.len()).then_some(packet)
    }

    pub(crate) fn version(self) -> Version {
        self.version
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Length of the header, with the options of IPv4 and without the extensions of IPv6.
    pub(crate) fn header_length(self) -> usize {
        match self.version {
            Version::V4 => usize::from(self.bytes[0] & 0x0f) * 4,
            Version::V6 => IPV6_HEADER,
        }
    }

    fn stated_length(self) -> usize {
        match self.version {
            Version::V4 => usize::from(read(self.bytes, 2)),
            Version::V6 => IPV6_HEADER + usize::from(read(self.bytes, 4)),
        }
    }

    /// What follows the header; for IPv6 it may be the number of an extension.
    pub(crate) fn protocol(self) -> u8 {
        match self.version {
            Version::V4 => self.bytes[9],
            Version::V6 => self.bytes[6],
        }
    }

    pub(crate) fn payload(self) -> &'a [u8] {
        &self.bytes[self.header_length()..]
    }

    pub(crate) fn source(self) -> IpAddr {
        match self.version {
            Version::V4 => ipv4_at(self.bytes, 12),
            Version::V6 => ipv6_at(self.bytes, 8),
        }
    }

    pub(crate) fn destination(self) -> IpAddr {
        destination(self.bytes).expect("`parse` saw a whole header")
    }

    /// Of TCP and UDP. `None` for anything else, and for pieces that do not have it.
    pub(crate) fn destination_port(self) -> Option<u16> {
        let has_ports = matches!(self.protocol(), TCP | UDP) && !self.is_later_fragment();
        let payload = self.payload();
        (has_ports && payload.len() >= 4).then(|| read(payload, 2))
    }

    /// Both addresses as they stand in the header.
    pub(crate) fn addresses(self) -> &'a [u8] {
        match self.version {
            Version::V4 => &self.bytes[12..20],
            Version::V6 => &self.bytes[8..40],
        }
    }

    /// Whether a router may not cut the packet in pieces; always so for IPv6.
    pub(crate) fn is_whole_or_nothing(self) -> bool {
        self.version == Version::V6 || self.bytes[6] & DONT_FRAGMENT != 0
    }

    /// Whether this is a piece of a larger packet.
    pub(crate) fn is_fragment(self) -> bool {
        self.version == Version::V4 && read(self.bytes, 6) & 0x3fff != 0
    }

    /// Whether this is a piece but the first.
    pub(crate) fn is_later_fragment(self) -> bool {
        self.version == Version::V4 && read(self.bytes, 6) & 0x1fff != 0
    }

    /// The sum of the pseudo header for a payload of `length` bytes.
    pub(crate) fn pseudo_header(self, length: usize) -> Sum {
        Sum::default()
            .add(self.addresses())
            .add_number(u16::from(self.protocol()))
            .add_number(length as u16)
    }
}

/// The destination of a packet whose header may have a wrong length: a large segment of the
/// kernel's may state less than it has.
pub(crate) fn destination(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 if bytes.len() >= IPV4_HEADER => Some(ipv4_at(bytes, 16)),
        6 if bytes.len() >= IPV6_HEADER => Some(ipv6_at(bytes, 24)),
        _ => None,
    }
}

/// The 16-bit number at `at`, in network order.
pub(crate) fn read(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The 32-bit number at `at`, in network order.
pub(crate) fn read_long(bytes: &[u8], at: usize) -> u32 {
    u32::from(read(bytes, at)) << 16 | u32::from(read(bytes, at + 2))
}

pub(crate) fn write(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
}

/// Writes the length of an IP packet into its header, and the header's checksum where there is one.
pub(crate) fn write_length(packet: &mut [u8]) {
    let length = packet.len() as u16;
    if packet[0] >> 4 == 6 {
        write(packet, 4, length - IPV6_HEADER as u16);
    } else {
        write(packet, 2, length);
        write_header_checksum(packet);
    }
}

/// Writes the checksum of an IPv4 header.
pub(crate) fn write_header_checksum(packet: &mut [u8]) {
    let header = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let checksum = Sum::default().add(&packet[..header]).whole();
    packet[10..12].copy_from_slice(&checksum);
}

fn ipv4_at(bytes: &[u8], at: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(read_long(bytes, at)))
}

fn ipv6_at(bytes: &[u8], at: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    IpAddr::V6(Ipv6Addr::from(octets))
}
