//! Puts packets that came out of the tunnel together again: consecutive segments of a TCP stream,
//! or datagrams of one size, become one frame that the kernel takes in one go.
//!
//! Merged is only what segmentation would take apart into the very same packets, so that nobody
//! behind this host can tell. The order of the packets of a flow is kept.

use super::checksum::Sum;
use super::header::{
    ACK, IPV4_HEADER, Ip, PSH, TCP, TCP_FLAGS, TCP_HEADER, UDP, UDP_HEADER, Version, read,
    read_long, write, write_length,
};
use super::offload::{Kind, LENGTH, Offload};

/// The longest IP packet.
const LONGEST: usize = 65_535;

/// Datagrams in one frame: the kernel refuses more than this (`UDP_MAX_SEGMENTS`, before 6.9).
const MOST_DATAGRAMS: u16 = 64;

/// Memory that is kept for the next frames.
const MOST_SPARE: usize = 64;

/// Frames under way. Flushed after each batch of datagrams; the flows in a batch are few.
#[derive(Debug)]
pub(crate) struct Coalescer {
    frames: Vec<Frame>,
    spare: Vec<Vec<u8>>,
    tcp: bool,
    udp: bool,
}

#[derive(Debug)]
struct Frame {
    /// Room for the offload header, then the packet.
    bytes: Vec<u8>,
    /// The first packet's; nothing if it cannot be merged.
    shape: Option<Shape>,
    /// Packets merged so far.
    count: u16,
    /// Whether more may be added.
    open: bool,
}

/// The parts of a packet that can be merged with others.
#[derive(Clone, Copy, Debug)]
struct Shape {
    kind: Kind,
    ip_header: usize,
    headers: usize,
    payload: usize,
}

impl Coalescer {
    /// Merges what the device takes.
    pub(crate) fn new(tcp: bool, udp: bool) -> Self {
        Self {
            frames: Vec::new(),
            spare: Vec::new(),
            tcp,
            udp,
        }
    }

    /// Takes an IP packet.
    pub(crate) fn push(&mut self, packet: &[u8]) {
        let ip = Ip::parse(packet);
        let shape = ip.and_then(|ip| self.shape(ip));
        if let Some(ip) = ip
            && let Some(at) = self.frame_of_flow(ip)
        {
            let frame = &mut self.frames[at];
            if shape.is_some_and(|shape| frame.grow(packet, shape)) {
                return;
            }
            // What comes later of this flow must not overtake this packet.
            frame.open = false;
        }
        self.open(packet, shape);
    }

    /// Hands out all frames, each with its offload header, in the order of their first packets.
    pub(crate) fn flush(&mut self, mut write: impl FnMut(&[u8])) {
        for mut frame in self.frames.drain(..) {
            frame.finish();
            write(&frame.bytes);
            if self.spare.len() < MOST_SPARE {
                self.spare.push(frame.bytes);
            }
        }
    }

    fn shape(&self, ip: Ip<'_>) -> Option<Shape> {
        let shape = Shape::of(ip)?;
        let wanted = match shape.kind {
            Kind::Tcp4 | Kind::Tcp6 => self.tcp,
            Kind::Udp => self.udp,
            Kind::Single => false,
        };
        wanted.then_some(shape)
    }

    /// The open frame with the addresses and ports of this packet.
    fn frame_of_flow(&self, ip: Ip<'_>) -> Option<usize> {
        self.frames
            .iter()
            .rposition(|frame| frame.open && frame.is_of_flow(ip))
    }

    fn open(&mut self, packet: &[u8], shape: Option<Shape>) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend([0; LENGTH]);
        bytes.extend(packet);
        self.frames.push(Frame {
            bytes,
            shape,
            count: 1,
            open: shape.is_some_and(|shape| !shape.is_pushed(packet)),
        });
    }
}

impl Shape {
    /// What is needed for merging, or nothing where a packet is special in any way.
    fn of(ip: Ip<'_>) -> Option<Self> {
        let ip_header = ip.header_length();
        let plain = match ip.version() {
            Version::V4 => {
                let header = &ip.bytes()[..ip_header];
                ip_header == IPV4_HEADER
                    && !ip.is_fragment()
                    && Sum::default().add(header).is_valid()
            }
            Version::V6 => true,
        };
        if !plain {
            return None;
        }
        let payload = ip.payload();
        let (kind, header) = match (ip.protocol(), ip.version()) {
            (TCP, Version::V4) => (Kind::Tcp4, tcp_header(payload)?),
            (TCP, Version::V6) => (Kind::Tcp6, tcp_header(payload)?),
            (UDP, _) => (Kind::Udp, udp_header(payload)?),
            _ => return None,
        };
        let intact = ip.pseudo_header(payload.len()).add(payload).is_valid();
        (intact && payload.len() > header).then_some(Self {
            kind,
            ip_header,
            headers: ip_header + header,
            payload: payload.len() - header,
        })
    }
}

impl Shape {
    fn protocol(self) -> u8 {
        match self.kind {
            Kind::Udp => UDP,
            Kind::Tcp4 | Kind::Tcp6 | Kind::Single => TCP,
        }
    }

    fn checksum_offset(self) -> u16 {
        match self.kind {
            Kind::Udp => 6,
            Kind::Tcp4 | Kind::Tcp6 | Kind::Single => 16,
        }
    }

    /// Whether the sender asked to hand its data on at once.
    fn is_pushed(self, packet: &[u8]) -> bool {
        self.kind != Kind::Udp && packet[self.ip_header + TCP_FLAGS] & PSH != 0
    }

    fn offload(self) -> Offload {
        Offload {
            kind: self.kind,
            needs_checksum: true,
            header_length: self.headers as u16,
            segment: self.payload as u16,
            checksum_start: self.ip_header as u16,
            checksum_offset: self.checksum_offset(),
        }
    }
}

/// Length of the header of a TCP segment that is data and nothing else.
fn tcp_header(segment: &[u8]) -> Option<usize> {
    let header = usize::from(segment.get(12)? >> 4) * 4;
    let plain = header >= TCP_HEADER && segment.len() >= header && segment[TCP_FLAGS] & !PSH == ACK;
    plain.then_some(header)
}

/// Length of the header of a datagram that has a checksum and the length that it says.
fn udp_header(datagram: &[u8]) -> Option<usize> {
    let plain = datagram.len() >= UDP_HEADER
        && usize::from(read(datagram, 4)) == datagram.len()
        && read(datagram, 6) != 0;
    plain.then_some(UDP_HEADER)
}

impl Frame {
    fn packet(&self) -> &[u8] {
        &self.bytes[LENGTH..]
    }

    fn is_of_flow(&self, ip: Ip<'_>) -> bool {
        let Some(shape) = self.shape else {
            return false;
        };
        let packet = self.packet();
        if packet[0] >> 4 != ip.bytes()[0] >> 4 {
            return false;
        }
        let addresses = match ip.version() {
            Version::V4 => &packet[12..20],
            Version::V6 => &packet[8..40],
        };
        let ports = &packet[shape.ip_header..shape.ip_header + 4];
        shape.protocol() == ip.protocol()
            && addresses == ip.addresses()
            && ip.payload().starts_with(ports)
    }

    /// Adds the payload of a packet of this flow, if it is the next one.
    fn grow(&mut self, packet: &[u8], added: Shape) -> bool {
        let Some(first) = self.shape else {
            return false;
        };
        let fits = self.packet().len() + added.payload <= LONGEST
            && added.payload <= first.payload
            && added.headers == first.headers
            && (added.kind != Kind::Udp || self.count < MOST_DATAGRAMS);
        if !fits || !self.is_next(packet, first) {
            return false;
        }
        self.bytes.extend(&packet[added.headers..]);
        self.count += 1;
        // A short packet or a push ends what segmentation would make of one frame.
        self.open = added.payload == first.payload && !added.is_pushed(packet);
        if added.is_pushed(packet) {
            self.bytes[LENGTH + first.ip_header + TCP_FLAGS] |= PSH;
        }
        true
    }

    /// Whether a packet differs from the frame's first in nothing but its place in the order.
    fn is_next(&self, packet: &[u8], first: Shape) -> bool {
        let same = |from: usize, to: usize| self.packet()[from..to] == packet[from..to];
        let ip = if packet[0] >> 4 == 6 {
            same(0, 4) && same(6, 40)
        } else {
            let identification = read(self.packet(), 4).wrapping_add(self.count);
            same(0, 2) && same(6, 10) && read(packet, 4) == identification
        };
        ip && (first.kind == Kind::Udp || self.is_next_segment(packet, first))
    }

    /// The same for a TCP header: all but the sequence number, the push flag and the checksum has
    /// to be equal; acknowledgement, window, urgent pointer and options too.
    fn is_next_segment(&self, packet: &[u8], first: Shape) -> bool {
        let at = first.ip_header;
        let same = |from: usize, to: usize| self.packet()[from..to] == packet[from..to];
        let given = (self.packet().len() - first.headers) as u32;
        let sequence = read_long(self.packet(), at + 4).wrapping_add(given);
        read_long(packet, at + 4) == sequence
            && same(at + 8, at + TCP_FLAGS)
            && same(at + 14, at + 16)
            && same(at + 18, first.headers)
    }

    /// Writes the lengths, the partial checksum and the offload header of what was merged.
    fn finish(&mut self) {
        let offload = match self.shape {
            Some(shape) if self.count > 1 => {
                self.finish_merged(shape);
                shape.offload()
            }
            _ => Offload::NONE,
        };
        let (header, _) = self
            .bytes
            .split_first_chunk_mut()
            .expect("each frame has room for the offload header");
        offload.write(header);
    }

    fn finish_merged(&mut self, shape: Shape) {
        let packet = &mut self.bytes[LENGTH..];
        write_length(packet);
        let transport = packet.len() - shape.ip_header;
        if shape.kind == Kind::Udp {
            write(packet, shape.ip_header + 4, transport as u16);
        }
        let partial = Ip::parse(packet)
            .expect("its length was written just now")
            .pseudo_header(transport)
            .partial();
        let field = shape.ip_header + usize::from(shape.checksum_offset());
        packet[field..field + 2].copy_from_slice(&partial);
    }
}
