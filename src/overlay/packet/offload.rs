//! The header that stands before each packet of a TUN device with `IFF_VNET_HDR` (`struct
//! virtio_net_hdr`): what the kernel left to the device, or what the device leaves to the kernel.

/// Length of the header in bytes; the kernel's default.
pub(crate) const LENGTH: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const ECN: u8 = 0x80;

/// What a packet of many segments is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One packet.
    Single,
    Tcp4,
    Tcp6,
    /// Datagrams of one size, of either family.
    Udp,
}

impl Kind {
    fn parse(byte: u8) -> Option<Self> {
        match byte & !ECN {
            0 => Some(Self::Single),
            1 => Some(Self::Tcp4),
            4 => Some(Self::Tcp6),
            5 => Some(Self::Udp),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Single => 0,
            Self::Tcp4 => 1,
            Self::Tcp6 => 4,
            Self::Udp => 5,
        }
    }
}

/// The header, as far as it is used. Numbers are in the order of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offload {
    pub(crate) kind: Kind,
    /// Whether the checksum field holds the sum of the pseudo header alone.
    pub(crate) needs_checksum: bool,
    /// Length of all headers of the packet.
    pub(crate) header_length: u16,
    /// Bytes of payload in each segment but the last.
    pub(crate) segment: u16,
    /// Where the checksummed bytes begin, and the field in them.
    pub(crate) checksum_start: u16,
    pub(crate) checksum_offset: u16,
}

impl Offload {
    /// A packet that is whole as it is.
    pub(crate) const NONE: Self = Self {
        kind: Kind::Single,
        needs_checksum: false,
        header_length: 0,
        segment: 0,
        checksum_start: 0,
        checksum_offset: 0,
    };

    /// The header before a frame's packet, and the packet. Nothing, if the frame is shorter or of
    /// a kind that was never agreed on.
    pub(crate) fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (header, packet) = frame.split_first_chunk::<LENGTH>()?;
        let number = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let offload = Self {
            kind: Kind::parse(header[1])?,
            needs_checksum: header[0] & NEEDS_CHECKSUM != 0,
            header_length: number(2),
            segment: number(4),
            checksum_start: number(6),
            checksum_offset: number(8),
        };
        Some((offload, packet))
    }

    pub(crate) fn write(self, header: &mut [u8; LENGTH]) {
        header[0] = u8::from(self.needs_checksum) * NEEDS_CHECKSUM;
        header[1] = self.kind.byte();
        header[2..4].copy_from_slice(&self.header_length.to_ne_bytes());
        header[4..6].copy_from_slice(&self.segment.to_ne_bytes());
        header[6..8].copy_from_slice(&self.checksum_start.to_ne_bytes());
        header[8..10].copy_from_slice(&self.checksum_offset.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written() {
        let offload = Offload {
            kind: Kind::Tcp6,
            needs_checksum: true,
            header_length: 60,
            segment: 1336,
            checksum_start: 40,
            checksum_offset: 16,
        };
        let mut frame = [7; LENGTH + 3];
        let (header, _) = frame.split_first_chunk_mut().expect("it is longer");
        offload.write(header);
        assert_eq!(Offload::split(&frame), Some((offload, &[7, 7, 7][..])));
    }

    #[test]
    fn a_segment_that_carries_ecn_is_of_its_kind_and_an_unknown_kind_is_refused() {
        let mut frame = [0; LENGTH];
        frame[1] = 0x81;
        assert_eq!(
            Offload::split(&frame).map(|(offload, _)| offload.kind),
            Some(Kind::Tcp4)
        );
        frame[1] = 3;
        assert_eq!(Offload::split(&frame), None);
        assert_eq!(Offload::split(&frame[..9]), None);
    }
}
