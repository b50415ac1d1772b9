//! Segmentation and coalescing against plain versions of themselves.

use std::net::IpAddr;

use proptest::prelude::*;

use super::coalesce::Coalescer;
use super::header::{
    IPV4_HEADER, IPV6_HEADER, Ip, PSH, TCP, TCP_FLAGS, UDP, Version, write_header_checksum,
    write_length,
};
use super::offload::{Kind, LENGTH, Offload};
use super::segment::Segments;

/// A UDP packet with all checksums.
pub(crate) fn datagram(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let udp = udp(payload);
    checked(ipv4(from, to, UDP, 7, &udp))
}

pub(crate) fn datagram_v6(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let udp = udp(payload);
    checked(ipv6(from, to, UDP, &udp))
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut datagram = vec![0x30, 0x39, 0, 53];
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// A TCP segment; `options` in units of four bytes.
fn tcp(sequence: u32, flags: u8, options: usize, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x30, 0x39, 0x1f, 0x90];
    segment.extend(sequence.to_be_bytes());
    segment.extend([
        1,
        2,
        3,
        4,
        ((5 + options) << 4) as u8,
        flags,
        1,
        0,
        0,
        0,
        0,
        0,
    ]);
    segment.extend(vec![1; options * 4]);
    segment.extend(payload);
    segment
}

fn ipv4(from: &str, to: &str, protocol: u8, identification: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet[4..6].copy_from_slice(&identification.to_be_bytes());
    for address in [from, to] {
        let IpAddr::V4(address) = address.parse().expect("an address") else {
            panic!("{address} is no IPv4 address");
        };
        packet.extend(address.octets());
    }
    packet.extend(payload);
    write_length(&mut packet);
    packet
}

fn ipv6(from: &str, to: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
    for address in [from, to] {
        let IpAddr::V6(address) = address.parse().expect("an address") else {
            panic!("{address} is no IPv6 address");
        };
        packet.extend(address.octets());
    }
    packet.extend(payload);
    write_length(&mut packet);
    packet
}

/// Fills in the checksum of the transport.
fn checked(mut packet: Vec<u8>) -> Vec<u8> {
    let ip = Ip::parse(&packet).expect("a packet");
    let field = if ip.protocol() == UDP { 6 } else { 16 };
    let at = ip.header_length() + field;
    packet[at..at + 2].fill(0);
    let ip = Ip::parse(&packet).expect("its header is as it was");
    let sum = ip
        .pseudo_header(ip.payload().len())
        .add(ip.payload())
        .whole();
    // Zero says "none" in UDP.
    let none = ip.protocol() == UDP && sum == [0, 0];
    packet[at..at + 2].copy_from_slice(&if none { [0xff; 2] } else { sum });
    packet
}

/// A stream's packets, as a host without any offload would send them.
#[derive(Clone, Debug)]
struct Stream {
    v6: bool,
    udp: bool,
    size: usize,
    options: usize,
    identification: u16,
    sequence: u32,
    payload: Vec<u8>,
    push: bool,
}

fn stream() -> impl Strategy<Value = Stream> {
    (
        any::<(bool, bool, u16, u32, bool)>(),
        1..60_usize,
        0..4_usize,
        proptest::collection::vec(any::<u8>(), 1..400),
    )
        .prop_map(
            |((v6, udp, identification, sequence, push), size, options, payload)| Stream {
                v6,
                udp,
                size,
                options,
                identification,
                sequence,
                payload,
                push,
            },
        )
}

impl Stream {
    fn packets(&self) -> Vec<Vec<u8>> {
        let last = self.payload.len().div_ceil(self.size) - 1;
        self.payload
            .chunks(self.size)
            .enumerate()
            .map(|(at, payload)| {
                let sequence = self.sequence.wrapping_add((at * self.size) as u32);
                let push = if self.push && at == last { PSH } else { 0 };
                let transport = if self.udp {
                    udp(payload)
                } else {
                    tcp(sequence, 0x10 | push, self.options, payload)
                };
                checked(self.ip(&transport, self.identification.wrapping_add(at as u16)))
            })
            .collect()
    }

    fn ip(&self, transport: &[u8], identification: u16) -> Vec<u8> {
        let protocol = if self.udp { UDP } else { TCP };
        if self.v6 {
            ipv6("fd00::1", "fd00::2", protocol, transport)
        } else {
            ipv4("10.0.0.1", "10.0.0.2", protocol, identification, transport)
        }
    }

    /// The one frame that a kernel with offload would hand over.
    fn frame(&self) -> (Offload, Vec<u8>) {
        let push = if self.push { PSH } else { 0 };
        let transport = if self.udp {
            udp(&self.payload)
        } else {
            tcp(self.sequence, 0x10 | push, self.options, &self.payload)
        };
        let packet = self.ip(&transport, self.identification);
        let ip = if self.v6 { IPV6_HEADER } else { IPV4_HEADER };
        let header = if self.udp { 8 } else { 20 + 4 * self.options };
        let offload = Offload {
            kind: match (self.udp, self.v6) {
                (true, _) => Kind::Udp,
                (false, false) => Kind::Tcp4,
                (false, true) => Kind::Tcp6,
            },
            needs_checksum: true,
            header_length: (ip + header) as u16,
            segment: self.size as u16,
            checksum_start: ip as u16,
            checksum_offset: if self.udp { 6 } else { 16 },
        };
        (offload, packet)
    }
}

fn split(offload: Offload, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = Segments::split(offload, packet).expect("a frame that makes sense");
    let mut scratch = vec![0xaa; segments.longest()];
    let mut packets = Vec::new();
    while let Some(length) = segments.next_into(&mut scratch) {
        packets.push(scratch[..length].to_vec());
    }
    packets
}

/// What is no packet at all is handed on as it is.
fn split_or_whole(offload: Offload, packet: &[u8]) -> Vec<Vec<u8>> {
    match Ip::parse(packet) {
        Some(_) => split(offload, packet),
        None => vec![packet.to_vec()],
    }
}

fn merge(packets: &[Vec<u8>]) -> Vec<(Offload, Vec<u8>)> {
    let mut coalescer = Coalescer::new(true, true);
    for packet in packets {
        coalescer.push(packet);
    }
    let mut frames = Vec::new();
    coalescer.flush(|frame| {
        let (offload, packet) = Offload::split(frame).expect("a frame");
        frames.push((offload, packet.to_vec()));
    });
    frames
}

proptest! {
    #[test]
    fn a_large_segment_becomes_the_packets_of_a_host_without_offload(stream in stream()) {
        let (offload, packet) = stream.frame();
        prop_assert_eq!(split(offload, &packet), stream.packets());
    }

    #[test]
    fn what_is_merged_comes_apart_into_the_same_packets(
        streams in proptest::collection::vec(stream(), 1..4),
        order in any::<u64>(),
    ) {
        // Streams between the same ports mix, and merge as far as they are contiguous.
        let mut queues: Vec<_> = streams.iter().map(|stream| stream.packets().into_iter().peekable()).collect();
        let mut packets = Vec::new();
        let mut chance = order;
        while let Some(at) = {
            let open: Vec<_> = (0..queues.len()).filter(|at| queues[*at].peek().is_some()).collect();
            (!open.is_empty()).then(|| open[chance as usize % open.len()])
        } {
            chance = chance.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            packets.extend(queues[at].next());
        }
        let mut apart: Vec<_> = merge(&packets)
            .iter()
            .flat_map(|(offload, packet)| split(*offload, packet))
            .collect();
        // Within a flow the order is kept; between flows it may change.
        let flow = |packet: &Vec<u8>| (packet[0] >> 4, packet[if packet[0] >> 4 == 4 { 9 } else { 6 }]);
        apart.sort_by_key(flow);
        packets.sort_by_key(flow);
        prop_assert_eq!(apart, packets);
    }

    #[test]
    fn a_packet_with_any_other_header_is_not_merged_away(
        stream in stream(),
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut packets = stream.packets();
        let headers = stream.frame().0.header_length;
        let packet = which.get_mut(&mut packets);
        packet[place.index(usize::from(headers))] ^= 1 << bit;
        let changed = packet.clone();
        if Ip::parse(&changed).is_some_and(|ip| ip.payload().len() > 20) {
            if changed[0] >> 4 == 4 {
                write_header_checksum(packet);
            }
            *packet = checked(packet.clone());
        }
        let mut apart: Vec<_> = merge(&packets)
            .iter()
            .flat_map(|(offload, packet)| split_or_whole(*offload, packet))
            .collect();
        // The changed one may be of another flow.
        apart.sort();
        packets.sort();
        prop_assert_eq!(apart, packets);
    }

    #[test]
    fn any_bytes_are_split_or_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        version in prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()],
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.get_mut(LENGTH) {
            *first = version;
        }
        if bytes.len() > LENGTH + IPV6_HEADER {
            let length = bytes.len();
            let packet = &mut bytes[LENGTH..length];
            packet[0] = version;
            write_length_of_any(packet);
        }
        if let Some((offload, packet)) = Offload::split(&bytes)
            && let Some(mut segments) = Segments::split(offload, packet)
        {
            let mut scratch = vec![0; segments.longest()];
            while segments.next_into(&mut scratch).is_some() {}
        }
        let mut coalescer = Coalescer::new(true, true);
        coalescer.push(&bytes);
        coalescer.push(&bytes);
        coalescer.flush(|_| {});
    }
}

fn write_length_of_any(packet: &mut [u8]) {
    match packet[0] {
        0x45 | 0x60 => write_length(packet),
        _ => {}
    }
}

#[test]
fn a_stream_of_full_segments_is_one_frame() {
    let stream = Stream {
        v6: false,
        udp: false,
        size: 1300,
        options: 3,
        identification: 9,
        sequence: u32::MAX - 2000,
        payload: vec![5; 1300 * 40 + 17],
        push: true,
    };
    let frames = merge(&stream.packets());
    assert_eq!(frames, [stream.frame_with_partial_checksum()]);
}

#[test]
fn more_datagrams_than_the_kernel_takes_are_two_frames() {
    let stream = Stream {
        v6: true,
        udp: true,
        size: 100,
        options: 0,
        identification: 0,
        sequence: 0,
        payload: vec![5; 100 * 64],
        push: false,
    };
    let mut packets = stream.packets();
    assert_eq!(merge(&packets).len(), 1);
    packets.extend(stream.packets());
    assert_eq!(merge(&packets).len(), 2);
}

#[test]
fn a_wrong_checksum_is_handed_on_as_it_is() {
    let stream = Stream {
        v6: false,
        udp: false,
        size: 100,
        options: 0,
        identification: 1,
        sequence: 1,
        payload: vec![5; 300],
        push: false,
    };
    let mut packets = stream.packets();
    packets[1][70] ^= 1;
    let frames = merge(&packets);
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[1], (Offload::NONE, packets[1].clone()));
}

#[test]
fn a_partial_checksum_of_a_single_packet_is_made_whole() {
    let whole = datagram("10.0.0.1", "10.0.0.2", b"hello");
    let mut partial = whole.clone();
    let ip = Ip::parse(&whole).expect("a packet");
    assert_eq!(ip.version(), Version::V4);
    let sum = ip.pseudo_header(ip.payload().len()).partial();
    partial[26..28].copy_from_slice(&sum);
    let offload = Offload {
        needs_checksum: true,
        checksum_start: 20,
        checksum_offset: 6,
        ..Offload::NONE
    };
    assert_eq!(split(offload, &partial), [whole]);
}

impl Stream {
    fn frame_with_partial_checksum(&self) -> (Offload, Vec<u8>) {
        let (offload, mut packet) = self.frame();
        let ip = Ip::parse(&packet).expect("a packet");
        let sum = ip.pseudo_header(ip.payload().len()).partial();
        let field = usize::from(offload.checksum_start + offload.checksum_offset);
        packet[field..field + 2].copy_from_slice(&sum);
        // The flag of the last segment stands for the whole.
        assert_eq!(packet[IPV4_HEADER + TCP_FLAGS] & PSH, PSH);
        (offload, packet)
    }
}
