//! Takes a frame of the TUN device apart: a large segment into packets that fit the tunnel, and
//! partial checksums made whole, because behind the tunnel is no device that would do it.

use super::checksum::Sum;
use super::header::{
    self, CWR, FIN, Ip, PSH, TCP, TCP_FLAGS, TCP_HEADER, UDP, UDP_HEADER, read_long, write,
};
use super::offload::{Kind, Offload};

/// The packets of one frame, one after the other.
#[derive(Debug)]
pub(crate) struct Segments<'a> {
    packet: &'a [u8],
    offload: Offload,
    /// Length of the headers that each packet repeats.
    headers: usize,
    /// Payload bytes in each packet but the last.
    size: usize,
    /// Payload bytes already given out.
    given: usize,
    /// Packets already given out.
    count: u16,
    finished: bool,
}

impl<'a> Segments<'a> {
    /// The packets of a frame; nothing if its headers contradict each other.
    pub(crate) fn split(offload: Offload, packet: &'a [u8]) -> Option<Self> {
        let headers = match offload.kind {
            Kind::Single => packet.len(),
            Kind::Tcp4 | Kind::Tcp6 | Kind::Udp => headers_length(offload, packet)?,
        };
        let size = match offload.kind {
            Kind::Single => 0,
            Kind::Tcp4 | Kind::Tcp6 | Kind::Udp => usize::from(offload.segment),
        };
        let segmented = offload.kind != Kind::Single;
        let plausible = !segmented || (size > 0 && packet.len() > headers);
        (plausible && checksum_fits(offload, packet) && Ip::parse(packet).is_some()).then_some(
            Self {
                packet,
                offload,
                headers,
                size,
                given: 0,
                count: 0,
                finished: false,
            },
        )
    }

    /// Length of the longest packet.
    pub(crate) fn longest(&self) -> usize {
        self.packet.len().min(self.headers + self.size)
    }

    /// Writes the next packet to the beginning of `into`, which has room for the longest, and
    /// tells its length.
    pub(crate) fn next_into(&mut self, into: &mut [u8]) -> Option<usize> {
        if self.finished {
            return None;
        }
        if self.offload.kind == Kind::Single {
            self.finished = true;
            return Some(self.single(into));
        }
        let payload = &self.packet[self.headers + self.given..];
        let taken = payload.len().min(self.size);
        self.finished = taken == payload.len();
        let packet = &mut into[..self.headers + taken];
        packet[..self.headers].copy_from_slice(&self.packet[..self.headers]);
        packet[self.headers..].copy_from_slice(&payload[..taken]);
        self.number(packet);
        self.given += taken;
        self.count += 1;
        Some(packet.len())
    }

    fn single(&self, into: &mut [u8]) -> usize {
        let packet = &mut into[..self.packet.len()];
        packet.copy_from_slice(self.packet);
        if self.offload.needs_checksum {
            let start = usize::from(self.offload.checksum_start);
            let field = start + usize::from(self.offload.checksum_offset);
            // The field holds the sum of the pseudo header and is summed with the rest.
            let checksum = Sum::default().add(&packet[start..]).whole();
            write_checksum(packet, field, checksum);
        }
        packet.len()
    }

    /// Gives a copied packet the fields that differ from packet to packet.
    fn number(&self, packet: &mut [u8]) {
        if packet[0] >> 4 == 4 {
            let identification = header::read(packet, 4).wrapping_add(self.count);
            write(packet, 4, identification);
        }
        header::write_length(packet);
        let start = usize::from(self.offload.checksum_start);
        match self.offload.kind {
            Kind::Tcp4 | Kind::Tcp6 => self.number_tcp(&mut packet[start..]),
            Kind::Udp => write(packet, start + 4, (packet.len() - start) as u16),
            Kind::Single => {}
        }
        self.checksum(packet, start);
    }

    fn number_tcp(&self, segment: &mut [u8]) {
        let sequence = read_long(segment, 4).wrapping_add(self.given as u32);
        segment[4..8].copy_from_slice(&sequence.to_be_bytes());
        if !self.finished {
            segment[TCP_FLAGS] &= !(FIN | PSH);
        }
        if self.count > 0 {
            segment[TCP_FLAGS] &= !CWR;
        }
    }

    fn checksum(&self, packet: &mut [u8], start: usize) {
        let field = start + usize::from(self.offload.checksum_offset);
        packet[field..field + 2].fill(0);
        let (protocol, _) = transport(self.offload.kind);
        let addresses = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
        let checksum = Sum::default()
            .add(&packet[addresses])
            .add_number(u16::from(protocol))
            .add_number((packet.len() - start) as u16)
            .add(&packet[start..])
            .whole();
        if protocol == UDP {
            write_checksum(packet, field, checksum);
        } else {
            packet[field..field + 2].copy_from_slice(&checksum);
        }
    }
}

/// Length of the IP and transport headers of a large segment.
fn headers_length(offload: Offload, packet: &[u8]) -> Option<usize> {
    let start = usize::from(offload.checksum_start);
    let (_, field) = transport(offload.kind);
    let header = match offload.kind {
        Kind::Tcp4 | Kind::Tcp6 => usize::from(packet.get(start + 12)? >> 4) * 4,
        Kind::Udp => UDP_HEADER,
        Kind::Single => return None,
    };
    let least = match offload.kind {
        Kind::Tcp4 | Kind::Tcp6 => TCP_HEADER,
        Kind::Udp | Kind::Single => UDP_HEADER,
    };
    let ip = Ip::parse(packet)?.header_length();
    let sound = header >= least
        && start >= ip
        && usize::from(offload.checksum_offset) == field
        && start + header <= packet.len();
    sound.then_some(start + header)
}

/// A kind's protocol number, and where its header holds the checksum.
fn transport(kind: Kind) -> (u8, usize) {
    match kind {
        Kind::Tcp4 | Kind::Tcp6 | Kind::Single => (TCP, 16),
        Kind::Udp => (UDP, 6),
    }
}

/// Whether the field to be filled is inside the packet.
fn checksum_fits(offload: Offload, packet: &[u8]) -> bool {
    let field = usize::from(offload.checksum_start) + usize::from(offload.checksum_offset);
    !offload.needs_checksum || field + 2 <= packet.len()
}

/// Writes a checksum; zero would say "none" in UDP, and its complement sums up to the same.
fn write_checksum(packet: &mut [u8], field: usize, checksum: [u8; 2]) {
    let checksum = if checksum == [0, 0] {
        [0xff, 0xff]
    } else {
        checksum
    };
    packet[field..field + 2].copy_from_slice(&checksum);
}
