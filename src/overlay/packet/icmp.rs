//! What the overlay answers to a sender on this host whose packet it cannot carry.

use super::checksum::Sum;
use super::header::{
    ICMP, ICMPV6, IPV4_HEADER, IPV6_HEADER, Ip, Version, write_header_checksum, write_length,
};

/// IPv4: header, eight bytes of the message, and as much of the packet as every host must take.
const LONGEST_V4: usize = 576;

/// IPv6: the answer must fit the least MTU.
const LONGEST_V6: usize = 1280;

/// Why a packet is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its path takes packets of this many bytes.
    TooBig(u16),
    /// No peer owns its destination.
    NoRoute,
}

/// The answer to a packet, as if its destination had sent it: an own address as the source would
/// make the kernel refuse it as forged. Nothing, if the packet is one that must not be answered
/// (RFC 1122 3.2.2, RFC 4443 2.4).
pub(crate) fn answer(ip: Ip<'_>, trouble: Trouble) -> Option<Vec<u8>> {
    if is_unanswerable(ip) {
        return None;
    }
    Some(match ip.version() {
        Version::V4 => answer_v4(ip, trouble),
        Version::V6 => answer_v6(ip, trouble),
    })
}

fn is_unanswerable(ip: Ip<'_>) -> bool {
    let source = ip.source();
    let destination = ip.destination();
    let error = match (ip.protocol(), ip.payload().first()) {
        (ICMP, Some(kind)) => !matches!(kind, 0 | 8 | 13 | 14),
        (ICMPV6, Some(kind)) => *kind < 128,
        _ => false,
    };
    error
        || ip.is_later_fragment()
        || destination.is_multicast()
        || source.is_multicast()
        || source.is_unspecified()
}

fn answer_v4(ip: Ip<'_>, trouble: Trouble) -> Vec<u8> {
    let (code, mtu) = match trouble {
        Trouble::TooBig(mtu) => (4, mtu),
        Trouble::NoRoute => (1, 0),
    };
    let quoted = quote(ip, LONGEST_V4 - IPV4_HEADER - 8);
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, ICMP, 0, 0];
    packet.extend(&ip.bytes()[16..20]);
    packet.extend(&ip.bytes()[12..16]);
    packet.extend([3, code, 0, 0, 0, 0]);
    packet.extend(mtu.to_be_bytes());
    packet.extend(quoted);
    write_length(&mut packet);
    write_header_checksum(&mut packet);
    let checksum = Sum::default().add(&packet[IPV4_HEADER..]).whole();
    packet[IPV4_HEADER + 2..IPV4_HEADER + 4].copy_from_slice(&checksum);
    packet
}

fn answer_v6(ip: Ip<'_>, trouble: Trouble) -> Vec<u8> {
    let (kind, code, mtu) = match trouble {
        Trouble::TooBig(mtu) => (2, 0, u32::from(mtu)),
        Trouble::NoRoute => (1, 3, 0),
    };
    let quoted = quote(ip, LONGEST_V6 - IPV6_HEADER - 8);
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, ICMPV6, 64];
    packet.extend(&ip.bytes()[24..40]);
    packet.extend(&ip.bytes()[8..24]);
    packet.extend([kind, code, 0, 0]);
    packet.extend(mtu.to_be_bytes());
    packet.extend(quoted);
    write_length(&mut packet);
    let message = Ip::parse(&packet).expect("its length was written just now");
    let checksum = message
        .pseudo_header(message.payload().len())
        .add(message.payload())
        .whole();
    packet[IPV6_HEADER + 2..IPV6_HEADER + 4].copy_from_slice(&checksum);
    packet
}

/// The beginning of the packet that is answered.
fn quote(ip: Ip<'_>, longest: usize) -> &[u8] {
    &ip.bytes()[..ip.bytes().len().min(longest)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::tests::{datagram, datagram_v6};

    fn parsed(packet: &[u8]) -> Ip<'_> {
        Ip::parse(packet).expect("a packet")
    }

    #[test]
    fn too_big_says_what_fits_and_quotes_the_packet() {
        let packet = datagram("10.0.0.1", "10.0.9.9", &[7; 1400]);
        let answer = answer(parsed(&packet), Trouble::TooBig(1300)).expect("an answer");
        let ip = parsed(&answer);
        assert_eq!((ip.source(), ip.destination()), {
            let asked = parsed(&packet);
            (asked.destination(), asked.source())
        });
        assert!(Sum::default().add(&answer[..20]).is_valid());
        assert!(Sum::default().add(ip.payload()).is_valid());
        assert_eq!(
            ip.payload()[..8],
            [3, 4, ip.payload()[2], ip.payload()[3], 0, 0, 5, 20]
        );
        assert_eq!(ip.payload()[8..], packet[..548]);
    }

    #[test]
    fn the_answer_for_ipv6_fits_the_least_mtu_and_sums_up() {
        let packet = datagram_v6("fd00::1", "fd00::2", &[7; 1400]);
        let answer = answer(parsed(&packet), Trouble::TooBig(1300)).expect("an answer");
        let ip = parsed(&answer);
        assert_eq!(answer.len(), 1280);
        assert_eq!(ip.payload()[..2], [2, 0]);
        assert_eq!(ip.payload()[4..8], [0, 0, 5, 20]);
        assert!(
            ip.pseudo_header(ip.payload().len())
                .add(ip.payload())
                .is_valid()
        );
    }

    #[test]
    fn errors_and_multicast_are_not_answered() {
        let packet = datagram("10.0.0.1", "10.0.9.9", &[7; 100]);
        let error = answer(parsed(&packet), Trouble::NoRoute).expect("an answer");
        assert_eq!(answer(parsed(&error), Trouble::NoRoute), None);
        let packet = datagram("10.0.0.1", "224.0.0.5", &[7; 100]);
        assert_eq!(answer(parsed(&packet), Trouble::NoRoute), None);
    }

    #[test]
    fn of_the_pieces_of_a_packet_the_first_alone_is_answered() {
        let packet = datagram("10.0.0.1", "10.0.9.9", &[7; 100]);
        let pieces = crate::packet::fragment::fragments(parsed(&packet), 68);
        let answered = pieces
            .iter()
            .map(|piece| answer(parsed(piece), Trouble::NoRoute).is_some());
        assert_eq!(answered.collect::<Vec<_>>(), [true, false, false]);
    }
}
