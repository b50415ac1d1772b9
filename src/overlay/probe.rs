//! What members say to each other inside the tunnel: "do you hear me on this path, and in this
//! size?". A probe is an IPv6 packet between addresses that nobody has, so that an implementation
//! that does not know it drops it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::packet::header::IPV6_HEADER;

/// Both source and destination: link-local, and not derived from any hardware address.
const ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x6b, 0x6f6e, 0x7465, 0x6e61);

/// "Use for experimentation and testing" (RFC 3692).
const PROTOCOL: u8 = 253;

const BODY: usize = 32;

/// Length of a probe that asks for no size.
pub(crate) const SHORTEST: usize = IPV6_HEADER + BODY;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const FLAG_ACTIVE: u8 = 1;

/// One probe or the answer to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Request {
        sequence: u64,
        /// Whether the sender sends its data by this path.
        active: bool,
    },
    Reply {
        sequence: u64,
        /// Where the request came from, as the replying side saw it; nothing if it was relayed.
        observed: Option<SocketAddr>,
    },
}

impl Probe {
    /// The probe in an IP packet of `size` bytes, or of the least size that holds it.
    pub(crate) fn packet(self, size: usize) -> Vec<u8> {
        let mut packet = vec![0; size.max(SHORTEST)];
        let length = (packet.len() - IPV6_HEADER) as u16;
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&length.to_be_bytes());
        packet[6] = PROTOCOL;
        packet[7] = 1;
        packet[8..24].copy_from_slice(&ADDRESS.octets());
        packet[24..40].copy_from_slice(&ADDRESS.octets());
        self.write(&mut packet[IPV6_HEADER..]);
        packet
    }

    fn write(self, body: &mut [u8]) {
        let (kind, flags, sequence, observed) = match self {
            Self::Request { sequence, active } => {
                (REQUEST, u8::from(active) * FLAG_ACTIVE, sequence, None)
            }
            Self::Reply { sequence, observed } => (REPLY, 0, sequence, observed),
        };
        body[0] = kind;
        body[1] = flags;
        body[4..12].copy_from_slice(&sequence.to_be_bytes());
        if let Some(observed) = observed {
            body[12..14].copy_from_slice(&observed.port().to_be_bytes());
            let address = match observed.ip() {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            body[14..30].copy_from_slice(&address.octets());
        }
    }

    /// Reads a packet that came out of the tunnel; nothing if it is no probe.
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        if !is_probe(packet) {
            return None;
        }
        let body = &packet[IPV6_HEADER..];
        let sequence = u64::from_be_bytes(*body[4..].first_chunk()?);
        match body[0] {
            REQUEST => Some(Self::Request {
                sequence,
                active: body[1] & FLAG_ACTIVE != 0,
            }),
            REPLY => Some(Self::Reply {
                sequence,
                observed: observed(body),
            }),
            _ => None,
        }
    }
}

/// Whether a packet is one of these, of whatever version. From this host it is never carried.
pub(crate) fn is_probe(packet: &[u8]) -> bool {
    packet.len() >= SHORTEST
        && packet[0] >> 4 == 6
        && packet[6] == PROTOCOL
        && packet[8..24] == ADDRESS.octets()
        && packet[24..40] == ADDRESS.octets()
}

fn observed(body: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([body[12], body[13]]);
    let address = Ipv6Addr::from(*body[14..].first_chunk::<16>()?);
    (port != 0).then(|| SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::header::Ip;

    #[test]
    fn a_probe_reads_as_it_was_written_in_the_size_that_was_asked() {
        let probes = [
            Probe::Request {
                sequence: 7,
                active: true,
            },
            Probe::Reply {
                sequence: u64::MAX,
                observed: None,
            },
            Probe::Reply {
                sequence: 1,
                observed: "192.0.2.1:51820".parse().ok(),
            },
            Probe::Reply {
                sequence: 1,
                observed: "[2001:db8::1]:1".parse().ok(),
            },
        ];
        for probe in probes {
            for (size, length) in [(0, SHORTEST), (1396, 1396)] {
                let packet = probe.packet(size);
                assert_eq!(packet.len(), length);
                assert!(Ip::parse(&packet).is_some());
                assert_eq!(Probe::parse(&packet), Some(probe));
            }
        }
    }

    proptest! {
        #[test]
        fn other_packets_are_no_probes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(Probe::parse(&bytes), None);
        }
    }
}
